// The small words of the language: times, names, patterns of names.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace vxmesh {

// Longer than any scenario, and sums of them fit into a Duration.
inline constexpr Duration kMaxScenarioTime = std::chrono::hours{100};

// "500ms", "3s", "2m", "1h"; also us and ns, which exported runs need. A whole number, of at most
// kMaxScenarioTime; with `signed_time` it may begin with a minus.
[[nodiscard]] Result<Duration> parse_time(std::string_view text, bool signed_time = false);

// In the largest unit that keeps it a whole number: "1500ms", "2m", "0s".
[[nodiscard]] std::string format_time(Duration time);

// Lower-case letters, digits and hyphens inside, as Kubernetes names nodes and pods; at most 63.
[[nodiscard]] bool is_name(std::string_view text);

// `*` stands for any characters, also none; everything else for itself.
[[nodiscard]] bool matches_pattern(std::string_view name, std::string_view pattern);

}  // namespace vxmesh
