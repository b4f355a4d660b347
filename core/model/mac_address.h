// Ethernet addresses, and the one that encodes a node's PodCIDR.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/ip_prefix.h"

namespace vxmesh {

// Bytes in transmission order.
struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};

  // "00:53:64:60:02:00", hexadecimal of either case.
  [[nodiscard]] static Result<MacAddress> parse(std::string_view text);

  // As the numbers that they are in transmission order: one word.
  friend constexpr std::strong_ordering operator<=>(const MacAddress& a, const MacAddress& b) {
    return a.word() <=> b.word();
  }
  friend constexpr bool operator==(const MacAddress& a, const MacAddress& b) {
    return a.word() == b.word();
  }

  // The first byte is the most significant of the six. Written out, as in ip_address.h.
  [[nodiscard]] constexpr std::uint64_t word() const {
    const std::uint32_t high = std::uint32_t{bytes[0]} << 24U | std::uint32_t{bytes[1]} << 16U |
                               std::uint32_t{bytes[2]} << 8U | std::uint32_t{bytes[3]};
    const std::uint32_t low = std::uint32_t{bytes[4]} << 8U | std::uint32_t{bytes[5]};
    return std::uint64_t{high} << 16U | low;
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
