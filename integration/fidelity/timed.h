// Programs in which time passes. They run in real time, so what is compared must not depend on how
// exactly it is kept: every time that passes ends in a quiet spell, before and after which nothing
// happens, however long neighbours stay REACHABLE.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "integration/fidelity/compare.h"
#include "integration/fidelity/coverage.h"
#include "integration/fidelity/generator.h"

namespace vxmesh::fidelity {

// A timer of Linux ends up to an eighth of its time late (kernel/time/timer.c), and several follow
// each other: that is what `before` is for. What one moment's steps do takes time as well, so that
// they come late or, seen from the steps behind them, early.
inline constexpr Duration kQuietBefore = std::chrono::milliseconds(200);
inline constexpr Duration kQuietAfter = std::chrono::milliseconds(200);

// Every Advance of the program ends in a quiet spell, and the last step is one.
[[nodiscard]] bool is_quiet(const Program& program, const WorldMaker& make_world);

// Contract: as Generator. The programs are quiet.
class TimedGenerator {
 public:
  TimedGenerator(std::uint64_t seed, std::size_t operations, WorldMaker make_world);

  [[nodiscard]] Program next();

  [[nodiscard]] const Coverage& coverage() const { return coverage_; }
  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  // Empty if no time was found that is followed by a quiet spell.
  [[nodiscard]] Program draw(Prng& prng) const;

  Prng root_;
  std::size_t operations_;
  WorldMaker make_world_;
  std::uint64_t number_ = 0;
  Coverage coverage_;
  Tally tally_;
};

struct TimedOutcome {
  bool late = false;  // this machine was too busy to keep the program's times: it says nothing
  std::optional<Gap> gap;
};

// A program in two worlds, in real time. Answers are compared at once; tables, and what was told of
// each row, whenever time has passed.
class TimedComparison {
 public:
  // All outlive this.
  TimedComparison(const Program& program, World& fake, World& real, AllowanceCounts& used);

  // The steps before time first passes: they make the device, which keeps the kernel's lock for
  // long, so that other programs' times cannot be kept meanwhile.
  void set_up();
  // The rest.
  [[nodiscard]] TimedOutcome run();

 private:
  using Clock = std::chrono::steady_clock;

  void step(const Step& step);
  void pass(Duration time);
  void compare_now();

  const Program& program_;
  World& fake_;
  World& real_;
  Side fake_side_;
  Side real_side_;
  AllowanceCounts& used_;
  std::size_t next_ = 0;
  std::optional<Clock::time_point> now_;  // the program's time; it begins when time first passes
  TimedOutcome outcome_;
};

// The sum of all times that pass.
[[nodiscard]] Duration duration_of(const Program& program);

}  // namespace vxmesh::fidelity
