// What a call on the neighbour table makes happen outside of it, as values, in the kernel's order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "base/strong.h"
#include "sim/kernel/record.h"

namespace vxmesh {

struct IpPacket;  // sim/kernel/packet.h

// One of the network namespaces of a host.
using NamespaceId = Strong<struct NamespaceIdTag, std::uint32_t>;

// A packet as the queue of an unresolved neighbour sees it.
struct QueuedPacket {
  std::uint64_t truesize = 0;  // skb->truesize: what it costs the queue
  std::shared_ptr<const IpPacket> packet;

  friend bool operator==(const QueuedPacket&, const QueuedPacket&) = default;
};

// An ARP request or a neighbour solicitation is to be sent (arp_solicit, ndisc_solicit).
struct Solicitation {
  IfIndex device;
  IpAddress target;
  std::optional<MacAddress> to;  // absent: broadcast, or the target's solicited-node group
  // The packet that came last, if one waits: its source may become the sender's address.
  std::shared_ptr<const IpPacket> because_of;

  friend bool operator==(const Solicitation&, const Solicitation&) = default;
};

// A packet that waited is to be sent.
struct ReleasedPacket {
  IfIndex device;
  IpAddress neighbour;
  MacAddress to;
  QueuedPacket packet;

  friend bool operator==(const ReleasedPacket&, const ReleasedPacket&) = default;
};

// A packet that waited never leaves.
struct LostPacket {
  IfIndex device;
  IpAddress neighbour;
  QueuedPacket packet;
  bool reported = false;  // its sender is told: host unreachable (arp_error_report)

  friend bool operator==(const LostPacket&, const LostPacket&) = default;
};

struct NeighbourEffect {
  NamespaceId where;
  std::variant<Notification, Solicitation, ReleasedPacket, LostPacket> what;

  friend bool operator==(const NeighbourEffect&, const NeighbourEffect&) = default;
};

using NeighbourEffects = std::vector<NeighbourEffect>;

}  // namespace vxmesh
