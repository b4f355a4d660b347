// One process at a time.
#pragma once

#include <string>

#include "adapters/posix/file_descriptor.h"
#include "base/result.h"

namespace vxmesh {

// An flock(2) on a file that names its holder's pid. The kernel drops it with the process, however
// that ends. The file stays: removing it would let two holders have one each.
class LockFile {
 public:
  // Makes the file, and the folder that holds it, if they are not there. An error says who holds
  // the lock.
  [[nodiscard]] static Result<LockFile> acquire(const std::string& path);

 private:
  explicit LockFile(FileDescriptor file) : file_(std::move(file)) {}

  FileDescriptor file_;
};

}  // namespace vxmesh
