// A map for look-ups alone.
#pragma once

#include <cstddef>
#include <functional>
#include <unordered_map>
#include <utility>

namespace vxmesh {

// Contract: nothing can depend on the order of its rows, for it shows none. A value stays where it
// is until it is erased. Cost: a look-up is one hash and one comparison, whatever the size.
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
  // As std::hash, but not kept in each row, where it would lie behind the value, far from the key.
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept { return std::hash<Key>{}(key); }
  };

  std::unordered_map<Key, Value, Hash> rows_;
};

}  // namespace vxmesh
