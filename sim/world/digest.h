// Values as numbers, for the trace.
#pragma once

#include <bit>
#include <boost/pfr/core.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/byte_order.h"
#include "base/result.h"
#include "base/time.h"
#include "model/ip_prefix.h"
#include "model/mac_address.h"

namespace vxmesh {

// Contract: two values that differ in one field have different numbers, and two that differ in more
// have the same one as seldom as chance will have it. Of a struct every field counts, also one that
// it is given later; of a pointer, what it points to, which must be there.
// Cost: about a nanosecond a field, for this stands in the way of every packet. So a field is one
// round of xxHash (XXH64, Collet), which can be undone and so loses no difference; Trace mixes the
// bits.
class Digest {
 public:
  [[nodiscard]] std::uint64_t number() const { return number_; }

  template <typename Value>
  requires(std::integral<Value> || std::is_enum_v<Value>) void add(Value value) {
    number_ += static_cast<std::uint64_t>(value) * 0xc2b2ae3d27d4eb4fU;
    number_ = std::rotl(number_, 31) * 0x9e3779b185ebca87U;
  }
  void add(std::string_view bytes) {
    add(bytes.size());
    for (; bytes.size() >= sizeof(std::uint64_t); bytes.remove_prefix(sizeof(std::uint64_t))) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data(), sizeof word);
      add(network_order(word));
    }
    std::uint64_t rest = 0;
    for (const char byte : bytes) {
      rest = rest << 8U | static_cast<std::uint8_t>(byte);
    }
    add(rest);
  }
  void add(Duration time) { add(time.count()); }
  void add(const MacAddress& mac) { add(mac.bits()); }
  void add(const IpAddress& address) {
    add(address.family());
    if (address.family() == Family::V4) {
      add(address.v4_bits());
    } else {
      add_bytes(address.bytes());
    }
  }
  void add(const IpPrefix& prefix) {
    add(prefix.base());
    add(prefix.length());
  }

  template <typename Value>
  void add(const std::optional<Value>& value) {
    add(value.has_value());
    if (value) {
      add(*value);
    }
  }
  template <typename Value>
  void add(const std::vector<Value>& values) {
    if constexpr (std::same_as<Value, std::uint8_t>) {
      add_bytes(values);
    } else {
      add(values.size());
      for (const Value& value : values) {
        add(value);
      }
    }
  }
  template <typename... Values>
  void add(const std::variant<Values...>& value) {
    add(value.index());
    std::visit([&](const auto& held) { add(held); }, value);
  }
  template <typename Value>
  void add(const std::shared_ptr<const Value>& value) {
    add(*value);
  }
  template <typename Value>
  void add(const Result<Value>& value) {
    add(value.has_value());
    if (!value) {
      add(value.error());
    } else if constexpr (!std::is_void_v<Value>) {
      add(*value);
    }
  }
  template <typename Value>
  requires(std::is_aggregate_v<Value>) void add(const Value& value) {
    boost::pfr::for_each_field(value, [&](const auto& field) { add(field); });
  }

 private:
  template <typename Range>
  void add_bytes(const Range& bytes) {
    add(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }

  std::uint64_t number_ = 0x27d4eb2f165667c5U;  // not 0, which zeros would leave as it is
};

// Of several values, in this order.
template <typename... Values>
[[nodiscard]] std::uint64_t digest_of(const Values&... values) {
  Digest digest;
  (digest.add(values), ...);
  return digest.number();
}

}  // namespace vxmesh
