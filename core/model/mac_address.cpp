#include "model/mac_address.h"

#include <charconv>

#include "base/check.h"

namespace vxmesh {

Result<MacAddress> MacAddress::parse(std::string_view text) {
  MacAddress mac;
  bool well_formed = text.size() == 17;
  for (std::size_t i = 0; well_formed && i < 6; ++i) {
    const char* digits = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, mac.bytes[i], 16);
    well_formed = error == std::errc{} && end == digits + 2 && (i == 5 || digits[2] == ':');
  }
  if (!well_formed) {
    return fail(ErrorCode::InvalidInput, "'" + std::string(text) + "' is not a MAC address");
  }
  return mac;
}

std::string format(const MacAddress& mac) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : mac.bytes) {
    if (!text.empty()) {
      text += ':';
    }
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 0xfU];
  }
  return text;
}

MacAddress vtep_mac(const IpPrefix& pod_cidr, const IpPrefix& overlay) {
  check(overlay.contains(pod_cidr), "a VTEP's PodCIDR lies in the overlay");
  const std::array<std::uint8_t, 16>& base = pod_cidr.base().bytes();
  if (pod_cidr.family() == Family::V4) {
    return MacAddress{{0x00, 0x53, base[0], base[1], base[2], base[3]}};
  }
  MacAddress mac{{0x02, 0x53, 0, 0, 0, 0}};
  for (unsigned i = 0; i < 32; ++i) {
    const unsigned source = overlay.length() + i;
    if (source < 128 && ((unsigned{base[source / 8]} >> (7 - source % 8)) & 1U) != 0) {
      mac.bytes[2 + i / 8] = static_cast<std::uint8_t>(mac.bytes[2 + i / 8] | (1U << (7 - i % 8)));
    }
  }
  return mac;
}

}  // namespace vxmesh
