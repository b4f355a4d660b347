// Small files as text: certificates, tokens, kubeconfigs.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace vxmesh {

// The whole file. Environment, naming the file, if it cannot be read or is larger than `max` bytes.
[[nodiscard]] Result<std::string> read_text_file(const std::string& path,
                                                 std::size_t max = 1024UL * 1024UL);

}  // namespace vxmesh
