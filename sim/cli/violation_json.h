// A violation as JSON, in bundles and between processes.
#pragma once

#include <boost/json/value.hpp>
#include <optional>

#include "sim/check/violation.h"

namespace vxmesh::cli {

// Null if there is none.
[[nodiscard]] boost::json::value violation_json(const std::optional<Violation>& violation);

// Requires: violation_json() has made it; anything else throws.
[[nodiscard]] std::optional<Violation> violation_of(const boost::json::value& value);

}  // namespace vxmesh::cli
