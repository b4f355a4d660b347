// IP addresses of both families, as values.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/byte_order.h"
#include "base/check.h"
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
  using Bytes = std::array<std::uint8_t, 16>;

 public:
  constexpr IpAddress() = default;

  // `bits` is in host order: 0x0a000001 is 10.0.0.1.
  [[nodiscard]] static constexpr IpAddress v4(std::uint32_t bits) {
    IpAddress address;
    address.bytes_ = std::bit_cast<Bytes>(std::array{network_order(bits), 0U, 0U, 0U});
    return address;
  }
  // `bytes` is in network order.
  [[nodiscard]] static constexpr IpAddress v6(const Bytes& bytes) {
    IpAddress address;
    address.family_ = Family::V6;
    address.bytes_ = bytes;
    return address;
  }
  // Accepts what inet_pton accepts: no zones, no leading zeros, no short forms of IPv4.
  [[nodiscard]] static Result<IpAddress> parse(std::string_view text);

  [[nodiscard]] constexpr Family family() const { return family_; }
  // Network order; an IPv4 address is in the first four, the rest is zero.
  [[nodiscard]] constexpr const Bytes& bytes() const { return bytes_; }
  // Host order; IPv4 only.
  [[nodiscard]] constexpr std::uint32_t v4_bits() const {
    check(family_ == Family::V4, "v4_bits is asked of an IPv4 address only");
    return network_order(std::bit_cast<std::array<std::uint32_t, 4>>(bytes_)[0]);
  }

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
    const Words mine = a.words();
    const Words others = b.words();
    return mine[0] != others[0] ? network_order(mine[0]) <=> network_order(others[0])
                                : network_order(mine[1]) <=> network_order(others[1]);
  }
  friend constexpr bool operator==(const IpAddress& a, const IpAddress& b) {
    return a.family_ == b.family_ && a.words() == b.words();
  }

 private:
  using Words = std::array<std::uint64_t, 2>;

  // As they lie in memory: a loop over the bytes is not made into a load by every compiler.
  [[nodiscard]] constexpr Words words() const { return std::bit_cast<Words>(bytes_); }

  Family family_ = Family::V4;
  Bytes bytes_{};
};

[[nodiscard]] std::string format(const IpAddress& address);

}  // namespace vxmesh
