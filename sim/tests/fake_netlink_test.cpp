// The fake kernel where the contract of the port does not reach: what others do, time, faults.
// Each test is a measured behaviour of Linux 6.x unless it is about the fake's own faults.
#include "sim/kernel/fake_netlink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "model/ownership.h"
#include "sim/world/fake_clock.h"
#include "sim/world/fake_event_loop.h"

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Kind = KernelChange::Kind;

IpAddress ip(const std::string& text) {
  return IpAddress::parse(text).value();
}
IpPrefix net(const std::string& text) {
  return IpPrefix::parse(text).value();
}
MacAddress mac(std::uint8_t last) {
  return MacAddress{{0x00, 0x53, 100, 96, last, 0}};
}

class FakeNetlinkTest : public ::testing::Test {
 protected:
  // An overlay device, up, with its address; events so far are taken.
  void SetUp() override {
    must(CreateVxlan{vxlan("vxlan1", 1)});
    device_ = kernel_.find_link("vxlan1")->index;
    must(SetNeighbourParameters{
        .device = device_,
        .family = Family::V4,
        .parameters = {.app_solicit = 2, .ucast_solicit = 0, .mcast_solicit = 0}});
    must(ChangeLink{.device = device_, .up = true});
    must(ReplaceAddress{address("100.96.1.0", 12)});
    static_cast<void>(events());
  }

  static Link vxlan(const std::string& name, std::uint32_t vni) {
    return Link{.name = name,
                .mac = mac(1),
                .mtu = 1450,
                .group = kOwnLinkGroup,
                .kind = "vxlan",
                .vxlan = VxlanLink{.vni = Vni{vni}, .port = 4789, .local = ip("172.20.0.11")}};
  }
  [[nodiscard]] IfAddress address(const std::string& text, std::uint8_t length) const {
    return {.device = device_, .address = ip(text), .length = length, .no_prefix_route = true};
  }
  [[nodiscard]] Route route(const std::string& destination) const {
    return {
        .destination = net(destination), .scope = 253, .protocol = kOwnProtocol, .device = device_};
  }
  [[nodiscard]] Neighbour neighbour(const std::string& text) const {
    return {.device = device_,
            .address = ip(text),
            .lladdr = mac(2),
            .state = kNudNoarp,
            .flags = kNtfExtLearned,
            .protocol = kOwnProtocol};
  }
  [[nodiscard]] FdbEntry fdb(std::uint8_t last) const {
    return {.device = device_,
            .mac = mac(last),
            .dst = ip("172.20.0.12"),
            .state = kNudPermanent,
            .flags = kNtfSelf};
  }

  OpDone run(const KernelOp& op) { return kernel_.execute(op, loop_.now()); }
  void must(const KernelOp& op) { ASSERT_EQ(run(op), accept()) << format(op); }
  void pass(Duration time) {
    loop_.run_for(time);
    kernel_.run_timers(loop_.now());
  }

  std::vector<KernelEvent> events() {
    std::vector<KernelEvent> taken = netlink_.take_events(10000);
    for (KernelEvent& event : taken) {
      if (KernelChange* change = std::get_if<KernelChange>(&event)) {
        change->report.since_update = {};
      }
    }
    return taken;
  }
  static KernelEvent event(Kind kind, KernelObject object) {
    return KernelChange{.kind = kind, .report = {.object = std::move(object)}};
  }
  std::vector<Route> routes(const std::string& destination) {
    std::vector<Route> found;
    for (const Route& row : kernel_.routes().rows()) {
      if (row.destination == net(destination)) {
        found.push_back(row);
      }
    }
    return found;
  }
  std::vector<Neighbour> neighbours() { return kernel_.neighbours(); }

  FakeEventLoop loop_;
  FakeClock clock_{loop_};
  NamespaceState kernel_;
  FakeNetlink netlink_{kernel_, loop_, clock_};
  IfIndex device_;
};

// --- Links ---

TEST_F(FakeNetlinkTest, TheSameMacSetAgainFlushesNeighboursAndNothingElse) {
  must(ReplaceNeighbour{neighbour("100.96.2.5")});
  must(ReplaceFdb{fdb(2)});
  must(ReplaceRoute{route("100.96.2.0/24")});
  static_cast<void>(events());
  ASSERT_EQ(kernel_.set_mac(device_, mac(1), loop_.now()), accept());
  EXPECT_THAT(events(), Contains(event(Kind::Deleted, neighbour("100.96.2.5"))));
  EXPECT_THAT(neighbours(), IsEmpty());
  EXPECT_THAT(kernel_.fdb(device_), ElementsAre(fdb(2)));
  EXPECT_THAT(routes("100.96.2.0/24"), SizeIs(1));
}

TEST_F(FakeNetlinkTest, DownTakesDynamicFdbEntriesAndIpv6) {
  FdbEntry dynamic = fdb(3);
  dynamic.state = kNudReachable;
  FdbEntry fixed = fdb(4);
  fixed.state = kNudReachable | kNudNoarp;
  const IfAddress v6{
      .device = device_, .address = ip("fd60::1"), .length = 128, .no_prefix_route = true};
  for (const FdbEntry& entry : {fdb(2), dynamic, fixed}) {
    must(ReplaceFdb{entry});
  }
  must(ReplaceAddress{v6});
  must(ReplaceRoute{{.destination = net("fd60:0:0:2::/64"), .device = device_}});
  ASSERT_EQ(routes("fd60:0:0:2::/64").front().metric, 1024U) << "IPv6 has no metric 0";
  static_cast<void>(events());
  must(ChangeLink{.device = device_, .up = false});
  const std::vector<KernelEvent> told = events();
  EXPECT_THAT(told, Contains(event(Kind::Deleted, dynamic)));
  EXPECT_THAT(told, Contains(event(Kind::Deleted, v6)));
  EXPECT_THAT(kernel_.fdb(device_), ElementsAre(fixed, fdb(2)));
  EXPECT_THAT(routes("fd60:0:0:2::/64"), IsEmpty());
  must(ChangeLink{.device = device_, .up = true});
  EXPECT_THAT(routes("fd60:0:0:2::/64"), IsEmpty());
  EXPECT_THAT(kernel_.addresses(), Contains(address("100.96.1.0", 12)));
  EXPECT_THAT(kernel_.addresses(), Not(Contains(v6)));
}

TEST_F(FakeNetlinkTest, UpBringsBackTheKernelsOwnRoutesOnly) {
  const IfAddress with_route{.device = device_, .address = ip("10.9.0.1"), .length = 16};
  must(ReplaceAddress{with_route});
  must(ReplaceRoute{route("100.96.2.0/24")});
  must(ChangeLink{.device = device_, .up = false});
  EXPECT_THAT(routes("10.9.0.0/16"), IsEmpty());
  EXPECT_THAT(routes("10.9.0.1/32"), SizeIs(1)) << "the local route stays";
  must(ChangeLink{.device = device_, .up = true});
  EXPECT_THAT(routes("10.9.0.0/16"), SizeIs(1));
  EXPECT_THAT(routes("100.96.2.0/24"), IsEmpty());
}

TEST_F(FakeNetlinkTest, AnMtuBelow1280EndsIpv6) {
  must(ReplaceNeighbour{neighbour("fd60:0:0:2::5")});
  must(ReplaceAddress{{.device = device_, .address = ip("fd60::1"), .length = 128}});
  must(ChangeLink{.device = device_, .mtu = 1279});
  EXPECT_THAT(neighbours(), IsEmpty());
  EXPECT_EQ(kernel_.parameters(device_, Family::V6), std::nullopt);
  EXPECT_THAT(kernel_.addresses(), ElementsAre(address("100.96.1.0", 12)));
  EXPECT_EQ(run(ReplaceNeighbour{neighbour("fd60:0:0:2::5")}).error_number, EINVAL);
}

TEST_F(FakeNetlinkTest, AnOccupiedPortIsRefusedAtUpNotAtCreate) {
  kernel_.occupy_udp_port(8472);
  Link other = vxlan("vxlan2", 2);
  other.vxlan->port = 8472;
  must(CreateVxlan{other});
  const IfIndex index = kernel_.find_link("vxlan2")->index;
  EXPECT_EQ(run(ChangeLink{.device = index, .up = true}), refuse(EADDRINUSE));
  EXPECT_FALSE(kernel_.find_link(index)->up);
}

TEST_F(FakeNetlinkTest, OneVniMayServeBothUnderlayFamilies) {
  Link other = vxlan("vxlan2", 1);
  other.vxlan->local = ip("fd00::11");
  must(CreateVxlan{other});
}

TEST_F(FakeNetlinkTest, ADeletedLinkTakesEverythingAlongAndTellsOfAllButItsRoutes) {
  must(ReplaceFdb{fdb(2)});
  must(ReplaceNeighbour{neighbour("100.96.2.5")});
  must(ReplaceRoute{route("100.96.2.0/24")});
  static_cast<void>(events());
  must(DeleteLink{device_});
  const std::vector<KernelEvent> told = events();
  EXPECT_THAT(told, Contains(event(Kind::Deleted, fdb(2))));
  EXPECT_THAT(told, Contains(event(Kind::Deleted, neighbour("100.96.2.5"))));
  EXPECT_THAT(told, Contains(event(Kind::Deleted, address("100.96.1.0", 12))));
  EXPECT_THAT(told, Not(Contains(event(Kind::Deleted, route("100.96.2.0/24")))));
  EXPECT_THAT(kernel_.routes().rows(), IsEmpty());
  EXPECT_EQ(run(DeleteLink{NamespaceState::kLoopback}).error_number, EOPNOTSUPP);
}

// --- Addresses ---

TEST_F(FakeNetlinkTest, TheLastIpv4AddressTakesIpv4RoutesInSilenceAndNeighboursAloud) {
  must(ReplaceRoute{route("100.96.2.0/24")});
  must(ReplaceNeighbour{neighbour("100.96.2.5")});
  must(ReplaceNeighbour{neighbour("fd60:0:0:2::5")});
  must(ReplaceFdb{fdb(2)});
  static_cast<void>(events());
  must(DeleteAddress{address("100.96.1.0", 12)});
  const std::vector<KernelEvent> told = events();
  EXPECT_THAT(told, Contains(event(Kind::Deleted, neighbour("100.96.2.5"))));
  EXPECT_THAT(told, Not(Contains(event(Kind::Deleted, route("100.96.2.0/24")))));
  EXPECT_THAT(routes("100.96.2.0/24"), IsEmpty());
  EXPECT_THAT(neighbours(), ElementsAre(neighbour("fd60:0:0:2::5")));
  EXPECT_THAT(kernel_.fdb(device_), SizeIs(1));
}

TEST_F(FakeNetlinkTest, ASecondAddressKeepsThem) {
  must(ReplaceRoute{route("100.96.2.0/24")});
  must(ReplaceAddress{address("100.96.1.0", 32)});
  must(DeleteAddress{address("100.96.1.0", 12)});
  EXPECT_THAT(routes("100.96.2.0/24"), SizeIs(1));
}

TEST_F(FakeNetlinkTest, ALaterAddressOfTheSubnetGoesWithTheFirst) {
  must(ReplaceAddress{address("100.96.8.0", 12)});
  must(DeleteAddress{address("100.96.1.0", 12)});
  EXPECT_THAT(kernel_.tables(device_).addresses, Not(Contains(address("100.96.8.0", 12))));
}

TEST_F(FakeNetlinkTest, ALaterAddressGoesAlone) {
  must(ReplaceAddress{address("100.96.8.0", 12)});
  must(DeleteAddress{address("100.96.8.0", 12)});
  EXPECT_THAT(kernel_.addresses(), Contains(address("100.96.1.0", 12)));
}

TEST_F(FakeNetlinkTest, AReplaceOfAnAddressDoesNotChangeItsFlags) {
  IfAddress with_route = address("100.96.1.0", 12);
  with_route.no_prefix_route = false;
  must(ReplaceAddress{with_route});
  EXPECT_THAT(kernel_.addresses(), Contains(address("100.96.1.0", 12)));
  EXPECT_THAT(routes("100.96.0.0/12"), IsEmpty());
}

TEST_F(FakeNetlinkTest, AnAddressTakesTheRoutesAlongThatPreferItAndTellsOfThem) {
  must(ReplaceAddress{address("10.9.0.1", 32)});
  Route preferring = route("100.96.2.0/24");
  preferring.preferred_source = ip("10.9.0.1");
  must(ReplaceRoute{preferring});
  static_cast<void>(events());
  must(DeleteAddress{address("10.9.0.1", 32)});
  EXPECT_THAT(events(), Contains(event(Kind::Deleted, preferring)));
  EXPECT_THAT(routes("100.96.2.0/24"), IsEmpty());
}

// --- Routes ---

TEST_F(FakeNetlinkTest, AReplaceTakesOverTheFirstRouteOfItsPlaceWhoeverMadeIt) {
  Route foreign = route("100.96.2.0/24");
  foreign.protocol = 4;
  Route behind = foreign;
  behind.protocol = 3;
  ASSERT_EQ(kernel_.add_route(behind, loop_.now()), accept());
  ASSERT_EQ(kernel_.add_route(foreign, loop_.now()), accept());
  ASSERT_THAT(routes("100.96.2.0/24"), ElementsAre(foreign, behind)) << "the newer one first";
  static_cast<void>(events());
  must(ReplaceRoute{route("100.96.2.0/24")});
  EXPECT_THAT(routes("100.96.2.0/24"), ElementsAre(route("100.96.2.0/24"), behind));
  EXPECT_THAT(events(), ElementsAre(event(Kind::New, route("100.96.2.0/24"))));
  must(ReplaceRoute{route("100.96.2.0/24")});
  EXPECT_THAT(events(), IsEmpty()) << "nothing to do";
  EXPECT_EQ(run(ReplaceRoute{behind}), refuse(EEXIST)) << "there, but not the first";
}

TEST_F(FakeNetlinkTest, ADeleteWithoutAMetricOrGatewayTakesTheFirstThatMatches) {
  Route late = route("100.96.2.0/24");
  late.metric = 7;
  must(ReplaceRoute{late});
  must(DeleteRoute{route("100.96.2.0/24")});
  EXPECT_THAT(routes("100.96.2.0/24"), IsEmpty());
}

TEST_F(FakeNetlinkTest, TheLookupTakesTheLongestThenTheLowestMetric) {
  Route refusal{.destination = net("100.96.2.0/24"),
                .metric = kRouteMetricLast,
                .type = RouteType::Unreachable,
                .protocol = kOwnProtocol};
  must(ReplaceRoute{refusal});
  refusal.destination = net("100.96.0.0/12");
  must(ReplaceRoute{refusal});
  EXPECT_EQ(kernel_.deliver(ip("100.96.2.5")).fate, PacketFate::Refused);
  must(ReplaceRoute{route("100.96.2.0/24")});
  EXPECT_EQ(kernel_.deliver(ip("100.96.2.5")).fate, PacketFate::Unresolved);
  EXPECT_EQ(kernel_.deliver(ip("100.96.3.5")).fate, PacketFate::Refused);
  EXPECT_EQ(kernel_.deliver(ip("100.96.1.0")).fate, PacketFate::Local);
  EXPECT_EQ(kernel_.deliver(ip("9.9.9.9")).fate, PacketFate::NoRoute);
}

TEST_F(FakeNetlinkTest, AGatewayIsJudged) {
  Route through = route("100.96.2.0/24");
  through.scope = 0;
  through.onlink = true;
  through.gateway = ip("100.96.1.0");
  EXPECT_EQ(run(ReplaceRoute{through}), refuse(EINVAL, "Nexthop has invalid gateway")) << "own";
  through.gateway = ip("100.96.2.0");
  through.scope = 253;
  EXPECT_EQ(run(ReplaceRoute{through}), refuse(EINVAL, "Nexthop has invalid scope"));
  through.scope = 0;
  must(ReplaceRoute{through});
  must(ChangeLink{.device = device_, .up = false});
  EXPECT_EQ(run(ReplaceRoute{through}), refuse(ENETDOWN, "Nexthop device is not up"));
}

// --- FDB ---

TEST_F(FakeNetlinkTest, ALearnedWriteOverAUsersEntryMovesItOnly) {
  must(ReplaceFdb{fdb(2)});
  FdbEntry learned = fdb(2);
  learned.dst = ip("172.20.0.99");
  learned.state = kNudReachable;
  learned.flags = kNtfExtLearned;
  must(ReplaceFdb{learned});
  FdbEntry moved = fdb(2);
  moved.dst = learned.dst;
  EXPECT_THAT(kernel_.fdb(device_), ElementsAre(moved));
  learned.mac = mac(3);
  must(ReplaceFdb{learned});
  must(ReplaceFdb{fdb(3)});
  EXPECT_EQ(kernel_.find_fdb(device_, mac(3))->front().dst, fdb(3).dst) << "a user takes over";
}

TEST_F(FakeNetlinkTest, TheAllZeroMacHasSeveralDestinations) {
  FdbEntry any = fdb(2);
  any.mac = MacAddress{};
  EXPECT_EQ(run(ReplaceFdb{any}), refuse(EOPNOTSUPP));
  ASSERT_EQ(kernel_.append_fdb(any, loop_.now()), accept());
  EXPECT_EQ(run(ReplaceFdb{any}), refuse(EOPNOTSUPP, "Cannot replace non-unicast fdb entries"));
  FdbEntry second = any;
  second.dst = ip("172.20.0.13");
  ASSERT_EQ(kernel_.append_fdb(second, loop_.now()), accept());
  EXPECT_THAT(kernel_.fdb(device_), ElementsAre(any, second));
  static_cast<void>(events());
  must(DeleteFdb{.device = device_, .mac = MacAddress{}});
  EXPECT_THAT(events(), ElementsAre(event(Kind::Deleted, any), event(Kind::Deleted, second)));
}

TEST_F(FakeNetlinkTest, AnAppendToAUnicastMacIsIgnored) {
  must(ReplaceFdb{fdb(2)});
  FdbEntry second = fdb(2);
  second.dst = ip("172.20.0.13");
  EXPECT_EQ(kernel_.append_fdb(second, loop_.now()), accept());
  EXPECT_THAT(kernel_.fdb(device_), ElementsAre(fdb(2)));
}

TEST_F(FakeNetlinkTest, AnFdbDumpMissesEntriesWhenOthersGo) {
  for (std::uint8_t i = 0; i < 3 * FakeNetlink::kRowsPerStep; ++i) {
    must(ReplaceFdb{fdb(i)});
  }
  const auto cursor = netlink_.dump({.table = Table::Fdb, .device = device_});
  const auto first = cursor->next();
  ASSERT_FALSE(first->finished);
  // One that was shown goes; the position is a number, so one is stepped over. Not of the next
  // step, which has been read already.
  must(DeleteFdb{.device = device_, .mac = std::get<FdbEntry>(first->rows[0].object).mac});
  EXPECT_EQ(cursor->next()->rows.size(), FakeNetlink::kRowsPerStep);
  std::size_t rows = 2 * FakeNetlink::kRowsPerStep;
  while (true) {
    const auto step = cursor->next();
    rows += step->rows.size();
    if (step->finished) {
      break;
    }
  }
  EXPECT_EQ(rows, 3 * FakeNetlink::kRowsPerStep - 1) << "though one was shown that is gone";
}

TEST_F(FakeNetlinkTest, ADumpIsAStepAheadOfItsReader) {
  must(ReplaceFdb{fdb(1)});
  const auto cursor = netlink_.dump({.table = Table::Fdb, .device = device_});
  must(DeleteFdb{.device = device_, .mac = fdb(1).mac});
  EXPECT_EQ(cursor->next()->rows.size(), 1U);
}

// --- Neighbours, misses and time ---

TEST_F(FakeNetlinkTest, AWriteWithoutMacIsRefusedAndLeavesAnEntryBehind) {
  Neighbour without = neighbour("100.96.2.5");
  without.lladdr.reset();
  EXPECT_EQ(run(ReplaceNeighbour{without}), refuse(EINVAL, "No link layer address given"));
  EXPECT_THAT(neighbours(), ElementsAre(Neighbour{.device = device_,
                                                  .address = ip("100.96.2.5"),
                                                  .flags = without.flags,
                                                  .protocol = without.protocol}));
  EXPECT_THAT(events(), IsEmpty());
}

TEST_F(FakeNetlinkTest, AProtocolIsStoredWithoutAWordAndNeverCleared) {
  Neighbour plain = neighbour("100.96.2.5");
  plain.protocol = 0;
  must(ReplaceNeighbour{plain});
  static_cast<void>(events());
  must(ReplaceNeighbour{neighbour("100.96.2.5")});
  EXPECT_THAT(events(), IsEmpty());
  must(ReplaceNeighbour{plain});
  EXPECT_THAT(neighbours(), ElementsAre(neighbour("100.96.2.5")));
}

TEST_F(FakeNetlinkTest, TheTimeOfAnUpdateIsThatOfTheLastChange) {
  must(ReplaceNeighbour{neighbour("100.96.2.5")});
  pass(seconds(5));
  must(ReplaceNeighbour{neighbour("100.96.2.5")});
  const auto cursor = netlink_.dump({.table = Table::Neighbours, .device = device_});
  EXPECT_EQ(cursor->next()->rows.front().since_update, seconds(5));
}

TEST_F(FakeNetlinkTest, AMissIsAskedAsOftenAsItSaysThenFails) {
  must(ReplaceRoute{route("100.96.2.0/24")});
  pass(seconds(2));  // the end of duplicate address detection is told too
  static_cast<void>(events());
  const Miss miss{.device = device_, .address = ip("100.96.2.5")};
  const Neighbour failed{.device = device_, .address = miss.address, .state = kNudFailed};
  kernel_.send_packet(miss.address, loop_.now());
  kernel_.send_packet(miss.address, loop_.now());  // waits with the first
  EXPECT_THAT(netlink_.take_misses(9), ElementsAre(miss));
  EXPECT_THAT(events(), IsEmpty()) << "nobody is told of an INCOMPLETE entry";
  pass(milliseconds(999));
  EXPECT_THAT(netlink_.take_misses(9), IsEmpty());
  pass(milliseconds(1));
  EXPECT_THAT(netlink_.take_misses(9), ElementsAre(miss));
  pass(seconds(1));
  EXPECT_THAT(netlink_.take_misses(9), IsEmpty());
  EXPECT_THAT(events(), ElementsAre(event(Kind::New, failed)));
  kernel_.send_packet(miss.address, loop_.now());
  EXPECT_THAT(netlink_.take_misses(9), ElementsAre(miss)) << "the next packet begins again";
}

TEST_F(FakeNetlinkTest, AnAnswerEndsTheAsking) {
  must(ReplaceRoute{route("100.96.2.0/24")});
  must(ReplaceFdb{fdb(2)});
  EXPECT_EQ(kernel_.send_packet(ip("100.96.2.5"), loop_.now()).fate, PacketFate::Unresolved);
  must(ReplaceNeighbour{neighbour("100.96.2.5")});
  EXPECT_EQ(
      kernel_.send_packet(ip("100.96.2.5"), loop_.now()),
      (Delivery{
          .fate = PacketFate::Vtep, .device = device_, .mac = mac(2), .vtep = ip("172.20.0.12")}));
  static_cast<void>(netlink_.take_misses(9));
  pass(seconds(10));
  EXPECT_THAT(netlink_.take_misses(9), IsEmpty());
}

TEST_F(FakeNetlinkTest, WithNobodyToAskAnEntryFailsAtOnceInSilence) {
  must(ReplaceRoute{route("100.96.2.0/24")});
  must(SetNeighbourParameters{
      .device = device_,
      .family = Family::V4,
      .parameters = {.app_solicit = 0, .ucast_solicit = 0, .mcast_solicit = 0}});
  static_cast<void>(events());
  kernel_.send_packet(ip("100.96.2.5"), loop_.now());
  EXPECT_EQ(neighbours().front().state, kNudFailed);
  EXPECT_THAT(events(), IsEmpty());
}

// --- The port's faults ---

TEST_F(FakeNetlinkTest, AFullQueueLosesTheNewestUntilItIsEmptied) {
  FakeNetlink small(kernel_, loop_, clock_, 3);
  for (const char* text : {"100.96.2.1", "100.96.2.2", "100.96.2.3", "100.96.2.4"}) {
    must(ReplaceNeighbour{neighbour(text)});
  }
  EXPECT_THAT(small.take_events(2),
              ElementsAre(KernelEvent{Overrun{}}, event(Kind::New, neighbour("100.96.2.1"))));
  must(ReplaceNeighbour{neighbour("100.96.2.5")});  // room, but not emptied yet: lost too
  EXPECT_THAT(small.take_events(9), ElementsAre(event(Kind::New, neighbour("100.96.2.2")),
                                                event(Kind::New, neighbour("100.96.2.3"))));
  must(ReplaceNeighbour{neighbour("100.96.2.6")});
  EXPECT_THAT(small.take_events(9), ElementsAre(event(Kind::New, neighbour("100.96.2.6"))));
}

TEST_F(FakeNetlinkTest, FaultsHitTheOperationTheyName) {
  netlink_.keep_executed();
  netlink_.fail_operation(1, ENOBUFS, "no room");
  netlink_.lose_answer(2, FakeNetlink::Executed::Yes);
  netlink_.lose_answer(3, FakeNetlink::Executed::No);
  const std::vector<KernelOp> ops{ReplaceFdb{fdb(1)}, ReplaceFdb{fdb(2)}, ReplaceFdb{fdb(3)},
                                  ReplaceFdb{fdb(4)}, ReplaceFdb{fdb(5)}};
  EXPECT_THAT(netlink_.apply(ops),
              ElementsAre(OpResult{accept()}, OpResult{refuse(ENOBUFS, "no room")},
                          OpResult{OpUnknown{}}, OpResult{OpUnknown{}}, OpResult{accept()}));
  EXPECT_THAT(kernel_.fdb(device_), ElementsAre(fdb(5), fdb(3), fdb(1)));
  EXPECT_THAT(netlink_.executed(), ElementsAre(ops[0], ops[2], ops[4]));
}

TEST_F(FakeNetlinkTest, AnotherWriterComesInBetween) {
  netlink_.before_operation([&](std::size_t number, const KernelOp&) {
    if (number == 1) {
      must(DeleteFdb{.device = device_, .mac = mac(1)});
    }
  });
  const std::vector<KernelOp> ops{ReplaceFdb{fdb(1)}, DeleteFdb{.device = device_, .mac = mac(1)}};
  EXPECT_THAT(netlink_.apply(ops), ElementsAre(OpResult{accept()}, OpResult{refuse(ENOENT)}));
}

TEST_F(FakeNetlinkTest, DumpsFailOnceWhenToldTo) {
  netlink_.interrupt_dump(Table::Routes);
  netlink_.fail_dump(Table::Links);
  EXPECT_EQ(netlink_.dump({.table = Table::Routes, .device = {}})->next().error().code,
            ErrorCode::Interrupted);
  EXPECT_EQ(netlink_.dump({.table = Table::Links, .device = {}})->next().error().code,
            ErrorCode::Environment);
  EXPECT_TRUE(netlink_.dump({.table = Table::Routes, .device = {}})->next());
  EXPECT_TRUE(netlink_.dump({.table = Table::Links, .device = {}})->next());
}

TEST_F(FakeNetlinkTest, MessagesBeforeASocketWasOpenAreNotMadeUpFor) {
  must(ReplaceFdb{fdb(2)});
  FakeNetlink late(kernel_, loop_, clock_);
  EXPECT_THAT(late.take_events(9), IsEmpty());
  must(ReplaceFdb{fdb(3)});
  EXPECT_THAT(late.take_events(9), ElementsAre(event(Kind::New, fdb(3))));
}

}  // namespace
}  // namespace vxmesh
