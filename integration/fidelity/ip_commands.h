// A program as the ip and bridge commands that show the same, for people.
#pragma once

#include <string>
#include <vector>

#include "integration/fidelity/program.h"

namespace vxmesh::fidelity {

// One line a step. Device names follow creation and renaming in the program; a step that the
// commands cannot say is a comment with its text form.
[[nodiscard]] std::vector<std::string> ip_commands(const Program& program);

}  // namespace vxmesh::fidelity
