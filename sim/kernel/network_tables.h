// What the data plane knows of its namespace.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "sim/kernel/fdb_table.h"
#include "sim/kernel/neighbour_table.h"
#include "sim/kernel/record.h"
#include "sim/kernel/route_table.h"

namespace vxmesh {

// Contract: what is read is as it stands at that moment; a pointer is good until the namespace
// changes.
class NetworkTables {
 public:
  virtual ~NetworkTables() = default;

  [[nodiscard]] virtual NamespaceId id() const = 0;
  // Null if there is none.
  [[nodiscard]] virtual const LinkRecord* link(IfIndex device) const = 0;
  // In order of index.
  [[nodiscard]] virtual std::vector<IfIndex> devices() const = 0;
  // IFF_UP and IFF_LOWER_UP.
  [[nodiscard]] virtual bool is_running(IfIndex device) const = 0;
  // Newest first, as a bridge walks them.
  [[nodiscard]] virtual std::vector<IfIndex> ports_of(IfIndex bridge) const = 0;
  // In the kernel's order.
  [[nodiscard]] virtual std::vector<AddressRecord> addresses(IfIndex device,
                                                             Family family) const = 0;
  // Of any device, of either family, in use or not yet.
  [[nodiscard]] virtual bool has_address(const IpAddress& address) const = 0;
  // A group of solicitations for an IPv6 address of the device.
  [[nodiscard]] virtual bool has_joined(IfIndex device, const IpAddress& group) const = 0;
  // Null if no route matches. Routes of all types count.
  [[nodiscard]] virtual const RouteRecord* route(const RouteTable::Query& query) const = 0;
  // Somebody made a local IPv4 route, ever (fib_has_custom_local_routes).
  [[nodiscard]] virtual bool had_custom_local_routes() const = 0;
  // net.ipv4.conf.*.rp_filter: 0 off, 1 strict, 2 loose.
  [[nodiscard]] virtual std::uint8_t rp_filter(IfIndex device) const = 0;
  // net.ipv4.ip_forward, net.ipv6.conf.all.forwarding.
  [[nodiscard]] virtual bool forwards() const = 0;

  [[nodiscard]] virtual FdbTable& fdb() = 0;
  [[nodiscard]] virtual NeighbourTable& neighbours() = 0;
  // Requires: there is such a device.
  [[nodiscard]] virtual NeighbourDevice neighbour_device(IfIndex device) const = 0;
  // What a call on neighbours() makes happen. Comes back as DataPlane::act() where it is the data
  // plane's business, before this returns.
  virtual void take(const NeighbourEffects& effects) = 0;
};

// False if the route refuses what matches it.
[[nodiscard]] constexpr bool leads_on(const RouteRecord& route) {
  return route.route.type <= RouteType::Multicast;
}

// The way to 0.0.0.0, which is this host whatever its routes say (ip_route_output_key_hash_rcu):
// what goes there goes to 127.0.0.1.
[[nodiscard]] inline RouteRecord way_to_this_host() {
  RouteRecord route;
  route.route.type = RouteType::Local;
  route.route.device = IfIndex{1};
  route.route.preferred_source = IpAddress::v4(0x7f000001);
  return route;
}

}  // namespace vxmesh
