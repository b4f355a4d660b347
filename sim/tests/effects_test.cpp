// A step counts as one that did something if it did, and not because it was there.
#include <gtest/gtest.h>

#include <string>

#include "sim/cluster/simulation.h"
#include "sim/tests/two_nodes.h"

namespace vxmesh {
namespace {

using std::chrono::seconds;

// How often the step, which is the only one of its kind, did something.
std::uint64_t effects_of(const std::string& step) {
  const Scenario scenario = two_nodes("steps:\n  - {at: 1s, " + step +
                                      "}\n  - {at: 5s, add-node: n3}\n"
                                      "expect:\n  - {finally: {ready: n1}}\n");
  const Outcome outcome = Simulation(scenario, {.lasts = seconds(10), .quiet = {}}).run();
  EXPECT_FALSE(outcome.violation) << step << ": " << outcome.violation->detail;
  const auto found = outcome.effects.find(scenario.steps.front().action.kind);
  return found == outcome.effects.end() ? 0 : found->second;
}

TEST(Effects, AFaultHasOneIfWhatItIsAboutComes) {
  for (const char* step :
       {"mtu-black-hole: [n1, n2], bytes: 1499, for: 2s", "partition: n1, for: 2s",
        "partition: [n1, api], for: 2s", "delay: n2, by: 1ms, for: 2s",
        "crash-at-operation: agent@n1, count: 0, restart: 10ms",
        "crash-at-event: agent@n1, count: 0, restart: 10ms", "lose-answers: n1, count: 1",
        "fail-operations: n1, errno: ENOMEM, for: 5s", "api-outage: api, for: 1s",
        "device-down: n1", "kill: agent@n2, restart: 1s"}) {
    EXPECT_GT(effects_of(step), 0U) << step;
  }
}

TEST(Effects, AFaultThatMeetsNothingHasNone) {
  for (const char* step :
       {"mtu-black-hole: [n1, n2], bytes: 1500, for: 2s",
        "crash-at-operation: agent@n1, count: 1000000, restart: 10ms",
        "crash-at-event: agent@n1, count: 1000000, restart: 10ms", "lose-answers: n1, count: 0",
        "lose-events: n1, count: 0", "fail-operations: n1, errno: ENOMEM, for: 1ns",
        "interrupt-dumps: n1, for: 1s", "fail-dumps: n1, for: 1s",
        "tear-dumps: n1, permille: 500, for: 1s", "fail-firewall: n1, for: 1s",
        "api-status: api, status: 500, for: 1s", "api-end: api, count: 0, for: 1s"}) {
    EXPECT_EQ(effects_of(step), 0U) << step;
  }
}

}  // namespace
}  // namespace vxmesh
