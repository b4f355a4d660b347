#include "decide/plan.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/probe.h"
#include "model/ownership.h"

namespace vxmesh {
namespace {

// What stands in a row's way is removed right before the row is written; all else that is to go
// goes last, in the order in which a packet uses it.
enum StageIndex : std::uint8_t {
  kDeleteDevice,
  kCreateDevice,
  kConfigureDevice,
  kClearFdb,
  kReplaceFdb,
  kReplaceNeighbours,
  kUp,
  kBridgeAddresses,
  kAddAddresses,
  kReplaceRoutes,
  kClearAddresses,  // behind the routes: one that goes may have carried packets by its prefix
  kRestoreAddresses,
  kDeleteRefusals,  // before what hides them
  kDeleteRoutes,
  kDeleteAddresses,
  kDeleteNeighbours,
  kDeleteFdb,
  kStageCount,
};

// True if `actual`, which is ours, can be brought to `desired` in place. The kernel changes neither
// VNI, port nor the family of the outer packets, and setting the MAC flushes every neighbour.
bool is_compatible(const Link& actual, const Link& desired) {
  // Without a local address the device was made for IPv4 (vxlan_nl2conf, drivers/net/vxlan).
  const auto family = [](const VxlanLink& vxlan) {
    return vxlan.local ? vxlan.local->family() : Family::V4;
  };
  return actual.mac == desired.mac && actual.no_arp == desired.no_arp &&
         actual.master == desired.master && actual.vxlan->vni == desired.vxlan->vni &&
         actual.vxlan->port == desired.vxlan->port &&
         actual.vxlan->external == desired.vxlan->external &&
         family(*actual.vxlan) == family(*desired.vxlan);
}

bool is_our_device(const Link& link, const std::string& name) {
  return link.name == name && is_owned(link);
}

bool conforms(const Neighbour& neighbour, const Peer& peer) {
  return neighbour.lladdr == peer.mac && neighbour.state == kNudNoarp &&
         (neighbour.flags & kNtfExtLearned) != 0 && neighbour.protocol == kOwnProtocol;
}

IpPrefix subnet(const IfAddress& address) {
  return IpPrefix::containing(address.address, address.length);
}

// True if `desired` cannot be written, or would go with it, while `actual` is there.
//   - IPv4: the kernel's key is the address with its length, and a REPLACE does not change the
//     flags; and of two addresses in one subnet the later is secondary and is deleted with the
//     first (inet_del_ifa, net/ipv4/devinet.c).
//   - IPv6: the key is the address, and a REPLACE does not change the length.
bool obstructs(const IfAddress& actual, const IfAddress& desired) {
  if (actual.address.family() == Family::V6) {
    return actual.address == desired.address;
  }
  return actual.length == desired.length && subnet(actual) == subnet(desired);
}

// Collects the operations for one key after the other; the plan of a whole state is that of all its
// keys.
class Planner {
 public:
  Planner(const DesiredState& desired, const ActualState& actual, Prune prune)
      : desired_(desired), actual_(actual), prune_(prune) {
    const Link* link = find_link(actual.tables, desired.device.name);
    if (link == nullptr || !is_owned(*link)) {
      return;
    }
    if (is_compatible(*link, desired.device)) {
      link_ = link;
      device_ = link->index;
    } else {
      doomed_device_ = link->index;
    }
  }

  // True if our device is there and need not be rebuilt.
  [[nodiscard]] bool has_device() const { return link_ != nullptr; }

  void plan_device();
  void plan_addresses();
  void plan_destinations();
  void plan_destination(const IpPrefix& destination);
  void plan_vteps();
  void plan_vtep(const MacAddress& mac);
  void plan_neighbour(const Neighbour& neighbour);
  [[nodiscard]] Plan finish() &&;

 private:
  void add(StageIndex stage, const OpTarget& target, KernelOp op) {
    stages_[stage].push_back(PlannedOp{.target = target, .op = std::move(op)});
  }
  void plan_in_place();
  void plan_addresses(Family family);
  [[nodiscard]] std::vector<Route> desired_routes(const IpPrefix& destination) const;
  [[nodiscard]] OpTarget route_target(const Route& route) const;
  [[nodiscard]] bool hides_behind(const IpPrefix& destination, const OpTarget& target) const;

  const DesiredState& desired_;
  const ActualState& actual_;
  Prune prune_;
  const Link* link_ = nullptr;
  IfIndex device_ = kCreatedDevice;
  std::optional<IfIndex> doomed_device_;  // its rows go with it
  std::array<std::vector<PlannedOp>, kStageCount> stages_;
  bool disruptive_ = false;
  std::set<Route> in_the_way_;
};

void Planner::plan_device() {
  if (doomed_device_) {
    PROBE("device-rebuilt");
    add(kDeleteDevice, {}, DeleteLink{.device = *doomed_device_});
    disruptive_ = true;
  }
  if (!has_device()) {
    add(kCreateDevice, {}, CreateVxlan{.link = desired_.device});
  }
  plan_in_place();
  for (const auto& [family, parameters] : desired_.parameters) {
    const auto read = actual_.parameters.find(family);
    if (!has_device() || read == actual_.parameters.end() || read->second != parameters) {
      add(kConfigureDevice, {},
          SetNeighbourParameters{.device = device_, .family = family, .parameters = parameters});
    }
  }
  if (!has_device() || !link_->up) {
    ChangeLink up{.device = device_};
    up.up = true;
    add(kUp, {}, up);
  }
}

void Planner::plan_in_place() {
  const Link& wanted = desired_.device;
  // Two messages: with vxlan attributes beside it an MTU is refused, even the same one
  // (vxlan_nl2conf, "Cannot change mtu").
  ChangeLink plain{.device = device_};
  ChangeLink change{.device = device_};
  if (has_device() && link_->mtu != wanted.mtu) {
    plain.mtu = wanted.mtu;
  }
  if (has_device() && link_->vxlan->local != wanted.vxlan->local) {
    change.vxlan_local = wanted.vxlan->local;
  }
  if (has_device() && link_->vxlan->learning != wanted.vxlan->learning) {
    change.vxlan_learning = wanted.vxlan->learning;
  }
  if (!has_device() || actual_.rp_filter != desired_.rp_filter) {
    plain.rp_filter = desired_.rp_filter;
  }
  for (const ChangeLink& op : {plain, change}) {
    if (op != ChangeLink{.device = device_}) {
      add(kConfigureDevice, {}, op);
    }
  }
}

void Planner::plan_addresses() {
  plan_addresses(Family::V4);
  plan_addresses(Family::V6);
}

// The last IPv4 address takes the device's IPv4 routes and neighbours with it, so while one is
// exchanged for another in its place, the base address as a /32 keeps them.
void Planner::plan_addresses(Family family) {
  std::set<IfAddress> wanted;
  for (IfAddress address : desired_.addresses) {
    if (address.address.family() == family) {
      address.device = device_;
      wanted.insert(address);
    }
  }
  std::set<IfAddress> present;
  for (auto it = actual_.tables.addresses.lower_bound(IfAddress{.device = device_});
       it != actual_.tables.addresses.end() && it->device == device_; ++it) {
    if (it->address.family() == family && is_owned(*it, device_)) {
      present.insert(*it);
    }
  }
  std::set<IfAddress> missing;
  std::set_difference(wanted.begin(), wanted.end(), present.begin(), present.end(),
                      std::inserter(missing, missing.end()));
  std::set<IfAddress> doomed;
  std::set<IfAddress> restored;
  std::set<IfAddress> bridges;
  for (const IfAddress& address : present) {
    if (wanted.contains(address)) {
      continue;
    }
    const auto obstructed = std::find_if(wanted.begin(), wanted.end(), [&](const IfAddress& other) {
      return obstructs(address, other);
    });
    if (obstructed == wanted.end()) {
      doomed.insert(address);
    } else if (prune_ == Prune::Yes || address.address == obstructed->address) {
      add(kClearAddresses, {}, DeleteAddress{address});
      missing.erase(*obstructed);
      restored.insert(*obstructed);
      if (family == Family::V4) {
        bridges.insert(IfAddress{.device = device_,
                                 .address = obstructed->address,
                                 .length = address_bits(family),
                                 .no_prefix_route = true});
      }
    }
  }
  for (const IfAddress& bridge : bridges) {
    if (!present.contains(bridge)) {
      add(kBridgeAddresses, {}, ReplaceAddress{bridge});
      add(kDeleteAddresses, {}, DeleteAddress{bridge});
    }
  }
  for (const IfAddress& address : missing) {
    add(kAddAddresses, {}, ReplaceAddress{address});
  }
  for (const IfAddress& address : restored) {
    add(kRestoreAddresses, {}, ReplaceAddress{address});
  }
  for (const IfAddress& address : doomed) {
    if (prune_ == Prune::Yes) {
      add(kDeleteAddresses, {}, DeleteAddress{address});
    }
  }
}

std::vector<Route> Planner::desired_routes(const IpPrefix& destination) const {
  std::vector<Route> wanted;
  for (auto it = desired_.refusals.lower_bound(Route{.destination = destination, .table = 0});
       it != desired_.refusals.end() && it->destination == destination; ++it) {
    wanted.push_back(*it);
  }
  if (desired_.peers.contains(destination)) {
    wanted.push_back(peer_route(destination, device_));
  }
  return wanted;
}

// Whom a route serves: the peer that has its base address, whose own route must be there before
// this one goes.
OpTarget Planner::route_target(const Route& route) const {
  if (!route.device) {
    return {};
  }
  if (const auto* peer = find_peer(desired_.peers, route.destination.base())) {
    return {peer->second.mac};
  }
  for (const IpPrefix& overlay : desired_.overlay) {
    if (overlay.contains(route.destination)) {
      return {vtep_mac(route.destination, overlay)};
    }
  }
  return {};
}

// True if something else on our device carries (part of) this destination now: a wider route of
// ours that serves another, or the kernel's route for an address that is not wanted. It may go only
// after all that it carried have routes of their own, so these then serve the device.
bool Planner::hides_behind(const IpPrefix& destination, const OpTarget& target) const {
  const std::set<IfAddress>& addresses = actual_.tables.addresses;
  for (auto it = addresses.lower_bound(IfAddress{.device = device_});
       it != addresses.end() && it->device == device_; ++it) {
    if (!it->no_prefix_route && subnet(*it).overlaps(destination)) {
      return true;
    }
  }
  const std::set<Route>& routes = actual_.tables.routes;
  auto it = routes.begin();
  for (std::uint8_t length = 0; length < destination.length(); ++length) {
    const IpPrefix wider = IpPrefix::containing(destination.base(), length);
    // Wider ones come in order, so nothing is to be looked for before the route that is next.
    if (it != routes.end() && it->destination < wider) {
      it = routes.lower_bound(Route{.destination = wider, .table = 0});
    }
    for (; it != routes.end() && it->destination == wider; ++it) {
      if (it->device && is_owned(*it, device_) && route_target(*it) != target) {
        return true;
      }
    }
  }
  return false;
}

// Peers and routes are both in order of destination, and nearly all are as they should be: such a
// one costs a comparison.
void Planner::plan_destinations() {
  std::vector<IpPrefix> others;
  for (const Route& refusal : desired_.refusals) {
    others.push_back(refusal.destination);
  }
  auto peer = desired_.peers.begin();
  const std::set<Route>& routes = actual_.tables.routes;
  for (auto route = routes.begin(); route != routes.end();) {
    for (; peer != desired_.peers.end() && peer->first < route->destination; ++peer) {
      others.push_back(peer->first);
    }
    const auto next = std::find_if(std::next(route), routes.end(), [&](const Route& other) {
      return other.destination != route->destination;
    });
    const bool wanted = peer != desired_.peers.end() && peer->first == route->destination;
    const bool alone = next == std::next(route);
    if (!wanted || !alone || *route != peer_route(peer->first, device_)) {
      others.push_back(route->destination);
    }
    std::advance(peer, wanted ? 1 : 0);
    route = next;
  }
  for (; peer != desired_.peers.end(); ++peer) {
    others.push_back(peer->first);
  }
  std::sort(others.begin(), others.end());
  others.erase(std::unique(others.begin(), others.end()), others.end());
  for (const IpPrefix& destination : others) {
    plan_destination(destination);
  }
}

void Planner::plan_destination(const IpPrefix& destination) {
  const auto same_place = [](const Route& a, const Route& b) {
    return a.table == b.table && a.metric == b.metric;
  };
  std::vector<Route> present;
  std::vector<Route> foreign;
  const std::set<Route>& routes = actual_.tables.routes;
  for (auto it = routes.lower_bound(Route{.destination = destination, .table = 0});
       it != routes.end() && it->destination == destination; ++it) {
    if (is_owned(*it, device_)) {
      present.push_back(*it);
    } else if (it->device != device_ && (!doomed_device_ || it->device != doomed_device_)) {
      // What the kernel makes on our device comes of an address that we do not want there.
      foreign.push_back(*it);
    }
  }
  for (const Route& wanted : desired_routes(destination)) {
    if (std::erase(present, wanted) != 0) {
      continue;
    }
    const auto here = [&](const Route& other) { return same_place(other, wanted); };
    const auto obstacle = std::find_if(foreign.begin(), foreign.end(), here);
    if (obstacle != foreign.end()) {
      PROBE("foreign-route-in-the-way");
      in_the_way_.insert(*obstacle);
      continue;
    }
    const OpTarget target = route_target(wanted);
    add(kReplaceRoutes, hides_behind(destination, target) ? OpTarget{} : target,
        ReplaceRoute{wanted});
    if (std::count_if(present.begin(), present.end(), here) == 1) {
      std::erase_if(present, here);  // it is this one that ours replaces
    }
  }
  // A request without a gateway takes any, so those that have one go first.
  for (auto route = present.rbegin(); route != present.rend() && prune_ == Prune::Yes; ++route) {
    add(route->device ? kDeleteRoutes : kDeleteRefusals, route_target(*route), DeleteRoute{*route});
  }
}

// As plan_destinations: VTEPs and FDB entries are both in order of their MACs.
void Planner::plan_vteps() {
  std::vector<MacAddress> others;
  auto vtep = desired_.vteps.begin();
  const std::set<FdbEntry>& fdb = actual_.tables.fdb;
  for (auto entry = fdb.begin(); entry != fdb.end();) {
    const MacAddress& mac = entry->mac;
    for (; vtep != desired_.vteps.end() && vtep->first < mac; ++vtep) {
      others.push_back(vtep->first);
    }
    const auto next = std::find_if(std::next(entry), fdb.end(),
                                   [&](const FdbEntry& other) { return other.mac != mac; });
    const bool wanted = vtep != desired_.vteps.end() && vtep->first == mac;
    const bool alone = next == std::next(entry);
    if (!wanted || !alone || *entry != peer_fdb(desired_.peers.at(vtep->second), device_)) {
      others.push_back(mac);
    }
    while (vtep != desired_.vteps.end() && vtep->first == mac) {
      ++vtep;
    }
    entry = next;
  }
  for (; vtep != desired_.vteps.end(); ++vtep) {
    others.push_back(vtep->first);
  }
  std::sort(others.begin(), others.end());
  others.erase(std::unique(others.begin(), others.end()), others.end());
  for (const MacAddress& mac : others) {
    plan_vtep(mac);
  }
}

void Planner::plan_vtep(const MacAddress& mac) {
  std::vector<FdbEntry> present;
  for (auto it = actual_.tables.fdb.lower_bound(FdbEntry{.device = device_, .mac = mac});
       it != actual_.tables.fdb.end() && it->device == device_ && it->mac == mac; ++it) {
    present.push_back(*it);
  }
  const OpTarget target{mac};
  const auto* peer = find_peer(desired_, mac);
  if (peer == nullptr) {
    if (!present.empty() && prune_ == Prune::Yes) {
      add(kDeleteFdb, target, DeleteFdb{.device = device_, .mac = mac});
    }
    return;
  }
  const FdbEntry wanted = peer_fdb(peer->second, device_);
  if (present == std::vector{wanted}) {
    return;
  }
  // A REPLACE changes the first of several destinations, and nothing in a nexthop-group entry.
  if (present.size() > 1 || (present.size() == 1 && !present.front().dst)) {
    add(kClearFdb, target, DeleteFdb{.device = device_, .mac = mac});
  }
  add(kReplaceFdb, target, ReplaceFdb{wanted});
  disruptive_ = disruptive_ || std::any_of(present.begin(), present.end(), [&](const auto& entry) {
                  return entry.dst != wanted.dst;
                });
}

void Planner::plan_neighbour(const Neighbour& neighbour) {
  if (!is_owned(neighbour, device_)) {
    return;
  }
  const auto* peer = find_peer(desired_.peers, neighbour.address);
  if (peer == nullptr) {
    if (prune_ == Prune::Yes) {
      add(kDeleteNeighbours, OpTarget{neighbour.lladdr},
          DeleteNeighbour{.device = device_, .address = neighbour.address});
    }
  } else if (!conforms(neighbour, peer->second)) {
    add(kReplaceNeighbours, OpTarget{peer->second.mac},
        ReplaceNeighbour{on_demand_neighbour(neighbour.address, peer->second, device_)});
    disruptive_ = disruptive_ || neighbour.lladdr != peer->second.mac;
  }
}

Plan Planner::finish() && {
  // What is refused comes first among the routes.
  std::stable_partition(
      stages_[kReplaceRoutes].begin(), stages_[kReplaceRoutes].end(),
      [](const PlannedOp& planned) { return !std::get<ReplaceRoute>(planned.op).route.device; });
  Plan plan{.stages = {}, .disruptive = disruptive_, .in_the_way = std::move(in_the_way_)};
  for (std::vector<PlannedOp>& stage : stages_) {
    if (!stage.empty()) {
      plan.stages.push_back(std::move(stage));
    }
  }
  return plan;
}

}  // namespace

std::size_t Plan::size() const {
  return std::accumulate(stages.begin(), stages.end(), std::size_t{0},
                         [](std::size_t sum, const auto& stage) { return sum + stage.size(); });
}

void bind_created_device(std::span<PlannedOp> ops, IfIndex device) {
  const auto bind = [device](IfIndex& index) {
    if (index == kCreatedDevice) {
      index = device;
    }
  };
  for (PlannedOp& planned : ops) {
    if (auto* link = std::get_if<ChangeLink>(&planned.op)) {
      bind(link->device);
    } else if (auto* parameters = std::get_if<SetNeighbourParameters>(&planned.op)) {
      bind(parameters->device);
    } else if (auto* address = std::get_if<ReplaceAddress>(&planned.op)) {
      bind(address->address.device);
    } else if (auto* route = std::get_if<ReplaceRoute>(&planned.op)) {
      if (route->route.device) {
        bind(*route->route.device);
      }
    } else if (auto* fdb = std::get_if<ReplaceFdb>(&planned.op)) {
      bind(fdb->entry.device);
    } else if (auto* neighbour = std::get_if<ReplaceNeighbour>(&planned.op)) {
      bind(neighbour->neighbour.device);
    }
  }
}

Result<void> device_conflict(const DesiredState& desired, const KernelState& actual) {
  const Link& wanted = desired.device;
  for (const auto& [index, link] : actual.links) {
    if (is_our_device(link, wanted.name)) {
      continue;
    }
    if (link.name == wanted.name) {
      return fail(ErrorCode::Environment, "a device that is not ours has the name " + wanted.name +
                                              ": " + format(link) +
                                              "; remove it or configure another name");
    }
    if (link.vxlan && link.vxlan->vni == wanted.vxlan->vni &&
        link.vxlan->port == wanted.vxlan->port) {
      return fail(ErrorCode::Environment, "another device has our VNI and port: " + format(link) +
                                              "; remove it or configure another VNI or port");
    }
  }
  return {};
}

Plan plan_all(const DesiredState& desired, const ActualState& actual, Prune prune) {
  check(device_conflict(desired, actual.tables).has_value(),
        "a plan is made only while nobody else holds our device's name, VNI and port");
  Planner planner(desired, actual, prune);
  planner.plan_device();
  planner.plan_addresses();
  planner.plan_destinations();
  planner.plan_vteps();
  for (const auto& [address, neighbour] : actual.tables.neighbours) {
    planner.plan_neighbour(neighbour);
  }
  return std::move(planner).finish();
}

Plan plan_changes(const DesiredState& desired, const ActualState& actual,
                  const std::set<IpPrefix>& changed, Prune prune) {
  Planner planner(desired, actual, prune);
  if (!planner.has_device()) {
    return {};
  }
  std::set<MacAddress> macs;
  for (const IpPrefix& pod_cidr : changed) {
    planner.plan_destination(pod_cidr);
    const auto peer = desired.peers.find(pod_cidr);
    if (peer != desired.peers.end()) {
      macs.insert(peer->second.mac);
    }
    for (const IpPrefix& overlay : desired.overlay) {
      if (overlay.contains(pod_cidr)) {
        macs.insert(vtep_mac(pod_cidr, overlay));
      }
    }
  }
  for (const MacAddress& mac : macs) {
    planner.plan_vtep(mac);
  }
  // No two PodCIDRs of one moment overlap, but a changed one may lie inside one that it replaces.
  std::optional<IpAddress> done;
  const auto& neighbours = actual.tables.neighbours;
  for (const IpPrefix& pod_cidr : changed) {
    auto it = done && *done >= pod_cidr.base() ? neighbours.upper_bound(*done)
                                               : neighbours.lower_bound(pod_cidr.base());
    for (; it != neighbours.end() && it->first <= pod_cidr.last(); ++it) {
      planner.plan_neighbour(it->second);
    }
    done = std::max(done, std::optional(pod_cidr.last()));
  }
  return std::move(planner).finish();
}

Plan plan_cleanup(const KernelState& actual, const std::string& device_name) {
  Plan plan;
  const Link* link = find_link(actual, device_name);
  if (link != nullptr && is_owned(*link)) {
    plan.stages.push_back({PlannedOp{.target = {}, .op = DeleteLink{.device = link->index}}});
    plan.disruptive = true;
  }
  std::vector<PlannedOp> routes;
  for (const Route& route : actual.routes) {
    if (!route.device && is_owned(route, kCreatedDevice)) {
      routes.push_back(PlannedOp{.target = {}, .op = DeleteRoute{route}});
    }
  }
  if (!routes.empty()) {
    plan.stages.push_back(std::move(routes));
  }
  return plan;
}

}  // namespace vxmesh
