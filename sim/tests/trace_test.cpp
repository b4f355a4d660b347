// Two runs that differ in one thing, of each kind that there is, have different hashes.
#include "sim/world/trace.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "sim/cluster/cluster.h"
#include "sim/cluster/traced_kubernetes.h"
#include "sim/tests/two_nodes.h"
#include "sim/world/digest.h"

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// --- The underlay ---

class FabricTraceTest : public ::testing::Test {
 protected:
  static constexpr MacAddress kFrom{{2, 0, 0, 0, 0, 1}};
  static constexpr MacAddress kTo{{2, 0, 0, 0, 0, 2}};

  // Two datagrams in one tunnel differ in the last byte alone.
  static FramePtr frame(std::uint8_t last) {
    const auto inner = std::make_shared<const EthernetFrame>(EthernetFrame{
        .payload = IpPacket{.payload = UdpDatagram{.payload = Bytes{1, 2, 3, last}}}});
    return std::make_shared<const EthernetFrame>(EthernetFrame{
        .destination = kTo,
        .source = kFrom,
        .payload = IpPacket{
            .payload = UdpDatagram{.payload = VxlanFrame{.vni = Vni{1}, .inner = inner}}}});
  }

  static std::uint64_t hash_of(const FramePtr& frame, const Passage& passage, Duration time = {}) {
    Trace trace;
    FakeEventLoop world;  // whose callbacks do not count by themselves
    Fabric fabric(world, trace);
    fabric.attach(1, kFrom, [](const FramePtr&) {});
    fabric.attach(2, kTo, [](const FramePtr&) {});
    const Fabric::Guard guard = fabric.add_rule(
        [passage](HostNumber, HostNumber, const EthernetFrame&, Passage& met) { met = passage; });
    fabric.send(1, frame);
    world.run_for(time);
    return trace.hash();
  }
};

TEST_F(FabricTraceTest, AFrameCountsToItsLastByte) {
  EXPECT_EQ(hash_of(frame(4), {}), hash_of(frame(4), {}));
  EXPECT_NE(hash_of(frame(4), {}), hash_of(frame(5), {}));
}

TEST_F(FabricTraceTest, WhatBecomesOfAFrameCounts) {
  const std::vector<Passage> passages{
      {}, {.lost = true}, {.delay = milliseconds(1)}, {.delay = milliseconds(2)}, {.twice = true}};
  std::set<std::uint64_t> hashes;
  for (const Passage& passage : passages) {
    hashes.insert(hash_of(frame(4), passage));
  }
  EXPECT_EQ(hashes.size(), passages.size());
}

TEST_F(FabricTraceTest, ItsArrivalCounts) {
  EXPECT_NE(hash_of(frame(4), {}), hash_of(frame(4), {}, Fabric::kLatency));
}

// --- The API ---

// Tells the handlers what it was given.
class ScriptedApi final : public Kubernetes {
 public:
  std::function<void(ListHandler&)> list;
  std::function<void(WatchHandler&)> watch;

 private:
  std::unique_ptr<ApiCall> list_nodes(const ListRequest& /*request*/,
                                      ListHandler& handler) override {
    list(handler);
    return nullptr;
  }
  std::unique_ptr<ApiCall> watch_nodes(const WatchRequest& /*request*/,
                                       WatchHandler& handler) override {
    watch(handler);
    return nullptr;
  }
};

class Ignored final : public ListHandler, public WatchHandler {
 public:
  int told = 0;

 private:
  void on_node(const SharedNode& /*node*/) override { ++told; }
  void on_end(const ListEnd& /*end*/) override { ++told; }
  void on_error(const ApiError& /*error*/) override { ++told; }
  void on_open() override { ++told; }
  void on_event(WatchEventType /*type*/, const SharedNode& /*node*/,
                const ResourceVersion& /*version*/) override {
    ++told;
  }
  void on_bookmark(const ResourceVersion& /*version*/) override { ++told; }
  void on_closed() override { ++told; }
};

class CallTraceTest : public ::testing::Test {
 protected:
  static std::uint64_t hash_of(ScriptedApi api, const ListRequest& request,
                               const WatchRequest& again = {}) {
    Trace trace;
    FakeEventLoop world;
    const HostClock clock(world, 0);
    ProcessLoop loop(world, clock, 1, trace);
    TracedKubernetes traced(api, loop);
    Ignored handler;
    if (api.list) {
      EXPECT_NE(traced.list_nodes(request, handler), nullptr);
    } else {
      EXPECT_NE(traced.watch_nodes(again, handler), nullptr);
    }
    EXPECT_EQ(handler.told, 1);
    return trace.hash();
  }
  static std::uint64_t listed(std::function<void(ListHandler&)> told,
                              const ListRequest& request = {}) {
    ScriptedApi api;
    api.list = std::move(told);
    return hash_of(std::move(api), request);
  }
  static std::uint64_t watched(std::function<void(WatchHandler&)> told,
                               const WatchRequest& request = {}) {
    ScriptedApi api;
    api.watch = std::move(told);
    return hash_of(std::move(api), {}, request);
  }
  static SharedNode node(const char* uid) {
    return std::make_shared<const NodeOrRejection>(Node{.name = "n1", .uid = uid});
  }
};

TEST_F(CallTraceTest, EveryListCounts) {
  const auto end = [](ListHandler& handler) { handler.on_end({.resource_version = "7"}); };
  const auto error = [](std::optional<Duration> wait) {
    return [wait](ListHandler& handler) { handler.on_error({.retry_after = wait}); };
  };
  const std::vector<std::uint64_t> hashes{
      listed(end),
      listed(end, {.limit = 7}),
      listed(end, {.resource_version = "7"}),
      listed([](ListHandler& handler) { handler.on_end({.continue_token = "7"}); }),
      listed([](ListHandler& handler) { handler.on_node(node("a")); }),
      listed([](ListHandler& handler) { handler.on_node(node("b")); }),
      listed(error({})),
      listed(error(seconds(0))),
      listed(error(seconds(1)))};
  EXPECT_EQ(std::set(hashes.begin(), hashes.end()).size(), hashes.size());
  EXPECT_EQ(listed(end), listed(end));
}

TEST_F(CallTraceTest, EveryWatchCounts) {
  const auto event = [](WatchEventType type, const char* uid, const char* version) {
    return [=](WatchHandler& handler) { handler.on_event(type, node(uid), version); };
  };
  const std::vector<std::uint64_t> hashes{
      watched([](WatchHandler& handler) { handler.on_open(); }),
      watched([](WatchHandler& handler) { handler.on_closed(); }),
      watched([](WatchHandler& handler) { handler.on_closed(); }, {.resource_version = "7"}),
      watched([](WatchHandler& handler) { handler.on_bookmark("7"); }),
      watched([](WatchHandler& handler) { handler.on_bookmark("8"); }),
      watched(event(WatchEventType::Added, "a", "7")),
      watched(event(WatchEventType::Modified, "a", "7")),
      watched(event(WatchEventType::Added, "b", "7")),
      watched(event(WatchEventType::Added, "a", "8")),
      watched([](WatchHandler& handler) { handler.on_error({.status = 410}); }),
      watched([](WatchHandler& handler) { handler.on_error({.status = 500}); })};
  EXPECT_EQ(std::set(hashes.begin(), hashes.end()).size(), hashes.size());
}

// --- A cluster ---

class ClusterTraceTest : public ::testing::Test {
 protected:
  // Of a cluster that does not run: nothing comes of what is done to it.
  static std::uint64_t hash_after(const std::function<void(Cluster&)>& act) {
    Cluster cluster({.spec = two_nodes().cluster});
    cluster.start();
    act(cluster);
    return cluster.trace().hash();
  }
  static std::uint64_t hash_of(const Step& step) {
    return hash_after([&](Cluster& cluster) { cluster.apply(step); });
  }
};

TEST_F(ClusterTraceTest, AStepCountsWithAllThatItSays) {
  const Step step{.at = seconds(1),
                  .lasts = seconds(2),
                  .action = {.kind = ActionKind::TearDumps, .targets = {"n1"}, .amount = 100}};
  EXPECT_EQ(hash_of(step), hash_of(step));
  Step other = step;
  other.action.amount = 200;
  EXPECT_NE(hash_of(step), hash_of(other));
  other = step;
  other.lasts = seconds(3);
  EXPECT_NE(hash_of(step), hash_of(other));
  other = step;
  other.action.delay = seconds(1);
  EXPECT_NE(hash_of(step), hash_of(other));
  other = step;
  other.line = 7;
  EXPECT_EQ(hash_of(step), hash_of(other)) << "where it stands is no part of what it says";
}

TEST_F(ClusterTraceTest, ADrawCountsWhoeverGetsIt) {
  const std::uint64_t none = hash_after([](Cluster&) {});
  const std::uint64_t one = hash_after([](Cluster& cluster) {
    Prng drawn = cluster.prng("somebody");
    static_cast<void>(drawn.next());
  });
  EXPECT_NE(none, one);
}

TEST_F(ClusterTraceTest, ACallbackOfTheWorldCountsWhateverItDoes) {
  const auto run = [](std::vector<Duration> times) {
    return hash_after([&](Cluster& cluster) {
      for (const Duration time : times) {
        cluster.at(cluster.now() + time, [] {});
      }
      cluster.run_until(cluster.now() + milliseconds(1));
    });
  };
  const Duration soon = Duration(10);
  EXPECT_EQ(run({soon}), run({soon}));
  EXPECT_NE(run({}), run({soon}));
  EXPECT_NE(run({soon}), run({soon + Duration(1)}));
  EXPECT_NE(run({soon, soon}), run({soon}));
}

TEST_F(ClusterTraceTest, EveryWriteToTheStoreCounts) {
  const auto made = [](const char* pod_cidr) {
    return hash_after([&](Cluster& cluster) {
      cluster.add_object({.name = "n9",
                          .ip = IpAddress::v4(0xac14000c),
                          .pod_cidr = IpPrefix::parse(pod_cidr).value()});
    });
  };
  EXPECT_NE(made("100.96.9.0/24"), made("100.96.10.0/24"));
  EXPECT_NE(hash_after([](Cluster&) {}), hash_after([](Cluster& c) { c.heartbeat("n1"); }));
  EXPECT_NE(hash_after([](Cluster& c) { c.heartbeat("n2"); }),
            hash_after([](Cluster& c) { c.heartbeat("n1"); }));
}

TEST_F(ClusterTraceTest, APacketOfAPodCountsWithItsAddresses) {
  const auto sent = [](std::uint32_t to) {
    return hash_after([&](Cluster& cluster) {
      const IpAddress from = cluster.pods().at("a").address;
      cluster.send({.from = from, .to = IpAddress::v4(to), .number = 0});
    });
  };
  // Neither leaves its host: the agent has not made routes yet.
  EXPECT_NE(sent(0x64600909), sent(0x64600908));
}

}  // namespace
}  // namespace vxmesh
