// What releases leave in kernels is on record, and agents take it over.
#include "sim/cluster/recording.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/cluster/cluster.h"
#include "sim/scenario/parse.h"

namespace vxmesh {
namespace {

using std::chrono::seconds;

constexpr const char* kCluster = R"(
scenario: recorded
about: Three nodes whose pods all know each other.
cluster:
  overlay: 100.96.0.0/12
  nodes: {n1: {}, n2: {}, n3: {}}
  pods: {a: n1, b: n2, c: n3}
steps:
  - {at: 0s, storm: a, count: 1}
  - {at: 0s, storm: b, count: 1}
  - {at: 0s, storm: c, count: 1}
expect:
  - {finally: converged}
)";

// A cluster with no more to do.
class Recorded : public testing::Test {
 protected:
  Recorded() {
    cluster_.start();
    cluster_.run_until(cluster_.now() + seconds(10));
    for (const Step& step : scenario_.steps) {
      cluster_.apply(step);
    }
    cluster_.run_until(cluster_.now() + seconds(1));
  }

  [[nodiscard]] std::vector<Recording> record_all() const {
    std::vector<Recording> all;
    for (const Host* host : cluster_.hosts()) {
      all.push_back(record(*host));
    }
    return all;
  }

  const Scenario scenario_ = parse_scenario(kCluster, "recorded.yaml").value();
  Cluster cluster_{{.spec = scenario_.cluster}};
};

// As a file has it.
std::string text_of(const std::vector<Recording>& recordings) {
  std::string text;
  for (const auto& [node, requests] : recordings) {
    text += "node " + node.name + " " + format(node.ip) + " " + format(node.pod_cidr) + "\n";
    for (const std::string& request : requests) {
      text += request + "\n";
    }
  }
  return text;
}

TEST(Releases, TheLastIsTheVersionThatIsBeingMade) {
  EXPECT_EQ(releases().back().version, VXMESH_VERSION);
}

// If this fails before the version is tagged: what is printed belongs into its file. If it fails
// behind that: into the file of a new version, and the old one stays as it is.
TEST_F(Recorded, AgentsLeaveWhatIsOnRecordOfTheirVersion) {
  const std::vector<Recording> left = record_all();
  EXPECT_TRUE(releases().back().recordings == left) << text_of(left);
}

TEST_F(Recorded, WhatIsPutInPlaceIsWhatWasRecorded) {
  for (const Release& release : releases()) {
    for (Host* host : cluster_.hosts()) {
      const IfIndex before = host->device();
      put_in_place(*host, release);
      EXPECT_NE(host->device(), before);
    }
    EXPECT_EQ(text_of(record_all()), text_of(release.recordings)) << release.version;
  }
}

}  // namespace
}  // namespace vxmesh
