// Writes a scenario file.
#pragma once

#include <string>

#include "sim/scenario/scenario.h"

namespace vxmesh {

// YAML that parse_scenario() reads as an equal scenario, given that the scenario is valid. All is
// written out: addresses instead of references, pairs instead of patterns.
[[nodiscard]] std::string write_scenario(const Scenario& scenario);

}  // namespace vxmesh
