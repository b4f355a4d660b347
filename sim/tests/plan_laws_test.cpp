// The laws of the plan (decide/plan.h), against a kernel that is as strict as Linux.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "decide/plan.h"
#include "model/ownership.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {

// --- What a case is made of: small numbers, so that it shrinks to something readable. ---

struct NodeChoice {
  int v4 = 0;  // into kPodCidrs4, or behind its end: none
  int v6 = 0;
  int vtep = 0;
};
struct Wish {
  std::vector<NodeChoice> nodes;  // the earlier one wins where two overlap
  int self_pod = 0;               // into kSelfPods
  int self_vtep = 0;
  int mtu = 0;
};
struct Garbage {
  int kind = 0;
  int a = 0;
  int b = 0;
  int c = 0;
};
struct Case {
  Wish before;
  int applied = 0;  // so many operations of the plan for `before`
  std::vector<Garbage> garbage;
  int kept = 0;  // so many nodes of `before` come before those of `after`
  Wish after;
};

std::ostream& operator<<(std::ostream& out, const NodeChoice& node) {
  return out << "{" << node.v4 << ", " << node.v6 << ", " << node.vtep << "}";
}
std::ostream& operator<<(std::ostream& out, const Wish& wish) {
  out << "{nodes ";
  for (const NodeChoice& node : wish.nodes) {
    out << node << " ";
  }
  return out << "self_pod " << wish.self_pod << " self_vtep " << wish.self_vtep << " mtu "
             << wish.mtu << "}";
}
std::ostream& operator<<(std::ostream& out, const Garbage& garbage) {
  return out << "{" << garbage.kind << ", " << garbage.a << ", " << garbage.b << ", " << garbage.c
             << "}";
}
std::ostream& operator<<(std::ostream& out, const Case& value) {
  out << "before " << value.before << "\napplied " << value.applied << "\ngarbage ";
  for (const Garbage& garbage : value.garbage) {
    out << garbage << " ";
  }
  return out << "\nkept " << value.kept << "\nafter " << value.after;
}

namespace {

constexpr MonotonicTime kNow{std::chrono::seconds(1)};
constexpr std::uint32_t kUnderlayMtus[] = {1500, 9000, 1400};

IpAddress address(const std::string& text) {
  return IpAddress::parse(text).value();
}
IpPrefix prefix(const std::string& text) {
  return IpPrefix::parse(text).value();
}

const std::array<IpPrefix, 7>& pod_cidrs4() {
  static const std::array<IpPrefix, 7> kCidrs{prefix("100.96.0.0/24"), prefix("100.96.1.0/24"),
                                              prefix("100.96.3.0/24"), prefix("100.96.4.0/23"),
                                              prefix("100.96.4.0/24"), prefix("100.96.5.128/25"),
                                              prefix("100.97.0.0/16")};
  return kCidrs;
}
const std::array<IpPrefix, 3>& pod_cidrs6() {
  static const std::array<IpPrefix, 3> kCidrs{prefix("fd60:0:0:1::/64"), prefix("fd60:0:0:2::/63"),
                                              prefix("fd60:0:0:3::/64")};
  return kCidrs;
}
std::vector<std::vector<IpPrefix>> self_pods() {
  return {{prefix("100.96.2.0/24"), prefix("fd60:0:0:9::/64")},
          {prefix("100.96.2.0/24")},
          {prefix("100.96.7.0/24")}};
}
IpAddress vtep(int number) {
  return address("172.20.0." + std::to_string(10 + number));
}

OverlayConfig config() {
  return OverlayConfig{.cidrs = {prefix("100.96.0.0/12"), prefix("fd60::/48")}};
}

const IpPrefix& overlay_for(const IpPrefix& pod_cidr) {
  static const OverlayConfig kConfig = config();
  return pod_cidr.family() == Family::V4 ? kConfig.cidrs[0] : kConfig.cidrs[1];
}

// --- The desired state that a wish stands for. ---

bool add_owner(std::map<IpPrefix, Owner>& owners, const IpPrefix& pod_cidr, const Owner& owner) {
  const bool taken = std::any_of(owners.begin(), owners.end(),
                                 [&](const auto& entry) { return entry.first.overlaps(pod_cidr); });
  return !taken && owners.emplace(pod_cidr, owner).second;
}

DesiredState desired_of(const Wish& wish) {
  const std::vector<IpPrefix> pods = self_pods()[static_cast<std::size_t>(wish.self_pod)];
  const Self self{.uid = "self",
                  .pod_cidrs = pods,
                  .vtep = address("172.20.0." + std::to_string(2 + wish.self_vtep)),
                  .mac = vtep_mac(pods.front(), overlay_for(pods.front()))};
  std::map<IpPrefix, Owner> owners;
  for (const IpPrefix& pod : pods) {
    owners.emplace(pod, Owner{.node = "self", .uid = "self", .vtep = self.vtep, .mac = self.mac});
  }
  int number = 0;
  for (const NodeChoice& node : wish.nodes) {
    const std::string name = "n" + std::to_string(number++);
    Owner owner{.node = name, .uid = name, .vtep = vtep(node.vtep), .mac = {}};
    const auto v4 = static_cast<std::size_t>(node.v4);
    const auto v6 = static_cast<std::size_t>(node.v6);
    const bool has_v4 = v4 < pod_cidrs4().size();
    const bool has_v6 = v6 < pod_cidrs6().size();
    if (has_v4) {
      owner.mac = vtep_mac(pod_cidrs4()[v4], overlay_for(pod_cidrs4()[v4]));
      if (!add_owner(owners, pod_cidrs4()[v4], owner)) {
        continue;  // a node that lost one PodCIDR is not programmed at all
      }
    }
    if (has_v6) {
      owner.mac = has_v4 ? owner.mac : vtep_mac(pod_cidrs6()[v6], overlay_for(pod_cidrs6()[v6]));
      (void)add_owner(owners, pod_cidrs6()[v6], owner);
    }
  }
  return desired_state(config(), self, owners, kUnderlayMtus[wish.mtu]);
}

DesiredState desired_after(const Case& value) {
  Wish wish = value.after;
  const auto kept = std::min(value.before.nodes.size(), static_cast<std::size_t>(value.kept));
  wish.nodes.insert(wish.nodes.begin(), value.before.nodes.begin(),
                    value.before.nodes.begin() + static_cast<std::ptrdiff_t>(kept));
  return desired_of(wish);
}

// --- The kernel. ---

struct World {
  NamespaceState kernel;
  IfIndex underlay;
  IfIndex bridge;
  IfIndex other_vxlan;
  std::vector<IpPrefix> wanted;  // PodCIDRs of the peers to be: garbage looks for these

  World() {
    underlay = kernel.add_link(Link{.name = "eth0",
                                    .mac = MacAddress::parse("02:00:00:00:00:01").value(),
                                    .mtu = 1500,
                                    .up = true},
                               kNow);
    bridge = kernel.add_link(Link{.name = "cbr0",
                                  .mac = MacAddress::parse("02:00:00:00:00:02").value(),
                                  .mtu = 1450,
                                  .up = true,
                                  .kind = "bridge"},
                             kNow);
    run(ReplaceAddress{{.device = underlay, .address = address("172.20.0.2"), .length = 24}});
    run(ReplaceAddress{{.device = bridge, .address = address("100.96.2.1"), .length = 24}});
    run(ReplaceRoute{{.destination = prefix("0.0.0.0/0"),
                      .protocol = 3,
                      .device = underlay,
                      .gateway = address("172.20.0.1")}});
    run(CreateVxlan{{.name = "flannel.9",
                     .mac = MacAddress::parse("02:00:00:00:00:09").value(),
                     .mtu = 1450,
                     .kind = "vxlan",
                     .vxlan = VxlanLink{.vni = Vni{9}, .port = 8472}}});
    other_vxlan = kernel.find_link("flannel.9")->index;
    run(ChangeLink{.device = other_vxlan, .up = true});
    run(ReplaceFdb{{.device = other_vxlan,
                    .mac = MacAddress::parse("00:53:64:60:01:00").value(),
                    .dst = vtep(1),
                    .state = kNudPermanent}});
  }

  // A request of somebody who may be refused.
  OpDone run(const KernelOp& op) { return kernel.execute(op, kNow); }

  // Our device's index, 0 if it is not there.
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
};

std::string text_of(const OpDone& done) {
  return std::to_string(done.error_number) + " " + done.extended_ack;
}

bool absent(const KernelOp& op, const OpDone& done) {
  const bool deletes =
      std::holds_alternative<DeleteRoute>(op) || std::holds_alternative<DeleteFdb>(op) ||
      std::holds_alternative<DeleteNeighbour>(op) || std::holds_alternative<DeleteAddress>(op);
  return deletes && (done.error_number == ENOENT || done.error_number == ESRCH ||
                     done.error_number == EADDRNOTAVAIL);
}

// Runs a plan as its header says: an operation only if all of earlier stages for the device and its
// own target were done.
struct Execution {
  std::size_t limit = SIZE_MAX;                 // so many operations, then nothing more
  std::optional<std::size_t> failing;           // this one is refused
  std::function<void(const PlannedOp&)> after;  // each operation
  std::vector<std::string> errors;

  void run(World& world, Plan plan) {
    std::set<OpTarget> failed;
    std::size_t number = 0;
    for (std::size_t stage = 0; stage < plan.stages.size(); ++stage) {
      std::set<OpTarget> failed_here;
      bool created = false;
      for (const PlannedOp& planned : plan.stages[stage]) {
        if (failed.contains(OpTarget{}) || failed.contains(planned.target)) {
          failed_here.insert(planned.target);
          continue;
        }
        if (number == limit) {
          return;
        }
        const OpDone done = number++ == failing ? refuse(ENOBUFS) : world.run(planned.op);
        if (done != accept() && !absent(planned.op, done)) {
          errors.push_back(format(planned.op) + ": " + text_of(done));
          failed_here.insert(planned.target);
        }
        created = created || std::holds_alternative<CreateVxlan>(planned.op);
        if (after) {
          after(planned);
        }
      }
      failed.merge(failed_here);
      for (std::size_t i = stage + 1; created && i < plan.stages.size(); ++i) {
        bind_created_device(plan.stages[i], world.device());
      }
    }
  }
};

std::string text_of(const Plan& plan) {
  std::ostringstream out;
  for (const auto& stage : plan.stages) {
    out << "-- stage\n";
    for (const PlannedOp& planned : stage) {
      out << (planned.target.vtep ? format(*planned.target.vtep) : "device") << ": "
          << format(planned.op) << "\n";
    }
  }
  return out.str();
}

// --- Garbage: what may be found where the overlay wants to be. ---

MacAddress some_mac(int number) {
  const auto index = static_cast<std::size_t>(number);
  if (index < pod_cidrs4().size()) {
    return vtep_mac(pod_cidrs4()[index], overlay_for(pod_cidrs4()[index]));
  }
  return MacAddress{{0x02, 0xbb, 0, 0, 0, static_cast<std::uint8_t>(number)}};
}

constexpr int kPrefixes = 11;

IpPrefix some_prefix(int number) {
  const auto index = static_cast<std::size_t>(number);
  if (index < pod_cidrs4().size()) {
    return pod_cidrs4()[index];
  }
  return index == 7 ? prefix("100.96.2.0/24") : pod_cidrs6()[index - 8];
}

IpAddress inside(const IpPrefix& prefix, int offset) {
  auto bytes = prefix.base().bytes();
  if (prefix.family() == Family::V6) {
    bytes[15] = static_cast<std::uint8_t>(offset);
    return IpAddress::v6(bytes);
  }
  return IpAddress::v4(prefix.base().v4_bits() + static_cast<std::uint32_t>(offset));
}

constexpr std::uint32_t kMetrics[] = {0, 0, 100, kRouteMetricLast};
constexpr std::uint8_t kProtocols[] = {kOwnProtocol, kOwnProtocol, 3, 4};

// Where garbage lies: half of it in the way of what is wanted.
IpPrefix place(const World& world, const Garbage& garbage) {
  const std::size_t count = world.wanted.size();
  return garbage.a < kPrefixes || count == 0
             ? some_prefix(garbage.a % kPrefixes)
             : world.wanted[static_cast<std::size_t>(garbage.a - kPrefixes) % count];
}

Route some_route(const World& world, const Garbage& garbage, std::optional<IfIndex> device) {
  const IpPrefix destination = place(world, garbage);
  const bool v4 = destination.family() == Family::V4;
  return Route{.destination = destination,
               .metric = kMetrics[garbage.b % 4],
               .type = device ? RouteType::Unicast : RouteType::Unreachable,
               .scope = device && v4 ? std::uint8_t{253} : std::uint8_t{0},
               .protocol = kProtocols[garbage.c % 4],
               .device = device};
}

std::uint8_t flags_if(bool learned) {
  return learned ? std::uint8_t{kNtfExtLearned} : std::uint8_t{0};
}

using Spoil = void (*)(World& world, const Garbage& garbage);

void route_on_device(World& world, const Garbage& garbage) {
  (void)world.run(ReplaceRoute{some_route(world, garbage, world.device())});
}
void second_route_on_device(World& world, const Garbage& garbage) {
  (void)world.kernel.add_route(some_route(world, garbage, world.device()), kNow);
}
void gateway_route_on_device(World& world, const Garbage& garbage) {
  Route route = some_route(world, garbage, world.device());
  route.scope = 0;
  route.gateway = inside(route.destination, garbage.c);
  route.onlink = true;
  if (route.destination.family() == Family::V6) {
    (void)world.run(ReplaceRoute{route});  // a second one would make a multipath route
  } else {
    (void)world.kernel.add_route(route, kNow);
  }
}
void foreign_route(World& world, const Garbage& garbage) {
  (void)world.kernel.add_route(
      some_route(world, garbage, garbage.c % 2 == 0 ? world.underlay : world.bridge), kNow);
}
// Several routes in one place.
void twin_routes(World& world, const Garbage& garbage) {
  Garbage one = garbage;
  one.b = 0;
  for (int bit = 1; bit < 8; bit *= 2) {
    one.c = bit;
    if ((garbage.c & bit) == 0) {
      continue;
    }
    if ((garbage.b & bit) == 0) {
      second_route_on_device(world, one);
    } else {
      gateway_route_on_device(world, one);
    }
  }
}
void refusal_route(World& world, const Garbage& garbage) {
  (void)world.kernel.add_route(some_route(world, garbage, std::nullopt), kNow);
}
void fdb_entry(World& world, const Garbage& garbage) {
  constexpr std::uint16_t kStates[] = {kNudPermanent, kNudPermanent, kNudReachable,
                                       kNudReachable | kNudNoarp};
  (void)world.run(
      ReplaceFdb{{.device = world.device(),
                  .mac = garbage.a < kPrefixes
                             ? some_mac(garbage.a)
                             : vtep_mac(place(world, garbage), overlay_for(place(world, garbage))),
                  .dst = vtep(garbage.b % 6),
                  .state = kStates[garbage.c % 4],
                  .flags = flags_if(garbage.c >= 4)}});
}
void default_fdb_entry(World& world, const Garbage& garbage) {
  for (const int number : {garbage.a, garbage.b}) {
    (void)world.kernel.append_fdb(
        {.device = world.device(), .dst = vtep(number % 6), .state = kNudPermanent}, kNow);
  }
}
void neighbour(World& world, const Garbage& garbage) {
  const IpPrefix at = place(world, garbage);
  Neighbour row{.device = world.device(),
                .address = inside(at, garbage.c % 3),
                .lladdr = garbage.b < 4 ? vtep_mac(at, overlay_for(at)) : some_mac(garbage.b),
                .state = kNudNoarp,
                .flags = kNtfExtLearned,
                .protocol = kOwnProtocol};
  switch (garbage.c % 6) {
    case 0: row.state = kNudReachable; break;
    case 1: row.state = kNudPermanent; break;
    case 2: row.state = kNudStale; break;
    case 3: row.flags = 0; break;
    case 4: row.protocol = 0; break;
    default: break;
  }
  (void)world.run(ReplaceNeighbour{row});
}
void right_neighbour(World& world, const Garbage& garbage) {
  const IpPrefix destination = place(world, garbage);
  if (world.device() != IfIndex{0}) {
    (void)world.run(ReplaceNeighbour{{.device = world.device(),
                                      .address = inside(destination, garbage.c % 3),
                                      .lladdr = vtep_mac(destination, overlay_for(destination)),
                                      .state = kNudNoarp,
                                      .flags = kNtfExtLearned,
                                      .protocol = kOwnProtocol}});
  }
}
void packet(World& world, const Garbage& garbage) {
  (void)world.kernel.send_packet(inside(place(world, garbage), garbage.c % 3), kNow);
}
void kernel_neighbour(World& world, const Garbage& garbage) {
  (void)world.run(
      ReplaceNeighbour{{.device = world.device(),
                        .address = garbage.a % 2 == 0 ? address("ff02::1") : address("224.0.0.22"),
                        .lladdr = some_mac(9),
                        .state = kNudNoarp}});
}
void device_address(World& world, const Garbage& garbage) {
  constexpr std::uint8_t kLengths[] = {12, 32, 24, 12};
  const IpPrefix destination = place(world, garbage);
  const bool v4 = destination.family() == Family::V4;
  (void)world.run(
      ReplaceAddress{{.device = world.device(),
                      .address = inside(destination, garbage.b % 2),
                      .length = v4 ? kLengths[garbage.c % 4]
                                   : (garbage.c % 2 == 0 ? std::uint8_t{128} : std::uint8_t{64}),
                      .no_prefix_route = garbage.c % 3 != 0}});
}
void lost_address(World& world, const Garbage& garbage) {
  (void)garbage;
  for (const IfAddress& row : world.kernel.addresses()) {
    if (row.device == world.device()) {
      (void)world.run(DeleteAddress{row});
      return;
    }
  }
}
void device_down(World& world, const Garbage& garbage) {
  (void)world.run(ChangeLink{.device = world.device(), .up = false});
  if (garbage.a % 2 == 0) {
    (void)world.run(ChangeLink{.device = world.device(), .up = true});
  }
}
void device_changed(World& world, const Garbage& garbage) {
  ChangeLink change{.device = world.device()};
  switch (garbage.a % 5) {
    case 0: change.mtu = 1200; break;
    case 1: change.mtu = 1400; break;
    case 2: change.vxlan_local = vtep(garbage.b); break;
    case 3: change.vxlan_learning = true; break;
    default: change.rp_filter = 1; break;
  }
  (void)world.run(change);
}
void device_parameters(World& world, const Garbage& garbage) {
  (void)world.run(
      SetNeighbourParameters{.device = world.device(),
                             .family = garbage.a % 2 == 0 ? Family::V4 : Family::V6,
                             .parameters = {.app_solicit = static_cast<std::uint32_t>(garbage.b)}});
}
// A left-over of another configuration: ours by its group, but of the wrong kind.
void incompatible_device(World& world, const Garbage& garbage) {
  if (garbage.b != 0) {
    return;  // seldom: it makes a plan disruptive
  }
  (void)world.run(DeleteLink{.device = world.device()});
  (void)world.run(
      CreateVxlan{{.name = "vxlan1",
                   .mac = some_mac(garbage.c),
                   .mtu = 1450,
                   .group = kOwnLinkGroup,
                   .kind = "vxlan",
                   .vxlan = VxlanLink{.vni = Vni{garbage.a % 2 == 0 ? 1U : 7U}, .port = 4789}}});
  (void)world.run(ChangeLink{.device = world.device(), .up = true});
}
void foreign_route_removed(World& world, const Garbage& garbage) {
  (void)world.run(DeleteRoute{some_route(world, garbage, world.device())});
}

constexpr Spoil kSpoils[] = {twin_routes,
                             route_on_device,
                             second_route_on_device,
                             gateway_route_on_device,
                             foreign_route,
                             refusal_route,
                             fdb_entry,
                             default_fdb_entry,
                             neighbour,
                             right_neighbour,
                             packet,
                             kernel_neighbour,
                             device_address,
                             lost_address,
                             device_down,
                             device_changed,
                             device_parameters,
                             incompatible_device,
                             foreign_route_removed};

std::unique_ptr<World> build(const Case& value) {
  auto world = std::make_unique<World>();
  Execution execution{.limit = static_cast<std::size_t>(value.applied)};
  execution.run(*world, plan_all(desired_of(value.before), world->actual(), Prune::Yes));
  for (const auto& [pod_cidr, peer] : desired_after(value).peers) {
    world->wanted.push_back(pod_cidr);
  }
  for (const Garbage& garbage : value.garbage) {
    kSpoils[garbage.kind](*world, garbage);
  }
  return world;
}

// --- Delivery: the oracle. It asks the kernel's tables, and the wish for the peers. ---

const Peer* peer_of(const DesiredState& desired, const IpAddress& destination) {
  for (const auto& [pod_cidr, peer] : desired.peers) {
    if (pod_cidr.contains(destination)) {
      return &peer;
    }
  }
  return nullptr;
}

// True if a packet reaches the VTEP that is to have it, with the MAC that it listens to. An
// unresolved address counts as answered with its owner's MAC; what an all-zero FDB entry floods to
// everybody does not count.
bool delivered(const World& world, const DesiredState& desired, const IpAddress& destination) {
  const Peer* peer = peer_of(desired, destination);
  if (peer == nullptr) {
    return false;
  }
  const auto* remotes = world.kernel.find_fdb(world.device(), peer->mac);
  const Delivery delivery = world.kernel.deliver(destination);
  return delivery.device == world.device() && remotes != nullptr &&
         remotes->front().dst == peer->vtep &&
         (delivery.fate == PacketFate::Unresolved ||
          (delivery.fate == PacketFate::Vtep && delivery.mac == peer->mac));
}

std::vector<IpAddress> probes() {
  std::vector<IpAddress> addresses;
  for (int number = 0; number < kPrefixes; ++number) {
    for (int offset = 0; offset < 3; ++offset) {
      addresses.push_back(inside(some_prefix(number), offset));
    }
    addresses.push_back(some_prefix(number).last());
  }
  return addresses;
}

// True if a foreign route takes the address away from its peer, whatever we do.
bool shadowed(const World& world, const DesiredState& desired, const IpAddress& destination) {
  const auto peer =
      std::find_if(desired.peers.begin(), desired.peers.end(),
                   [&](const auto& entry) { return entry.first.contains(destination); });
  const std::vector<Route> routes = world.kernel.routes().rows();
  return peer != desired.peers.end() &&
         std::any_of(routes.begin(), routes.end(), [&](const Route& route) {
           const bool foreign = route.device != world.device() && !is_owned(route, world.device());
           const IpPrefix& wanted = peer->first;
           return foreign && route.destination.contains(destination) &&
                  (route.destination.length() > wanted.length() ||
                   (route.destination == wanted &&
                    route.metric <= peer_route(wanted, world.device()).metric));
         });
}

// Probes that reach their peers, and may be expected to.
std::vector<IpAddress> delivered_now(const World& world, const DesiredState& desired) {
  std::vector<IpAddress> addresses;
  for (const IpAddress& probe : probes()) {
    if (delivered(world, desired, probe) && !shadowed(world, desired, probe)) {
      addresses.push_back(probe);
    }
  }
  return addresses;
}

bool is_refused(const World& world, const IpAddress& destination) {
  const PacketFate fate = world.kernel.deliver(destination).fate;
  return fate == PacketFate::Refused || fate == PacketFate::NoRoute;
}

// True if the device takes the packet and cannot send it on (unless its agent answers a miss).
bool is_swallowed(const World& world, const IpAddress& destination) {
  const PacketFate fate = world.kernel.deliver(destination).fate;
  return fate == PacketFate::Unresolved || fate == PacketFate::NoFdbEntry;
}

// Probes of peers that the sender is told about.
std::vector<IpAddress> refused_now(const World& world, const DesiredState& desired) {
  std::vector<IpAddress> addresses;
  for (const IpAddress& probe : probes()) {
    if (peer_of(desired, probe) != nullptr && is_refused(world, probe)) {
      addresses.push_back(probe);
    }
  }
  return addresses;
}

// Probes that reach some VTEP and are to reach none.
std::vector<IpAddress> leaving_now(const World& world, const DesiredState& desired) {
  std::vector<IpAddress> addresses;
  for (const IpAddress& probe : probes()) {
    if (peer_of(desired, probe) == nullptr &&
        world.kernel.deliver(probe).fate == PacketFate::Vtep) {
      addresses.push_back(probe);
    }
  }
  return addresses;
}

// --- Ownership: what a law compares. ---

struct Foreign {
  std::vector<Link> links;
  std::vector<IfAddress> addresses;
  std::vector<Route> routes;
  std::vector<FdbEntry> fdb;
  std::vector<Neighbour> neighbours;

  friend bool operator==(const Foreign&, const Foreign&) = default;
};

Foreign foreign_of(const World& world) {
  const IfIndex device = world.device();
  Foreign foreign;
  for (const Link& link : world.kernel.links_after(IfIndex{0}, SIZE_MAX)) {
    if (link.index != device) {
      foreign.links.push_back(link);
    }
  }
  for (const IfAddress& row : world.kernel.addresses()) {
    if (row.device != device) {
      foreign.addresses.push_back(row);
    }
  }
  for (const Route& route : world.kernel.routes().rows()) {
    if (route.device != device && !is_owned(route, device)) {
      foreign.routes.push_back(route);
    }
  }
  foreign.fdb = world.kernel.fdb(world.other_vxlan);
  for (const Neighbour& row : world.kernel.neighbours()) {
    if (row.device != device) {
      foreign.neighbours.push_back(row);
    }
  }
  return foreign;
}

std::set<Route> owned_routes(const World& world) {
  std::set<Route> routes;
  for (const Route& route : world.kernel.routes().rows()) {
    if (is_owned(route, world.device())) {
      routes.insert(route);
    }
  }
  return routes;
}

std::set<Route> wanted_routes(const DesiredState& desired, IfIndex device,
                              const std::set<Route>& in_the_way) {
  std::set<Route> routes = desired.refusals;
  for (const auto& [pod_cidr, peer] : desired.peers) {
    routes.insert(peer_route(pod_cidr, device));
  }
  std::erase_if(routes, [&](const Route& route) {
    return std::any_of(in_the_way.begin(), in_the_way.end(), [&](const Route& other) {
      return other.destination == route.destination && other.table == route.table &&
             other.metric == route.metric;
    });
  });
  return routes;
}

void assert_owned_is_desired(const World& world, const DesiredState& desired, const Plan& plan) {
  const IfIndex device = world.device();
  const KernelState tables = world.kernel.tables(device);
  Link link = desired.device;
  link.index = device;
  RC_ASSERT(tables.links.at(device) == link);
  std::set<IfAddress> addresses;
  for (IfAddress row : desired.addresses) {
    row.device = device;
    addresses.insert(row);
  }
  std::set<IfAddress> present;
  for (const IfAddress& row : tables.addresses) {
    if (is_owned(row, device)) {
      present.insert(row);
    }
  }
  RC_ASSERT(present == addresses);
  RC_ASSERT(owned_routes(world) == wanted_routes(desired, device, plan.in_the_way));
  std::set<FdbEntry> fdb;
  for (const auto& [pod_cidr, peer] : desired.peers) {
    fdb.insert(peer_fdb(peer, device));
  }
  RC_ASSERT(tables.fdb == fdb);
  for (const auto& [at, row] : tables.neighbours) {
    if (is_owned(row, device)) {
      const Peer* peer = peer_of(desired, at);
      RC_ASSERT(peer != nullptr);
      RC_ASSERT(row == on_demand_neighbour(at, *peer, device));
    }
  }
  const ActualState actual = world.actual();
  for (const auto& [family, parameters] : desired.parameters) {
    RC_ASSERT(actual.parameters.at(family) == parameters);
  }
  RC_ASSERT(actual.rp_filter == desired.rp_filter);
}

bool rebuilds(const Plan& plan) {
  return std::any_of(plan.stages.begin(), plan.stages.end(), [](const auto& stage) {
    return std::any_of(stage.begin(), stage.end(), [](const PlannedOp& planned) {
      return std::holds_alternative<DeleteLink>(planned.op);
    });
  });
}

}  // namespace
}  // namespace vxmesh

namespace rc {

// Lists stay short, numbers keep their whole range.
template <typename T>
Gen<std::vector<T>> short_list(int size) {
  return gen::resize(size, gen::container<std::vector<T>>(gen::resize(100, gen::arbitrary<T>())));
}

template <>
struct Arbitrary<vxmesh::NodeChoice> {
  static Gen<vxmesh::NodeChoice> arbitrary() {
    return gen::construct<vxmesh::NodeChoice>(gen::inRange(0, 8), gen::inRange(0, 6),
                                              gen::inRange(0, 6));
  }
};
template <>
struct Arbitrary<vxmesh::Wish> {
  static Gen<vxmesh::Wish> arbitrary() {
    return gen::construct<vxmesh::Wish>(short_list<vxmesh::NodeChoice>(8),
                                        gen::weightedElement<int>({{10, 0}, {2, 1}, {1, 2}}),
                                        gen::weightedElement<int>({{5, 0}, {1, 1}}),
                                        gen::weightedElement<int>({{5, 0}, {1, 1}, {1, 2}}));
  }
};
template <>
struct Arbitrary<vxmesh::Garbage> {
  static Gen<vxmesh::Garbage> arbitrary() {
    return gen::construct<vxmesh::Garbage>(
        gen::inRange(0, static_cast<int>(std::size(vxmesh::kSpoils))),
        gen::inRange(0, 2 * vxmesh::kPrefixes), gen::inRange(0, 8), gen::inRange(0, 12));
  }
};
template <>
struct Arbitrary<vxmesh::Case> {
  static Gen<vxmesh::Case> arbitrary() {
    return gen::construct<vxmesh::Case>(
        gen::arbitrary<vxmesh::Wish>(),
        gen::weightedOneOf<int>({{3, gen::just(1000)}, {1, gen::inRange(0, 40)}}),
        short_list<vxmesh::Garbage>(10), gen::inRange(0, 5), gen::arbitrary<vxmesh::Wish>());
  }
};

}  // namespace rc

namespace vxmesh {
namespace {

// Counterexamples that were found once and are rare.

TEST(PlanCounterexamples, ARouteWithoutGatewayIsDeletedAfterOneThatHasIt) {
  const DesiredState desired = desired_of({});
  World world;
  Execution{}.run(world, plan_all(desired, world.actual(), Prune::Yes));
  Route route{.destination = prefix("fd60:0:0:3::/64"), .protocol = 3, .device = world.device()};
  ASSERT_EQ(world.kernel.add_route(route, kNow), accept());
  route.gateway = address("fd60:0:0:3::6");
  route.onlink = true;
  ASSERT_EQ(world.kernel.add_route(route, kNow), accept());
  Execution{}.run(world, plan_all(desired, world.actual(), Prune::Yes));
  EXPECT_EQ(owned_routes(world), desired.refusals);
}

TEST(PlanCounterexamples, AnAddressThatCarriesPacketsGoesAfterThePeersHaveTheirRoutes) {
  const DesiredState desired = desired_of({.nodes = {{.v4 = 0, .v6 = 9, .vtep = 0}}});
  World world;
  Execution{}.run(world, plan_all(desired, world.actual(), Prune::Yes));
  const IfAddress own{.device = world.device(),
                      .address = address("100.96.2.0"),
                      .length = 12,
                      .no_prefix_route = true};
  ASSERT_EQ(world.run(DeleteAddress{own}), accept());  // all IPv4 routes go with it
  ASSERT_EQ(world.run(ReplaceAddress{
                {.device = world.device(), .address = address("100.96.0.0"), .length = 12}}),
            accept());
  ASSERT_TRUE(delivered(world, desired, address("100.96.0.9")));
  const Plan plan = plan_all(desired, world.actual(), Prune::Yes);
  Execution execution;
  execution.after = [&](const PlannedOp& planned) {
    EXPECT_TRUE(delivered(world, desired, address("100.96.0.9"))) << format(planned.op);
  };
  execution.run(world, plan);
  EXPECT_TRUE(plan_all(desired, world.actual(), Prune::Yes).empty());
}

RC_GTEST_PROP(PlanLaws, AppliedTheOwnedIsTheDesiredAndTheForeignIsUnchanged, (const Case& value)) {
  const auto world = build(value);
  const DesiredState desired = desired_after(value);
  const Foreign foreign = foreign_of(*world);
  const Plan plan = plan_all(desired, world->actual(), Prune::Yes);
  RC_LOG() << text_of(plan);
  Execution execution;
  execution.run(*world, plan);
  RC_ASSERT(execution.errors == std::vector<std::string>{});
  assert_owned_is_desired(*world, desired, plan);
  RC_ASSERT(foreign_of(*world) == foreign);
  for (const IpAddress& probe : probes()) {
    if (peer_of(desired, probe) != nullptr && !shadowed(*world, desired, probe)) {
      RC_ASSERT(delivered(*world, desired, probe));
    }
  }
}

RC_GTEST_PROP(PlanLaws, ASecondPlanIsEmpty, (const Case& value)) {
  const auto world = build(value);
  const DesiredState desired = desired_after(value);
  const Plan first = plan_all(desired, world->actual(), Prune::Yes);
  RC_LOG() << text_of(first);
  Execution{}.run(*world, first);
  const Plan second = plan_all(desired, world->actual(), Prune::Yes);
  RC_LOG() << text_of(second);
  RC_ASSERT(second.empty());
  RC_ASSERT(second.in_the_way == first.in_the_way);
}

RC_GTEST_PROP(PlanLaws, WhatIsDeliveredStaysDeliveredAfterEveryOperation, (const Case& value)) {
  const auto world = build(value);
  const DesiredState desired = desired_after(value);
  const Plan plan = plan_all(desired, world->actual(), Prune::Yes);
  RC_PRE(!rebuilds(plan));
  const std::vector<IpAddress> before = delivered_now(*world, desired);
  const std::vector<IpAddress> refused = refused_now(*world, desired);
  const std::vector<IpAddress> leaving = leaving_now(*world, desired);
  RC_PRE(!before.empty());
  RC_LOG() << text_of(plan);
  Execution execution;
  execution.after = [&](const PlannedOp& planned) {
    for (const IpAddress& probe : before) {
      if (!delivered(*world, desired, probe)) {
        RC_FAIL(format(probe) + " is lost after " + format(planned.op));
      }
    }
    // Nor is there a moment in which the tunnel takes packets that it cannot send on.
    for (const IpAddress& probe : refused) {
      if (is_swallowed(*world, probe) && !delivered(*world, desired, probe)) {
        RC_FAIL(format(probe) + " is swallowed after " + format(planned.op));
      }
    }
    for (const IpAddress& probe : leaving) {
      if (is_swallowed(*world, probe)) {
        RC_FAIL(format(probe) + " is swallowed on its way out after " + format(planned.op));
      }
    }
  };
  execution.run(*world, plan);
}

RC_GTEST_PROP(PlanLaws, WhatIsDeliveredStaysDeliveredWhicheverOperationFails, (const Case& value)) {
  const DesiredState desired = desired_after(value);
  const Plan plan = plan_all(desired, build(value)->actual(), Prune::Yes);
  RC_PRE(!rebuilds(plan));
  RC_LOG() << text_of(plan);
  for (std::size_t failing = 0; failing < plan.size(); ++failing) {
    const auto world = build(value);
    const std::vector<IpAddress> before = delivered_now(*world, desired);
    RC_PRE(!before.empty());
    Execution execution{.failing = failing};
    execution.after = [&](const PlannedOp& planned) {
      for (const IpAddress& probe : before) {
        if (!delivered(*world, desired, probe)) {
          RC_FAIL(format(probe) + " is lost after " + format(planned.op) + " as #" +
                  std::to_string(failing) + " failed: " + execution.errors.front());
        }
      }
    };
    execution.run(*world, plan);
  }
}

RC_GTEST_PROP(PlanLaws, OnlyARebuildOrAMoveIsDisruptive, (const Case& value)) {
  const auto world = build(value);
  const DesiredState desired = desired_after(value);
  const Plan plan = plan_all(desired, world->actual(), Prune::Yes);
  bool moves = false;
  for (const auto& [pod_cidr, peer] : desired.peers) {
    const auto* remotes = world->kernel.find_fdb(world->device(), peer.mac);
    moves = moves || (remotes != nullptr && remotes->front().dst != peer.vtep);
  }
  for (const auto& [at, row] : world->kernel.tables(world->device()).neighbours) {
    const Peer* peer = peer_of(desired, at);
    moves = moves || (peer != nullptr && is_owned(row, world->device()) && row.lladdr != peer->mac);
  }
  RC_LOG() << text_of(plan);
  if (!rebuilds(plan)) {  // which takes all rows along
    RC_ASSERT(plan.disruptive == moves);
  } else {
    RC_ASSERT(plan.disruptive);
  }
}

RC_GTEST_PROP(PlanLaws, WithoutPruningNothingGoesThatIsNotInTheWay, (const Case& value)) {
  const auto world = build(value);
  const DesiredState desired = desired_after(value);
  const IfIndex device = world->device();
  const KernelState before = world->kernel.tables(device);
  const std::set<Route> routes_before = owned_routes(*world);
  const Plan plan = plan_all(desired, world->actual(), Prune::No);
  RC_PRE(!rebuilds(plan));
  RC_LOG() << text_of(plan);
  Execution execution;
  execution.run(*world, plan);
  RC_ASSERT(execution.errors == std::vector<std::string>{});
  RC_PRE(device != IfIndex{0});

  const KernelState after = world->kernel.tables(device);
  const std::set<Route> routes = owned_routes(*world);
  const std::set<Route> wanted = wanted_routes(desired, device, plan.in_the_way);
  RC_ASSERT(std::includes(routes.begin(), routes.end(), wanted.begin(), wanted.end()));
  for (const Route& route : routes_before) {
    const bool replaced = std::any_of(wanted.begin(), wanted.end(), [&](const Route& other) {
      return other.destination == route.destination && other.metric == route.metric;
    });
    RC_ASSERT(replaced || routes.contains(route));
  }
  for (const FdbEntry& entry : before.fdb) {
    RC_ASSERT(world->kernel.find_fdb(device, entry.mac) != nullptr);
  }
  for (const auto& [pod_cidr, peer] : desired.peers) {
    RC_ASSERT(after.fdb.contains(peer_fdb(peer, device)));
  }
  for (const auto& [at, row] : before.neighbours) {
    RC_ASSERT(after.neighbours.contains(at));
  }
}

RC_GTEST_PROP(PlanLaws, APlanOfTheChangesIsThatOfEverything, (const Case& value)) {
  const DesiredState before = desired_of(value.before);
  Case later = value;
  later.after.self_pod = value.before.self_pod;
  later.after.self_vtep = value.before.self_vtep;
  later.after.mtu = value.before.mtu;
  const DesiredState after = desired_after(later);
  const auto converged = [&] {
    auto world = std::make_unique<World>();
    Execution{}.run(*world, plan_all(before, world->actual(), Prune::Yes));
    for (const Garbage& garbage : value.garbage) {
      (garbage.b % 2 == 0 ? packet : right_neighbour)(*world, garbage);
    }
    Execution{}.run(*world, plan_all(before, world->actual(), Prune::Yes));
    return world;
  };
  std::set<IpPrefix> changed;
  for (const auto& [peers, others] :
       {std::pair(&before.peers, &after.peers), std::pair(&after.peers, &before.peers)}) {
    for (const auto& [pod_cidr, peer] : *peers) {
      const auto other = others->find(pod_cidr);
      if (other == others->end() || other->second != peer) {
        changed.insert(pod_cidr);
      }
    }
  }
  const auto world = converged();
  const Plan all = plan_all(after, world->actual(), Prune::Yes);
  const Plan changes = plan_changes(after, world->actual(), changed, Prune::Yes);
  RC_LOG() << "all:\n" << text_of(all) << "changes:\n" << text_of(changes);
  RC_ASSERT(changes.size() == all.size());
  RC_ASSERT(changes.disruptive == all.disruptive);
  Execution execution;
  execution.run(*world, changes);
  RC_ASSERT(execution.errors == std::vector<std::string>{});
  assert_owned_is_desired(*world, after, changes);
  RC_ASSERT(plan_all(after, world->actual(), Prune::Yes).empty());
}

RC_GTEST_PROP(PlanLaws, CleanupTakesAllThatIsOursAndNothingElse, (const Case& value)) {
  const auto world = build(value);
  const Foreign foreign = foreign_of(*world);
  const auto tables = [&] { return world->kernel.tables(world->device()); };
  Execution execution;
  execution.run(*world, plan_cleanup(tables(), "vxlan1"));
  RC_ASSERT(execution.errors == std::vector<std::string>{});
  RC_ASSERT(world->device() == IfIndex{0});
  RC_ASSERT(owned_routes(*world) == std::set<Route>{});
  RC_ASSERT(foreign_of(*world) == foreign);
  RC_ASSERT(plan_cleanup(tables(), "vxlan1").empty());
}

}  // namespace
}  // namespace vxmesh
