// The event loop of one process, on the world's: it can stand still, and it can die.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "ports/event_loop.h"
#include "sim/world/fake_event_loop.h"
#include "sim/world/host_clock.h"
#include "sim/world/slot_map.h"
#include "sim/world/trace.h"

namespace vxmesh {

// Contract: as ports/event_loop.h, with delays on the host's clock. What comes due while the
// process is paused runs at its end, in the same order. Once it is dead nothing of it runs any
// more, and what it posts is dropped. World, clock and trace outlive this; callbacks that wait when
// this is destroyed are dropped.
class ProcessLoop final : public EventLoop {
 public:
  ProcessLoop(FakeEventLoop& world, const HostClock& clock, HostNumber host, Trace& trace);
  ~ProcessLoop() override;
  ProcessLoop(const ProcessLoop&) = delete;
  ProcessLoop& operator=(const ProcessLoop&) = delete;

  void post(std::function<void()> callback) override;
  TimerId timer(Duration delay, std::function<void()> callback) override;
  void cancel(TimerId id) override;

  // Puts what the process does, or what is done to it, into the hash of the trace.
  void cover(TraceKind kind, std::uint64_t payload) { trace_.cover(host_, kind, payload); }

  void kill() { dead_ = true; }
  [[nodiscard]] bool dead() const { return dead_; }
  // Dies before its callback number `count` from now on, 0 the next.
  void kill_at_event(std::uint64_t count) { dies_at_ = events_ + count; }
  // Not even if it was told to.
  void live_on() { dies_at_.reset(); }

  void pause() { paused_ = true; }
  void resume();
  [[nodiscard]] bool paused() const { return paused_; }

  // Nothing that was posted waits: every turn that was begun is over.
  [[nodiscard]] bool idle() const { return posted_ == 0; }
  // Callbacks that have run.
  [[nodiscard]] std::uint64_t events() const { return events_; }
  // Called behind each callback, also behind the one in which the process has died.
  void set_after_event(std::function<void()> callback) { after_event_ = std::move(callback); }

 private:
  struct Due {
    TimerId id;
    std::function<void()> callback;
  };
  struct Waiting {
    TimerId worlds;
    bool posted = false;
    std::function<void()> callback;
  };

  TimerId schedule(Duration delay, bool posted, std::function<void()> callback);
  void come_due(TimerId id);
  void run(const std::function<void()>& callback);

  FakeEventLoop& world_;
  const HostClock& clock_;
  HostNumber host_;
  Trace& trace_;
  std::uint64_t posted_ = 0;
  std::uint64_t events_ = 0;
  std::optional<std::uint64_t> dies_at_;
  bool dead_ = false;
  bool paused_ = false;
  std::deque<Due> deferred_;  // came due during the pause
  SlotMap<Waiting> waiting_;  // by our ids
  std::function<void()> after_event_;
};

}  // namespace vxmesh
