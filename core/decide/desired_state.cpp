#include "decide/desired_state.h"

#include <algorithm>

#include "base/check.h"
#include "model/ownership.h"

namespace vxmesh {
namespace {

// What the kernel makes of an IPv6 route without a metric (IP6_RT_PRIO_USER, net/ip6_route.h).
constexpr std::uint32_t kDefaultIpv6Metric = 1024;

// The least MTU that IPv4 allows a link (RFC 791); the kernel refuses less.
constexpr std::uint32_t kLeastMtu = 68;

// Three tries, one second apart (retrans_time_ms), so that a miss outlives a restart of the agent;
// no ARP or ND request ever enters the tunnel.
constexpr NeighbourParameters kOnMissParameters{
    .app_solicit = 3, .ucast_solicit = 0, .mcast_solicit = 0, .mcast_resolicit = 0};

Link desired_device(const OverlayConfig& config, const Self& self, std::uint32_t underlay_mtu) {
  const std::uint32_t room = encapsulation_bytes(config.underlay);
  return Link{.index = {},
              .name = config.device,
              .mac = self.mac,
              .mtu = config.mtu.value_or(std::max(underlay_mtu, kLeastMtu + room) - room),
              .up = true,
              .no_arp = false,
              .group = kOwnLinkGroup,
              .kind = "vxlan",
              .master = std::nullopt,
              .vxlan = VxlanLink{.vni = config.vni,
                                 .port = config.port,
                                 .local = self.vtep,
                                 .learning = false,
                                 .external = false}};
}

// The base address of an own PodCIDR. IPv4 carries the overlay's mask, but makes no route of it;
// with that mask an IPv6 address would add an anycast address of the whole overlay.
IfAddress base_address(const IpPrefix& pod_cidr, const IpPrefix& overlay) {
  const bool v4 = pod_cidr.family() == Family::V4;
  return IfAddress{.device = {},
                   .address = pod_cidr.base(),
                   .length = v4 ? overlay.length() : address_bits(Family::V6),
                   .no_prefix_route = true,
                   .scope = 0};
}

Route refusal(const IpPrefix& destination) {
  return Route{.destination = destination,
               .metric = kRouteMetricLast,
               .table = kRouteTableMain,
               .type = RouteType::Unreachable,
               .scope = 0,
               .protocol = kOwnProtocol,
               .device = std::nullopt,
               .gateway = std::nullopt,
               .onlink = false,
               .preferred_source = std::nullopt};
}

// Our own Node is none by its MAC.
bool is_peer(const Self& self, const IpPrefix& pod_cidr, const Owner& owner) {
  const bool inside_own = std::any_of(self.pod_cidrs.begin(), self.pod_cidrs.end(),
                                      [&](const IpPrefix& own) { return own.contains(pod_cidr); });
  return owner.mac != self.mac && !inside_own;
}

void erase_peer(DesiredState& desired, const IpPrefix& pod_cidr) {
  const auto peer = desired.peers.find(pod_cidr);
  if (peer == desired.peers.end()) {
    return;
  }
  desired.vteps.erase({peer->second.mac, pod_cidr});
  desired.peers.erase(peer);
}

Peer peer_of(const Owner& owner) {
  return Peer{.node = owner.node, .mac = owner.mac, .vtep = owner.vtep};
}

}  // namespace

const Peers::value_type* find_peer(const Peers& peers, const IpAddress& address) {
  // No two keys overlap, so only the last one that does not begin behind the address can have it.
  const auto next =
      peers.upper_bound(IpPrefix::containing(address, address_bits(address.family())));
  if (next == peers.begin()) {
    return nullptr;
  }
  const Peers::value_type& candidate = *std::prev(next);
  return candidate.first.contains(address) ? &candidate : nullptr;
}

const Peers::value_type* find_peer(const DesiredState& desired, const MacAddress& mac) {
  const auto vtep = desired.vteps.lower_bound({mac, IpPrefix{}});
  const bool found = vtep != desired.vteps.end() && vtep->first == mac;
  return found ? &*desired.peers.find(vtep->second) : nullptr;
}

Route peer_route(const IpPrefix& pod_cidr, IfIndex device) {
  const bool v4 = pod_cidr.family() == Family::V4;
  return Route{.destination = pod_cidr,
               .metric = v4 ? 0 : kDefaultIpv6Metric,
               .table = kRouteTableMain,
               .type = RouteType::Unicast,
               .scope = v4 ? kScopeLink : std::uint8_t{0},
               .protocol = kOwnProtocol,
               .device = device,
               .gateway = std::nullopt,
               .onlink = false,
               .preferred_source = std::nullopt};
}

FdbEntry peer_fdb(const Peer& peer, IfIndex device) {
  return FdbEntry{.device = device,
                  .mac = peer.mac,
                  .dst = peer.vtep,
                  .state = kNudPermanent,
                  .flags = kNtfSelf};
}

Neighbour on_demand_neighbour(const IpAddress& address, const Peer& peer, IfIndex device) {
  return Neighbour{.device = device,
                   .address = address,
                   .lladdr = peer.mac,
                   .state = kNudNoarp,
                   .flags = kNtfExtLearned,
                   .protocol = kOwnProtocol};
}

DesiredState desired_state(const OverlayConfig& config, const Self& self,
                           const std::map<IpPrefix, Owner>& owners, std::uint32_t underlay_mtu) {
  DesiredState desired;
  desired.overlay = config.cidrs;
  desired.device = desired_device(config, self, underlay_mtu);
  for (const IpPrefix& overlay : config.cidrs) {
    desired.refusals.insert(refusal(overlay));
  }
  for (const IpPrefix& own : self.pod_cidrs) {
    const IpPrefix* overlay = overlay_of(config, own);
    check(overlay != nullptr, "an own PodCIDR lies in the overlay");
    desired.parameters[own.family()] = kOnMissParameters;
    desired.addresses.insert(base_address(own, *overlay));
    desired.refusals.insert(refusal(own));
  }
  for (const auto& [pod_cidr, owner] : owners) {
    if (is_peer(self, pod_cidr, owner)) {
      // In order; that of IPv4 MACs is the same.
      desired.peers.emplace_hint(desired.peers.end(), pod_cidr, peer_of(owner));
      desired.vteps.emplace_hint(desired.vteps.end(), owner.mac, pod_cidr);
    }
  }
  return desired;
}

void update_peers(DesiredState& desired, const Self& self, const std::map<IpPrefix, Owner>& owners,
                  const std::set<IpPrefix>& changed) {
  for (const IpPrefix& pod_cidr : changed) {
    erase_peer(desired, pod_cidr);
    const auto owner = owners.find(pod_cidr);
    if (owner != owners.end() && is_peer(self, pod_cidr, owner->second)) {
      desired.peers.emplace(pod_cidr, peer_of(owner->second));
      desired.vteps.emplace(owner->second.mac, pod_cidr);
    }
  }
}

}  // namespace vxmesh
