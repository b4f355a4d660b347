// What the agents of releases have left in kernels, as it was recorded: what an upgrade finds.
#pragma once

#include <string>
#include <vector>

#include "sim/scenario/scenario.h"

namespace vxmesh {

// One node of the cluster that was recorded.
struct Recording {
  NodeSpec node;
  // What makes of a kernel without an overlay device what the agent has made of it: lines of
  // rtnl::parse_request(), in order. Whatever device they name is the overlay's.
  std::vector<std::string> requests;

  friend bool operator==(const Recording&, const Recording&) = default;
};

// Read from sim/scenario/releases/VERSION.txt, all of one cluster of three nodes.
struct Release {
  std::string version;
  std::vector<Recording> recordings;

  // Null: that node is not in it.
  [[nodiscard]] const Recording* recording(const std::string& node) const;
};

// In order of version: the number of a step's release is its place here. The last one is the
// version that is being made until it is tagged.
[[nodiscard]] const std::vector<Release>& releases();

}  // namespace vxmesh
