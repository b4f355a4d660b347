// What the kernel of a node must hold, as a function of what the API holds and of nothing else.
//
// Written from design.md and the decisions, not from the agent's code, and uses none of it: an
// oracle that shares code with what it judges proves nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/kernel_state.h"
#include "ports/kubernetes.h"
#include "sim/check/settlement.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {

// What the API holds, by name.
using ApiNodes = std::map<std::string, NodeOrRejection>;

// Our marks in the kernel: the link group of the device, and the protocol of routes and neighbours.
inline constexpr std::uint32_t kReferenceLinkGroup = 0x76786d;
inline constexpr std::uint8_t kReferenceProtocol = 118;

// PodCIDR -> owner, for those who can be typed. No two PodCIDRs overlap.
[[nodiscard]] std::map<IpPrefix, ReferenceOwner> reference_owners(const ReferenceConfig& config,
                                                                  const ApiNodes& nodes);

// The same with those that cannot be typed. `remembered` is what they said when they still could
// be: every content that an agent may hold, normally the last one of that name and uid. Contents of
// a name that can be typed now, or is gone, do not count.
[[nodiscard]] Holdings reference_holdings(const ReferenceConfig& config, const ApiNodes& nodes,
                                          const std::vector<Node>& remembered);

// Whether a row has to be there, or may be there or not.
enum class Duty : std::uint8_t { Allowed, Required };

// Rows here carry IfIndex{0} where the device's index belongs.
struct ReferenceState {
  std::string node;
  Link device;
  std::set<IfAddress> addresses;
  std::map<Route, Duty> routes;
  std::map<FdbEntry, Duty> fdb;
  // Remote PodCIDR -> the MACs that a neighbour in it may have.
  std::map<IpPrefix, std::set<MacAddress>> neighbour_macs;
  std::set<Family> families;   // of the own PodCIDRs: whose probe parameters count
  std::uint8_t rp_filter = 2;  // loose (RFC 3704)
};

// `underlay_mtu`: the smallest of the links that carry the tunnel, bytes. Nothing while the own
// Node is missing, cannot be typed, or has no usable PodCIDR or address: nothing is owed then.
[[nodiscard]] std::optional<ReferenceState> reference_state(const ReferenceConfig& config,
                                                            const ApiNodes& nodes,
                                                            const std::vector<Node>& remembered,
                                                            const std::string& self,
                                                            std::uint32_t underlay_mtu);
// The same for many nodes of one cluster: `holdings` are computed once.
[[nodiscard]] std::optional<ReferenceState> reference_state(const ReferenceConfig& config,
                                                            const Holdings& holdings,
                                                            const Node& self,
                                                            std::uint32_t underlay_mtu);

// One sentence for each row that is missing, wrong, or asked for by nobody: node, table and row.
// Foreign rows and what the kernel makes by itself do not count; a route may be missing where a
// foreign one has its place, since that is never taken. Empty: the kernel conforms.
[[nodiscard]] std::vector<std::string> deviations(const ReferenceState& reference,
                                                  const NamespaceState& kernel);

}  // namespace vxmesh
