#include "adapters/posix/capability.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"

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

Result<void> require_kernel_release(std::string_view release) {
  // 5.14 stopped treating a prefix's lowest address, which the device holds, as a broadcast
  // address; 5.15 is the first long-term release after it.
  constexpr std::pair kOldest{5, 15};
  std::pair version{0, 0};
  const char* end = release.data() + release.size();
  const auto [dot, error] = std::from_chars(release.data(), end, version.first);
  if (error != std::errc{} || dot == end || *dot != '.' ||
      std::from_chars(dot + 1, end, version.second).ec != std::errc{}) {
    return {};
  }
  if (version < kOldest) {
    return fail(ErrorCode::NoPermission, "the kernel is too old: " + std::string(release) +
                                             "; Linux 5.15 or newer is needed");
  }
  return {};
}

Result<void> require_kernel() {
  utsname names{};
  check(::uname(&names) == 0, "uname cannot fail");
  return require_kernel_release(names.release);
}

}  // namespace vxmesh
