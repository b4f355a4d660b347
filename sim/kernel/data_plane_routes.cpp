// The data plane's idea of addresses, sources and routes.
#include <algorithm>
#include <bit>
#include <tuple>

#include "sim/kernel/data_plane.h"

namespace vxmesh {
namespace {

bool has(const AddressRecord& record, std::uint32_t flag) {
  return (record.flags & flag) != 0;
}

IpPrefix prefix_of(const AddressRecord& record) {
  return IpPrefix::containing(record.address.address, record.address.length);
}

// __ipv6_addr_type's scope, as multicast addresses number it (RFC 4291, section 2.7).
unsigned ipv6_scope(const IpAddress& address) {
  constexpr unsigned kLinkScope = 2;
  constexpr unsigned kGlobalScope = 14;
  if (address.is_multicast()) {
    return address.bytes()[1] & 0xfU;
  }
  const bool loopback = address == IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  return address.is_link_local() || loopback ? kLinkScope : kGlobalScope;
}

// The default policy table's labels, as far as they differ for what an overlay has (RFC 6724,
// section 2.1; net/ipv6/addrlabel.c): unique local addresses, and the rest.
int ipv6_label(const IpAddress& address) {
  constexpr int kUniqueLocal = 5;
  constexpr int kOther = 1;
  return (address.bytes()[0] & 0xfeU) == 0xfc ? kUniqueLocal : kOther;
}

unsigned common_bits(const IpAddress& a, const IpAddress& b) {
  unsigned bits = 0;
  for (std::size_t i = 0; i < a.bytes().size(); ++i) {
    const auto differ = static_cast<std::uint8_t>(a.bytes()[i] ^ b.bytes()[i]);
    if (differ != 0) {
      return bits + static_cast<unsigned>(std::countl_zero(differ));
    }
    bits += 8;
  }
  return bits;
}

}  // namespace

bool DataPlane::speaks(IfIndex device, Family family) const {
  return tables_.neighbours().tunables(tables_.id(), device, family) != nullptr;
}

const RouteRecord* DataPlane::route_to(const IpAddress& destination) const {
  return tables_.route({.destination = destination, .device = std::nullopt});
}

bool DataPlane::is_local(const IpAddress& address) const {
  const RouteRecord* route = route_to(address);
  return route != nullptr && route->route.type == RouteType::Local;
}

bool DataPlane::has_address(IfIndex device, const IpAddress& address, bool tentative) const {
  const std::vector<AddressRecord> addresses = tables_.addresses(device, address.family());
  return std::any_of(addresses.begin(), addresses.end(), [&](const AddressRecord& record) {
    return record.address.address == address && (tentative || !has(record, kAddressTentative));
  });
}

// __ip_dev_find
bool DataPlane::is_ours(const IpAddress& address) const {
  return tables_.has_address(address) || is_local(address);
}

std::uint32_t DataPlane::mtu_of(const RouteRecord& route) const {
  const LinkRecord* link = route.route.device ? tables_.link(*route.route.device) : nullptr;
  return link == nullptr ? 0 : link->link.mtu;
}

// --- IPv4 ---

// fib_validate_source: `out` is where the packet would go on to.
DataPlane::SourceCheck DataPlane::check_source(const IpAddress& source, IfIndex device,
                                               std::optional<IfIndex> out) const {
  const std::uint8_t filter = tables_.rp_filter(device);
  if (filter == 0 && out != device && !tables_.had_custom_local_routes()) {
    return {.good = !tables_.has_address(source)};
  }
  constexpr std::uint8_t kStrict = 1;
  const RouteRecord* back = route_to(source);
  if (back == nullptr || !leads_on(*back)) {
    return {.good = filter == 0};
  }
  if (back->route.type != RouteType::Unicast) {
    return {};
  }
  const auto is_on_link = [](const RouteRecord& route) { return !route.route.gateway; };
  if (back->route.device == device) {
    return {.good = true, .on_link = is_on_link(*back)};
  }
  if (tables_.addresses(device, Family::V4).empty()) {
    return {.good = filter == 0};
  }
  if (filter == kStrict) {
    return {};
  }
  const RouteRecord* here = tables_.route({.destination = source, .device = device});
  const bool found = here != nullptr && here->route.type == RouteType::Unicast;
  return {.good = true, .on_link = found && is_on_link(*here)};
}

// inet_select_addr
std::optional<IpAddress> DataPlane::select_ipv4(IfIndex device,
                                                const std::optional<IpAddress>& towards,
                                                std::uint8_t scope) const {
  std::optional<IpAddress> first;
  for (const AddressRecord& record : tables_.addresses(device, Family::V4)) {
    if (has(record, kAddressSecondary) || record.address.scope > scope) {
      continue;
    }
    if (!towards || (towards->family() == Family::V4 && prefix_of(record).contains(*towards))) {
      return record.address.address;
    }
    first = first ? first : record.address.address;
  }
  if (first) {
    return first;
  }
  for (const IfIndex other : tables_.devices()) {
    for (const AddressRecord& record : tables_.addresses(other, Family::V4)) {
      const std::uint8_t of_address = record.address.scope;
      if (!has(record, kAddressSecondary) && of_address != kScopeLink && of_address <= scope) {
        return record.address.address;
      }
    }
  }
  return std::nullopt;
}

// --- IPv6 ---

// ipv6_dev_get_saddr, without deprecated, temporary and home addresses.
std::optional<IpAddress> DataPlane::select_ipv6(std::optional<IfIndex> device,
                                                const IpAddress& destination) const {
  using Score = std::tuple<bool, bool, int, bool, bool, unsigned>;
  const unsigned wanted = ipv6_scope(destination);
  constexpr unsigned kLinkScope = 2;
  const bool only_here = device && (destination.is_multicast() || wanted <= kLinkScope);
  std::optional<IpAddress> best;
  Score best_score{};
  for (const IfIndex index : tables_.devices()) {
    if (only_here && index != *device) {
      continue;
    }
    for (const AddressRecord& record : tables_.addresses(index, Family::V6)) {
      const IpAddress& address = record.address.address;
      if (has(record, kAddressTentative)) {
        continue;
      }
      // A scope that is wide enough is the better the narrower it is; of others the widest is.
      const unsigned scope = ipv6_scope(address);
      const bool enough = scope >= wanted;
      const int closeness = enough ? -static_cast<int>(scope) : static_cast<int>(scope);
      const unsigned bits =
          std::min<unsigned>(common_bits(address, destination), record.address.length);
      const Score score{address == destination,
                        enough,
                        closeness,
                        !device || index == *device,
                        ipv6_label(address) == ipv6_label(destination),
                        bits};
      if (!best || score > best_score) {
        best = address;
        best_score = score;
      }
    }
  }
  return best;
}

std::optional<IpAddress> DataPlane::link_local_of(IfIndex device) const {
  for (const AddressRecord& record : tables_.addresses(device, Family::V6)) {
    if (record.address.address.is_link_local() && !has(record, kAddressTentative)) {
      return record.address.address;
    }
  }
  return std::nullopt;
}

bool DataPlane::listens_to(IfIndex device, const IpAddress& group) const {
  constexpr IpAddress kAllNodes =
      IpAddress::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  constexpr IpAddress kAllRouters =
      IpAddress::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
  if (group == kAllNodes || (group == kAllRouters && tables_.forwards())) {
    return true;
  }
  return tables_.has_joined(device, group);
}

std::optional<IpAddress> DataPlane::source_for(const IpAddress& destination,
                                               const RouteRecord* route) const {
  if (route != nullptr && route->route.preferred_source) {
    return route->route.preferred_source;
  }
  if (destination.family() == Family::V6) {
    return select_ipv6(route == nullptr ? std::nullopt : route->route.device, destination);
  }
  if (route == nullptr || !route->route.device) {
    return std::nullopt;
  }
  return select_ipv4(*route->route.device, route->route.gateway, route->route.scope);
}

}  // namespace vxmesh
