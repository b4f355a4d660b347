#include "sim/kernel/firewall.h"

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace vxmesh {
namespace {

// KUBE-MARK-MASQ's (kube-proxy's default masquerade bit, 14).
constexpr std::uint32_t kMasqueradeMark = 0x4000;

bool contains(const std::vector<IpPrefix>& prefixes, const IpAddress& address) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const IpPrefix& prefix) { return prefix.contains(address); });
}

}  // namespace

bool is_masqueraded(const FirewallPolicy& policy, const LeavingPacket& leaving) {
  const IpPacket& packet = leaving.packet;
  const bool into_tunnel = leaving.device == policy.device;
  if ((leaving.mark & kMasqueradeMark) != 0) {
    return false;
  }
  if (!into_tunnel && udp_destination_port(packet) == policy.tunnel_port) {
    return false;
  }
  const bool has_overlay =
      std::any_of(policy.overlay.begin(), policy.overlay.end(),
                  [&](const IpPrefix& prefix) { return prefix.family() == packet.family(); });
  if (!has_overlay) {
    return false;
  }
  if (contains(policy.own_pod_cidrs, packet.source) &&
      !contains(policy.overlay, packet.destination)) {
    return true;
  }
  return into_tunnel && !contains(policy.overlay, packet.source);
}

IpPacket after_postrouting(const FirewallPolicy& policy, const LeavingPacket& leaving,
                           const IpAddress& source) {
  check(source.family() == leaving.packet.family(), "the new source is of the packet's family");
  IpPacket packet = leaving.packet;
  if (is_masqueraded(policy, leaving)) {
    packet.source = source;
  }
  return packet;
}

}  // namespace vxmesh
