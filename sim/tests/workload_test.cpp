// What goes on all the time is what is meant to be measured.
#include "sim/cluster/workload.h"

#include <gtest/gtest.h>

#include <set>

#include "sim/scenario/parse.h"

namespace vxmesh {
namespace {

using std::chrono::minutes;

// Most pods are on one node, so that pairs drawn without a look at the nodes would often be of one.
constexpr const char* kLopsided = R"(
scenario: lopsided
about: Nearly all pods are on one node.
cluster:
  overlay: 100.96.0.0/12
  nodes: {n1: {}, n2: {}}
  pods: {a: n1, b: n1, c: n1, d: n1, e: n1, f: n1, g: n2}
expect:
  - {finally: converged}
)";

class Talks final : public ClusterObserver {
 public:
  explicit Talks(const Cluster& cluster) : cluster_(cluster) {}

  void on_sent(const Host& host, const PodPacket& packet) override {
    if (packet.number != 0) {
      between_hosts_ += cluster_.host_of_pod(packet.to) != &host ? 1U : 0U;
      from_.insert(packet.from);
      ++all_;
    }
  }

  [[nodiscard]] std::uint64_t all() const { return all_; }
  [[nodiscard]] std::uint64_t between_hosts() const { return between_hosts_; }
  [[nodiscard]] std::size_t pods() const { return from_.size(); }

 private:
  const Cluster& cluster_;
  std::uint64_t all_ = 0;
  std::uint64_t between_hosts_ = 0;
  std::set<IpAddress> from_;
};

TEST(Workload, EveryPodTalksAndAlwaysToAnotherHost) {
  Cluster cluster({.spec = parse_scenario(kLopsided, "lopsided.yaml").value().cluster});
  Talks talks(cluster);
  cluster.observe(talks);
  constexpr std::uint64_t kProbes = 20;
  Workload workload(cluster, {.probes_per_second = kProbes, .heartbeats_per_second = 0});
  cluster.start();
  const MonotonicTime begin = cluster.now();
  workload.start();
  cluster.run_until(begin + minutes(2));
  EXPECT_EQ(talks.between_hosts(), talks.all());
  EXPECT_EQ(talks.all(), workload.sent());
  EXPECT_EQ(talks.pods(), 7U);
  // The mean of some hundred talks, and as many answers.
  constexpr std::uint64_t kExpected = 2 * kProbes * 120;
  EXPECT_GT(workload.sent(), kExpected * 8 / 10);
  EXPECT_LT(workload.sent(), kExpected * 12 / 10);
}

}  // namespace
}  // namespace vxmesh
