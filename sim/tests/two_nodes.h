// The smallest cluster in which a packet can take a wrong way.
#pragma once

#include <string>

#include "sim/scenario/parse.h"

namespace vxmesh {

// n1 with the pod a and n2 with the pod b; `rest` is the file's steps and expectations. Requires:
// that it has no errors.
inline Scenario two_nodes(const std::string& rest = "expect:\n  - {finally: converged}\n") {
  constexpr const char* kCluster = R"(
scenario: two
about: Two nodes with a pod each.
cluster:
  overlay: 100.96.0.0/12
  nodes: {n1: {}, n2: {}}
  pods: {a: n1, b: n2}
)";
  return parse_scenario(kCluster + rest, "two.yaml").value();
}

}  // namespace vxmesh
