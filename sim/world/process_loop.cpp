#include "sim/world/process_loop.h"

#include <algorithm>

namespace vxmesh {

ProcessLoop::ProcessLoop(FakeEventLoop& world, const HostClock& clock, HostNumber host,
                         Trace& trace)
    : world_(world),
      clock_(clock),
      host_(host),
      trace_(trace),
      self_(std::make_shared<ProcessLoop*>(this)) {}

ProcessLoop::~ProcessLoop() {
  *self_ = nullptr;
  for (const auto& [ours, worlds] : waiting_) {
    world_.cancel(worlds);
  }
}

void ProcessLoop::post(std::function<void()> callback) {
  schedule(Duration{}, true, std::move(callback));
}

TimerId ProcessLoop::timer(Duration delay, std::function<void()> callback) {
  return schedule(delay, false, std::move(callback));
}

TimerId ProcessLoop::schedule(Duration delay, bool posted, std::function<void()> callback) {
  const TimerId id{next_id_++};
  if (dead_) {
    return id;
  }
  const MonotonicTime due =
      delay <= Duration{} ? world_.now() : clock_.world_time(clock_.monotonic() + delay);
  posted_ += posted ? 1U : 0U;
  const TimerId worlds = world_.timer(
      due - world_.now(), [self = self_, id, posted, callback = std::move(callback)]() mutable {
        ProcessLoop* const loop = *self;
        if (loop == nullptr) {
          return;
        }
        loop->waiting_.erase(id);
        loop->posted_ -= posted ? 1U : 0U;
        if (loop->paused_) {
          loop->deferred_.push_back({id, std::move(callback)});
        } else {
          loop->run(callback);
        }
      });
  waiting_.emplace(id, worlds);
  return id;
}

void ProcessLoop::cancel(TimerId id) {
  if (const auto place = waiting_.find(id); place != waiting_.end()) {
    world_.cancel(place->second);
    waiting_.erase(place);
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
    trace_.record(world_.now(), host_, TraceKind::Turn, events_, [] { return std::string(); });
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
