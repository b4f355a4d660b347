#include "adapters/posix/clock_posix.h"

#include <chrono>

namespace vxmesh {

MonotonicTime ClockPosix::monotonic() const {
  return MonotonicTime{std::chrono::steady_clock::now().time_since_epoch()};
}

WallTime ClockPosix::wall() const {
  return WallTime{std::chrono::system_clock::now().time_since_epoch()};
}

}  // namespace vxmesh
