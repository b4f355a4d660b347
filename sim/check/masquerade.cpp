#include "sim/check/masquerade.h"

#include <algorithm>

namespace vxmesh {
namespace {

bool lies_in(const std::vector<IpPrefix>& prefixes, const IpAddress& address) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const IpPrefix& prefix) { return prefix.contains(address); });
}

}  // namespace

bool must_be_masqueraded(const ReferenceConfig& config, const std::vector<IpPrefix>& own_pod_cidrs,
                         const Departure& departure) {
  const bool into_tunnel = departure.device == config.device;
  const bool is_tunnel = !into_tunnel && departure.udp_port == config.port;
  // A family without an overlay has no pods, and so no business here.
  const bool has_overlay =
      std::any_of(config.overlay.begin(), config.overlay.end(),
                  [&](const IpPrefix& cidr) { return cidr.family() == departure.source.family(); });
  if (departure.marked || is_tunnel || !has_overlay) {
    return false;
  }
  const bool pod_to_outside =
      lies_in(own_pod_cidrs, departure.source) && !lies_in(config.overlay, departure.destination);
  const bool outside_to_pods = into_tunnel && !lies_in(config.overlay, departure.source);
  return pod_to_outside || outside_to_pods;
}

}  // namespace vxmesh
