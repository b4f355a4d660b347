// A failed run, made small: its scenario as a file, and its story.
#include <iostream>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/bundle.h"
#include "sim/cli/commands.h"
#include "sim/cli/isolated_run.h"
#include "sim/cli/output.h"
#include "sim/cli/retelling.h"
#include "sim/cluster/shrink.h"
#include "sim/cluster/story.h"
#include "sim/scenario/write.h"

namespace vxmesh::cli {
namespace {

std::string text_of(const ShrinkProgress& progress) {
  return counted(progress.runs, "run") + ": " + counted(progress.steps, "step") + ", " +
         counted(progress.nodes, "node") + ", " + counted(progress.pods, "pod");
}

// Ends when the time is up; what has been found by then counts.
ShrinkBudget budget_of(const Clock& clock, Duration time) {
  const MonotonicTime end = clock.monotonic() + time;
  return {.goes_on = [&clock, end](const ShrinkProgress& progress) {
    ProgressLine().show(text_of(progress));
    return clock.monotonic() < end;
  }};
}

PlannedRun run_of(const Shrunk& shrunk, const std::string& folder) {
  return {.scenario = shrunk.scenario,
          .options = shrunk.options,
          .yaml = write_scenario(shrunk.scenario),
          .file = {},
          .again = "vxmesh-sim replay " + shell_word(folder),
          .faults = {}};
}

// In a process of its own: whatever the run is that is made small, a candidate may abort.
Outcome run_candidate(const Scenario& scenario, const SimulationOptions& options,
                      MonotonicTime until) {
  const auto finished = execute_isolated(scenario, options, until);
  return finished ? finished->outcome : Outcome{};  // of which shrinking learns nothing
}

Result<void> write(const PlannedRun& run, const std::string& folder, const Outcome& outcome,
                   const std::string& told) {
  Retelling retelling(run, outcome.end, outcome.converged);
  return write_small_bundle(folder, run, outcome, trace_text(retelling), told);
}

}  // namespace

int shrink_run(const ShrinkFlags& flags) {
  const auto bundle = read_bundle(flags.folder);
  if (!bundle) {
    return complain(bundle.error());
  }
  if (!bundle->violation) {
    return complain(flags.folder + ": the run has passed, there is nothing to shrink", kUsage);
  }
  warn_of_other_commit(*bundle);
  const std::string folder = small_folder(flags.folder);
  if (const auto usable = check_folder(folder); !usable) {
    return complain(usable.error());
  }
  std::cout << describe(bundle->run) << "\n\n" << std::flush;
  const ClockPosix clock;
  const auto shrunk = shrink(bundle->run.scenario, bundle->run.options, *bundle->violation,
                             budget_of(clock, flags.time), run_candidate);
  ProgressLine().clear();
  if (!shrunk) {
    return complain(shrunk.error());
  }
  const auto finished = execute_isolated(shrunk->scenario, shrunk->options);
  if (!finished) {
    return complain(finished.error());
  }
  const PlannedRun run = run_of(*shrunk, folder);
  const std::string told = story(shrunk->scenario, shrunk->options, finished->outcome);
  if (const auto written = write(run, folder, finished->outcome, told); !written) {
    return complain(written.error());
  }
  std::cout << told << "\n\nshrink: " << counted(bundle->run.scenario.steps.size(), "step")
            << " to " << shrunk->scenario.steps.size() << " in " << counted(shrunk->runs, "run")
            << (shrunk->finished ? "" : ", not to the end: the time was up") << "; scenario "
            << shell_word(folder + "/scenario.yaml") << "; "
            << verdict_of(finished->outcome.violation) << " " << figures(*finished)
            << " again: " << run.again << "\n";
  return kPass;
}

}  // namespace vxmesh::cli
