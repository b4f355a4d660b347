// A Kubernetes Node, reduced to what the overlay reads of it.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "model/ip_address.h"
#include "model/ip_prefix.h"

namespace vxmesh {

// status.addresses[].type; the types without an IP address are not typed.
enum class NodeAddressType : std::uint8_t { InternalIp, ExternalIp };

struct NodeAddress {
  NodeAddressType type = NodeAddressType::InternalIp;
  IpAddress address;

  friend auto operator<=>(const NodeAddress&, const NodeAddress&) = default;
};

// Everything here is as the API says it; whether it is acceptable is judged in decide/node_cache.
struct Node {
  std::string name;                    // metadata.name, never empty
  std::string uid;                     // metadata.uid, never empty
  std::int64_t created_s = 0;          // metadata.creationTimestamp, seconds since 1970
  std::vector<IpPrefix> pod_cidrs;     // spec.podCIDRs, else spec.podCIDR; may be empty for a while
  std::vector<NodeAddress> addresses;  // status.addresses, in their order

  friend auto operator<=>(const Node&, const Node&) = default;
};

// An object that could not be typed as a Node.
struct NodeRejection {
  std::string name;  // empty if not even that was readable
  std::string uid;
  std::string reason;  // names the field and what is wrong with it

  friend auto operator<=>(const NodeRejection&, const NodeRejection&) = default;
};

}  // namespace vxmesh
