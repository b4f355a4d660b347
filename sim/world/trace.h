// What a run did, folded into one number, and on demand as text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace vxmesh {

// A host of the simulated cluster, in order of appearance; 0 is the world itself.
using HostNumber = std::uint32_t;
inline constexpr HostNumber kWorld = 0;

enum class TraceKind : std::uint8_t {
  Turn,       // a callback of an agent's loop
  Operation,  // a netlink operation that an agent asked for, and its result
  Dump,
  Draw,    // a random number that an agent got
  Api,     // what an agent was served, and what it asked for
  Write,   // a change in the API's store
  Frame,   // a frame on the underlay
  Packet,  // a packet sent or received by a pod
  Fault,
  Log,  // of an agent
  Verdict,
};
[[nodiscard]] std::string_view format(TraceKind kind);

// Contract: equal records in equal order give equal hashes, whether texts are kept or not.
class Trace {
 public:
  struct Entry {
    MonotonicTime time;
    HostNumber host = kWorld;
    TraceKind kind = TraceKind::Turn;
    std::string text;
  };

  // Keeps texts from now on.
  void keep_texts() { keeps_texts_ = true; }
  [[nodiscard]] bool keeps_texts() const { return keeps_texts_; }

  // `payload` stands for what happened; `text` makes the words for it, if they are kept.
  template <typename Text>
  void record(MonotonicTime time, HostNumber host, TraceKind kind, std::uint64_t payload,
              Text&& text) {
    fold(static_cast<std::uint64_t>(time.since_start.count()));
    fold((static_cast<std::uint64_t>(host) << 8U) | static_cast<std::uint64_t>(kind));
    fold(payload);
    ++count_;
    if (keeps_texts_) {
      entries_.push_back(
          {.time = time, .host = host, .kind = kind, .text = std::forward<Text>(text)()});
    }
  }

  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

 private:
  void fold(std::uint64_t word);

  std::uint64_t hash_ = 0;
  std::uint64_t count_ = 0;
  bool keeps_texts_ = false;
  std::vector<Entry> entries_;
};

// A payload made of a text: FNV-1a, 64 bits (draft-eastlake-fnv).
[[nodiscard]] std::uint64_t digest(std::string_view text);

}  // namespace vxmesh
