// What releases leave in kernels is on record, and agents take it over.
#include "sim/cluster/recording.h"

#include <gtest/gtest.h>

#include <string>

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

  [[nodiscard]] std::string record_all() const {
    std::string text;
    for (const Host* host : cluster_.hosts()) {
      text += record(*host);
    }
    return text;
  }

  const Scenario scenario_ = parse_scenario(kCluster, "recorded.yaml").value();
  Cluster cluster_{{.spec = scenario_.cluster}};
};

std::string text_of(const Release& release) {
  std::string text;
  for (const Recording& recording : release.recordings) {
    const NodeSpec& node = recording.node;
    text += "node " + node.name + " " + format(node.ip) + " " + format(node.pod_cidr) + "\n";
    for (const std::string& request : recording.requests) {
      text += request + "\n";
    }
  }
  return text;
}

TEST_F(Recorded, TheLastReleaseIsTheVersionThatIsBeingMade) {
  EXPECT_EQ(releases().back().version, VXMESH_VERSION);
}

// If this fails before the version is tagged: what is printed belongs into its file. If it fails
// behind that: into the file of a new version, and the old one stays as it is.
TEST_F(Recorded, AgentsLeaveWhatIsOnRecordOfTheirVersion) {
  EXPECT_EQ(text_of(releases().back()), record_all()) << record_all();
}

TEST_F(Recorded, WhatIsPutInPlaceIsWhatWasRecorded) {
  for (const Release& release : releases()) {
    for (Host* host : cluster_.hosts()) {
      put_in_place(*host, release);
    }
    // The device has another index every time.
    for (Host* host : cluster_.hosts()) {
      EXPECT_GT(host->device(), IfIndex{5});
      EXPECT_EQ(host->kernel().neighbours(host->device()).size(), 2U);
    }
  }
}

}  // namespace
}  // namespace vxmesh
