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

// "; did you mean 'X'?" with that candidate, if its distance is at most three, and half of its
// letters: who wrote anything else has meant none of them, and nothing is said.
[[nodiscard]] std::string did_you_mean(std::string_view name,
                                       std::span<const std::string> candidates);

}  // namespace vxmesh
