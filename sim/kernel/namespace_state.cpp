#include "sim/kernel/namespace_state.h"

#include <algorithm>

#include "base/check.h"

namespace vxmesh {
namespace {

constexpr std::uint32_t kMinMtu = 68;         // ETH_MIN_MTU
constexpr std::uint32_t kMaxMtu = 65535;      // ETH_MAX_MTU
constexpr std::uint32_t kMinIpv6Mtu = 1280;   // IPV6_MIN_MTU
constexpr std::uint32_t kEthernetMtu = 1500;  // what a vxlan gets that asks for nothing
constexpr std::size_t kMaxNameLength = 15;    // IFNAMSIZ - 1

bool is_unicast(const MacAddress& mac) {
  return mac != MacAddress{} && (mac.bytes[0] & 1U) == 0;
}

Family underlay_family(const VxlanLink& vxlan) {
  return vxlan.local ? vxlan.local->family() : Family::V4;
}

}  // namespace

// One member per kind of request.
struct NamespaceState::Executor {
  NamespaceState& state;

  OpDone operator()(const CreateVxlan& op) const { return state.create_vxlan(op.link); }
  OpDone operator()(const ChangeLink& op) const { return state.change_link(op); }
  OpDone operator()(const DeleteLink& op) const { return state.delete_link(op.device); }
  OpDone operator()(const SetNeighbourParameters& op) const { return state.set_parameters(op); }
  OpDone operator()(const ReplaceAddress& op) const { return state.replace_address(op.address); }
  OpDone operator()(const DeleteAddress& op) const { return state.delete_address(op.address); }
  OpDone operator()(const ReplaceRoute& op) const {
    return state.write_route(op.route, &RouteTable::replace);
  }
  OpDone operator()(const DeleteRoute& op) const { return state.delete_route(op.route); }
  OpDone operator()(const ReplaceFdb& op) const { return state.write_fdb(op.entry, true); }
  OpDone operator()(const DeleteFdb& op) const { return state.delete_fdb(op); }
  OpDone operator()(const ReplaceNeighbour& op) const {
    return state.replace_neighbour(op.neighbour);
  }
  OpDone operator()(const DeleteNeighbour& op) const { return state.delete_neighbour(op); }
};

NamespaceState::NamespaceState() {
  LinkRow& loopback = links_[kLoopback];
  loopback.link = Link{.index = kLoopback, .name = "lo", .mtu = 65536};
  loopback.parameters = {{Family::V4, {}}, {Family::V6, {}}};
}

// --- Requests ---

OpDone NamespaceState::execute(const KernelOp& op, MonotonicTime now) {
  run_timers(now);
  OpDone done = std::visit(Executor{*this}, op);
  publish();
  return done;
}

IfIndex NamespaceState::add_link(Link link, MonotonicTime now) {
  check(find_link(link.name) == nullptr, "the name of a new link is free");
  check(!link.vxlan, "a vxlan is made by a request");
  run_timers(now);
  const bool up = std::exchange(link.up, false);
  LinkRow& row = insert_link(std::move(link));
  if (up) {
    (void)bring_up(row);
  }
  publish();
  return row.link.index;
}

OpDone NamespaceState::set_mac(IfIndex device, const MacAddress& mac, MonotonicTime now) {
  run_timers(now);
  LinkRow* link = row(device);
  if (link == nullptr) {
    return refuse(ENODEV);
  }
  if (!is_unicast(mac)) {
    return refuse(EADDRNOTAVAIL);
  }
  link->link.mac = mac;
  tell(KernelChange::Kind::New, link->link);
  neighbours_.flush(device, std::nullopt, now_, messages_);  // even if the MAC is the same
  publish();
  return accept();
}

OpDone NamespaceState::add_route(const Route& route, MonotonicTime now) {
  run_timers(now);
  OpDone done = write_route(route, &RouteTable::prepend);
  publish();
  return done;
}

OpDone NamespaceState::append_fdb(const FdbEntry& entry, MonotonicTime now) {
  run_timers(now);
  OpDone done = write_fdb(entry, false);
  publish();
  return done;
}

// --- Links ---

NamespaceState::LinkRow* NamespaceState::row(IfIndex device) {
  const auto place = links_.find(device);
  return place == links_.end() ? nullptr : &place->second;
}

const NamespaceState::LinkRow* NamespaceState::row(IfIndex device) const {
  const auto place = links_.find(device);
  return place == links_.end() ? nullptr : &place->second;
}

NamespaceState::LinkRow& NamespaceState::insert_link(Link link) {
  link.index = next_index_;
  ++next_index_.value;
  LinkRow& row = links_[link.index];
  row.link = std::move(link);
  row.parameters[Family::V4] = NeighbourParameters{};
  if (row.link.mtu >= kMinIpv6Mtu) {
    row.parameters[Family::V6] = NeighbourParameters{};
  }
  tell(KernelChange::Kind::New, row.link);
  return row;
}

OpDone NamespaceState::judge_vxlan(const Link& wanted) const {
  const VxlanLink& vxlan = *wanted.vxlan;
  if (wanted.name.empty() || wanted.name.size() > kMaxNameLength) {
    return refuse(wanted.name.empty() ? EINVAL : ERANGE);
  }
  if (find_link(wanted.name) != nullptr) {
    return refuse(EEXIST);
  }
  if (!is_unicast(wanted.mac)) {
    return refuse(EADDRNOTAVAIL, "Provided Ethernet address is not unicast");
  }
  if (wanted.mtu != 0 && (wanted.mtu < kMinMtu || wanted.mtu > kMaxMtu)) {
    return refuse(EINVAL, wanted.mtu < kMinMtu ? "mtu less than device minimum"
                                               : "mtu greater than device maximum");
  }
  if (vxlan.vni.value > kMaxVni) {
    return refuse(ERANGE, "VXLAN ID must be lower than 16777216");
  }
  for (const auto& [index, row] : links_) {
    const std::optional<VxlanLink>& other = row.link.vxlan;
    if (other && other->vni == vxlan.vni && other->port == vxlan.port &&
        other->external == vxlan.external && underlay_family(*other) == underlay_family(vxlan)) {
      return refuse(EEXIST, "A VXLAN device with the specified VNI already exists");
    }
  }
  return accept();
}

OpDone NamespaceState::create_vxlan(const Link& wanted) {
  check(wanted.vxlan.has_value(), "a vxlan link carries its vxlan parameters");
  if (OpDone verdict = judge_vxlan(wanted); verdict != accept()) {
    return verdict;
  }
  Link link{.index = {},
            .name = wanted.name,
            .mac = wanted.mac,
            .mtu = wanted.mtu == 0 ? kEthernetMtu : wanted.mtu,
            .no_arp = wanted.no_arp,
            .group = wanted.group,
            .kind = "vxlan",
            .master = {},
            .vxlan = wanted.vxlan};
  insert_link(std::move(link));
  return accept();
}

OpDone NamespaceState::change_vxlan(LinkRow& row, const ChangeLink& op) {
  if (!op.vxlan_local && !op.vxlan_learning) {
    return accept();
  }
  if (!row.link.vxlan) {
    return refuse(EOPNOTSUPP);
  }
  VxlanLink& vxlan = *row.link.vxlan;
  if (op.vxlan_local && op.vxlan_local->family() != underlay_family(vxlan)) {
    return refuse(EOPNOTSUPP, "New local address family does not match old");
  }
  if (op.vxlan_local) {
    vxlan.local = op.vxlan_local;
  }
  vxlan.learning = op.vxlan_learning.value_or(vxlan.learning);
  return accept();
}

OpDone NamespaceState::change_link(const ChangeLink& op) {
  LinkRow* link = row(op.device);
  if (link == nullptr) {
    return refuse(ENODEV);
  }
  const Link before = link->link;
  OpDone done = change_vxlan(*link, op);
  if (done == accept() && op.mtu) {
    done = set_mtu(*link, *op.mtu);  // what came before a refusal stays changed
  }
  if (link->link != before) {
    tell(KernelChange::Kind::New, link->link);
  }
  if (done == accept() && op.up && *op.up != link->link.up) {
    if (*op.up) {
      done = bring_up(*link);
    } else {
      bring_down(*link);
    }
  }
  if (done == accept() && op.rp_filter) {
    link->rp_filter = *op.rp_filter;
  }
  return done;
}

OpDone NamespaceState::set_mtu(LinkRow& row, std::uint32_t mtu) {
  if (mtu < kMinMtu || (row.link.vxlan && mtu > kMaxMtu)) {
    return refuse(
        EINVAL, mtu < kMinMtu ? "mtu less than device minimum" : "mtu greater than device maximum");
  }
  const bool had_ipv6 = row.parameters.contains(Family::V6);
  row.link.mtu = mtu;
  if (had_ipv6 && mtu < kMinIpv6Mtu) {
    forget_ipv6(row);
    row.parameters.erase(Family::V6);
  } else if (!had_ipv6 && mtu >= kMinIpv6Mtu) {
    row.parameters[Family::V6] = NeighbourParameters{};
    if (row.link.up) {
      add_link_local(row);
    }
  }
  return accept();
}

void NamespaceState::forget_ipv6(const LinkRow& row) {
  const IfIndex device = row.link.index;
  flush_routes(
      [&](const Route& route) {
        return route.destination.family() == Family::V6 && route.device == device;
      },
      /*tell_it=*/true);
  neighbours_.flush(device, Family::V6, now_, messages_);
  remove_ipv6_addresses(device);
}

OpDone NamespaceState::bring_up(LinkRow& row) {
  if (row.link.vxlan) {
    const VxlanLink& vxlan = *row.link.vxlan;
    // One socket serves all devices of a port and family, unless they differ in what they accept.
    const auto in_the_way = [&](const auto& entry) {
      const Link& other = entry.second.link;
      return other.up && other.vxlan && other.vxlan->port == vxlan.port &&
             other.vxlan->external != vxlan.external &&
             underlay_family(*other.vxlan) == underlay_family(vxlan);
    };
    if (occupied_ports_.contains(vxlan.port) ||
        std::any_of(links_.begin(), links_.end(), in_the_way)) {
      return refuse(EADDRINUSE);
    }
  }
  row.link.up = true;
  tell(KernelChange::Kind::New, row.link);
  if (row.parameters.contains(Family::V6)) {
    add_link_local(row);
  }
  const std::vector<AddressRow> addresses = addresses_;
  for (const AddressRow& address : addresses) {
    if (address.address.device == row.link.index) {
      add_routes_of(address);
    }
  }
  return accept();
}

void NamespaceState::bring_down(LinkRow& row) {
  constexpr std::uint8_t kScopeHost = 254;
  const IfIndex device = row.link.index;
  fdb_.flush_dynamic(device, messages_);
  row.link.up = false;
  tell(KernelChange::Kind::New, row.link);
  neighbours_.flush(device, Family::V4, now_, messages_);
  flush_routes(
      [&](const Route& route) {
        return route.destination.family() == Family::V4 && route.device == device &&
               route.scope != kScopeHost;
      },
      /*tell_it=*/false);
  forget_ipv6(row);
}

OpDone NamespaceState::delete_link(IfIndex device) {
  constexpr std::uint8_t kScopeHost = 254;
  LinkRow* link = row(device);
  if (link == nullptr) {
    return refuse(ENODEV);
  }
  if (link->link.kind.empty()) {
    return refuse(EOPNOTSUPP);  // hardware and loopback have no operations of their own
  }
  if (link->link.up) {
    bring_down(*link);
  }
  fdb_.flush(device, messages_);
  neighbours_.flush(device, std::nullopt, now_, messages_);
  const auto on_device = [&](const Route& route) { return route.device == device; };
  flush_routes([&](const Route& route) { return on_device(route) && route.scope == kScopeHost; },
               /*tell_it=*/true);
  flush_routes(on_device, /*tell_it=*/false);
  for (const AddressRow& address : addresses_) {
    if (address.address.device == device) {
      tell(KernelChange::Kind::Deleted, address.address);
    }
  }
  std::erase_if(addresses_,
                [&](const AddressRow& address) { return address.address.device == device; });
  const Link gone = link->link;
  links_.erase(device);
  for (auto& [index, other] : links_) {
    if (other.link.master == device) {
      other.link.master.reset();
      tell(KernelChange::Kind::New, other.link);
    }
  }
  tell(KernelChange::Kind::Deleted, gone);
  return accept();
}

OpDone NamespaceState::set_parameters(const SetNeighbourParameters& op) {
  LinkRow* link = row(op.device);
  if (link == nullptr || !link->parameters.contains(op.family)) {
    return refuse(ENOENT);
  }
  link->parameters[op.family] = op.parameters;
  return accept();
}

// --- FDB and neighbours ---

OpDone NamespaceState::write_fdb(const FdbEntry& entry, bool replace) {
  if (entry.device == IfIndex{0}) {
    return refuse(EINVAL, "invalid ifindex");
  }
  const LinkRow* link = row(entry.device);
  if (link == nullptr) {
    return refuse(ENODEV, "unknown ifindex");
  }
  if (entry.device == kLoopback) {
    return refuse(EINVAL, "FDB add only supported for Ethernet devices");
  }
  if (!link->link.vxlan) {
    return refuse(EOPNOTSUPP);
  }
  const Family family = underlay_family(*link->link.vxlan);
  return replace ? fdb_.replace(entry, family, messages_) : fdb_.append(entry, family, messages_);
}

OpDone NamespaceState::delete_fdb(const DeleteFdb& op) {
  if (op.device == IfIndex{0}) {
    return refuse(EINVAL, "invalid ifindex");
  }
  const LinkRow* link = row(op.device);
  if (link == nullptr) {
    return refuse(ENODEV, "unknown ifindex");
  }
  return link->link.vxlan ? fdb_.remove(op.device, op.mac, messages_) : refuse(EOPNOTSUPP);
}

OpDone NamespaceState::replace_neighbour(const Neighbour& neighbour) {
  if (neighbour.device == IfIndex{0}) {
    return refuse(EINVAL, "Device not specified");
  }
  const LinkRow* link = row(neighbour.device);
  if (link == nullptr) {
    return refuse(ENODEV);
  }
  if (!link->parameters.contains(neighbour.address.family())) {
    return refuse(EINVAL);
  }
  return neighbours_.replace(neighbour, now_, messages_);
}

OpDone NamespaceState::delete_neighbour(const DeleteNeighbour& op) {
  if (op.device == IfIndex{0}) {
    return refuse(EINVAL, "Device not specified");
  }
  if (row(op.device) == nullptr) {
    return refuse(ENODEV);
  }
  return neighbours_.remove(op.device, op.address, now_, messages_);
}

// --- Packets and time ---

Delivery NamespaceState::deliver(const IpAddress& destination) const {
  if (is_local(destination)) {
    return {.fate = PacketFate::Local};
  }
  const Route* route = route_to(destination);
  if (route == nullptr) {
    return {.fate = PacketFate::NoRoute};
  }
  if (route->type != RouteType::Unicast) {
    return {.fate = PacketFate::Refused};
  }
  Delivery delivery{
      .fate = PacketFate::OtherDevice, .device = route->device, .mac = {}, .vtep = {}};
  const Link* link = route->device ? find_link(*route->device) : nullptr;
  if (link == nullptr || !link->vxlan) {
    return delivery;
  }
  const NeighbourTable::Row* neighbour =
      neighbours_.find(link->index, route->gateway.value_or(destination));
  if (neighbour == nullptr || !is_valid_nud(neighbour->neighbour.state)) {
    delivery.fate = PacketFate::Unresolved;
    return delivery;
  }
  delivery.mac = neighbour->neighbour.lladdr;
  const std::vector<FdbEntry>* remotes = fdb_.find(link->index, *delivery.mac);
  remotes = remotes != nullptr ? remotes : fdb_.find(link->index, MacAddress{});
  delivery.fate = remotes == nullptr ? PacketFate::NoFdbEntry : PacketFate::Vtep;
  delivery.vtep = remotes == nullptr ? std::nullopt : remotes->front().dst;
  return delivery;
}

Delivery NamespaceState::send_packet(const IpAddress& destination, MonotonicTime now) {
  run_timers(now);
  const Delivery delivery = deliver(destination);
  if (delivery.fate == PacketFate::Unresolved) {
    const IpAddress next_hop = route_to(destination)->gateway.value_or(destination);
    const NeighbourParameters* parameters = this->parameters(*delivery.device, next_hop.family());
    check(parameters != nullptr, "a route of a family is only on a device that speaks it");
    neighbours_.resolve(*delivery.device, next_hop, *parameters, now_, messages_);
  }
  publish();
  return delivery;
}

void NamespaceState::run_timers(MonotonicTime now) {
  check(now >= now_, "time never runs backwards");
  const auto parameters_of = [&](IfIndex device, Family family) {
    const NeighbourParameters* parameters = this->parameters(device, family);
    return parameters == nullptr ? NeighbourParameters{} : *parameters;
  };
  for (auto next = next_timer(); next && *next <= now; next = next_timer()) {
    now_ = *next;
    neighbours_.run_timers(parameters_of, now_, messages_);
  }
  now_ = now;
  publish();
}

// --- Reading ---

const Link* NamespaceState::find_link(const std::string& name) const {
  const auto place = std::find_if(links_.begin(), links_.end(), [&](const auto& entry) {
    return entry.second.link.name == name;
  });
  return place == links_.end() ? nullptr : &place->second.link;
}

const Link* NamespaceState::find_link(IfIndex device) const {
  const LinkRow* link = row(device);
  return link == nullptr ? nullptr : &link->link;
}

std::vector<Link> NamespaceState::links_after(IfIndex device, std::size_t max) const {
  std::vector<Link> links;
  for (auto place = links_.upper_bound(device); place != links_.end() && links.size() < max;
       ++place) {
    links.push_back(place->second.link);
  }
  return links;
}

std::vector<IfAddress> NamespaceState::addresses() const {
  std::vector<IfAddress> addresses;
  for (const AddressRow& row : addresses_) {
    addresses.push_back(row.address);
  }
  return addresses;
}

const NeighbourParameters* NamespaceState::parameters(IfIndex device, Family family) const {
  const LinkRow* link = row(device);
  if (link == nullptr) {
    return nullptr;
  }
  const auto place = link->parameters.find(family);
  return place == link->parameters.end() ? nullptr : &place->second;
}

std::optional<std::uint8_t> NamespaceState::rp_filter(IfIndex device) const {
  const LinkRow* link = row(device);
  return link == nullptr ? std::nullopt : std::optional(link->rp_filter);
}

KernelState NamespaceState::tables(IfIndex device) const {
  KernelState tables;
  for (const auto& [index, row] : links_) {
    tables.links.emplace(index, row.link);
  }
  for (const AddressRow& row : addresses_) {
    tables.addresses.insert(row.address);
  }
  for (const Route& route : routes_.rows()) {
    tables.routes.insert(route);
  }
  for (const FdbEntry& entry : fdb_.rows(device)) {
    tables.fdb.insert(entry);
  }
  for (const auto& [key, row] : neighbours_.rows()) {
    if (key.first == device) {
      tables.neighbours.emplace(key.second, row.neighbour);
    }
  }
  return tables;
}

// --- Listening ---

NamespaceState::Subscription NamespaceState::subscribe(Listener listener) {
  auto subscriber = std::make_shared<const Listener>(std::move(listener));
  std::erase_if(listeners_, [](const auto& other) { return other.expired(); });
  listeners_.push_back(subscriber);
  return subscriber;
}

void NamespaceState::tell(KernelChange::Kind kind, const KernelObject& object) {
  report(messages_, kind, object);
}

void NamespaceState::publish() {
  const KernelMessages messages = std::exchange(messages_, {});
  for (const auto& listener : listeners_) {
    if (const auto alive = listener.lock()) {
      for (const KernelMessage& message : messages) {
        (*alive)(message);
      }
    }
  }
}

}  // namespace vxmesh
