#include "sim/kernel/reassembly.h"

#include <iterator>

#include "base/check.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

constexpr std::uint32_t kUnit = 8;

}  // namespace

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
  if (const auto known = parts.bytes.find(begin);
      known != parts.bytes.end() && known->second == bytes) {
    return std::nullopt;  // it has come twice
  }
  const bool ends_elsewhere = !fragment.more_fragments && parts.end && *parts.end != end;
  if (ends_elsewhere || !fits(parts, begin, end)) {
    waiting_.erase(key);
    return std::nullopt;
  }
  if (!fragment.more_fragments) {
    parts.end = end;
  }
  if (begin == 0) {
    parts.first = fragment;
  }
  parts.bytes.emplace(begin, std::move(bytes));
  std::optional<IpPacket> packet = whole(parts);
  if (packet) {
    waiting_.erase(key);
  }
  return packet;
}

bool Reassembly::fits(const Parts& parts, std::uint32_t begin, std::uint32_t end) {
  if (begin == end || (parts.end && end > *parts.end)) {
    return false;
  }
  const auto behind = parts.bytes.lower_bound(begin);
  if (behind != parts.bytes.end() && behind->first < end) {
    return false;
  }
  if (behind == parts.bytes.begin()) {
    return true;
  }
  const auto before = std::prev(behind);
  return before->first + before->second.size() <= begin;
}

std::optional<IpPacket> Reassembly::whole(const Parts& parts) {
  Bytes payload;
  for (const auto& [begin, bytes] : parts.bytes) {
    if (begin != payload.size()) {
      return std::nullopt;
    }
    payload.insert(payload.end(), bytes.begin(), bytes.end());
  }
  if (!parts.first || !parts.end || payload.size() != *parts.end) {
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
