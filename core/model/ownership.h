// What is ours in the kernel, readable from the kernel alone; all else is foreign and never
// touched.
#pragma once

#include <cstdint>

#include "model/kernel_state.h"

namespace vxmesh {

// The link group (IFLA_GROUP) that marks our device: "vxm" in ASCII. Unlike an alias it can be
// given in the message that creates the link.
inline constexpr std::uint32_t kOwnLinkGroup = 0x76786d;

// Our rtm_protocol and NDA_PROTOCOL: 'v'. Not assigned in linux/rtnetlink.h or by iproute2's
// rt_protos.
inline constexpr std::uint8_t kOwnProtocol = 118;

// A vxlan in our link group. (Whether its name and parameters are right is another question.)
[[nodiscard]] bool is_owned(const Link& link);

// On our device: all but the link-local address, which the kernel makes.
[[nodiscard]] bool is_owned(const IfAddress& address, IfIndex own_device);

// On our device: all but what the kernel makes (protocol kernel, table local). Without a device:
// those with our protocol.
[[nodiscard]] bool is_owned(const Route& route, IfIndex own_device);

// On our device: all.
[[nodiscard]] bool is_owned(const FdbEntry& entry, IfIndex own_device);

// On our device: all but multicast neighbours and those without a MAC (INCOMPLETE, FAILED, NONE),
// which the kernel makes.
[[nodiscard]] bool is_owned(const Neighbour& neighbour, IfIndex own_device);

}  // namespace vxmesh
