// Numbers as they lie on the wire.
#pragma once

#include <bit>
#include <cstdint>

namespace vxmesh {

// From host order to network order, or back. Like htons and its kind, but in constant expressions.
[[nodiscard]] constexpr std::uint16_t network_order(std::uint16_t word) {
  return std::endian::native == std::endian::little ? __builtin_bswap16(word) : word;
}
[[nodiscard]] constexpr std::uint32_t network_order(std::uint32_t word) {
  return std::endian::native == std::endian::little ? __builtin_bswap32(word) : word;
}
[[nodiscard]] constexpr std::uint64_t network_order(std::uint64_t word) {
  return std::endian::native == std::endian::little ? __builtin_bswap64(word) : word;
}

}  // namespace vxmesh
