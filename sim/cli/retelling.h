// A run once more, with words: what a report tells of it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sim/cli/planned_run.h"
#include "sim/cluster/cluster.h"

namespace vxmesh::cli {

// Contract: times are told as scenarios count them, from the first convergence; of a cluster that
// has not converged, from its start; or from `zero`, of who knows when that was.
class Retelling final : private ClusterObserver {
 public:
  // `until`: since the cluster's start; without: to the run's end.
  explicit Retelling(const PlannedRun& run, std::optional<MonotonicTime> until = {},
                     std::optional<MonotonicTime> zero = {});
  ~Retelling() override = default;
  Retelling(const Retelling&) = delete;
  Retelling& operator=(const Retelling&) = delete;

  [[nodiscard]] const Outcome& outcome() const { return outcome_; }
  // What times are counted from, since the cluster's start.
  [[nodiscard]] MonotonicTime zero() const { return zero_.value_or(outcome_.converged); }
  // Whether that host was ever there.
  [[nodiscard]] Result<void> known(const std::string& node) const;
  // As it was at the end.
  [[nodiscard]] Cluster& cluster() { return simulation_.cluster(); }
  [[nodiscard]] const std::vector<Trace::Entry>& entries();
  // "world" for what is no host's, and for a host that left its last name.
  [[nodiscard]] std::string name_of(HostNumber host) const;
  // "12.345678 n1 operation ..."
  [[nodiscard]] std::string line(const Trace::Entry& entry) const;

 private:
  void on_host(const Host& host, bool there) override;

  Simulation simulation_;
  std::optional<MonotonicTime> zero_;
  std::map<HostNumber, std::string> names_;
  Outcome outcome_;
};

// All that is telling, a line each. `node`: of that host and the world alone; empty: of all.
[[nodiscard]] std::string trace_text(Retelling& retelling, const std::string& node = "");

}  // namespace vxmesh::cli
