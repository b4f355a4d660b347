// Which connections must be masqueraded, from the two rules of design.md, section 6.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/check/settlement.h"

namespace vxmesh {

// The first packet of a connection, as it leaves a node.
struct Departure {
  IpAddress source;
  IpAddress destination;
  std::string device;                     // that it leaves by
  std::optional<std::uint16_t> udp_port;  // destination port, if it is UDP
  bool marked = false;                    // by kube-proxy: masqueraded already
};

// True: it leaves with the node's own address as its source. False: with the source that it has.
[[nodiscard]] bool must_be_masqueraded(const ReferenceConfig& config,
                                       const std::vector<IpPrefix>& own_pod_cidrs,
                                       const Departure& departure);

}  // namespace vxmesh
