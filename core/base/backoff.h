// Exponential back-off with jitter, as a pure value: the caller brings time and randomness.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace vxmesh {

struct BackoffLimits {
  Duration first{};        // the first delay, before jitter
  Duration cap{};          // no delay exceeds this before jitter
  Duration reset_after{};  // a quiet time of this length starts over at `first`
};

// Contract: the n-th delay in a row is drawn evenly from [d, 2d) with d = min(first * 2^n, cap),
// like client-go's wait.Jitter with factor 1.0. A caller that has been quiet for `reset_after`
// since the last delay ended begins again with `first`.
class Backoff {
 public:
  explicit Backoff(BackoffLimits limits) : limits_(limits) {}

  // The delay before the next attempt; `random` is any uniformly drawn number.
  [[nodiscard]] Duration next(MonotonicTime now, std::uint64_t random);

  // Forgets all failures: the next delay is `first` again.
  void reset() { delay_ = Duration{}; }

 private:
  BackoffLimits limits_;
  Duration delay_{};          // zero: no failure yet
  MonotonicTime last_end_{};  // when the last delay that was handed out ends
};

}  // namespace vxmesh
