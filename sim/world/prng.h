// The simulator's own random numbers: the same on every compiler and standard library.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "sim/world/trace.h"

namespace vxmesh {

// xoshiro256** (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021),
// seeded by splitmix64. Integers only: floating point may differ between machines. `trace`, if
// there is one, has every number that this gives, and those that are split from it; it outlives
// them.
class Prng {
 public:
  explicit Prng(std::uint64_t seed, Trace* trace = nullptr);

  // A generator of its own for one subsystem. It depends on this one's seed and on `label` alone,
  // not on what was drawn here, so that one more draw in one place changes nothing in another.
  [[nodiscard]] Prng split(std::string_view label) const;

  // Uniform over all 64-bit numbers.
  std::uint64_t next();
  // Uniform in [0, bound), without bias; `bound` is not 0.
  std::uint64_t below(std::uint64_t bound);
  // Uniform in [low, high], both inclusive.
  std::uint64_t between(std::uint64_t low, std::uint64_t high);
  // Uniform in [low, high], to the nanosecond; neither is negative.
  Duration between(Duration low, Duration high);
  // True in `numerator` of `denominator` cases.
  bool chance(std::uint64_t numerator, std::uint64_t denominator);

 private:
  std::uint64_t seed_;
  Trace* trace_;
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace vxmesh
