#include "adapters/posix/event_loop_asio.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>

namespace vxmesh {
namespace {

using SteadyClock = std::chrono::steady_clock;

MonotonicTime now() {
  return MonotonicTime{SteadyClock::now().time_since_epoch()};
}

}  // namespace

EventLoopAsio::EventLoopAsio() : wake_(context_) {}

void EventLoopAsio::post(std::function<void()> callback) {
  boost::asio::post(context_, std::move(callback));
}

TimerId EventLoopAsio::timer(Duration delay, std::function<void()> callback) {
  ++last_id_.value;
  const MonotonicTime start = now();
  // A delay beyond what the clock can say, about 292 years, is cut: it never ends either way.
  const Duration longest = Duration::max() - start.since_start;
  const MonotonicTime deadline = start + std::clamp(delay, Duration{}, longest);
  const auto [added, is_new] = timers_.emplace(Key{deadline, last_id_}, std::move(callback));
  deadlines_.emplace(last_id_, deadline);
  if (added == timers_.begin()) {
    arm();
  }
  return last_id_;
}

void EventLoopAsio::cancel(TimerId id) {
  const auto found = deadlines_.find(id);
  if (found == deadlines_.end()) {
    return;
  }
  timers_.erase(Key{found->second, id});
  deadlines_.erase(found);
  arm();
}

void EventLoopAsio::arm() {
  if (timers_.empty()) {
    wake_.cancel();
    return;
  }
  wake_.expires_at(SteadyClock::time_point(timers_.begin()->first.first.since_start));
  wake_.async_wait([this](const boost::system::error_code& error) {
    if (!error) {
      run_due();
    }
  });
}

void EventLoopAsio::run_due() {
  // Timers that callbacks make wait for the next turn, however short, so that this ends.
  const TimerId newest = last_id_;
  const MonotonicTime limit = now();
  while (!timers_.empty()) {
    const auto first = timers_.begin();
    const auto [deadline, id] = first->first;
    if (deadline > limit || id > newest || context_.stopped()) {
      break;
    }
    const std::function<void()> callback = std::move(first->second);
    timers_.erase(first);
    deadlines_.erase(id);
    callback();
  }
  arm();
}

void EventLoopAsio::run() {
  context_.restart();
  context_.run();
}

void EventLoopAsio::stop() {
  context_.stop();
}

}  // namespace vxmesh
