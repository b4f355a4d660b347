// What explain says of the packets between two places of a cluster, and whether that is so.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "explain/packet_walk.h"
#include "sim/cluster/cluster.h"

namespace vxmesh {

// What explain says of a packet, and what it cannot know: the faults of the underlay on its way.
struct WalkedPair {
  PacketWalk walk;
  std::string underlay;  // a sentence, on the first that loses the packet, or may; empty: none does

  [[nodiscard]] bool is_wrong() const { return walk.first_wrong || !underlay.empty(); }
};
// The walk, and last the underlay's fault. Ends without a newline.
[[nodiscard]] std::string format(const WalkedPair& walked);

// Through the kernels as `hosts` has them, and the network as it is now.
[[nodiscard]] WalkedPair walk_packet(const Cluster& cluster, const WalkedPacket& packet,
                                     std::span<const HostSnapshot> hosts);
// A packet of so many bytes (if it matters) from a pod of the host to that address, through the
// kernels as they are now. Requires: a host of that name.
[[nodiscard]] WalkedPair walk_pair(const Cluster& cluster, const std::string& from,
                                   const IpAddress& to, std::optional<std::uint32_t> bytes = {});
// Likewise, but with the MAC for which the address has to stand: where its packets would go if the
// host's agent had answered the kernel's question. Absent: the host has no device, or nobody owns
// the address.
[[nodiscard]] std::optional<WalkedPair> walk_resolved_pair(const Cluster& cluster,
                                                           const std::string& from,
                                                           const IpAddress& to,
                                                           std::optional<std::uint32_t> bytes = {});

// A sentence if explain does not say what the kernels do with such a packet; empty: it does. Sends
// one, over a network without faults. Not judged is what a walk knows nothing of: that the sender's
// neighbour on the underlay is a machine that had the address before, and reverse path filters. For
// a cluster that has done its service: all agents are killed, every host gets a pod of that
// address, and 10 ms pass. Requires: a host of that name.
[[nodiscard]] std::string misjudged_pair(Cluster& cluster, const std::string& from,
                                         const IpAddress& to,
                                         std::optional<std::uint32_t> bytes = {});

}  // namespace vxmesh
