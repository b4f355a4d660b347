#include "model/ip_prefix.h"

#include <array>
#include <charconv>

#include "base/check.h"

namespace vxmesh {
namespace {

// `address` with every bit behind the first `length` set to `bit`.
IpAddress fill_host_bits(const IpAddress& address, unsigned length, bool bit) {
  if (address.family() == Family::V4) {
    const auto host = static_cast<std::uint32_t>(std::uint64_t{0xffffffffU} >> length);
    return IpAddress::v4(bit ? address.v4_bits() | host : address.v4_bits() & ~host);
  }
  std::array<std::uint8_t, 16> bytes = address.bytes();
  for (unsigned i = length / 8; i < bytes.size(); ++i) {
    const unsigned kept = i == length / 8 ? length % 8 : 0U;
    const auto host_mask = static_cast<std::uint8_t>(0xffU >> kept);
    bytes[i] = static_cast<std::uint8_t>(bit ? bytes[i] | host_mask : bytes[i] & ~host_mask);
  }
  return IpAddress::v6(bytes);
}

}  // namespace

Result<IpPrefix> IpPrefix::make(const IpAddress& base, std::uint8_t length) {
  if (length > address_bits(base.family())) {
    return fail(ErrorCode::InvalidInput, "prefix length " + std::to_string(length) + " is over " +
                                             std::to_string(address_bits(base.family())) + " in '" +
                                             format(base) + "/" + std::to_string(length) + "'");
  }
  const IpPrefix canonical = containing(base, length);
  if (canonical.base() != base) {
    return fail(ErrorCode::InvalidInput, "'" + format(base) + "/" + std::to_string(length) +
                                             "' has host bits set; the prefix is " +
                                             format(canonical));
  }
  return canonical;
}

Result<IpPrefix> IpPrefix::parse(std::string_view text) {
  const auto malformed = [&] {
    return fail(ErrorCode::InvalidInput,
                "'" + std::string(text) + "' is not a prefix such as 100.96.2.0/24");
  };
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return malformed();
  }
  const Result<IpAddress> base = IpAddress::parse(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  if (!base || digits.empty() || (digits.size() > 1 && digits.front() == '0')) {
    return malformed();
  }
  std::uint8_t length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return malformed();
  }
  return make(*base, length);
}

IpPrefix IpPrefix::containing(const IpAddress& address, std::uint8_t length) {
  check(length <= address_bits(address.family()), "a prefix is no longer than its address");
  return IpPrefix(fill_host_bits(address, length, false), length);
}

IpAddress IpPrefix::last() const {
  return fill_host_bits(base_, length_, true);
}

bool IpPrefix::contains(const IpAddress& address) const {
  return address.family() == family() && fill_host_bits(address, length_, false) == base_;
}

bool IpPrefix::contains(const IpPrefix& other) const {
  return other.length_ >= length_ && contains(other.base_);
}

bool IpPrefix::overlaps(const IpPrefix& other) const {
  return contains(other) || other.contains(*this);
}

std::string format(const IpPrefix& prefix) {
  return format(prefix.base()) + "/" + std::to_string(prefix.length());
}

}  // namespace vxmesh
