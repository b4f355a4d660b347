// A sweep as text, JSON and JUnit XML. What is not a time is the same for any number of jobs.
#pragma once

#include <string>
#include <vector>

#include "sim/cli/sweep_result.h"

namespace vxmesh::cli {

// Fewer runs prove nothing about what was never met.
inline constexpr std::uint64_t kRunsForZeroRows = 100;

// Of an action that does something in one run of ten, fewer show less than kLeastPercent once in
// some dozen sweeps; so many, once in ten thousand.
inline constexpr std::uint64_t kRunsForShares = 500;
inline constexpr std::uint64_t kLeastPercent = 5;

// A sentence on each row of a large sweep that nothing has met, and of a larger one on each action
// that did something in less than kLeastPercent of the runs; of a small one: none.
[[nodiscard]] std::vector<std::string> lacking_rows(const SweepSum& sum);

// Failures by signature, each with its first seed and the command that runs it again, in order of
// those seeds; then the tables of actions, oracles and probes. Ends in a line break.
[[nodiscard]] std::string sweep_table(const SweepSum& sum, const SweepOptions& options);

// The last line: the verdict, figures, and the command that runs the first failed run again or,
// if none has failed, these runs. A sweep that was told to end is not `whole`; like one in which
// nothing ran, or that has lacking rows, it has not passed.
[[nodiscard]] std::string sweep_line(const SweepSum& sum, const SweepOptions& options,
                                     Duration real, bool whole);

[[nodiscard]] std::string sweep_json(const SweepSum& sum, const SweepOptions& options,
                                     Duration real, bool whole);
// A test case for each run.
[[nodiscard]] std::string sweep_junit(const SweepSum& sum, const SweepOptions& options,
                                      Duration real);

}  // namespace vxmesh::cli
