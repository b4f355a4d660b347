// A scenario as JSON, for programs that run it without reading YAML themselves, and the JSON schema
// of the language, for editors.
#pragma once

#include <string>

#include "sim/scenario/scenario.h"

namespace vxmesh {

// Everything resolved, each step and expectation with the line that it stands in, keys in a stable
// order. Times are in nanoseconds and end in `_ns`. sim/scenario/README.md has an example.
[[nodiscard]] std::string compile_json(const Scenario& scenario);

// JSON Schema 2020-12 of scenario files, made from action_rules().
[[nodiscard]] std::string schema_json();

}  // namespace vxmesh
