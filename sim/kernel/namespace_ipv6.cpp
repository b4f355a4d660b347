// IPv6 addresses, what the kernel makes by itself when a device is ready, and duplicate address
// detection (net/ipv6/addrconf.c).
#include <algorithm>

#include "base/check.h"
#include "sim/kernel/link_rules.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {
namespace {

constexpr std::uint32_t kKernelMetric = 256;    // IP6_RT_PRIO_ADDRCONF
constexpr std::uint8_t kProtocolLoopback = 1;   // IFAPROT_KERNEL_LO
constexpr std::uint8_t kProtocolLinkLocal = 3;  // IFAPROT_KERNEL_LL
// Of IFA_FLAGS those that inet6_rtm_newaddr heeds and that are modelled.
constexpr std::uint32_t kFlagsHeeded = kAddressNoDad | kAddressNoPrefixRoute;
constexpr Duration kMinDadTime = std::chrono::milliseconds(10);  // addrconf_dad_work: HZ/100

constexpr IpAddress kLoopbackAddress =
    IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});

// The modified EUI-64 identifier (RFC 4291, appendix A) behind fe80::/64.
IpAddress link_local(const MacAddress& mac) {
  const auto& m = mac.bytes;
  return IpAddress::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2U), m[1],
                        m[2], 0xff, 0xfe, m[3], m[4], m[5]});
}

IpPrefix subnet(const IfAddress& address) {
  return IpPrefix::containing(address.address, address.length);
}

// rt_scope(ipv6_addr_scope())
std::uint8_t scope_of(const IpAddress& address) {
  if (address == kLoopbackAddress) {
    return kScopeHost;
  }
  return address.is_link_local() ? kScopeLink : 0;
}

RouteRecord kernel_route(RouteType type, const IpPrefix& destination, std::uint32_t table,
                         std::uint32_t metric, IfIndex device) {
  RouteRecord record;
  record.route = Route{.destination = destination,
                       .metric = metric,
                       .table = table,
                       .type = type,
                       .scope = 0,
                       .protocol = kRouteProtocolKernel,
                       .device = device,
                       .gateway = {},
                       .onlink = false,
                       .preferred_source = {}};
  return record;
}

}  // namespace

// --- Devices ---

// ipv6_add_dev: accept_dad is decided once, by the flags that the device has then.
void NamespaceState::speak_ipv6(LinkRow& row) {
  row.speaks_ipv6 = true;
  row.detects_duplicates = !row.link().no_arp && row.link().index != kLoopback;
  host_.neighbours().add_device(id_, row.link().index, Family::V6);
}

// addrconf_ifdown
void NamespaceState::forget_ipv6(LinkRow& row, bool unregister) {
  if (!row.speaks_ipv6) {
    return;
  }
  const IfIndex device = row.link().index;
  flush_routes(
      [&](const RouteRecord& record) {
        return record.route.destination.family() == Family::V6 && record.route.device == device;
      },
      Tell::Yes);
  flush_neighbours(device, Family::V6, NeighbourTable::Flush::All);
  row.ipv6_ready = false;
  for (auto places = addresses_of(device, Family::V6); !places.empty();
       places = addresses_of(device, Family::V6)) {
    const AddressRow gone = addresses_[places.front()];
    addresses_.erase(addresses_.begin() + static_cast<std::ptrdiff_t>(places.front()));
    tell_address(Notification::Kind::Deleted, gone);
    if (forwarding_) {
      change_anycast(gone, false);
    }
  }
  if (unregister) {
    row.speaks_ipv6 = false;
    NeighbourEffects effects;
    host_.neighbours().remove_device(id_, device, Family::V6, now_, effects);
    take(effects);
  }
}

// addrconf_permanent_addr: addresses that were given while the device was down.
void NamespaceState::restore_ipv6(LinkRow& row) {
  if (!row.speaks_ipv6) {
    return;
  }
  for (const std::size_t place : addresses_of(row.link().index, Family::V6)) {
    const AddressRow& address = addresses_[place];
    if (!address.has(kAddressNoPrefixRoute)) {
      add_prefix_route(address);
    }
  }
}

// What addrconf_notify does for a device that is up and has a carrier.
void NamespaceState::ready_ipv6(LinkRow& row) {
  if (!row.speaks_ipv6 || row.ipv6_ready) {
    return;
  }
  row.ipv6_ready = true;
  if (row.link().index == kLoopback) {
    AddressRow loopback;
    loopback.record = {.address = {.device = kLoopback,
                                   .address = kLoopbackAddress,
                                   .length = 128,
                                   .scope = kScopeHost},
                       .flags = kAddressPermanent,
                       .label = "",
                       .broadcast = {},
                       .protocol = kProtocolLoopback};
    if (find_ipv6(kLoopbackAddress, kLoopback, true) == nullptr) {
      addresses_.push_back(loopback);
      dad_completed(addresses_.back());
    }
  } else {
    add_multicast_route(row);
    add_link_local(row);
    for (const std::size_t place : addresses_of(row.link().index, Family::V6)) {
      if (addresses_[place].dad_pending) {
        start_dad(addresses_[place]);
      }
    }
  }
  // A loopback, or a vxlan that came to stand on a narrower device: nobody was told.
  if (row.link().mtu < kMinIpv6Mtu) {
    forget_ipv6(row, /*unregister=*/row.link().index != kLoopback);
  }
}

// addrconf_add_mroute
void NamespaceState::add_multicast_route(const LinkRow& row) {
  if (row.link().up) {
    insert_kernel_route(
        kernel_route(RouteType::Multicast, IpPrefix::containing(IpAddress::v6({0xff}), 8),
                     kRouteTableLocal, kKernelMetric, row.link().index),
        rtnl::kCreate);
  }
}

void NamespaceState::add_link_local(LinkRow& row) {
  const IpAddress address = link_local(row.link().mac);
  if (find_ipv6(address, row.link().index, true) != nullptr) {
    return;
  }
  AddressRow made;
  made.record = {.address = {.device = row.link().index,
                             .address = address,
                             .length = 64,
                             .scope = kScopeLink},
                 .flags = kAddressPermanent | kAddressTentative,
                 .label = "",
                 .broadcast = {},
                 .protocol = kProtocolLinkLocal};
  addresses_.push_back(made);
  add_prefix_route(made);
  start_dad(addresses_.back());
}

// --- Duplicate address detection ---

// addrconf_dad_start, addrconf_dad_begin: work for a queue, which comes to it when the request is
// over.
void NamespaceState::start_dad(AddressRow& row) {
  const LinkRow& link = *this->row(row.address().device);
  row.dad_pending = false;
  row.dad_done.reset();
  row.dad_number = next_dad_number_++;
  row.in_group |= !link.link().no_arp && link.link().index != kLoopback;  // addrconf_join_solict
  if (!row.has(kAddressTentative) || link.link().no_arp || !link.detects_duplicates) {
    row.dad_done = now_;
  } else if (link.ipv6_ready) {
    const NeighbourTunables* tunables =
        host_.neighbours().tunables(id_, link.link().index, Family::V6);
    row.dad_done = now_ + dad_delay_ + std::max(tunables->retrans_time, kMinDadTime);
  } else {
    row.dad_pending = true;
  }
}

// IFF_NOARP came or went: detection begins again, and is over at once where it was over before
// (addrconf_dad_run with restart).
void NamespaceState::restart_dad(const LinkRow& row) {
  for (const std::size_t place : addresses_of(row.link().index, Family::V6)) {
    start_dad(addresses_[place]);
  }
}

// addrconf_dad_completed
void NamespaceState::dad_completed(AddressRow& row) {
  row.dad_done.reset();
  row.record.flags &= ~static_cast<std::uint32_t>(kAddressTentative);
  const Caller caller = std::exchange(caller_, Caller{});
  tell_address(Notification::Kind::New, row);
  caller_ = caller;
  add_host_route(row);
  if (forwarding_) {
    change_anycast(row, true);
  }
}

// The one that is over first; of several the one that began first.
std::vector<NamespaceState::AddressRow>::iterator NamespaceState::first_dad() {
  return std::min_element(addresses_.begin(), addresses_.end(), [](const auto& a, const auto& b) {
    if (!a.dad_done || !b.dad_done) {
      return a.dad_done.has_value() && !b.dad_done;
    }
    return std::pair(*a.dad_done, a.dad_number) < std::pair(*b.dad_done, b.dad_number);
  });
}

std::optional<MonotonicTime> NamespaceState::next_dad() const {
  std::optional<MonotonicTime> next;
  for (const AddressRow& row : addresses_) {
    if (row.dad_done && (!next || *row.dad_done < *next)) {
      next = row.dad_done;
    }
  }
  return next;
}

void NamespaceState::run_dad() {
  for (auto row = first_dad(); row != addresses_.end() && row->dad_done && *row->dad_done <= now_;
       row = first_dad()) {
    dad_completed(*row);
  }
}

// --- Routes of an address ---

// addrconf_prefix_route
void NamespaceState::add_prefix_route(const AddressRow& row) {
  const IfAddress& address = row.address();
  if (!this->row(address.device)->link().up) {
    return;
  }
  insert_kernel_route(
      kernel_route(RouteType::Unicast, subnet(address), kRouteTableMain,
                   row.record.metric != 0 ? row.record.metric : kKernelMetric, address.device),
      rtnl::kCreate);
}

// addrconf_get_prefix_route: the first without a gateway, whoever made it.
std::optional<RouteRecord> NamespaceState::find_prefix_route(const AddressRow& row) const {
  const IfAddress& address = row.address();
  return routes_.find_first(
      {.family = Family::V6, .table = kRouteTableMain, .destination = subnet(address)},
      [&](const RouteRecord& record) {
        return record.route.device == address.device && !record.route.gateway;
      });
}

// cleanup_prefix_route
void NamespaceState::remove_prefix_route(const AddressRow& row) {
  if (const std::optional<RouteRecord> found = find_prefix_route(row)) {
    routes_.remove_one(*found);
    tell_route(Notification::Kind::Deleted, *found);
  }
}

// The local route of the address itself: ifp->rt.
void NamespaceState::add_host_route(const AddressRow& row) {
  RouteRecord route =
      kernel_route(RouteType::Local, IpPrefix::containing(row.address().address, 128),
                   kRouteTableLocal, 0, row.address().device);
  route.is_of_address = true;
  insert_kernel_route(route, rtnl::kCreate);
}

void NamespaceState::remove_local_route(RouteType type, const IpAddress& address, IfIndex device) {
  const std::optional<RouteRecord> found = routes_.find_first(
      {.family = Family::V6,
       .table = kRouteTableLocal,
       .destination = IpPrefix::containing(address, 128)},
      [&](const RouteRecord& record) {
        return record.is_of_address && record.route.type == type && record.route.device == device;
      });
  if (found) {
    routes_.remove_one(*found);
    tell_route(Notification::Kind::Deleted, *found);
  }
}

// addrconf_join_anycast, addrconf_leave_anycast: a router answers for the lowest address of every
// prefix that it has an address in.
void NamespaceState::change_anycast(const AddressRow& row, bool join) {
  const IfAddress& address = row.address();
  const IpAddress lowest = subnet(address).base();
  if (address.address.family() != Family::V6 || row.has(kAddressTentative) ||
      address.length >= 127 || lowest == IpAddress::v6({})) {
    return;
  }
  unsigned& users = anycast_users_[{address.device, lowest}];
  if (join && users++ == 0) {
    RouteRecord route = kernel_route(RouteType::Anycast, IpPrefix::containing(lowest, 128),
                                     kRouteTableLocal, 0, address.device);
    route.is_of_address = true;
    insert_kernel_route(route, rtnl::kCreate);
  } else if (!join && users > 0 && --users == 0) {
    remove_local_route(RouteType::Anycast, lowest, address.device);
  }
}

// --- Requests ---

const NamespaceState::AddressRow* NamespaceState::find_ipv6(const IpAddress& address,
                                                            std::optional<IfIndex> device,
                                                            bool tentative_counts) const {
  const auto place = std::find_if(addresses_.begin(), addresses_.end(), [&](const auto& row) {
    return row.address().address == address && (!device || row.address().device == *device) &&
           (tentative_counts || !row.has(kAddressTentative));
  });
  return place == addresses_.end() ? nullptr : &*place;
}

// inet6_rtm_newaddr
OpDone NamespaceState::new_ipv6(const rtnl::NewAddr& request) {
  LinkRow* link = row(request.device);
  if (link == nullptr) {
    return refuse(ENODEV, "ipv6: Unable to find the interface");
  }
  if (!link->speaks_ipv6) {
    return refuse(EINVAL);  // ipv6_find_idev: the MTU is too small
  }
  const std::uint32_t flags = request.address_flags.value_or(0) & kFlagsHeeded;
  for (const std::size_t place : addresses_of(request.device, Family::V6)) {
    AddressRow& row = addresses_[place];
    if (row.address().address != request.local) {
      continue;
    }
    if ((request.flags & rtnl::kExcl) != 0 || (request.flags & rtnl::kReplace) == 0) {
      return refuse(EEXIST, "ipv6: address already assigned");
    }
    modify_ipv6(row, request, flags);
    return accept();
  }
  if (request.length > 128) {
    return refuse(EINVAL, "ipv6: Invalid prefix length");
  }
  return insert_ipv6(request, flags);
}

// inet6_addr_add, ipv6_add_addr
OpDone NamespaceState::insert_ipv6(const rtnl::NewAddr& request, std::uint32_t flags) {
  if (request.device != kLoopback) {
    add_multicast_route(*row(request.device));
  }
  if (request.local == IpAddress::v6({})) {
    return refuse(EADDRNOTAVAIL, "ipv6: Invalid address");
  }
  if (request.local.is_multicast()) {
    return refuse(EADDRNOTAVAIL,
                  "ipv6: Cannot assign multicast address without \"IFA_F_MCAUTOJOIN\" flag");
  }
  if (request.local == kLoopbackAddress && request.device != kLoopback) {
    return refuse(EADDRNOTAVAIL, "ipv6: Cannot assign loopback address on this device");
  }
  AddressRow made;
  made.record = {.address = {.device = request.device,
                             .address = request.local,
                             .length = request.length,
                             .no_prefix_route = (flags & kAddressNoPrefixRoute) != 0,
                             .scope = scope_of(request.local)},
                 .flags = flags | kAddressPermanent,
                 .label = "",
                 .broadcast = {},
                 .metric = request.metric.value_or(0),
                 .protocol = request.protocol.value_or(0)};
  const bool tentative = (flags & kAddressNoDad) == 0;
  made.record.flags |= tentative ? kAddressTentative : 0U;
  // ipv6_link_dev_addr: wider scopes first, the newest first among equals.
  const auto place = std::find_if(addresses_.begin(), addresses_.end(), [&](const auto& other) {
    return other.address().device == request.device &&
           other.address().address.family() == Family::V6 &&
           other.address().scope >= made.address().scope;
  });
  const auto at = addresses_.insert(place, made);
  const auto index = static_cast<std::size_t>(at - addresses_.begin());
  if (!made.has(kAddressNoPrefixRoute)) {
    add_prefix_route(made);
  }
  if (tentative) {
    tell_address(Notification::Kind::New, made);
  }
  start_dad(addresses_[index]);
  return accept();
}

// inet6_addr_modify
void NamespaceState::modify_ipv6(AddressRow& row, const rtnl::NewAddr& request,
                                 std::uint32_t flags) {
  const bool had_prefix_route = !row.has(kAddressNoPrefixRoute);
  const std::uint32_t kept = row.record.flags & kAddressTentative;
  row.record.flags = kept | flags | kAddressPermanent;
  row.record.address.no_prefix_route = (flags & kAddressNoPrefixRoute) != 0;
  row.record.protocol = request.protocol.value_or(0);
  if (request.metric.value_or(0) != 0) {
    row.record.metric = *request.metric;
  }
  if (!row.has(kAddressTentative)) {
    tell_address(Notification::Kind::New, row);
  }
  const std::uint32_t metric = row.record.metric != 0 ? row.record.metric : kKernelMetric;
  if (!row.has(kAddressNoPrefixRoute)) {
    // modify_prefix_route
    const std::optional<RouteRecord> there =
        had_prefix_route ? find_prefix_route(row) : std::nullopt;
    if (there && there->route.metric == metric) {
      return;
    }
    if (there) {
      remove_prefix_route(row);
    }
    add_prefix_route(row);
  } else if (had_prefix_route && !shares_prefix(row)) {
    remove_prefix_route(row);
  }
}

// check_cleanup_prefix_route: another address of the device needs the prefix's route.
bool NamespaceState::shares_prefix(const AddressRow& row) const {
  const auto places = addresses_of(row.address().device, Family::V6);
  return std::any_of(places.begin(), places.end(), [&](std::size_t place) {
    const IfAddress& other = addresses_[place].address();
    return other.address != row.address().address && other.length == row.address().length &&
           subnet(other) == subnet(row.address());
  });
}

// inet6_addr_del, ipv6_del_addr
OpDone NamespaceState::del_ipv6(const rtnl::DelAddr& request) {
  if (request.length > 128) {
    return refuse(EINVAL, "ipv6: Invalid prefix length");
  }
  const LinkRow* link = row(request.device);
  if (link == nullptr) {
    return refuse(ENODEV, "ipv6: Unable to find the interface");
  }
  if (!link->speaks_ipv6) {
    return refuse(ENXIO, "ipv6: IPv6 is disabled on this device");
  }
  for (const std::size_t place : addresses_of(request.device, Family::V6)) {
    const AddressRow gone = addresses_[place];
    if (gone.address().address != request.local || gone.address().length != request.length) {
      continue;
    }
    const bool prefix_goes = !gone.has(kAddressNoPrefixRoute) && !shares_prefix(gone);
    addresses_.erase(addresses_.begin() + static_cast<std::ptrdiff_t>(place));
    tell_address(Notification::Kind::Deleted, gone);
    if (forwarding_) {
      change_anycast(gone, false);
    }
    remove_local_route(RouteType::Local, gone.address().address, request.device);
    if (prefix_goes) {
      remove_prefix_route(gone);
    }
    // rt6_remove_prefsrc: the routes stay, without a word.
    routes_.edit([&](RouteRecord& record) {
      if (record.route.preferred_source == gone.address().address &&
          find_ipv6(gone.address().address, std::nullopt, false) == nullptr) {
        record.route.preferred_source.reset();
      }
    });
    return accept();
  }
  return refuse(EADDRNOTAVAIL, "ipv6: address not found");
}

}  // namespace vxmesh
