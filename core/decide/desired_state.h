// What the kernel should hold, as a function of configuration and nodes.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "decide/node_cache.h"
#include "decide/overlay_config.h"
#include "model/kernel_state.h"

namespace vxmesh {

// A remote PodCIDR and where it is.
struct Peer {
  std::string node;
  MacAddress mac;
  IpAddress vtep;

  friend bool operator==(const Peer&, const Peer&) = default;
};

// Remote PodCIDR -> peer. No two keys overlap.
using Peers = std::map<IpPrefix, Peer>;

// The peer whose PodCIDR contains `address`, or null. (Since no two overlap, the one is the
// longest.)
[[nodiscard]] const Peers::value_type* find_peer(const Peers& peers, const IpAddress& address);

// Rows here carry IfIndex{0} where the device's index belongs.
struct DesiredState {
  std::vector<IpPrefix> overlay;                     // as configured
  Link device;                                       // name, MAC, MTU, group, vxlan parameters, up
  std::map<Family, NeighbourParameters> parameters;  // for each family of our PodCIDRs
  std::uint8_t rp_filter = 2;     // loose (RFC 3704): answers may come by another path
  std::set<IfAddress> addresses;  // base address of each own PodCIDR
  std::set<Route> refusals;       // unreachable <overlay> and <own PodCIDR>, last metric, no device
  Peers peers;
  std::set<std::pair<MacAddress, IpPrefix>> vteps;  // MAC of a peer's device, its key in `peers`

  friend bool operator==(const DesiredState&, const DesiredState&) = default;
};

// A PodCIDR of the peer whose vxlan device has that MAC, or null: O(log n).
[[nodiscard]] const Peers::value_type* find_peer(const DesiredState& desired,
                                                 const MacAddress& mac);

// The rows that one peer asks for.
[[nodiscard]] Route peer_route(const IpPrefix& pod_cidr, IfIndex device);
[[nodiscard]] FdbEntry peer_fdb(const Peer& peer, IfIndex device);
// The on-demand neighbour for an address of the peer's: NOARP, EXT_LEARNED, our protocol.
[[nodiscard]] Neighbour on_demand_neighbour(const IpAddress& address, const Peer& peer,
                                            IfIndex device);

// `underlay_mtu`: of the link that holds self.vtep, bytes. A peer PodCIDR that lies inside an own
// one, or whose MAC is ours, is left out: it would pull our own pods' addresses into the tunnel
// (only a node that lost its PodCIDR sees that).
[[nodiscard]] DesiredState desired_state(const OverlayConfig& config, const Self& self,
                                         const std::map<IpPrefix, Owner>& owners,
                                         std::uint32_t underlay_mtu);

// Brings `desired.peers` up to date for the prefixes that changed; equal to desired_state() afresh,
// at the cost of the change.
void update_peers(DesiredState& desired, const Self& self, const std::map<IpPrefix, Owner>& owners,
                  const std::set<IpPrefix>& changed);

}  // namespace vxmesh
