#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <vector>

#include "sim/cluster/pair_walk.h"
#include "sim/cluster/shrink.h"
#include "sim/cluster/smaller.h"
#include "sim/cluster/story.h"
#include "sim/cluster/swarm.h"
#include "sim/scenario/parse.h"
#include "sim/scenario/write.h"

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr MonotonicTime kBegin{milliseconds(600)};

// --- Shrinking, with a run that is planted ---

bool is_same_action(const Step& a, const Step& b) {
  return a.action.kind == b.action.kind && a.action.targets == b.action.targets;
}

// Fails when all of `needed` have happened, in their order, and not otherwise.
ShrinkRun fails_after(const std::vector<Step>& needed) {
  return [needed](const Scenario& scenario, const SimulationOptions& /*options*/,
                  MonotonicTime until) {
    Outcome outcome{.converged = kBegin};
    std::size_t met = 0;
    for (const Step& step : scenario.steps) {
      met += met < needed.size() && is_same_action(step, needed[met]) ? 1U : 0U;
      if (met == needed.size() && kBegin + step.at <= until) {
        outcome.violation = Violation{.oracle = "test",
                                      .what = "all have happened",
                                      .detail = describe(step),
                                      .time = kBegin + step.at};
        break;
      }
    }
    return outcome;
  };
}

// Steps of the scenario that need no other one: of those who are there from the beginning.
std::vector<Step> lonely_steps(const Scenario& scenario) {
  std::vector<Step> steps;
  for (const Step& step : scenario.steps) {
    Scenario alone = scenario;
    alone.steps = {step};
    const auto same = [&](const Step& other) { return is_same_action(step, other); };
    if (is_valid(alone) && std::ranges::count_if(scenario.steps, same) == 1) {
      steps.push_back(step);
    }
  }
  return steps;
}

// Two steps of a drawn scenario, in order, and the scenario.
struct Planted {
  Scenario scenario;
  std::vector<Step> needed;
};

Planted planted() {
  Planted planted{.scenario = draw_scenario({.seed = *rc::gen::inRange<std::uint64_t>(1, 1000)})};
  const std::vector<Step> lonely = lonely_steps(planted.scenario);
  RC_PRE(lonely.size() > 2);
  const std::size_t first = *rc::gen::inRange<std::size_t>(0, lonely.size() - 1);
  const std::size_t second = *rc::gen::inRange<std::size_t>(first + 1, lonely.size());
  planted.needed = {lonely[first], lonely[second]};
  RC_PRE(fails_after(planted.needed)(planted.scenario, {}, kBegin + minutes(60)).violation);
  return planted;
}

Shrunk shrunk(const Planted& planted, const ShrinkBudget& budget = {}) {
  const ShrinkRun run = fails_after(planted.needed);
  const SimulationOptions options{.seed = 7, .lasts = minutes(7)};
  const Outcome outcome = run(planted.scenario, options, kBegin + minutes(60));
  return shrink(planted.scenario, options, *outcome.violation, budget, run).value();
}

RC_GTEST_PROP(Shrinking, KeepsTheStepsThatAreNeededAndNoOthers, ()) {
  const Planted given = planted();
  const Shrunk small = shrunk(given);
  RC_ASSERT(small.finished);
  RC_ASSERT(small.scenario.steps.size() == 2U);
  RC_ASSERT(is_same_action(small.scenario.steps[0], given.needed[0]));
  RC_ASSERT(is_same_action(small.scenario.steps[1], given.needed[1]));
  RC_ASSERT(small.scenario.steps[1].at <= milliseconds(200));
  RC_ASSERT(is_valid(small.scenario));
  RC_ASSERT(small.options.seed == SimulationOptions{}.seed);
  // Whoever is left is one whom a step names, or there has to be one.
  const std::set<std::string> needed = names_needed(small.scenario);
  const auto& [nodes, pods] = std::tie(small.scenario.cluster.nodes, small.scenario.cluster.pods);
  RC_ASSERT(nodes.size() <= 1 || std::ranges::all_of(nodes, [&](const NodeSpec& node) {
              return needed.contains(node.name);
            }));
  RC_ASSERT(
      std::ranges::all_of(pods, [&](const PodSpec& pod) { return needed.contains(pod.name); }));
}

RC_GTEST_PROP(Shrinking, IsTheSameEachTimeAndFailsAsSaid, ()) {
  const Planted given = planted();
  const Shrunk small = shrunk(given);
  const Shrunk again = shrunk(given);
  RC_ASSERT(small.scenario == again.scenario);
  RC_ASSERT(small.options.seed == again.options.seed);
  RC_ASSERT(small.runs == again.runs);
  const Outcome outcome =
      fails_after(given.needed)(small.scenario, small.options, kBegin + minutes(60));
  RC_ASSERT(outcome.violation.has_value());
  RC_ASSERT(outcome.violation->signature() == small.violation.signature());
  RC_ASSERT(outcome.violation->time == small.violation.time);
}

RC_GTEST_PROP(Shrinking, StopsWhenItIsTold, ()) {
  const Planted given = planted();
  const std::uint64_t most = *rc::gen::inRange<std::uint64_t>(0, 20);
  std::uint64_t asked = 0;
  const Shrunk small = shrunk(given, {.goes_on = [&](const ShrinkProgress& progress) {
                                RC_ASSERT(progress.steps <= given.scenario.steps.size());
                                return ++asked <= most;
                              }});
  RC_ASSERT(!small.finished);
  RC_ASSERT(asked == most + 1);
  RC_ASSERT(small.scenario.steps.size() >= 2U);
  RC_ASSERT(shrunk(given, {.runs = most}).scenario == small.scenario);
}

TEST(Shrinking, RefusesWhatDoesNotFailAsSaid) {
  const Scenario scenario = draw_scenario({.seed = 1});
  const Step& first = scenario.steps.front();
  const Violation other{.oracle = "safety", .what = "something else", .time = kBegin + first.at};
  const auto refused = shrink(scenario, {}, other, {}, fails_after({first}));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().context, HasSubstr("safety: something else"));
  EXPECT_THAT(refused.error().context, HasSubstr("all have happened"));
}

RC_GTEST_PROP(Smaller, GapsShrinkAndOrderStays, ()) {
  Scenario scenario = draw_scenario({.seed = *rc::gen::inRange<std::uint64_t>(1, 1000)});
  const Duration moment = milliseconds(*rc::gen::inRange(0, 500'000));
  scenario.expectations = {{.when = Expectation::When::Within, .from = moment}};
  const Duration most = milliseconds(*rc::gen::inRange(0, 60'000));
  const Scenario smaller = with_gaps_of_at_most(scenario, most);
  RC_ASSERT(smaller.steps.size() == scenario.steps.size());
  for (std::size_t i = 0; i < smaller.steps.size(); ++i) {
    RC_ASSERT(smaller.steps[i].action == scenario.steps[i].action);
    RC_ASSERT(gap_before(smaller, i) == std::min(most, gap_before(scenario, i)));
    const Duration from = smaller.expectations.front().from;
    const bool is_before = scenario.steps[i].at <= moment;
    const bool stays = is_before ? smaller.steps[i].at <= from : smaller.steps[i].at >= from;
    RC_ASSERT(stays);
  }
}

// --- Shrinking and telling what really runs ---

constexpr const char* kCluster = R"(scenario: planted
cluster:
  overlay: 100.96.0.0/12
  nodes: {n1: {}, n2: {}, n3: {}, n4: {}}
  pods: {a: n1, b: n2, c: n3, d: n4}
)";

Scenario with_steps(const std::string& steps) {
  return parse_scenario(kCluster + steps, "test").value();
}

// n3 leaves among much else, and a route to it is expected all the same.
Scenario unfulfillable() {
  return with_steps(R"(steps:
  - {at: 2s, kill: agent@n2, restart: 700ms}
  - {at: 4s, partition: [n1, n2], for: 3s}
  - {at: 5s, storm: d, count: 3}
  - {at: 8s, api-outage: api, for: 4s}
  - {at: 15s, replace-node-object: n4}
  - {at: 19s, delete-node: n3}
  - {at: 23s, pause: agent@n4, for: 2s}
  - {at: 26s, move-pod: {b: n4}}
expect:
  - {within: 1s, from: 1s, connect: "a -> b"}
  - {within: 1s, from: 21s, route: {node: n1, to: podCIDR(n3)}}
  - {within: 9s, route: {node: n2, to: podCIDR(n4)}}
)");
}

TEST(Shrinking, FindsTheStepThatAnExpectationFailsAfter) {
  const Scenario scenario = unfulfillable();
  const Outcome outcome = Simulation(scenario, {.seed = 3}).run();
  ASSERT_TRUE(outcome.violation);
  EXPECT_EQ(outcome.violation->what, "line 17 is not met");
  const auto small = shrink(scenario, {.seed = 3}, *outcome.violation);
  ASSERT_TRUE(small);
  EXPECT_EQ(write_scenario(small->scenario), R"(scenario: planted
cluster:
  overlay: 100.96.0.0/12
  underlay-mtu: 1500
  nodes:
    n1: {ip: 172.20.0.11, podCIDR: 100.96.1.0/24}
    n3: {ip: 172.20.0.13, podCIDR: 100.96.3.0/24}
steps:
  - {at: 100ms, delete-node: n3}
expect:
  - {within: 1s, route: {node: n1, to: 100.96.3.0/24, present: true}, from: 2100ms}
)");
  EXPECT_EQ(small->violation.what, "line 11 is not met");
  const Outcome again = Simulation(small->scenario, small->options).run();
  ASSERT_TRUE(again.violation);
  EXPECT_EQ(again.violation->signature(), small->violation.signature());
  EXPECT_EQ(again.violation->time, small->violation.time);
}

// Runs that abort are shrunk by a caller that survives them, and each assertion by itself.
TEST(Shrinking, TakesOneAbortNotForAnother) {
  const auto aborts = [](const Scenario& scenario, const SimulationOptions& /*options*/,
                         MonotonicTime /*until*/) {
    const std::size_t steps = scenario.steps.size();
    return Outcome{.violation = Violation{.oracle = "crash",
                                          .what = "the run does not end",
                                          .detail = steps >= 3 ? "a.cpp:1: one" : "b.cpp:2: two",
                                          .time = {seconds(5)}}};
  };
  const Scenario scenario = unfulfillable();
  ASSERT_GT(scenario.steps.size(), 3U);
  const auto small = shrink(scenario, {}, *aborts(scenario, {}, {}).violation, {}, aborts);
  ASSERT_TRUE(small);
  EXPECT_EQ(small->scenario.steps.size(), 3U);
  EXPECT_EQ(small->violation.detail, "a.cpp:1: one");
}

TEST(Story, NamesTheStepsAndWhatIsWrong) {
  const std::string text = story(unfulfillable(), {.seed = 3});
  EXPECT_THAT(text, HasSubstr("n3 at 172.20.0.13 has 100.96.3.0/24"));
  EXPECT_THAT(text, HasSubstr("+4.000 s  nothing passes between n1 and n2 for 3s\n"));
  EXPECT_THAT(text, HasSubstr("+7.000 s  It is over that nothing passes between n1 and n2"));
  EXPECT_THAT(text, HasSubstr("+19.000 s  n3 leaves, host and Node object\n"));
  EXPECT_THAT(text, HasSubstr("n1's agent is told: n3's Node is deleted"));
  EXPECT_THAT(text, HasSubstr("n1's agent: delete route 100.96.3.0/24"));
  EXPECT_THAT(text, HasSubstr("expectation: line 17 is not met.\n  n1 does not route"));
  EXPECT_EQ(text.find("n1 and n2 for 3s", text.find("+19.000 s")), std::string::npos);
  EXPECT_EQ(text, story(unfulfillable(), {.seed = 3}));
}

TEST(Story, WalksThePacketToTheFirstWrongHop) {
  const Scenario scenario = with_steps(R"(steps:
  - {at: 500ms, pause: agent@n2, for: 9s}
  - {at: 1s, device-down: n2}
  - {expect: {within: 1s, connect: "a -> b"}}
)");
  const std::string text = story(scenario, {});
  EXPECT_THAT(text, HasSubstr("100.96.1.2 does not reach 100.96.2.2"));
  EXPECT_THAT(text, HasSubstr("The packet:\n"));
  EXPECT_THAT(text, HasSubstr("first wrong: hop 5"));
  EXPECT_THAT(text, HasSubstr("n2's vxlan1 is down"));
}

TEST(Story, NamesTheFaultOfTheUnderlayOnTheWay) {
  const Scenario scenario = with_steps(R"(steps:
  - {at: 1s, mtu-black-hole: [n1, n2], bytes: 1000, for: 5s}
  - {expect: {within: 1s, connect: "a -> b"}}
)");
  const std::string text = story(scenario, {});
  EXPECT_THAT(text, HasSubstr("100.96.1.2 does not reach 100.96.2.2 with 1450 bytes"));
  EXPECT_THAT(text, HasSubstr("100.96.2.2, 1450 bytes\n"));
  EXPECT_THAT(text, ::testing::EndsWith("on the underlay: packets longer than 1000 bytes between "
                                        "n1 and n2 are lost for 5s"));
}

TEST(Story, SaysThatNothingIsWrong) {
  EXPECT_THAT(story(with_steps(""), {}), ::testing::EndsWith("Nothing is wrong."));
}

// Whatever somebody has done to the kernels, the walk says where a packet goes.
RC_GTEST_PROP(PairWalk, SaysWhatBecomesOfThePacket, ()) {
  Cluster cluster(
      {.spec = with_steps("").cluster, .seed = *rc::gen::inRange<std::uint64_t>(1, 1'000'000)});
  cluster.start();
  cluster.run_until(MonotonicTime{seconds(2)});
  const std::vector<ActionKind> harms{
      ActionKind::ForeignRoute, ActionKind::ForeignFdb,    ActionKind::ForeignNeighbour,
      ActionKind::DeviceDown,   ActionKind::DeviceDeleted, ActionKind::DeviceMac,
      ActionKind::DeviceLocal,  ActionKind::DeviceMtu,     ActionKind::AddressRemoved};
  const auto node = [] { return "n" + std::to_string(*rc::gen::inRange(1, 5)); };
  const auto address = [](const std::string& of) {
    return IpAddress::parse("100.96." + of.substr(1) + ".2").value();
  };
  const std::string from = node();
  const std::string to = node();
  if (*rc::gen::arbitrary<bool>()) {
    cluster.send({.from = address(from), .to = address(to), .number = 1});
    cluster.run_until(cluster.now() + milliseconds(5));
  }
  const bool agents_live = *rc::gen::inRange(0, 4) == 0;
  for (int i = 1; i < 5 && !agents_live; ++i) {
    const Action kill{.kind = ActionKind::Kill,
                      .targets = {"n" + std::to_string(i)},
                      .delay = std::chrono::hours(1)};
    cluster.apply({.action = kill});
  }
  const int harmed = *rc::gen::inRange(0, 3);
  for (int i = 0; i < harmed; ++i) {
    const Action action{.kind = *rc::gen::elementOf(harms), .targets = {node()}, .amount = 1000};
    RC_LOG(describe({.action = action}) + "\n");
    cluster.apply({.action = action});
    cluster.run_until(cluster.now() + milliseconds(*rc::gen::element(0, 1, 500)));
  }
  if (agents_live && *rc::gen::arbitrary<bool>()) {
    const Action swap{.kind = ActionKind::SwapAddresses, .targets = {"n2", "n3"}};
    cluster.apply({.action = swap});
    cluster.run_until(cluster.now() + seconds(1));
  }
  const auto bytes = *rc::gen::element(std::optional<std::uint32_t>(), std::optional(1000U),
                                       std::optional(cluster.pod_mtu()));
  const PacketWalk walk = walk_pair(cluster, from, address(to), bytes).walk;
  RC_TAG(format(walk.verdict));
  RC_LOG(format(walk));
  RC_ASSERT(misjudged_pair(cluster, from, address(to), bytes) == "");
}

}  // namespace
}  // namespace vxmesh
