#include "integration/fidelity/request_maker.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.h"

namespace vxmesh::fidelity {
namespace {

using rtnl::LinkLayer;

constexpr IfIndex kNoSuchDevice{99};

IpAddress ip(std::string_view text) {
  const Result<IpAddress> address = IpAddress::parse(text);
  check(address.has_value(), "the pool's addresses parse");
  return *address;
}

std::vector<IpAddress> ips(std::initializer_list<std::string_view> texts) {
  std::vector<IpAddress> all;
  for (const std::string_view text : texts) {
    all.push_back(ip(text));
  }
  return all;
}

std::vector<IpPrefix> nets(std::initializer_list<std::string_view> texts) {
  std::vector<IpPrefix> all;
  for (const std::string_view text : texts) {
    const Result<IpPrefix> prefix = IpPrefix::parse(text);
    check(prefix.has_value(), "the pool's prefixes parse");
    all.push_back(*prefix);
  }
  return all;
}

constexpr MacAddress kZeroMac{};
constexpr MacAddress kMulticastMac{{0x01, 0x00, 0x5e, 0x00, 0x00, 0x01}};

LinkLayer short_lladdr() {
  LinkLayer four;
  four.bytes = {0x00, 0x53, 0x64, 0x60};
  return four;
}

}  // namespace

namespace pool {

std::span<const IpAddress> addresses(Family family) {
  static const std::vector<IpAddress> kV4 =
      ips({"100.96.1.0", "100.96.2.0", "100.96.2.7", "172.20.0.11"});
  static const std::vector<IpAddress> kV6 =
      ips({"fd00:96:1::", "fd00:96:2::", "fd00:96:2::7", "fd00:20::11"});
  return family == Family::V4 ? kV4 : kV6;
}

std::span<const IpAddress> destinations(Family family) {
  static const std::vector<IpAddress> kV4 = ips({"172.20.0.12", "172.20.0.13", "172.20.0.14"});
  static const std::vector<IpAddress> kV6 = ips({"fd00:20::12", "fd00:20::13", "fd00:20::14"});
  return family == Family::V4 ? kV4 : kV6;
}

std::span<const IpPrefix> prefixes(Family family) {
  static const std::vector<IpPrefix> kV4 =
      nets({"100.96.2.0/24", "100.96.3.0/24", "100.96.0.0/12", "0.0.0.0/0", "100.96.2.7/32"});
  static const std::vector<IpPrefix> kV6 =
      nets({"fd00:96:2::/48", "fd00:96:3::/48", "fd00:96::/32", "::/0", "fd00:96:2::7/128"});
  return family == Family::V4 ? kV4 : kV6;
}

std::span<const MacAddress> macs() {
  static constexpr std::array<MacAddress, 3> kMacs{
      MacAddress{{0x00, 0x53, 0x64, 0x60, 0x01, 0x00}},
      MacAddress{{0x00, 0x53, 0x64, 0x60, 0x02, 0x00}},
      MacAddress{{0x02, 0x53, 0x00, 0x01, 0x00, 0x00}}};
  return kMacs;
}

std::span<const MacAddress> wire_macs() {
  static constexpr std::array<MacAddress, 6> kMacs{
      MacAddress{{0x02, 0x53, 0x00, 0x02, 0x01, 0x00}},
      MacAddress{{0x02, 0x53, 0x00, 0x02, 0x02, 0x00}},
      MacAddress{{0x02, 0x53, 0x00, 0x02, 0x03, 0x00}},
      MacAddress{{0x02, 0x53, 0x00, 0x02, 0x04, 0x00}},
      MacAddress{{0x02, 0x53, 0x00, 0x02, 0x05, 0x00}},
      MacAddress{{0x02, 0x53, 0x00, 0x02, 0x06, 0x00}}};
  return kMacs;
}

}  // namespace pool

// --- What is drawn for many kinds ---

Family RequestMaker::family() const {
  return draw_.chance(60) ? Family::V4 : Family::V6;
}

rtnl::Kind RequestMaker::kind() const {
  return draw_.chance(75)   ? rtnl::Kind::Vxlan
         : draw_.chance(80) ? rtnl::Kind::Veth
                            : rtnl::Kind::Bridge;
}

std::uint16_t RequestMaker::new_flags() const {
  constexpr std::uint16_t kUsual[] = {rtnl::kCreate | rtnl::kReplace,
                                      rtnl::kCreate | rtnl::kReplace,
                                      rtnl::kCreate | rtnl::kReplace,
                                      rtnl::kCreate | rtnl::kExcl,
                                      rtnl::kCreate,
                                      rtnl::kCreate | rtnl::kAppend,
                                      rtnl::kReplace};
  if (draw_.chance(85)) {
    return draw_.of(kUsual);
  }
  return static_cast<std::uint16_t>(draw_.prng.below(16) << 8U);
}

LinkLayer RequestMaker::mac() const {
  return draw_.of(pool::macs());
}

LinkLayer RequestMaker::mac_for(std::string_view kind) const {
  return kind == "vxlan" ? mac() : LinkLayer(draw_.of(pool::wire_macs()));
}

LinkLayer RequestMaker::fdb_mac() const {
  if (draw_.chance(3)) {
    return short_lladdr();
  }
  return draw_.chance(65) ? mac() : draw_.chance(60) ? LinkLayer(kZeroMac) : kMulticastMac;
}

IfIndex RequestMaker::device(std::string_view kind) const {
  if (draw_.chance(3)) {
    return draw_.chance(70) ? kNoSuchDevice : IfIndex{};
  }
  std::vector<IfIndex> fitting;
  for (const LinkRecord* record : state_.links) {
    if (kind.empty() ? !record->link.kind.empty() : record->link.kind == kind) {
      fitting.push_back(record->link.index);
    }
  }
  if (fitting.empty() || draw_.chance(3)) {
    return state_.links.empty() ? kNoSuchDevice : draw_.of(state_.links)->link.index;
  }
  return draw_.of(fitting);
}

// --- Links ---

void RequestMaker::add_vxlan_attributes(rtnl::NewLink& request) const {
  constexpr std::uint32_t kVnis[] = {1, 2};
  constexpr std::uint16_t kPorts[] = {4789, 8472};
  const Family family = draw_.chance(80) ? Family::V4 : Family::V6;
  request.vni = draw_.of(kVnis);
  request.port = draw_.of(kPorts);
  request.learning = false;
  if (draw_.chance(10)) {
    request.learning = draw_.chance(50) ? std::optional(true) : std::nullopt;
  }
  if (draw_.chance(70) || family == Family::V6) {
    request.local = pool::addresses(family).back();
  }
  if (draw_.chance(10)) {
    request.remote = draw_.of(pool::destinations(draw_.chance(90) ? family : Family::V6));
  }
  if (draw_.chance(10)) {
    request.underlay = device();
  }
  if (draw_.chance(10)) {
    request.ttl = static_cast<std::uint8_t>(draw_.prng.below(3) * 32);
  }
  if (draw_.chance(10)) {
    request.tos = static_cast<std::uint8_t>(draw_.prng.below(2) * 16);
  }
  if (draw_.chance(10)) {
    request.ageing = draw_.chance(50) ? 300 : 600;
  }
  if (draw_.chance(15)) {
    request.limit = static_cast<std::uint32_t>(draw_.prng.below(3));
  }
}

// The MAC is always said: what the kernel draws itself no two kernels agree on.
rtnl::NewLink RequestMaker::create_link(rtnl::Kind kind) const {
  rtnl::NewLink request;
  request.flags = draw_.chance(90) ? std::uint16_t{rtnl::kCreate | rtnl::kExcl} : new_flags();
  request.kind = kind;
  request.mac = mac_for(kind == rtnl::Kind::Vxlan ? "vxlan" : "");
  if (draw_.chance(3)) {
    request.mac = LinkLayer(draw_.chance(50) ? kZeroMac : kMulticastMac);
  }
  switch (kind) {
    case rtnl::Kind::Vxlan:
      request.name = draw_.of(pool::kVxlanNames);
      add_vxlan_attributes(request);
      break;
    case rtnl::Kind::Bridge: request.name = draw_.of(pool::kBridgeNames); break;
    case rtnl::Kind::Veth:
      request.name = draw_.of(pool::kVethNames);
      request.peer_name = draw_.of(pool::kVethNames);
      request.peer_mac = mac_for({});
      break;
  }
  constexpr std::uint32_t kMtus[] = {1450, 1400, 1280, 1000, 60, 70000};
  if (draw_.chance(40)) {
    request.mtu = draw_.of(std::span(kMtus).first(draw_.chance(90) ? 4 : 6));
  }
  if (draw_.chance(25)) {
    request.group = draw_.chance(70) ? pool::kGroup : 5;
  }
  if (draw_.chance(40)) {
    request.up = draw_.chance(95);
  }
  if (draw_.chance(3)) {
    request.no_arp = draw_.chance(60);
  }
  if (draw_.chance(4)) {
    request.rp_filter = static_cast<std::uint32_t>(draw_.prng.below(3));
  }
  if (draw_.chance(4)) {
    request.master = device("bridge");
  }
  return request;
}

void RequestMaker::change_vxlan(rtnl::NewLink& request) const {
  request.kind = rtnl::Kind::Vxlan;
  switch (draw_.prng.below(9)) {
    case 0:
    case 1: {
      const Family family = draw_.chance(85) ? Family::V4 : Family::V6;
      request.local = draw_.chance(60) ? draw_.of(pool::addresses(family))
                                       : draw_.of(pool::destinations(family));
      break;
    }
    case 2: request.learning = draw_.chance(60); break;
    case 3: request.ttl = static_cast<std::uint8_t>(draw_.prng.below(3) * 32); break;
    case 4: request.tos = static_cast<std::uint8_t>(draw_.prng.below(2) * 16); break;
    case 5: request.ageing = draw_.chance(50) ? 300 : 600; break;
    case 6: request.remote = draw_.of(pool::destinations(Family::V4)); break;
    case 7: request.underlay = device(); break;
    default:
      if (draw_.chance(33)) {
        request.vni = 2;
      } else if (draw_.chance(50)) {
        request.port = 8472;
      } else {
        request.limit = 2;
      }
  }
}

void RequestMaker::change_one(rtnl::NewLink& request, const Link& link) const {
  constexpr std::uint32_t kMtus[] = {1450, 1400, 1300, 1000, 60, 70000};
  const std::uint64_t drawn = draw_.prng.below(100);
  if (drawn < 32) {
    request.up = draw_.chance(85) ? !link.up : link.up;
  } else if (drawn < 47) {
    request.mac = draw_.chance(35) ? LinkLayer(link.mac) : mac_for(link.kind);
  } else if (drawn < 57) {
    request.mtu = draw_.of(std::span(kMtus).first(draw_.chance(85) ? 4 : 6));
  } else if (drawn < 65) {
    request.name = link.kind == "vxlan"    ? draw_.of(pool::kVxlanNames)
                   : link.kind == "bridge" ? draw_.of(pool::kBridgeNames)
                                           : draw_.of(pool::kVethNames);
  } else if (drawn < 71) {
    request.group = draw_.chance(60) ? pool::kGroup : 5;
  } else if (drawn < 77) {
    request.master = link.master && draw_.chance(70) ? IfIndex{} : device("bridge");
  } else if (drawn < 80) {
    request.no_arp = !link.no_arp;
  } else if (drawn < 83) {
    request.rp_filter = static_cast<std::uint32_t>(draw_.prng.below(3));
  } else if (link.kind == "vxlan") {
    change_vxlan(request);
  } else {
    request.up = !link.up;
  }
}

rtnl::NewLink RequestMaker::change_link() const {
  rtnl::NewLink request;
  request.device = device(draw_.chance(60) ? "vxlan" : "");
  const Link* link = state_.link(request.device);
  const Link none;
  change_one(request, link != nullptr ? *link : none);
  if (draw_.chance(15)) {
    change_one(request, link != nullptr ? *link : none);
  }
  if (link != nullptr && draw_.chance(4)) {
    request.device = {};
    request.name = link->name;
  }
  if (draw_.chance(6)) {
    request.flags = new_flags();
  }
  return request;
}

rtnl::DelLink RequestMaker::del_link() const {
  rtnl::DelLink request{.device = device(), .name = {}};
  const Link* link = state_.link(request.device);
  if (draw_.chance(25)) {
    request.device = {};
    request.name = link != nullptr ? link->name : std::string(draw_.of(pool::kVxlanNames));
  }
  return request;
}

// --- Addresses ---

rtnl::NewAddr RequestMaker::new_addr(Family family) const {
  constexpr std::uint8_t kLengths4[] = {12, 24, 32, 12, 24};
  constexpr std::uint8_t kLengths6[] = {128, 64, 48, 128, 64};
  rtnl::NewAddr request;
  request.flags = draw_.chance(75) ? std::uint16_t{rtnl::kCreate | rtnl::kReplace} : new_flags();
  request.device = device();
  request.local = draw_.of(pool::addresses(family));
  request.length = family == Family::V4 ? draw_.of(kLengths4) : draw_.of(kLengths6);
  if (draw_.chance(2)) {
    request.length = 129;
  }
  std::uint32_t flags = 0;
  flags |= family == Family::V6 && draw_.chance(85) ? kAddressNoDad : 0U;
  flags |= draw_.chance(45) ? kAddressNoPrefixRoute : 0U;
  if (flags != 0 || draw_.chance(20)) {
    request.address_flags = flags;
  }
  if (draw_.chance(10)) {
    request.scope = draw_.chance(50) ? 253 : 254;
  }
  if (family == Family::V4 && draw_.chance(10)) {
    request.broadcast = ip(draw_.chance(50) ? "100.111.255.255" : "100.96.2.255");
  }
  if (family == Family::V4 && draw_.chance(10)) {
    const Link* link = state_.link(request.device);
    request.label = link != nullptr ? link->name + (draw_.chance(50) ? ":a" : "") : "other";
  }
  if (draw_.chance(12)) {
    request.metric = draw_.chance(50) ? 1 : 1024;
  }
  if (draw_.chance(10)) {
    request.protocol = draw_.chance(50) ? 4 : 187;
  }
  return request;
}

rtnl::DelAddr RequestMaker::del_addr(Family family) const {
  std::vector<const AddressRecord*> present;
  std::copy_if(state_.addresses.begin(), state_.addresses.end(), std::back_inserter(present),
               [&](const auto* record) { return record->address.address.family() == family; });
  if (!present.empty() && draw_.chance(85)) {
    const IfAddress& address = draw_.of(present)->address;
    return {.device = address.device,
            .local = address.address,
            .length = draw_.chance(92) ? address.length : std::uint8_t{25}};
  }
  const rtnl::NewAddr some = new_addr(family);
  return {.device = some.device, .local = some.local, .length = some.length};
}

// --- Routes ---

void RequestMaker::add_nexthop(rtnl::RouteFields& route) const {
  const Family family = route.destination.family();
  if (!draw_.chance(3)) {
    route.device = device(draw_.chance(70) ? "vxlan" : "");
  }
  route.scope = family == Family::V4 ? 253 : 0;
  if (draw_.chance(40)) {
    route.scope = draw_.chance(90) ? 0 : 253;
    route.gateway =
        draw_.chance(85) ? draw_.of(pool::addresses(family)) : draw_.of(pool::destinations(family));
    route.route_flags = draw_.chance(70) ? std::uint32_t{kNexthopOnlink} : 0U;
    if (family == Family::V4 && draw_.chance(8)) {
      route.gateway = draw_.of(pool::addresses(Family::V6));
    }
  }
  if (draw_.chance(10)) {
    route.preferred_source = draw_.of(pool::addresses(family));
    for (const AddressRecord* record : state_.addresses) {
      if (record->address.address.family() == family && draw_.chance(60)) {
        route.preferred_source = record->address.address;
      }
    }
  }
}

rtnl::NewRoute RequestMaker::new_route(Family family) const {
  constexpr std::uint8_t kProtocols[] = {4, 187, 187, 3, 0};
  constexpr std::uint32_t kMetrics[] = {0, 1, 1024, kRouteMetricLast};
  constexpr std::uint8_t kOddTypes[] = {6, 7, 7, 7, 7, 8, 9, 2, 3, 0};
  rtnl::NewRoute request;
  rtnl::RouteFields& route = request.route;
  request.flags = new_flags();
  if (const auto there = present_route(family); there && draw_.chance(35)) {
    route = *there;
    change_route(route);
    return request;
  }
  const IpPrefix& prefix = draw_.of(pool::prefixes(family));
  route.destination = prefix.base();
  route.length = prefix.length();
  if (draw_.chance(3)) {
    route.destination = ip(family == Family::V4 ? "100.96.2.9" : "fd00:96:2::9");
    route.length = draw_.chance(70) ? 24 : 129;
  }
  route.protocol = draw_.of(kProtocols);
  if (draw_.chance(35)) {
    route.metric = draw_.of(kMetrics);
  }
  if (draw_.chance(10)) {
    route.table = 100;
  }
  if (family == Family::V4 && draw_.chance(3)) {
    route.tos = 0x10;
  }
  if (draw_.chance(12)) {
    route.type = draw_.of(kOddTypes);
    if (draw_.chance(90)) {
      return request;
    }
  }
  add_nexthop(route);
  return request;
}

// What RTM_NEWROUTE would say to make a route that is there.
std::optional<rtnl::RouteFields> RequestMaker::present_route(Family family) const {
  std::vector<const RouteRecord*> present;
  for (const RouteRecord* record : state_.routes) {
    const Route& route = record->route;
    // The kernel's own routes are asked for less often; multicast ones only a kernel makes.
    const bool own = route.protocol != kRouteProtocolKernel;
    if (route.destination.family() == family && route.type != RouteType::Multicast &&
        route.type != RouteType::Other && (own || draw_.chance(30))) {
      present.push_back(record);
    }
  }
  if (present.empty()) {
    return std::nullopt;
  }
  const RouteRecord& record = *draw_.of(present);
  const Route& there = record.route;
  return rtnl::RouteFields{.destination = there.destination.base(),
                           .length = there.destination.length(),
                           .tos = record.tos,
                           .table = there.table,
                           .protocol = there.protocol,
                           .scope = there.scope,
                           .type = static_cast<std::uint8_t>(there.type),
                           .route_flags = record.nexthop_flags & kNexthopOnlink,
                           .metric = there.metric == 0 ? std::nullopt : std::optional(there.metric),
                           .device = there.device,
                           .gateway = there.gateway,
                           .preferred_source = there.preferred_source};
}

// Another nexthop, metric or protocol, or the same again.
void RequestMaker::change_route(rtnl::RouteFields& route) const {
  const std::uint64_t drawn = draw_.prng.below(10);
  if (drawn < 5 && route.type == static_cast<std::uint8_t>(RouteType::Unicast)) {
    route.device.reset();
    route.gateway.reset();
    route.preferred_source.reset();
    route.route_flags = 0;
    add_nexthop(route);
  } else if (drawn < 7) {
    route.metric = draw_.chance(50) ? 1 : kRouteMetricLast;
  } else if (drawn < 8) {
    route.protocol = route.protocol == 187 ? 4 : 187;
  }
}

rtnl::DelRoute RequestMaker::del_route(Family family) const {
  const auto there = present_route(family);
  if (!there || draw_.chance(10)) {
    return {.route = new_route(family).route};
  }
  rtnl::RouteFields route = *there;
  // Deletes match what they say: scope, type, protocol and the nexthop may be left open.
  if (draw_.chance(30)) {
    route.scope = 255;
  }
  if (draw_.chance(30)) {
    route.type = 0;
  }
  if (draw_.chance(30)) {
    route.protocol = draw_.chance(85) ? 0 : 9;
  }
  if (draw_.chance(30)) {
    route.gateway.reset();
  }
  if (draw_.chance(30)) {
    route.device.reset();
  }
  if (draw_.chance(30)) {
    route.preferred_source.reset();
  }
  if (draw_.chance(15)) {
    route.metric = draw_.chance(50) ? std::nullopt : std::optional(2U);
  }
  if (draw_.chance(5)) {
    route.gateway = draw_.of(pool::addresses(family));
  }
  return {.route = route};
}

// --- Neighbours ---

rtnl::NewNeigh RequestMaker::new_neigh(Family family) const {
  constexpr std::uint16_t kStates[] = {kNudPermanent,
                                       kNudPermanent,
                                       kNudNoarp,
                                       kNudNoarp,
                                       kNudNoarp,
                                       kNudReachable,
                                       kNudReachable,
                                       kNudStale,
                                       kNudStale,
                                       kNudFailed,
                                       kNudNone,
                                       kNudIncomplete,
                                       kNudReachable | kNudPermanent};
  rtnl::NewNeigh request;
  request.flags = new_flags();
  request.device = device(draw_.chance(80) ? "vxlan" : "");
  request.address = draw_.of(pool::addresses(family));
  request.state = draw_.of(kStates);
  request.ntf = draw_.chance(35) ? kNtfExtLearned : 0;
  if (family == Family::V6 && draw_.chance(5)) {
    request.ntf |= kNtfRouter;
  }
  if (!draw_.chance(8)) {
    request.lladdr = mac();
  }
  if (draw_.chance(3)) {
    request.lladdr = draw_.chance(50) ? short_lladdr() : LinkLayer(kMulticastMac);
  }
  if (draw_.chance(25)) {
    request.protocol = draw_.chance(70) ? 187 : 4;
  }
  if (draw_.chance(5)) {
    request.ext_flags = draw_.chance(60) ? 0 : 2;
  }
  if (draw_.chance(3)) {
    request.address = ip(family == Family::V4 ? "224.0.0.9" : "fe80::9");
  }
  return request;
}

rtnl::DelNeigh RequestMaker::del_neigh(Family family) const {
  std::vector<const Neighbour*> present;
  for (const NeighbourRecord* record : state_.neighbours) {
    if (record->neighbour.address.family() == family) {
      present.push_back(&record->neighbour);
    }
  }
  rtnl::DelNeigh request{.flags = draw_.chance(3) ? std::uint16_t{rtnl::kBulk} : std::uint16_t{0},
                         .device = device(),
                         .address = draw_.of(pool::addresses(family))};
  if (!present.empty() && draw_.chance(85)) {
    const Neighbour& there = *draw_.of(present);
    request.device = there.device;
    request.address = there.address;
  }
  return request;
}

rtnl::GetNeigh RequestMaker::get_neigh(Family family) const {
  const rtnl::DelNeigh some = del_neigh(family);
  return {.device = some.device, .address = some.address};
}

// --- The FDB ---

rtnl::NewFdb RequestMaker::new_fdb() const {
  constexpr std::uint16_t kStates[] = {kNudPermanent,
                                       kNudPermanent,
                                       kNudPermanent,
                                       kNudPermanent,
                                       kNudReachable,
                                       kNudReachable,
                                       kNudNoarp | kNudReachable};
  rtnl::NewFdb request;
  request.flags = new_flags();
  request.device = device("vxlan");
  request.state = draw_.of(kStates);
  if (draw_.chance(3)) {
    request.state = draw_.chance(50) ? kNudStale : kNudNone;
  }
  request.ntf = kNtfSelf;
  if (draw_.chance(20)) {
    constexpr std::uint8_t kOthers[] = {kNtfSelf | kNtfExtLearned,
                                        kNtfSelf | kNtfExtLearned,
                                        kNtfSelf | kNtfRouter,
                                        kNtfSelf | 0x40 /* sticky */,
                                        kNtfSelf | kNtfMaster,
                                        kNtfMaster,
                                        0};
    request.ntf = draw_.of(kOthers);
  }
  if (!draw_.chance(3)) {
    request.lladdr = fdb_mac();
  }
  const Link* link = state_.link(request.device);
  const bool is_v6 = link != nullptr && link->vxlan && link->vxlan->local &&
                     link->vxlan->local->family() == Family::V6;
  if (!draw_.chance(4)) {
    request.dst = draw_.of(pool::destinations(is_v6 != draw_.chance(5) ? Family::V6 : Family::V4));
  }
  if (draw_.chance(7)) {
    request.port = draw_.chance(60) ? 8472 : 4789;
  }
  if (draw_.chance(7)) {
    request.vni = draw_.chance(60) ? 7 : 1;
  }
  if (draw_.chance(6)) {
    request.underlay = device();
  }
  if (draw_.chance(4)) {
    request.source_vni = 1;
  }
  return request;
}

rtnl::DelFdb RequestMaker::del_fdb() const {
  const rtnl::NewFdb some = new_fdb();
  rtnl::DelFdb request{.device = some.device,
                       .ntf = draw_.chance(95) ? std::uint8_t{kNtfSelf} : some.ntf,
                       .lladdr = some.lladdr,
                       .dst = some.dst,
                       .port = some.port,
                       .vni = some.vni,
                       .underlay = some.underlay,
                       .source_vni = some.source_vni};
  if (draw_.chance(15)) {
    request.flags = rtnl::kBulk;
    if (draw_.chance(95)) {
      request.lladdr.reset();
    }
    if (draw_.chance(60)) {
      request.dst.reset();
    }
    if (draw_.chance(20)) {
      request.state = draw_.chance(50) ? kNudPermanent : kNudNone;
      request.state_mask = draw_.chance(80) ? kNudPermanent : kNudReachable;
    }
    if (draw_.chance(20)) {
      request.ntf = draw_.chance(50) ? kNtfSelf | kNtfExtLearned : kNtfSelf;
      request.ntf_mask = draw_.chance(80) ? kNtfExtLearned : 0x40 /* sticky */;
    }
    return request;
  }
  if (!state_.fdb.empty() && draw_.chance(85)) {
    const FdbRecord& there = *draw_.of(state_.fdb);
    request.device = there.entry.device;
    request.lladdr = there.entry.mac;
    request.port = there.port;
    request.vni = there.vni;
    request.underlay = there.underlay;
    if (draw_.chance(85)) {
      request.dst = draw_.chance(60) ? there.entry.dst : std::nullopt;
    }
  }
  return request;
}

rtnl::GetFdb RequestMaker::get_fdb() const {
  const rtnl::DelFdb some = del_fdb();
  return {.device = some.device,
          .ntf = draw_.chance(90) ? std::uint8_t{kNtfSelf} : some.ntf,
          .lladdr = some.lladdr};
}

// --- Parameters, datagrams ---

// No time is below a second: a program is over before any of them passes.
rtnl::SetNeighTable RequestMaker::set_neigh_table(Family family) const {
  rtnl::SetNeighTable request{.family = family, .device = device("vxlan")};
  const auto count = [&] { return static_cast<std::uint32_t>(draw_.prng.below(3)); };
  const std::uint64_t attributes = draw_.prng.between(1, 3);
  for (std::uint64_t i = 0; i < attributes; ++i) {
    switch (draw_.prng.below(13)) {
      case 0:
      case 1:
      case 2: request.app_probes = count(); break;
      case 3: request.ucast_probes = count(); break;
      case 4:
      case 5: request.mcast_probes = count(); break;
      case 6: request.mcast_reprobes = count(); break;
      case 7: request.retrans_time = 1000 * (1 + count()); break;
      case 8: request.base_reachable_time = 30000 * (1 + count()); break;
      case 9: request.delay_probe_time = 5000 * (1 + count()); break;
      case 10: request.gc_stale_time = 60000 * (1 + count()); break;
      case 11: request.locktime = 1000 * (1 + count()); break;
      default: request.queue_bytes = 65536 * (1 + count()); break;
    }
  }
  return request;
}

SendDatagram RequestMaker::send(Family family) const {
  return {.to = draw_.chance(85) ? draw_.of(pool::addresses(family))
                                 : draw_.of(pool::destinations(family))};
}

}  // namespace vxmesh::fidelity
