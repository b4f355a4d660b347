// The VXLAN network identifier.
#pragma once

#include <cstdint>

#include "base/strong.h"

namespace vxmesh {

// 24 bits (RFC 7348, section 5).
using Vni = Strong<struct VniTag, std::uint32_t>;
inline constexpr std::uint32_t kMaxVni = (1U << 24U) - 1;

}  // namespace vxmesh
