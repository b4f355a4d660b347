// Routes: what the kernel refuses (net/ipv4/fib_semantics.c, net/ipv6/route.c).
#include <algorithm>

#include "sim/kernel/namespace_state.h"

namespace vxmesh {
namespace {

constexpr std::uint8_t kScopeLink = 253;
constexpr std::uint32_t kIpv6DefaultMetric = 1024;  // IP6_RT_PRIO_USER

bool has_device(RouteType type) {
  return type != RouteType::Unreachable && type != RouteType::Blackhole;
}

}  // namespace

OpDone NamespaceState::judge_gateway(const Route& route, const Link& link) const {
  const bool ipv4 = route.destination.family() == Family::V4;
  const IpAddress& gateway = *route.gateway;
  if (ipv4 && route.scope >= kScopeLink) {
    return refuse(EINVAL, "Nexthop has invalid scope");
  }
  if (!link.up) {
    return refuse(ENETDOWN, "Nexthop device is not up");
  }
  if (is_local(gateway)) {
    return refuse(EINVAL,
                  ipv4 ? "Nexthop has invalid gateway" : "Gateway can not be a local address");
  }
  if (route.onlink || gateway.is_link_local()) {
    return accept();
  }
  const Route* way = route_to(gateway);
  const bool on_link = way != nullptr && way->type == RouteType::Unicast && !way->gateway &&
                       way->device == link.index && (!ipv4 || way->scope >= kScopeLink);
  if (on_link) {
    return accept();
  }
  return ipv4 ? refuse(ENETUNREACH, "Nexthop has invalid gateway") : refuse(EHOSTUNREACH);
}

OpDone NamespaceState::judge_route(const Route& route) const {
  const bool ipv4 = route.destination.family() == Family::V4;
  if (!has_device(route.type)) {
    return ipv4 && (route.gateway || route.device)
               ? refuse(EINVAL,
                        "Gateway, device and multipath can not be specified for this route type")
               : accept();
  }
  const LinkRow* link = route.device ? row(*route.device) : nullptr;
  if (link == nullptr) {
    return refuse(ENODEV, route.onlink && ipv4 ? "Nexthop device required for onlink" : "");
  }
  if (!ipv4 && !link->parameters.contains(Family::V6)) {
    return refuse(ENODEV);
  }
  if (route.gateway) {
    if (OpDone verdict = judge_gateway(route, link->link); verdict != accept()) {
      return verdict;
    }
  } else if (route.onlink && ipv4) {
    return refuse(EINVAL, "Invalid flags for nexthop - PERVASIVE and ONLINK can not be set");
  } else if (!link->link.up) {
    return refuse(ENETDOWN, ipv4 ? "Device for nexthop is not up" : "Nexthop device is not up");
  }
  if (route.preferred_source && !is_local(*route.preferred_source)) {
    return refuse(EINVAL, ipv4 ? "Invalid prefsrc address" : "Invalid source address");
  }
  return accept();
}

OpDone NamespaceState::write_route(Route route,
                                   RouteTable::Outcome (RouteTable::*write)(const Route&)) {
  if (OpDone verdict = judge_route(route); verdict != accept()) {
    return verdict;
  }
  if (route.destination.family() == Family::V6) {
    route.scope = 0;  // IPv6 routes have none
    route.metric = route.metric == 0 ? kIpv6DefaultMetric : route.metric;
  }
  if (!has_device(route.type)) {
    route.device.reset();
    route.gateway.reset();
  }
  route_tables_.emplace(route.destination.family(), route.table);
  switch ((routes_.*write)(route)) {
    case RouteTable::Outcome::Added:
    case RouteTable::Outcome::Replaced: tell(KernelChange::Kind::New, route); break;
    case RouteTable::Outcome::Unchanged: break;
    case RouteTable::Outcome::Exists: return refuse(EEXIST);
  }
  return accept();
}

OpDone NamespaceState::delete_route(const Route& route) {
  const bool made = route.table == kRouteTableMain || route.table == kRouteTableLocal ||
                    route_tables_.contains({route.destination.family(), route.table});
  if (!made) {
    return refuse(ESRCH, "FIB table does not exist");
  }
  const std::optional<Route> removed = routes_.remove(route);
  if (!removed) {
    return refuse(ESRCH);
  }
  tell(KernelChange::Kind::Deleted, *removed);
  return accept();
}

void NamespaceState::flush_routes(const std::function<bool(const Route&)>& goes, bool tell_it) {
  for (const Route& route : routes_.remove_if(goes)) {
    if (tell_it) {
      tell(KernelChange::Kind::Deleted, route);
    }
  }
}

// The local table was asked before.
const Route* NamespaceState::route_to(const IpAddress& destination) const {
  return routes_.lookup(kRouteTableMain, destination);
}

}  // namespace vxmesh
