// What one node's kernel held, as far as the overlay's packets depend on it.
#pragma once

#include <string>
#include <vector>

#include "model/kernel_state.h"

namespace vxmesh {

// Contract: FDB entries and neighbours are those of `device`, kernel-made ones included; neighbours
// of other devices are not here. Links, addresses and routes are all that there are, the tables
// local and main included. Whether the snapshots of several nodes are of the same moment is the
// caller's business.
struct HostSnapshot {
  std::string node;                 // unique among the snapshots of a walk
  std::vector<IpPrefix> pod_cidrs;  // as the API says; empty if not known
  std::vector<IpAddress> underlay;  // where the underlay delivers to this node, whether or not its
                                    // kernel still holds the address
  std::string device;               // the overlay device's name, whether or not it is there
  KernelState kernel;

  friend bool operator==(const HostSnapshot&, const HostSnapshot&) = default;
};

}  // namespace vxmesh
