// Assertions that stay on in release: for broken invariants only, never for input or the
// environment.
#pragma once

#include <source_location>
#include <string_view>

namespace vxmesh {

// Prints the location and the sentence to standard error and aborts.
[[noreturn]] void check_failed(std::string_view sentence, std::source_location where);

// Aborts with `sentence` unless `condition` holds. `sentence` says the invariant, not the symptom.
constexpr void check(bool condition, std::string_view sentence,
                     std::source_location where = std::source_location::current()) {
  if (!condition) [[unlikely]] {
    check_failed(sentence, where);
  }
}

}  // namespace vxmesh
