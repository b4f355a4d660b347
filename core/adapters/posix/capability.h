// What the process may do, and what the kernel can.
#pragma once

#include <string_view>

#include "base/result.h"

namespace vxmesh {

// Success if CAP_NET_ADMIN is in the effective set, also when that is one of a user namespace; else
// NoPermission with one line that names what is missing.
[[nodiscard]] Result<void> require_net_admin();

// The oldest kernel whose netlink behaves as core relies on it, as uname -r gives it. A release
// that does not begin with two numbers is not judged.
[[nodiscard]] Result<void> require_kernel_release(std::string_view release);
// The same for the kernel that runs.
[[nodiscard]] Result<void> require_kernel();

}  // namespace vxmesh
