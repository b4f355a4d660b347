// What becomes of a packet to a pod, row by row, over snapshots of the nodes' kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "explain/snapshot.h"

namespace vxmesh {

struct WalkedPacket {
  std::string from_node;  // whose pod, or which itself, sends it
  IpAddress source;
  IpAddress destination;               // of the family of `source`, not multicast
  std::optional<std::uint32_t> bytes;  // of the IP packet, which must not be fragmented; absent:
                                       // it fits everywhere
};

enum class WalkVerdict : std::uint8_t {
  Delivered,       // to an address of `node`, or out of a device to its pods
  WrongNode,       // likewise, but another node's PodCIDR, or none, holds the address
  LeftOverlay,     // goes out of a device that the walk cannot follow
  Unresolved,      // the neighbour has no MAC: the packet waits for an answer
  Refused,         // by a route that is unreachable, prohibit or blackhole
  NoRoute,         // in the overlay or, of the outer packet, in the underlay
  NoFdbEntry,      // the neighbour's MAC has no destination
  DroppedAtEncap,  // the tunnel's device cannot send the outer packet
  DroppedAtDecap,  // no host, device or MAC takes the outer packet or the frame in it
  DeviceDown,      // a route leads to a device that is down or not there
  MtuTooSmall,     // the packet does not fit the next device
  Loop,            // comes back to a node where it has been
};

// Where a row was looked up. Underlay: the routes again, for the outer packet.
enum class WalkTable : std::uint8_t { Routes, Neighbours, Fdb, Underlay, Tunnels };

struct WalkHop {
  std::string node;
  WalkTable table = WalkTable::Routes;
  std::string asked;   // what was looked up
  std::string found;   // the row as its format() says it; empty if there is none
  std::string device;  // the name of the row's device; empty if it has none
  std::string writer;  // who wrote the row (explain/writer.h); empty if there is none

  friend bool operator==(const WalkHop&, const WalkHop&) = default;
};

// The first row, or missing row, that is not as it has to be for the packet to reach its pod.
struct WrongHop {
  std::size_t hop = 0;  // into PacketWalk::hops
  std::string what;     // a sentence
  std::string writer;   // of the row; empty if it is missing

  friend bool operator==(const WrongHop&, const WrongHop&) = default;
};

struct PacketWalk {
  WalkedPacket packet;
  std::vector<WalkHop> hops;  // never empty
  WalkVerdict verdict = WalkVerdict::NoRoute;
  std::string node;    // where it ended
  std::string reason;  // a sentence
  // Also of packets that are delivered, by a detour; absent if all is as it should be, also where
  // that is to refuse an address that no snapshot's PodCIDR holds.
  std::optional<WrongHop> first_wrong;
};

// Contract: pure; any rows may come, also contradictory ones. Every node is passed at most once, so
// a walk has at most five hops a snapshot, and one.
// Requires: a snapshot of `packet.from_node`.
// Not considered, because snapshots do not hold it: firewalls, sysctls (forwarding, reverse path
// filter), policy routing, neighbours of devices other than the overlay's, what the underlay does
// with the outer packet, bridges and pods behind the last route, and that IPv4 takes a route by a
// gateway that is the host's own address for one without. If several snapshots say that they have
// an underlay address, the first is where the underlay delivers.
[[nodiscard]] PacketWalk walk(const WalkedPacket& packet, std::span<const HostSnapshot> hosts);

// "delivered", "no FDB entry": as it stands in text and in counters.
[[nodiscard]] std::string format(WalkVerdict verdict);
[[nodiscard]] std::string format(WalkTable table);

// Like traceroute: what is sent, a line for each hop, the first wrong one, and last the verdict.
// Ends without a newline.
[[nodiscard]] std::string format(const PacketWalk& walk);

}  // namespace vxmesh
