// Random numbers of the kernel.
#pragma once

#include "ports/random.h"

namespace vxmesh {

// getrandom(2) at every call: jitter is drawn a few times a minute at most.
class RandomPosix : public Random {
 public:
  std::uint64_t next() override;
};

}  // namespace vxmesh
