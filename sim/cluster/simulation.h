// A run: a scenario and a seed in, a verdict out.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sim/check/violation.h"
#include "sim/cluster/injection.h"
#include "sim/cluster/workload.h"
#include "sim/scenario/scenario.h"

namespace vxmesh {

struct SimulationOptions {
  std::uint64_t seed = 1;
  WorkloadOptions workload;
  ReconcilerOptions reconciler;
  std::int64_t max_skew_ppm = 200;
  // The steps take at least so long; afterwards all is healed.
  Duration lasts{};
  // After the last step: how long nothing but answers may be written. Two full passes.
  Duration quiet = std::chrono::seconds(130);
  bool keep_texts = false;
  std::optional<Injection> injection;
};

struct Outcome {
  std::optional<Violation> violation;
  MonotonicTime converged;   // for the first time: when the scenario's time begins
  MonotonicTime end;         // virtual time
  std::uint64_t hash = 0;    // of the trace
  std::uint64_t events = 0;  // of the world
  std::uint64_t sent = 0;    // packets of pods, numbered ones
  std::uint64_t received = 0;
  std::uint64_t api_events = 0;                              // writes to the store
  std::uint64_t served = 0;                                  // deliveries of them to agents
  std::uint64_t kernel_events = 0;                           // notifications
  std::uint64_t operations = 0;                              // of agents
  std::map<std::string, std::uint64_t, std::less<>> judged;  // by oracle
  std::map<ActionKind, std::uint64_t> effects;               // of steps, by kind
  InjectionPoints points;
  bool injected = false;  // the run has come to the injection's point
};

// Called now and then while a run goes on: how far it is, and when it converged for the first time
// (0: it has not).
using SimulationProgress = std::function<void(MonotonicTime now, MonotonicTime converged)>;

// One run. Contract: equal scenarios and options give equal outcomes. The phases: the cluster comes
// up and converges; the steps happen; whatever lasts is healed and who owes recovery at its start
// is started again; the cluster converges and stays quiet.
class Simulation {
 public:
  Simulation(const Scenario& scenario, const SimulationOptions& options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // To the end, or to `until` (since the start), or to the first violation. Up to each moment that
  // `progress` was told, a run does the same that it does if that is its `until`.
  Outcome run(std::optional<MonotonicTime> until = {}, const SimulationProgress& progress = {});

  // For looking at it afterwards.
  [[nodiscard]] Cluster& cluster();

 private:
  class Run;
  std::unique_ptr<Run> run_;
};

}  // namespace vxmesh
