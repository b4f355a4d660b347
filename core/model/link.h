// Links (network devices), addresses on them and their parameters, as the kernel reports them.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "base/strong.h"
#include "model/ip_address.h"
#include "model/mac_address.h"
#include "model/vni.h"

namespace vxmesh {

// A device index (ifindex) in one network namespace; 0 is no device.
using IfIndex = Strong<struct IfIndexTag, std::uint32_t>;

// What a vxlan link carries beyond every other link (IFLA_VXLAN_*, linux/if_link.h).
struct VxlanLink {
  Vni vni;
  std::uint16_t port = 0;          // destination UDP port, host order
  std::optional<IpAddress> local;  // source of the outer packets; absent: chosen by the kernel
  bool learning = true;            // the kernel's default is on
  bool external = false;           // IFLA_VXLAN_COLLECT_METADATA: no VNI of its own

  friend auto operator<=>(const VxlanLink&, const VxlanLink&) = default;
};

struct Link {
  IfIndex index;
  std::string name;
  MacAddress mac;
  std::uint32_t mtu = 0;
  bool up = false;          // IFF_UP
  bool no_arp = false;      // IFF_NOARP
  std::uint32_t group = 0;  // IFLA_GROUP
  std::string kind;         // IFLA_INFO_KIND; empty for hardware and loopback
  std::optional<IfIndex> master;
  std::optional<VxlanLink> vxlan;  // present iff kind is "vxlan"

  friend auto operator<=>(const Link&, const Link&) = default;
};

// An address on a link (ifaddrmsg, linux/if_addr.h).
struct IfAddress {
  IfIndex device;
  IpAddress address;
  std::uint8_t length = 0;
  bool no_prefix_route = false;  // IFA_F_NOPREFIXROUTE
  std::uint8_t scope = 0;        // RT_SCOPE_UNIVERSE 0, RT_SCOPE_LINK 253, RT_SCOPE_HOST 254

  friend auto operator<=>(const IfAddress&, const IfAddress&) = default;
};

// Probes that a device sends for neighbours (RTM_SETNEIGHTBL, NDTPA_*; linux/neighbour.h).
struct NeighbourParameters {
  std::uint32_t app_solicit = 0;
  std::uint32_t ucast_solicit = 3;
  std::uint32_t mcast_solicit = 3;
  std::uint32_t mcast_resolicit = 0;

  friend auto operator<=>(const NeighbourParameters&, const NeighbourParameters&) = default;
};

[[nodiscard]] std::string format(const Link& link);
[[nodiscard]] std::string format(const IfAddress& address);

}  // namespace vxmesh
