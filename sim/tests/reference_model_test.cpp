// The reference model against the code that it will judge. Both were written from the same
// documents; here they must agree, and every kind of damage must be seen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "decide/testing/generators.h"
#include "sim/check/reference_model.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {
namespace {

using generate::chance;
using generate::ip;
using generate::net;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr MonotonicTime kNow{std::chrono::seconds(1)};
constexpr std::uint32_t kMtu = 1500;

std::string text_of(const std::vector<std::string>& sentences) {
  std::string text;
  for (const std::string& sentence : sentences) {
    text += sentence + "\n";
  }
  return text;
}

// --- Nodes ---

ReferenceConfig reference_config(const OverlayConfig& config) {
  return ReferenceConfig{.overlay = config.cidrs,
                         .device = config.device,
                         .vni = config.vni,
                         .port = config.port,
                         .underlay = config.underlay,
                         .mtu = config.mtu};
}

// The generators' overlay, or a part of it: one family, or two with one CIDR each.
rc::Gen<OverlayConfig> overlays() {
  return rc::gen::exec([] {
    OverlayConfig config = generate::config();
    const int kind = *rc::gen::inRange(0, 4);
    if (kind == 1) {
      config.cidrs = {net("100.96.0.0/12")};
    } else if (kind == 2) {
      config.cidrs = {net("100.96.0.0/12"), net("fd00:96::/33")};
    } else if (kind == 3) {
      config.cidrs = {net("fd00:96::/32"), net("fd00:97::/35")};
    }
    config.underlay = chance(15) ? Family::V6 : Family::V4;
    config.mtu = chance(15) ? std::optional<std::uint32_t>(1400) : std::nullopt;
    return config;
  });
}

IpAddress odd_address() {
  return *rc::gen::element(ip("0.1.2.3"), ip("127.0.0.9"), ip("169.254.1.1"), ip("239.1.1.1"),
                           ip("240.0.0.1"), ip("255.255.255.255"), ip("100.97.0.1"), ip("::"),
                           ip("::1"), ip("::ffff:10.0.0.1"), ip("fe80::1"), ip("fd00:96::5"),
                           ip("ff02::1"), ip("2001:db8::7"), ip("fec0::1"), ip("223.255.0.1"));
}

// The generators' Nodes, some of them with odd addresses first.
rc::Gen<Node> node() {
  return rc::gen::exec([] {
    Node node = *generate::node();
    if (chance(15)) {
      const NodeAddressType type =
          *rc::gen::element(NodeAddressType::InternalIp, NodeAddressType::ExternalIp);
      node.addresses.insert(node.addresses.begin(),
                            NodeAddress{.type = type, .address = odd_address()});
    }
    return node;
  });
}

rc::Gen<std::map<std::string, Node>> clusters() {
  return rc::gen::exec([] {
    std::map<std::string, Node> nodes;
    for (const Node& one : *rc::gen::container<std::vector<Node>>(node())) {
      nodes.insert_or_assign(one.name, one);
    }
    return nodes;
  });
}

// As before, and this node is complete.
rc::Gen<std::map<std::string, Node>> clusters_with_self(const OverlayConfig& config) {
  return rc::gen::exec([config] {
    std::map<std::string, Node> nodes = *clusters();
    const bool only_v6 = config.cidrs.front().family() == Family::V6;
    Node self{.name = generate::kSelfName,
              .uid = "self",
              .created_s = *rc::gen::inRange<std::int64_t>(0, 4),
              .pod_cidrs = {only_v6 ? net("fd00:96:0:2::/64") : net("100.96.2.0/24")},
              .addresses = {{.address = ip("172.20.0.2")}, {.address = ip("2001:db8::2")}}};
    if (config.cidrs.back().family() == Family::V6 && !only_v6 && chance(50)) {
      self.pod_cidrs.push_back(net("fd00:96:0:2::/64"));
    }
    nodes.insert_or_assign(self.name, self);
    return nodes;
  });
}

ApiNodes api_nodes(const std::map<std::string, Node>& nodes) {
  return ApiNodes(nodes.begin(), nodes.end());
}

// What decide makes of the same Nodes.
NodeCache node_cache(const OverlayConfig& config, const std::map<std::string, Node>& nodes) {
  std::vector<Node> list;
  list.reserve(nodes.size());
  for (const auto& [name, one] : nodes) {
    list.push_back(one);
  }
  NodeCache cache(generate::kSelfName, config);
  (void)cache.replace(list, {});
  return cache;
}

DesiredState desired_of(const OverlayConfig& config, const NodeCache& cache) {
  return desired_state(config, *cache.self(), cache.owners(), kMtu);
}

ReferenceState reference_of(const OverlayConfig& config, const std::map<std::string, Node>& nodes) {
  return reference_state(reference_config(config), api_nodes(nodes), {}, generate::kSelfName, kMtu)
      .value();
}

template <typename Row>
std::set<Row> required(const std::map<Row, Duty>& rows) {
  std::set<Row> all;
  for (const auto& [row, duty] : rows) {
    RC_ASSERT(duty == Duty::Required);
    all.insert(row);
  }
  return all;
}

RC_GTEST_PROP(ReferenceModel, OwnersAreThoseOfTheNodeCache, ()) {
  const OverlayConfig config = *overlays();
  const std::map<std::string, Node> nodes = *clusters();
  std::map<IpPrefix, ReferenceOwner> expected;
  const NodeCache cache = node_cache(config, nodes);
  for (const auto& [pod_cidr, owner] : cache.owners()) {
    expected[pod_cidr] =
        ReferenceOwner{.node = owner.node, .uid = owner.uid, .vtep = owner.vtep, .mac = owner.mac};
  }
  RC_ASSERT(reference_owners(reference_config(config), api_nodes(nodes)) == expected);
}

Node complete_node(const std::string& name, std::int64_t created_s,
                   const std::vector<IpPrefix>& pod_cidrs, const IpAddress& address) {
  return Node{.name = name,
              .uid = name,
              .created_s = created_s,
              .pod_cidrs = pod_cidrs,
              .addresses = {{.address = address}}};
}

// Who owns something, by name; decide says the same.
std::set<std::string> owning(const std::vector<Node>& list) {
  std::map<std::string, Node> nodes;
  for (const Node& one : list) {
    nodes.insert_or_assign(one.name, one);
  }
  const NodeCache cache = node_cache(generate::config(), nodes);
  std::set<std::string> names;
  for (const auto& [pod_cidr, owner] :
       reference_owners(reference_config(generate::config()), api_nodes(nodes))) {
    EXPECT_TRUE(cache.owners().contains(pod_cidr)) << format(pod_cidr);
    names.insert(owner.node);
  }
  EXPECT_EQ(cache.owners().empty(), names.empty());
  return names;
}

TEST(ReferenceModel, PodCidrsThatAreNone) {
  const IpAddress address = ip("172.20.0.1");
  const std::set<std::string> nobody;
  for (const char* bad : {"100.96.0.0/12", "100.0.0.0/8", "192.168.1.0/24", "fd00:96::/32",
                          "fd00:96:0:1:8000::/65"}) {
    EXPECT_EQ(owning({complete_node("n1", 1, {net(bad)}, address)}), nobody) << bad;
  }
  EXPECT_EQ(owning({complete_node("n1", 1, {}, address)}), nobody);
  EXPECT_EQ(owning({complete_node("n1", 1, {net("100.96.1.0/24"), net("100.96.2.0/24")}, address)}),
            nobody);
}

TEST(ReferenceModel, AddressesThatAreNone) {
  for (const char* bad : {"0.1.2.3", "127.0.0.9", "169.254.1.1", "239.1.1.1", "240.0.0.1",
                          "255.255.255.255", "100.97.0.1", "2001:db8::1"}) {
    EXPECT_EQ(owning({complete_node("n1", 1, {net("100.96.1.0/24")}, ip(bad))}),
              std::set<std::string>{})
        << bad;
  }
  ReferenceConfig config = reference_config(generate::config());
  config.underlay = Family::V6;
  for (const char* bad : {"::", "::1", "::10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "ff02::1",
                          "fd00:96::5", "172.20.0.1"}) {
    const Node one = complete_node("n1", 1, {net("100.96.1.0/24")}, ip(bad));
    EXPECT_TRUE(reference_owners(config, {{"n1", one}}).empty()) << bad;
  }
}

TEST(ReferenceModel, EqualMacsOfTwoOverlaysAreAConflict) {
  const Node old = complete_node("old", 1, {net("fd00:96:0:1::/64")}, ip("172.20.0.1"));
  const Node young = complete_node("young", 2, {net("fd00:97:0:1::/64")}, ip("172.20.0.2"));
  EXPECT_EQ(owning({young, old}), std::set<std::string>{"old"});
}

TEST(ReferenceModel, MacsEncodeThePodCidr) {
  const auto mac = [](const char* pod_cidr, const char* overlay) {
    return format(reference_mac(net(pod_cidr), net(overlay)));
  };
  EXPECT_EQ(mac("100.96.2.0/24", "100.96.0.0/12"), "00:53:64:60:02:00");
  EXPECT_EQ(mac("fd00:96:1234:5678::/64", "fd00:96::/32"), "02:53:12:34:56:78");
  EXPECT_EQ(mac("fd00:96:1234:5678::/64", "fd00:96:1000::/36"), "02:53:23:45:67:80");
}

RC_GTEST_PROP(ReferenceModel, RowsAreThoseOfTheDesiredState, ()) {
  const OverlayConfig config = *overlays();
  const std::map<std::string, Node> nodes = chance(50) ? *clusters() : *clusters_with_self(config);
  const NodeCache cache = node_cache(config, nodes);
  const std::uint32_t mtu = *rc::gen::element(1500U, 9000U, 600U, 100U);
  const auto reference =
      reference_state(reference_config(config), api_nodes(nodes), {}, generate::kSelfName, mtu);
  RC_ASSERT(reference.has_value() == cache.self().has_value());
  if (!reference) {
    return;
  }
  const DesiredState desired = desired_state(config, *cache.self(), cache.owners(), mtu);
  RC_ASSERT(reference->device == desired.device);
  RC_ASSERT(reference->addresses == desired.addresses);
  RC_ASSERT(reference->rp_filter == desired.rp_filter);
  std::set<Route> routes = desired.refusals;
  std::set<FdbEntry> fdb;
  std::map<IpPrefix, std::set<MacAddress>> macs;
  for (const auto& [pod_cidr, peer] : desired.peers) {
    routes.insert(peer_route(pod_cidr, IfIndex{0}));
    fdb.insert(peer_fdb(peer, IfIndex{0}));
    macs[pod_cidr] = {peer.mac};
  }
  RC_ASSERT(required(reference->routes) == routes);
  RC_ASSERT(required(reference->fdb) == fdb);
  RC_ASSERT(reference->neighbour_macs == macs);
  std::set<Family> families;
  for (const auto& [family, parameters] : desired.parameters) {
    families.insert(family);
  }
  RC_ASSERT(reference->families == families);
}

// --- A kernel ---

struct World {
  NamespaceState kernel;
  IfIndex underlay;
  IfIndex other_vxlan;

  World() {
    underlay = kernel.add_link(
        Link{.name = "eth0", .mac = MacAddress{{2, 0, 0, 0, 0, 1}}, .mtu = kMtu, .up = true}, kNow);
    run(ReplaceAddress{{.device = underlay, .address = ip("172.20.0.2"), .length = 24}});
    run(ReplaceRoute{{.destination = net("0.0.0.0/0"),
                      .protocol = 3,
                      .device = underlay,
                      .gateway = ip("172.20.0.1")}});
    run(CreateVxlan{{.name = "flannel.9",
                     .mac = MacAddress{{2, 0, 0, 0, 0, 9}},
                     .mtu = 1450,
                     .kind = "vxlan",
                     .vxlan = VxlanLink{.vni = Vni{9}, .port = 8472}}});
    other_vxlan = kernel.find_link("flannel.9")->index;
    run(ChangeLink{.device = other_vxlan, .up = true});
    run(ReplaceFdb{{.device = other_vxlan,
                    .mac = MacAddress{{0, 0x53, 100, 96, 1, 0}},
                    .dst = ip("172.20.0.9"),
                    .state = kNudPermanent}});
  }

  OpDone run(const KernelOp& op) { return kernel.execute(op, kNow); }
  OpDone ask(const rtnl::Request& request) {
    return kernel.request(request, PortId{77}, kNow).done;
  }

  [[nodiscard]] IfIndex device() const {
    const Link* link = kernel.find_link("vxlan1");
    return link == nullptr ? IfIndex{0} : link->index;
  }

  [[nodiscard]] ActualState actual() const {
    ActualState state{.tables = kernel.tables(device())};
    for (const Family family : {Family::V4, Family::V6}) {
      if (const auto parameters = kernel.parameters(device(), family)) {
        state.parameters[family] = *parameters;
      }
    }
    state.rp_filter = kernel.rp_filter(device());
    return state;
  }

  void conform(const DesiredState& desired) {
    Plan plan = plan_all(desired, actual(), Prune::Yes);
    for (std::vector<PlannedOp>& stage : plan.stages) {
      if (device() != IfIndex{0}) {
        bind_created_device(stage, device());
      }
      for (const PlannedOp& planned : stage) {
        const OpDone done = run(planned.op);
        RC_ASSERT(done.error_number == 0);
      }
    }
  }
};

// Wrong rows and missing rows of all tables, some of which are none after all.
void damage(World& world, const DesiredState& desired) {
  const IfIndex device = world.device();
  const KernelState before = world.kernel.tables(device);
  KernelState after = before;
  generate::disturb_rows(desired, after);
  const auto moved = [&](auto row) {
    if constexpr (std::is_same_v<decltype(row), Route>) {
      row.device = row.device == generate::kDevice ? std::optional(device) : row.device;
    } else {
      row.device = row.device == generate::kDevice ? device : row.device;
    }
    return row;
  };
  for (const Route& route : before.routes) {
    if (!after.routes.contains(route) && is_owned(route, device)) {
      (void)world.run(DeleteRoute{route});
    }
  }
  for (const Route& route : after.routes) {
    if (!before.routes.contains(route)) {
      (void)world.run(ReplaceRoute{moved(route)});
    }
  }
  for (const FdbEntry& entry : before.fdb) {
    if (!after.fdb.contains(entry)) {
      (void)world.run(DeleteFdb{.device = device, .mac = entry.mac});
    }
  }
  for (const FdbEntry& entry : after.fdb) {
    if (!before.fdb.contains(entry)) {
      (void)world.run(ReplaceFdb{moved(entry)});
    }
  }
  for (const auto& [address, neighbour] : after.neighbours) {
    (void)world.run(ReplaceNeighbour{moved(neighbour)});
  }
  for (const IfAddress& address : desired.addresses) {
    if (chance(10)) {
      IfAddress there = address;
      there.device = device;
      (void)world.run(DeleteAddress{there});
    }
  }
}

RC_GTEST_PROP(Deviations, ThereAreNoneWhereThePlanIsDoneAndSomeWhereThereIsAnother, ()) {
  const OverlayConfig& config = generate::config();
  const std::map<std::string, Node> nodes = *clusters_with_self(config);
  const DesiredState desired = desired_of(config, node_cache(config, nodes));
  const ReferenceState reference = reference_of(config, nodes);
  World world;
  RC_ASSERT(!deviations(reference, world.kernel).empty());
  world.conform(desired);
  RC_ASSERT(text_of(deviations(reference, world.kernel)).empty());
  damage(world, desired);
  const std::vector<std::string> found = deviations(reference, world.kernel);
  const Plan repair = plan_all(desired, world.actual(), Prune::Yes);
  RC_TAG(repair.empty() ? "untouched" : "damaged");
  if (found.empty() != repair.empty()) {
    RC_FAIL("deviations:\n" + text_of(found) + "operations: " + std::to_string(repair.size()));
  }
}

// --- Each kind of damage ---

// Two nodes beside this one, n1 of both families, and a neighbour in each PodCIDR.
class DamagedKernel : public ::testing::Test {
 protected:
  static Node node_of(const std::string& name, const std::vector<IpPrefix>& pod_cidrs,
                      const char* address) {
    return Node{
        .name = name, .uid = name, .pod_cidrs = pod_cidrs, .addresses = {{.address = ip(address)}}};
  }

  DamagedKernel() {
    const std::map<std::string, Node> nodes{
        {"n0", node_of("n0", {net("100.96.0.0/24"), net("fd00:96:0:1::/64")}, "172.20.0.2")},
        {"n1", node_of("n1", {net("100.96.1.0/24"), net("fd00:96:0:2::/64")}, "172.20.0.3")},
        {"n2", node_of("n2", {net("100.96.2.0/24")}, "172.20.0.4")}};
    reference = reference_of(generate::config(), nodes);
    world.conform(desired_of(generate::config(), node_cache(generate::config(), nodes)));
    device = world.device();
    good = Neighbour{.device = device,
                     .address = ip("100.96.1.5"),
                     .lladdr = MacAddress{{0, 0x53, 100, 96, 1, 0}},
                     .state = kNudNoarp,
                     .flags = kNtfExtLearned,
                     .protocol = 118};
    do_it(ReplaceNeighbour{good});
  }

  void do_it(const KernelOp& op) { EXPECT_EQ(world.run(op).error_number, 0) << format(op); }
  void ask(const rtnl::Request& request) { EXPECT_EQ(world.ask(request).error_number, 0); }
  [[nodiscard]] std::vector<std::string> found() const {
    return deviations(reference, world.kernel);
  }
  void write(Neighbour neighbour, const std::function<void(Neighbour&)>& change) {
    change(neighbour);
    do_it(ReplaceNeighbour{neighbour});
  }
  [[nodiscard]] Route row(const char* destination, RouteType type) const {
    for (const Route& route : world.kernel.routes().rows()) {
      if (route.destination == net(destination) && route.type == type) {
        return route;
      }
    }
    return Route{};
  }

  World world;
  ReferenceState reference;
  IfIndex device;
  Neighbour good;
};

MATCHER_P(Says, part, "one sentence that has \"" + std::string(part) + "\"") {
  return arg.size() == 1 && arg.front().find(part) != std::string::npos;
}

TEST_F(DamagedKernel, IsUndamagedAtFirst) {
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(DamagedKernel, Device) {
  do_it(ChangeLink{.device = device, .mtu = 1400});
  EXPECT_THAT(found(), Says("n0 links: vxlan1 has MTU 1400, not 1450"));
  do_it(ChangeLink{.device = device, .mtu = 1450});
  do_it(ChangeLink{.device = device, .vxlan_local = ip("172.20.0.77")});
  EXPECT_THAT(found(), Says("local 172.20.0.77, not 172.20.0.2"));
  do_it(ChangeLink{.device = device, .vxlan_local = ip("172.20.0.2"), .vxlan_learning = true});
  EXPECT_THAT(found(), Says("learning on, not off"));
  do_it(ChangeLink{.device = device, .vxlan_learning = false, .rp_filter = std::uint8_t{1}});
  EXPECT_THAT(found(), Says("rp_filter 1, not 2"));
  do_it(ChangeLink{.device = device, .rp_filter = std::uint8_t{2}});
  EXPECT_THAT(found(), IsEmpty());
  EXPECT_EQ(world.kernel.set_mac(device, MacAddress{{2, 0, 0, 0, 0, 5}}, kNow).error_number, 0);
  EXPECT_THAT(found(), Says("MAC 02:00:00:00:00:05, not 00:53:64:60:00:00"));
}

TEST_F(DamagedKernel, DeviceDownOrGone) {
  do_it(ChangeLink{.device = device, .up = false});
  EXPECT_THAT(text_of(found()), HasSubstr("n0 links: vxlan1 has state down, not up"));
  EXPECT_THAT(text_of(found()), HasSubstr("n0 routes: 100.96.1.0/24"));
  do_it(DeleteLink{.device = device});
  EXPECT_THAT(found(), Says("n0 links: vxlan1 is missing"));
  Link bridge{.name = "vxlan1", .mac = MacAddress{{2, 0, 0, 0, 0, 7}}, .kind = "bridge"};
  (void)world.kernel.add_link(bridge, kNow);
  EXPECT_THAT(found(), Says("n0 links: vxlan1 is not ours"));
}

TEST_F(DamagedKernel, DeviceOfAnotherNetwork) {
  const Link* link = world.kernel.find_link(device);
  Link other = *link;
  other.vxlan->vni = Vni{2};
  other.vxlan->port = 8473;
  do_it(DeleteLink{.device = device});
  do_it(CreateVxlan{other});
  EXPECT_THAT(text_of(found()), HasSubstr("vxlan1 has VNI 2, not 1"));
  EXPECT_THAT(text_of(found()), HasSubstr("vxlan1 has port 8473, not 4789"));
  rtnl::NewLink request{.device = world.device()};
  request.group = 5;
  ask(request);
  EXPECT_THAT(found(), Says("n0 links: vxlan1 is not ours"));
}

TEST_F(DamagedKernel, ProbeParameters) {
  for (const Family family : {Family::V4, Family::V6}) {
    const NeighbourParameters good_ones = *world.kernel.parameters(device, family);
    std::array<NeighbourParameters, 4> bad_ones{good_ones, good_ones, good_ones, good_ones};
    bad_ones[0].app_solicit = 0;
    bad_ones[1].ucast_solicit = 1;
    bad_ones[2].mcast_solicit = 1;
    bad_ones[3].mcast_resolicit = 1;
    for (const NeighbourParameters& bad : bad_ones) {
      do_it(SetNeighbourParameters{.device = device, .family = family, .parameters = bad});
      EXPECT_THAT(found(), Says("n0 parameters: " + format(family)));
    }
    do_it(SetNeighbourParameters{.device = device, .family = family, .parameters = good_ones});
  }
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(DamagedKernel, Addresses) {
  const IfAddress more{.device = device, .address = ip("100.96.0.9"), .length = 32};
  do_it(ReplaceAddress{more});
  EXPECT_THAT(found(), Says("n0 addresses: nobody asked for 100.96.0.9/32"));
  do_it(DeleteAddress{more});
  const IfAddress v6{.device = device, .address = ip("fd00:96:0:1::"), .length = 128};
  do_it(DeleteAddress{v6});
  EXPECT_THAT(found(), Says("n0 addresses: fd00:96:0:1::/128"));
}

TEST_F(DamagedKernel, Routes) {
  const Route to_n2 = row("100.96.2.0/24", RouteType::Unicast);
  do_it(DeleteRoute{to_n2});
  EXPECT_THAT(found(), Says("n0 routes: 100.96.2.0/24"));
  Route wrong = to_n2;
  wrong.metric = 7;
  do_it(ReplaceRoute{wrong});
  EXPECT_EQ(found().size(), 2U) << text_of(found());
  do_it(DeleteRoute{wrong});
  do_it(ReplaceRoute{to_n2});
  for (const char* refused : {"100.96.0.0/12", "100.96.0.0/24", "fd00:96::/32"}) {
    const Route refusal = row(refused, RouteType::Unreachable);
    do_it(DeleteRoute{refusal});
    EXPECT_THAT(found(), Says("n0 routes: unreachable " + std::string(refused)));
    do_it(ReplaceRoute{refusal});
  }
  Route more = row("100.96.0.0/12", RouteType::Unreachable);
  more.destination = net("100.99.0.0/16");
  do_it(ReplaceRoute{more});
  EXPECT_THAT(found(), Says("nobody asked for unreachable 100.99.0.0/16"));
}

TEST_F(DamagedKernel, RouteWhosePlaceAForeignOneHas) {
  const Route to_n2 = row("100.96.2.0/24", RouteType::Unicast);
  do_it(DeleteRoute{to_n2});
  Route foreign = to_n2;
  foreign.device = world.underlay;
  foreign.protocol = 4;
  do_it(ReplaceRoute{foreign});
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(DamagedKernel, Fdb) {
  const MacAddress mac{{0, 0x53, 100, 96, 2, 0}};
  do_it(DeleteFdb{.device = device, .mac = mac});
  EXPECT_THAT(found(), Says("n0 FDB: 00:53:64:60:02:00"));
  const FdbEntry wrong{
      .device = device, .mac = mac, .dst = ip("172.20.0.99"), .state = kNudPermanent};
  do_it(ReplaceFdb{wrong});
  EXPECT_EQ(found().size(), 2U) << text_of(found());
  FdbEntry right = wrong;
  right.dst = ip("172.20.0.4");
  do_it(ReplaceFdb{right});
  FdbEntry more = wrong;
  more.mac = MacAddress{{0, 0x53, 100, 96, 9, 0}};
  do_it(ReplaceFdb{more});
  EXPECT_THAT(found(), Says("n0 FDB: nobody asked for 00:53:64:60:09:00"));
}

TEST_F(DamagedKernel, Neighbours) {
  write(good, [](Neighbour& n) { n.lladdr = MacAddress{{0, 0x53, 100, 96, 2, 0}}; });
  EXPECT_THAT(found(), Says("should be at 00:53:64:60:01:00"));
  write(good, [](Neighbour& n) { n.state = kNudPermanent; });
  EXPECT_THAT(found(), Says("n0 neighbours: 100.96.1.5"));
  write(good, [](Neighbour& n) { n.flags = 0; });
  EXPECT_THAT(found(), Says("should be NOARP, EXT_LEARNED, of protocol 118"));
  write(good, [](Neighbour& n) { n.protocol = 3; });
  EXPECT_THAT(found(), Says("should be NOARP, EXT_LEARNED, of protocol 118"));
  write(good, [](Neighbour& /*unchanged*/) {});
  EXPECT_THAT(found(), IsEmpty());
  write(good, [](Neighbour& n) { n.address = ip("100.96.9.5"); });
  EXPECT_THAT(found(), Says("n0 neighbours: nobody owns the address of 100.96.9.5"));
}

TEST_F(DamagedKernel, WhatOthersAndTheKernelDoIsNoDamage) {
  (void)world.kernel.send_packet(ip("100.96.1.77"), kNow);  // INCOMPLETE, then FAILED
  EXPECT_THAT(found(), IsEmpty());
  world.kernel.run_timers(kNow + std::chrono::seconds(10));
  const MonotonicTime later = kNow + std::chrono::seconds(10);
  const auto others = [&](const KernelOp& op) {
    EXPECT_EQ(world.kernel.execute(op, later).error_number, 0) << format(op);
  };
  EXPECT_THAT(found(), IsEmpty());
  others(ReplaceRoute{{.destination = net("100.96.2.0/25"),
                       .protocol = 118,
                       .device = world.underlay,
                       .gateway = ip("172.20.0.1")}});
  others(ReplaceRoute{
      {.destination = net("100.96.2.0/26"), .type = RouteType::Unreachable, .protocol = 4}});
  others(ReplaceAddress{{.device = world.underlay, .address = ip("100.96.0.9"), .length = 32}});
  others(ReplaceFdb{{.device = world.other_vxlan,
                     .mac = MacAddress{{0, 0x53, 100, 96, 9, 0}},
                     .dst = ip("172.20.0.9"),
                     .state = kNudPermanent}});
  Neighbour elsewhere = good;
  elsewhere.device = world.other_vxlan;
  others(ReplaceNeighbour{elsewhere});
  EXPECT_THAT(found(), IsEmpty());
}

// --- Nodes that cannot be typed ---

RC_GTEST_PROP(Deviations, WhatIsRememberedOfAnUnreadableNodeMayBeThereOrNot, ()) {
  const OverlayConfig& config = generate::config();
  const std::map<std::string, Node> nodes = *clusters_with_self(config);
  ApiNodes api = api_nodes(nodes);
  std::vector<Node> remembered;
  std::map<std::string, Node> known = nodes;  // by one agent
  for (const auto& [name, one] : nodes) {
    if (name != generate::kSelfName && chance(40)) {
      api[name] = NodeRejection{.name = name, .uid = one.uid, .reason = "odd"};
      remembered.push_back(one);
      if (chance(50)) {
        known.erase(name);
      }
    }
  }
  const auto reference =
      reference_state(reference_config(config), api, remembered, generate::kSelfName, kMtu);
  World world;
  world.conform(desired_of(config, node_cache(config, known)));
  RC_ASSERT(text_of(deviations(*reference, world.kernel)).empty());
}

TEST(ReferenceModel, WhatAnUnreadableNodeSaidIsAllowedAndNoMore) {
  const ReferenceConfig config = reference_config(generate::config());
  const auto node_of = [](const std::string& name, std::int64_t created_s, const char* pod_cidr,
                          const char* address) {
    return Node{.name = name,
                .uid = name,
                .created_s = created_s,
                .pod_cidrs = {net(pod_cidr)},
                .addresses = {{.address = ip(address)}}};
  };
  const Node old = node_of("old", 1, "100.96.4.0/23", "172.20.0.4");
  const Node young = node_of("young", 2, "100.96.5.0/24", "172.20.0.5");
  const Node third = node_of("third", 3, "100.96.6.0/24", "172.20.0.6");
  const ApiNodes nodes{{"old", NodeRejection{.name = "old", .uid = "old", .reason = "odd"}},
                       {"young", young},
                       {"third", third}};
  const Holdings holdings = reference_holdings(config, nodes, {old});
  ASSERT_EQ(holdings.size(), 3U);
  EXPECT_FALSE(holdings.at(net("100.96.4.0/23")).front().certain);
  EXPECT_FALSE(holdings.at(net("100.96.5.0/24")).front().certain);
  EXPECT_TRUE(holdings.at(net("100.96.6.0/24")).front().certain);
  // Nobody remembers it, or it has gone: it is not there.
  EXPECT_EQ(reference_holdings(config, nodes, {}).size(), 2U);
  EXPECT_EQ(reference_holdings(config, {{"third", third}}, {old}).size(), 1U);
  EXPECT_FALSE(reference_state(config, nodes, {old}, "old", kMtu).has_value());
}

}  // namespace
}  // namespace vxmesh
