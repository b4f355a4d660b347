// The nearest known name to a mistyped one, for "unknown X; did you mean Y?".
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace vxmesh {

// The candidate with the smallest edit distance (Levenshtein) to `name`; the first of equals.
// Empty if `candidates` is empty.
[[nodiscard]] std::string nearest_name(std::string_view name,
                                       std::span<const std::string> candidates);

}  // namespace vxmesh
