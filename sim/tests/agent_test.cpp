// The whole agent on a fake kernel and a fake API, in virtual time.
#include "agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/probe.h"
#include "model/ownership.h"
#include "sim/kernel/fake_netlink.h"
#include "sim/kube/fake_kubernetes.h"
#include "sim/world/fake_clock.h"
#include "sim/world/fake_event_loop.h"
#include "sim/world/fake_random.h"

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NullLog final : public Log {
 public:
  void write(LogLevel, std::string_view, const LogFields&) override {}
};

// Takes every policy, but those that it is told to refuse, and takes its time.
class FakeFirewall final : public Firewall {
 public:
  static constexpr Duration kTime = milliseconds(50);

  explicit FakeFirewall(EventLoop& loop) : loop_(loop) {}

  void apply(const FirewallPolicy& policy, Done done) override {
    ++applied_;
    Result<void> result;
    if (refusals_ > 0) {
      --refusals_;
      result = fail(ErrorCode::Environment, "no nft");
    } else {
      policy_ = policy;
    }
    loop_.timer(kTime, [done = std::move(done), result] { done(result); });
  }
  void refuse(int times) { refusals_ = times; }
  void remove(Done done) override {
    policy_.reset();
    loop_.post([done = std::move(done)] { done({}); });
  }
  [[nodiscard]] const std::optional<FirewallPolicy>& policy() const { return policy_; }
  // Policies that it was given, the refused ones too.
  [[nodiscard]] int applied() const { return applied_; }

 private:
  EventLoop& loop_;
  int applied_ = 0;
  int refusals_ = 0;
  std::optional<FirewallPolicy> policy_;
};

IpAddress ip(const std::string& text) {
  return IpAddress::parse(text).value();
}
IpPrefix net(const std::string& text) {
  return IpPrefix::parse(text).value();
}
MacAddress mac_of(const std::string& pod_cidr) {
  return vtep_mac(net(pod_cidr), net("100.96.0.0/12"));
}

// Node number i: "n<i>" with 100.96.<i>.0/24 at 172.20.0.<10+i>.
std::string name_of(int number) {
  return "n" + std::to_string(number);
}
std::string pod_cidr_of(int number) {
  return "100.96." + std::to_string(number) + ".0/24";
}
std::string vtep_of(int number) {
  return "172.20.0." + std::to_string(10 + number);
}
Node make_node(const std::string& name, const std::string& pod_cidr, const std::string& vtep,
               const std::string& uid = "") {
  return Node{.name = name,
              .uid = uid.empty() ? "uid-" + name : uid,
              .created_s = 1000,
              .pod_cidrs = {net(pod_cidr)},
              .addresses = {{.type = NodeAddressType::InternalIp, .address = ip(vtep)}}};
}
Node make_node(int number) {
  return make_node(name_of(number), pod_cidr_of(number), vtep_of(number));
}

// A node's host with its kernel, the cluster's API, and the agent of n1.
class Host {
 public:
  Host() {
    const IfIndex underlay = kernel_.add_link(
        Link{.name = "eth0", .mac = MacAddress{{2, 0, 0, 0, 0, 1}}, .mtu = 1500, .up = true}, {});
    kernel(ReplaceAddress{{.device = underlay, .address = ip(vtep_of(1)), .length = 24}});
  }

  // A process starts, with sockets of its own.
  void start(const AgentOptions& options = default_options()) {
    prepare(options);
    agent_->start();
  }
  // The same, up to its first call.
  void prepare(const AgentOptions& options = default_options()) {
    metrics_ = std::make_unique<Metrics>();
    declare_agent_metrics(*metrics_);
    netlink_ = std::make_unique<FakeNetlink>(kernel_, loop_, clock_);
    netlink_->keep_executed();
    kubernetes_ = std::make_unique<FakeKubernetes>(store_, loop_);
    agent_ = std::make_unique<Agent>(options, AgentPorts{.netlink = *netlink_,
                                                         .kubernetes = *kubernetes_,
                                                         .firewall = firewall_,
                                                         .loop = loop_,
                                                         .clock = clock_,
                                                         .random = random_,
                                                         .metrics = *metrics_,
                                                         .log = log_});
  }
  void stop() {
    agent_.reset();
    kubernetes_.reset();
    netlink_.reset();
  }

  // Time passes, for the kernel too.
  void run_for(Duration time) {
    const MonotonicTime end = loop_.now() + time;
    while (loop_.now() < end) {
      const auto timer = kernel_.next_timer();
      loop_.run_until(timer && *timer > loop_.now() && *timer < end ? *timer : end);
      kernel_.run_timers(loop_.now());
    }
  }
  bool run_until(const std::function<bool()>& done, Duration limit) {
    const MonotonicTime end = loop_.now() + limit;
    while (!done() && loop_.now() < end) {
      run_for(milliseconds(1));
    }
    return done();
  }

  // The cluster.
  void add(const Node& node) { ASSERT_TRUE(store_.create(node.name, node)); }
  void add(int number) { add(make_node(number)); }
  void change(const Node& node) { ASSERT_TRUE(store_.update(node.name, node)); }
  // Who watched up to now has to list again.
  void compact() { store_.compact(); }
  void remove(int number) { ASSERT_TRUE(store_.remove(name_of(number))); }

  // Somebody else's request.
  OpDone kernel(const KernelOp& op) { return kernel_.execute(op, loop_.now()); }
  Delivery send(const std::string& to) { return kernel_.send_packet(ip(to), loop_.now()); }

  // A packet reaches this VTEP; the agent answers in between if it is asked.
  [[nodiscard]] bool reaches(const std::string& to, const std::string& vtep) {
    send(to);
    run_for(milliseconds(5));
    const Delivery delivery = kernel_.deliver(ip(to));
    return delivery.fate == PacketFate::Vtep && delivery.vtep == ip(vtep);
  }
  [[nodiscard]] bool reaches(int number) {
    return reaches("100.96." + std::to_string(number) + ".5", vtep_of(number));
  }
  [[nodiscard]] PacketFate fate(const std::string& to) const {
    return kernel_.deliver(ip(to)).fate;
  }

  [[nodiscard]] const Link* device() const { return kernel_.find_link("vxlan1"); }
  // 0 while there is no device.
  [[nodiscard]] IfIndex index() const { return device() == nullptr ? IfIndex{} : device()->index; }
  [[nodiscard]] const std::vector<FdbRemote>* fdb(const std::string& pod_cidr) const {
    return kernel_.find_fdb(index(), mac_of(pod_cidr));
  }
  [[nodiscard]] std::optional<Neighbour> neighbour(const std::string& address) const {
    return kernel_.find_neighbour(index(), ip(address));
  }
  [[nodiscard]] std::size_t neighbours() const {
    std::size_t count = 0;
    for (const Neighbour& row : kernel_.neighbours(index())) {
      count += is_owned(row, index()) ? 1U : 0U;
    }
    return count;
  }
  [[nodiscard]] bool ready() const { return agent_->readiness().ready; }
  [[nodiscard]] const std::vector<KernelOp>& writes() const { return netlink_->executed(); }

  static AgentOptions default_options() {
    return AgentOptions{.node_name = "n1", .overlay = {.cidrs = {net("100.96.0.0/12")}}};
  }

  [[nodiscard]] NamespaceState& state() { return kernel_; }
  [[nodiscard]] FakeNetlink& netlink() { return *netlink_; }
  [[nodiscard]] FakeKubernetes& kubernetes() { return *kubernetes_; }
  [[nodiscard]] FakeFirewall& firewall() { return firewall_; }
  [[nodiscard]] Agent& agent() { return *agent_; }
  [[nodiscard]] Metrics& metrics() { return *metrics_; }
  [[nodiscard]] MonotonicTime now() const { return loop_.now(); }

 private:
  FakeEventLoop loop_;
  FakeClock clock_{loop_};
  FakeRandom random_{Prng(1)};
  NullLog log_;
  FakeFirewall firewall_{loop_};
  NamespaceState kernel_;
  NodeStore store_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<FakeNetlink> netlink_;
  std::unique_ptr<FakeKubernetes> kubernetes_;
  std::unique_ptr<Agent> agent_;
};

class AgentTest : public ::testing::Test {
 protected:
  // n1 to n3, converged.
  void converge(const AgentOptions& options = Host::default_options()) {
    for (int number = 1; number <= 3; ++number) {
      host_.add(number);
    }
    host_.start(options);
    ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(1)));
  }

  Host host_;
};

TEST_F(AgentTest, ConvergesAndAnswersMisses) {
  converge();
  EXPECT_EQ(host_.device()->mac, mac_of(pod_cidr_of(1)));
  EXPECT_EQ(host_.device()->mtu, 1450U);
  EXPECT_EQ(host_.neighbours(), 0U) << "nothing before traffic";
  EXPECT_EQ(host_.send("100.96.2.5").fate, PacketFate::Unresolved);
  EXPECT_TRUE(host_.reaches(2));
  EXPECT_TRUE(host_.reaches(3));
  EXPECT_EQ(host_.neighbour("100.96.2.5"), (Neighbour{.device = host_.index(),
                                                      .address = ip("100.96.2.5"),
                                                      .lladdr = mac_of(pod_cidr_of(2)),
                                                      .state = kNudNoarp,
                                                      .flags = kNtfExtLearned,
                                                      .protocol = kOwnProtocol}));
  EXPECT_EQ(host_.fate("100.96.77.1"), PacketFate::Refused) << "an address of no node";
  EXPECT_EQ(host_.firewall().policy()->own_pod_cidrs, std::vector{net(pod_cidr_of(1))});
}

// What follows the device's creation knows its index.
TEST_F(AgentTest, TheFirstPlanNeedsNoSecondTry) {
  converge();
  EXPECT_GT(host_.metrics().value("vxmesh_operations_total", {{"result", "done"}}), 8);
  EXPECT_EQ(host_.metrics().value("vxmesh_operations_total", {{"result", "failed"}}), 0);
}

TEST_F(AgentTest, ANodeJoinsAndANodeLeaves) {
  converge();
  ASSERT_TRUE(host_.reaches(2));
  host_.add(4);
  host_.remove(2);
  host_.run_for(milliseconds(100));
  EXPECT_TRUE(host_.reaches(4));
  EXPECT_TRUE(host_.reaches(3));
  EXPECT_EQ(host_.fate("100.96.2.5"), PacketFate::Refused);
  EXPECT_EQ(host_.fdb(pod_cidr_of(2)), nullptr);
  EXPECT_EQ(host_.neighbour("100.96.2.5"), std::nullopt);
}

TEST_F(AgentTest, ANodeThatChangesItsAddressIsFollowedWithoutALoss) {
  converge();
  ASSERT_TRUE(host_.reaches(2));
  host_.change(make_node(name_of(2), pod_cidr_of(2), "172.20.0.99"));
  EXPECT_TRUE(host_.run_until(
      [&] {
        EXPECT_EQ(host_.fate("100.96.2.5"), PacketFate::Vtep);
        return host_.state().deliver(ip("100.96.2.5")).vtep == ip("172.20.0.99");
      },
      milliseconds(100)));
}

TEST_F(AgentTest, APodCidrThatChangesHandsReachesTheNewOwnerOnly) {
  converge();
  ASSERT_TRUE(host_.reaches(2));
  host_.remove(2);
  host_.add(make_node("n9", pod_cidr_of(2), "172.20.0.99"));
  host_.run_for(milliseconds(100));
  EXPECT_TRUE(host_.reaches("100.96.2.5", "172.20.0.99"));
  EXPECT_TRUE(host_.reaches("100.96.2.6", "172.20.0.99"));
  EXPECT_EQ(host_.fdb(pod_cidr_of(2))->size(), 1U);
}

TEST_F(AgentTest, ANodeMovesToAnotherPodCidr) {
  converge();
  ASSERT_TRUE(host_.reaches(2));
  host_.change(make_node(name_of(2), "100.97.0.0/16", vtep_of(2)));
  host_.run_for(milliseconds(100));
  EXPECT_EQ(host_.fate("100.96.2.5"), PacketFate::Refused);
  EXPECT_TRUE(host_.reaches("100.97.200.1", vtep_of(2)));
  EXPECT_EQ(host_.neighbours(), 1U);
}

// Neither a failure nor a lost answer is tried again without a pause, whatever the plan was.
TEST_F(AgentTest, WhatDoesNotSucceedIsTriedAgainWithPatience) {
  for (const bool refused : {true, false}) {
    Host host;
    for (int number = 1; number <= 3; ++number) {
      host.add(number);
    }
    host.start();
    ASSERT_TRUE(host.run_until([&] { return host.ready(); }, seconds(1)));
    std::size_t tries = 0;
    host.netlink().before_operation([&](std::size_t, const KernelOp&) { ++tries; });
    for (std::size_t number = 0; number < 1000; ++number) {
      if (refused) {
        host.netlink().fail_operation(number, ENOMEM);
      } else {
        host.netlink().lose_answer(number, FakeNetlink::Executed::No);
      }
    }
    // The FDB entry of a PodCIDR that changes hands: a plan that is marked disruptive.
    host.change(make_node(name_of(2), pod_cidr_of(2), "172.20.0.99"));
    host.run_for(seconds(1));
    EXPECT_GE(tries, 2U);
    EXPECT_LE(tries, 20U);
    host.netlink().clear_faults();
    host.run_for(minutes(2));
    EXPECT_TRUE(host.ready());
    EXPECT_TRUE(host.reaches("100.96.2.5", "172.20.0.99"));
  }
}

TEST_F(AgentTest, OurOwnPodCidrChangesAndTheDeviceFollows) {
  converge();
  host_.change(make_node("n1", pod_cidr_of(8), vtep_of(1)));
  host_.run_for(milliseconds(100));
  EXPECT_EQ(host_.device()->mac, mac_of(pod_cidr_of(8)));
  EXPECT_TRUE(host_.reaches(2));
  EXPECT_EQ(host_.fate("100.96.8.0"), PacketFate::Local);
  EXPECT_TRUE(host_.ready());
  EXPECT_EQ(host_.firewall().policy()->own_pod_cidrs, std::vector{net(pod_cidr_of(8))});
}

// Told by a watch or by a list.
TEST_F(AgentTest, ItIsNotReadyBetweenOurNewPodCidrAndTheNewDevice) {
  for (const bool by_list : {false, true}) {
    Host host;
    host.add(1);
    host.add(2);
    AgentOptions options = Host::default_options();
    options.masquerade = false;  // rules that are not set yet keep it from being ready, too
    host.start(options);
    ASSERT_TRUE(host.run_until([&] { return host.ready(); }, seconds(1)));
    std::size_t writes = 0;
    std::size_t ready = 0;
    host.netlink().before_operation([&](std::size_t, const KernelOp&) {
      ++writes;
      ready += host.ready() ? 1U : 0U;
    });
    if (by_list) {
      host.kubernetes().interrupt(refused());
    }
    host.change(make_node("n1", pod_cidr_of(8), vtep_of(1)));
    if (by_list) {
      host.compact();
    }
    host.run_for(seconds(10));
    EXPECT_EQ(host.device()->mac, mac_of(pod_cidr_of(8)));
    EXPECT_GT(writes, 0U);
    EXPECT_EQ(ready, 0U);
  }
}

TEST_F(AgentTest, OurOwnPodCidrAndAddressAreWaitedFor) {
  const Node whole = make_node(1);
  Node without_pod_cidr = whole;
  without_pod_cidr.pod_cidrs.clear();
  Node without_address = whole;
  without_address.addresses.clear();
  host_.add(without_pod_cidr);
  host_.add(2);
  host_.start();
  host_.run_for(seconds(1));
  for (const Node& incomplete : {without_pod_cidr, without_address}) {
    EXPECT_EQ(host_.agent().readiness().state, "awaiting-nodes");
    host_.change(whole);
    ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(1)));
    EXPECT_TRUE(host_.reaches(2));
    host_.change(incomplete);
    host_.run_for(seconds(1));
    EXPECT_FALSE(host_.ready());
  }
}

TEST_F(AgentTest, AFirewallThatRefusesIsAskedAgain) {
  host_.firewall().refuse(2);
  host_.add(1);
  host_.start();
  host_.run_for(milliseconds(500));
  EXPECT_FALSE(host_.ready());
  EXPECT_EQ(host_.agent().readiness().reason, "firewall: no nft");
  EXPECT_EQ(host_.firewall().policy(), std::nullopt);
  ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(10)));
  EXPECT_EQ(host_.firewall().policy()->own_pod_cidrs, std::vector{net(pod_cidr_of(1))});
}

// What is told of a policy when another one has taken its place is of no account.
TEST_F(AgentTest, OnlyTheLastFirewallPolicyCounts) {
  converge();
  host_.run_for(seconds(1));
  const int before = host_.firewall().applied();
  host_.firewall().refuse(1);
  host_.change(make_node("n1", pod_cidr_of(8), vtep_of(1)));
  host_.run_for(FakeFirewall::kTime / 2);
  host_.change(make_node("n1", pod_cidr_of(9), vtep_of(1)));
  ASSERT_TRUE(host_.run_until([&] { return host_.firewall().applied() == before + 2; },
                              FakeFirewall::kTime / 2));
  EXPECT_FALSE(host_.ready());
  ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(1)));
  EXPECT_EQ(host_.firewall().policy()->own_pod_cidrs, std::vector{net(pod_cidr_of(9))});
  host_.run_for(minutes(1));
  EXPECT_EQ(host_.firewall().applied(), before + 2);
}

TEST(Probes, EachHasANameOfItsOwn) {
  EXPECT_FALSE(probes().empty()) << "or the process ends here";
}

// --- What is believed ---

// The kernel of a host on which an agent ran before, with a node that is gone since.
class AgentRestart : public AgentTest {
 protected:
  void SetUp() override {
    converge();
    host_.add(7);
    host_.run_for(milliseconds(100));
    ASSERT_TRUE(host_.reaches(7));
    ASSERT_TRUE(host_.reaches(2));
    host_.stop();
  }
  [[nodiscard]] bool stale_node_is_there() { return host_.fate("100.96.7.5") == PacketFate::Vtep; }
};

TEST_F(AgentRestart, WritesNothingIfNothingHasChanged) {
  host_.start();
  ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(1)));
  host_.run_for(minutes(10));
  EXPECT_EQ(host_.metrics().value("vxmesh_redumps_total"), 11) << "one a minute";
  EXPECT_THAT(host_.writes(), IsEmpty());
}

// The kernel tells nobody of neighbour parameters: only who has set them knows.
TEST_F(AgentRestart, WritesOnceWhatNoEventConfirms) {
  host_.kernel(SetNeighbourParameters{
      .device = host_.device()->index, .family = Family::V4, .parameters = {}});
  host_.start();
  ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(1)));
  // Something else for which all is planned anew.
  host_.kernel(ChangeLink{.device = host_.state().find_link("eth0")->index, .mtu = 9000});
  host_.run_for(milliseconds(100));
  EXPECT_EQ(host_.device()->mtu, 8950U);
  EXPECT_EQ(std::ranges::count_if(host_.writes(),
                                  [](const KernelOp& op) {
                                    return std::holds_alternative<SetNeighbourParameters>(op);
                                  }),
            1);
}

TEST_F(AgentRestart, RemovesWhatIsGoneSince) {
  host_.remove(7);
  host_.start();
  ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(1)));
  EXPECT_EQ(host_.fate("100.96.7.5"), PacketFate::Refused);
  EXPECT_EQ(host_.fdb(pod_cidr_of(7)), nullptr);
  EXPECT_EQ(host_.neighbour("100.96.7.5"), std::nullopt);
  EXPECT_NE(host_.neighbour("100.96.2.5"), std::nullopt);
}

TEST_F(AgentRestart, WritesNothingWithoutTheApi) {
  host_.remove(7);
  host_.prepare();
  auto outage = host_.kubernetes().add_rule([](const KubernetesCall&) { return refused(); });
  host_.agent().start();
  host_.run_for(minutes(10));
  EXPECT_THAT(host_.writes(), IsEmpty());
  EXPECT_FALSE(host_.ready());
  outage.reset();
  ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, minutes(1)));
  EXPECT_FALSE(stale_node_is_there());
}

TEST_F(AgentRestart, AMissBeforeTheListIsAnsweredWithTheList) {
  host_.prepare();
  auto outage = host_.kubernetes().add_rule([](const KubernetesCall&) { return refused(); });
  host_.agent().start();
  host_.run_for(milliseconds(500));
  host_.send("100.96.3.5");
  host_.run_for(milliseconds(10));
  EXPECT_THAT(host_.writes(), IsEmpty());
  outage.reset();
  // Sooner than the kernel asks again, one second later.
  ASSERT_TRUE(host_.run_until([&] { return !host_.writes().empty(); }, milliseconds(980)));
  EXPECT_EQ(host_.neighbour("100.96.3.5")->lladdr, mac_of(pod_cidr_of(3)));
}

TEST_F(AgentRestart, WritesNothingOnAListThatBreaksOff) {
  host_.remove(7);
  host_.prepare();
  const auto cut = host_.kubernetes().add_rule([](const KubernetesCall& call) {
    return std::holds_alternative<ListRequest>(call) ? std::optional(reset_after(2)) : std::nullopt;
  });
  host_.agent().start();
  host_.run_for(minutes(5));
  EXPECT_THAT(host_.writes(), IsEmpty());
}

TEST_F(AgentRestart, WritesNothingOnAListWithoutNodes) {
  for (const int number : {1, 2, 3, 7}) {
    host_.remove(number);
  }
  host_.start();
  host_.run_for(minutes(5));
  EXPECT_THAT(host_.writes(), IsEmpty());
  EXPECT_FALSE(host_.ready());
  EXPECT_TRUE(stale_node_is_there());
}

TEST_F(AgentRestart, WritesNothingOnAListWithoutOurNode) {
  host_.remove(1);
  host_.remove(7);
  host_.start();
  host_.run_for(minutes(5));
  EXPECT_THAT(host_.writes(), IsEmpty());
  EXPECT_FALSE(host_.ready());
  EXPECT_TRUE(stale_node_is_there());
  host_.add(1);
  ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, minutes(1)));
  EXPECT_FALSE(stale_node_is_there());
}

TEST_F(AgentRestart, WritesNothingBeforeEveryTableWasRead) {
  for (const Table table :
       {Table::Links, Table::Addresses, Table::Routes, Table::Fdb, Table::Neighbours}) {
    host_.start();
    host_.netlink().fail_dump(table);
    bool redumped = false;
    host_.netlink().before_operation([&](std::size_t, const KernelOp&) {
      redumped = host_.metrics().value("vxmesh_redumps_total") > 0;
    });
    host_.remove(7);
    ASSERT_TRUE(host_.run_until([&] { return !host_.writes().empty(); }, seconds(5)))
        << format(table);
    EXPECT_TRUE(redumped) << "pruned without having read the " << format(table);
    EXPECT_EQ(host_.metrics().value("vxmesh_redump_failures_total"), 1);
    host_.add(7);
    host_.run_for(seconds(10));
    ASSERT_TRUE(host_.reaches(7));
    host_.stop();
  }
}

TEST_F(AgentTest, OurOwnNodeGoneKeepsEverything) {
  converge();
  ASSERT_TRUE(host_.reaches(2));
  host_.remove(1);
  host_.run_for(milliseconds(100));
  const std::size_t writes = host_.writes().size();
  host_.remove(2);
  host_.run_for(minutes(10));
  EXPECT_EQ(host_.writes().size(), writes);
  EXPECT_FALSE(host_.ready());
  EXPECT_THAT(host_.agent().readiness().reason, HasSubstr("n1"));
  EXPECT_TRUE(host_.reaches(2));
  EXPECT_TRUE(host_.reaches("100.96.3.77", vtep_of(3))) << "misses are still answered";

  host_.add(1);
  // It lists at once, and waits for no redump.
  ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(2)));
  EXPECT_EQ(host_.fate("100.96.2.5"), PacketFate::Refused);
}

// A watch may bring the Delete of the old object behind the Add of the new one.
TEST_F(AgentTest, ALateDeleteOfOurOwnNodeIsThatOfTheOldOne) {
  host_.add(1);
  host_.add(2);
  host_.prepare();
  const auto guard = host_.kubernetes().add_rule(
      [](const KubernetesCall&) { return std::optional(late_deletes()); });
  host_.agent().start();
  ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(1)));
  host_.remove(1);
  host_.add(make_node("n1", pod_cidr_of(1), vtep_of(1), "another"));
  host_.run_for(seconds(10));
  EXPECT_TRUE(host_.ready());
}

TEST_F(AgentTest, ARelistWithoutOurNodeIsNotBelieved) {
  for (const bool empty : {false, true}) {
    Host host;
    for (int number = 1; number <= 3; ++number) {
      host.add(number);
    }
    host.start();
    ASSERT_TRUE(host.run_until([&] { return host.ready(); }, seconds(1)));
    ASSERT_TRUE(host.reaches(2));
    const std::size_t writes = host.writes().size();
    host.kubernetes().interrupt(refused());
    host.remove(1);
    host.remove(2);
    if (empty) {
      host.remove(3);
    }
    host.compact();
    host.run_for(minutes(10));
    EXPECT_EQ(host.writes().size(), writes);
    EXPECT_TRUE(host.reaches(2));
    EXPECT_FALSE(host.ready());
    host.add(1);
    host.add(3 + (empty ? 0 : 1));
    ASSERT_TRUE(host.run_until([&] { return host.ready(); }, minutes(2)));
    EXPECT_EQ(host.fate("100.96.2.5"), PacketFate::Refused);
  }
}

TEST_F(AgentTest, AnOutageOfTheApiChangesNothingAndIsMadeUpFor) {
  converge();
  ASSERT_TRUE(host_.reaches(2));
  const std::size_t writes = host_.writes().size();
  auto outage = host_.kubernetes().add_rule([](const KubernetesCall&) { return refused(); });
  host_.kubernetes().interrupt(refused());
  host_.remove(2);
  host_.add(4);
  host_.run_for(minutes(60));
  EXPECT_EQ(host_.writes().size(), writes);
  EXPECT_TRUE(host_.reaches(2));
  outage.reset();
  host_.run_for(minutes(1));
  EXPECT_EQ(host_.fate("100.96.2.5"), PacketFate::Refused);
  EXPECT_TRUE(host_.reaches(4));
}

// --- Faults of the kernel's interface ---

TEST_F(AgentTest, ALostMissIsFoundByTheRedump) {
  converge();
  host_.netlink().lose_messages(1);
  host_.send("100.96.2.5");  // its GETNEIGH is the message that is lost
  EXPECT_TRUE(host_.run_until([&] { return host_.fate("100.96.2.5") == PacketFate::Vtep; },
                              milliseconds(900)))
      << "not before the kernel asks again";
  EXPECT_EQ(host_.metrics().value("vxmesh_overruns_total"), 1);
}

TEST_F(AgentTest, ALostEventIsFoundByTheRedump) {
  converge();
  host_.netlink().lose_messages(1);
  host_.kernel(DeleteFdb{.device = host_.index(), .mac = mac_of(pod_cidr_of(2))});
  host_.run_for(milliseconds(100));
  EXPECT_TRUE(host_.reaches(2));
}

TEST_F(AgentTest, AnInterruptedDumpIsRepeated) {
  converge();
  host_.netlink().interrupt_dump(Table::Routes);
  host_.netlink().lose_messages(1);
  host_.kernel(DeleteRoute{{.destination = net(pod_cidr_of(2)),
                            .scope = 253,
                            .protocol = kOwnProtocol,
                            .device = host_.index()}});
  host_.run_for(seconds(2));
  EXPECT_TRUE(host_.reaches(2));
  EXPECT_TRUE(host_.ready());
}

TEST_F(AgentTest, AFailedOperationIsTriedAgainAndHoldsBackNobodyElse) {
  converge();
  host_.netlink().fail_operation(0, ENOBUFS);  // n4's FDB entry
  host_.add(4);
  host_.add(5);
  host_.run_for(milliseconds(50));
  EXPECT_TRUE(host_.reaches(5));
  EXPECT_EQ(host_.fate("100.96.4.5"), PacketFate::Refused) << "a route without its FDB entry";
  EXPECT_FALSE(host_.ready());
  EXPECT_THAT(host_.agent().readiness().reason, HasSubstr("ENOBUFS"));
  host_.run_for(seconds(1));
  EXPECT_TRUE(host_.reaches(4));
  EXPECT_TRUE(host_.ready());
}

// A failure whose cause goes away by itself does not keep the agent unready.
TEST_F(AgentTest, ATryThatIsNoLongerNeededIsForgotten) {
  converge();
  const Neighbour spoiled{.device = host_.index(),
                          .address = ip("100.96.2.5"),
                          .lladdr = mac_of(pod_cidr_of(3)),
                          .state = kNudNoarp,
                          .flags = kNtfExtLearned,
                          .protocol = kOwnProtocol};
  host_.netlink().fail_operation(0, ENOBUFS);
  host_.kernel(ReplaceNeighbour{spoiled});
  host_.run_for(milliseconds(20));
  ASSERT_FALSE(host_.ready());
  host_.kernel(DeleteNeighbour{.device = spoiled.device, .address = spoiled.address});
  EXPECT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(1)));
}

TEST_F(AgentTest, TheMetricFollowsReadiness) {
  const auto metric = [&] { return host_.metrics().value("vxmesh_ready"); };
  converge();
  EXPECT_EQ(metric(), 1);
  host_.netlink().fail_operation(0, ENOBUFS);
  host_.add(4);
  ASSERT_TRUE(host_.run_until([&] { return !host_.ready(); }, milliseconds(50)));
  EXPECT_EQ(metric(), 0);
  ASSERT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(1)));
  EXPECT_EQ(metric(), 1);
}

TEST_F(AgentTest, ALostAnswerIsMadeUpForWhetherOrNotItWasDone) {
  for (const auto executed : {FakeNetlink::Executed::Yes, FakeNetlink::Executed::No}) {
    for (std::size_t number = 0; number < 2; ++number) {
      Host host;
      host.add(1);
      host.add(2);
      host.start();
      ASSERT_TRUE(host.run_until([&] { return host.ready(); }, seconds(1)));
      host.netlink().lose_answer(number, executed);
      host.add(4);
      host.run_for(seconds(2));
      EXPECT_TRUE(host.reaches(4));
      EXPECT_TRUE(host.ready());
    }
  }
}

TEST_F(AgentTest, ConvergesWhicheverOperationOfTheSetUpFails) {
  std::size_t operations = 0;
  {
    Host host;
    for (int number = 1; number <= 3; ++number) {
      host.add(number);
    }
    host.start();
    host.run_for(seconds(1));
    operations = host.writes().size();
  }
  ASSERT_GT(operations, 8U);
  for (std::size_t number = 0; number < operations; ++number) {
    Host host;
    for (int node = 1; node <= 3; ++node) {
      host.add(node);
    }
    host.start();
    host.netlink().fail_operation(number, ENOMEM);
    ASSERT_TRUE(host.run_until([&] { return host.ready(); }, seconds(5))) << number;
    EXPECT_TRUE(host.reaches(2)) << number;
    EXPECT_TRUE(host.reaches(3)) << number;
  }
}

// --- Others who write ---

TEST_F(AgentTest, WhatOthersBreakIsRepaired) {
  converge();
  ASSERT_TRUE(host_.reaches(2));
  const IfIndex device = host_.index();
  const Route route{
      .destination = net(pod_cidr_of(2)), .scope = 253, .protocol = kOwnProtocol, .device = device};
  const MacAddress mac = mac_of(pod_cidr_of(2));
  const std::vector<std::vector<KernelOp>> breakages{
      {DeleteRoute{route}},
      {DeleteFdb{.device = device, .mac = mac}},
      {ReplaceFdb{{.device = device, .mac = mac, .dst = ip(vtep_of(3)), .state = kNudPermanent}}},
      {DeleteNeighbour{.device = device, .address = ip("100.96.2.5")}},
      {ReplaceNeighbour{{.device = device,
                         .address = ip("100.96.2.5"),
                         .lladdr = mac_of(pod_cidr_of(3)),
                         .state = kNudReachable}}},
      {ChangeLink{.device = device, .up = false}},
      {ChangeLink{.device = device, .up = false}, ChangeLink{.device = device, .up = true}},
      {ChangeLink{.device = device, .mtu = 1200}},
      {ChangeLink{.device = device, .vxlan_learning = true}},
      {DeleteAddress{{.device = device, .address = ip("100.96.1.0"), .length = 12}}},
      {DeleteLink{device}}};
  for (const std::vector<KernelOp>& breakage : breakages) {
    for (const KernelOp& op : breakage) {
      ASSERT_EQ(host_.kernel(op), accept()) << format(op);
    }
    host_.run_for(seconds(1));
    EXPECT_TRUE(host_.reaches(2)) << format(breakage.front());
    EXPECT_TRUE(host_.ready()) << format(breakage.front());
    EXPECT_FALSE(host_.device()->vxlan->learning);
    EXPECT_EQ(host_.device()->mtu, 1450U);
  }
}

TEST_F(AgentTest, AMacThatUdevRewritesIsRepaired) {
  converge();
  ASSERT_TRUE(host_.reaches(2));
  host_.state().set_mac(host_.index(), MacAddress{{2, 1, 2, 3, 4, 5}}, host_.now());
  host_.run_for(seconds(1));
  EXPECT_EQ(host_.device()->mac, mac_of(pod_cidr_of(1)));
  EXPECT_TRUE(host_.reaches(2));
}

TEST_F(AgentTest, ADeviceThatIsNotOursIsNotTouched) {
  host_.kernel(CreateVxlan{{.name = "vxlan1",
                            .mac = MacAddress{{2, 9, 9, 9, 9, 9}},
                            .mtu = 1450,
                            .kind = "vxlan",
                            .vxlan = VxlanLink{.vni = Vni{7}, .port = 8472}}});
  host_.add(1);
  host_.add(2);
  host_.start();
  host_.run_for(minutes(5));
  EXPECT_THAT(host_.writes(), IsEmpty());
  EXPECT_FALSE(host_.ready());
  EXPECT_THAT(host_.agent().readiness().reason, HasSubstr("vxlan1"));
  host_.kernel(DeleteLink{host_.index()});
  EXPECT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(5)));
}

// Whoever is told that another tunnel has our port and VNI removes it, and need do no more.
TEST_F(AgentTest, ATunnelOfOthersInOurPlaceIsNoticedWhenItGoes) {
  host_.kernel(CreateVxlan{{.name = "theirs",
                            .mac = MacAddress{{2, 9, 9, 9, 9, 9}},
                            .mtu = 1450,
                            .kind = "vxlan",
                            .vxlan = VxlanLink{.vni = Vni{1}, .port = 4789}}});
  host_.add(1);
  host_.start();
  host_.run_for(seconds(5));
  EXPECT_THAT(host_.agent().readiness().reason, HasSubstr("theirs"));
  host_.kernel(DeleteLink{host_.state().find_link("theirs")->index});
  EXPECT_TRUE(host_.run_until([&] { return host_.ready(); }, seconds(1)));
}

// While the host's address is not yet, or no longer, that of its Node.
TEST_F(AgentTest, WhatChangesWhileOurAddressIsOnNoLinkIsFollowed) {
  converge();
  ASSERT_TRUE(host_.reaches(2));
  const IfIndex underlay = host_.state().find_link("eth0")->index;
  host_.kernel(ReplaceAddress{{.device = underlay, .address = ip("172.20.0.99"), .length = 24}});
  host_.kernel(DeleteAddress{{.device = underlay, .address = ip(vtep_of(1)), .length = 24}});
  host_.run_for(seconds(1));
  host_.kubernetes().interrupt(refused());
  host_.change(make_node("n2", pod_cidr_of(2), vtep_of(7)));
  host_.compact();
  host_.run_for(seconds(10));
  EXPECT_THAT(host_.agent().readiness().reason, HasSubstr(vtep_of(1)));
  ASSERT_NE(host_.fdb(pod_cidr_of(2)), nullptr);
  EXPECT_EQ(host_.fdb(pod_cidr_of(2))->front().dst, ip(vtep_of(7)));
}

TEST_F(AgentTest, AForeignRouteIsLeftAloneAndItsPlaceTakenWhenItGoes) {
  const Route foreign{.destination = net(pod_cidr_of(2)),
                      .scope = 253,
                      .protocol = 4,
                      .device = host_.state().find_link("eth0")->index};
  converge();
  host_.kernel(ReplaceRoute{foreign});  // takes the place of ours
  host_.run_for(seconds(1));
  EXPECT_FALSE(host_.ready());
  EXPECT_EQ(host_.fate("100.96.2.5"), PacketFate::OtherDevice);
  EXPECT_TRUE(host_.reaches(3));
  host_.kernel(DeleteRoute{foreign});
  host_.run_for(seconds(1));
  EXPECT_TRUE(host_.reaches(2));
  EXPECT_TRUE(host_.ready());
}

TEST_F(AgentTest, TheUnderlaysMtuIsFollowed) {
  converge();
  host_.kernel(ChangeLink{.device = host_.state().find_link("eth0")->index, .mtu = 9000});
  host_.run_for(seconds(1));
  EXPECT_EQ(host_.device()->mtu, 8950U);
}

// --- Neighbours ---

TEST_F(AgentTest, BeyondTheirNumberTheOldestNeighboursAreGivenUp) {
  AgentOptions options = Host::default_options();
  options.reconciler.max_neighbours = 32;
  converge(options);
  for (int i = 1; i <= 40; ++i) {
    ASSERT_TRUE(host_.reaches("100.96.2." + std::to_string(i), vtep_of(2)));
    EXPECT_LE(host_.neighbours(), 32U);
    EXPECT_EQ(host_.metrics().value("vxmesh_neighbours", {{"family", format(Family::V4)}}),
              static_cast<std::int64_t>(host_.neighbours()));
  }
  EXPECT_EQ(host_.neighbour("100.96.2.1"), std::nullopt);
  EXPECT_NE(host_.neighbour("100.96.2.40"), std::nullopt);
  EXPECT_TRUE(host_.reaches("100.96.2.1", vtep_of(2))) << "at the price of one miss";
}

TEST_F(AgentTest, AMissWhileTheAgentIsDeadIsAnsweredByTheNextOne) {
  converge();
  host_.stop();
  host_.send("100.96.2.5");
  host_.run_for(milliseconds(200));
  host_.start();
  EXPECT_TRUE(host_.run_until([&] { return host_.fate("100.96.2.5") == PacketFate::Vtep; },
                              milliseconds(500)));
}

// --- Any schedule ---

struct Happening {
  int kind = 0;
  int a = 0;
  int b = 0;
};

void happen(Host& host, std::map<int, Node>& nodes, const Happening& happening) {
  const int number = 2 + happening.a % 5;
  const auto node = nodes.find(number);
  switch (happening.kind) {
    case 0:
    case 1: {
      Node wanted = make_node(
          name_of(number), pod_cidr_of(number), "172.20.0." + std::to_string(20 + happening.b),
          node == nodes.end() ? "uid-" + std::to_string(happening.b) + name_of(number)
                              : node->second.uid);
      if (node == nodes.end()) {
        host.add(wanted);
      } else {
        host.change(wanted);
      }
      nodes[number] = wanted;
      break;
    }
    case 2:
      if (node != nodes.end()) {
        host.remove(number);
        nodes.erase(node);
      }
      break;
    case 3:
    case 4:
      host.send("100.96." + std::to_string(number) + "." + std::to_string(happening.b));
      break;
    case 5: host.netlink().lose_messages(1); break;
    case 6:
      host.netlink().fail_operation(static_cast<std::size_t>(happening.b % 4), ENOBUFS);
      break;
    case 7:
      host.netlink().lose_answer(
          static_cast<std::size_t>(happening.a % 4),
          happening.b % 2 == 0 ? FakeNetlink::Executed::Yes : FakeNetlink::Executed::No);
      break;
    case 8: host.kubernetes().interrupt(refused()); break;
    case 9:
      host.stop();
      host.run_for(milliseconds(happening.b * 100));
      host.start();
      break;
    case 10: host.kernel(ChangeLink{.device = host.index(), .up = false}); break;
    case 11: host.kernel(DeleteLink{host.index()}); break;
    case 12: host.netlink().interrupt_dump(static_cast<Table>(happening.a % 5)); break;
    case 13:
      host.kernel(DeleteFdb{.device = host.index(), .mac = mac_of(pod_cidr_of(number))});
      break;
    default: host.run_for(milliseconds(happening.a * happening.b)); break;
  }
  host.run_for(milliseconds(happening.b % 4));
}

std::ostream& operator<<(std::ostream& out, const Happening& happening) {
  return out << "{" << happening.kind << ", " << happening.a << ", " << happening.b << "}";
}

}  // namespace
}  // namespace vxmesh

namespace rc {

template <>
struct Arbitrary<vxmesh::Happening> {
  static Gen<vxmesh::Happening> arbitrary() {
    return gen::resize(100, gen::construct<vxmesh::Happening>(
                                gen::inRange(0, 17), gen::inRange(0, 20), gen::inRange(0, 20)));
  }
};

}  // namespace rc

namespace vxmesh {
namespace {

RC_GTEST_PROP(AgentProperty, WhateverHappensTheKernelIsAsTheNodesAskInTheEnd,
              (const std::vector<Happening>& happenings)) {
  Host host;
  std::map<int, Node> nodes;
  host.add(1);
  host.start();
  for (const Happening& happening : happenings) {
    happen(host, nodes, happening);
  }
  host.netlink().clear_faults();
  host.run_for(minutes(2));
  RC_ASSERT(host.ready());
  std::size_t fdb = 0;
  for (const auto& [number, node] : nodes) {
    const std::string network = "100.96." + std::to_string(number) + ".";
    for (int at = 0; at < 20; ++at) {
      RC_ASSERT(host.reaches(network + std::to_string(at), format(node.addresses.front().address)));
    }
    ++fdb;
  }
  for (int number = 2; number < 7; ++number) {
    if (!nodes.contains(number)) {
      RC_ASSERT(host.fate("100.96." + std::to_string(number) + ".1") == PacketFate::Refused);
    }
  }
  RC_ASSERT(host.state().fdb(host.index()).size() == fdb);
  RC_ASSERT(host.neighbours() == 20 * nodes.size());
  host.stop();
  host.start();
  host.run_for(seconds(5));
  RC_ASSERT(host.ready());
  RC_ASSERT(host.writes().empty());
}

}  // namespace
}  // namespace vxmesh
