#include "sim/kernel/packet_codec.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"

namespace vxmesh {
namespace {

using View = std::span<const std::uint8_t>;

constexpr std::size_t kEthernetHeader = 14;
constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kIpv6Header = 40;
constexpr std::size_t kUdpHeader = 8;
constexpr std::size_t kTcpHeader = 20;
constexpr std::size_t kMaxTcpWords = 15;
constexpr std::size_t kIcmpHeader = 8;
constexpr std::size_t kArpPacket = 28;
constexpr std::size_t kVxlanHeader = 8;
constexpr std::size_t kUdpChecksumAt = 6;
constexpr std::size_t kTcpChecksumAt = 16;
constexpr std::size_t kIcmpChecksumAt = 2;
constexpr std::size_t kMaxLength = 0xffff;

constexpr std::uint8_t kVxlanFlagI = 0x08;
constexpr std::uint16_t kDontFragment = 0x4000;
constexpr std::uint16_t kMoreFragments = 0x2000;
constexpr std::uint16_t kFragmentOffset = 0x1fff;
constexpr std::uint16_t kArpEthernet = 1;

// icmpv6.h and ndisc.h: types and options of neighbour discovery.
constexpr std::uint8_t kNdSolicit = 135;
constexpr std::uint8_t kNdAdvertise = 136;
constexpr std::uint8_t kNdSourceOption = 1;
constexpr std::uint8_t kNdTargetOption = 2;

// Tunnels inside tunnels: one is what the overlay makes, each more is somebody's experiment.
constexpr unsigned kMaxTunnelDepth = 4;

// --- Bytes ---

void put8(Bytes& out, std::uint8_t value) {
  out.push_back(value);
}
void put16(Bytes& out, std::size_t value) {
  check(value <= kMaxLength, "a length or field of 16 bits fits");
  out.push_back(static_cast<std::uint8_t>(value >> 8U));
  out.push_back(static_cast<std::uint8_t>(value & 0xffU));
}
void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16U);
  put16(out, value & 0xffffU);
}
template <typename Range>
void put_bytes(Bytes& out, const Range& bytes) {
  out.insert(out.end(), std::begin(bytes), std::end(bytes));
}
void put_address(Bytes& out, const IpAddress& address) {
  const std::size_t size = address.family() == Family::V4 ? 4 : 16;
  out.insert(out.end(), address.bytes().begin(),
             address.bytes().begin() + static_cast<std::ptrdiff_t>(size));
}
void set16(std::span<std::uint8_t> bytes, std::size_t at, std::uint16_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8U);
  bytes[at + 1] = static_cast<std::uint8_t>(value & 0xffU);
}

std::uint16_t get16(View bytes, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned>(bytes[at]) << 8U | bytes[at + 1]);
}
std::uint32_t get32(View bytes, std::size_t at) {
  return static_cast<std::uint32_t>(get16(bytes, at)) << 16U | get16(bytes, at + 2);
}
Bytes get_bytes(View bytes) {
  return Bytes(bytes.begin(), bytes.end());
}
MacAddress get_mac(View bytes, std::size_t at) {
  MacAddress mac;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), mac.bytes.size(), mac.bytes.begin());
  return mac;
}
IpAddress get_address(View bytes, std::size_t at, Family family) {
  if (family == Family::V4) {
    return IpAddress::v4(get32(bytes, at));
  }
  std::array<std::uint8_t, 16> address{};
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), address.size(), address.begin());
  return IpAddress::v6(address);
}

// --- The Internet checksum (RFC 1071) ---

// The ones' complement sum of the bytes as 16-bit words, an odd last byte padded with zero.
std::uint32_t add_words(std::uint32_t sum, View bytes) {
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    sum += get16(bytes, i);
    sum = (sum & 0xffffU) + (sum >> 16U);
  }
  if (bytes.size() % 2 == 1) {
    sum += static_cast<std::uint32_t>(bytes.back()) << 8U;
  }
  return (sum & 0xffffU) + (sum >> 16U);
}

std::uint16_t complement(std::uint32_t sum) {
  sum = (sum & 0xffffU) + (sum >> 16U);
  return static_cast<std::uint16_t>(~sum & 0xffffU);
}

// RFC 768 and RFC 8200, section 8.1.
std::uint32_t pseudo_header_sum(View source, View destination, std::uint8_t protocol,
                                std::size_t length) {
  std::uint32_t sum = add_words(add_words(0, source), destination);
  sum += protocol;
  sum += static_cast<std::uint32_t>(length);
  return (sum & 0xffffU) + (sum >> 16U);
}

std::uint32_t pseudo_header_sum(const IpPacket& packet, std::size_t length) {
  const std::size_t size = packet.family() == Family::V4 ? 4 : 16;
  return pseudo_header_sum(View(packet.source.bytes()).first(size),
                           View(packet.destination.bytes()).first(size), packet.protocol(), length);
}

// --- Values to bytes ---

void set_checksum(Bytes& transport, std::size_t at, std::uint32_t initial) {
  set16(transport, at, complement(add_words(initial, transport)));
}

Bytes encode_vxlan(const VxlanFrame& vxlan) {
  check(vxlan.vni.value <= kMaxVni, "a VNI has 24 bits");
  check(vxlan.inner != nullptr, "a frame is in the tunnel");
  Bytes out{kVxlanFlagI, 0, 0, 0};
  put32(out, vxlan.vni.value << 8U);
  put_bytes(out, encode(*vxlan.inner));
  return out;
}

Bytes encode_transport(const OpaqueTransport& opaque, const IpPacket&) {
  return opaque.bytes;
}

Bytes encode_transport(const UdpDatagram& datagram, const IpPacket& packet) {
  const auto* vxlan = std::get_if<VxlanFrame>(&datagram.payload);
  const Bytes payload = vxlan != nullptr ? encode_vxlan(*vxlan) : std::get<Bytes>(datagram.payload);
  Bytes out;
  put16(out, datagram.source_port);
  put16(out, datagram.destination_port);
  put16(out, kUdpHeader + payload.size());
  put16(out, 0);
  put_bytes(out, payload);
  if (datagram.has_checksum) {
    set_checksum(out, kUdpChecksumAt, pseudo_header_sum(packet, out.size()));
    if (get16(out, kUdpChecksumAt) == 0) {
      set16(out, kUdpChecksumAt, 0xffff);  // zero says that there is none
    }
  }
  return out;
}

Bytes encode_transport(const TcpSegment& segment, const IpPacket& packet) {
  const std::size_t words = (kTcpHeader + segment.options.size()) / 4;
  check(segment.options.size() % 4 == 0 && words <= kMaxTcpWords, "TCP options are whole words");
  Bytes out;
  put16(out, segment.source_port);
  put16(out, segment.destination_port);
  put32(out, segment.sequence);
  put32(out, segment.acknowledgment);
  put8(out, static_cast<std::uint8_t>(words << 4U));
  put8(out, segment.flags);
  put16(out, segment.window);
  put32(out, 0);  // checksum, urgent pointer
  put_bytes(out, segment.options);
  put_bytes(out, segment.payload);
  set_checksum(out, kTcpChecksumAt, pseudo_header_sum(packet, out.size()));
  return out;
}

// ICMPv6 has the pseudo header in its checksum (RFC 4443, section 2.3), ICMP has not.
void set_icmp_checksum(Bytes& message, const IpPacket& packet) {
  set_checksum(message, kIcmpChecksumAt,
               packet.family() == Family::V4 ? 0 : pseudo_header_sum(packet, message.size()));
}

Bytes encode_transport(const IcmpMessage& message, const IpPacket& packet) {
  Bytes out{message.type, message.code, 0, 0};
  put32(out, message.parameter);
  put_bytes(out, message.data);
  set_icmp_checksum(out, packet);
  return out;
}

Bytes encode_transport(const NdMessage& message, const IpPacket& packet) {
  check(packet.family() == Family::V6, "neighbour discovery is of IPv6");
  const bool solicits = message.kind == NdMessage::Kind::Solicit;
  Bytes out{solicits ? kNdSolicit : kNdAdvertise, 0, 0, 0};
  put32(out, static_cast<std::uint32_t>(message.flags) << 24U);
  put_address(out, message.target);
  if (message.link_layer) {
    constexpr std::uint8_t kEightBytes = 1;
    put8(out, solicits ? kNdSourceOption : kNdTargetOption);
    put8(out, kEightBytes);
    put_bytes(out, message.link_layer->bytes);
  }
  set_icmp_checksum(out, packet);
  return out;
}

Bytes encode_payload(const OpaqueFrame& opaque) {
  return opaque.bytes;
}

Bytes encode_payload(const ArpPacket& packet) {
  Bytes out;
  put16(out, kArpEthernet);
  put16(out, kEtherTypeIpv4);
  put8(out, 6);
  put8(out, 4);
  put16(out, packet.operation);
  put_bytes(out, packet.sender_mac.bytes);
  put_address(out, packet.sender);
  put_bytes(out, packet.target_mac.bytes);
  put_address(out, packet.target);
  return out;
}

Bytes encode_payload(const IpPacket& packet) {
  return encode(packet);
}

Bytes ipv4_header(const IpPacket& packet, std::size_t payload_size) {
  constexpr std::uint8_t kVersionAndWords = 0x45;
  constexpr std::size_t kHeaderChecksumAt = 10;
  check(packet.fragment_offset <= kFragmentOffset, "a fragment offset has 13 bits");
  Bytes out{kVersionAndWords, packet.tos};
  put16(out, kIpv4Header + payload_size);
  put16(out, packet.id);
  put16(out, static_cast<std::uint16_t>((packet.dont_fragment ? kDontFragment : 0U) |
                                        (packet.more_fragments ? kMoreFragments : 0U) |
                                        packet.fragment_offset));
  put8(out, packet.ttl);
  put8(out, packet.protocol());
  put16(out, 0);
  put_address(out, packet.source);
  put_address(out, packet.destination);
  set_checksum(out, kHeaderChecksumAt, 0);
  return out;
}

Bytes ipv6_header(const IpPacket& packet, std::size_t payload_size) {
  constexpr std::uint32_t kVersion = 6;
  Bytes out;
  put32(out, kVersion << 28U | static_cast<std::uint32_t>(packet.tos) << 20U | packet.flow_label);
  put16(out, payload_size);
  put8(out, packet.protocol());
  put8(out, packet.ttl);
  put_address(out, packet.source);
  put_address(out, packet.destination);
  return out;
}

// --- Bytes to values ---

// Every parser below takes what it is given at its word; whoever calls it keeps the result only if
// it encodes to the same bytes, and so need not look at each field that has only one good value.

bool is_tunnel_port(std::uint16_t port) {
  return port == kVxlanPort || port == kLinuxVxlanPort;
}

struct Reader {
  unsigned tunnels_left = kMaxTunnelDepth;

  [[nodiscard]] std::optional<EthernetFrame> frame(View bytes) const;
  [[nodiscard]] std::optional<DecodedPacket> packet(View bytes, Family family) const;
  [[nodiscard]] std::optional<VxlanFrame> vxlan(View bytes) const;
  [[nodiscard]] IpPacket::Payload transport(View bytes, const IpPacket& header) const;
  [[nodiscard]] std::optional<UdpDatagram> udp(View bytes) const;
};

std::optional<ArpPacket> parse_arp(View bytes) {
  if (bytes.size() < kArpPacket) {
    return std::nullopt;
  }
  return ArpPacket{.operation = get16(bytes, 6),
                   .sender_mac = get_mac(bytes, 8),
                   .sender = get_address(bytes, 14, Family::V4),
                   .target_mac = get_mac(bytes, 18),
                   .target = get_address(bytes, 24, Family::V4)};
}

std::optional<TcpSegment> parse_tcp(View bytes) {
  if (bytes.size() < kTcpHeader) {
    return std::nullopt;
  }
  const std::size_t header = std::size_t{bytes[12]} >> 4U << 2U;
  if (header < kTcpHeader || header > bytes.size()) {
    return std::nullopt;
  }
  return TcpSegment{.source_port = get16(bytes, 0),
                    .destination_port = get16(bytes, 2),
                    .sequence = get32(bytes, 4),
                    .acknowledgment = get32(bytes, 8),
                    .flags = bytes[13],
                    .window = get16(bytes, 14),
                    .options = get_bytes(bytes.subspan(kTcpHeader, header - kTcpHeader)),
                    .payload = get_bytes(bytes.subspan(header))};
}

std::optional<IcmpMessage> parse_icmp(View bytes) {
  if (bytes.size() < kIcmpHeader) {
    return std::nullopt;
  }
  return IcmpMessage{.type = bytes[0],
                     .code = bytes[1],
                     .parameter = get32(bytes, 4),
                     .data = get_bytes(bytes.subspan(kIcmpHeader))};
}

std::optional<NdMessage> parse_nd(View bytes) {
  constexpr std::size_t kTargetAt = 8;
  constexpr std::size_t kOptionAt = 24;
  constexpr std::size_t kOptionSize = 8;
  if (bytes.size() < kOptionAt || (bytes[0] != kNdSolicit && bytes[0] != kNdAdvertise)) {
    return std::nullopt;
  }
  NdMessage message{
      .kind = bytes[0] == kNdSolicit ? NdMessage::Kind::Solicit : NdMessage::Kind::Advertise,
      .flags = bytes[4],
      .target = get_address(bytes, kTargetAt, Family::V6)};
  if (bytes.size() >= kOptionAt + kOptionSize) {
    message.link_layer = get_mac(bytes, kOptionAt + 2);
  }
  return message;
}

bool same(const Bytes& bytes, View view) {
  return std::equal(bytes.begin(), bytes.end(), view.begin(), view.end());
}

std::optional<UdpDatagram> Reader::udp(View bytes) const {
  if (bytes.size() < kUdpHeader) {
    return std::nullopt;
  }
  UdpDatagram datagram{.source_port = get16(bytes, 0),
                       .destination_port = get16(bytes, 2),
                       .has_checksum = get16(bytes, kUdpChecksumAt) != 0};
  const View payload = bytes.subspan(kUdpHeader);
  datagram.payload = get_bytes(payload);
  if (is_tunnel_port(datagram.destination_port)) {
    if (std::optional<VxlanFrame> inner = vxlan(payload)) {
      datagram.payload = std::move(*inner);
    }
  }
  return datagram;
}

IpPacket::Payload Reader::transport(View bytes, const IpPacket& header) const {
  const std::uint8_t protocol = header.protocol();
  OpaqueTransport opaque{.protocol = protocol, .bytes = get_bytes(bytes)};
  const auto typed = [&](auto&& parsed) -> std::optional<IpPacket::Payload> {
    if (!parsed || !same(encode_transport(*parsed, header), bytes)) {
      return std::nullopt;
    }
    return IpPacket::Payload{std::move(*parsed)};
  };
  std::optional<IpPacket::Payload> payload;
  if (header.is_fragment()) {
    return opaque;
  }
  if (protocol == kProtocolUdp) {
    payload = typed(udp(bytes));
  } else if (protocol == kProtocolTcp) {
    payload = typed(parse_tcp(bytes));
  } else if (protocol == kProtocolIcmpv6 && header.family() == Family::V6) {
    payload = typed(parse_nd(bytes));
    payload = payload ? payload : typed(parse_icmp(bytes));
  } else if (protocol == kProtocolIcmp && header.family() == Family::V4) {
    payload = typed(parse_icmp(bytes));
  }
  return payload.value_or(std::move(opaque));
}

std::optional<VxlanFrame> Reader::vxlan(View bytes) const {
  if (tunnels_left == 0 || bytes.size() < kVxlanHeader ||
      !same({kVxlanFlagI, 0, 0, 0}, bytes.first(4)) || bytes[kVxlanHeader - 1] != 0) {
    return std::nullopt;
  }
  const Reader deeper{.tunnels_left = tunnels_left - 1};
  std::optional<EthernetFrame> inner = deeper.frame(bytes.subspan(kVxlanHeader));
  if (!inner) {
    return std::nullopt;
  }
  return VxlanFrame{.vni = Vni{get32(bytes, 4) >> 8U},
                    .inner = std::make_shared<const EthernetFrame>(std::move(*inner))};
}

std::optional<IpPacket> parse_ipv4(View bytes) {
  if (bytes.size() < kIpv4Header) {
    return std::nullopt;
  }
  const std::uint16_t fragment = get16(bytes, 6);
  return IpPacket{
      .source = get_address(bytes, 12, Family::V4),
      .destination = get_address(bytes, 16, Family::V4),
      .ttl = bytes[8],
      .tos = bytes[1],
      .id = get16(bytes, 4),
      .dont_fragment = (fragment & kDontFragment) != 0,
      .more_fragments = (fragment & kMoreFragments) != 0,
      .fragment_offset = static_cast<std::uint16_t>(fragment & kFragmentOffset),
      .payload = OpaqueTransport{.protocol = bytes[9]},
  };
}

std::optional<IpPacket> parse_ipv6(View bytes) {
  if (bytes.size() < kIpv6Header) {
    return std::nullopt;
  }
  const std::uint32_t first = get32(bytes, 0);
  return IpPacket{
      .source = get_address(bytes, 8, Family::V6),
      .destination = get_address(bytes, 24, Family::V6),
      .ttl = bytes[7],
      .tos = static_cast<std::uint8_t>((first >> 20U) & 0xffU),
      .flow_label = first & 0xfffffU,
      .payload = OpaqueTransport{.protocol = bytes[6]},
  };
}

std::optional<DecodedPacket> Reader::packet(View bytes, Family family) const {
  const bool v4 = family == Family::V4;
  const std::size_t header_size = v4 ? kIpv4Header : kIpv6Header;
  std::optional<IpPacket> packet = v4 ? parse_ipv4(bytes) : parse_ipv6(bytes);
  if (!packet) {
    return std::nullopt;
  }
  const std::size_t size = v4 ? get16(bytes, 2) : kIpv6Header + get16(bytes, 4);
  if (size < header_size || size > bytes.size()) {
    return std::nullopt;
  }
  const Bytes header =
      v4 ? ipv4_header(*packet, size - header_size) : ipv6_header(*packet, size - header_size);
  if (!same(header, bytes.first(header_size))) {
    return std::nullopt;
  }
  packet->payload = transport(bytes.subspan(header_size, size - header_size), *packet);
  return DecodedPacket{.packet = std::move(*packet), .trailer = get_bytes(bytes.subspan(size))};
}

std::optional<EthernetFrame> Reader::frame(View bytes) const {
  if (bytes.size() < kEthernetHeader) {
    return std::nullopt;
  }
  EthernetFrame frame{.destination = get_mac(bytes, 0), .source = get_mac(bytes, 6)};
  const std::uint16_t type = get16(bytes, 12);
  const View payload = bytes.subspan(kEthernetHeader);
  if (type == kEtherTypeIpv4 || type == kEtherTypeIpv6) {
    const Family family = type == kEtherTypeIpv4 ? Family::V4 : Family::V6;
    if (std::optional<DecodedPacket> decoded = packet(payload, family)) {
      frame.payload = std::move(decoded->packet);
      frame.trailer = std::move(decoded->trailer);
      return frame;
    }
  }
  if (type == kEtherTypeArp) {
    const std::optional<ArpPacket> arp = parse_arp(payload);
    if (arp && same(encode_payload(*arp), payload.first(kArpPacket))) {
      frame.payload = *arp;
      frame.trailer = get_bytes(payload.subspan(kArpPacket));
      return frame;
    }
  }
  frame.payload = OpaqueFrame{.ether_type = type, .bytes = get_bytes(payload)};
  return frame;
}

// --- Checksums left to the device ---

struct Transport {
  std::uint8_t protocol = 0;
  std::span<std::uint8_t> bytes;
  std::uint32_t pseudo_sum = 0;
};

// What is behind the IP header of a packet, if it is all there and whole.
std::optional<Transport> find_transport(std::span<std::uint8_t> packet, Family family) {
  const bool v4 = family == Family::V4;
  if (packet.size() < (v4 ? kIpv4Header : kIpv6Header)) {
    return std::nullopt;
  }
  const std::size_t header = v4 ? std::size_t{packet[0] & 0xfU} * 4 : kIpv6Header;
  const std::size_t size = v4 ? get16(packet, 2) : kIpv6Header + get16(packet, 4);
  const bool is_fragment = v4 && (get16(packet, 6) & (kMoreFragments | kFragmentOffset)) != 0;
  if (header < kIpv4Header || size < header || size > packet.size() || is_fragment) {
    return std::nullopt;
  }
  const View whole = packet;
  const std::uint8_t protocol = packet[v4 ? 9 : 6];
  return Transport{.protocol = protocol,
                   .bytes = packet.subspan(header, size - header),
                   .pseudo_sum = pseudo_header_sum(whole.subspan(v4 ? 12 : 8, v4 ? 4 : 16),
                                                   whole.subspan(v4 ? 16 : 24, v4 ? 4 : 16),
                                                   protocol, size - header)};
}

// Makes the checksums of a packet, of what it tunnels, and of what it quotes as an ICMP error.
struct ChecksumMaker {
  unsigned depth_left = kMaxTunnelDepth;

  void frame(std::span<std::uint8_t> bytes) const {
    if (bytes.size() < kEthernetHeader) {
      return;
    }
    const std::uint16_t type = get16(bytes, 12);
    if (type == kEtherTypeIpv4 || type == kEtherTypeIpv6) {
      packet(bytes.subspan(kEthernetHeader), type == kEtherTypeIpv4 ? Family::V4 : Family::V6);
    }
  }

  void packet(std::span<std::uint8_t> bytes, Family family) const {
    const std::optional<Transport> transport = find_transport(bytes, family);
    if (!transport) {
      return;
    }
    const std::size_t size = transport->bytes.size();
    if (transport->protocol == kProtocolUdp && size >= kUdpHeader) {
      udp(*transport);
    } else if (transport->protocol == kProtocolTcp && size >= kTcpHeader) {
      make(*transport, kTcpChecksumAt);
    } else if (transport->protocol == (family == Family::V4 ? kProtocolIcmp : kProtocolIcmpv6) &&
               size >= kIcmpHeader) {
      icmp(*transport, family);
    }
  }

 private:
  void udp(const Transport& transport) const {
    const std::span<std::uint8_t> bytes = transport.bytes;
    if (depth_left > 0 && is_tunnel_port(get16(bytes, 2)) &&
        bytes.size() >= kUdpHeader + kVxlanHeader) {
      ChecksumMaker{depth_left - 1}.frame(bytes.subspan(kUdpHeader + kVxlanHeader));
    }
    make(transport, kUdpChecksumAt);
  }

  // The quoted packet changes behind the back of a checksum that was right.
  void icmp(const Transport& transport, Family family) const {
    const std::span<std::uint8_t> bytes = transport.bytes;
    const std::uint32_t initial = family == Family::V4 ? 0 : transport.pseudo_sum;
    if (depth_left == 0 || complement(add_words(initial, bytes)) != 0) {
      return;
    }
    ChecksumMaker{depth_left - 1}.packet(bytes.subspan(kIcmpHeader), family);
    set16(bytes, kIcmpChecksumAt, 0);
    set16(bytes, kIcmpChecksumAt, complement(add_words(initial, bytes)));
  }

  static void make(const Transport& transport, std::size_t at) {
    const std::span<std::uint8_t> bytes = transport.bytes;
    const bool is_correct = complement(add_words(transport.pseudo_sum, bytes)) == 0;
    if (is_correct || get16(bytes, at) != transport.pseudo_sum) {
      return;
    }
    // The pseudo header's sum is in the field already, so it is part of the sum of the bytes.
    const std::uint16_t made = complement(add_words(0, bytes));
    set16(bytes, at, made == 0 && at == kUdpChecksumAt ? std::uint16_t{0xffff} : made);
  }
};

}  // namespace

Bytes encode(const IpPacket& packet) {
  check(packet.source.family() == packet.destination.family(), "a packet has one family");
  const Bytes payload = std::visit(
      [&](const auto& transport) { return encode_transport(transport, packet); }, packet.payload);
  Bytes out = packet.family() == Family::V4 ? ipv4_header(packet, payload.size())
                                            : ipv6_header(packet, payload.size());
  put_bytes(out, payload);
  return out;
}

Bytes encode(const EthernetFrame& frame) {
  Bytes out;
  put_bytes(out, frame.destination.bytes);
  put_bytes(out, frame.source.bytes);
  put16(out, frame.ether_type());
  put_bytes(out,
            std::visit([](const auto& payload) { return encode_payload(payload); }, frame.payload));
  put_bytes(out, frame.trailer);
  return out;
}

std::optional<EthernetFrame> decode_frame(View bytes) {
  return Reader{}.frame(bytes);
}

std::optional<DecodedPacket> decode_packet(View bytes, Family family) {
  return Reader{}.packet(bytes, family);
}

std::optional<VxlanFrame> decode_vxlan(View bytes) {
  return Reader{}.vxlan(bytes);
}

Bytes with_checksums_made(Bytes frame) {
  ChecksumMaker{}.frame(frame);
  return frame;
}

}  // namespace vxmesh
