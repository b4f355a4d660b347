// What becomes of packets between pods of a simulated cluster, as `explain` says it.
//
// For reports only: an oracle that used it would judge core's code by core's code.
#pragma once

#include <vector>

#include "sim/cluster/pair_walk.h"

namespace vxmesh {

struct PodPath {
  PodSpec from;
  PodSpec to;
  WalkedPair walked;
};

// Ways that are not as they have to be for the longest packets, from one pod of each host to every
// pod of another one. Those that come first are between names and addresses that `hint`, a
// violation's sentence, has in it; equals are in order of their names.
[[nodiscard]] std::vector<PodPath> wrong_paths(const Cluster& cluster, const std::string& hint);

}  // namespace vxmesh
