// A map for look-ups alone.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

namespace vxmesh {

// Contract: nothing can depend on the order of its rows, for it shows none. A pointer to a value is
// good until the next emplace, erase or reserve: what is pointed to for longer is held by a
// std::unique_ptr. Requires: std::hash<Key> makes all bits of the hash depend on all of the key.
// Cost: a look-up is one hash, one comparison and two lines of memory, whatever the size.
template <typename Key, typename Value>
class HashMap {
 public:
  // Null if there is none.
  [[nodiscard]] Value* find(const Key& key) {
    const auto row = rows_.find(key);
    return row == rows_.end() ? nullptr : &row->second;
  }
  [[nodiscard]] const Value* find(const Key& key) const {
    const auto row = rows_.find(key);
    return row == rows_.end() ? nullptr : &row->second;
  }
  [[nodiscard]] bool contains(const Key& key) const { return rows_.contains(key); }
  [[nodiscard]] std::size_t size() const { return rows_.size(); }

  // The value that is there now, and whether it is the one given.
  std::pair<Value*, bool> emplace(const Key& key, Value value) {
    const auto [row, added] = rows_.emplace(key, std::move(value));
    return {&row->second, added};
  }
  void erase(const Key& key) { rows_.erase(key); }
  // Room for so many.
  void reserve(std::size_t size) { rows_.reserve(size); }

 private:
  static_assert(!std::is_arithmetic_v<Key>, "std::hash of a number is the number");

  struct Hash {
    using is_avalanching = void;  // Boost: needs no mixing of its own
    std::size_t operator()(const Key& key) const noexcept { return std::hash<Key>{}(key); }
  };

  boost::unordered_flat_map<Key, Value, Hash> rows_;
};

}  // namespace vxmesh
