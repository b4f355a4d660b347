#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace vxmesh {

void check_failed(std::string_view sentence, std::source_location where) {
  std::fprintf(stderr, "%s:%u: invariant broken in %s: %.*s\n", where.file_name(), where.line(),
               where.function_name(), static_cast<int>(sentence.size()), sentence.data());
  std::abort();
}

}  // namespace vxmesh
