// A run as a folder: what it was, what came out, and what happened in it.
//
//   run.json       seed, options, commit, verdict, hash
//   scenario.yaml  what was run, whether it was drawn or read
//   trace.txt      what happened, a line each
#pragma once

#include <optional>
#include <string>

#include "sim/cli/planned_run.h"

namespace vxmesh::cli {

struct Bundle {
  PlannedRun run;
  std::string commit;  // that it was made by
  std::optional<Violation> violation;
  std::uint64_t hash = 0;
  MonotonicTime converged;  // when the scenario's time begins
};

// Makes the folder if there is none, and writes over what is in it.
[[nodiscard]] Result<void> write_bundle(const std::string& folder, const PlannedRun& run,
                                        const Outcome& outcome, const std::string& trace);

// `run.again` is a replay of the folder.
[[nodiscard]] Result<Bundle> read_bundle(const std::string& folder);

}  // namespace vxmesh::cli
