#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/backoff.h"
#include "base/hash_map.h"
#include "base/metrics.h"
#include "base/nearest.h"
#include "base/strong.h"

namespace vxmesh {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr BackoffLimits kLimits{.first = seconds(1), .cap = seconds(30), .reset_after = minutes(2)};

TEST(Backoff, DoublesUpToTheCapWithoutJitter) {
  Backoff backoff(kLimits);
  std::vector<Duration> delays;
  MonotonicTime now{};
  for (int i = 0; i < 7; ++i) {
    delays.push_back(backoff.next(now, 0));
    now = now + delays.back();
  }
  EXPECT_THAT(delays, testing::ElementsAre(seconds(1), seconds(2), seconds(4), seconds(8),
                                           seconds(16), seconds(30), seconds(30)));
}

TEST(Backoff, QuietTimeStartsOver) {
  Backoff backoff(kLimits);
  const MonotonicTime start{seconds(100)};
  EXPECT_EQ(backoff.next(start, 0), seconds(1));
  const MonotonicTime end = start + seconds(1);
  EXPECT_EQ(backoff.next(end + minutes(2) - Duration{1}, 0), seconds(2));
  const MonotonicTime later = end + minutes(2) - Duration{1} + seconds(2);
  EXPECT_EQ(backoff.next(later + minutes(2), 0), seconds(1));
}

TEST(Backoff, ResetStartsOver) {
  Backoff backoff(kLimits);
  EXPECT_EQ(backoff.next({}, 0), seconds(1));
  EXPECT_EQ(backoff.next({}, 0), seconds(2));
  backoff.reset();
  EXPECT_EQ(backoff.next({}, 0), seconds(1));
}

RC_GTEST_PROP(Backoff, EveryDelayIsWithinItsBounds, (const std::vector<std::uint64_t>& randoms)) {
  Backoff backoff(kLimits);
  Duration unjittered = kLimits.first;
  MonotonicTime now{};
  for (const std::uint64_t random : randoms) {
    const Duration delay = backoff.next(now, random);
    RC_ASSERT(delay >= unjittered);
    RC_ASSERT(delay < 2 * unjittered);
    unjittered = std::min(2 * unjittered, kLimits.cap);
    now = now + delay;
  }
}

TEST(Backoff, JitterReachesBothEnds) {
  const auto jittered = [](std::uint64_t random) { return Backoff(kLimits).next({}, random); };
  EXPECT_EQ(jittered(0), seconds(1));
  EXPECT_EQ(jittered(999'999'999), seconds(2) - Duration{1});
}

TEST(NearestName, FindsTheMistypedOne) {
  const std::vector<std::string> flags{"node-name", "server", "kubeconfig", "overlay"};
  EXPECT_EQ(nearest_name("nodename", flags), "node-name");
  EXPECT_EQ(nearest_name("overlya", flags), "overlay");
  EXPECT_EQ(nearest_name("Server", flags), "server");
  EXPECT_EQ(nearest_name("kubeconfig", flags), "kubeconfig");
}

TEST(NearestName, TakesTheFirstOfEquals) {
  EXPECT_EQ(nearest_name("ac", std::vector<std::string>{"ab", "ad"}), "ab");
  EXPECT_EQ(nearest_name("", std::vector<std::string>{"xy", "z"}), "z");
  EXPECT_EQ(nearest_name("x", {}), "");
}

TEST(NearestName, IsMeantOnlyIfItIsNear) {
  const std::vector<std::string> names{"replay", "n1"};
  EXPECT_EQ(did_you_mean("repaly", names), "; did you mean 'replay'?");
  EXPECT_EQ(did_you_mean("n11", names), "; did you mean 'n1'?");
  EXPECT_EQ(did_you_mean("worker", names), "");
  EXPECT_EQ(did_you_mean("db", names), "");
  EXPECT_EQ(did_you_mean("n1", {}), "");
}

TEST(Metrics, CountsAndSets) {
  Metrics metrics;
  metrics.declare(Metrics::Kind::Counter, "vxmesh_a_total", "Help of a.");
  metrics.declare(Metrics::Kind::Gauge, "vxmesh_b", "Help of b.", true);
  EXPECT_EQ(metrics.value("vxmesh_a_total"), 0);
  metrics.add("vxmesh_a_total");
  metrics.add("vxmesh_a_total", 2);
  metrics.set("vxmesh_b", 5, {{"family", "IPv6"}});
  metrics.set("vxmesh_b", 4, {{"family", "IPv4"}});
  metrics.set("vxmesh_b", 7, {{"family", "IPv6"}});
  EXPECT_EQ(metrics.value("vxmesh_a_total"), 3);
  EXPECT_EQ(metrics.value("vxmesh_b", {{"family", "IPv6"}}), 7);
  EXPECT_EQ(metrics.value("vxmesh_b", {{"family", "none"}}), 0);

  const std::vector<Metrics::Family> families = metrics.snapshot();
  ASSERT_EQ(families.size(), 2U);
  EXPECT_EQ(families[0].name, "vxmesh_a_total");
  EXPECT_EQ(families[0].help, "Help of a.");
  EXPECT_EQ(families[0].kind, Metrics::Kind::Counter);
  EXPECT_THAT(families[0].series, testing::ElementsAre(Metrics::Series{{}, 3}));
  EXPECT_THAT(families[1].series, testing::ElementsAre(Metrics::Series{{{"family", "IPv4"}}, 4},
                                                       Metrics::Series{{{"family", "IPv6"}}, 7}));
}

TEST(Metrics, LabelledMetricStartsWithoutSeries) {
  Metrics metrics;
  metrics.declare(Metrics::Kind::Counter, "vxmesh_a_total", "Help.", true);
  ASSERT_EQ(metrics.snapshot().size(), 1U);
  EXPECT_TRUE(metrics.snapshot()[0].series.empty());
}

TEST(Metrics, AHandleTouchesItsSeriesAndNoneBefore) {
  Metrics metrics;
  metrics.declare(Metrics::Kind::Counter, "vxmesh_a_total", "Help.", true);
  metrics.declare(Metrics::Kind::Gauge, "vxmesh_b", "Help.");
  Metrics::CounterHandle counter(metrics, "vxmesh_a_total", {{"kind", "x"}});
  Metrics::GaugeHandle gauge(metrics, "vxmesh_b");
  EXPECT_TRUE(metrics.snapshot()[0].series.empty());
  metrics.add("vxmesh_a_total", 2, {{"kind", "x"}});
  counter.increment();
  metrics.add("vxmesh_a_total", 1, {{"kind", "a"}});  // the handle stays good
  counter.increment();
  gauge.set(7);
  gauge.set(5);
  EXPECT_EQ(metrics.value("vxmesh_a_total", {{"kind", "x"}}), 4);
  EXPECT_EQ(metrics.value("vxmesh_b"), 5);
}

RC_GTEST_PROP(HashMapProperties, FindsWhatAMapFinds, ()) {
  HashMap<std::string, int> map;
  std::map<std::string, int> model;
  for (const auto& [number, erased] : *rc::gen::arbitrary<std::vector<std::pair<int, bool>>>()) {
    const std::string key = std::to_string(number % 8);
    if (erased) {
      map.erase(key);
      model.erase(key);
    } else {
      const auto [value, added] = map.emplace(key, number);
      const auto [row, is_new] = model.emplace(key, number);
      RC_ASSERT(added == is_new);
      RC_ASSERT(*value == row->second);
    }
    RC_ASSERT(map.size() == model.size());
    for (int i = -8; i < 8; ++i) {
      const auto row = model.find(std::to_string(i));
      const int* found = map.find(std::to_string(i));
      const bool right =
          found == nullptr ? row == model.end() : row != model.end() && *found == row->second;
      RC_ASSERT(right);
      RC_ASSERT(map.contains(std::to_string(i)) == (found != nullptr));
    }
  }
}

TEST(MetricsDeathTest, MisuseIsABrokenInvariant) {
  Metrics metrics;
  metrics.declare(Metrics::Kind::Counter, "vxmesh_a_total", "Help.");
  EXPECT_DEATH(metrics.add("vxmesh_b_total"), "declared before it is used");
  EXPECT_DEATH(metrics.add("vxmesh_a_total", -1), "never decreases");
  EXPECT_DEATH(metrics.set("vxmesh_a_total", 1), "only a gauge");
  EXPECT_DEATH(metrics.declare(Metrics::Kind::Gauge, "vxmesh_a_total", ""), "declared once");
  EXPECT_DEATH(Metrics::GaugeHandle(metrics, "vxmesh_a_total").set(1), "gauges set");
}

TEST(Strong, ComparesByValue) {
  using Apples = Strong<struct ApplesTag, int>;
  EXPECT_LT(Apples{1}, Apples{2});
  EXPECT_EQ(Apples{3}.value, 3);
}

}  // namespace
}  // namespace vxmesh
