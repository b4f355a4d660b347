// The event loop, as a port: the one thread on which all of the agent runs.
#pragma once

#include <cstdint>
#include <functional>

#include "base/strong.h"
#include "base/time.h"

namespace vxmesh {

using TimerId = Strong<struct TimerIdTag, std::uint64_t>;

// Contract: callbacks never run inside post, timer or cancel, only later from the loop; posted ones
// run in the order in which they were posted; timers run at or after their time, in order of
// deadline, equal deadlines in the order in which they were made. Ids are never reused. Threading:
// one thread.
class EventLoop {
 public:
  virtual ~EventLoop() = default;

  virtual void post(std::function<void()> callback) = 0;
  // Runs `callback` once, `delay` from now; a negative delay counts as zero.
  virtual TimerId timer(Duration delay, std::function<void()> callback) = 0;
  // After this returns the callback will not run. Cancelling one that ran or is unknown does
  // nothing.
  virtual void cancel(TimerId id) = 0;
};

}  // namespace vxmesh
