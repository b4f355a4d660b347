#include "integration/support/private_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/check.h"

namespace vxmesh {
namespace {

constexpr const char* kNeighbourLock = "/run/lock/vxmesh-neighbours.lock";

FileDescriptor lock_neighbours() {
  FileDescriptor lock(::open(kNeighbourLock, O_RDONLY | O_CREAT | O_CLOEXEC, 0644));
  check(lock.is_open(), "the neighbour lock file can be opened");
  check(::flock(lock.get(), LOCK_SH) == 0, "the neighbour lock can be held");
  return lock;
}

}  // namespace

Result<PrivateNamespace> PrivateNamespace::enter() {
  FileDescriptor before(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!before.is_open() || ::unshare(CLONE_NEWNET) != 0) {
    // ENOSPC: user.max_net_namespaces; the other two: a kernel built without them.
    const int error = errno;
    const bool denied = error == EPERM || error == ENOSPC || error == ENOSYS || error == EINVAL;
    return fail(denied ? ErrorCode::NoPermission : ErrorCode::Environment,
                std::string("cannot make a network namespace (unshare, CAP_SYS_ADMIN): ") +
                    std::strerror(error));
  }
  return PrivateNamespace(std::move(before));
}

PrivateNamespace::~PrivateNamespace() {
  if (before_.is_open()) {
    check(::setns(before_.get(), CLONE_NEWNET) == 0, "the old network namespace is there");
  }
}

void hold_neighbour_lock() {
  static const FileDescriptor lock = lock_neighbours();
}

}  // namespace vxmesh
