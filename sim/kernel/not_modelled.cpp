#include "sim/kernel/not_modelled.h"

#include <cstdio>
#include <cstdlib>

namespace vxmesh {

void not_modelled(std::string_view what) {
  std::fprintf(stderr, "the fake kernel does not model: %.*s\n", static_cast<int>(what.size()),
               what.data());
  std::abort();
}

}  // namespace vxmesh
