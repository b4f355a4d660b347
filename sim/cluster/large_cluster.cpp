#include "sim/cluster/large_cluster.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sim/cluster/convergence.h"

namespace vxmesh {
namespace {

// Agents start, list, dump and program; what is under way at the end comes to its end.
constexpr Duration kSettling = std::chrono::seconds(10);
// As often as an API server compacts (--etcd-compaction-interval).
constexpr Duration kCompaction = std::chrono::minutes(5);
// Node number i has 172.20.0.10 + i, and 100.64.0.0/24 + i.
constexpr std::uint32_t kFirstIp = 0xac14000a;
constexpr std::uint32_t kFirstPodCidr = 0x64400000;

NodeSpec node_of(std::uint32_t number) {
  return {.name = "n" + std::to_string(number),
          .ip = IpAddress::v4(kFirstIp + number),
          .pod_cidr = IpPrefix::containing(IpAddress::v4(kFirstPodCidr + (number << 8U)), 24)};
}

// Numbers of nodes.
struct Group {
  std::uint32_t first = 0;
  std::uint32_t behind_last = 0;

  [[nodiscard]] bool contains(std::uint32_t number) const {
    return first <= number && number < behind_last;
  }
};

Group group_of(const LargeClusterOptions& options, std::uint32_t index) {
  const std::uint32_t first = 1 + index * options.together;
  return {first, std::min(first + options.together, options.agents + 1)};
}

ClusterOptions cluster_options(const LargeClusterOptions& options, const Group& group) {
  ClusterOptions made{.spec = {.overlay = IpPrefix::containing(IpAddress::v4(kFirstPodCidr), 10)},
                      .seed = options.seed};
  made.reconciler.resync_interval = options.resync_interval;
  for (std::uint32_t i = group.first; i < group.behind_last; ++i) {
    made.spec.nodes.push_back(node_of(i));
  }
  return made;
}

class LargeCluster final : private ClusterObserver {
 public:
  LargeCluster(const LargeClusterOptions& options, const Group& group)
      : options_(options),
        group_(group),
        cluster_(cluster_options(options, group)),
        statuses_(cluster_.prng("statuses")),
        leavers_(cluster_.prng("leavers")) {
    cluster_.observe(*this);
  }

  LargeClusterOutcome run() {
    cluster_.start();
    for (; next_ <= options_.agents; ++next_) {
      const NodeSpec node = node_of(next_);
      if (!group_.contains(next_)) {
        cluster_.add_object(node);
      }
      begin_statuses(node.name);
    }
    while (next_ <= options_.nodes) {
      join();
    }
    cluster_.run_until(cluster_.now() + kSettling);
    outcome_ = {};
    ends_ = cluster_.now() + options_.lasts;
    change_later();
    compact_later();
    cluster_.run_until(ends_ + kSettling);
    outcome_.deviation = first_deviation(cluster_, {});
    outcome_.end = cluster_.now();
    outcome_.hash = cluster_.trace().hash();
    outcome_.events = cluster_.events();
    return outcome_;
  }

 private:
  void on_served(const Host& /*host*/, std::uint64_t /*revision*/) override {
    ++outcome_.deliveries;
  }
  void on_operation(const Host& /*host*/, const KernelOp& /*op*/,
                    const OpResult& /*result*/) override {
    ++outcome_.operations;
  }

  void write_status_after(Duration time, const std::string& name) {
    cluster_.at(cluster_.now() + time, [this, name] {
      if (cluster_.nodes().contains(name)) {
        ++outcome_.writes;
        cluster_.heartbeat(name);
        const Duration tenth = options_.status_interval / 10;
        write_status_after(statuses_.between(9 * tenth, 11 * tenth), name);
      }
    });
  }
  void begin_statuses(const std::string& name) {
    write_status_after(statuses_.between(Duration{}, options_.status_interval), name);
  }

  void join() {
    check(next_ <= LargeClusterOptions::kMostNodes, "there are PodCIDRs for so many nodes");
    const NodeSpec node = node_of(next_++);
    cluster_.add_object(node);
    silent_.push_back(node.name);
    begin_statuses(node.name);
    ++outcome_.joins;
  }

  void leave() {
    if (silent_.empty()) {
      return;
    }
    std::swap(silent_[leavers_.below(silent_.size())], silent_.back());
    cluster_.apply({.action = {.kind = ActionKind::DeleteNode, .targets = {silent_.back()}}});
    silent_.pop_back();
    ++outcome_.leaves;
  }

  void change_later() {
    cluster_.at(cluster_.now() + options_.change_interval, [this] {
      if (cluster_.now() < ends_) {
        outcome_.joins > outcome_.leaves ? leave() : join();
        change_later();
      }
    });
  }

  void compact_later() {
    cluster_.at(cluster_.now() + kCompaction, [this] {
      cluster_.apply({.action = {.kind = ActionKind::ApiCompact}});
      compact_later();
    });
  }

  const LargeClusterOptions options_;
  const Group group_;
  Cluster cluster_;
  Prng statuses_;
  Prng leavers_;
  MonotonicTime ends_;
  std::uint32_t next_ = 1;           // number of the node that joins next
  std::vector<std::string> silent_;  // Nodes without a host
  LargeClusterOutcome outcome_;
};

}  // namespace

LargeClusterOutcome run_large_cluster(const LargeClusterOptions& options, std::uint32_t group) {
  check(options.agents >= 1 && options.agents <= options.nodes, "agents run on nodes");
  check(options.together >= 1 && group < group_count(options), "a group has agents");
  return LargeCluster(options, group_of(options, group)).run();
}

LargeClusterOutcome merged(const std::vector<LargeClusterOutcome>& groups) {
  LargeClusterOutcome sum;
  for (const LargeClusterOutcome& group : groups) {
    check(&group == &groups.front() || (group.writes == sum.writes && group.joins == sum.joins &&
                                        group.leaves == sum.leaves),
          "all groups have the same API");
    sum.deviation = sum.deviation.empty() ? group.deviation : sum.deviation;
    sum.end = group.end;
    sum.hash = digest(std::to_string(sum.hash) + "/" + std::to_string(group.hash));
    sum.events += group.events;
    sum.writes = group.writes;
    sum.joins = group.joins;
    sum.leaves = group.leaves;
    sum.deliveries += group.deliveries;
    sum.operations += group.operations;
  }
  return sum;
}

}  // namespace vxmesh
