// IP addresses of both families, as values.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace vxmesh {

enum class Family : std::uint8_t { V4, V6 };

[[nodiscard]] std::string format(Family family);

// The number of bits in an address of the family: 32 or 128.
[[nodiscard]] constexpr std::uint8_t address_bits(Family family) {
  return family == Family::V4 ? 32 : 128;
}

// An IPv4 or IPv6 address. Default: 0.0.0.0. Order: IPv4 before IPv6, then numerically.
class IpAddress {
 public:
  constexpr IpAddress() = default;

  // `bits` is in host order: 0x0a000001 is 10.0.0.1.
  [[nodiscard]] static constexpr IpAddress v4(std::uint32_t bits) {
    IpAddress address;
    for (unsigned i = 0; i < 4; ++i) {
      address.bytes_[i] = static_cast<std::uint8_t>(bits >> (24U - 8U * i));
    }
    return address;
  }
  // `bytes` is in network order.
  [[nodiscard]] static constexpr IpAddress v6(const std::array<std::uint8_t, 16>& bytes) {
    IpAddress address;
    address.family_ = Family::V6;
    address.bytes_ = bytes;
    return address;
  }
  // Accepts what inet_pton accepts: no zones, no leading zeros, no short forms of IPv4.
  [[nodiscard]] static Result<IpAddress> parse(std::string_view text);

  [[nodiscard]] constexpr Family family() const { return family_; }
  // Network order; an IPv4 address is in the first four, the rest is zero.
  [[nodiscard]] constexpr const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  // Host order; IPv4 only.
  [[nodiscard]] std::uint32_t v4_bits() const;

  // True if it can be the address of one host: not unspecified (all of 0.0.0.0/8), loopback,
  // multicast, link-local, IPv4 broadcast or class E (240.0.0.0/4), and not an IPv4-mapped IPv6
  // one.
  [[nodiscard]] bool is_host_unicast() const;
  [[nodiscard]] bool is_multicast() const;
  // fe80::/10 (RFC 4291) and 169.254.0.0/16 (RFC 3927).
  [[nodiscard]] bool is_link_local() const;

  // By family, then as the numbers that they are in network order: two words, because addresses are
  // compared more often than anything else is done with them.
  friend constexpr std::strong_ordering operator<=>(const IpAddress& a, const IpAddress& b) {
    if (a.family_ != b.family_) {
      return a.family_ <=> b.family_;
    }
    const std::strong_ordering high = a.word(0) <=> b.word(0);
    return high != 0 ? high : a.word(8) <=> b.word(8);
  }
  friend constexpr bool operator==(const IpAddress& a, const IpAddress& b) {
    return (a <=> b) == 0;
  }

 private:
  // Eight bytes from `begin` on, the first the most significant. Written out, because g++ 12 makes
  // one load of that, but not of a loop.
  [[nodiscard]] constexpr std::uint64_t word(std::size_t begin) const {
    const std::uint8_t* const at = bytes_.data() + begin;
    return std::uint64_t{at[0]} << 56U | std::uint64_t{at[1]} << 48U | std::uint64_t{at[2]} << 40U |
           std::uint64_t{at[3]} << 32U | std::uint64_t{at[4]} << 24U | std::uint64_t{at[5]} << 16U |
           std::uint64_t{at[6]} << 8U | std::uint64_t{at[7]};
  }

  Family family_ = Family::V4;
  std::array<std::uint8_t, 16> bytes_{};
};

[[nodiscard]] std::string format(const IpAddress& address);

}  // namespace vxmesh
