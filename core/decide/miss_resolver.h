// The answer to a miss: the one decision on the path of a first packet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "decide/desired_state.h"
#include "ports/netlink.h"

namespace vxmesh {

enum class MissVerdict : std::uint8_t {
  Answered,
  OtherDevice,  // not our device: somebody else's app_solicit
  OutsideOverlay,
  OwnPodCidr,      // ours: local pods are on the bridge
  UnknownPodCidr,  // in the overlay, but in no known node's PodCIDR
};

[[nodiscard]] std::string format(MissVerdict verdict);  // "answered", ...: metric labels

struct MissAnswer {
  MissVerdict verdict = MissVerdict::UnknownPodCidr;
  std::optional<Neighbour> neighbour;  // present iff Answered
};

// Longest-prefix match over the peers' PodCIDRs, whatever their lengths: O(log n).
[[nodiscard]] MissAnswer resolve_miss(const OverlayConfig& config, const Self& self,
                                      const Peers& peers, IfIndex device, const Miss& miss);

}  // namespace vxmesh
