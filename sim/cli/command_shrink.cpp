// A failed run, made small: its scenario as a file, and its story.
#include <unistd.h>

#include <iostream>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/bundle.h"
#include "sim/cli/commands.h"
#include "sim/cli/output.h"
#include "sim/cli/retelling.h"
#include "sim/cluster/shrink.h"
#include "sim/cluster/story.h"
#include "sim/scenario/write.h"

namespace vxmesh::cli {
namespace {

void show(const ShrinkProgress& progress) {
  std::cerr << "\r" << progress.runs << " runs: " << progress.steps << " steps, " << progress.nodes
            << " nodes, " << progress.pods << " pods\033[K" << std::flush;
}

// Ends when the time is up; what has been found by then counts.
ShrinkBudget budget_of(const Clock& clock, Duration time) {
  const MonotonicTime end = clock.monotonic() + time;
  const bool shows = isatty(STDERR_FILENO) != 0;
  return {.goes_on = [&clock, end, shows](const ShrinkProgress& progress) {
    if (shows) {
      show(progress);
    }
    return clock.monotonic() < end;
  }};
}

PlannedRun run_of(const Shrunk& shrunk, const std::string& folder) {
  return {.scenario = shrunk.scenario,
          .options = shrunk.options,
          .yaml = write_scenario(shrunk.scenario),
          .again = "vxmesh-sim replay " + shell_word(folder),
          .faults = {}};
}

// The bundle of the small run, with its story beside it.
Result<void> write(const PlannedRun& run, const std::string& folder, const std::string& told) {
  Retelling retelling(run);
  const Outcome outcome = retelling.outcome();
  auto written = write_bundle(folder, run, outcome, trace_text(retelling));
  return written ? write_file(folder + "/story.txt", told + "\n") : written;
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
  std::cout << describe(bundle->run) << "\n\n" << std::flush;
  const ClockPosix clock;
  const auto shrunk = shrink(bundle->run.scenario, bundle->run.options, *bundle->violation,
                             budget_of(clock, flags.time));
  if (isatty(STDERR_FILENO) != 0) {
    std::cerr << "\r\033[K" << std::flush;
  }
  if (!shrunk) {
    return complain(shrunk.error());
  }
  const std::string folder = flags.folder + "/small";
  const PlannedRun run = run_of(*shrunk, folder);
  const std::string told = story(shrunk->scenario, shrunk->options);
  if (const auto written = write(run, folder, told); !written) {
    return complain(written.error());
  }
  std::cout << told << "\n\nshrink: " << bundle->run.scenario.steps.size() << " steps to "
            << shrunk->scenario.steps.size() << " in " << shrunk->runs << " runs"
            << (shrunk->finished ? "" : ", not to the end: the time was up") << "; scenario "
            << folder << "/scenario.yaml; again: " << run.again << "\n";
  return kPass;
}

}  // namespace vxmesh::cli
