// A run as a folder: what it was, what came out, and what happened in it.
//
//   run.json       seed, options, commit, verdict, hash
//   scenario.yaml  what was run, whether it was drawn or read
//   trace.txt      what happened, a line each; of a run that has aborted: up to shortly before
//   story.txt      of a run that has been made small: what happened, in sentences
//   small/         the bundle of the small run that this one has become
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

// Whether a bundle may go there: into an empty folder, one that is not there, or over a bundle;
// what else is in a folder is somebody's.
[[nodiscard]] Result<void> check_folder(const std::string& folder);

// Makes the folder if there is none, and writes over the bundle that is in it, whose story and
// small bundle go. Requires of the folder what check_folder() does.
[[nodiscard]] Result<void> write_bundle(const std::string& folder, const PlannedRun& run,
                                        const Outcome& outcome, const std::string& trace);

// Of a run that has been made small, with its story.
[[nodiscard]] Result<void> write_small_bundle(const std::string& folder, const PlannedRun& run,
                                              const Outcome& outcome, const std::string& trace,
                                              const std::string& story);
// Where that of the bundle in `folder` goes.
[[nodiscard]] std::string small_folder(const std::string& folder);

// `run.again` is a replay of the folder.
[[nodiscard]] Result<Bundle> read_bundle(const std::string& folder);

// A sentence on standard error if another commit made the bundle: the run may be another one now.
void warn_of_other_commit(const Bundle& bundle);

}  // namespace vxmesh::cli
