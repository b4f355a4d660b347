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
  // What is told.
  Operation,  // a netlink operation that an agent asked for, and its result
  Dump,
  Api,     // up to where an agent was served
  Write,   // a change in the API's store
  Frame,   // a frame on the underlay, and what becomes of it
  Packet,  // a packet sent or received by a pod
  Fault,
  Log,  // of an agent
  // What is in the hash alone.
  Turn,      // a callback of an agent's loop
  Timer,     // of a kernel
  Arrival,   // a frame comes to a host
  Draw,      // of a random number, whoever got it
  Kernel,    // what an agent was told by its kernel: rows, events, answers
  Call,      // what an agent asked of the API, and each thing that it was told
  Firewall,  // what an agent asked of the packet filter, and the result
};
// Of one that is told.
[[nodiscard]] std::string_view format(TraceKind kind);

// Contract: equal records in equal order give equal hashes, whether texts are kept or not.
// Payloads stand for what happened: digest.h makes them.
class Trace {
 public:
  struct Entry {
    MonotonicTime time;
    HostNumber host = kWorld;
    TraceKind kind = TraceKind::Operation;
    std::string text;
  };

  // Keeps texts from now on.
  void keep_texts() { keeps_texts_ = true; }
  [[nodiscard]] bool keeps_texts() const { return keeps_texts_; }

  // The world takes a callback from its queue, the one that was made as number `sequence`. What is
  // recorded from now on is part of this event.
  void event(MonotonicTime time, std::uint64_t sequence) {
    fold(static_cast<std::uint64_t>(time.since_start.count()));
    fold(sequence);
  }

  // Into the hash alone.
  void cover(HostNumber host, TraceKind kind, std::uint64_t payload) {
    fold((static_cast<std::uint64_t>(host) << 8U) | static_cast<std::uint64_t>(kind));
    fold(payload);
  }

  // `text` makes the words for it, if they are kept.
  template <typename Text>
  void record(MonotonicTime time, HostNumber host, TraceKind kind, std::uint64_t payload,
              Text&& text) {
    fold(static_cast<std::uint64_t>(time.since_start.count()));
    cover(host, kind, payload);
    if (keeps_texts_) {
      entries_.push_back(
          {.time = time, .host = host, .kind = kind, .text = std::forward<Text>(text)()});
    }
  }

  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

 private:
  // The finaliser of splitmix64 (Steele, Lea and Flood, 2014) over what was folded so far.
  void fold(std::uint64_t word) {
    std::uint64_t mixed = hash_ ^ (word + 0x9e3779b97f4a7c15U);
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    hash_ = mixed ^ (mixed >> 31U);
  }

  std::uint64_t hash_ = 0;
  bool keeps_texts_ = false;
  std::vector<Entry> entries_;
};

// FNV-1a of a text, 64 bits (draft-eastlake-fnv).
[[nodiscard]] std::uint64_t digest(std::string_view text);

}  // namespace vxmesh
