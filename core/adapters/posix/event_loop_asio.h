// The event loop on Boost.Asio.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <utility>

#include "ports/event_loop.h"

namespace vxmesh {

// The one io_context of the process; other adapters register with it.
// Asio promises no order between equal timers, so the order is kept here and one Asio timer wakes
// it up.
class EventLoopAsio : public EventLoop {
 public:
  EventLoopAsio();

  void post(std::function<void()> callback) override;
  TimerId timer(Duration delay, std::function<void()> callback) override;
  void cancel(TimerId id) override;

  // Runs callbacks until stop, or until nothing is left that could call back.
  void run();
  // Ends run after the callback that is running; what is still to be called stays.
  void stop();

  [[nodiscard]] boost::asio::io_context& context() { return context_; }

 private:
  using Key = std::pair<MonotonicTime, TimerId>;

  void arm();
  void run_due();

  boost::asio::io_context context_{1};  // 1: one thread, which saves Asio its locks
  boost::asio::steady_timer wake_;
  std::map<Key, std::function<void()>> timers_;
  std::map<TimerId, MonotonicTime> deadlines_;
  TimerId last_id_{};
};

}  // namespace vxmesh
