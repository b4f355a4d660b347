#include "adapters/posix/capability.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace vxmesh {

Result<void> require_net_admin() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) {
    return fail(ErrorCode::Environment,
                std::string("cannot read the process's capabilities: ") + std::strerror(errno));
  }
  if ((sets[CAP_TO_INDEX(CAP_NET_ADMIN)].effective & CAP_TO_MASK(CAP_NET_ADMIN)) == 0) {
    return fail(ErrorCode::NoPermission,
                "the capability CAP_NET_ADMIN is missing: run as root, or grant it (in a pod: "
                "securityContext.capabilities.add: [NET_ADMIN])");
  }
  return {};
}

}  // namespace vxmesh
