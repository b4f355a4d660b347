// Who owns which PodCIDR, written anew from design.md (sections 1 and 6) and the decisions, so that
// it can judge what the agents make of the same Nodes. Slow and simple on purpose.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/mac_address.h"
#include "model/node.h"
#include "model/vni.h"

namespace vxmesh {

// The overlay as every agent of the cluster is configured.
struct ReferenceConfig {
  std::vector<IpPrefix> overlay;  // disjoint
  std::string device = "vxlan1";
  Vni vni{1};
  std::uint16_t port = 4789;
  Family underlay = Family::V4;      // of the node addresses that carry the tunnel
  std::optional<std::uint32_t> mtu;  // of the device; absent: follows the underlay's
};

struct ReferenceOwner {
  std::string node;
  std::string uid;
  IpAddress vtep;
  MacAddress mac;

  friend auto operator<=>(const ReferenceOwner&, const ReferenceOwner&) = default;
};

// One who owns a PodCIDR, or may: an agent that knew a Node before it became unreadable goes on
// with what it knew, and one that started later knows nothing (decision 6). What such a Node said,
// and whatever depends on it, is possible and not certain.
struct Holder {
  ReferenceOwner owner;
  bool certain = true;

  friend auto operator<=>(const Holder&, const Holder&) = default;
};

// PodCIDR -> who holds it. At most one holder is certain, and then there is no other.
using Holdings = std::map<IpPrefix, std::vector<Holder>>;

// What a Node with usable PodCIDRs asks for.
struct Claim {
  std::string node;
  std::string uid;
  std::int64_t created_s = 0;
  bool certain = true;              // false: an agent need not know of it
  std::vector<IpPrefix> pod_cidrs;  // one or two, IPv4 first
  MacAddress mac;
  std::optional<IpAddress> vtep;  // absent: it can win, but not be reached

  friend bool operator==(const Claim&, const Claim&) = default;
};

// 00:53 and the base address of an IPv4 PodCIDR, 02:53 and the 32 bits behind the overlay's prefix
// of an IPv6 one. Requires: the overlay contains it.
[[nodiscard]] MacAddress reference_mac(const IpPrefix& pod_cidr, const IpPrefix& overlay);

// Nothing if a PodCIDR is missing, is bad, or is the second of its family.
[[nodiscard]] std::optional<Claim> claim_of(const ReferenceConfig& config, const Node& node,
                                            bool certain = true);

// In the order of (creation, uid) a claim wins unless one that has won already stands in its way.
// Claims of the same Node are what it may have said at different times: no rivals.
[[nodiscard]] Holdings settle(std::vector<Claim> claims);

}  // namespace vxmesh
