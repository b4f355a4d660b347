// What is drawn from a seed can be handed over as a file.
#include "sim/cluster/swarm.h"

#include <gtest/gtest.h>

#include "sim/cluster/smaller.h"
#include "sim/scenario/write.h"

namespace vxmesh {
namespace {

using std::chrono::minutes;

// Few nodes for many steps, so that the steps of one node meet each other.
TEST(Swarm, EveryScenarioIsValid) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const Scenario scenario =
        draw_scenario({.seed = seed, .nodes = 3, .pods = 9, .lasts = minutes(3)});
    ASSERT_TRUE(is_valid(scenario)) << write_scenario(scenario);
  }
}

}  // namespace
}  // namespace vxmesh
