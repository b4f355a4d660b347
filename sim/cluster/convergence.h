// Whether a cluster is as the API's content asks for.
#pragma once

#include <string>
#include <vector>

#include "sim/check/reference_model.h"
#include "sim/cluster/cluster.h"

namespace vxmesh {

// The overlay of a cluster's agents, as the reference model takes it.
[[nodiscard]] ReferenceConfig reference_config(const ClusterSpec& spec);

// What of some kernel, or of its agent's readiness, is not as the Nodes ask for: one sentence;
// empty: nothing. Hosts whose Node is gone or unreadable owe nothing. `remembered`: the last typed
// content of Nodes, which agents may hold on to while they are unreadable.
[[nodiscard]] std::string first_deviation(const Cluster& cluster,
                                          const std::vector<Node>& remembered);

}  // namespace vxmesh
