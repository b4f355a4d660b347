// Addresses, and the routes that the kernel makes of them (net/ipv4/devinet.c, fib_frontend.c,
// net/ipv6/addrconf.c).
#include <algorithm>

#include "base/check.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {
namespace {

constexpr std::uint8_t kScopeLink = 253;
constexpr std::uint8_t kScopeHost = 254;
constexpr std::uint32_t kIpv6KernelMetric = 256;  // IP6_RT_PRIO_ADDRCONF

// The modified EUI-64 identifier (RFC 4291, appendix A) behind fe80::/64.
IpAddress link_local(const MacAddress& mac) {
  const auto& m = mac.bytes;
  return IpAddress::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2U), m[1],
                        m[2], 0xff, 0xfe, m[3], m[4], m[5]});
}

IpPrefix host(const IpAddress& address) {
  return IpPrefix::containing(address, address_bits(address.family()));
}

IpPrefix subnet(const IfAddress& address) {
  return IpPrefix::containing(address.address, address.length);
}

Route kernel_route(RouteType type, const IpPrefix& destination, IfIndex device) {
  return Route{.destination = destination,
               .metric = 0,
               .table = type == RouteType::Unicast ? kRouteTableMain : kRouteTableLocal,
               .type = type,
               .scope = 0,
               .protocol = kRouteProtocolKernel,
               .device = device,
               .gateway = {},
               .onlink = false,
               .preferred_source = {}};
}

std::vector<Route> ipv4_routes(const IfAddress& address, bool secondary, bool up) {
  Route local = kernel_route(RouteType::Local, host(address.address), address.device);
  local.scope = kScopeHost;
  local.preferred_source = address.address;
  std::vector<Route> routes{local};
  const IpPrefix prefix = subnet(address);
  if (!up || secondary || address.length == 32) {
    return routes;
  }
  Route connected = kernel_route(RouteType::Unicast, prefix, address.device);
  connected.scope = kScopeLink;
  connected.preferred_source = address.address;
  if (!address.no_prefix_route) {
    routes.push_back(connected);
  }
  if (address.length < 31) {
    Route broadcast = kernel_route(RouteType::Broadcast, host(prefix.last()), address.device);
    broadcast.scope = kScopeLink;
    broadcast.preferred_source = address.address;
    routes.push_back(broadcast);
  }
  return routes;
}

std::vector<Route> ipv6_routes(const IfAddress& address, bool up) {
  if (!up) {
    return {};
  }
  std::vector<Route> routes{kernel_route(RouteType::Local, host(address.address), address.device)};
  if (!address.no_prefix_route) {
    Route prefix = kernel_route(RouteType::Unicast, subnet(address), address.device);
    prefix.metric = kIpv6KernelMetric;
    routes.push_back(prefix);
  }
  return routes;
}

}  // namespace

OpDone NamespaceState::replace_address(const IfAddress& address) {
  const Family family = address.address.family();
  const LinkRow* link = row(address.device);
  if (link == nullptr) {
    return refuse(ENODEV, family == Family::V4 ? "ipv4: Device not found" : "");
  }
  if (address.length > address_bits(family)) {
    return refuse(EINVAL, family == Family::V4 ? "ipv4: Invalid prefix length" : "");
  }
  if (family == Family::V6 && !link->parameters.contains(Family::V6)) {
    return refuse(ENODEV, "IPv6 is disabled on this device");
  }
  // IPv4 tells addresses apart by prefix length too. Neither changes NOPREFIXROUTE afterwards.
  bool secondary = false;
  for (const AddressRow& row : addresses_) {
    const IfAddress& other = row.address;
    if (other.device != address.device || other.address.family() != family) {
      continue;
    }
    if (other.address == address.address &&
        (family == Family::V6 || other.length == address.length)) {
      tell(KernelChange::Kind::New, other);
      return accept();
    }
    secondary = secondary || (family == Family::V4 && !row.secondary &&
                              other.length == address.length && subnet(other) == subnet(address));
  }
  insert_address(address, secondary);
  return accept();
}

void NamespaceState::insert_address(const IfAddress& address, bool secondary) {
  addresses_.push_back(AddressRow{.address = address, .secondary = secondary});
  tell(KernelChange::Kind::New, address);
  add_routes_of(AddressRow{.address = address, .secondary = secondary});
}

OpDone NamespaceState::delete_address(const IfAddress& address) {
  const Family family = address.address.family();
  if (row(address.device) == nullptr) {
    return refuse(ENODEV, family == Family::V4 ? "ipv4: Device not found" : "");
  }
  const auto place = std::find_if(addresses_.begin(), addresses_.end(), [&](const AddressRow& row) {
    return row.address.device == address.device && row.address.address == address.address &&
           row.address.length == address.length;
  });
  if (place == addresses_.end()) {
    return refuse(EADDRNOTAVAIL,
                  family == Family::V4 ? "ipv4: Address not found" : "ipv6: address not found");
  }
  const AddressRow removed = *place;
  // promote_secondaries is off by default: what stands behind a first address goes with it.
  for (std::size_t i = 0; i < addresses_.size();) {
    const AddressRow& row = addresses_[i];
    const bool goes = !removed.secondary && row.secondary && row.address.device == address.device &&
                      row.address.length == removed.address.length &&
                      subnet(row.address) == subnet(removed.address);
    if (goes) {
      remove_address(i);
    } else {
      ++i;
    }
  }
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    if (addresses_[i].address == removed.address) {
      remove_address(i);
      break;
    }
  }
  return accept();
}

void NamespaceState::remove_address(std::size_t place) {
  const AddressRow removed = addresses_[place];
  const IfIndex device = removed.address.device;
  addresses_.erase(addresses_.begin() + static_cast<std::ptrdiff_t>(place));
  tell(KernelChange::Kind::Deleted, removed.address);
  remove_routes_of(removed);
  if (removed.address.address.family() == Family::V6) {
    return;
  }
  const bool last = std::none_of(addresses_.begin(), addresses_.end(), [&](const auto& row) {
    return row.address.device == device && row.address.address.family() == Family::V4;
  });
  if (last) {  // fib_disable_ip
    flush_routes(
        [&](const Route& route) {
          return route.destination.family() == Family::V4 && route.device == device;
        },
        /*tell_it=*/false);
    neighbours_.flush(device, Family::V4, now_, messages_);
  }
}

void NamespaceState::remove_ipv6_addresses(IfIndex device) {
  const auto goes = [&](const AddressRow& row) {
    return row.address.device == device && row.address.address.family() == Family::V6;
  };
  for (const AddressRow& row : addresses_) {
    if (goes(row)) {
      tell(KernelChange::Kind::Deleted, row.address);
    }
  }
  std::erase_if(addresses_, goes);
}

void NamespaceState::add_link_local(const LinkRow& row) {
  const IfIndex device = row.link.index;
  if (device == kLoopback) {
    return;
  }
  Route multicast =
      kernel_route(RouteType::Multicast, IpPrefix::containing(IpAddress::v6({0xff}), 8), device);
  multicast.metric = kIpv6KernelMetric;
  add_kernel_route(multicast);
  insert_address(IfAddress{.device = device,
                           .address = link_local(row.link.mac),
                           .length = 64,
                           .no_prefix_route = false,
                           .scope = kScopeLink},
                 /*secondary=*/false);
}

void NamespaceState::add_routes_of(const AddressRow& row) {
  const bool up = find_link(row.address.device)->up;
  const auto routes = row.address.address.family() == Family::V4
                          ? ipv4_routes(row.address, row.secondary, up)
                          : ipv6_routes(row.address, up);
  for (const Route& route : routes) {
    add_kernel_route(route);
  }
}

void NamespaceState::add_kernel_route(const Route& route) {
  if (routes_.append(route) == RouteTable::Outcome::Added) {
    tell(KernelChange::Kind::New, route);
  }
}

// What another address still needs stays (fib_del_ifaddr).
void NamespaceState::remove_routes_of(const AddressRow& row) {
  const IpAddress& address = row.address.address;
  std::vector<Route> needed;
  for (const AddressRow& other : addresses_) {
    const auto routes = address.family() == Family::V4
                            ? ipv4_routes(other.address, other.secondary, true)
                            : ipv6_routes(other.address, true);
    if (other.address.address.family() == address.family()) {
      needed.insert(needed.end(), routes.begin(), routes.end());
    }
  }
  const auto own = address.family() == Family::V4 ? ipv4_routes(row.address, row.secondary, true)
                                                  : ipv6_routes(row.address, true);
  for (const Route& route : own) {
    if (std::find(needed.begin(), needed.end(), route) == needed.end() &&
        routes_.remove(route).has_value()) {
      tell(KernelChange::Kind::Deleted, route);
    }
  }
  if (!is_local(address)) {
    flush_routes([&](const Route& route) { return route.preferred_source == address; },
                 /*tell_it=*/true);
  }
}

bool NamespaceState::is_local(const IpAddress& address) const {
  return routes_.lookup(kRouteTableLocal, address) != nullptr;
}

}  // namespace vxmesh
