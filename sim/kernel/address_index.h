// Where to find something by its address, in constant time.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "model/ip_address.h"

namespace vxmesh {

// Contract: a hash table beside a container that keeps the order. It cannot be walked through, so
// that nothing depends on its own order. An address is looked for within a `scope`, which says what
// else the key consists of. Values are small and cheap to copy: iterators, pointers.
// Cost: every call O(1) expected; at most two slots in three are in use.
template <typename Value>
class AddressIndex {
 public:
  // Requires: there is none under that key.
  void insert(std::uint64_t scope, const IpAddress& address, Value value) {
    if (3 * (size_ + 1) > 2 * slots_.size()) {
      grow();
    }
    std::optional<Slot>& slot = slots_[place_of(scope, address)];
    check(!slot, "what is indexed is indexed once");
    slot.emplace(Slot{scope, address, std::move(value)});
    ++size_;
  }

  // Null if there is none. Good until the next insert() or erase().
  [[nodiscard]] const Value* find(std::uint64_t scope, const IpAddress& address) const {
    if (size_ == 0) {
      return nullptr;
    }
    const std::optional<Slot>& slot = slots_[place_of(scope, address)];
    return slot ? &slot->value : nullptr;
  }

  // Requires: there is one under that key.
  void erase(std::uint64_t scope, const IpAddress& address) {
    check(size_ > 0, "what is erased is there");
    std::size_t hole = place_of(scope, address);
    check(slots_[hole].has_value(), "what is erased is there");
    // What was pushed past the hole comes back (Knuth, The Art of Computer Programming, 6.4 R).
    for (std::size_t next = after(hole); slots_[next]; next = after(next)) {
      const std::size_t home = home_of(slots_[next]->scope, slots_[next]->address);
      if (((next - home) & mask()) >= ((next - hole) & mask())) {
        slots_[hole] = std::move(slots_[next]);
        hole = next;
      }
    }
    slots_[hole].reset();
    --size_;
  }

 private:
  struct Slot {
    std::uint64_t scope = 0;
    IpAddress address;
    Value value;
  };

  [[nodiscard]] std::size_t mask() const { return slots_.size() - 1; }
  [[nodiscard]] std::size_t after(std::size_t place) const { return (place + 1) & mask(); }

  // The finaliser of MurmurHash3 (Austin Appleby) over the words of the key.
  [[nodiscard]] std::size_t home_of(std::uint64_t scope, const IpAddress& address) const {
    const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(address.bytes());
    std::uint64_t hash = scope ^ (words[0] * 0x9e3779b97f4a7c15U) ^ std::rotl(words[1], 32);
    hash = (hash ^ (hash >> 33U)) * 0xff51afd7ed558ccdU;
    hash = (hash ^ (hash >> 33U)) * 0xc4ceb9fe1a85ec53U;
    return static_cast<std::size_t>(hash ^ (hash >> 33U)) & mask();
  }

  // Where the key is, or would be.
  [[nodiscard]] std::size_t place_of(std::uint64_t scope, const IpAddress& address) const {
    std::size_t place = home_of(scope, address);
    while (slots_[place] && (slots_[place]->scope != scope || slots_[place]->address != address)) {
      place = after(place);
    }
    return place;
  }

  void grow() {
    constexpr std::size_t kFirst = 16;
    std::vector<std::optional<Slot>> old(slots_.empty() ? kFirst : 2 * slots_.size());
    std::swap(old, slots_);
    for (std::optional<Slot>& slot : old) {
      if (slot) {
        slots_[place_of(slot->scope, slot->address)] = std::move(slot);
      }
    }
  }

  std::vector<std::optional<Slot>> slots_;  // as many as a power of two
  std::size_t size_ = 0;
};

}  // namespace vxmesh
