// The overlay as configured, the same on every node of the cluster.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/ip_prefix.h"
#include "model/vni.h"

namespace vxmesh {

struct OverlayConfig {
  std::vector<IpPrefix> cidrs;  // the overlay and nothing else; disjoint; at least one
  std::string device = "vxlan1";
  Vni vni{1};
  std::uint16_t port = 4789;         // IANA's port for VXLAN (RFC 7348)
  Family underlay = Family::V4;      // of the node addresses that carry the tunnel
  std::optional<std::uint32_t> mtu;  // of the device; absent: underlay MTU - encapsulation
};

// The bytes that VXLAN adds: outer IP 20 or 40, UDP 8, VXLAN 8, inner Ethernet 14 (RFC 7348).
[[nodiscard]] constexpr std::uint32_t encapsulation_bytes(Family underlay) {
  return underlay == Family::V4 ? 50 : 70;
}

// The overlay CIDR that contains `prefix`, or null.
[[nodiscard]] const IpPrefix* overlay_of(const OverlayConfig& config, const IpPrefix& prefix);
[[nodiscard]] const IpPrefix* overlay_of(const OverlayConfig& config, const IpAddress& address);

}  // namespace vxmesh
