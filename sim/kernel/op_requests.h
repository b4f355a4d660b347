// The agent's operations as the messages that they are (ports/netlink.h).
#pragma once

#include "ports/netlink.h"
#include "sim/kernel/request.h"

namespace vxmesh {

[[nodiscard]] rtnl::Request to_request(const KernelOp& op);

}  // namespace vxmesh
