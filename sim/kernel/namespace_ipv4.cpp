// IPv4 addresses, and the routes that the kernel makes of them (net/ipv4/devinet.c,
// net/ipv4/fib_frontend.c).
#include <algorithm>

#include "base/check.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {
namespace {

constexpr std::uint16_t kAppendOrCreate = rtnl::kCreate | rtnl::kAppend;
// IPV6ONLY_FLAGS and what set_ifa_lifetime decides; IFA_F_SECONDARY is the kernel's to set.
constexpr std::uint32_t kFlagsNotKept =
    0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80 | 0x100 | 0x800;

IpPrefix host(const IpAddress& address) {
  return IpPrefix::containing(address, 32);
}

IpPrefix subnet(const IfAddress& address) {
  return IpPrefix::containing(address.address, address.length);
}

bool same_subnet(const IfAddress& a, const IfAddress& b) {
  return a.length == b.length && subnet(a) == subnet(b);
}

// ipv4_is_zeronet
bool is_zeronet(const IpAddress& address) {
  return address.bytes()[0] == 0;
}

// The prefix is the subnet's, and not just the address itself.
bool has_subnet(const IfAddress& address) {
  const IpPrefix prefix = subnet(address);
  return !is_zeronet(prefix.base()) && (prefix.base() != address.address || address.length < 32);
}

// Of an IPv6 address in its place the kernel reads the first four bytes.
std::optional<IpAddress> broadcast_of(const rtnl::NewAddr& request) {
  if (!request.broadcast) {
    return std::nullopt;
  }
  const auto& bytes = request.broadcast->bytes();
  const IpAddress address =
      IpAddress::v4((std::uint32_t{bytes[0]} << 24U) | (std::uint32_t{bytes[1]} << 16U) |
                    (std::uint32_t{bytes[2]} << 8U) | bytes[3]);
  return address == IpAddress{} ? std::nullopt : std::optional(address);
}

}  // namespace

std::vector<std::size_t> NamespaceState::addresses_of(IfIndex device, Family family) const {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    const IfAddress& address = addresses_[i].address();
    if (address.device == device && address.address.family() == family) {
      places.push_back(i);
    }
  }
  return places;
}

void NamespaceState::tell_address(Notification::Kind kind, const AddressRow& row) {
  const bool answers = caller_.is_request && row.address().address.family() == Family::V4;
  messages_.push_back(Notification{.kind = kind,
                                   .record = row.record,
                                   .sender = answers ? caller_.port : PortId{},
                                   .answers = answers});
}

OpDone NamespaceState::new_addr(const rtnl::NewAddr& request) {
  return request.local.family() == Family::V4 ? new_ipv4(request) : new_ipv6(request);
}

// inet_rtm_newaddr, rtm_to_ifaddr
OpDone NamespaceState::new_ipv4(const rtnl::NewAddr& request) {
  if (request.length > 32) {
    return refuse(EINVAL, "ipv4: Invalid prefix length");
  }
  const LinkRow* link = row(request.device);
  if (link == nullptr) {
    return refuse(ENODEV, "ipv4: Device not found");
  }
  const IfAddress wanted{
      .device = request.device,
      .address = request.local,
      .length = request.length,
      .no_prefix_route = (request.address_flags.value_or(0) & kAddressNoPrefixRoute) != 0,
      .scope = request.scope};
  for (const std::size_t place : addresses_of(request.device, Family::V4)) {
    AddressRow& other = addresses_[place];
    if (same_subnet(other.address(), wanted) && other.address().address == wanted.address) {
      return replace_ipv4(other, request);
    }
  }
  return insert_ipv4(AddressRecord{
      .address = wanted,
      .flags = (request.address_flags.value_or(0) & ~kFlagsNotKept) | kAddressPermanent,
      .label = request.label.value_or(link->link().name),
      .broadcast = broadcast_of(request),
      .metric = request.metric.value_or(0),
      .protocol = request.protocol.value_or(0)});
}

OpDone NamespaceState::replace_ipv4(AddressRow& row, const rtnl::NewAddr& request) {
  if ((request.flags & rtnl::kExcl) != 0 || (request.flags & rtnl::kReplace) == 0) {
    return refuse(EEXIST, "ipv4: Address already assigned");
  }
  const std::uint32_t metric = request.metric.value_or(0);
  if (row.record.metric != metric) {
    modify_prefix_metric(row, metric);
    row.record.metric = metric;
  }
  row.record.protocol = request.protocol.value_or(0);
  tell_address(Notification::Kind::New, row);
  return accept();
}

// fib_modify_prefix_metric
void NamespaceState::modify_prefix_metric(const AddressRow& row, std::uint32_t metric) {
  const Link& link = this->row(row.address().device)->link();
  const IpPrefix prefix = subnet(row.address());
  if (!link.up || row.has(kAddressSecondary | kAddressNoPrefixRoute) || is_zeronet(prefix.base()) ||
      (prefix.base() == row.address().address && row.address().length == 32)) {
    return;
  }
  const RouteType type = link.index == kLoopback ? RouteType::Local : RouteType::Unicast;
  add_ipv4_route(type, prefix, row, metric);
  remove_ipv4_route(type, prefix, row, row.record.metric);
}

// __inet_insert_ifa
OpDone NamespaceState::insert_ipv4(AddressRecord record) {
  if (record.address.address == IpAddress{}) {
    return accept();
  }
  const std::vector<std::size_t> places = addresses_of(record.address.device, Family::V4);
  std::size_t primary_place = places.empty() ? addresses_.size() : places.front();
  for (const std::size_t place : places) {
    const AddressRow& other = addresses_[place];
    if (!other.has(kAddressSecondary) && record.address.scope <= other.address().scope) {
      primary_place = place + 1;
    }
    if (!same_subnet(other.address(), record.address)) {
      continue;
    }
    if (other.address().address == record.address.address) {
      return refuse(EEXIST);
    }
    if (other.address().scope != record.address.scope) {
      return refuse(EINVAL, "ipv4: Invalid scope value");
    }
    record.flags |= kAddressSecondary;
  }
  const bool secondary = (record.flags & kAddressSecondary) != 0;
  const std::size_t end = places.empty() ? addresses_.size() : places.back() + 1;
  const AddressRow row{.record = record, .dad_done = {}};
  const std::size_t at = secondary ? end : primary_place;
  addresses_.insert(addresses_.begin() + static_cast<std::ptrdiff_t>(at), row);
  tell_address(Notification::Kind::New, row);
  add_ipv4_routes(row);
  return accept();
}

OpDone NamespaceState::del_addr(const rtnl::DelAddr& request) {
  if (request.local.family() == Family::V6) {
    return del_ipv6(request);
  }
  if (row(request.device) == nullptr) {
    return refuse(ENODEV, "ipv4: Device not found");
  }
  for (const std::size_t place : addresses_of(request.device, Family::V4)) {
    const IfAddress& other = addresses_[place].address();
    if (other.address == request.local && other.length == request.length) {
      delete_ipv4(place, /*device_goes=*/false);
      return accept();
    }
  }
  return refuse(EADDRNOTAVAIL, "ipv4: Address not found");
}

// __inet_del_ifa; promote_secondaries is off by default: what stands behind a first address of its
// subnet goes with it.
void NamespaceState::delete_ipv4(std::size_t place, bool device_goes) {
  const AddressRow removed = addresses_[place];
  const IfIndex device = removed.address().device;
  const auto erase = [&](std::size_t at) {
    const AddressRow gone = addresses_[at];
    addresses_.erase(addresses_.begin() + static_cast<std::ptrdiff_t>(at));
    const Caller caller = std::exchange(caller_, device_goes ? Caller{} : caller_);
    tell_address(Notification::Kind::Deleted, gone);
    caller_ = caller;
    remove_ipv4_routes(gone, device_goes);
  };
  if (!removed.has(kAddressSecondary) && !device_goes) {
    for (std::size_t i = place + 1; i < addresses_.size();) {
      const AddressRow& other = addresses_[i];
      if (other.address().device == device && other.has(kAddressSecondary) &&
          other.address().address.family() == Family::V4 &&
          same_subnet(other.address(), removed.address())) {
        erase(i);
      } else {
        ++i;
      }
    }
  }
  erase(place);
  if (addresses_of(device, Family::V4).empty()) {
    disable_ipv4(device, true);
  }
}

// fib_disable_ip
void NamespaceState::disable_ipv4(IfIndex device, bool force) {
  flush_routes(
      [&](const RouteRecord& record) {
        return record.route.destination.family() == Family::V4 && record.route.device == device &&
               (force || record.route.scope != kScopeHost);
      },
      Tell::No);
  flush_neighbours(device, Family::V4, NeighbourTable::Flush::All);
}

// inet_ifa_byprefix: whose address the routes of a subnet prefer.
const NamespaceState::AddressRow* NamespaceState::primary_of(const AddressRow& row) const {
  if (!row.has(kAddressSecondary)) {
    return &row;
  }
  for (const std::size_t place : addresses_of(row.address().device, Family::V4)) {
    if (same_subnet(addresses_[place].address(), row.address())) {
      return &addresses_[place];
    }
  }
  return nullptr;
}

// fib_add_ifaddr
void NamespaceState::add_ipv4_routes(const AddressRow& row) {
  route_tables_.emplace(Family::V4, kRouteTableMain);
  route_tables_.emplace(Family::V4, kRouteTableLocal);
  const IfAddress& address = row.address();
  const AddressRow* primary = primary_of(row);
  if (primary == nullptr) {
    return;
  }
  add_ipv4_route(RouteType::Local, host(address.address), *primary, 0);
  const Link& link = this->row(address.device)->link();
  if (!link.up) {
    return;
  }
  const IpAddress everyone = IpAddress::v4(0xffffffff);
  if (row.record.broadcast && *row.record.broadcast != everyone) {
    add_ipv4_route(RouteType::Broadcast, host(*row.record.broadcast), *primary, 0);
  }
  if (row.has(kAddressSecondary) || !has_subnet(address)) {
    return;
  }
  const IpPrefix prefix = subnet(address);
  if (!row.has(kAddressNoPrefixRoute)) {
    add_ipv4_route(link.index == kLoopback ? RouteType::Local : RouteType::Unicast, prefix,
                   *primary, row.record.metric);
  }
  if (address.length < 31) {
    add_ipv4_route(RouteType::Broadcast, host(prefix.last()), *primary, 0);
  }
}

// fib_magic
void NamespaceState::add_ipv4_route(RouteType type, const IpPrefix& destination,
                                    const AddressRow& row, std::uint32_t metric) {
  // fib_valid_prefsrc: somebody may have deleted the route that makes the address local.
  const IpAddress& source = row.address().address;
  const bool is_itself = type == RouteType::Local && destination.base() == source;
  if (!is_itself && address_type(source) != RouteType::Local) {
    return;
  }
  RouteRecord record;
  record.route = Route{.destination = destination,
                       .metric = metric,
                       .table = type == RouteType::Unicast ? kRouteTableMain : kRouteTableLocal,
                       .type = type,
                       .scope = type == RouteType::Local ? kScopeHost : kScopeLink,
                       .protocol = kRouteProtocolKernel,
                       .device = row.address().device,
                       .gateway = {},
                       .onlink = false,
                       .preferred_source = source};
  insert_kernel_route(record, kAppendOrCreate);
}

void NamespaceState::remove_ipv4_route(RouteType type, const IpPrefix& destination,
                                       const AddressRow& row, std::uint32_t metric) {
  const std::optional<RouteRecord> removed =
      routes_.remove({.destination = destination.base(),
                      .length = destination.length(),
                      .table = type == RouteType::Unicast ? kRouteTableMain : kRouteTableLocal,
                      .protocol = kRouteProtocolKernel,
                      .scope = type == RouteType::Local ? kScopeHost : kScopeLink,
                      .type = static_cast<std::uint8_t>(type),
                      .metric = metric,
                      .device = row.address().device,
                      .gateway = {},
                      .preferred_source = row.address().address});
  if (removed) {
    tell_route(Notification::Kind::Deleted, *removed);
  }
}

// Whose address the routes of `other` prefer, if that has to do with `prim`'s routes going;
// null if not. `same_preferred`: another primary address with the same one was met before.
const NamespaceState::AddressRow* NamespaceState::shares_routes(const AddressRow& other,
                                                                const AddressRow& prim,
                                                                bool same_preferred) const {
  if (!other.has(kAddressSecondary)) {
    return prim.address().address == other.address().address ? &other : nullptr;
  }
  if (same_subnet(other.address(), prim.address())) {
    return &prim;
  }
  const AddressRow* primary = same_preferred ? primary_of(other) : nullptr;
  const bool shares = primary != nullptr && primary->address().address == prim.address().address;
  return shares ? primary : nullptr;
}

// fib_del_ifaddr: what other addresses of the device need of the routes that `row` brought.
NamespaceState::NeededRoutes NamespaceState::still_needed(const AddressRow& row,
                                                          const AddressRow& prim) const {
  const IpPrefix prefix = subnet(row.address());
  NeededRoutes needed;
  bool same_preferred = false;
  for (const std::size_t place : addresses_of(row.address().device, Family::V4)) {
    const AddressRow& other = addresses_[place];
    const AddressRow* primary = shares_routes(other, prim, same_preferred);
    if (primary == nullptr) {
      continue;
    }
    same_preferred =
        same_preferred || (!other.has(kAddressSecondary) && other.address() != prim.address());
    needed.local = needed.local || other.address().address == row.address().address;
    std::vector<std::optional<IpAddress>> broadcasts{other.record.broadcast};
    const IpPrefix others = subnet(other.address());
    if (primary == &other && other.address().length < 31 && !is_zeronet(others.base())) {
      broadcasts.insert(broadcasts.end(), {others.last(), others.base()});
    }
    for (const std::optional<IpAddress>& broadcast : broadcasts) {
      needed.broadcast = needed.broadcast || row.record.broadcast == broadcast;
      needed.last = needed.last || broadcast == prefix.last();
      needed.first = needed.first || broadcast == prefix.base();
    }
  }
  return needed;
}

// fib_del_ifaddr
void NamespaceState::remove_ipv4_routes(const AddressRow& row, bool device_goes) {
  const IfAddress& address = row.address();
  const IpPrefix prefix = subnet(address);
  const AddressRow* primary = primary_of(row);
  if (primary == nullptr) {
    return;
  }
  const AddressRow prim = *primary;
  const bool subnet_goes = !row.has(kAddressSecondary) && has_subnet(address);
  if (subnet_goes && !row.has(kAddressNoPrefixRoute)) {
    remove_ipv4_route(address.device == kLoopback ? RouteType::Local : RouteType::Unicast, prefix,
                      prim, 0);
  }
  const NeededRoutes needed = device_goes ? NeededRoutes{} : still_needed(row, prim);
  if (!needed.broadcast && row.record.broadcast) {
    remove_ipv4_route(RouteType::Broadcast, host(*row.record.broadcast), prim, 0);
  }
  if (subnet_goes && address.length < 31) {
    if (!needed.last) {
      remove_ipv4_route(RouteType::Broadcast, host(prefix.last()), prim, 0);
    }
    if (!needed.first) {
      remove_ipv4_route(RouteType::Broadcast, host(prefix.base()), prim, 0);
    }
  }
  if (needed.local) {
    return;
  }
  remove_ipv4_route(RouteType::Local, host(address.address), prim, 0);
  if (address_type(address.address) != RouteType::Local) {
    // fib_sync_down_addr: only the main table's, and with a word.
    flush_routes(
        [&](const RouteRecord& record) {
          return record.route.table == kRouteTableMain &&
                 record.route.preferred_source == address.address;
        },
        Tell::Yes);
  }
}

}  // namespace vxmesh
