#include "explain/route_lookup.h"

#include <tuple>

namespace vxmesh {
namespace {

// The smaller is taken.
auto rank(const Route& route) {
  const int length = -static_cast<int>(route.destination.length());
  const int table = route.table == kRouteTableLocal ? 0 : 1;
  const bool v4 = route.destination.family() == Family::V4;
  return std::tuple(v4 ? length : table, v4 ? table : length, route.metric);
}

const Route* best_route(const KernelState& kernel, const IpAddress& destination, bool local_too) {
  const Route* best = nullptr;
  for (const Route& route : kernel.routes) {
    const bool counts =
        route.table == kRouteTableMain || (local_too && route.table == kRouteTableLocal);
    if (counts && route.destination.contains(destination) &&
        (best == nullptr || rank(route) < rank(*best))) {
      best = &route;
    }
  }
  return best;
}

}  // namespace

const Route* find_route(const KernelState& kernel, const IpAddress& destination) {
  const Route* best = best_route(kernel, destination, true);
  if (best != nullptr && best->type == RouteType::Throw) {
    // Throw ends the search of its table; in IPv4 the two tables are one.
    const bool goes_on = destination.family() == Family::V6 && best->table == kRouteTableLocal;
    best = goes_on ? best_route(kernel, destination, false) : nullptr;
  }
  return best != nullptr && best->type == RouteType::Throw ? nullptr : best;
}

bool refuses(const Route& route) {
  return route.type == RouteType::Unreachable || route.type == RouteType::Prohibit ||
         route.type == RouteType::Blackhole;
}

bool ends_here(const Route& route) {
  return route.type == RouteType::Local || route.type == RouteType::Broadcast ||
         route.type == RouteType::Anycast;
}

}  // namespace vxmesh
