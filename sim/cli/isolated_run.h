// A run in a process of its own: what aborts it is its verdict, and ends nothing else.
#pragma once

#include <optional>
#include <string>

#include "sim/cli/planned_run.h"

namespace vxmesh::cli {

// The violation of a run that does not end, `death` saying how it ended instead.
[[nodiscard]] Violation crash(const std::string& death);
[[nodiscard]] bool is_crash(const std::optional<Violation>& violation);

// Like execute(). Of a run that aborts (an assertion of the core does that) the outcome has the
// violation crash(), and ends at the last moment up to which it can be run again in this process;
// it has no hash. With `shows_progress` a terminal on standard error is told how far it is. An
// error is a failure of the machine.
[[nodiscard]] Result<FinishedRun> execute_isolated(const Scenario& scenario,
                                                   const SimulationOptions& options,
                                                   std::optional<MonotonicTime> until = {},
                                                   bool shows_progress = false);

}  // namespace vxmesh::cli
