#include <boost/json/object.hpp>
#include <filesystem>
#include <iostream>

#include "sim/cli/bundle.h"
#include "sim/cli/commands.h"
#include "sim/cli/failure_report.h"
#include "sim/cli/isolated_run.h"
#include "sim/cli/output.h"
#include "sim/scenario/pretty_json.h"

namespace vxmesh::cli {
namespace {

namespace json = boost::json;

// Where bundles of failed runs lie, by the name of their scenario.
constexpr const char* kFolder = "sim-failures";

std::string folder_of(const RunFlags& flags, const PlannedRun& run, const Outcome& outcome) {
  const bool is_wanted = outcome.violation && flags.folder.empty();
  return is_wanted ? (std::filesystem::path(kFolder) / run.scenario.name).string() : flags.folder;
}

json::object run_json(const PlannedRun& run, const FinishedRun& finished,
                      const std::string& folder) {
  const Outcome& outcome = finished.outcome;
  json::object object{{"scenario", run.scenario.name},
                      {"seed", run.options.seed},
                      {"commit", commit()},
                      {"verdict", outcome.violation ? "failed" : "passed"}};
  if (const auto& violation = outcome.violation) {
    object["kind"] = violation->oracle;
    object["what"] = violation->what;
    object["detail"] = violation->detail;
    object["at_ns"] = (violation->time - outcome.converged).count();
  }
  object["virtual_ns"] = outcome.end.since_start.count();
  object["real_ns"] = finished.real.count();
  object["events"] = outcome.events;
  object["hash"] = format_hash(outcome.hash);
  object["bundle"] = folder.empty() ? json::value(nullptr) : json::value(folder);
  object["again"] = run.again;
  return object;
}

// Another hash than the first time is a failure of its own.
void compare(const Retelling& retelling, Outcome& outcome) {
  if (!is_crash(outcome.violation) && retelling.outcome().hash != outcome.hash) {
    outcome.violation = Violation{.oracle = "nondeterminism",
                                  .what = "two executions of one run differ",
                                  .detail = "hashes " + format_hash(outcome.hash) + " and " +
                                            format_hash(retelling.outcome().hash),
                                  .time = outcome.end};
  }
}

// The bundle of the run, and what is to say if it has failed.
Result<void> keep(const std::string& folder, const PlannedRun& run, Outcome& outcome,
                  std::string& report) {
  std::optional<MonotonicTime> until;
  if (is_crash(outcome.violation)) {
    until = outcome.end;
    // Before it is told: that is done by this process, which may end as well.
    if (auto written = write_bundle(folder, run, outcome, ""); !written) {
      return written;
    }
  }
  Retelling retelling(run, until, outcome.converged);
  compare(retelling, outcome);
  report = outcome.violation ? failure_report(retelling, *outcome.violation, run.file) : "";
  return write_bundle(folder, run, outcome, trace_text(retelling));
}

Result<PlannedRun> plan(const RunFlags& flags) {
  return flags.file.empty() ? Result<PlannedRun>(run_of_seed(flags.swarm))
                            : run_of_file(flags.file, flags.options);
}

}  // namespace

int run(const RunFlags& flags) {
  const auto planned = plan(flags);
  if (!planned) {
    return complain(planned.error());
  }
  if (const auto usable = check_folder(flags.folder); !usable) {
    return complain(usable.error());
  }
  if (!flags.json) {
    std::cout << describe(*planned) << "\n" << std::flush;
  }
  auto finished = execute_isolated(planned->scenario, planned->options, {}, true);
  if (!finished) {
    return complain(finished.error());
  }
  Outcome& outcome = finished->outcome;
  const std::string folder = folder_of(flags, *planned, outcome);
  std::string report;
  Result<void> written;  // what the run has shown is told, whatever becomes of the bundle
  if (!folder.empty()) {
    written = keep(folder, *planned, outcome, report);
    report += written ? "bundle: " + folder + "\n" : "";
  }
  if (flags.json) {
    std::cout << pretty_json(run_json(*planned, *finished, written ? folder : ""));
  } else {
    std::cout << report << "run: " << verdict_of(outcome.violation) << " " << figures(*finished)
              << " again: " << planned->again << "\n";
  }
  if (!written) {
    (void)complain(written.error());
    return outcome.violation ? kFailed : kUsage;
  }
  return outcome.violation ? kFailed : kPass;
}

}  // namespace vxmesh::cli
