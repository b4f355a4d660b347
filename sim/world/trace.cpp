#include "sim/world/trace.h"

#include <array>

namespace vxmesh {

std::string_view format(TraceKind kind) {
  constexpr std::array<std::string_view, 11> kNames{
      "turn", "op", "dump", "draw", "api", "write", "frame", "packet", "fault", "log", "verdict"};
  return kNames.at(static_cast<std::size_t>(kind));
}

// The finaliser of splitmix64 (Steele, Lea and Flood, 2014) over what was folded so far.
void Trace::fold(std::uint64_t word) {
  std::uint64_t mixed = hash_ ^ (word + 0x9e3779b97f4a7c15U);
  mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
  hash_ = mixed ^ (mixed >> 31U);
}

std::uint64_t digest(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char byte : text) {
    hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3U;
  }
  return hash;
}

}  // namespace vxmesh
