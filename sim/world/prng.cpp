#include "sim/world/prng.h"

#include <bit>

#include "base/check.h"

namespace vxmesh {
namespace {

// splitmix64 (Steele, Lea and Flood, 2014): one step, and the number that it gives.
std::uint64_t splitmix(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15U;
  std::uint64_t mixed = state;
  mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
  return mixed ^ (mixed >> 31U);
}

}  // namespace

Prng::Prng(std::uint64_t seed, Trace* trace) : seed_(seed), trace_(trace) {
  std::uint64_t state = seed;
  for (std::uint64_t& word : state_) {
    word = splitmix(state);
  }
}

Prng Prng::split(std::string_view label) const {
  // FNV-1a over the label, begun at the mixed seed.
  std::uint64_t state = seed_;
  std::uint64_t hash = splitmix(state);
  for (const char letter : label) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3U;
  }
  return Prng(splitmix(hash), trace_);
}

std::uint64_t Prng::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17U;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  if (trace_ != nullptr) {
    trace_->cover(kWorld, TraceKind::Draw, result);
  }
  return result;
}

std::uint64_t Prng::below(std::uint64_t bound) {
  check(bound > 0, "there is a number below the bound");
  // The lowest 2^64 mod bound numbers would make the small remainders likelier: drawn again.
  const std::uint64_t rejected = (0 - bound) % bound;
  std::uint64_t drawn = next();
  while (drawn < rejected) {
    drawn = next();
  }
  return drawn % bound;
}

std::uint64_t Prng::between(std::uint64_t low, std::uint64_t high) {
  check(low <= high, "the range is not empty");
  const std::uint64_t span = high - low + 1;
  return span == 0 ? next() : low + below(span);
}

Duration Prng::between(Duration low, Duration high) {
  check(low >= Duration{}, "durations are drawn from non-negative ranges");
  return Duration{static_cast<Duration::rep>(
      between(static_cast<std::uint64_t>(low.count()), static_cast<std::uint64_t>(high.count())))};
}

bool Prng::chance(std::uint64_t numerator, std::uint64_t denominator) {
  check(numerator <= denominator, "a chance is at most one");
  return below(denominator) < numerator;
}

}  // namespace vxmesh
