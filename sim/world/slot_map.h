// Values under handles that are never used twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"

namespace vxmesh {

// Contract: a handle stands for one value from insert() until extract(), and for none afterwards,
// though its slot is used again. Handles begin with 1 and depend on the calls alone.
// Cost: every call O(1) and no allocation but of more slots than ever before. 2^32 values at a time
// at most, and so many one after the other in one slot.
template <typename Value>
class SlotMap {
 public:
  using Handle = std::uint64_t;  // use of the slot in the upper half, and its place plus one

  Handle insert(Value value) {
    if (free_.empty()) {
      check(slots_.size() < UINT32_MAX, "a handle has 32 bits for the slot");
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t place = free_.back();
    free_.pop_back();
    Slot& slot = slots_[place];
    slot.value.emplace(std::move(value));
    return Handle{slot.use} << 32U | (place + 1U);
  }

  [[nodiscard]] bool contains(Handle handle) const { return slot_of(handle) != nullptr; }

  // Null if the handle stands for nothing. Good until the next insert().
  [[nodiscard]] Value* find(Handle handle) {
    Slot* slot = const_cast<Slot*>(std::as_const(*this).slot_of(handle));
    return slot == nullptr ? nullptr : &*slot->value;
  }

  std::optional<Value> extract(Handle handle) {
    Slot* slot = const_cast<Slot*>(slot_of(handle));
    if (slot == nullptr) {
      return std::nullopt;
    }
    std::optional<Value> value = std::exchange(slot->value, std::nullopt);
    ++slot->use;
    check(slot->use < UINT32_MAX, "a handle has 32 bits for the use of a slot");
    free_.push_back(static_cast<std::uint32_t>(slot - slots_.data()));
    return value;
  }

  [[nodiscard]] std::size_t size() const { return slots_.size() - free_.size(); }

  // With every value, in order of slots.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.value) {
        visit(*slot.value);
      }
    }
  }

 private:
  struct Slot {
    std::optional<Value> value;
    std::uint32_t use = 0;
  };

  [[nodiscard]] const Slot* slot_of(Handle handle) const {
    const std::uint64_t place = (handle & UINT32_MAX) - 1;
    if (place >= slots_.size()) {
      return nullptr;
    }
    const Slot& slot = slots_[place];
    return slot.value && slot.use == handle >> 32U ? &slot : nullptr;
  }

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace vxmesh
