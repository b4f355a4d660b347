#include "sim/check/settlement.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <tuple>
#include <utility>

namespace vxmesh {
namespace {

const IpPrefix* overlay_around(const ReferenceConfig& config, const IpPrefix& prefix) {
  const auto found = std::find_if(config.overlay.begin(), config.overlay.end(),
                                  [&](const IpPrefix& cidr) { return cidr.contains(prefix); });
  return found == config.overlay.end() ? nullptr : &*found;
}

bool is_usable(const ReferenceConfig& config, const IpPrefix& pod_cidr) {
  constexpr unsigned kMacBits = 32;
  const IpPrefix* overlay = overlay_around(config, pod_cidr);
  if (overlay == nullptr || *overlay == pod_cidr) {
    return false;
  }
  return pod_cidr.family() == Family::V4 || pod_cidr.length() <= overlay->length() + kMacBits;
}

IpPrefix ipv4(std::uint32_t bits, std::uint8_t length) {
  return IpPrefix::containing(IpAddress::v4(bits), length);
}
IpPrefix ipv6(std::uint8_t first, std::uint8_t second, std::uint8_t length) {
  return IpPrefix::containing(IpAddress::v6({first, second}), length);
}

// Whether one host can have the address, and others send to it.
bool is_of_one_host(const IpAddress& address) {
  static const std::array kOthers{
      ipv4(0x00000000, 8),   // this network (RFC 1122)
      ipv4(0x7f000000, 8),   // loopback
      ipv4(0xa9fe0000, 16),  // link-local
      ipv4(0xe0000000, 4),   // multicast
      ipv4(0xf0000000, 4),   // class E and broadcast
      ipv6(0, 0, 80),        // unspecified, loopback, IPv4-compatible and IPv4-mapped
      ipv6(0xfe, 0x80, 10),  // link-local
      ipv6(0xff, 0, 8),      // multicast
  };
  return std::none_of(kOthers.begin(), kOthers.end(),
                      [&](const IpPrefix& other) { return other.contains(address); });
}

std::optional<IpAddress> vtep_of(const ReferenceConfig& config, const Node& node) {
  for (const NodeAddressType type : {NodeAddressType::InternalIp, NodeAddressType::ExternalIp}) {
    for (const NodeAddress& candidate : node.addresses) {
      const IpAddress& address = candidate.address;
      if (candidate.type == type && address.family() == config.underlay) {
        const IpPrefix host = IpPrefix::containing(address, address_bits(address.family()));
        const bool usable = is_of_one_host(address) && overlay_around(config, host) == nullptr;
        return usable ? std::optional(address) : std::nullopt;
      }
    }
  }
  return std::nullopt;
}

using Rivals = std::vector<std::vector<std::size_t>>;

// Two claims are rivals if a PodCIDR of one contains one of the other, or if their MACs are equal.
Rivals rivals_among(const std::vector<Claim>& claims) {
  Rivals rivals(claims.size());
  const auto add = [&](std::size_t one, std::size_t other) {
    if (claims[one].node != claims[other].node) {
      rivals[one].push_back(other);
      rivals[other].push_back(one);
    }
  };
  std::vector<std::pair<IpPrefix, std::size_t>> places;
  std::map<MacAddress, std::vector<std::size_t>> by_mac;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    for (const IpPrefix& pod_cidr : claims[i].pod_cidrs) {
      places.emplace_back(pod_cidr, i);
    }
    std::vector<std::size_t>& same_mac = by_mac[claims[i].mac];
    for (const std::size_t other : same_mac) {
      add(i, other);
    }
    same_mac.push_back(i);
  }
  std::sort(places.begin(), places.end());  // a prefix stands before all that it contains
  std::vector<std::pair<IpPrefix, std::size_t>> around;
  for (const auto& place : places) {
    while (!around.empty() && !around.back().first.contains(place.first)) {
      around.pop_back();
    }
    for (const auto& wider : around) {
      add(wider.second, place.second);
    }
    around.push_back(place);
  }
  return rivals;
}

}  // namespace

MacAddress reference_mac(const IpPrefix& pod_cidr, const IpPrefix& overlay) {
  const std::array<std::uint8_t, 16>& base = pod_cidr.base().bytes();
  if (pod_cidr.family() == Family::V4) {
    return MacAddress{{0x00, 0x53, base[0], base[1], base[2], base[3]}};
  }
  // The 32 bits lie in five bytes, of which the first and the last may be shared.
  std::uint64_t five = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    const std::size_t place = overlay.length() / 8U + i;
    five = (five << 8U) | (place < base.size() ? base[place] : 0U);
  }
  five >>= 8U - overlay.length() % 8U;
  return MacAddress{{0x02, 0x53, static_cast<std::uint8_t>(five >> 24U),
                     static_cast<std::uint8_t>(five >> 16U), static_cast<std::uint8_t>(five >> 8U),
                     static_cast<std::uint8_t>(five)}};
}

std::optional<Claim> claim_of(const ReferenceConfig& config, const Node& node, bool certain) {
  std::vector<IpPrefix> pod_cidrs = node.pod_cidrs;
  std::sort(pod_cidrs.begin(), pod_cidrs.end());  // IPv4 first
  const bool usable = std::all_of(pod_cidrs.begin(), pod_cidrs.end(),
                                  [&](const IpPrefix& cidr) { return is_usable(config, cidr); });
  const bool same_family = pod_cidrs.size() == 2 && pod_cidrs[0].family() == pod_cidrs[1].family();
  if (pod_cidrs.empty() || pod_cidrs.size() > 2 || !usable || same_family) {
    return std::nullopt;
  }
  const MacAddress mac = reference_mac(pod_cidrs[0], *overlay_around(config, pod_cidrs[0]));
  return Claim{.node = node.name,
               .uid = node.uid,
               .created_s = node.created_s,
               .certain = certain,
               .pod_cidrs = std::move(pod_cidrs),
               .mac = mac,
               .vtep = vtep_of(config, node)};
}

Holdings settle(std::vector<Claim> claims) {
  std::stable_sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
    return std::tie(a.created_s, a.uid, a.node) < std::tie(b.created_s, b.uid, b.node);
  });
  const Rivals rivals = rivals_among(claims);
  enum class Standing : std::uint8_t { Lost, Possible, Won };
  std::vector<Standing> standing(claims.size(), Standing::Lost);
  Holdings holdings;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const auto older = [&](Standing wanted) {
      return std::any_of(rivals[i].begin(), rivals[i].end(),
                         [&](std::size_t other) { return standing[other] == wanted; });
    };
    if (older(Standing::Won)) {
      continue;
    }
    const bool certain = claims[i].certain && !older(Standing::Possible);
    standing[i] = certain ? Standing::Won : Standing::Possible;
    for (const IpPrefix& pod_cidr : claims[i].pod_cidrs) {
      if (claims[i].vtep) {
        holdings[pod_cidr].push_back(Holder{.owner = {.node = claims[i].node,
                                                      .uid = claims[i].uid,
                                                      .vtep = *claims[i].vtep,
                                                      .mac = claims[i].mac},
                                            .certain = certain});
      }
    }
  }
  return holdings;
}

}  // namespace vxmesh
