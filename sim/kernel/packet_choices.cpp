#include "sim/kernel/packet_choices.h"

#include <memory>
#include <utility>

#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

void forget_choices(IpPacket& packet);

void forget_choices(UdpDatagram& datagram) {
  if (datagram.source_port >= kFirstFreePort && datagram.source_port <= kLastFreePort) {
    datagram.source_port = kFirstFreePort;
  }
  if (auto* vxlan = std::get_if<VxlanFrame>(&datagram.payload)) {
    vxlan->inner = std::make_shared<const EthernetFrame>(without_choices(*vxlan->inner));
  }
}

// The first fragment of a datagram has its header, and a checksum over all of them.
void forget_choices(OpaqueTransport& opaque) {
  constexpr std::size_t kUdpHeader = 8;
  Bytes& bytes = opaque.bytes;
  if (opaque.protocol != kProtocolUdp || bytes.size() < kUdpHeader) {
    return;
  }
  const unsigned port = static_cast<unsigned>(bytes[0]) << 8U | bytes[1];
  if (port >= kFirstFreePort && port <= kLastFreePort) {
    bytes[0] = static_cast<std::uint8_t>(kFirstFreePort >> 8U);
    bytes[1] = static_cast<std::uint8_t>(kFirstFreePort & 0xffU);
    bytes[6] = 0;
    bytes[7] = 0;
  }
}

// True of ICMP errors and redirects.
bool quotes(const IcmpMessage& message, Family family) {
  constexpr std::uint8_t kEchoRequest = 8;
  constexpr std::uint8_t kFirstInformationalV6 = 128;
  return family == Family::V6 ? message.type < kFirstInformationalV6
                              : message.type != 0 && message.type != kEchoRequest;
}

void forget_choices(IcmpMessage& message, Family family) {
  if (!quotes(message, family)) {
    return;
  }
  if (std::optional<DecodedPacket> quoted = decode_packet(message.data, family)) {
    forget_choices(quoted->packet);
    message.data = encode(quoted->packet);
    message.data.insert(message.data.end(), quoted->trailer.begin(), quoted->trailer.end());
  }
}

void forget_choices(IpPacket& packet) {
  packet.id = 0;
  packet.flow_label = 0;
  if (auto* datagram = std::get_if<UdpDatagram>(&packet.payload)) {
    forget_choices(*datagram);
  } else if (auto* message = std::get_if<IcmpMessage>(&packet.payload)) {
    forget_choices(*message, packet.family());
  } else if (auto* opaque = std::get_if<OpaqueTransport>(&packet.payload)) {
    if (packet.more_fragments && packet.fragment_offset == 0) {
      forget_choices(*opaque);
    }
  }
}

bool is_unasked(const IpPacket& packet) {
  constexpr std::uint8_t kHopByHop = 0;
  constexpr std::uint8_t kRouterSolicitation = 133;
  const bool from_nobody = packet.source == IpAddress::v6({});
  if (const auto* datagram = std::get_if<UdpDatagram>(&packet.payload)) {
    const auto* vxlan = std::get_if<VxlanFrame>(&datagram->payload);
    return vxlan != nullptr && is_unasked(*vxlan->inner);
  }
  if (packet.family() != Family::V6 || !packet.destination.is_multicast()) {
    return false;
  }
  const auto* message = std::get_if<IcmpMessage>(&packet.payload);
  return packet.protocol() == kHopByHop || (packet.protocol() == kProtocolIcmpv6 && from_nobody) ||
         (message != nullptr && message->type == kRouterSolicitation);
}

}  // namespace

bool is_unasked(const EthernetFrame& frame) {
  constexpr MacAddress kIgmpReports{{0x01, 0x00, 0x5e, 0x00, 0x00, 0x16}};  // 224.0.0.22
  const auto* packet = std::get_if<IpPacket>(&frame.payload);
  return frame.destination == kIgmpReports || (packet != nullptr && is_unasked(*packet));
}

EthernetFrame without_choices(EthernetFrame frame) {
  if (auto* packet = std::get_if<IpPacket>(&frame.payload)) {
    forget_choices(*packet);
  }
  return frame;
}

}  // namespace vxmesh
