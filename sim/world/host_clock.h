// The clocks of one host: what its kernel and its processes take for the time.
#pragma once

#include <cstdint>

#include "base/check.h"
#include "ports/clock.h"
#include "sim/world/fake_clock.h"
#include "sim/world/fake_event_loop.h"

namespace vxmesh {

// A clock that goes wrong by so many millionths, on the world's virtual time. The wall clock goes
// with it and can be stepped.
class HostClock final : public Clock {
 public:
  // |rate| of a quartz that NTP has not tamed yet is some hundreds at most.
  HostClock(const FakeEventLoop& world, std::int64_t rate_ppm)
      : world_(world), rate_ppm_(rate_ppm) {
    check(rate_ppm > -kMillion / 2 && rate_ppm < kMillion / 2, "a clock goes forwards");
  }

  [[nodiscard]] MonotonicTime monotonic() const override { return at(world_.now()); }
  [[nodiscard]] WallTime wall() const override {
    return WallTime{wall_at_start_ + monotonic().since_start};
  }
  void step_wall(Duration by) { wall_at_start_ += by; }

  // What this clock shows at a moment of the world.
  [[nodiscard]] MonotonicTime at(MonotonicTime world) const {
    const std::int64_t t = world.since_start.count();
    return MonotonicTime{
        Duration(t + t / kMillion * rate_ppm_ + t % kMillion * rate_ppm_ / kMillion)};
  }
  // The first moment of the world at which this clock shows `time` or more.
  [[nodiscard]] MonotonicTime world_time(MonotonicTime time) const {
    const std::int64_t t = time.since_start.count();
    const std::int64_t whole = kMillion + rate_ppm_;
    MonotonicTime world{Duration(t / whole * kMillion + t % whole * kMillion / whole)};
    while (at(world) < time) {
      world.since_start += Duration(1);
    }
    return world;
  }

 private:
  static constexpr std::int64_t kMillion = 1'000'000;

  const FakeEventLoop& world_;
  std::int64_t rate_ppm_;
  Duration wall_at_start_ = FakeClock::kDefaultStart.since_epoch;
};

}  // namespace vxmesh
