#include "decide/miss_resolver.h"

#include <algorithm>

#include "base/probe.h"

namespace vxmesh {

std::string format(MissVerdict verdict) {
  switch (verdict) {
    case MissVerdict::Answered: return "answered";
    case MissVerdict::OtherDevice: return "other-device";
    case MissVerdict::OutsideOverlay: return "outside-overlay";
    case MissVerdict::OwnPodCidr: return "own-pod-cidr";
    case MissVerdict::UnknownPodCidr: break;
  }
  return "unknown-pod-cidr";
}

MissAnswer resolve_miss(const OverlayConfig& config, const Self& self, const Peers& peers,
                        IfIndex device, const Miss& miss) {
  const auto refuse = [](MissVerdict verdict) {
    return MissAnswer{.verdict = verdict, .neighbour = std::nullopt};
  };
  if (miss.device != device) {
    return refuse(MissVerdict::OtherDevice);
  }
  if (overlay_of(config, miss.address) == nullptr) {
    return refuse(MissVerdict::OutsideOverlay);
  }
  if (std::any_of(self.pod_cidrs.begin(), self.pod_cidrs.end(),
                  [&](const IpPrefix& own) { return own.contains(miss.address); })) {
    return refuse(MissVerdict::OwnPodCidr);
  }
  const Peers::value_type* peer = find_peer(peers, miss.address);
  if (peer == nullptr) {
    PROBE("miss-for-an-address-of-no-node");
    return refuse(MissVerdict::UnknownPodCidr);
  }
  return MissAnswer{.verdict = MissVerdict::Answered,
                    .neighbour = on_demand_neighbour(miss.address, peer->second, device)};
}

}  // namespace vxmesh
