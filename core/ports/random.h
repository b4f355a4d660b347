// Randomness, as a port: jitter only, never secrets.
#pragma once

#include <cstdint>

namespace vxmesh {

class Random {
 public:
  virtual ~Random() = default;

  // Uniform over all 64-bit numbers.
  virtual std::uint64_t next() = 0;
};

}  // namespace vxmesh
