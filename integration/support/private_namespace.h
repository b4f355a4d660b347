// A network namespace of one's own, so that nothing of the host's is touched.
#pragma once

#include <utility>

#include "adapters/posix/file_descriptor.h"
#include "base/result.h"

namespace vxmesh {

// Contract: the calling thread, and no other, is in a new network namespace while this lives, and
// afterwards in the one that it came from. The new one is gone when nothing refers to it any more,
// such as a socket that was opened in it. A thread holds one at a time.
class PrivateNamespace {
 public:
  // ErrorCode::NoPermission: the process may not; the context says what is missing.
  [[nodiscard]] static Result<PrivateNamespace> enter();

  PrivateNamespace(PrivateNamespace&&) = default;
  PrivateNamespace& operator=(PrivateNamespace&&) = delete;
  ~PrivateNamespace();

 private:
  explicit PrivateNamespace(FileDescriptor before) : before_(std::move(before)) {}

  FileDescriptor before_;
};

// The neighbour table, and the number of entries from which the kernel collects them, are shared by
// all namespaces of the host. From the first call until its end this process shares a lock with the
// others that rely on a table that is not full; tests that fill it hold the lock alone.
void hold_neighbour_lock();

}  // namespace vxmesh
