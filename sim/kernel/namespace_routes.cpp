// Routes: what the kernel refuses, and in which words (net/ipv4/fib_frontend.c,
// net/ipv4/fib_semantics.c, net/ipv6/route.c).
#include <algorithm>

#include "sim/kernel/namespace_state.h"
#include "sim/kernel/not_modelled.h"
#include "sim/kernel/op_requests.h"

namespace vxmesh {
namespace {

constexpr std::uint8_t kScopeNowhere = 255;
constexpr std::uint32_t kIpv6DefaultMetric = 1024;  // IP6_RT_PRIO_USER
constexpr std::uint8_t kRouteTypeMax = 11;          // RTN_MAX
constexpr std::uint8_t kProtocolBoot = 3;           // RTPROT_BOOT
constexpr std::uint32_t kTableUnspecified = 0;
constexpr std::uint8_t kEcnBits = 3;

// fib_props: the narrowest scope that a type may have.
std::uint8_t least_scope(std::uint8_t type) {
  switch (static_cast<RouteType>(type)) {
    case RouteType::Local: return kScopeHost;
    case RouteType::Broadcast:
    case RouteType::Anycast: return kScopeLink;
    case RouteType::Unicast:
    case RouteType::Multicast:
    case RouteType::Blackhole:
    case RouteType::Unreachable:
    case RouteType::Prohibit:
    case RouteType::Throw: return 0;
    case RouteType::Other: break;
  }
  return kScopeNowhere;  // RTN_UNSPEC, RTN_NAT, RTN_XRESOLVE
}

// fib_props: the errno of a type that refuses packets.
int refusal_of(RouteType type) {
  switch (type) {
    case RouteType::Blackhole: return EINVAL;
    case RouteType::Unreachable: return EHOSTUNREACH;
    case RouteType::Prohibit: return EACCES;
    case RouteType::Throw: return EAGAIN;
    default: return 0;
  }
}

bool is_reject(std::uint8_t type) {
  return refusal_of(static_cast<RouteType>(type)) != 0;
}

std::optional<IpAddress> given(const std::optional<IpAddress>& address) {
  const bool is_any = address && (*address == IpAddress{} || *address == IpAddress::v6({}));
  return is_any ? std::nullopt : address;
}

RouteRecord wanted(const rtnl::RouteFields& fields) {
  RouteRecord record;
  record.route = Route{.destination = IpPrefix::containing(fields.destination, fields.length),
                       .metric = fields.metric.value_or(0),
                       .table = fields.table == kTableUnspecified ? kRouteTableMain : fields.table,
                       .type = static_cast<RouteType>(fields.type),
                       .scope = fields.scope,
                       .protocol = fields.protocol,
                       .device = fields.device == IfIndex{} ? std::nullopt : fields.device,
                       .gateway = given(fields.gateway),
                       .onlink = (fields.route_flags & kNexthopOnlink) != 0,
                       .preferred_source = given(fields.preferred_source)};
  record.tos = fields.tos;
  record.nexthop_flags = fields.route_flags & kNexthopOnlink;
  return record;
}

}  // namespace

OpDone NamespaceState::new_route(const rtnl::NewRoute& request) {
  return request.route.destination.family() == Family::V4 ? new_ipv4_route(request)
                                                          : new_ipv6_route(request);
}

// --- IPv4 ---

namespace {

// Of an address of the wrong family the kernel reads the first four bytes.
std::optional<IpAddress> as_ipv4(const std::optional<IpAddress>& address) {
  if (!address || address->family() == Family::V4) {
    return address;
  }
  const auto& bytes = address->bytes();
  return IpAddress::v4((std::uint32_t{bytes[0]} << 24U) | (std::uint32_t{bytes[1]} << 16U) |
                       (std::uint32_t{bytes[2]} << 8U) | bytes[3]);
}

// rtm_to_fib_config
OpDone judge_ipv4_fields(const rtnl::RouteFields& fields) {
  if ((fields.tos & kEcnBits) != 0) {
    return refuse(EINVAL, "Invalid dsfield (tos): ECN bits must be 0");
  }
  if (fields.type > kRouteTypeMax) {
    return refuse(EINVAL, "Invalid route type");
  }
  if (fields.length > 32) {
    return refuse(EINVAL, "Invalid prefix length");
  }
  if (!IpPrefix::make(fields.destination, fields.length)) {
    return refuse(EINVAL, "Invalid prefix for given prefix length");
  }
  return accept();
}

}  // namespace

OpDone NamespaceState::new_ipv4_route(const rtnl::NewRoute& request) {
  rtnl::RouteFields fields = request.route;
  if (OpDone verdict = judge_ipv4_fields(fields); verdict != accept()) {
    return verdict;
  }
  fields.preferred_source = as_ipv4(fields.preferred_source);
  RouteRecord record = wanted(fields);
  route_tables_.emplace(Family::V4, record.route.table);
  if (record.route.table == kRouteTableLocal) {
    route_tables_.emplace(Family::V4, kRouteTableMain);
  }
  if (OpDone verdict = judge_ipv4_route(fields, record); verdict != accept()) {
    return verdict;
  }
  OpDone done = insert_route(record, request.flags);
  had_custom_local_routes_ |= done == accept() && record.route.type == RouteType::Local;
  return done;
}

// fib_create_info
OpDone NamespaceState::judge_ipv4_route(const rtnl::RouteFields& fields,
                                        RouteRecord& record) const {
  Route& route = record.route;
  if (least_scope(fields.type) > fields.scope) {
    return refuse(EINVAL, "Invalid scope");
  }
  if ((fields.route_flags & (kNexthopDead | kNexthopLinkDown)) != 0) {
    return refuse(EINVAL, "Invalid rtm_flags - can not contain DEAD or LINKDOWN");
  }
  if (is_reject(fields.type)) {
    return route.gateway || route.device
               ? refuse(EINVAL,
                        "Gateway, device and multipath can not be specified for this route type")
               : accept();
  }
  if (fields.scope > kScopeHost) {
    return refuse(EINVAL, "Invalid scope");
  }
  if (fields.scope == kScopeHost) {
    if (route.gateway) {
      return refuse(EINVAL, "Route with host scope can not have a gateway");
    }
    if (!route.device || row(*route.device) == nullptr) {
      return refuse(ENODEV);
    }
  } else if (OpDone verdict = judge_ipv4_gateway(fields, record); verdict != accept()) {
    return verdict;
  }
  const bool own_address = route.type == RouteType::Local &&
                           route.preferred_source == fields.destination &&
                           fields.destination != IpAddress{};
  if (route.preferred_source && !own_address &&
      address_type(*route.preferred_source) != RouteType::Local) {
    return refuse(EINVAL, "Invalid prefsrc address");
  }
  return accept();
}

// fib_check_nh
OpDone NamespaceState::judge_ipv4_gateway(const rtnl::RouteFields& fields,
                                          RouteRecord& record) const {
  Route& route = record.route;
  const LinkRow* link = route.device ? row(*route.device) : nullptr;
  if (!route.gateway) {
    if (route.onlink) {
      return refuse(EINVAL, "Invalid flags for nexthop - PERVASIVE and ONLINK can not be set");
    }
    if (link == nullptr) {
      return refuse(ENODEV);
    }
    return link->link().up ? accept() : refuse(ENETDOWN, "Device for nexthop is not up");
  }
  if (route.gateway->family() == Family::V6) {
    return judge_ipv6_nexthop(fields, record);
  }
  if (route.onlink) {
    if (fields.scope >= kScopeLink) {
      return refuse(EINVAL, "Nexthop has invalid scope");
    }
    if (link == nullptr) {
      return refuse(ENODEV, "Nexthop device required for onlink");
    }
    if (!link->link().up) {
      return refuse(ENETDOWN, "Nexthop device is not up");
    }
    return address_type(*route.gateway) == RouteType::Unicast
               ? accept()
               : refuse(EINVAL, "Nexthop has invalid gateway");
  }
  const RouteTable::Query query{
      .destination = *route.gateway,
      .device = route.device,
      .min_scope = std::max<std::uint8_t>(kScopeLink, static_cast<std::uint8_t>(fields.scope + 1))};
  const RouteRecord* way = nullptr;
  if (route.table != kRouteTableMain) {
    way = routes_.lookup(query, {route.table});
    way = way != nullptr && refusal_of(way->route.type) != 0 ? nullptr : way;
  }
  way = way != nullptr ? way : routes_.lookup(query, {kRouteTableLocal, kRouteTableMain});
  const int refusal = way == nullptr ? EAGAIN : refusal_of(way->route.type);
  if (refusal != 0) {
    return refuse(refusal == EAGAIN ? ENETUNREACH : refusal, "Nexthop has invalid gateway");
  }
  if (way->route.type != RouteType::Unicast && way->route.type != RouteType::Local) {
    return refuse(EINVAL, "Nexthop has invalid gateway");
  }
  route.device = way->route.device;
  record.gateway_is_ours = way->route.scope == kScopeHost;
  const LinkRow* out = row(*route.device);
  return out != nullptr && out->link().up ? accept() : refuse(ENETDOWN);
}

// inet_addr_type_dev_table
RouteType NamespaceState::address_type(const IpAddress& address) const {
  if (address.family() == Family::V4) {
    if (address.bytes()[0] == 0 || address == IpAddress::v4(0xffffffff)) {
      return RouteType::Broadcast;
    }
    if (address.is_multicast()) {
      return RouteType::Multicast;
    }
  }
  if (address.family() == Family::V4 && !route_tables_.contains({Family::V4, kRouteTableLocal})) {
    return RouteType::Broadcast;  // there is no table to ask
  }
  const RouteRecord* found =
      routes_.lookup({.destination = address, .device = {}}, {kRouteTableLocal, kRouteTableMain});
  const bool counts = found != nullptr && refusal_of(found->route.type) == 0;
  return counts ? found->route.type : RouteType::Unicast;
}

bool NamespaceState::is_local(const IpAddress& address) const {
  return routes_.lookup({.destination = address, .device = {}}, {kRouteTableLocal}) != nullptr;
}

// --- IPv6 ---

namespace {

// rtm_to_fib6_config
OpDone judge_ipv6_fields(const rtnl::RouteFields& fields) {
  if (fields.preferred_source && fields.preferred_source->family() == Family::V4) {
    return refuse(ERANGE, "Attribute failed policy validation");  // it is too short
  }
  if (fields.tos != 0) {
    return refuse(EINVAL, "Invalid dsfield (tos): option not available for IPv6");
  }
  if (fields.gateway && fields.gateway->family() == Family::V4) {
    return refuse(EINVAL, "IPv6 does not support RTA_VIA attribute");
  }
  return fields.length > 128 ? refuse(EINVAL) : accept();  // RTA_DST is too short for it
}

}  // namespace

// ip6_route_info_create
OpDone NamespaceState::new_ipv6_route(const rtnl::NewRoute& request) {
  rtnl::RouteFields fields = request.route;
  if (OpDone verdict = judge_ipv6_fields(fields); verdict != accept()) {
    return verdict;
  }
  if (fields.type > kRouteTypeMax) {
    return refuse(EINVAL, "Invalid route type");
  }
  fields.scope = 0;  // IPv6 routes have none
  RouteRecord record = wanted(fields);
  Route& route = record.route;
  route_tables_.emplace(Family::V6, route.table);
  route.metric = route.metric == 0 ? kIpv6DefaultMetric : route.metric;
  route.protocol = route.protocol == 0 ? kProtocolBoot : route.protocol;
  if (fields.type == 0) {
    route.type = RouteType::Unicast;
  }
  if (OpDone verdict = judge_ipv6_nexthop(fields, record); verdict != accept()) {
    return verdict;
  }
  if (route.preferred_source) {
    const AddressRow* source = find_ipv6(*route.preferred_source, std::nullopt, false);
    const bool of_device = source != nullptr && (source->address().device == route.device ||
                                                 source->address().scope == 0);
    if (!of_device) {
      return refuse(EINVAL, "Invalid source address");
    }
  }
  return insert_route(record, request.flags);
}

// fib6_nh_init
OpDone NamespaceState::judge_ipv6_nexthop(const rtnl::RouteFields& fields,
                                          RouteRecord& record) const {
  Route& route = record.route;
  const LinkRow* link = route.device ? row(*route.device) : nullptr;
  if (route.device && (link == nullptr || !link->speaks_ipv6)) {
    return refuse(ENODEV);
  }
  if (route.onlink && link == nullptr) {
    return refuse(ENODEV, "Nexthop device required for onlink");
  }
  if (route.onlink && !link->link().up) {
    return refuse(ENETDOWN, "Nexthop device is not up");
  }
  if (is_reject(fields.type)) {
    route.device = kLoopback;
    route.gateway.reset();
    return accept();
  }
  if (fields.gateway && fields.gateway->family() == Family::V6) {
    if (OpDone verdict = judge_ipv6_gateway(fields, record); verdict != accept()) {
      return verdict;
    }
    link = row(*route.device);
  }
  if (link == nullptr) {
    return refuse(ENODEV);
  }
  return link->link().up ? accept() : refuse(ENETDOWN, "Nexthop device is not up");
}

// ip6_route_check_nh_onlink: whether the way to the gateway, as far as there is one, leaves by the
// device. Among routes of one prefix and metric those out of the device come first
// (rt6_score_route).
bool NamespaceState::suits_onlink(const IpAddress& gateway,
                                  const std::optional<IfIndex>& device) const {
  const RouteRecord* way =
      routes_.lookup({.destination = gateway, .device = {}}, {kRouteTableMain});
  if (way == nullptr || way->route.destination.base() == IpAddress::v6({})) {
    return true;
  }
  const auto preferred = routes_.find_first(
      {.family = Family::V6, .table = kRouteTableMain, .destination = way->route.destination},
      [&](const RouteRecord& other) {
        return other.route.metric == way->route.metric && other.route.device == device;
      });
  const RouteRecord& chosen = preferred ? *preferred : *way;
  return refusal_of(chosen.route.type) != 0 || drops_in_secret(chosen) ||
         (chosen.route.type == RouteType::Unicast && chosen.route.device == device);
}

// ip6_validate_gw, ip6_route_check_nh
OpDone NamespaceState::judge_ipv6_gateway(const rtnl::RouteFields& fields,
                                          RouteRecord& record) const {
  Route& route = record.route;
  const IpAddress gateway = *fields.gateway;
  const bool device_given = route.device.has_value();
  const auto is_ours = [&] {
    const std::optional<IfIndex> device = gateway.is_link_local() ? route.device : std::nullopt;
    return find_ipv6(gateway, device, true) != nullptr;
  };
  if (device_given && is_ours()) {
    return refuse(EINVAL, "Gateway can not be a local address");
  }
  if (!gateway.is_link_local()) {
    if (gateway == IpAddress::v6({}) || gateway.is_multicast()) {
      return refuse(EINVAL, "Invalid gateway address");
    }
    const RouteTable::Query query{.destination = gateway, .device = route.device};
    const auto good = [&](const RouteRecord* way) {
      return way != nullptr && refusal_of(way->route.type) == 0 && !drops_in_secret(*way) &&
             !way->route.gateway && (!device_given || way->route.device == route.device);
    };
    if (route.onlink) {
      if (!suits_onlink(gateway, route.device)) {
        return refuse(EINVAL, "Nexthop has invalid gateway or device mismatch");
      }
    } else {
      const RouteRecord* way = routes_.lookup(query, {route.table});
      way = good(way) ? way : routes_.lookup(query, {kRouteTableLocal, kRouteTableMain});
      if (!good(way)) {
        return refuse(EHOSTUNREACH);
      }
      route.device = way->route.device;
    }
  }
  if (!route.device) {
    return refuse(EINVAL, "Egress device not specified");
  }
  if (*route.device == kLoopback) {
    return refuse(EINVAL, "Egress device can not be loopback device for this route");
  }
  return !device_given && is_ours() ? refuse(EINVAL, "Gateway can not be a local address")
                                    : accept();
}

// --- Both families ---

OpDone NamespaceState::insert_route(const RouteRecord& wanted, std::uint16_t flags) {
  const RouteRecord record = with_carrier(wanted);
  const RouteTable::Written written = routes_.insert(record, flags);
  if (written.changed) {
    tell_route(Notification::Kind::New, record, written.event_flags, true);
  }
  return refuse(written.error_number, written.extended_ack);
}

void NamespaceState::insert_kernel_route(const RouteRecord& wanted, std::uint16_t flags) {
  const RouteRecord record = with_carrier(wanted);
  const RouteTable::Written written = routes_.insert(record, flags);
  if (written.changed) {
    tell_route(Notification::Kind::New, record, written.event_flags);
  }
}

// An IPv6 table without default routes has fib6_null_entry in their place: it can be found, but not
// deleted.
bool NamespaceState::finds_null_entry(const rtnl::RouteFields& pattern) const {
  if (pattern.destination.family() == Family::V4 || pattern.length != 0) {
    return false;
  }
  const bool is_empty =
      !routes_.find_first({.family = Family::V6,
                           .table = pattern.table,
                           .destination = IpPrefix::containing(pattern.destination, 0)},
                          [](const RouteRecord&) { return true; });
  const IfIndex device = pattern.device.value_or(IfIndex{});
  return is_empty && (pattern.metric.value_or(0) == 0 || pattern.metric == kRouteMetricLast) &&
         (pattern.protocol == 0 || pattern.protocol == kRouteProtocolKernel) &&
         (device == IfIndex{} || device == kLoopback) &&
         (!pattern.gateway || pattern.gateway == IpAddress::v6({}));
}

OpDone NamespaceState::del_route(const rtnl::DelRoute& request) {
  rtnl::RouteFields fields = request.route;
  const Family family = fields.destination.family();
  OpDone verdict = family == Family::V4 ? judge_ipv4_fields(fields) : judge_ipv6_fields(fields);
  if (verdict != accept()) {
    return verdict;
  }
  fields.preferred_source =
      family == Family::V4 ? as_ipv4(fields.preferred_source) : fields.preferred_source;
  fields.table = fields.table == kTableUnspecified ? kRouteTableMain : fields.table;
  const bool always_there =
      family == Family::V6 && (fields.table == kRouteTableMain || fields.table == kRouteTableLocal);
  if (!always_there && !route_tables_.contains({family, fields.table})) {
    return refuse(ESRCH, "FIB table does not exist");
  }
  const std::optional<RouteRecord> removed = routes_.remove(fields);
  if (!removed) {
    return refuse(finds_null_entry(fields) ? ENOENT : ESRCH);
  }
  tell_route(Notification::Kind::Deleted, *removed, 0, true);
  return accept();
}

namespace {

// In which order a flush finds routes. Both families hash tables by the low byte of their id. IPv4
// walks its trie from the highest address down, longer prefixes first (fib_table_flush); IPv6
// visits what lies below a prefix before the prefix itself (fib6_walk_continue).
bool flushed_before(const RouteRecord& a, const RouteRecord& b) {
  const IpPrefix& one = a.route.destination;
  const IpPrefix& other = b.route.destination;
  const auto bucket = [](const RouteRecord& record) { return record.route.table & 0xffU; };
  if (one.family() != other.family() || bucket(a) != bucket(b)) {
    return std::pair(one.family(), bucket(a)) < std::pair(other.family(), bucket(b));
  }
  if (one.family() == Family::V4) {
    return one.base() != other.base() ? other.base() < one.base() : one.length() > other.length();
  }
  if (one.contains(other) || other.contains(one)) {
    return one.length() > other.length();
  }
  return one.base() < other.base();
}

}  // namespace

void NamespaceState::flush_routes(const std::function<bool(const RouteRecord&)>& goes, Tell tell) {
  std::vector<RouteRecord> gone = routes_.remove_if(goes);
  std::stable_sort(gone.begin(), gone.end(), flushed_before);
  for (const RouteRecord& record : gone) {
    if (tell == Tell::Yes) {
      tell_route(Notification::Kind::Deleted, record);
    }
  }
}

namespace {

// Routes to ourselves do not care whether their device has a carrier.
bool needs_carrier(const RouteRecord& record) {
  return record.route.destination.family() == Family::V4 ? record.route.scope != kScopeHost
                                                         : !leads_to_us(record);
}

// True of IPv4 routes that are one fib_info, whose nexthop they have in common (fib_find_info).
bool share_nexthop(const RouteRecord& a, const RouteRecord& b) {
  const auto info = [](const RouteRecord& record) {
    Route route = record.route;
    route.destination = {};
    return std::pair(route, record.gateway_is_ours);
  };
  return a.route.destination.family() == b.route.destination.family() && info(a) == info(b);
}

}  // namespace

// A new nexthop says if its device has no carrier; an IPv4 one by way of IPv6 does not
// (fib_check_nh_v6_gw), unless another route has it already.
RouteRecord NamespaceState::with_carrier(RouteRecord record) const {
  const Route& route = record.route;
  const LinkRow* link = route.device ? row(*route.device) : nullptr;
  if (link == nullptr || carrier_of(*link) || !needs_carrier(record)) {
    return record;
  }
  if (route.gateway && route.gateway->family() != route.destination.family()) {
    const std::vector<RouteRecord> others = routes_.records();
    const auto other = std::find_if(others.begin(), others.end(), [&](const auto& there) {
      return share_nexthop(there, record);
    });
    record.nexthop_flags |= other == others.end() ? 0U : other->nexthop_flags & kNexthopLinkDown;
  } else {
    record.nexthop_flags |= kNexthopLinkDown;
  }
  return record;
}

// fib_sync_up, fib_sync_down_dev, rt6_sync_up, rt6_sync_down_dev at NETDEV_CHANGE
void NamespaceState::sync_routes(const LinkRow& row) {
  routes_.edit([&](RouteRecord& record) {
    if (record.route.device == row.link().index && needs_carrier(record)) {
      record.nexthop_flags &= ~static_cast<std::uint32_t>(kNexthopLinkDown);
      record.nexthop_flags |= row.carrier ? 0U : std::uint32_t{kNexthopLinkDown};
    }
  });
}

RouteRecord NamespaceState::shown(RouteRecord record) {
  record.gateway_is_ours = false;
  record.is_of_address = false;
  return record;
}

void NamespaceState::tell_route(Notification::Kind kind, const RouteRecord& record,
                                std::uint16_t flags, bool answers_request) {
  const bool answers = answers_request && caller_.is_request;
  messages_.push_back(Notification{.kind = kind,
                                   .record = shown(record),
                                   .sender = answers ? caller_.port : PortId{},
                                   .answers = answers,
                                   .flags = flags});
}

// The local table was asked before.
const RouteRecord* NamespaceState::route_to(const IpAddress& destination) const {
  return routes_.lookup({.destination = destination, .device = {}}, {kRouteTableMain});
}

OpDone NamespaceState::add_route(const Route& route, MonotonicTime now) {
  auto request = std::get<rtnl::NewRoute>(to_request(ReplaceRoute{route}));
  request.flags = rtnl::kCreate;
  return this->request(request, PortId{2}, now).done;
}

}  // namespace vxmesh
