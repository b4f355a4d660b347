// An IP prefix (CIDR) without host bits.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/ip_address.h"

namespace vxmesh {

// Invariant: no bit of `base` behind `length` is set. Order: by base, then the shorter (wider)
// first, so that in an ordered container a prefix comes right before everything that it contains.
class IpPrefix {
 public:
  // 0.0.0.0/0
  constexpr IpPrefix() = default;

  // `length` at most 32 or 128; a set host bit is an error that names the corrected prefix.
  [[nodiscard]] static Result<IpPrefix> make(const IpAddress& base, std::uint8_t length);
  // "100.96.2.0/24": address, slash, decimal length without sign or leading zeros.
  [[nodiscard]] static Result<IpPrefix> parse(std::string_view text);
  // The prefix of `length` bits that contains `address`.
  [[nodiscard]] static IpPrefix containing(const IpAddress& address, std::uint8_t length);

  [[nodiscard]] constexpr Family family() const { return base_.family(); }
  [[nodiscard]] constexpr const IpAddress& base() const { return base_; }
  [[nodiscard]] constexpr std::uint8_t length() const { return length_; }
  // The highest address of the prefix.
  [[nodiscard]] IpAddress last() const;

  [[nodiscard]] bool contains(const IpAddress& address) const;
  // True for equal prefixes too.
  [[nodiscard]] bool contains(const IpPrefix& other) const;
  // True if they share an address, which for prefixes means that one contains the other.
  [[nodiscard]] bool overlaps(const IpPrefix& other) const;

  friend constexpr auto operator<=>(const IpPrefix&, const IpPrefix&) = default;

 private:
  constexpr IpPrefix(const IpAddress& base, std::uint8_t length) : base_(base), length_(length) {}

  IpAddress base_;
  std::uint8_t length_ = 0;
};

[[nodiscard]] std::string format(const IpPrefix& prefix);

}  // namespace vxmesh
