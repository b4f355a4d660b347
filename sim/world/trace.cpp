#include "sim/world/trace.h"

#include <array>

namespace vxmesh {

std::string_view format(TraceKind kind) {
  constexpr std::array<std::string_view, 8> kNames{"op",    "dump",   "api",   "write",
                                                   "frame", "packet", "fault", "log"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::uint64_t digest(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char byte : text) {
    hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3U;
  }
  return hash;
}

}  // namespace vxmesh
