// Virtual time, and the event loop that it is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "ports/event_loop.h"

namespace vxmesh {

// Contract: as ports/event_loop.h; in addition what is posted is due now, in one order with the
// timers: (deadline, sequence of creation). Time stands still while a callback runs and jumps to
// the next deadline between two. The loop must outlive whatever posts to it; callbacks that are
// still waiting when it is destroyed are destroyed without being run.
class FakeEventLoop final : public EventLoop {
 public:
  FakeEventLoop() = default;
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
    return queue_.empty() ? std::nullopt : std::optional(queue_.begin()->first.first);
  }
  // Callbacks that wait to be run.
  [[nodiscard]] std::size_t pending() const { return queue_.size(); }

 private:
  using Key = std::pair<MonotonicTime, std::uint64_t>;  // deadline, sequence

  // More callbacks than this without time going on are a loop that feeds itself.
  static constexpr std::uint64_t kMaxAtOneInstant = 10'000'000;

  MonotonicTime now_;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t at_this_instant_ = 0;
  std::map<Key, std::function<void()>> queue_;
  std::map<TimerId, MonotonicTime> deadlines_;  // of what is in queue_; an id is a sequence
};

}  // namespace vxmesh
