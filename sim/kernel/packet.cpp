#include "sim/kernel/packet.h"

#include <algorithm>
#include <utility>

namespace vxmesh {
namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

std::string format_hex(std::uint16_t value) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text = "0x";
  for (const unsigned shift : {12U, 8U, 4U, 0U}) {
    text += kDigits[(static_cast<unsigned>(value) >> shift) & 0xfU];
  }
  return text;
}

std::string format_size(const Bytes& bytes) {
  return std::to_string(bytes.size()) + " bytes";
}

std::string format_ports(std::uint16_t source, std::uint16_t destination) {
  return std::to_string(source) + " > " + std::to_string(destination);
}

std::string format(const OpaqueTransport& opaque) {
  return "protocol " + std::to_string(opaque.protocol) + ", " + format_size(opaque.bytes);
}

std::string format(const UdpDatagram& datagram) {
  std::string text = "UDP " + format_ports(datagram.source_port, datagram.destination_port) +
                     (datagram.has_checksum ? ", " : ", no checksum, ");
  if (const auto* vxlan = std::get_if<VxlanFrame>(&datagram.payload)) {
    return text + "VXLAN " + std::to_string(vxlan->vni.value) + ": " + format(*vxlan->inner);
  }
  return text + format_size(std::get<Bytes>(datagram.payload));
}

std::string format(const TcpSegment& segment) {
  constexpr std::pair<std::uint8_t, char> kFlags[] = {{TcpSegment::kFin, 'F'},
                                                      {TcpSegment::kSyn, 'S'},
                                                      {TcpSegment::kReset, 'R'},
                                                      {TcpSegment::kPush, 'P'},
                                                      {TcpSegment::kAck, '.'}};
  std::string flags;
  for (const auto& [flag, letter] : kFlags) {
    if ((segment.flags & flag) != 0) {
      flags += letter;
    }
  }
  return "TCP " + format_ports(segment.source_port, segment.destination_port) + " [" + flags +
         "] seq " + std::to_string(segment.sequence) + " ack " +
         std::to_string(segment.acknowledgment) + ", " + format_size(segment.payload);
}

std::string format(const IcmpMessage& message) {
  return "ICMP type " + std::to_string(message.type) + " code " + std::to_string(message.code) +
         " parameter " + std::to_string(message.parameter) + ", " + format_size(message.data);
}

std::string format(const NdMessage& message) {
  const bool solicits = message.kind == NdMessage::Kind::Solicit;
  std::string text = solicits ? "ND who has " : "ND is at ";
  text += format(message.target);
  if (message.link_layer) {
    text += (solicits ? ", from " : ": ") + format(*message.link_layer);
  }
  constexpr std::pair<std::uint8_t, const char*> kFlags[] = {{NdMessage::kRouter, " router"},
                                                             {NdMessage::kSolicited, " solicited"},
                                                             {NdMessage::kOverride, " override"}};
  for (const auto& [flag, word] : kFlags) {
    text += (message.flags & flag) != 0 ? word : "";
  }
  return text;
}

std::string format(const OpaqueFrame& frame) {
  return "type " + format_hex(frame.ether_type) + ", " + format_size(frame.bytes);
}

}  // namespace

bool operator==(const VxlanFrame& a, const VxlanFrame& b) {
  return a.vni == b.vni && (a.inner == b.inner || *a.inner == *b.inner);
}

std::uint8_t IpPacket::protocol() const {
  const std::uint8_t icmp = family() == Family::V4 ? kProtocolIcmp : kProtocolIcmpv6;
  return std::visit(Overloaded{
                        [](const OpaqueTransport& opaque) { return opaque.protocol; },
                        [](const UdpDatagram&) { return kProtocolUdp; },
                        [](const TcpSegment&) { return kProtocolTcp; },
                        [&](const IcmpMessage&) { return icmp; },
                        [](const NdMessage&) { return kProtocolIcmpv6; },
                    },
                    payload);
}

std::uint16_t EthernetFrame::ether_type() const {
  return std::visit(Overloaded{
                        [](const OpaqueFrame& opaque) { return opaque.ether_type; },
                        [](const ArpPacket&) { return kEtherTypeArp; },
                        [](const IpPacket& packet) {
                          return packet.family() == Family::V4 ? kEtherTypeIpv4 : kEtherTypeIpv6;
                        },
                    },
                    payload);
}

std::size_t size_on_wire(const IpPacket& packet) {
  constexpr std::size_t kIpv4 = 20;
  constexpr std::size_t kIpv6 = 40;
  constexpr std::size_t kUdp = 8;
  constexpr std::size_t kVxlan = 8;
  const std::size_t payload = std::visit(
      Overloaded{
          [](const OpaqueTransport& opaque) { return opaque.bytes.size(); },
          [](const UdpDatagram& datagram) {
            const auto* vxlan = std::get_if<VxlanFrame>(&datagram.payload);
            return kUdp + (vxlan != nullptr ? kVxlan + size_on_wire(*vxlan->inner)
                                            : std::get<Bytes>(datagram.payload).size());
          },
          [](const TcpSegment& segment) {
            return 20 + segment.options.size() + segment.payload.size();
          },
          [](const IcmpMessage& message) { return 8 + message.data.size(); },
          [](const NdMessage& message) { return std::size_t{message.link_layer ? 32U : 24U}; },
      },
      packet.payload);
  return (packet.family() == Family::V4 ? kIpv4 : kIpv6) + payload;
}

std::size_t size_on_wire(const EthernetFrame& frame) {
  constexpr std::size_t kEthernet = 14;
  constexpr std::size_t kArp = 28;
  return kEthernet + frame.trailer.size() +
         std::visit(Overloaded{
                        [](const OpaqueFrame& opaque) { return opaque.bytes.size(); },
                        [](const ArpPacket&) { return kArp; },
                        [](const IpPacket& packet) { return size_on_wire(packet); },
                    },
                    frame.payload);
}

IpAddress solicited_node_group(const IpAddress& address) {
  std::array<std::uint8_t, 16> group{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  std::copy(address.bytes().begin() + 13, address.bytes().end(), group.begin() + 13);
  return IpAddress::v6(group);
}

MacAddress multicast_mac(const IpAddress& group) {
  MacAddress mac{{0x33, 0x33}};
  std::copy(group.bytes().begin() + 12, group.bytes().end(), mac.bytes.begin() + 2);
  return mac;
}

std::optional<std::uint16_t> udp_destination_port(const IpPacket& packet) {
  if (const auto* datagram = std::get_if<UdpDatagram>(&packet.payload)) {
    return datagram->destination_port;
  }
  const auto* opaque = std::get_if<OpaqueTransport>(&packet.payload);
  if (opaque == nullptr || opaque->protocol != kProtocolUdp || packet.fragment_offset != 0 ||
      opaque->bytes.size() < 4) {
    return std::nullopt;
  }
  return static_cast<std::uint16_t>(opaque->bytes[2] << 8U | opaque->bytes[3]);
}

std::string format(const ArpPacket& packet) {
  if (packet.operation == ArpPacket::kRequest) {
    return "ARP who has " + format(packet.target) + ", tell " + format(packet.sender) + " at " +
           format(packet.sender_mac);
  }
  if (packet.operation == ArpPacket::kReply) {
    return "ARP " + format(packet.sender) + " is at " + format(packet.sender_mac) + ", to " +
           format(packet.target);
  }
  return "ARP operation " + std::to_string(packet.operation);
}

std::string format(const IpPacket& packet) {
  std::string text = format(packet.source) + " > " + format(packet.destination);
  if (packet.ttl != IpPacket{}.ttl) {
    text += " ttl " + std::to_string(packet.ttl);
  }
  if (packet.tos != 0) {
    text += " tos " + format_hex(packet.tos);
  }
  if (packet.is_fragment()) {
    text += " fragment " + std::to_string(packet.fragment_offset) +
            (packet.more_fragments ? "+" : " (last)");
  }
  return text + ": " +
         std::visit([](const auto& payload) { return format(payload); }, packet.payload);
}

std::string format(const EthernetFrame& frame) {
  return format(frame.source) + " > " + format(frame.destination) + ", " +
         std::visit([](const auto& payload) { return format(payload); }, frame.payload);
}

}  // namespace vxmesh
