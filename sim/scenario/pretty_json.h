// JSON for people and for diffs.
#pragma once

#include <boost/json/value.hpp>
#include <string>

namespace vxmesh {

// Keys in the order in which they were put in; two spaces a level; what fits goes into one line.
// Ends in a line break.
[[nodiscard]] std::string pretty_json(const boost::json::value& value);

}  // namespace vxmesh
