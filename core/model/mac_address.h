// Ethernet addresses, and the one that encodes a node's PodCIDR.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/byte_order.h"
#include "base/result.h"
#include "model/ip_prefix.h"

namespace vxmesh {

// Bytes in transmission order.
struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};

  // "00:53:64:60:02:00", hexadecimal of either case.
  [[nodiscard]] static Result<MacAddress> parse(std::string_view text);

  // The six bytes as one number, the first the most significant.
  [[nodiscard]] constexpr std::uint64_t bits() const {
    const auto parts = std::bit_cast<std::array<std::uint16_t, 3>>(bytes);
    return std::uint64_t{network_order(parts[0])} << 32U |
           std::uint64_t{network_order(parts[1])} << 16U | network_order(parts[2]);
  }

  // As numbers: a comparison of six bytes is a call of memcmp.
  friend constexpr std::strong_ordering operator<=>(const MacAddress& a, const MacAddress& b) {
    return a.bits() <=> b.bits();
  }
  friend constexpr bool operator==(const MacAddress& a, const MacAddress& b) {
    return a.bits() == b.bits();
  }
};

[[nodiscard]] std::string format(const MacAddress& mac);

// The MAC address of the VTEP that owns `pod_cidr`.
//
// IPv4: 00:53 and the four bytes of the base address, so 100.96.2.0/24 gives 00:53:64:60:02:00.
// IPv6: 02:53 and the 32 bits that follow `overlay`'s prefix.
// Two PodCIDRs that do not overlap never share a MAC, given that an IPv6 one is at most 32 bits
// longer than the overlay (decide/node_cache rejects others). Requires: `overlay` contains
// `pod_cidr`.
[[nodiscard]] MacAddress vtep_mac(const IpPrefix& pod_cidr, const IpPrefix& overlay);

}  // namespace vxmesh
