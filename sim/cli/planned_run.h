// A run as a seed, a file or a bundle asks for it.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "sim/cluster/simulation.h"
#include "sim/cluster/swarm.h"

namespace vxmesh::cli {

struct PlannedRun {
  Scenario scenario;
  SimulationOptions options;
  std::string yaml;    // the scenario as a file: as it was read, if it was
  std::string file;    // where it was read; empty: it was not
  std::string again;   // the command that runs it again
  std::string faults;  // the mix that it was drawn from; empty: it was not
};

// Contract: equal options give equal runs, in a sweep and alone.
[[nodiscard]] PlannedRun run_of_seed(const SwarmOptions& options);
[[nodiscard]] Result<PlannedRun> run_of_file(const std::string& file,
                                             const SimulationOptions& options);

// The flags of `run` and `sweep` that say the same, but for the seed; those of default values are
// left out.
[[nodiscard]] std::string swarm_flags(const SwarmOptions& options);
// Likewise of `run FILE`, the seed included.
[[nodiscard]] std::string file_flags(const SimulationOptions& options);

[[nodiscard]] std::string format(FaultMix mix);

// "seed 7, commit 0a1b2c3, 12 nodes, 36 pods, 41 steps, ...": the first line of every run.
[[nodiscard]] std::string describe(const PlannedRun& run);

struct FinishedRun {
  Outcome outcome;
  Duration real{};
};

// To its end, or until then, since the cluster's start.
[[nodiscard]] FinishedRun execute(const Scenario& scenario, const SimulationOptions& options,
                                  std::optional<MonotonicTime> until = {},
                                  const SimulationProgress& progress = {});

// "virtual=580.123s ratio=412.3 events/s=81234 hash=0a1b...": the figures of a run's last line.
[[nodiscard]] std::string figures(const FinishedRun& run);

}  // namespace vxmesh::cli
