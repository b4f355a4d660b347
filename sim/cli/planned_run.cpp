#include "sim/cli/planned_run.h"

#include <tuple>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/output.h"
#include "sim/cluster/pair_walk.h"
#include "sim/scenario/parse.h"
#include "sim/scenario/text.h"
#include "sim/scenario/write.h"

namespace vxmesh::cli {

PlannedRun run_of_seed(const SwarmOptions& options) {
  Scenario scenario = draw_scenario(options);
  std::string yaml = write_scenario(scenario);
  return {.scenario = std::move(scenario),
          .options = draw_options(options),
          .yaml = std::move(yaml),
          .file = {},
          .again = "vxmesh-sim run --seed " + std::to_string(options.seed) + swarm_flags(options),
          .faults = format(options.faults)};
}

Result<PlannedRun> run_of_file(const std::string& file, const SimulationOptions& options) {
  const auto text = read_file(file);
  if (!text) {
    return tl::unexpected(text.error());
  }
  const auto scenario = parse_scenario(*text, file);
  if (!scenario) {
    return tl::unexpected(scenario.error());
  }
  for (const std::string& backend : scenario->backends) {
    if (backend.starts_with("sim: ")) {
      return fail(ErrorCode::InvalidInput, file + ": is not for the simulator: " +
                                               backend.substr(std::string("sim: ").size()));
    }
  }
  return PlannedRun{.scenario = *scenario,
                    .options = options,
                    .yaml = *text,
                    .file = file,
                    .again = "vxmesh-sim run " + shell_word(file) + file_flags(options),
                    .faults = {}};
}

std::string swarm_flags(const SwarmOptions& options) {
  const SwarmOptions usual;
  std::string flags;
  flags += options.nodes == usual.nodes ? "" : " --nodes " + std::to_string(options.nodes);
  flags += options.pods == usual.pods ? "" : " --pods " + std::to_string(options.pods);
  flags += options.lasts == usual.lasts ? "" : " --for " + format_time(options.lasts);
  flags += options.faults == usual.faults ? "" : " --faults " + format(options.faults);
  return flags;
}

std::string file_flags(const SimulationOptions& options) {
  const SimulationOptions usual;
  std::string flags;
  flags += options.seed == usual.seed ? "" : " --seed " + std::to_string(options.seed);
  flags += options.lasts == usual.lasts ? "" : " --for " + format_time(options.lasts);
  flags += options.reconciler.max_neighbours == usual.reconciler.max_neighbours
               ? ""
               : " --max-neighbours " + std::to_string(options.reconciler.max_neighbours);
  flags += options.max_skew_ppm == usual.max_skew_ppm
               ? ""
               : " --max-skew-ppm " + std::to_string(options.max_skew_ppm);
  return flags;
}

std::string format(FaultMix mix) {
  switch (mix) {
    case FaultMix::None: return "none";
    case FaultMix::Churn: return "churn";
    case FaultMix::Swarm: break;
  }
  return "swarm";
}

std::string describe(const PlannedRun& run) {
  const Scenario& scenario = run.scenario;
  return "vxmesh-sim: " + scenario.name + ", seed " + std::to_string(run.options.seed) +
         ", commit " + commit() + ", " + counted(scenario.cluster.nodes.size(), "node") + ", " +
         counted(scenario.cluster.pods.size(), "pod") + ", " +
         counted(scenario.steps.size(), "step") + ", for " + format_time(run.options.lasts) +
         " at least, max-neighbours " + std::to_string(run.options.reconciler.max_neighbours) +
         ", max-skew-ppm " + std::to_string(run.options.max_skew_ppm) +
         (run.faults.empty() ? "" : ", faults " + run.faults);
}

namespace {

// On a failure, explain has to say what the kernels did with the packet.
void judge_explain(Cluster& cluster, Violation& violation) {
  const auto& [from, to, bytes] = std::tie(violation.from, violation.to, violation.bytes);
  if (!from || !to || cluster.host(*from) == nullptr) {
    return;
  }
  if (const std::string wrong = misjudged_pair(cluster, *from, *to, bytes); !wrong.empty()) {
    violation.detail += "; and " + wrong;
  }
}

}  // namespace

FinishedRun execute(const Scenario& scenario, const SimulationOptions& options,
                    std::optional<MonotonicTime> until, const SimulationProgress& progress) {
  const ClockPosix clock;
  const MonotonicTime begin = clock.monotonic();
  Simulation simulation(scenario, options);
  FinishedRun finished;
  finished.outcome = simulation.run(until, progress);
  finished.real = clock.monotonic() - begin;
  if (auto& violation = finished.outcome.violation) {
    judge_explain(simulation.cluster(), *violation);
  }
  return finished;
}

std::string figures(const FinishedRun& run) {
  const Duration virtual_time = run.outcome.end.since_start;
  return "virtual=" + format_seconds(virtual_time) + " ratio=" + ratio(virtual_time, run.real) +
         " events/s=" + std::to_string(per_second(run.outcome.events, run.real)) +
         " hash=" + format_hash(run.outcome.hash);
}

}  // namespace vxmesh::cli
