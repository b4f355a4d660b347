// Time as the core knows it: it comes in through ports/clock.h and nowhere else.
#pragma once

#include <chrono>
#include <compare>

namespace vxmesh {

using Duration = std::chrono::nanoseconds;

// A point on a clock that never steps; only differences mean anything.
struct MonotonicTime {
  Duration since_start{};

  friend constexpr auto operator<=>(const MonotonicTime&, const MonotonicTime&) = default;
  friend constexpr Duration operator-(MonotonicTime a, MonotonicTime b) {
    return a.since_start - b.since_start;
  }
  friend constexpr MonotonicTime operator+(MonotonicTime t, Duration d) {
    return MonotonicTime{t.since_start + d};
  }
  friend constexpr MonotonicTime operator-(MonotonicTime t, Duration d) {
    return MonotonicTime{t.since_start - d};
  }
};

// Wall-clock time since 1970-01-01T00:00:00Z; may step. For logs and API objects only.
struct WallTime {
  Duration since_epoch{};

  friend constexpr auto operator<=>(const WallTime&, const WallTime&) = default;
};

}  // namespace vxmesh
