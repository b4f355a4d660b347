// Packets as values: what the codec promises for any value and for any bytes, and bytes that Linux
// made.
#include "sim/kernel/packet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <string_view>

#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}
MacAddress mac(std::string_view text) {
  return MacAddress::parse(text).value();
}

Bytes bytes_of(std::string_view hex) {
  const auto digit = [](char c) {
    return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(digit(hex[i]) << 4U | digit(hex[i + 1])));
  }
  return bytes;
}

// --- Any value ---

Bytes any_bytes(int max) {
  const auto size = static_cast<std::size_t>(*rc::gen::inRange(0, max));
  return *rc::gen::container<Bytes>(size, rc::gen::arbitrary<std::uint8_t>());
}

MacAddress any_mac() {
  return MacAddress{
      *rc::gen::container<std::array<std::uint8_t, 6>>(rc::gen::arbitrary<std::uint8_t>())};
}

IpAddress any_address(Family family) {
  return family == Family::V4 ? IpAddress::v4(*rc::gen::arbitrary<std::uint32_t>())
                              : IpAddress::v6(*rc::gen::container<std::array<std::uint8_t, 16>>(
                                    rc::gen::arbitrary<std::uint8_t>()));
}

template <typename Integer>
Integer any() {
  return *rc::gen::arbitrary<Integer>();
}

EthernetFrame any_frame(int tunnels);

UdpDatagram any_datagram(int tunnels) {
  UdpDatagram datagram{.source_port = any<std::uint16_t>(),
                       .destination_port = 9,
                       .has_checksum = any<bool>(),
                       .payload = any_bytes(40)};
  if (tunnels > 0 && any<bool>()) {
    datagram.destination_port = kVxlanPort;
    datagram.payload =
        VxlanFrame{.vni = Vni{*rc::gen::inRange<std::uint32_t>(0, kMaxVni + 1)},
                   .inner = std::make_shared<const EthernetFrame>(any_frame(tunnels - 1))};
  }
  return datagram;
}

NdMessage any_nd() {
  NdMessage message{.kind = *rc::gen::element(NdMessage::Kind::Solicit, NdMessage::Kind::Advertise),
                    .flags = any<std::uint8_t>(),
                    .target = any_address(Family::V6)};
  if (any<bool>()) {
    message.link_layer = any_mac();
  }
  return message;
}

IpPacket::Payload any_payload(Family family, int tunnels) {
  switch (*rc::gen::inRange(0, family == Family::V4 ? 4 : 5)) {
    case 0: return any_datagram(tunnels);
    case 1:
      return TcpSegment{.source_port = any<std::uint16_t>(),
                        .destination_port = any<std::uint16_t>(),
                        .sequence = any<std::uint32_t>(),
                        .acknowledgment = any<std::uint32_t>(),
                        .flags = any<std::uint8_t>(),
                        .window = any<std::uint16_t>(),
                        .options = Bytes(*rc::gen::inRange<std::size_t>(0, 11) * 4, 1),
                        .payload = any_bytes(20)};
    case 2:
      return IcmpMessage{.type = *rc::gen::inRange<std::uint8_t>(0, 130),
                         .code = any<std::uint8_t>(),
                         .parameter = any<std::uint32_t>(),
                         .data = any_bytes(60)};
    case 3: return OpaqueTransport{.protocol = 47, .bytes = any_bytes(30)};
    default: return any_nd();
  }
}

IpPacket any_packet(int tunnels) {
  const Family family = *rc::gen::element(Family::V4, Family::V6);
  IpPacket packet{.source = any_address(family),
                  .destination = any_address(family),
                  .ttl = any<std::uint8_t>(),
                  .tos = any<std::uint8_t>(),
                  .payload = any_payload(family, tunnels)};
  if (family == Family::V6) {
    packet.flow_label = *rc::gen::inRange<std::uint32_t>(0, 1U << 20U);
    return packet;
  }
  packet.id = any<std::uint16_t>();
  packet.dont_fragment = any<bool>();
  if (*rc::gen::inRange(0, 8) == 7) {
    packet.more_fragments = any<bool>();
    packet.fragment_offset = *rc::gen::inRange<std::uint16_t>(1, 1U << 13U);
    packet.payload = OpaqueTransport{.protocol = kProtocolUdp, .bytes = any_bytes(30)};
  }
  return packet;
}

EthernetFrame any_frame(int tunnels) {
  EthernetFrame frame{.destination = any_mac(), .source = any_mac()};
  switch (*rc::gen::inRange(0, 6)) {
    case 0: frame.payload = OpaqueFrame{.ether_type = 0x88cc, .bytes = any_bytes(50)}; return frame;
    case 1:
      frame.payload = ArpPacket{.operation = any<std::uint16_t>(),
                                .sender_mac = any_mac(),
                                .sender = any_address(Family::V4),
                                .target_mac = any_mac(),
                                .target = any_address(Family::V4)};
      break;
    default: frame.payload = any_packet(tunnels);
  }
  frame.trailer = any_bytes(4);
  return frame;
}

RC_GTEST_PROP(PacketCodec, ReadsWhatItWrote, ()) {
  const EthernetFrame frame = any_frame(2);
  const std::optional<EthernetFrame> read = decode_frame(encode(frame));
  RC_ASSERT(read.has_value());
  RC_ASSERT(format(*read) == format(frame));
  RC_ASSERT(*read == frame);
}

// --- Any bytes ---

// Reading must not fail a check, and must lose nothing.
void read_and_write_again(const Bytes& bytes) {
  const std::optional<EthernetFrame> frame = decode_frame(bytes);
  RC_ASSERT(frame.has_value() == (bytes.size() >= 14));
  if (frame) {
    RC_ASSERT(encode(*frame) == bytes);
    RC_ASSERT(!format(*frame).empty());
  }
  RC_ASSERT(with_checksums_made(bytes).size() == bytes.size());
}

RC_GTEST_PROP(PacketCodec, NoiseStaysAsItIs, ()) {
  Bytes bytes = any_bytes(120);
  if (bytes.size() >= 14) {  // so that the parsers see it
    const std::uint16_t type = *rc::gen::element(kEtherTypeArp, kEtherTypeIpv4, kEtherTypeIpv6);
    bytes[12] = static_cast<std::uint8_t>(type >> 8U);
    bytes[13] = static_cast<std::uint8_t>(type & 0xffU);
  }
  read_and_write_again(bytes);
}

RC_GTEST_PROP(PacketCodec, DamagedFramesStayAsTheyAre, ()) {
  Bytes bytes = encode(any_frame(2));
  const int changes = *rc::gen::inRange(0, 4);
  for (int i = 0; i < changes; ++i) {
    bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] = any<std::uint8_t>();
  }
  bytes.resize(*rc::gen::inRange<std::size_t>(0, bytes.size() + 1));
  read_and_write_again(bytes);
}

TEST(PacketCodec, TunnelsInTunnelsAreReadToALimit) {
  EthernetFrame frame{.payload = OpaqueFrame{.ether_type = 0x88cc}};
  for (int i = 0; i < 100; ++i) {
    const UdpDatagram datagram{
        .destination_port = kVxlanPort,
        .payload =
            VxlanFrame{.vni = Vni{1}, .inner = std::make_shared<const EthernetFrame>(frame)}};
    frame = EthernetFrame{.payload = IpPacket{.payload = datagram}};
  }
  const Bytes bytes = encode(frame);
  const std::optional<EthernetFrame> read = decode_frame(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_NE(*read, frame);
  EXPECT_EQ(encode(*read), bytes);
}

// --- Linux's bytes (6.18, veth and vxlan, captured with a packet socket) ---

// A UDP datagram "hello" to port 9 of 100.96.2.5, in VXLAN 1; the inner checksum is not made.
constexpr std::string_view kEncapsulated =
    "02000000000296a23cf9e126080045000053345800004011322e0a0900010a0900028715"
    "12b5003f9a0e080000000000010000536460020000530a60010008004500002162"
    "6d400040110c9a6460010064600205939e0009000dcbe368656c6c6f";

EthernetFrame encapsulated() {
  const IpPacket inner{
      .source = ip("100.96.1.0"),
      .destination = ip("100.96.2.5"),
      .id = 0x626d,
      .dont_fragment = true,
      .payload = UdpDatagram{
          .source_port = 37790, .destination_port = 9, .payload = Bytes{'h', 'e', 'l', 'l', 'o'}}};
  const EthernetFrame inner_frame{.destination = mac("00:53:64:60:02:00"),
                                  .source = mac("00:53:0a:60:01:00"),
                                  .payload = inner};
  const UdpDatagram outer{
      .source_port = 34581,
      .destination_port = kVxlanPort,
      .payload =
          VxlanFrame{.vni = Vni{1}, .inner = std::make_shared<const EthernetFrame>(inner_frame)}};
  return EthernetFrame{
      .destination = mac("02:00:00:00:00:02"),
      .source = mac("96:a2:3c:f9:e1:26"),
      .payload = IpPacket{
          .source = ip("10.9.0.1"), .destination = ip("10.9.0.2"), .id = 0x3458, .payload = outer}};
}

TEST(PacketCodec, ReadsWhatLinuxEncapsulated) {
  const std::optional<EthernetFrame> read =
      decode_frame(with_checksums_made(bytes_of(kEncapsulated)));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(format(*read), format(encapsulated()));
  EXPECT_EQ(*read, encapsulated());
}

TEST(PacketCodec, LinuxMadeTheOuterChecksumForAnInnerOneToCome) {
  Bytes made = bytes_of(kEncapsulated);
  const std::size_t inner_checksum_at = made.size() - 7;
  const Bytes correct = encode(encapsulated());
  ASSERT_NE(made, correct);
  made[inner_checksum_at] = correct[inner_checksum_at];
  made[inner_checksum_at + 1] = correct[inner_checksum_at + 1];
  EXPECT_EQ(made, correct);
}

TEST(PacketCodec, AChecksumThatIsWrongIsNotMadeRight) {
  Bytes bytes = encode(encapsulated());
  bytes.back() ^= 1U;
  EXPECT_EQ(with_checksums_made(bytes), bytes);
  const std::optional<EthernetFrame> read = decode_frame(bytes);
  ASSERT_TRUE(read.has_value());
  const auto* packet = std::get_if<IpPacket>(&read->payload);
  ASSERT_NE(packet, nullptr);
  EXPECT_TRUE(std::holds_alternative<OpaqueTransport>(packet->payload));
  EXPECT_EQ(udp_destination_port(*packet), kVxlanPort);
}

TEST(PacketCodec, AVxlanHeaderWithMoreThanTheIFlagIsNone) {
  const Bytes inner = encode(EthernetFrame{.payload = OpaqueFrame{.ether_type = 0x88cc}});
  const auto with_header = [&](Bytes header) {
    header.insert(header.end(), inner.begin(), inner.end());
    return header;
  };
  EXPECT_TRUE(decode_vxlan(with_header({8, 0, 0, 0, 0, 0, 1, 0})).has_value());
  EXPECT_FALSE(decode_vxlan(with_header({0, 0, 0, 0, 0, 0, 1, 0})).has_value());
  EXPECT_FALSE(decode_vxlan(with_header({0x88, 0, 0, 0, 0, 0, 1, 0})).has_value());
  EXPECT_FALSE(decode_vxlan(with_header({8, 0, 0, 1, 0, 0, 1, 0})).has_value());
  EXPECT_FALSE(decode_vxlan(with_header({8, 0, 0, 0, 0, 0, 1, 1})).has_value());
  EXPECT_FALSE(decode_vxlan(Bytes{8, 0, 0, 0, 0, 0, 1, 0}).has_value());
}

TEST(PacketFormat, SaysWhatIsInside) {
  EXPECT_EQ(format(encapsulated()),
            "96:a2:3c:f9:e1:26 > 02:00:00:00:00:02, 10.9.0.1 > 10.9.0.2: UDP 34581 > 4789, VXLAN "
            "1: 00:53:0a:60:01:00 > 00:53:64:60:02:00, 100.96.1.0 > 100.96.2.5: UDP 37790 > 9, 5 "
            "bytes");
  const NdMessage advertisement{.kind = NdMessage::Kind::Advertise,
                                .flags = NdMessage::kSolicited | NdMessage::kOverride,
                                .target = ip("fd00:96:2::5"),
                                .link_layer = mac("00:53:64:60:02:00")};
  EXPECT_EQ(format(IpPacket{.source = ip("fd00:96:2::5"),
                            .destination = ip("fd00:96:1::1"),
                            .ttl = 255,
                            .payload = advertisement}),
            "fd00:96:2::5 > fd00:96:1::1 ttl 255: ND is at fd00:96:2::5: 00:53:64:60:02:00 "
            "solicited override");
}

}  // namespace
}  // namespace vxmesh
