// Walks over tables that are written out, and the order in which routes are taken.
#include "explain/packet_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "explain/route_lookup.h"
#include "explain/writer.h"
#include "model/ownership.h"

namespace vxmesh {
namespace {

using testing::HasSubstr;

constexpr IfIndex kEth{2};
constexpr IfIndex kBridge{3};
constexpr IfIndex kOverlay{4};

IpAddress ip(const std::string& text) {
  return IpAddress::parse(text).value();
}
IpPrefix prefix(const std::string& text) {
  return IpPrefix::parse(text).value();
}
MacAddress mac_of(int node) {
  return MacAddress{{0x00, 0x53, 100, 96, static_cast<std::uint8_t>(node), 0}};
}
std::string pods_of(int node) {
  return "100.96." + std::to_string(node);
}
IpAddress underlay_of(int node) {
  return ip("172.20.0." + std::to_string(node));
}

Route route(const std::string& destination, std::optional<IfIndex> device) {
  return Route{.destination = prefix(destination), .protocol = kOwnProtocol, .device = device};
}
Route local_route(const IpAddress& address, IfIndex device) {
  return Route{.destination = IpPrefix::containing(address, address_bits(address.family())),
               .table = kRouteTableLocal,
               .type = RouteType::Local,
               .scope = kScopeHost,
               .protocol = kRouteProtocolKernel,
               .device = device};
}

// Node `self` of nodes 1 and 2, as its agent programs it, with the pod .5 of the other resolved.
HostSnapshot host(int self) {
  const int peer = 3 - self;
  KernelState kernel;
  kernel.links = {
      {kEth, {.index = kEth, .name = "eth0", .mac = {}, .mtu = 1500, .up = true, .kind = {}}},
      {kBridge,
       {.index = kBridge, .name = "cbr0", .mac = {}, .mtu = 1450, .up = true, .kind = "bridge"}},
      {kOverlay,
       {.index = kOverlay,
        .name = "vxlan1",
        .mac = mac_of(self),
        .mtu = 1450,
        .up = true,
        .group = kOwnLinkGroup,
        .kind = "vxlan",
        .vxlan = VxlanLink{
            .vni = Vni{1}, .port = 4789, .local = underlay_of(self), .learning = false}}}};
  kernel.addresses = {{.device = kEth, .address = underlay_of(self), .length = 24}};
  Route refusal = route("100.96.0.0/12", std::nullopt);
  refusal.type = RouteType::Unreachable;
  refusal.metric = kRouteMetricLast;
  Route connected = route(pods_of(self) + ".0/24", kBridge);
  connected.protocol = kRouteProtocolKernel;
  Route on_link = route("172.20.0.0/24", kEth);
  on_link.protocol = kRouteProtocolKernel;
  kernel.routes = {refusal, connected, on_link, local_route(underlay_of(self), kEth),
                   route(pods_of(peer) + ".0/24", kOverlay)};
  kernel.fdb = {{.device = kOverlay,
                 .mac = mac_of(peer),
                 .dst = underlay_of(peer),
                 .state = kNudPermanent,
                 .flags = kNtfSelf}};
  const IpAddress pod = ip(pods_of(peer) + ".5");
  kernel.neighbours = {{pod,
                        {.device = kOverlay,
                         .address = pod,
                         .lladdr = mac_of(peer),
                         .state = kNudNoarp,
                         .flags = kNtfExtLearned,
                         .protocol = kOwnProtocol}}};
  return {.node = "n" + std::to_string(self),
          .pod_cidrs = {prefix(pods_of(self) + ".0/24")},
          .underlay = {underlay_of(self)},
          .device = "vxlan1",
          .kernel = kernel};
}

class PacketWalkTest : public testing::Test {
 protected:
  [[nodiscard]] PacketWalk walk_to(const std::string& destination) const {
    return walk({.from_node = "n1", .source = ip("100.96.1.7"), .destination = ip(destination)},
                hosts);
  }
  KernelState& kernel(int node) { return hosts[static_cast<std::size_t>(node - 1)].kernel; }

  std::vector<HostSnapshot> hosts{host(1), host(2)};
};

TEST_F(PacketWalkTest, AWholeWalkReadsLikeATraceroute) {
  EXPECT_EQ(
      format(walk_to("100.96.2.5")),
      "100.96.1.7 (n1) > 100.96.2.5\n"
      "1   n1  route       100.96.2.5 -> 100.96.2.0/24 dev #4 table 254 proto 118 scope 0 metric 0 "
      "(vxlan1, ours)\n"
      "2   n1  neighbour   100.96.2.5 -> 100.96.2.5 dev #4 lladdr 00:53:64:60:02:00 NOARP flags 16 "
      "proto 118 (vxlan1, ours)\n"
      "3   n1  fdb         00:53:64:60:02:00 -> 00:53:64:60:02:00 dev #4 dst 172.20.0.2 state "
      "PERMANENT flags 2 (vxlan1, ours)\n"
      "4   n1  underlay    172.20.0.2 -> 172.20.0.0/24 dev #2 table 254 proto 2 scope 0 metric 0 "
      "(eth0, the kernel)\n"
      "5   n2  tunnel      VNI 1 on UDP port 4789 to 172.20.0.2 -> vxlan1 #4 00:53:64:60:02:00 mtu "
      "1450 up vxlan id 1 dstport 4789 local 172.20.0.2 nolearning group 7764077 (vxlan1, ours)\n"
      "6   n2  route       100.96.2.5 -> 100.96.2.0/24 dev #3 table 254 proto 2 scope 0 metric 0 "
      "(cbr0, the kernel)\n"
      "delivered at n2: n2 sends it out of cbr0, where its pods are");
}

TEST_F(PacketWalkTest, TheFirstWrongHopIsNamedWithItsWriter) {
  kernel(1).neighbours.begin()->second.lladdr = mac_of(9);
  kernel(1).neighbours.begin()->second.protocol = 4;
  const PacketWalk found = walk_to("100.96.2.5");
  EXPECT_EQ(found.verdict, WalkVerdict::NoFdbEntry);
  EXPECT_EQ(found.first_wrong,
            (WrongHop{.hop = 1,
                      .what = "100.96.2.5 belongs to n2, but n1 resolves it to 00:53:64:60:09:00, "
                              "which is not that node's MAC",
                      .writer = "somebody else, protocol 4"}));
  EXPECT_THAT(format(found), HasSubstr("\n3   n1  fdb         00:53:64:60:09:00 -> nothing\n"
                                       "first wrong: hop 2, "));
  EXPECT_THAT(format(found),
              HasSubstr("(written by: somebody else, protocol 4)\nno FDB entry at "));
}

TEST_F(PacketWalkTest, AMissIsTheSendersToAnswer) {
  const PacketWalk found = walk_to("100.96.2.6");
  EXPECT_EQ(found.verdict, WalkVerdict::Unresolved);
  EXPECT_EQ(found.reason,
            "n1 has no MAC for 100.96.2.6: the agent of n1 must answer with the MAC "
            "of n2, 00:53:64:60:02:00");
}

TEST_F(PacketWalkTest, AnAddressOfNobodyIsRefusedAndNothingIsWrong) {
  const PacketWalk found = walk_to("100.96.9.5");
  EXPECT_EQ(found.verdict, WalkVerdict::Refused);
  EXPECT_EQ(found.first_wrong, std::nullopt);
}

TEST_F(PacketWalkTest, ARefusedPodIsTheLackOfItsRoute) {
  kernel(1).routes.erase(route("100.96.2.0/24", kOverlay));
  kernel(1).links.at(kOverlay).up = false;
  const PacketWalk found = walk_to("100.96.2.5");
  EXPECT_EQ(found.verdict, WalkVerdict::Refused);
  ASSERT_TRUE(found.first_wrong);
  EXPECT_EQ(found.first_wrong->what,
            "100.96.2.5 belongs to n2, but n1 refuses it; its vxlan1 is down");
}

TEST_F(PacketWalkTest, AnUnderlayAddressThatHasMovedIsTheFdbs) {
  hosts[1].underlay = {underlay_of(8)};
  hosts.push_back({.node = "n3",
                   .pod_cidrs = {},
                   .underlay = {underlay_of(2)},
                   .device = "vxlan1",
                   .kernel = {}});
  const PacketWalk found = walk_to("100.96.2.5");
  EXPECT_EQ(found.verdict, WalkVerdict::DroppedAtDecap);
  EXPECT_EQ(found.node, "n3");
  ASSERT_TRUE(found.first_wrong);
  EXPECT_EQ(found.hops[found.first_wrong->hop].table, WalkTable::Fdb);
}

TEST_F(PacketWalkTest, ANodesOwnAddressIsReachedThroughTheUnderlay) {
  const PacketWalk found = walk_to("172.20.0.2");
  EXPECT_EQ(found.verdict, WalkVerdict::Delivered);
  EXPECT_EQ(found.node, "n2");
  EXPECT_EQ(walk_to("172.20.0.9").verdict, WalkVerdict::LeftOverlay);
}

TEST_F(PacketWalkTest, IPv4TakesNoOuterSourceOfSomebodyElse) {
  kernel(1).links.at(kOverlay).vxlan->local = underlay_of(9);
  EXPECT_EQ(walk_to("100.96.2.5").verdict, WalkVerdict::DroppedAtEncap);
}

TEST_F(PacketWalkTest, SizesCountAtEveryDevice) {
  const auto verdict = [&](std::uint32_t bytes) {
    return walk({.from_node = "n1",
                 .source = ip("100.96.1.7"),
                 .destination = ip("100.96.2.5"),
                 .bytes = bytes},
                hosts);
  };
  EXPECT_EQ(verdict(1450).verdict, WalkVerdict::Delivered);
  EXPECT_EQ(verdict(1450).first_wrong, std::nullopt);
  EXPECT_EQ(verdict(1451).verdict, WalkVerdict::MtuTooSmall);
  kernel(1).links.at(kOverlay).mtu = 1500;
  EXPECT_EQ(verdict(1451).node, "n2");  // whose bridge has no room for it
  ASSERT_TRUE(verdict(1451).first_wrong);
  EXPECT_THAT(verdict(1451).first_wrong->what, HasSubstr("goes in fragments"));
}

// The kernel takes the routes of such a device away; tables read one after the other may differ.
TEST_F(PacketWalkTest, ARouteToADeviceThatIsDownOrGoneLeadsNowhere) {
  kernel(1).links.at(kOverlay).up = false;
  EXPECT_EQ(walk_to("100.96.2.5").verdict, WalkVerdict::DeviceDown);
  kernel(1).links.erase(kOverlay);
  const PacketWalk found = walk_to("100.96.2.5");
  EXPECT_EQ(found.verdict, WalkVerdict::DeviceDown);
  EXPECT_EQ(found.reason, "n1's route leads to device #4, which is not there");
}

TEST_F(PacketWalkTest, TwoNodesThatSendToEachOtherMakeALoop) {
  HostSnapshot& second = hosts[1];
  second.kernel.routes = {local_route(underlay_of(2), kEth), route("172.20.0.0/24", kEth),
                          route("100.96.2.0/24", kOverlay)};
  const IpAddress pod = ip("100.96.2.5");
  second.kernel.neighbours[pod] = {
      .device = kOverlay, .address = pod, .lladdr = mac_of(1), .state = kNudPermanent};
  const PacketWalk found = walk_to("100.96.2.5");
  EXPECT_EQ(found.verdict, WalkVerdict::Loop);
  EXPECT_EQ(found.node, "n1");
  ASSERT_TRUE(found.first_wrong);
  EXPECT_EQ(found.first_wrong->what, "100.96.2.5 belongs to n2, which sends it into the overlay");
}

TEST(RowWriter, IsReadFromTheRow) {
  Neighbour neighbour{.device = kOverlay, .address = ip("100.96.2.5"), .state = kNudFailed};
  EXPECT_EQ(writer_of(neighbour), "the kernel");
  neighbour.state = kNudPermanent;
  EXPECT_EQ(writer_of(neighbour), "somebody else, protocol 0");
  Link device{.index = kOverlay, .kind = "vxlan", .vxlan = VxlanLink{}};
  EXPECT_EQ(writer_of(device), "somebody else");
  EXPECT_EQ(writer_of(FdbEntry{.device = kOverlay}, device), "somebody else");
  device.group = kOwnLinkGroup;
  EXPECT_EQ(writer_of(device), "ours");
  EXPECT_EQ(writer_of(FdbEntry{.device = kOverlay}, device), "ours");
}

// --- The order of routes ---

TEST(FindRoute, IPv6AsksTheTableLocalFirstAndIPv4TheLongestPrefix) {
  for (const bool v4 : {true, false}) {
    Route wide = route(v4 ? "10.0.0.0/8" : "fd00::/16", kEth);
    wide.table = kRouteTableLocal;
    const Route narrow = route(v4 ? "10.1.0.0/16" : "fd00:1::/32", kBridge);
    const KernelState kernel{
        .links = {}, .addresses = {}, .routes = {wide, narrow}, .fdb = {}, .neighbours = {}};
    const Route* found = find_route(kernel, ip(v4 ? "10.1.0.5" : "fd00:1::5"));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(*found, v4 ? narrow : wide);
  }
}

TEST(FindRoute, ThrowEndsTheSearchOfItsTable) {
  Route thrown = route("fd00:1::/32", std::nullopt);
  thrown.type = RouteType::Throw;
  KernelState kernel;
  kernel.routes = {route("fd00::/16", kEth), thrown};
  EXPECT_EQ(find_route(kernel, ip("fd00:1::5")), nullptr);
  EXPECT_NE(find_route(kernel, ip("fd00:2::5")), nullptr);
  Route thrown_locally = thrown;
  thrown_locally.table = kRouteTableLocal;
  kernel.routes = {route("fd00::/16", kEth), thrown_locally};
  EXPECT_NE(find_route(kernel, ip("fd00:1::5")), nullptr);
}

// What is taken holds the address, is of a table that counts, and no rival is better.
RC_GTEST_PROP(FindRoute, TakesTheLongestPrefixThenTheLowestMetric, ()) {
  const IpAddress destination = ip("100.96.2.5");
  KernelState kernel;
  const int count = *rc::gen::inRange(0, 12);
  for (int i = 0; i < count; ++i) {
    const auto length = *rc::gen::inRange<std::uint8_t>(0, 33);
    const int twist = *rc::gen::inRange(0, 4);
    const IpAddress base = twist == 0 ? ip("228.96.2.5") : destination;
    kernel.routes.insert({.destination = IpPrefix::containing(base, length),
                          .metric = *rc::gen::inRange<std::uint32_t>(0, 4),
                          .table = twist == 1 ? 100 : kRouteTableMain,
                          .device = kEth});
  }
  const Route* found = find_route(kernel, destination);
  for (const Route& rival : kernel.routes) {
    if (rival.table == kRouteTableMain && rival.destination.contains(destination)) {
      RC_ASSERT(static_cast<bool>(found));
      RC_ASSERT(rival.destination.length() <= found->destination.length());
      RC_ASSERT(rival.destination != found->destination || rival.metric >= found->metric);
    }
  }
  if (found != nullptr) {
    RC_ASSERT(found->table == kRouteTableMain);
    RC_ASSERT(found->destination.contains(destination));
  }
}

}  // namespace
}  // namespace vxmesh
