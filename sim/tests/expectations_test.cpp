// What a scenario expects is looked at, and not taken for met because there is nothing to look at.
#include "sim/cluster/expectations.h"

#include <gtest/gtest.h>

#include <string>

#include "sim/cluster/simulation.h"
#include "sim/tests/two_nodes.h"

namespace vxmesh {
namespace {

using std::chrono::seconds;
using When = Expectation::When;

Expectation connects(When when, const std::string& from, const std::string& to) {
  return {.when = when,
          .from = seconds(2),
          .within = seconds(1),
          .condition = ExpectConnect{.pairs = {{from, to}}}};
}

// The violation's kind and sentence; empty: it has passed.
std::string outcome_of(const Scenario& scenario) {
  const Outcome outcome =
      Simulation(scenario,
                 {.workload = {.probes_per_second = 0, .heartbeats_per_second = 0}, .quiet = {}})
          .run();
  return outcome.violation ? outcome.violation->oracle + ": " + outcome.violation->detail : "";
}

TEST(Expectations, PodsThatReachEachOtherDo) {
  for (const When when : {When::Within, When::Always, When::Finally}) {
    Scenario scenario = two_nodes();
    scenario.expectations = {connects(when, "a", "b")};
    EXPECT_EQ(outcome_of(scenario), "");
  }
}

TEST(Expectations, APodThatDoesNotRunIsNotReached) {
  for (const When when : {When::Within, When::Always, When::Finally}) {
    Scenario scenario = two_nodes();
    scenario.expectations = {connects(when, "a", "nobody")};
    scenario.steps = {
        {.at = seconds(4), .action = {.kind = ActionKind::DeletePod, .targets = {"nobody"}}}};
    EXPECT_EQ(outcome_of(scenario), "expectation: pod nobody does not run")
        << "when " << static_cast<int>(when);
  }
}

// One is looked at already when the other begins.
TEST(Expectations, WhatBeginsWhileAnotherIsOpenIsTriedToo) {
  Scenario scenario = two_nodes();
  scenario.steps = {{.at = seconds(1),
                     .lasts = seconds(5),
                     .action = {.kind = ActionKind::Partition, .targets = {"n1", "n2"}}}};
  Expectation open{.when = When::Within,
                   .from = {},
                   .within = seconds(4),
                   .condition = ExpectReady{.node = "n1", .ready = false}};
  scenario.expectations = {open, connects(When::Within, "a", "b")};
  EXPECT_EQ(outcome_of(scenario), "expectation: 100.96.1.2 does not reach 100.96.2.2");
}

// The tunnel adds 50 bytes to the 1450 of the longest packets.
TEST(Expectations, PodsAreConnectedIfTheLongestPacketsComeBackToo) {
  Scenario scenario = two_nodes();
  for (const auto& [bytes, outcome] :
       {std::pair{1499, "expectation: 100.96.1.2 does not reach 100.96.2.2 with 1450 bytes"},
        std::pair{1500, ""}}) {
    scenario.steps = {{.at = seconds(1),
                       .lasts = seconds(5),
                       .action = {.kind = ActionKind::MtuBlackHole,
                                  .targets = {"n1", "n2"},
                                  .amount = static_cast<std::uint64_t>(bytes)}}};
    scenario.expectations = {connects(When::Within, "a", "b")};
    EXPECT_EQ(outcome_of(scenario), outcome) << bytes;
  }
}

TEST(Expectations, PodsWhoseShortPacketsComeBackAreNotApart) {
  Scenario scenario = two_nodes();
  scenario.steps = {
      {.at = seconds(1),
       .lasts = seconds(5),
       .action = {.kind = ActionKind::MtuBlackHole, .targets = {"n2"}, .amount = 1000}}};
  scenario.expectations = {connects(When::Within, "a", "b")};
  std::get<ExpectConnect>(scenario.expectations[0].condition).refused = true;
  EXPECT_EQ(outcome_of(scenario), "expectation: 100.96.1.2 reaches 100.96.2.2");
}

}  // namespace
}  // namespace vxmesh
