#include "sim/world/fake_event_loop.h"

#include <algorithm>

#include "base/check.h"

namespace vxmesh {

void FakeEventLoop::post(std::function<void()> callback) {
  timer(Duration{}, std::move(callback));
}

bool FakeEventLoop::is_later(const Due& a, const Due& b) {
  return a.deadline != b.deadline ? a.deadline > b.deadline : a.sequence > b.sequence;
}

TimerId FakeEventLoop::timer(Duration delay, std::function<void()> callback) {
  const TimerId id{callbacks_.insert(std::move(callback))};
  queue_.push_back({now_ + std::max(delay, Duration{}), next_sequence_++, id});
  std::push_heap(queue_.begin(), queue_.end(), is_later);
  return id;
}

void FakeEventLoop::cancel(TimerId id) {
  // Destroyed last: what the callback holds may come back here as it goes.
  const auto cancelled = callbacks_.extract(id.value);
  drop_cancelled();
}

void FakeEventLoop::drop_cancelled() {
  constexpr std::size_t kFew = 64;
  if (queue_.size() > 2 * callbacks_.size() + kFew) {
    std::erase_if(queue_, [this](const Due& due) { return is_cancelled(due); });
    std::make_heap(queue_.begin(), queue_.end(), is_later);
  }
  while (!queue_.empty() && is_cancelled(queue_.front())) {
    std::pop_heap(queue_.begin(), queue_.end(), is_later);
    queue_.pop_back();
  }
}

bool FakeEventLoop::run_one() {
  if (queue_.empty()) {
    return false;
  }
  const Due next = queue_.front();
  check(next.deadline >= now_, "virtual time never runs backwards");
  at_this_instant_ = next.deadline == now_ ? at_this_instant_ + 1 : 0;
  check(at_this_instant_ < kMaxAtOneInstant, "callbacks let time go on");
  now_ = next.deadline;
  if (trace_ != nullptr) {
    trace_->event(now_, next.sequence);
  }
  const auto callback = callbacks_.extract(next.id.value);
  drop_cancelled();
  (*callback)();
  return true;
}

void FakeEventLoop::run_until(MonotonicTime end) {
  check(end >= now_, "virtual time never runs backwards");
  while (!queue_.empty() && queue_.front().deadline <= end) {
    run_one();
  }
  now_ = end;
}

}  // namespace vxmesh
