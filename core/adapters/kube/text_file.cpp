#include "adapters/kube/text_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>

namespace vxmesh {

Result<std::string> read_text_file(const std::string& path, std::size_t max) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(max + 1, '\0');
  if (file) {
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
  }
  if (!file.is_open() || file.bad()) {
    return fail(ErrorCode::Environment, path + ": cannot be read: " + std::strerror(errno));
  }
  const auto size = static_cast<std::size_t>(file.gcount());
  if (size > max) {
    return fail(ErrorCode::Environment,
                path + ": is larger than " + std::to_string(max) + " bytes");
  }
  text.resize(size);
  return text;
}

}  // namespace vxmesh
