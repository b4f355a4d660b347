// What the process may do.
#pragma once

#include "base/result.h"

namespace vxmesh {

// Success if CAP_NET_ADMIN is in the effective set, also when that is one of a user namespace; else
// NoPermission with one line that names what is missing.
[[nodiscard]] Result<void> require_net_admin();

}  // namespace vxmesh
