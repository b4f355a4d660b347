// Frames between values and the bytes that are on the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "sim/kernel/packet.h"

namespace vxmesh {

// The bytes from the destination's MAC on, without a frame check sequence. Lengths are made to fit,
// checksums are correct. Requires: a payload that fits its length fields, and of the packet's
// family.
[[nodiscard]] Bytes encode(const EthernetFrame& frame);
[[nodiscard]] Bytes encode(const IpPacket& packet);

// None if there are too few bytes for an Ethernet header. Whatever a header does not say correctly,
// by length, checksum or a field that has no place in the value, stays bytes from there on:
// encode() of the result is what was given, bit for bit. UDP to kVxlanPort or kLinuxVxlanPort is
// read as VXLAN.
//
// Contract: any bytes may come. The depth of tunnels in tunnels that is read is limited.
[[nodiscard]] std::optional<EthernetFrame> decode_frame(std::span<const std::uint8_t> bytes);
// The packet and what is behind it; none if there is no packet of that family.
struct DecodedPacket {
  IpPacket packet;
  Bytes trailer;
};
[[nodiscard]] std::optional<DecodedPacket> decode_packet(std::span<const std::uint8_t> bytes,
                                                         Family family);
// The payload of a datagram that came to a tunnel's port. None: a tunnel that knows only the I flag
// drops it.
[[nodiscard]] std::optional<VxlanFrame> decode_vxlan(std::span<const std::uint8_t> bytes);

// A kernel leaves the checksum of a packet of its own to the device, and veth leaves it unmade:
// what a packet socket then sees is the sum of the pseudo header alone (CHECKSUM_PARTIAL). This
// makes it, inside tunnels too; a checksum that is anything else is left as it is.
[[nodiscard]] Bytes with_checksums_made(Bytes frame);

}  // namespace vxmesh
