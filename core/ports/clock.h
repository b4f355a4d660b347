// Time, as a port: nothing above adapters reads a clock of the machine.
#pragma once

#include "base/time.h"

namespace vxmesh {

class Clock {
 public:
  virtual ~Clock() = default;

  // Never steps; for deadlines, ages and back-off.
  [[nodiscard]] virtual MonotonicTime monotonic() const = 0;
  // May step; for logs and API objects only.
  [[nodiscard]] virtual WallTime wall() const = 0;
};

}  // namespace vxmesh
