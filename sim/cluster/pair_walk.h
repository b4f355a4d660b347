// What explain says of the packets between two places of a cluster, and whether that is so.
#pragma once

#include <string>

#include "explain/packet_walk.h"
#include "sim/cluster/cluster.h"

namespace vxmesh {

// A packet from a pod of the host to that address, through the kernels as they are now. Requires: a
// host of that name.
[[nodiscard]] PacketWalk walk_pair(const ClusterView& cluster, const std::string& from,
                                   const IpAddress& to);
// Likewise, but with the MAC for which the address has to stand: where its packets would go if the
// host's agent had answered the kernel's question. Absent: the host has no device, or nobody owns
// the address.
[[nodiscard]] std::optional<PacketWalk> walk_resolved_pair(const ClusterView& cluster,
                                                           const std::string& from,
                                                           const IpAddress& to);

// A sentence if walk_pair() does not say what becomes of such a packet; empty: it does. Sends one,
// unless a fault is under way that might take it, and asks connection() then. Not judged is what a
// walk knows nothing of: that the sender's neighbour on the underlay is a machine that had the
// address before. For a cluster that has done its service: all agents are killed, every host gets a
// pod of that address, and 10 ms pass. Requires: a host of that name.
[[nodiscard]] std::string misjudged_pair(Cluster& cluster, const std::string& from,
                                         const IpAddress& to);

}  // namespace vxmesh
