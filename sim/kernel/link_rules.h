// What the kernel asks of links, and what several of its files know of them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "sim/kernel/kernel_message.h"
#include "sim/kernel/request.h"

namespace vxmesh {

inline constexpr std::uint32_t kMinMtu = 68;         // ETH_MIN_MTU
inline constexpr std::uint32_t kMaxMtu = 65535;      // ETH_MAX_MTU
inline constexpr std::uint32_t kMinIpv6Mtu = 1280;   // IPV6_MIN_MTU
inline constexpr std::uint32_t kEthernetMtu = 1500;  // ETH_DATA_LEN
inline constexpr std::size_t kMaxNameLength = 15;    // IFNAMSIZ - 1

// is_valid_ether_addr
[[nodiscard]] inline bool is_unicast(const MacAddress& mac) {
  return mac != MacAddress{} && (mac.bytes[0] & 1U) == 0;
}

// What the kernel reads of a link-layer address; it has at least six bytes.
[[nodiscard]] inline MacAddress first_six(const rtnl::LinkLayer& address) {
  MacAddress mac;
  std::copy_n(address.bytes.begin(), mac.bytes.size(), mac.bytes.begin());
  return mac;
}

// IFLA_INFO_DATA is in the message: a vxlan's attributes, unless it is of another kind, or the
// other end of a veth.
[[nodiscard]] bool has_info_data(const rtnl::NewLink& request);

// What an encapsulated packet needs beyond the inner one: VXLAN_HEADROOM, VXLAN6_HEADROOM.
[[nodiscard]] constexpr std::uint32_t vxlan_headroom(Family underlay) {
  return underlay == Family::V4 ? 50 : 70;
}

// dev_valid_name
[[nodiscard]] bool is_valid_name(const std::string& name);

// rtnl_link_ops->validate of the request's kind; success without one.
[[nodiscard]] OpDone validate_link(const rtnl::NewLink& request);

// dev_validate_mtu
[[nodiscard]] OpDone validate_mtu(std::uint32_t mtu, bool is_loopback);

}  // namespace vxmesh
