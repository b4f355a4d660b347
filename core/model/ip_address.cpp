#include "model/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace vxmesh {

std::string format(Family family) {
  return family == Family::V4 ? "IPv4" : "IPv6";
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string terminated(
      text);  // inet_pton wants a C string; an inner NUL must not cut it short
  std::array<std::uint8_t, 16> bytes{};
  if (terminated.find('\0') == std::string::npos) {
    if (inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1) {
      IpAddress address;
      address.bytes_ = bytes;
      return address;
    }
    if (inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1) {
      return v6(bytes);
    }
  }
  return fail(ErrorCode::InvalidInput, "'" + terminated + "' is not an IP address");
}

bool IpAddress::is_multicast() const {
  return family_ == Family::V4 ? (bytes_[0] & 0xf0U) == 0xe0U : bytes_[0] == 0xffU;
}

bool IpAddress::is_link_local() const {
  return family_ == Family::V4 ? bytes_[0] == 169 && bytes_[1] == 254
                               : bytes_[0] == 0xfeU && (bytes_[1] & 0xc0U) == 0x80U;
}

bool IpAddress::is_host_unicast() const {
  if (is_multicast() || is_link_local()) {
    return false;
  }
  if (family_ == Family::V4) {
    return bytes_[0] != 0 && bytes_[0] != 127 && bytes_[0] < 240;
  }
  // The first 80 bits are zero for ::, ::1, IPv4-compatible (RFC 4291, deprecated) and IPv4-mapped.
  return !std::all_of(bytes_.begin(), bytes_.begin() + 10, [](std::uint8_t b) { return b == 0; });
}

std::string format(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = address.family() == Family::V4 ? AF_INET : AF_INET6;
  const char* written = inet_ntop(family, address.bytes().data(), text.data(), text.size());
  check(written != nullptr, "inet_ntop has room for every address");
  return written;
}

}  // namespace vxmesh
