#include "sim/check/reference_model.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/check.h"

namespace vxmesh {
namespace {

// What the kernel makes of an IPv6 route without a metric.
constexpr std::uint32_t kUsualIpv6Metric = 1024;

std::uint32_t device_mtu(const ReferenceConfig& config, std::uint32_t underlay_mtu) {
  constexpr std::uint32_t kLeast = 68;  // of a link that carries IPv4 (RFC 791)
  const std::uint32_t overhead = config.underlay == Family::V4 ? 50 : 70;
  if (config.mtu) {
    return *config.mtu;
  }
  return underlay_mtu < overhead + kLeast ? kLeast : underlay_mtu - overhead;
}

Link device_of(const ReferenceConfig& config, const Claim& self, std::uint32_t underlay_mtu) {
  Link link;
  link.name = config.device;
  link.mac = self.mac;
  link.mtu = device_mtu(config, underlay_mtu);
  link.up = true;
  link.group = kReferenceLinkGroup;
  link.kind = "vxlan";
  link.vxlan =
      VxlanLink{.vni = config.vni, .port = config.port, .local = self.vtep, .learning = false};
  return link;
}

Route unreachable(const IpPrefix& destination) {
  Route route;
  route.destination = destination;
  route.metric = 4294967295U;
  route.type = RouteType::Unreachable;
  route.protocol = kReferenceProtocol;
  return route;
}

// IPv6 routes have no scope.
Route on_link(const IpPrefix& pod_cidr) {
  Route route;
  route.destination = pod_cidr;
  route.metric = pod_cidr.family() == Family::V4 ? 0 : kUsualIpv6Metric;
  route.scope = pod_cidr.family() == Family::V4 ? kScopeLink : std::uint8_t{0};
  route.protocol = kReferenceProtocol;
  route.device = IfIndex{0};
  return route;
}

// The overlay's mask and no route for IPv4; for IPv6 never that mask, which would make an anycast
// address of the whole overlay.
IfAddress base_address(const ReferenceConfig& config, const IpPrefix& pod_cidr) {
  IfAddress address;
  address.address = pod_cidr.base();
  address.length = 128;
  address.no_prefix_route = true;
  if (pod_cidr.family() == Family::V4) {
    for (const IpPrefix& overlay : config.overlay) {
      address.length = overlay.contains(pod_cidr) ? overlay.length() : address.length;
    }
  }
  return address;
}

template <typename Row>
void demand(std::map<Row, Duty>& rows, const Row& row, Duty duty) {
  Duty& known = rows.emplace(row, duty).first->second;
  known = std::max(known, duty);
}

void add_peer(ReferenceState& state, const IpPrefix& pod_cidr, const Holder& holder) {
  const Duty duty = holder.certain ? Duty::Required : Duty::Allowed;
  demand(state.routes, on_link(pod_cidr), duty);
  demand(state.fdb,
         FdbEntry{.device = {},
                  .mac = holder.owner.mac,
                  .dst = holder.owner.vtep,
                  .state = kNudPermanent,
                  .flags = kNtfSelf},
         duty);
  state.neighbour_macs[pod_cidr].insert(holder.owner.mac);
}

}  // namespace

std::map<IpPrefix, ReferenceOwner> reference_owners(const ReferenceConfig& config,
                                                    const ApiNodes& nodes) {
  std::map<IpPrefix, ReferenceOwner> owners;
  for (const auto& [pod_cidr, holders] : reference_holdings(config, nodes, {})) {
    check(holders.size() == 1, "without doubt about a Node a PodCIDR has one owner");
    owners.emplace(pod_cidr, holders.front().owner);
  }
  return owners;
}

Holdings reference_holdings(const ReferenceConfig& config, const ApiNodes& nodes,
                            const std::vector<Node>& remembered) {
  std::vector<Claim> claims;
  const auto add = [&](const Node& node, bool certain) {
    if (std::optional<Claim> claim = claim_of(config, node, certain)) {
      claims.push_back(*std::move(claim));
    }
  };
  for (const auto& [name, object] : nodes) {
    if (const Node* node = std::get_if<Node>(&object)) {
      add(*node, true);
    }
  }
  for (const Node& node : remembered) {
    const auto now = nodes.find(node.name);
    if (now != nodes.end() && std::holds_alternative<NodeRejection>(now->second)) {
      add(node, false);
    }
  }
  return settle(std::move(claims));
}

std::optional<ReferenceState> reference_state(const ReferenceConfig& config, const ApiNodes& nodes,
                                              const std::vector<Node>& remembered,
                                              const std::string& self, std::uint32_t underlay_mtu) {
  const auto own = nodes.find(self);
  const Node* node = own == nodes.end() ? nullptr : std::get_if<Node>(&own->second);
  if (node == nullptr) {
    return std::nullopt;
  }
  return reference_state(config, reference_holdings(config, nodes, remembered), *node,
                         underlay_mtu);
}

std::optional<ReferenceState> reference_state(const ReferenceConfig& config,
                                              const Holdings& holdings, const Node& self,
                                              std::uint32_t underlay_mtu) {
  const std::optional<Claim> own = claim_of(config, self);
  if (!own || !own->vtep) {
    return std::nullopt;
  }
  ReferenceState state;
  state.node = self.name;
  state.device = device_of(config, *own, underlay_mtu);
  for (const IpPrefix& overlay : config.overlay) {
    demand(state.routes, unreachable(overlay), Duty::Required);
  }
  for (const IpPrefix& pod_cidr : own->pod_cidrs) {
    state.families.insert(pod_cidr.family());
    state.addresses.insert(base_address(config, pod_cidr));
    demand(state.routes, unreachable(pod_cidr), Duty::Required);
  }
  for (const auto& [pod_cidr, holders] : holdings) {
    // A node that lost its PodCIDR keeps it local: the winner may have its MAC.
    const bool is_local =
        std::any_of(own->pod_cidrs.begin(), own->pod_cidrs.end(),
                    [&, &inner = pod_cidr](const IpPrefix& mine) { return mine.contains(inner); });
    for (const Holder& holder : holders) {
      if (!is_local && holder.owner.mac != own->mac) {
        add_peer(state, pod_cidr, holder);
      }
    }
  }
  return state;
}

}  // namespace vxmesh
