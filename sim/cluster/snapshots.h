// What a cluster's kernels hold at this moment, for explain.
#pragma once

#include <vector>

#include "explain/snapshot.h"
#include "sim/check/cluster_view.h"

namespace vxmesh {

// One of each host that is there, in order of name. PodCIDRs are those of its Node object, whether
// or not another Node claims them as well; a host without one, or with one that cannot be read, has
// none.
[[nodiscard]] std::vector<HostSnapshot> snapshots(const ClusterView& cluster);

}  // namespace vxmesh
