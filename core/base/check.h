// Assertions that stay on in release: for broken invariants only, never for input or the
// environment.
#pragma once

#include <string_view>

namespace vxmesh {

// A place in the source. (std::source_location is what this would be; clang 14 does not have it.)
struct CodeLocation {
  const char* file;
  const char* function;
  int line;
};

// Prints the location and the sentence to standard error and aborts.
[[noreturn]] void check_failed(std::string_view sentence, const CodeLocation& where);

// Aborts with `sentence` unless `condition` holds. `sentence` says the invariant, not the symptom.
// The other arguments are the caller's place, which the compiler fills in.
constexpr void check(bool condition, std::string_view sentence, const char* file = __builtin_FILE(),
                     const char* function = __builtin_FUNCTION(), int line = __builtin_LINE()) {
  if (!condition) [[unlikely]] {
    check_failed(sentence, CodeLocation{.file = file, .function = function, .line = line});
  }
}

}  // namespace vxmesh
