// Routes.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "model/ip_prefix.h"
#include "model/link.h"

namespace vxmesh {

// rtm_type, linux/rtnetlink.h; only those that the overlay writes or must tell apart.
enum class RouteType : std::uint8_t {
  Unicast = 1,
  Local = 2,
  Broadcast = 3,
  Anycast = 4,
  Multicast = 5,
  Blackhole = 6,
  Unreachable = 7,
  Prohibit = 8,
  Throw = 9,
  Other = 255,
};

// rtm_protocol and rtm_table, linux/rtnetlink.h.
inline constexpr std::uint8_t kRouteProtocolKernel = 2;
inline constexpr std::uint32_t kRouteTableMain = 254;
inline constexpr std::uint32_t kRouteTableLocal = 255;

// RT_SCOPE_LINK and RT_SCOPE_HOST, linux/rtnetlink.h; of routes and of addresses.
inline constexpr std::uint8_t kScopeLink = 253;
inline constexpr std::uint8_t kScopeHost = 254;

// The last metric there is: such a route is tried after every other of its prefix.
inline constexpr std::uint32_t kRouteMetricLast = 4294967295U;

struct Route {
  IpPrefix destination;
  std::uint32_t metric = 0;
  std::uint32_t table = kRouteTableMain;
  RouteType type = RouteType::Unicast;
  std::uint8_t scope = 0;         // RT_SCOPE_UNIVERSE 0, RT_SCOPE_LINK 253
  std::uint8_t protocol = 0;      // rtm_protocol
  std::optional<IfIndex> device;  // absent for unreachable and multipath routes
  std::optional<IpAddress> gateway;
  bool onlink = false;  // RTNH_F_ONLINK
  std::optional<IpAddress> preferred_source;

  friend auto operator<=>(const Route&, const Route&) = default;
};

// The device to say in a delete of the route, RTA_OIF: for an IPv6 route that refuses, which has no
// device of its own, the loopback's. Without one the first IPv6 route of the prefix, metric and
// protocol is deleted, whatever its type (ip6_route_del), and that may be one that is needed.
[[nodiscard]] inline std::optional<IfIndex> deleted_device(const Route& route) {
  constexpr IfIndex kLoopback{1};  // LOOPBACK_IFINDEX, net/flow.h
  const bool refuses = route.type == RouteType::Unreachable || route.type == RouteType::Blackhole;
  return refuses && route.destination.family() == Family::V6 ? kLoopback : route.device;
}

[[nodiscard]] std::string format(const Route& route);

}  // namespace vxmesh
