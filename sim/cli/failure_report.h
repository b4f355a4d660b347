// What a failed run prints.
#pragma once

#include <string>

#include "sim/cli/retelling.h"

namespace vxmesh::cli {

// The verdict in one line, the ways between pods that are wrong at the end of the run, the packet
// walk of the first of them, and the last events on it. `file`: the scenario's, or empty. Ends in a
// line break.
[[nodiscard]] std::string failure_report(Retelling& retelling, const Violation& violation,
                                         const std::string& file);

// The walk from one pod to another, as it is at the end; each is a pod's name or address. An error
// names the pods that there are.
[[nodiscard]] Result<std::string> walk_report(Retelling& retelling, const std::string& from,
                                              const std::string& to);

}  // namespace vxmesh::cli
