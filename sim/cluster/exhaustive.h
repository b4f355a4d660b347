// Exhaustive sweeps: one scenario, run again for every point at which something can be injected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/cluster/injection.h"
#include "sim/cluster/simulation.h"
#include "sim/scenario/scenario.h"

namespace vxmesh {

struct ExhaustiveOptions {
  std::uint64_t seed = 1;
  // A scenario with more points is sampled.
  std::size_t points_max = 5000;
  // Pods send so much that every pair finds its neighbours soon. No heartbeats: each would be
  // a watch event, and a point, in which nothing changes.
  WorkloadOptions workload{.probes_per_second = 10, .heartbeats_per_second = 0};
  // One full pass after the end (ReconcilerOptions::resync_interval).
  Duration quiet = std::chrono::seconds(65);
};

// What of it is judged when something is injected: `finally`, and what the oracles see by
// themselves. How long things take, and who is out of reach meanwhile, is the file's own.
[[nodiscard]] Scenario without_deadlines(const Scenario& scenario);

// One run with the injection, or without one. It lasts as long as the file wants to look.
[[nodiscard]] Outcome run_injected(const Scenario& scenario, const ExhaustiveOptions& options,
                                   const std::optional<Injection>& injection,
                                   bool keep_texts = false);

// What a sweep of a scenario runs.
struct SweepPlan {
  std::optional<Violation> violation;  // of the run without injection: there is nothing to sweep
  InjectionPoints points;              // of that run
  std::size_t all = 0;                 // injections that there are, of every kind
  std::vector<Injection> injections;   // those to run, in order: all of them, or every n-th
};
// `clean`: what came out of the run without injection; its violation and its points count.
[[nodiscard]] SweepPlan plan_sweep(Outcome clean, const ExhaustiveOptions& options);

struct SweepFailure {
  Injection injection;
  Violation violation;
};

struct SweepReport {
  std::optional<Violation> violation;  // as in the plan: nothing was run
  std::size_t all = 0;                 // as in the plan
  std::size_t planned = 0;             // as in the plan
  std::size_t run = 0;
  std::size_t inside_batches = 0;  // of those run: stricter than Linux, see InjectionPoints
  Duration simulated{};            // virtual time
  std::vector<SweepFailure> failures;
};

// Called behind each run, with how many there were and are to be.
using SweepProgress = std::function<void(std::size_t done, std::size_t of)>;

// Runs the plan's injections number `share`, `share` + `shares`, and so on: one process' share of
// the work. 0 <= share < shares.
[[nodiscard]] SweepReport run_share(const Scenario& scenario, const ExhaustiveOptions& options,
                                    const SweepPlan& plan, std::size_t share, std::size_t shares,
                                    const SweepProgress& progress = {});
// Of two shares of one plan.
[[nodiscard]] SweepReport merged(SweepReport a, const SweepReport& b);

// The whole in one process.
[[nodiscard]] SweepReport sweep_exhaustively(const Scenario& scenario,
                                             const ExhaustiveOptions& options,
                                             const SweepProgress& progress = {});

// "312 of 312 injection points, all converged (96 of them inside a batch)"; with failures, one line
// for each: the injection, what was wrong, and the command that runs it again. `file` is that of
// the scenario.
[[nodiscard]] std::string format(const SweepReport& report, const std::string& file,
                                 std::uint64_t seed);

}  // namespace vxmesh
