// The machine's clocks.
#pragma once

#include "ports/clock.h"

namespace vxmesh {

// CLOCK_MONOTONIC and CLOCK_REALTIME.
class ClockPosix : public Clock {
 public:
  [[nodiscard]] MonotonicTime monotonic() const override;
  [[nodiscard]] WallTime wall() const override;
};

}  // namespace vxmesh
