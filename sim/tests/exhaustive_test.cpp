// Injections happen where they say, and a sweep runs each of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "sim/cluster/cluster.h"
#include "sim/cluster/exhaustive.h"
#include "sim/scenario/parse.h"

namespace vxmesh {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

// Two nodes, and a third that joins: one watch event for each of the first two, and none for the
// third, which finds all in its list.
Scenario join() {
  return parse_scenario(R"(
scenario: join
about: A node joins.
cluster:
  overlay: 100.96.0.0/12
  nodes: {n1: {}, n2: {}}
  pods: {a: n1, b: n2}
steps:
  - {at: 1s, add-node: n3}
expect:
  - {within: 5s, fdb: {node: n1, mac: mac(n3), dst: ip(n3)}}
  - {always: "a -> b", max-dark: 0s}
  - {finally: converged, foreign: untouched}
)",
                        "join.yaml")
      .value();
}

struct Told {
  MonotonicTime time;
  std::string text;
};

// What is in the trace of a run, of one kind.
std::vector<Told> told(const Injection& injection, TraceKind kind) {
  const Scenario scenario = without_deadlines(join());
  Simulation simulation(scenario, {.workload = ExhaustiveOptions{}.workload,
                                   .lasts = seconds(10),
                                   .quiet = {},
                                   .keep_texts = true,
                                   .injection = injection});
  EXPECT_FALSE(simulation.run().violation);
  std::vector<Told> texts;
  for (const Trace::Entry& entry : simulation.cluster().trace().entries()) {
    if (entry.kind == kind) {
      texts.push_back({entry.time, entry.text});
    }
  }
  return texts;
}

constexpr std::uint64_t kPoint = 5;

TEST(Injection, ALostAnswerIsUnknownWhetherItWasExecutedOrNot) {
  const std::vector<Told> answer =
      told({.kind = InjectionKind::LoseAnswer, .index = kPoint}, TraceKind::Operation);
  EXPECT_THAT(answer.at(kPoint).text, HasSubstr("answer lost"));
  EXPECT_THAT(answer.at(kPoint).text, Not(HasSubstr("not executed")));
  const std::vector<Told> request =
      told({.kind = InjectionKind::LoseRequest, .index = kPoint}, TraceKind::Operation);
  EXPECT_THAT(request.at(kPoint).text, HasSubstr("answer lost, not executed"));
}

// Up to its point a run is the one without it; then it is another one.
TEST(Injection, ACrashHappensBehindItsOperation) {
  const Scenario scenario = without_deadlines(join());
  const Outcome clean = run_injected(scenario, {}, {});
  const Outcome crashed =
      run_injected(scenario, {}, Injection{.kind = InjectionKind::Crash, .index = kPoint});
  EXPECT_FALSE(crashed.violation);
  EXPECT_NE(crashed.hash, clean.hash);
  EXPECT_GT(crashed.served, clean.served) << "a new process is served everything again";
  const Outcome never =
      run_injected(scenario, {}, Injection{.kind = InjectionKind::Crash, .index = 1'000'000});
  EXPECT_EQ(never.hash, clean.hash);
}

// The first agent that hears of the new node: when, and after how many lists.
struct Heard {
  Duration late{};  // later than in the clean run
  std::uint64_t served_more = 0;
};
Heard heard_first(InjectionKind kind) {
  const auto last_served = [](const std::vector<Told>& served) {
    return std::ranges::max(served, {}, &Told::time).time;
  };
  const std::vector<Told> clean = told({.kind = kind, .index = 1'000'000}, TraceKind::Api);
  const std::vector<Told> injected = told({.kind = kind, .index = 0}, TraceKind::Api);
  return {.late = last_served(injected) - last_served(clean),
          .served_more = injected.size() - clean.size()};
}

// What is said of the kinds, by when the last agent has heard of n3, and by what it is served
// again.
TEST(Injection, AWatchEventIsLateAndIsNeverLost) {
  const Heard delayed = heard_first(InjectionKind::DelayEvent);
  EXPECT_EQ(delayed.served_more, 0U);
  EXPECT_GE(delayed.late, Injector::kDelay - seconds(1));
  EXPECT_LE(delayed.late, Injector::kDelay);
  const Heard dropped = heard_first(InjectionKind::DropEvent);
  EXPECT_EQ(dropped.served_more, 0U) << "the watch goes on where it was";
  EXPECT_GT(dropped.late, seconds(2)) << "two waits: 0.8 s and twice that, or longer";
  const Heard duplicated = heard_first(InjectionKind::DuplicateEvent);
  EXPECT_EQ(duplicated.served_more, 1U) << "by the list";
  const Heard stale = heard_first(InjectionKind::StaleEvent);
  EXPECT_GE(stale.late, Injector::kStaleness - seconds(1)) << "its server has not seen it before";
}

TEST(ExhaustiveSweep, PlansEveryPointOfTheRunAndTheSameEachTime) {
  const SweepPlan plan = plan_sweep(run_injected(join(), {}, {}), {});
  ASSERT_FALSE(plan.violation);
  EXPECT_EQ(plan.points.events, 2U) << "of n1 and n2, that n3 has joined";
  EXPECT_EQ(plan.all, 3 * plan.points.operations + 4 * plan.points.events);
  EXPECT_EQ(plan.injections.size(), plan.all);
  const std::set<Injection> different(plan.injections.begin(), plan.injections.end());
  EXPECT_EQ(different.size(), plan.all);
  const SweepPlan again = plan_sweep(run_injected(join(), {}, {}), {});
  EXPECT_EQ(again.injections, plan.injections);
  EXPECT_EQ(again.points, plan.points);
}

TEST(ExhaustiveSweep, AScenarioWithTooManyPointsIsSampled) {
  const SweepPlan plan = plan_sweep(run_injected(join(), {}, {}), {.points_max = 10});
  EXPECT_LE(plan.injections.size(), 10U);
  EXPECT_GT(plan.all, 10U);
}

TEST(ExhaustiveSweep, ConvergesAtEveryPoint) {
  const SweepReport report = sweep_exhaustively(join(), {});
  EXPECT_EQ(report.run, report.all);
  EXPECT_GT(report.inside_batches, 0U);
  EXPECT_TRUE(report.failures.empty()) << format(report, "join.yaml", 1);
}

}  // namespace
}  // namespace vxmesh
