#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace vxmesh {

void check_failed(std::string_view sentence, const CodeLocation& where) {
  std::fprintf(stderr, "%s:%d: invariant broken in %s: %.*s\n", where.file, where.line,
               where.function, static_cast<int>(sentence.size()), sentence.data());
  std::abort();
}

}  // namespace vxmesh
