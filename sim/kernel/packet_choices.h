// What Linux chooses freely in the packets that it makes.
#pragma once

#include "sim/kernel/packet.h"

namespace vxmesh {

// The ports that sockets without one get, and the tunnel by a hash of the inner flow
// (net.ipv4.ip_local_port_range).
inline constexpr std::uint16_t kFirstFreePort = 32768;
inline constexpr std::uint16_t kLastFreePort = 60999;

// The frame with the choices that the fake makes: IPv4 identification and IPv6 flow label zero, the
// first of the free ports as the source port of UDP; in tunnels too, and in packets that ICMP
// errors quote whole. Frames that differ in nothing else become equal.
[[nodiscard]] EthernetFrame without_choices(EthernetFrame frame);

// True of what the kernel says in its own time, in tunnels too: which groups a device listens to
// (IGMP, MLD), and of IPv6 whether there is a router and whether an address is taken. The fake says
// none of it.
[[nodiscard]] bool is_unasked(const EthernetFrame& frame);

}  // namespace vxmesh
