// Reads a scenario file. The only reader there is: what the simulator runs, and what compile_json()
// hands to the lab, comes from here.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "sim/scenario/scenario.h"

namespace vxmesh {

// Strict: what it does not know it refuses. Errors are "file:line: what is wrong; what would be
// right". `file_name` is only for them.
//
// Everything that a file may leave out or write as a reference is filled in: addresses, PodCIDRs,
// patterns of pods, and the moments that expectations count from. A scenario is valid if
// write_scenario() writes what gives it back.
[[nodiscard]] Result<Scenario> parse_scenario(std::string_view yaml, const std::string& file_name);

}  // namespace vxmesh
