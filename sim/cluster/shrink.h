// Finds a small scenario that fails as a large one does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/result.h"
#include "sim/check/violation.h"
#include "sim/cluster/simulation.h"
#include "sim/scenario/scenario.h"

namespace vxmesh {

struct ShrinkProgress {
  std::uint64_t runs = 0;
  // Of the smallest so far.
  std::size_t steps = 0;
  std::size_t nodes = 0;
  std::size_t pods = 0;
};

struct ShrinkBudget {
  std::uint64_t runs = 5000;
  // Asked before each run; false: what has been found is to do. Empty: goes on.
  std::function<bool(const ShrinkProgress&)> goes_on;
};

// A run that ends at `until` (since the start) or at its first violation. That it has aborted can
// be its violation.
using ShrinkRun =
    std::function<Outcome(const Scenario&, const SimulationOptions&, MonotonicTime until)>;

// A Simulation.
[[nodiscard]] Outcome run_until(const Scenario& scenario, const SimulationOptions& options,
                                MonotonicTime until);

struct Shrunk {
  // With the lines that it has as write_scenario() writes it.
  Scenario scenario;
  SimulationOptions options;
  // That of its run. The same signature; of an expectation, the same one, by its line now.
  Violation violation;
  std::uint64_t runs = 0;
  bool finished = false;  // the budget was enough
};

// Contract: pure but for `run` and the budget's callback; equal arguments (and runs, and answers)
// give equal results. The result is valid, if any scenario that was tried is, and fails when it is
// run as it says. What is made smaller, in that order and over again as long as anything helps: the
// end, traffic and idle time (for the runs behind to be short), steps, nodes and pods,
// expectations, durations, amounts, times, clock skew, and the seed if another one needs fewer
// steps. In the end the options are the default ones, if it fails with those as well: its file is
// all that one needs then.
// Fails if `violation` is not what the run of `scenario` shows.
[[nodiscard]] Result<Shrunk> shrink(const Scenario& scenario, const SimulationOptions& options,
                                    const Violation& violation, const ShrinkBudget& budget = {},
                                    const ShrinkRun& run = run_until);

}  // namespace vxmesh
