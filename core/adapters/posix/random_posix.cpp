#include "adapters/posix/random_posix.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"

namespace vxmesh {

std::uint64_t RandomPosix::next() {
  std::uint64_t number = 0;
  ssize_t length = -1;
  do {  // up to 256 bytes come whole; only the wait for the first entropy can be interrupted
    length = ::getrandom(&number, sizeof(number), 0);
  } while (length < 0 && errno == EINTR);
  check(length == sizeof(number), "getrandom gives what it is asked for");
  return number;
}

}  // namespace vxmesh
