#include "sim/world/process_loop.h"

#include <algorithm>
#include <utility>

namespace vxmesh {

ProcessLoop::ProcessLoop(FakeEventLoop& world, const HostClock& clock, HostNumber host,
                         Trace& trace)
    : world_(world), clock_(clock), host_(host), trace_(trace) {}

ProcessLoop::~ProcessLoop() {
  // What the callbacks hold may come back here as it goes.
  const SlotMap<Waiting> gone = std::exchange(waiting_, {});
  gone.for_each([this](const Waiting& waiting) { world_.cancel(waiting.worlds); });
}

void ProcessLoop::post(std::function<void()> callback) {
  schedule(Duration{}, true, std::move(callback));
}

TimerId ProcessLoop::timer(Duration delay, std::function<void()> callback) {
  return schedule(delay, false, std::move(callback));
}

TimerId ProcessLoop::schedule(Duration delay, bool posted, std::function<void()> callback) {
  if (dead_) {
    return TimerId{};  // stands for nothing
  }
  const TimerId id{
      waiting_.insert({.worlds = {}, .posted = posted, .callback = std::move(callback)})};
  const MonotonicTime due =
      delay <= Duration{} ? world_.now() : clock_.world_time(clock_.monotonic() + delay);
  posted_ += posted ? 1U : 0U;
  // No more than std::function holds without allocating. It does not outlive this.
  waiting_.find(id.value)->worlds = world_.timer(due - world_.now(), [this, id] { come_due(id); });
  return id;
}

void ProcessLoop::come_due(TimerId id) {
  std::optional<Waiting> waiting = waiting_.extract(id.value);
  posted_ -= waiting->posted ? 1U : 0U;
  if (paused_) {
    deferred_.push_back({id, std::move(waiting->callback)});
  } else {
    run(waiting->callback);
  }
}

void ProcessLoop::cancel(TimerId id) {
  if (const std::optional<Waiting> waiting = waiting_.extract(id.value)) {
    world_.cancel(waiting->worlds);
    return;
  }
  const auto due = std::find_if(deferred_.begin(), deferred_.end(),
                                [&](const Due& waits) { return waits.id == id; });
  if (due != deferred_.end()) {
    deferred_.erase(due);
  }
}

void ProcessLoop::run(const std::function<void()>& callback) {
  if (dies_at_ && events_ >= *dies_at_) {
    dead_ = true;
  } else if (!dead_) {
    ++events_;
    cover(TraceKind::Turn, events_);
    callback();
  }
  if (after_event_) {
    after_event_();
  }
}

void ProcessLoop::resume() {
  paused_ = false;
  // One at a time: each may cancel those behind it.
  while (!deferred_.empty() && !paused_) {
    const Due due = std::move(deferred_.front());
    deferred_.pop_front();
    run(due.callback);
  }
}

}  // namespace vxmesh
