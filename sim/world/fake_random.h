// The Random port over a generator of the simulator.
#pragma once

#include "ports/random.h"
#include "sim/world/prng.h"

namespace vxmesh {

class FakeRandom final : public Random {
 public:
  explicit FakeRandom(Prng prng) : prng_(prng) {}

  std::uint64_t next() override { return prng_.next(); }

 private:
  Prng prng_;
};

}  // namespace vxmesh
