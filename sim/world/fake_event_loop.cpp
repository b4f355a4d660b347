#include "sim/world/fake_event_loop.h"

#include <algorithm>

#include "base/check.h"

namespace vxmesh {

void FakeEventLoop::post(std::function<void()> callback) {
  timer(Duration{}, std::move(callback));
}

TimerId FakeEventLoop::timer(Duration delay, std::function<void()> callback) {
  const TimerId id{next_sequence_++};
  const MonotonicTime deadline = now_ + std::max(delay, Duration{});
  queue_.emplace(Key{deadline, id.value}, std::move(callback));
  deadlines_.emplace(id, deadline);
  return id;
}

void FakeEventLoop::cancel(TimerId id) {
  const auto entry = deadlines_.find(id);
  if (entry == deadlines_.end()) {
    return;
  }
  // Destroyed last: what the callback holds may come back here as it goes.
  const auto cancelled = queue_.extract(Key{entry->second, id.value});
  deadlines_.erase(entry);
}

bool FakeEventLoop::run_one() {
  if (queue_.empty()) {
    return false;
  }
  const auto next = queue_.extract(queue_.begin());
  const auto& [deadline, sequence] = next.key();
  deadlines_.erase(TimerId{sequence});
  check(deadline >= now_, "virtual time never runs backwards");
  at_this_instant_ = deadline == now_ ? at_this_instant_ + 1 : 0;
  check(at_this_instant_ < kMaxAtOneInstant, "callbacks let time go on");
  now_ = deadline;
  next.mapped()();
  return true;
}

void FakeEventLoop::run_until(MonotonicTime end) {
  check(end >= now_, "virtual time never runs backwards");
  while (!queue_.empty() && queue_.begin()->first.first <= end) {
    run_one();
  }
  now_ = end;
}

}  // namespace vxmesh
