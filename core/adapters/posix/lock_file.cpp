#include "adapters/posix/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace vxmesh {
namespace {

tl::unexpected<Error> cannot(const std::string& what, const std::string& path, int error_number) {
  const bool denied = error_number == EACCES || error_number == EPERM;
  return fail(denied ? ErrorCode::NoPermission : ErrorCode::Environment,
              "cannot " + what + " lock file " + path + ": " + std::strerror(error_number));
}

// "process 123", or what can be said if the holder has not written its pid.
std::string holder(int file) {
  std::array<char, 32> text{};
  const ssize_t length = ::pread(file, text.data(), text.size(), 0);
  std::string_view pid(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  pid = pid.substr(0, pid.find_first_not_of("0123456789"));
  return pid.empty() ? "another process" : "process " + std::string(pid);
}

}  // namespace

Result<LockFile> LockFile::acquire(const std::string& path) {
  std::error_code ignored;  // open says what is wrong with the folder
  std::filesystem::create_directory(std::filesystem::path(path).parent_path(), ignored);
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file.is_open()) {
    return cannot("open", path, errno);
  }
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return cannot("lock", path, errno);
    }
    return fail(ErrorCode::Environment, "lock file " + path + " is held by " + holder(file.get()));
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return cannot("write", path, errno);
  }
  return LockFile(std::move(file));
}

}  // namespace vxmesh
