// Clocks on the loop's virtual time.
#pragma once

#include "ports/clock.h"
#include "sim/world/fake_event_loop.h"

namespace vxmesh {

// One process's view of time. The monotonic clock is the loop's; the wall clock runs with it from
// `wall_at_start` on (2024-01-01T00:00:00Z unless told) and can be stepped.
class FakeClock final : public Clock {
 public:
  static constexpr WallTime kDefaultStart{std::chrono::seconds(1'704'067'200)};

  explicit FakeClock(const FakeEventLoop& loop, WallTime wall_at_start = kDefaultStart)
      : loop_(loop), wall_at_start_(wall_at_start) {}

  [[nodiscard]] MonotonicTime monotonic() const override { return loop_.now(); }
  [[nodiscard]] WallTime wall() const override {
    return WallTime{wall_at_start_.since_epoch + loop_.now().since_start};
  }

  // Forwards or, negative, backwards, as an administrator or NTP may do.
  void step_wall(Duration by) { wall_at_start_.since_epoch += by; }

 private:
  const FakeEventLoop& loop_;
  WallTime wall_at_start_;
};

}  // namespace vxmesh
