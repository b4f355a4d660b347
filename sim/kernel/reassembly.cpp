#include "sim/kernel/reassembly.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

constexpr std::uint32_t kUnit = 8;
constexpr std::uint32_t kMostPayload = 65535 - 20;  // behind an IPv4 header

}  // namespace

// ip_frag_queue
std::optional<IpPacket> Reassembly::add(const IpPacket& fragment, MonotonicTime now) {
  const auto* part = std::get_if<OpaqueTransport>(&fragment.payload);
  check(fragment.is_fragment() && part != nullptr, "the payload of a fragment is opaque");
  forget_old(now);
  const Key key{fragment.source, fragment.destination, part->protocol, fragment.id};
  Parts& parts = waiting_.try_emplace(key, Parts{.since = now}).first->second;
  const std::uint32_t begin = fragment.fragment_offset * kUnit;
  Bytes bytes = part->bytes;
  if (fragment.more_fragments) {
    bytes.resize(bytes.size() / kUnit * kUnit);
  }
  const auto end = static_cast<std::uint32_t>(begin + bytes.size());
  const bool fits = end > begin && end <= kMostPayload;
  if (!fits || !agrees(parts, end, !fragment.more_fragments)) {
    waiting_.erase(key);
    return std::nullopt;
  }
  const Insertion inserted = insert(parts, begin, std::move(bytes));
  if (inserted == Insertion::Done && begin == 0) {
    parts.first = fragment;
  }
  std::optional<IpPacket> packet = inserted == Insertion::Done ? whole(parts) : std::nullopt;
  if (packet || inserted == Insertion::Overlaps) {
    waiting_.erase(key);
  }
  return packet;
}

bool Reassembly::agrees(Parts& parts, std::uint32_t end, bool is_last) {
  const bool contradicts = is_last ? end < parts.length || (parts.has_last && end != parts.length)
                                   : end > parts.length && parts.has_last;
  parts.length = std::max(parts.length, end);
  parts.has_last = parts.has_last || is_last;
  return !contradicts;
}

// inet_frag_queue_insert: what lies within one run is there already, whatever it says.
Reassembly::Insertion Reassembly::insert(Parts& parts, std::uint32_t begin, Bytes bytes) {
  const auto end = static_cast<std::uint32_t>(begin + bytes.size());
  for (const auto& [run, known] : parts.runs) {
    const auto run_end = static_cast<std::uint32_t>(run + known.size());
    if (begin < run_end && end > run) {
      return begin >= run && end <= run_end ? Insertion::Known : Insertion::Overlaps;
    }
  }
  if (!parts.runs.empty()) {
    auto& [last, known] = *parts.runs.rbegin();
    if (begin == last + known.size()) {
      known.insert(known.end(), bytes.begin(), bytes.end());
      return Insertion::Done;
    }
  }
  parts.runs.emplace(begin, std::move(bytes));
  return Insertion::Done;
}

std::optional<IpPacket> Reassembly::whole(const Parts& parts) {
  Bytes payload;
  for (const auto& [begin, bytes] : parts.runs) {
    if (begin != payload.size()) {
      return std::nullopt;
    }
    payload.insert(payload.end(), bytes.begin(), bytes.end());
  }
  if (!parts.first || !parts.has_last || payload.size() != parts.length) {
    return std::nullopt;
  }
  IpPacket packet = *parts.first;
  packet.more_fragments = false;
  packet.payload = OpaqueTransport{.protocol = packet.protocol(), .bytes = std::move(payload)};
  const auto decoded = decode_packet(encode(packet), Family::V4);
  return decoded ? std::optional(decoded->packet) : std::nullopt;
}

void Reassembly::forget_old(MonotonicTime now) {
  std::erase_if(waiting_, [&](const auto& entry) { return now - entry.second.since > kPatience; });
}

}  // namespace vxmesh
