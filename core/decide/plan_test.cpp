#include "decide/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <vector>

#include "decide/testing/generators.h"
#include "model/ownership.h"

namespace vxmesh {

// What a failed expectation prints.
void PrintTo(const PlannedOp& planned, std::ostream* out) {
  *out << (planned.target.vtep ? format(*planned.target.vtep) : "device") << ": "
       << format(planned.op);
}

namespace {

using generate::conforming;
using generate::ip;
using generate::kDevice;
using generate::kUnderlay;
using generate::net;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Stage = std::vector<PlannedOp>;

const IpPrefix kPodCidr2 = net("100.96.2.0/24");
const IpPrefix kPodCidr3 = net("100.96.3.0/24");
const MacAddress kMac2 = vtep_mac(kPodCidr2, net("100.96.0.0/12"));
const MacAddress kMac3 = vtep_mac(kPodCidr3, net("100.96.0.0/12"));
const Peer kPeer2{.node = "n2", .mac = kMac2, .vtep = ip("172.20.0.2")};
const Peer kPeer3{.node = "n3", .mac = kMac3, .vtep = ip("172.20.0.3")};

// Our own node, IPv4 only, with these peers.
DesiredState desired_with(const Peers& peers) {
  Self self = generate::self();
  self.pod_cidrs.resize(1);
  std::map<IpPrefix, Owner> owners;
  for (const auto& [pod_cidr, peer] : peers) {
    owners[pod_cidr] = {.node = peer.node, .uid = peer.node, .vtep = peer.vtep, .mac = peer.mac};
  }
  return desired_state(generate::config(), self, owners, generate::kUnderlayMtu);
}

PlannedOp on_device(KernelOp op) {
  return {.target = {}, .op = std::move(op)};
}
PlannedOp on(const MacAddress& mac, KernelOp op) {
  return {.target = {mac}, .op = std::move(op)};
}

ReplaceRoute route_to(const IpPrefix& pod_cidr, IfIndex device = kDevice) {
  return {peer_route(pod_cidr, device)};
}
ReplaceFdb fdb_of(const Peer& peer, IfIndex device = kDevice) {
  return {peer_fdb(peer, device)};
}
ReplaceNeighbour neighbour_of(const char* address, const Peer& peer) {
  return {on_demand_neighbour(ip(address), peer, kDevice)};
}

Plan plan_for(const Peers& peers, const ActualState& actual, Prune prune = Prune::Yes) {
  return plan_all(desired_with(peers), actual, prune);
}

void put(ActualState& actual, const Neighbour& neighbour) {
  actual.tables.neighbours.insert_or_assign(neighbour.address, neighbour);
}

// --- The device ---

TEST(Plan, SetsUpAnEmptyKernelInTheOrderThatLosesNoPacket) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  ActualState empty;
  const Plan plan = plan_all(desired, empty, Prune::Yes);
  ASSERT_EQ(plan.stages.size(), 6U);
  EXPECT_THAT(plan.stages[0], ElementsAre(on_device(CreateVxlan{desired.device})));
  EXPECT_THAT(plan.stages[1],
              ElementsAre(on_device(ChangeLink{.device = kCreatedDevice, .rp_filter = 2}),
                          on_device(SetNeighbourParameters{
                              .device = kCreatedDevice,
                              .family = Family::V4,
                              .parameters = desired.parameters.at(Family::V4)})));
  EXPECT_THAT(plan.stages[2], ElementsAre(on(kMac2, fdb_of(kPeer2, kCreatedDevice))));
  EXPECT_THAT(plan.stages[3],
              ElementsAre(on_device(ChangeLink{.device = kCreatedDevice, .up = true})));
  EXPECT_THAT(plan.stages[4], ElementsAre(on_device(ReplaceAddress{*desired.addresses.begin()})));
  Stage routes;
  for (const Route& refusal : desired.refusals) {
    routes.push_back(on_device(ReplaceRoute{refusal}));
  }
  routes.push_back(on(kMac2, route_to(kPodCidr2, kCreatedDevice)));
  EXPECT_EQ(plan.stages[5], routes) << "what is refused first";
  EXPECT_FALSE(plan.disruptive) << "there was nothing to disrupt";
  EXPECT_EQ(plan.size(), 1U + 2U + 1U + 1U + 1U + routes.size());
}

TEST(Plan, CreatedDeviceIsBoundEverywhere) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  Plan plan = plan_all(desired, {}, Prune::Yes);
  for (Stage& stage : plan.stages) {
    bind_created_device(stage, IfIndex{42});
  }
  EXPECT_THAT(plan.stages[1],
              ElementsAre(on_device(ChangeLink{.device = IfIndex{42}, .rp_filter = 2}),
                          on_device(SetNeighbourParameters{
                              .device = IfIndex{42},
                              .family = Family::V4,
                              .parameters = desired.parameters.at(Family::V4)})));
  EXPECT_THAT(plan.stages[2], ElementsAre(on(kMac2, fdb_of(kPeer2, IfIndex{42}))));
  EXPECT_EQ(std::get<ReplaceAddress>(plan.stages[4][0].op).address.device, IfIndex{42});
  EXPECT_EQ(std::get<ReplaceRoute>(plan.stages[5].back().op).route.device, IfIndex{42});
  EXPECT_EQ(std::get<ReplaceRoute>(plan.stages[5].front().op).route.device, std::nullopt)
      << "a refusal has no device";
  Stage neighbours{on(kMac2, ReplaceNeighbour{on_demand_neighbour(ip("100.96.2.9"), kPeer2, {})})};
  bind_created_device(neighbours, IfIndex{42});
  EXPECT_EQ(std::get<ReplaceNeighbour>(neighbours[0].op).neighbour.device, IfIndex{42});
}

TEST(Plan, CorrectsADeviceInPlaceItsMtuInAMessageOfItsOwn) {
  const DesiredState desired = desired_with({});
  ActualState actual = conforming(desired);
  Link& device = actual.tables.links.at(kDevice);
  device.mtu = 1500;
  device.vxlan->local = ip("172.20.0.7");
  device.vxlan->learning = true;
  device.up = false;
  actual.rp_filter = 1;
  actual.parameters[Family::V4].mcast_solicit = 3;
  const Plan plan = plan_all(desired, actual, Prune::Yes);
  ASSERT_EQ(plan.stages.size(), 2U);
  EXPECT_THAT(
      plan.stages[0],
      ElementsAre(
          on_device(ChangeLink{.device = kDevice, .mtu = 1450, .rp_filter = 2}),
          on_device(ChangeLink{
              .device = kDevice, .vxlan_local = ip("172.20.0.200"), .vxlan_learning = false}),
          on_device(SetNeighbourParameters{.device = kDevice,
                                           .family = Family::V4,
                                           .parameters = desired.parameters.at(Family::V4)})));
  EXPECT_THAT(plan.stages[1], ElementsAre(on_device(ChangeLink{.device = kDevice, .up = true})));
  EXPECT_FALSE(plan.disruptive);
}

TEST(Plan, WritesParametersThatWereNotRead) {
  const DesiredState desired = desired_with({});
  ActualState actual = conforming(desired);
  actual.rp_filter.reset();
  actual.parameters.clear();
  EXPECT_EQ(plan_all(desired, actual, Prune::Yes).size(), 2U);
}

TEST(Plan, RebuildsWhatTheKernelCannotChange) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  const auto rebuilt = [&](auto change) {
    ActualState actual = conforming(desired);
    put(actual, on_demand_neighbour(ip("100.96.2.9"), kPeer2, kDevice));
    change(actual.tables.links.at(kDevice));
    const Plan plan = plan_all(desired, actual, Prune::No);
    ActualState empty;
    empty.tables.routes = desired.refusals;
    Plan from_nothing = plan_all(desired, empty, Prune::No);
    from_nothing.stages.insert(from_nothing.stages.begin(), Stage{on_device(DeleteLink{kDevice})});
    from_nothing.disruptive = true;
    return plan == from_nothing;
  };
  EXPECT_TRUE(rebuilt([](Link& link) { link.vxlan->vni = Vni{2}; }));
  EXPECT_TRUE(rebuilt([](Link& link) { link.vxlan->port = 8472; }));
  EXPECT_TRUE(rebuilt([](Link& link) { link.vxlan->local = ip("2001:db8::1"); }));
  EXPECT_TRUE(rebuilt([](Link& link) { link.vxlan->external = true; }));
  EXPECT_TRUE(rebuilt([](Link& link) { link.mac = kMac3; }));
  EXPECT_TRUE(rebuilt([](Link& link) { link.no_arp = true; }));
  EXPECT_TRUE(rebuilt([](Link& link) { link.master = kUnderlay; }));
  EXPECT_FALSE(rebuilt([](Link& link) { link.mtu = 1400; }));
  EXPECT_FALSE(rebuilt([](Link& link) { link.vxlan->local = std::nullopt; }));
}

TEST(Plan, DeviceOfAnotherIsAConflictThatNamesIt) {
  const DesiredState desired = desired_with({});
  const auto conflict = [&](auto change) {
    KernelState tables = conforming(desired).tables;
    Link other = desired.device;
    other.index = IfIndex{9};
    other.name = "other0";
    change(tables, other);
    return device_conflict(desired, tables);
  };
  const auto add = [](KernelState& tables, const Link& link) { tables.links[link.index] = link; };
  const Result<void> same_vni = conflict(add);
  ASSERT_FALSE(same_vni) << "even one in our link group";
  EXPECT_NE(same_vni.error().context.find("other0"), std::string::npos);
  EXPECT_TRUE(conflict([&](KernelState& tables, Link& link) {
    link.vxlan->vni = Vni{2};
    add(tables, link);
  }));
  EXPECT_TRUE(conflict([&](KernelState& tables, Link& link) {
    link.vxlan->port = 8472;
    add(tables, link);
  }));
  EXPECT_FALSE(conflict([&](KernelState& tables, Link&) { tables.links.at(kDevice).group = 0; }))
      << "our name without our mark";
  EXPECT_FALSE(conflict([&](KernelState& tables, Link&) {
    tables.links.at(kDevice).vxlan.reset();
    tables.links.at(kDevice).kind = "dummy";
  }));
}

TEST(PlanDeathTest, NothingIsPlannedOverAConflict) {
  const DesiredState desired = desired_with({});
  ActualState actual = conforming(desired);
  actual.tables.links.at(kDevice).group = 0;
  EXPECT_DEATH((void)plan_all(desired, actual, Prune::Yes), "nobody else holds");
  const DesiredState more = desired_with({{kPodCidr2, kPeer2}});
  EXPECT_TRUE(plan_changes(more, actual, {kPodCidr2}, Prune::Yes).empty());
}

// --- Peers ---

TEST(Plan, PeerThatComesGetsFdbBeforeRoute) {
  const Plan plan = plan_for({{kPodCidr2, kPeer2}}, conforming(desired_with({})));
  EXPECT_EQ(plan.stages,
            (std::vector<Stage>{{on(kMac2, fdb_of(kPeer2))}, {on(kMac2, route_to(kPodCidr2))}}));
}

TEST(Plan, PeerThatGoesLosesRouteThenNeighboursThenFdb) {
  ActualState actual = conforming(desired_with({{kPodCidr2, kPeer2}, {kPodCidr3, kPeer3}}));
  put(actual, on_demand_neighbour(ip("100.96.2.9"), kPeer2, kDevice));
  put(actual, on_demand_neighbour(ip("100.96.3.9"), kPeer3, kDevice));
  const Plan plan = plan_for({{kPodCidr3, kPeer3}}, actual);
  EXPECT_EQ(plan.stages,
            (std::vector<Stage>{
                {on(kMac2, DeleteRoute{peer_route(kPodCidr2, kDevice)})},
                {on(kMac2, DeleteNeighbour{.device = kDevice, .address = ip("100.96.2.9")})},
                {on(kMac2, DeleteFdb{.device = kDevice, .mac = kMac2})}}));
  EXPECT_FALSE(plan.disruptive);
  EXPECT_TRUE(plan_for({{kPodCidr3, kPeer3}}, actual, Prune::No).empty());
}

TEST(Plan, AddressThatChangesIsOneReplace) {
  Peer moved = kPeer2;
  moved.vtep = ip("172.20.0.22");
  for (const Prune prune : {Prune::Yes, Prune::No}) {
    const Plan plan =
        plan_for({{kPodCidr2, moved}}, conforming(desired_with({{kPodCidr2, kPeer2}})), prune);
    EXPECT_EQ(plan.stages, (std::vector<Stage>{{on(kMac2, fdb_of(moved))}}));
    EXPECT_TRUE(plan.disruptive);
  }
}

TEST(Plan, Ipv6PodCidrThatChangesItsOwnerMovesItsNeighboursEvenWithoutPruning) {
  const IpPrefix pod_cidr = net("fd00:96:0:2::/64");
  ActualState actual = conforming(desired_with({{pod_cidr, kPeer2}}));
  put(actual, on_demand_neighbour(ip("fd00:96:0:2::9"), kPeer2, kDevice));
  const Plan plan = plan_for({{pod_cidr, kPeer3}}, actual, Prune::No);
  EXPECT_EQ(plan.stages, (std::vector<Stage>{{on(kMac3, fdb_of(kPeer3))},
                                             {on(kMac3, neighbour_of("fd00:96:0:2::9", kPeer3))}}));
  EXPECT_TRUE(plan.disruptive);
}

TEST(Plan, PodCidrThatShrinksKeepsItsFdbEntry) {
  const IpPrefix half = net("100.96.2.0/25");
  ActualState actual = conforming(desired_with({{kPodCidr2, kPeer2}}));
  put(actual, on_demand_neighbour(ip("100.96.2.9"), kPeer2, kDevice));
  put(actual, on_demand_neighbour(ip("100.96.2.200"), kPeer2, kDevice));
  const std::vector<Stage> wanted{
      {on(kMac2, route_to(half))},
      {on(kMac2, DeleteRoute{peer_route(kPodCidr2, kDevice)})},
      {on(kMac2, DeleteNeighbour{.device = kDevice, .address = ip("100.96.2.200")})}};
  EXPECT_EQ(plan_for({{half, kPeer2}}, actual).stages, wanted);
  EXPECT_EQ(
      plan_changes(desired_with({{half, kPeer2}}), actual, {half, kPodCidr2}, Prune::Yes).stages,
      wanted);
}

TEST(Plan, FdbEntryIsSharedByThePodCidrsOfANode) {
  const Peers both{{kPodCidr2, kPeer2}, {net("fd00:96:0:2::/64"), kPeer2}};
  const ActualState actual = conforming(desired_with(both));
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  const std::vector<Stage> wanted{{on(vtep_mac(net("fd00:96:0:2::/64"), net("fd00:96::/32")),
                                      DeleteRoute{peer_route(net("fd00:96:0:2::/64"), kDevice)})}};
  EXPECT_EQ(plan_all(desired, actual, Prune::Yes).stages, wanted);
  EXPECT_EQ(plan_changes(desired, actual, {net("fd00:96:0:2::/64")}, Prune::Yes).stages, wanted);
}

TEST(Plan, ChangedIpv6PodCidrBringsTheFdbEntryOfItsNode) {
  const IpPrefix pod_cidr = net("fd00:96:0:2::/64");
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}, {pod_cidr, kPeer2}});
  ActualState actual = conforming(desired);
  actual.tables.fdb.clear();
  EXPECT_EQ(plan_changes(desired, actual, {pod_cidr}, Prune::Yes).stages,
            (std::vector<Stage>{{on(kMac2, fdb_of(kPeer2))}}));
}

// --- Rows that do not conform ---

TEST(Plan, NeighbourConformsInMacStateFlagsAndProtocolOrIsReplaced) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  const auto plan_with = [&](auto change) {
    ActualState actual = conforming(desired);
    Neighbour neighbour = on_demand_neighbour(ip("100.96.2.9"), kPeer2, kDevice);
    change(neighbour);
    put(actual, neighbour);
    return plan_all(desired, actual, Prune::No);
  };
  const std::vector<Stage> replaced{{on(kMac2, neighbour_of("100.96.2.9", kPeer2))}};
  EXPECT_TRUE(plan_with([](Neighbour&) {}).empty());
  EXPECT_EQ(plan_with([](Neighbour& n) { n.lladdr = kMac3; }).stages, replaced);
  EXPECT_EQ(plan_with([](Neighbour& n) { n.state = kNudPermanent; }).stages, replaced);
  EXPECT_EQ(plan_with([](Neighbour& n) { n.state = kNudNoarp | kNudReachable; }).stages, replaced);
  EXPECT_EQ(plan_with([](Neighbour& n) { n.flags = 0; }).stages, replaced);
  EXPECT_EQ(plan_with([](Neighbour& n) { n.protocol = 0; }).stages, replaced);
  EXPECT_TRUE(plan_with([](Neighbour& n) { n.state = kNudIncomplete; }).empty());
  EXPECT_TRUE(plan_with([](Neighbour& n) { n.state = kNudFailed; }).empty());
  EXPECT_TRUE(plan_with([](Neighbour& n) { n.device = kUnderlay; }).empty());
  EXPECT_TRUE(plan_with([](Neighbour& n) { n.lladdr = kMac3; }).disruptive);
  EXPECT_FALSE(plan_with([](Neighbour& n) { n.flags = 0; }).disruptive);
}

TEST(Plan, NeighbourOfNobodyIsPruned) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  ActualState actual = conforming(desired);
  for (const char* address : {"100.96.3.9", "100.96.200.1", "8.8.8.8"}) {
    put(actual, on_demand_neighbour(ip(address), kPeer3, kDevice));
  }
  const Plan plan = plan_all(desired, actual, Prune::Yes);
  ASSERT_EQ(plan.stages.size(), 1U);
  EXPECT_EQ(plan.size(), 3U);
  EXPECT_TRUE(plan_all(desired, actual, Prune::No).empty());
}

TEST(Plan, FdbEntryThatReplaceCannotChangeIsRemovedFirst) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  const std::vector<Stage> wanted{{on(kMac2, DeleteFdb{.device = kDevice, .mac = kMac2})},
                                  {on(kMac2, fdb_of(kPeer2))}};
  ActualState several = conforming(desired);
  FdbEntry second = peer_fdb(kPeer2, kDevice);
  second.dst = ip("172.20.0.99");
  several.tables.fdb.insert(second);
  EXPECT_EQ(plan_all(desired, several, Prune::No).stages, wanted);
  ActualState group = conforming(desired);
  group.tables.fdb.clear();
  second.dst = std::nullopt;
  group.tables.fdb.insert(second);
  EXPECT_EQ(plan_all(desired, group, Prune::No).stages, wanted);
}

TEST(Plan, FdbEntryOfOtherStateOrFlagsIsReplacedWithoutDisruption) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  for (const bool by_state : {true, false}) {
    ActualState actual = conforming(desired);
    FdbEntry entry = peer_fdb(kPeer2, kDevice);
    if (by_state) {
      entry.state = kNudReachable;
    } else {
      entry.flags = kNtfSelf | kNtfExtLearned;
    }
    actual.tables.fdb = {entry};
    const Plan plan = plan_all(desired, actual, Prune::No);
    EXPECT_EQ(plan.stages, (std::vector<Stage>{{on(kMac2, fdb_of(kPeer2))}}));
    EXPECT_FALSE(plan.disruptive);
  }
}

TEST(Plan, EveryDestinationOfAnUnwantedMacGoesAtOnce) {
  const DesiredState desired = desired_with({});
  ActualState actual = conforming(desired);
  for (const char* dst : {"172.20.0.2", "172.20.0.3"}) {
    actual.tables.fdb.insert(
        FdbEntry{.device = kDevice, .mac = {}, .dst = ip(dst), .state = kNudPermanent});
  }
  EXPECT_EQ(
      plan_all(desired, actual, Prune::Yes).stages,
      (std::vector<Stage>{{on(MacAddress{}, DeleteFdb{.device = kDevice, .mac = MacAddress{}})}}));
}

// --- Routes ---

TEST(Plan, RouteInThePlaceOfOursIsReplacedNotDeleted) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  ActualState actual = conforming(desired);
  Route gateway = peer_route(kPodCidr2, kDevice);
  gateway.gateway = ip("100.96.2.0");
  gateway.onlink = true;
  gateway.scope = 0;
  actual.tables.routes.erase(peer_route(kPodCidr2, kDevice));
  actual.tables.routes.insert(gateway);
  EXPECT_EQ(plan_all(desired, actual, Prune::Yes).stages,
            (std::vector<Stage>{{on(kMac2, route_to(kPodCidr2))}}));
}

TEST(Plan, RouteBesideOursGoesAfterOursIsThere) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  ActualState actual = conforming(desired);
  Route other = peer_route(kPodCidr2, kDevice);
  other.metric = 100;
  actual.tables.routes.erase(peer_route(kPodCidr2, kDevice));
  actual.tables.routes.insert(other);
  EXPECT_EQ(
      plan_all(desired, actual, Prune::Yes).stages,
      (std::vector<Stage>{{on(kMac2, route_to(kPodCidr2))}, {on(kMac2, DeleteRoute{other})}}));
  EXPECT_EQ(plan_all(desired, actual, Prune::No).size(), 1U);
}

TEST(Plan, SeveralRoutesInOnePlaceAllGo) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  ActualState actual = conforming(desired);
  Route first = peer_route(kPodCidr2, kDevice);
  first.protocol = 3;
  Route second = first;
  second.protocol = 4;
  actual.tables.routes.insert({first, second});
  EXPECT_EQ(plan_all(desired, actual, Prune::Yes).stages,
            (std::vector<Stage>{{on(kMac2, DeleteRoute{second}), on(kMac2, DeleteRoute{first})}}))
      << "ours is there";
  actual.tables.routes.erase(peer_route(kPodCidr2, kDevice));
  EXPECT_EQ(plan_all(desired, actual, Prune::Yes).stages,
            (std::vector<Stage>{{on(kMac2, route_to(kPodCidr2))},
                                {on(kMac2, DeleteRoute{second}), on(kMac2, DeleteRoute{first})}}))
      << "which one ours replaces is not known";
}

TEST(Plan, WiderRouteGoesOnlyAfterAllThatItCarriedHaveTheirOwn) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}, {kPodCidr3, kPeer3}});
  ActualState actual = conforming(desired);
  const Route wide = peer_route(net("100.96.0.0/16"), kDevice);
  actual.tables.routes.erase(peer_route(kPodCidr3, kDevice));
  actual.tables.routes.insert(wide);
  const Plan plan = plan_all(desired, actual, Prune::Yes);
  EXPECT_EQ(plan.stages,
            (std::vector<Stage>{
                {on_device(route_to(kPodCidr3))},
                {on(vtep_mac(net("100.96.0.0/16"), net("100.96.0.0/12")), DeleteRoute{wide})}}))
      << "a failure for the device holds back everything behind it";
}

TEST(Plan, ForeignRouteIsNeverTakenOver) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  ActualState actual = conforming(desired);
  Route bridge = peer_route(kPodCidr2, kUnderlay);
  bridge.protocol = kRouteProtocolKernel;
  actual.tables.routes.erase(peer_route(kPodCidr2, kDevice));
  actual.tables.routes.insert(bridge);
  const Plan plan = plan_all(desired, actual, Prune::Yes);
  EXPECT_TRUE(plan.empty());
  EXPECT_THAT(plan.in_the_way, ElementsAre(bridge));
  EXPECT_EQ(plan_changes(desired, actual, {kPodCidr2}, Prune::Yes), plan);

  actual.tables.routes.erase(bridge);
  bridge.metric = 5;
  actual.tables.routes.insert(bridge);
  EXPECT_EQ(plan_all(desired, actual, Prune::Yes).stages,
            (std::vector<Stage>{{on(kMac2, route_to(kPodCidr2))}}))
      << "another metric is another place";
}

TEST(Plan, ConnectedRouteOfTheBridgeOutlivesTheRefusalOfTheOwnPodCidr) {
  const DesiredState desired = desired_with({});
  ActualState actual = conforming(desired);
  const IpPrefix own = net("100.96.200.0/24");
  std::erase_if(actual.tables.routes, [&](const Route& r) { return r.destination == own; });
  Route connected = peer_route(own, kUnderlay);
  connected.protocol = kRouteProtocolKernel;
  actual.tables.routes.insert(connected);
  const Plan plan = plan_all(desired, actual, Prune::Yes);
  ASSERT_EQ(plan.size(), 1U);
  const Route& refusal = std::get<ReplaceRoute>(plan.stages[0][0].op).route;
  EXPECT_EQ(refusal.type, RouteType::Unreachable);
  EXPECT_EQ(refusal.metric, kRouteMetricLast);
}

TEST(Plan, LeftOverRefusalsArePrunedForeignOnesStay) {
  const DesiredState desired = desired_with({});
  ActualState actual = conforming(desired);
  Route old = *desired.refusals.begin();
  old.destination = net("10.244.0.0/16");
  Route foreign = old;
  foreign.protocol = 4;
  foreign.metric = 7;
  actual.tables.routes.insert({old, foreign});
  EXPECT_EQ(plan_all(desired, actual, Prune::Yes).stages,
            (std::vector<Stage>{{on_device(DeleteRoute{old})}}));
}

// --- Addresses ---

IfAddress device_address(const char* address, std::uint8_t length, bool no_prefix_route = true) {
  return IfAddress{.device = kDevice,
                   .address = ip(address),
                   .length = length,
                   .no_prefix_route = no_prefix_route};
}

// The plan for the device's addresses being `present` instead of the right one.
Plan plan_for_addresses(const std::vector<IfAddress>& present, Prune prune) {
  const DesiredState desired = desired_with({});
  ActualState actual = conforming(desired);
  std::erase_if(actual.tables.addresses, [](const IfAddress& a) { return a.device == kDevice; });
  actual.tables.addresses.insert(present.begin(), present.end());
  return plan_all(desired, actual, prune);
}

TEST(Plan, AddressIsAddedBeforeAnotherGoes) {
  const IfAddress right = device_address("100.96.200.0", 12);
  const IfAddress other = device_address("192.168.7.1", 24);
  EXPECT_EQ(
      plan_for_addresses({other}, Prune::Yes).stages,
      (std::vector<Stage>{{on_device(ReplaceAddress{right})}, {on_device(DeleteAddress{other})}}));
  EXPECT_EQ(plan_for_addresses({other}, Prune::No).size(), 1U);
}

TEST(Plan, AddressWithWrongFlagsIsExchangedWhileAHostAddressKeepsTheTables) {
  const IfAddress right = device_address("100.96.200.0", 12);
  const IfAddress wrong = device_address("100.96.200.0", 12, false);
  const IfAddress bridge = device_address("100.96.200.0", 32);
  for (const Prune prune : {Prune::Yes, Prune::No}) {
    EXPECT_EQ(plan_for_addresses({wrong}, prune).stages,
              (std::vector<Stage>{{on_device(ReplaceAddress{bridge})},
                                  {on_device(DeleteAddress{wrong})},
                                  {on_device(ReplaceAddress{right})},
                                  {on_device(DeleteAddress{bridge})}}));
  }
}

TEST(Plan, AddressOfTheSameSubnetMayTakeOursWithItSoOursIsWrittenAgain) {
  const IfAddress right = device_address("100.96.200.0", 12);
  const IfAddress primary = device_address("100.96.9.0", 12);
  const IfAddress bridge = device_address("100.96.200.0", 32);
  EXPECT_EQ(plan_for_addresses({primary, right}, Prune::Yes).stages,
            (std::vector<Stage>{{on_device(ReplaceAddress{bridge})},
                                {on_device(DeleteAddress{primary})},
                                {on_device(ReplaceAddress{right})},
                                {on_device(DeleteAddress{bridge})}}));
  EXPECT_TRUE(plan_for_addresses({primary, right}, Prune::No).empty());
}

TEST(Plan, BridgingAddressLeftByACrashIsPruned) {
  const IfAddress right = device_address("100.96.200.0", 12);
  const IfAddress bridge = device_address("100.96.200.0", 32);
  EXPECT_EQ(
      plan_for_addresses({bridge}, Prune::Yes).stages,
      (std::vector<Stage>{{on_device(ReplaceAddress{right})}, {on_device(DeleteAddress{bridge})}}));
}

TEST(Plan, Ipv6AddressOfAnotherLengthGoesFirst) {
  const DesiredState desired =
      desired_state(generate::config(), generate::self(), {}, generate::kUnderlayMtu);
  ActualState actual = conforming(desired);
  const IfAddress right = device_address("fd00:96:0:200::", 128);
  const IfAddress wrong = device_address("fd00:96:0:200::", 32);
  actual.tables.addresses.erase(right);
  actual.tables.addresses.insert(wrong);
  EXPECT_EQ(
      plan_all(desired, actual, Prune::No).stages,
      (std::vector<Stage>{{on_device(DeleteAddress{wrong})}, {on_device(ReplaceAddress{right})}}));
}

// --- Clean-up ---

TEST(PlanCleanup, RemovesWhatIsOursAndNothingElse) {
  const DesiredState desired = desired_with({{kPodCidr2, kPeer2}});
  KernelState tables = conforming(desired).tables;
  generate::add_foreign_rows(tables);
  const Plan plan = plan_cleanup(tables, "vxlan1");
  Stage refusals;
  for (const Route& route : desired.refusals) {
    refusals.push_back(on_device(DeleteRoute{route}));
  }
  ASSERT_EQ(plan.stages.size(), 2U);
  EXPECT_THAT(plan.stages[0], ElementsAre(on_device(DeleteLink{kDevice})));
  EXPECT_EQ(plan.stages[1], refusals);
}

TEST(PlanCleanup, LeavesADeviceThatIsNotOurs) {
  KernelState tables = conforming(desired_with({})).tables;
  tables.links.at(kDevice).group = 0;
  tables.routes.clear();
  EXPECT_TRUE(plan_cleanup(tables, "vxlan1").empty());
  tables.links.at(kDevice).group = kOwnLinkGroup;
  EXPECT_TRUE(plan_cleanup(tables, "vxlan2").empty());
  EXPECT_TRUE(plan_cleanup({}, "vxlan1").empty());
}

// --- Properties ---

DesiredState any_desired() {
  return desired_state(generate::config(), generate::self(), *generate::owners(),
                       generate::kUnderlayMtu);
}

// The right device and a right underlay below arbitrary rows.
ActualState any_rows(const DesiredState& desired) {
  ActualState actual = conforming(desired);
  generate::disturb_rows(desired, actual.tables);
  generate::add_foreign_rows(actual.tables);
  return actual;
}

std::vector<PlannedOp> all_ops(const Plan& plan) {
  std::vector<PlannedOp> ops;
  for (const Stage& stage : plan.stages) {
    ops.insert(ops.end(), stage.begin(), stage.end());
  }
  return ops;
}

RC_GTEST_PROP(PlanProperty, NothingIsPlannedForAKernelThatConforms, ()) {
  const DesiredState desired = any_desired();
  ActualState actual = conforming(desired);
  for (const auto& [pod_cidr, peer] : desired.peers) {
    put(actual, on_demand_neighbour(*generate::address_in(pod_cidr), peer, kDevice));
  }
  generate::add_foreign_rows(actual.tables);
  RC_ASSERT(plan_all(desired, actual, Prune::Yes) == Plan{});
}

// What `changed` is about: destinations, addresses inside, and the MACs of old and new owners.
bool concerns(const DesiredState& desired, const std::set<IpPrefix>& changed, const KernelOp& op) {
  const auto any = [&](auto matches) {
    return std::any_of(changed.begin(), changed.end(), matches);
  };
  const auto destination = [&](const IpPrefix& prefix) { return changed.contains(prefix); };
  const auto address = [&](const IpAddress& inner) {
    return any([&](const IpPrefix& prefix) { return prefix.contains(inner); });
  };
  const auto mac = [&](const MacAddress& of) {
    return any([&](const IpPrefix& prefix) {
      const auto peer = desired.peers.find(prefix);
      return vtep_mac(prefix, *overlay_of(generate::config(), prefix)) == of ||
             (peer != desired.peers.end() && peer->second.mac == of);
    });
  };
  if (const auto* replace_route = std::get_if<ReplaceRoute>(&op)) {
    return destination(replace_route->route.destination);
  }
  if (const auto* delete_route = std::get_if<DeleteRoute>(&op)) {
    return destination(delete_route->route.destination);
  }
  if (const auto* replace_neighbour = std::get_if<ReplaceNeighbour>(&op)) {
    return address(replace_neighbour->neighbour.address);
  }
  if (const auto* delete_neighbour = std::get_if<DeleteNeighbour>(&op)) {
    return address(delete_neighbour->address);
  }
  if (const auto* replace_fdb = std::get_if<ReplaceFdb>(&op)) {
    return mac(replace_fdb->entry.mac);
  }
  if (const auto* delete_fdb = std::get_if<DeleteFdb>(&op)) {
    return mac(delete_fdb->mac);
  }
  return false;
}

RC_GTEST_PROP(PlanProperty, PlanOfChangesIsThatOfEverythingRestrictedToThem, ()) {
  const DesiredState desired = any_desired();
  const ActualState actual = any_rows(desired);
  std::set<IpPrefix> changed;
  for (const auto& [pod_cidr, peer] : desired.peers) {
    if (generate::chance(40)) {
      changed.insert(pod_cidr);
    }
  }
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    changed.insert(*generate::pod_cidr(*rc::gen::element(Family::V4, Family::V6)));
  }
  const Prune prune = *rc::gen::element(Prune::No, Prune::Yes);
  std::vector<Stage> restricted;
  for (Stage stage : plan_all(desired, actual, prune).stages) {
    std::erase_if(
        stage, [&](const PlannedOp& planned) { return !concerns(desired, changed, planned.op); });
    if (!stage.empty()) {
      restricted.push_back(std::move(stage));
    }
  }
  RC_ASSERT(plan_changes(desired, actual, changed, prune).stages == restricted);
}

// Whatever the nodes do, what the cache reports as changed is enough to bring a kernel that
// conformed before to one that conforms after.
RC_GTEST_PROP(PlanProperty, ReportedChangesMissNothing, ()) {
  const OverlayConfig& config = generate::config();
  const Self self = generate::self();
  NodeCache cache("none", config);
  (void)cache.replace(*rc::gen::container<std::vector<Node>>(generate::node()), {});
  DesiredState desired = desired_state(config, self, cache.owners(), generate::kUnderlayMtu);
  ActualState actual = conforming(desired);
  for (const auto& [pod_cidr, peer] : desired.peers) {
    put(actual, on_demand_neighbour(*generate::address_in(pod_cidr), peer, kDevice));
  }
  std::set<IpPrefix> changed;
  for (const Node& node : *rc::gen::container<std::vector<Node>>(generate::node())) {
    const NodeCacheChange change =
        generate::chance(60) ? cache.upsert(node) : cache.remove(node.name, node.uid);
    changed.insert(change.prefixes.begin(), change.prefixes.end());
  }
  update_peers(desired, self, cache.owners(), changed);
  RC_ASSERT(plan_changes(desired, actual, changed, Prune::Yes) ==
            plan_all(desired, actual, Prune::Yes));
}

RC_GTEST_PROP(PlanProperty, OnlyWhatIsOursIsTouched, ()) {
  const DesiredState desired = any_desired();
  const ActualState actual = *generate::actual_state(desired);
  const Prune prune = *rc::gen::element(Prune::No, Prune::Yes);
  const KernelState& tables = actual.tables;
  for (const PlannedOp& planned : all_ops(plan_all(desired, actual, prune))) {
    if (const auto* route = std::get_if<DeleteRoute>(&planned.op)) {
      RC_ASSERT(is_owned(route->route, kDevice) && tables.routes.contains(route->route));
    } else if (const auto* replaced = std::get_if<ReplaceRoute>(&planned.op)) {
      for (const Route& other : tables.routes) {
        RC_ASSERT(is_owned(other, kDevice) || other.destination != replaced->route.destination ||
                  other.metric != replaced->route.metric || other.table != replaced->route.table);
      }
    } else if (const auto* address = std::get_if<DeleteAddress>(&planned.op)) {
      RC_ASSERT(is_owned(address->address, kDevice));
    } else if (const auto* neighbour = std::get_if<DeleteNeighbour>(&planned.op)) {
      RC_ASSERT(is_owned(tables.neighbours.at(neighbour->address), kDevice));
    } else if (const auto* link = std::get_if<DeleteLink>(&planned.op)) {
      RC_ASSERT(is_owned(tables.links.at(link->device)));
    }
  }
}

RC_GTEST_PROP(PlanProperty, WithoutPruningOnlyWhatStandsInTheWayIsDeleted, ()) {
  const DesiredState desired = any_desired();
  const ActualState actual = *generate::actual_state(desired);
  const Plan plan = plan_all(desired, actual, Prune::No);
  for (const PlannedOp& planned : all_ops(plan)) {
    RC_ASSERT(!std::holds_alternative<DeleteRoute>(planned.op));
    RC_ASSERT(!std::holds_alternative<DeleteNeighbour>(planned.op));
    RC_ASSERT(!std::holds_alternative<DeleteLink>(planned.op) || plan.disruptive);
    if (const auto* fdb = std::get_if<DeleteFdb>(&planned.op)) {
      RC_ASSERT(find_peer(desired, fdb->mac) != nullptr);
    }
  }
}

}  // namespace
}  // namespace vxmesh
