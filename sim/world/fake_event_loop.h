// Virtual time, and the event loop that it is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "ports/event_loop.h"
#include "sim/world/slot_map.h"
#include "sim/world/trace.h"

namespace vxmesh {

// Contract: as ports/event_loop.h; in addition what is posted is due now, in one order with the
// timers: (deadline, sequence of creation). Time stands still while a callback runs and jumps to
// the next deadline between two. The loop must outlive whatever posts to it; callbacks that are
// still waiting when it is destroyed are destroyed without being run. `trace`, if there is one, has
// every callback that is run, and outlives this.
// Cost: a callback O(log n) of those that wait, to cancel one O(1) amortised.
class FakeEventLoop final : public EventLoop {
 public:
  explicit FakeEventLoop(Trace* trace = nullptr) : trace_(trace) {}
  FakeEventLoop(const FakeEventLoop&) = delete;
  FakeEventLoop& operator=(const FakeEventLoop&) = delete;

  void post(std::function<void()> callback) override;
  TimerId timer(Duration delay, std::function<void()> callback) override;
  void cancel(TimerId id) override;

  [[nodiscard]] MonotonicTime now() const { return now_; }

  // Runs the next callback, whenever it is due; false if there is none.
  bool run_one();
  // Runs what is due up to and including `end`, what comes up meanwhile included; then it is `end`.
  void run_until(MonotonicTime end);
  void run_for(Duration time) { run_until(now_ + time); }

  // When the next callback is due; none if there is none.
  [[nodiscard]] std::optional<MonotonicTime> next_deadline() const {
    return queue_.empty() ? std::nullopt : std::optional(queue_.front().deadline);
  }
  // Callbacks that wait to be run.
  [[nodiscard]] std::size_t pending() const { return callbacks_.size(); }

 private:
  struct Due {
    MonotonicTime deadline;
    std::uint64_t sequence = 0;
    TimerId id;
  };

  [[nodiscard]] static bool is_later(const Due& a, const Due& b);
  [[nodiscard]] bool is_cancelled(const Due& due) const {
    return !callbacks_.contains(due.id.value);
  }
  void drop_cancelled();

  // More callbacks than this without time going on are a loop that feeds itself.
  static constexpr std::uint64_t kMaxAtOneInstant = 10'000'000;

  Trace* trace_;
  MonotonicTime now_;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t at_this_instant_ = 0;
  SlotMap<std::function<void()>> callbacks_;  // their handles are the ids
  // A heap, by is_later(). What was cancelled stays in it, but neither in front nor in the
  // majority.
  std::vector<Due> queue_;
};

}  // namespace vxmesh
