#include "sim/kernel/not_modelled.h"

#include <string>

#include "base/check.h"

namespace vxmesh {

void not_modelled(std::string_view what) {
  check_failed("the fake kernel does not model: " + std::string(what),
               {.file = __FILE__, .function = "not_modelled", .line = __LINE__});
}

}  // namespace vxmesh
