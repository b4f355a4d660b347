// What rows that belong to an address are found by.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "model/ip_address.h"

namespace vxmesh {

// An address, and what else the row is known by, in `scope`.
struct AddressKey {
  std::uint64_t scope = 0;
  IpAddress address;

  friend bool operator==(const AddressKey&, const AddressKey&) = default;
};

}  // namespace vxmesh

template <>
struct std::hash<vxmesh::AddressKey> {
  // The finaliser of MurmurHash3 (Austin Appleby) over the words of the key.
  std::size_t operator()(const vxmesh::AddressKey& key) const noexcept {
    const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(key.address.bytes());
    std::uint64_t mixed = key.scope ^ (words[0] * 0x9e3779b97f4a7c15U) ^ std::rotl(words[1], 32);
    mixed = (mixed ^ (mixed >> 33U)) * 0xff51afd7ed558ccdU;
    mixed = (mixed ^ (mixed >> 33U)) * 0xc4ceb9fe1a85ec53U;
    return static_cast<std::size_t>(mixed ^ (mixed >> 33U));
  }
};
