#include "decide/desired_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "decide/testing/generators.h"
#include "model/ownership.h"

namespace vxmesh {
namespace {

using generate::ip;
using generate::net;

std::map<IpPrefix, Owner> two_owners() {
  const Self self = generate::self();
  const Owner own{.node = "n0", .uid = self.uid, .vtep = self.vtep, .mac = self.mac};
  const Owner other{.node = "n2",
                    .uid = "n2-uid",
                    .vtep = ip("172.20.0.2"),
                    .mac = vtep_mac(net("100.96.2.0/24"), net("100.96.0.0/12"))};
  return {{self.pod_cidrs[0], own},
          {self.pod_cidrs[1], own},
          {net("100.96.2.0/24"), other},
          {net("fd00:96:0:2::/64"), other}};
}

TEST(DesiredState, DeviceIsThatOfTheNode) {
  const DesiredState desired = desired_state(generate::config(), generate::self(), {}, 1500);
  EXPECT_EQ(desired.device, (Link{.index = {},
                                  .name = "vxlan1",
                                  .mac = MacAddress::parse("00:53:64:60:c8:00").value(),
                                  .mtu = 1450,
                                  .up = true,
                                  .no_arp = false,
                                  .group = kOwnLinkGroup,
                                  .kind = "vxlan",
                                  .master = std::nullopt,
                                  .vxlan = VxlanLink{.vni = Vni{1},
                                                     .port = 4789,
                                                     .local = ip("172.20.0.200"),
                                                     .learning = false,
                                                     .external = false}}));
  EXPECT_EQ(desired.rp_filter, 2);
  ASSERT_EQ(desired.parameters.size(), 2U);
  for (const auto& [family, parameters] : desired.parameters) {
    EXPECT_GE(parameters.app_solicit, 1U);
    EXPECT_EQ(parameters.ucast_solicit, 0U) << "no ARP enters the tunnel";
    EXPECT_EQ(parameters.mcast_solicit, 0U);
    EXPECT_EQ(parameters.mcast_resolicit, 0U);
  }
}

TEST(DesiredState, MtuFollowsConfigurationThenUnderlay) {
  OverlayConfig config = generate::config();
  const auto mtu = [&](std::uint32_t underlay) {
    return desired_state(config, generate::self(), {}, underlay).device.mtu;
  };
  EXPECT_EQ(mtu(9001), 8951U);
  EXPECT_EQ(mtu(60), 68U) << "the kernel takes no less";
  config.underlay = Family::V6;
  EXPECT_EQ(mtu(1500), 1430U);
  config.mtu = 1400;
  EXPECT_EQ(mtu(1500), 1400U);
}

TEST(DesiredState, AddressesCarryTheOverlaysMaskOnlyInIpv4) {
  const DesiredState desired = desired_state(generate::config(), generate::self(), {}, 1500);
  EXPECT_THAT(desired.addresses, testing::ElementsAre(IfAddress{.device = {},
                                                                .address = ip("100.96.200.0"),
                                                                .length = 12,
                                                                .no_prefix_route = true,
                                                                .scope = 0},
                                                      IfAddress{.device = {},
                                                                .address = ip("fd00:96:0:200::"),
                                                                .length = 128,
                                                                .no_prefix_route = true,
                                                                .scope = 0}));
}

TEST(DesiredState, RefusesTheOverlayAndTheOwnPodCidrsBehindEveryOtherRoute) {
  const DesiredState desired = desired_state(generate::config(), generate::self(), {}, 1500);
  std::set<IpPrefix> refused;
  for (const Route& route : desired.refusals) {
    refused.insert(route.destination);
    EXPECT_EQ(route.type, RouteType::Unreachable);
    EXPECT_EQ(route.metric, 4294967295U);
    EXPECT_EQ(route.table, kRouteTableMain);
    EXPECT_EQ(route.protocol, 118);
    EXPECT_EQ(route.device, std::nullopt);
  }
  std::set<IpPrefix> wanted(generate::config().cidrs.begin(), generate::config().cidrs.end());
  wanted.insert({net("100.96.200.0/24"), net("fd00:96:0:200::/64")});
  EXPECT_EQ(refused, wanted);
}

TEST(DesiredState, PeersAreTheOthers) {
  const DesiredState desired =
      desired_state(generate::config(), generate::self(), two_owners(), 1500);
  const Peer peer{.node = "n2",
                  .mac = MacAddress::parse("00:53:64:60:02:00").value(),
                  .vtep = ip("172.20.0.2")};
  EXPECT_EQ(desired.peers, (Peers{{net("100.96.2.0/24"), peer}, {net("fd00:96:0:2::/64"), peer}}));
}

TEST(DesiredState, NodeThatLostItsPodCidrNeverRoutesItIntoTheTunnel) {
  Self self = generate::self();
  self.lost_pod_cidr = true;
  const Owner winner{.node = "old", .uid = "old", .vtep = ip("172.20.0.9"), .mac = self.mac};
  const Owner inner{.node = "in", .uid = "in", .vtep = ip("172.20.0.8"), .mac = MacAddress{}};
  EXPECT_TRUE(
      desired_state(generate::config(), self, {{self.pod_cidrs[0], winner}}, 1500).peers.empty());
  const DesiredState half =
      desired_state(generate::config(), self,
                    {{net("100.96.200.128/25"), inner}, {net("fd00:96:0:7::/64"), inner}}, 1500);
  EXPECT_THAT(half.peers, testing::ElementsAre(testing::Key(net("fd00:96:0:7::/64"))));
  EXPECT_NE(find_peer(half, inner.mac), nullptr);
  EXPECT_TRUE(desired_state(generate::config(), self, {{net("100.96.200.0/23"), winner}}, 1500)
                  .peers.empty())
      << "it has our MAC";
  EXPECT_EQ(
      desired_state(generate::config(), self, {{net("100.96.192.0/20"), inner}}, 1500).peers.size(),
      1U)
      << "what is wider is behind our own";
}

TEST(DesiredState, RowsOfAPeer) {
  const Peer peer{.node = "n2", .mac = MacAddress{{2}}, .vtep = ip("172.20.0.2")};
  EXPECT_EQ(peer_route(net("100.96.2.0/24"), IfIndex{7}),
            (Route{.destination = net("100.96.2.0/24"),
                   .metric = 0,
                   .table = 254,
                   .type = RouteType::Unicast,
                   .scope = 253,
                   .protocol = 118,
                   .device = IfIndex{7}}));
  EXPECT_EQ(peer_route(net("fd00:96:0:2::/64"), IfIndex{7}),
            (Route{.destination = net("fd00:96:0:2::/64"),
                   .metric = 1024,
                   .table = 254,
                   .type = RouteType::Unicast,
                   .scope = 0,
                   .protocol = 118,
                   .device = IfIndex{7}}))
      << "as the kernel reports it";
  EXPECT_EQ(peer_fdb(peer, IfIndex{7}), (FdbEntry{.device = IfIndex{7},
                                                  .mac = peer.mac,
                                                  .dst = peer.vtep,
                                                  .state = kNudPermanent,
                                                  .flags = kNtfSelf}));
  EXPECT_EQ(on_demand_neighbour(ip("100.96.2.9"), peer, IfIndex{7}),
            (Neighbour{.device = IfIndex{7},
                       .address = ip("100.96.2.9"),
                       .lladdr = peer.mac,
                       .state = kNudNoarp,
                       .flags = kNtfExtLearned,
                       .protocol = 118}));
}

RC_GTEST_PROP(DesiredStateProperty, UpdateOfTheChangedEqualsTheStateAfresh, ()) {
  const OverlayConfig& config = generate::config();
  const Self self = generate::self();
  NodeCache cache("n0", config);
  (void)cache.replace(*rc::gen::container<std::vector<Node>>(generate::node()), {});
  DesiredState desired = desired_state(config, self, cache.owners(), 1500);
  const NodeCacheChange change =
      cache.replace(*rc::gen::container<std::vector<Node>>(generate::node()), {});
  update_peers(desired, self, cache.owners(), change.prefixes);
  RC_ASSERT(desired == desired_state(config, self, cache.owners(), 1500));
}

RC_GTEST_PROP(DesiredStateProperty, PeerIsFoundByAddressAndByMac, ()) {
  const DesiredState desired =
      desired_state(generate::config(), generate::self(), *generate::owners(), 1500);
  const IpPrefix near = *generate::pod_cidr(*rc::gen::element(Family::V4, Family::V6));
  const IpAddress address = *generate::address_in(near);
  const MacAddress mac = vtep_mac(near, *overlay_of(generate::config(), near));
  const Peers::value_type* by_address = nullptr;
  bool has_mac = false;
  for (const auto& peer : desired.peers) {
    by_address = peer.first.contains(address) ? &peer : by_address;
    has_mac = has_mac || peer.second.mac == mac;
  }
  RC_ASSERT(find_peer(desired.peers, address) == by_address);
  const auto* by_mac = find_peer(desired, mac);
  RC_ASSERT((by_mac != nullptr) == has_mac);
  if (by_mac != nullptr) {
    RC_ASSERT(by_mac->second.mac == mac);
  }
}

}  // namespace
}  // namespace vxmesh
