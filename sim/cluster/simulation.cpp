#include "sim/cluster/simulation.h"

#include <algorithm>

#include "sim/check/excuses.h"
#include "sim/check/packet_oracle.h"
#include "sim/check/path_oracle.h"
#include "sim/check/write_oracle.h"
#include "sim/cluster/cluster.h"
#include "sim/cluster/convergence.h"
#include "sim/cluster/expectations.h"

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A cluster without faults comes up within this.
constexpr Duration kFirstConvergence = seconds(30);
// After the last fault: a watch that is silent before its first bookmark lasts 600 s and 10 s of
// overtime; then back-offs of the API session (30 s, twice that with jitter) and a full pass.
constexpr Duration kLiveness = seconds(800);
constexpr Duration kLook = milliseconds(100);

ClusterOptions cluster_options(const Scenario& scenario, const SimulationOptions& options) {
  return {.spec = scenario.cluster,
          .seed = options.seed,
          .max_skew_ppm = options.max_skew_ppm,
          .reconciler = options.reconciler,
          .injection = options.injection};
}

// Counts what happens.
class Tally final : public ClusterObserver {
 public:
  explicit Tally(Outcome& outcome) : outcome_(outcome) {}

 private:
  void on_written(std::uint64_t, const std::string&, const NodeOrRejection*) override {
    ++outcome_.api_events;
  }
  void on_served(const Host&, std::uint64_t) override { ++outcome_.served; }
  void on_operation(const Host&, const KernelOp&, const OpResult&) override {
    ++outcome_.operations;
  }
  void on_notification(const Host&, const Notification&, bool) override {
    ++outcome_.kernel_events;
  }
  void on_effect(ActionKind kind) override { ++outcome_.effects[kind]; }

  Outcome& outcome_;
};

// Knows who has not been served the last change of a Node. Kernels may be right without it, if a
// Node went and came back while an agent could not see: that agent has yet to act.
class Service final : public ClusterObserver {
 public:
  // What the first host, in order of number, has still to be served; empty if none has.
  [[nodiscard]] std::string outstanding() const {
    for (const auto& [number, of] : hosts_) {
      if (of.served < last_change_) {
        return of.name + ": its agent is served up to revision " + std::to_string(of.served) +
               ", the last change of a Node is " + std::to_string(last_change_);
      }
    }
    return {};
  }

 private:
  struct OfHost {
    std::string name;
    std::uint64_t served = 0;
  };

  void on_written(std::uint64_t revision, const std::string& /*name*/,
                  const NodeOrRejection* /*now*/) override {
    last_change_ = revision;
  }
  void on_process(const Host& host, ProcessChange change) override {
    if (change == ProcessChange::Started) {
      hosts_[host.number()] = {.name = host.name()};
    } else if (change == ProcessChange::Died) {
      hosts_.erase(host.number());
    }
  }
  void on_served(const Host& host, std::uint64_t revision) override {
    hosts_[host.number()].served = revision;
  }
  void on_host(const Host& host, bool there) override {
    if (!there) {
      hosts_.erase(host.number());
    }
  }

  std::map<HostNumber, OfHost> hosts_;  // on which an agent runs
  std::uint64_t last_change_ = 0;
};

// Keeps the last typed content of each Node, which agents may hold on to.
class Memory final : public ClusterObserver {
 public:
  [[nodiscard]] std::vector<Node> remembered() const {
    std::vector<Node> nodes;
    for (const auto& [name, node] : last_) {
      nodes.push_back(node);
    }
    return nodes;
  }

 private:
  void on_written(std::uint64_t /*revision*/, const std::string& name,
                  const NodeOrRejection* now) override {
    const Node* node = now == nullptr ? nullptr : std::get_if<Node>(now);
    if (node != nullptr) {
      last_.insert_or_assign(name, *node);
    }
  }

  std::map<std::string, Node> last_;
};

}  // namespace

class Simulation::Run {
 public:
  Run(const Scenario& scenario, const SimulationOptions& options)
      : scenario_(scenario),
        options_(options),
        cluster_(cluster_options(scenario, options_)),
        excuses_(cluster_, reference_config(scenario.cluster)),
        history_(reference_config(scenario.cluster)),
        paths_(cluster_, excuses_, history_, verdicts_),
        packets_(cluster_, excuses_, paths_, reference_config(scenario.cluster), verdicts_),
        writes_(cluster_, excuses_, reference_config(scenario.cluster),
                options_.reconciler.max_neighbours, verdicts_),
        tally_(outcome_),
        workload_(cluster_, options_.workload),
        expectations_(scenario_, cluster_, verdicts_, [this] { return deviation(); }) {
    if (options_.keep_texts) {
      cluster_.trace().keep_texts();
    }
    for (ClusterObserver* observer :
         std::initializer_list<ClusterObserver*>{&memory_, &service_, &excuses_, &paths_, &packets_,
                                                 &writes_, &tally_, &expectations_}) {
      cluster_.observe(*observer);
    }
  }

  Outcome run(std::optional<MonotonicTime> until, const SimulationProgress& progress) {
    until_ = until;
    progress_ = progress;
    cluster_.start();
    if (converge(kFirstConvergence, "a new cluster does not converge")) {
      steps();
      finish();
    }
    outcome_.violation = verdicts_.violation();
    outcome_.end = cluster_.now();
    outcome_.hash = cluster_.trace().hash();
    outcome_.events = cluster_.events();
    outcome_.sent = workload_.sent();
    outcome_.received = workload_.received();
    outcome_.api_events += workload_.heartbeats();
    outcome_.judged = verdicts_.judged();
    outcome_.points = cluster_.injector().points();
    outcome_.injected = cluster_.injector().has_happened();
    return outcome_;
  }

  Cluster& cluster() { return cluster_; }

 private:
  [[nodiscard]] bool over() const {
    return verdicts_.violation() || (until_ && cluster_.now() >= *until_);
  }

  // False if the run is over before that time.
  bool run_until(MonotonicTime end) {
    while (!over() && cluster_.now() < end) {
      cluster_.run_until(std::min({end, cluster_.now() + kLook, until_.value_or(end)}),
                         [this] { return verdicts_.violation().has_value(); });
      if (progress_) {
        progress_(cluster_.now(), outcome_.converged);
      }
    }
    return !over();
  }

  void steps() {
    const MonotonicTime begin = cluster_.now();
    outcome_.converged = begin;
    for (const Step& step : scenario_.steps) {
      cluster_.at(begin + step.at, [this, &step] { cluster_.apply(step); });
    }
    expectations_.begin(begin);
    workload_.start();
    run_until(begin + std::max(options_.lasts, last_look(scenario_)));
  }

  void finish() {
    if (over()) {
      return;
    }
    cluster_.heal();
    const std::set<std::string> owing = excuses_.owed_at_start();
    for (const std::string& host : owing) {
      cluster_.restart_agent(host);
    }
    if (!run_until(cluster_.now() + seconds(1)) ||
        !converge(kLiveness, "a healed cluster does not converge")) {
      return;
    }
    const MonotonicTime known = expectations_.finally();
    writes_.expect_quiet(true);
    run_until(std::max(cluster_.now() + options_.quiet, known));
    writes_.expect_quiet(false);
    if (!over()) {
      judge_end();
    }
  }

  void judge_end() {
    if (const std::string wrong = deviation(); !wrong.empty()) {
      fail("a quiet cluster is not as the API says", wrong);
    }
    verdicts_.judged("liveness");
  }

  // Until every kernel is what the API content asks for, and every agent knows that content.
  bool converge(Duration within, const char* otherwise) {
    const MonotonicTime deadline = cluster_.now() + within;
    std::string wrong = "nothing was looked at";
    while (cluster_.now() < deadline && !wrong.empty()) {
      if (!run_until(cluster_.now() + kLook)) {
        return false;
      }
      wrong = deviation();
      if (wrong.empty()) {
        wrong = service_.outstanding();
      }
    }
    if (!wrong.empty()) {
      fail(otherwise, wrong);
    }
    return wrong.empty();
  }

  void fail(const char* what, const std::string& detail) {
    verdicts_.fail({.oracle = "liveness", .what = what, .detail = detail, .time = cluster_.now()});
  }

  [[nodiscard]] std::string deviation() const {
    return first_deviation(cluster_, memory_.remembered());
  }

  const Scenario scenario_;
  const SimulationOptions options_;
  std::optional<MonotonicTime> until_;
  SimulationProgress progress_;
  Outcome outcome_;
  Verdicts verdicts_;
  Cluster cluster_;
  Memory memory_;
  Service service_;
  Excuses excuses_;
  OwnershipHistory history_;
  PathOracle paths_;
  PacketOracle packets_;
  WriteOracle writes_;
  Tally tally_;
  Workload workload_;
  Expectations expectations_;
};

Simulation::Simulation(const Scenario& scenario, const SimulationOptions& options)
    : run_(std::make_unique<Run>(scenario, options)) {}

Simulation::~Simulation() = default;

Outcome Simulation::run(std::optional<MonotonicTime> until, const SimulationProgress& progress) {
  return run_->run(until, progress);
}

Cluster& Simulation::cluster() {
  return run_->cluster();
}

}  // namespace vxmesh
