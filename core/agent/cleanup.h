// `vxmesh-agent cleanup`: the data plane goes, and nothing else.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "ports/netlink.h"

namespace vxmesh {

// Removes from the kernel all that is ours (model/ownership.h): the device of that name with
// everything on it, and routes without a device that carry our protocol. What is not ours is not
// touched, a link of that name included. Gives what was removed, one line each; nothing to remove
// is success.
[[nodiscard]] Result<std::vector<std::string>> cleanup_kernel(Netlink& netlink,
                                                              const std::string& device_name);

}  // namespace vxmesh
