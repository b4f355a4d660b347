// Frames and packets as values that carry headers: what the fake data plane moves about.
//
// A value says what is in the headers; lengths and checksums follow from it and are made by
// packet_codec.h, which also keeps what has no type here as bytes.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/ip_address.h"
#include "model/mac_address.h"
#include "model/vni.h"

namespace vxmesh {

using Bytes = std::vector<std::uint8_t>;

// EtherTypes (linux/if_ether.h).
inline constexpr std::uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr std::uint16_t kEtherTypeArp = 0x0806;
inline constexpr std::uint16_t kEtherTypeIpv6 = 0x86dd;

// Protocols above IP (linux/in.h, linux/in6.h).
inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;
inline constexpr std::uint8_t kProtocolIcmpv6 = 58;

// IANA's port of VXLAN (RFC 7348, section 5), and the one that Linux takes if none is said
// (vxlan_port).
inline constexpr std::uint16_t kVxlanPort = 4789;
inline constexpr std::uint16_t kLinuxVxlanPort = 8472;

// ARP of IPv4 over Ethernet (RFC 826).
struct ArpPacket {
  static constexpr std::uint16_t kRequest = 1;
  static constexpr std::uint16_t kReply = 2;

  std::uint16_t operation = kRequest;
  MacAddress sender_mac;
  IpAddress sender;
  MacAddress target_mac;
  IpAddress target;

  friend bool operator==(const ArpPacket&, const ArpPacket&) = default;
};

struct EthernetFrame;

// A frame inside a tunnel (RFC 7348), with the I flag and nothing else in the header.
struct VxlanFrame {
  Vni vni;
  std::shared_ptr<const EthernetFrame> inner;  // never null

  // The inner frames are compared, not where they lie.
  friend bool operator==(const VxlanFrame& a, const VxlanFrame& b);
};

struct UdpDatagram {
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  bool has_checksum = true;  // absent is sent as zero
  std::variant<Bytes, VxlanFrame> payload;

  friend bool operator==(const UdpDatagram&, const UdpDatagram&) = default;
};

// Without an urgent pointer.
struct TcpSegment {
  static constexpr std::uint8_t kFin = 0x01;
  static constexpr std::uint8_t kSyn = 0x02;
  static constexpr std::uint8_t kReset = 0x04;
  static constexpr std::uint8_t kPush = 0x08;
  static constexpr std::uint8_t kAck = 0x10;

  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  std::uint8_t flags = 0;
  std::uint16_t window = 0;
  Bytes options;  // padded: whole words, ten at most
  Bytes payload;

  friend bool operator==(const TcpSegment&, const TcpSegment&) = default;
};

// ICMP or ICMPv6, by the family of the packet that it is in.
struct IcmpMessage {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t parameter = 0;  // the four bytes behind the checksum: identifier, MTU and so on
  Bytes data;                   // of an error: the packet that it is about

  friend bool operator==(const IcmpMessage&, const IcmpMessage&) = default;
};

// A neighbour solicitation or advertisement (RFC 4861, section 4.3 and 4.4).
struct NdMessage {
  static constexpr std::uint8_t kRouter = 0x80;
  static constexpr std::uint8_t kSolicited = 0x40;
  static constexpr std::uint8_t kOverride = 0x20;

  enum class Kind : std::uint8_t { Solicit, Advertise };
  Kind kind = Kind::Solicit;
  std::uint8_t flags = 0;  // of an advertisement
  IpAddress target;        // IPv6
  // The option with the sender's address, source or target by `kind`.
  std::optional<MacAddress> link_layer;

  friend bool operator==(const NdMessage&, const NdMessage&) = default;
};

// What is behind an IP header and has no type, or does not keep to it.
struct OpaqueTransport {
  std::uint8_t protocol = 0;  // of IPv6: the next header
  Bytes bytes;

  friend bool operator==(const OpaqueTransport&, const OpaqueTransport&) = default;
};

// Without IPv4 options; IPv6 extension headers are opaque.
struct IpPacket {
  using Payload = std::variant<OpaqueTransport, UdpDatagram, TcpSegment, IcmpMessage, NdMessage>;

  IpAddress source;
  IpAddress destination;  // of the family of `source`
  std::uint8_t ttl = 64;  // IPv6: hop limit
  std::uint8_t tos = 0;   // IPv6: traffic class; the lower two bits are ECN
  // IPv4 only.
  std::uint16_t id = 0;
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  // in units of eight bytes
  // IPv6 only, 20 bits.
  std::uint32_t flow_label = 0;
  Payload payload;

  [[nodiscard]] Family family() const { return source.family(); }
  // A part of a larger packet; its payload is opaque.
  [[nodiscard]] bool is_fragment() const { return more_fragments || fragment_offset != 0; }
  [[nodiscard]] std::uint8_t protocol() const;

  friend bool operator==(const IpPacket&, const IpPacket&) = default;
};

struct OpaqueFrame {
  std::uint16_t ether_type = 0;
  Bytes bytes;

  friend bool operator==(const OpaqueFrame&, const OpaqueFrame&) = default;
};

struct EthernetFrame {
  using Payload = std::variant<OpaqueFrame, ArpPacket, IpPacket>;

  MacAddress destination;
  MacAddress source;
  Payload payload;
  Bytes trailer;  // padding behind what the payload says of its own length

  [[nodiscard]] std::uint16_t ether_type() const;

  friend bool operator==(const EthernetFrame&, const EthernetFrame&) = default;
};

inline constexpr MacAddress kBroadcastMac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// The group bit; broadcast has it too.
[[nodiscard]] constexpr bool is_multicast(const MacAddress& mac) {
  return (mac.bytes[0] & 1U) != 0;
}

// The bytes that encode() would make, counted.
[[nodiscard]] std::size_t size_on_wire(const EthernetFrame& frame);
[[nodiscard]] std::size_t size_on_wire(const IpPacket& packet);

// The group that an IPv6 address is solicited at (RFC 4291, section 2.7.1), and the MAC of an IPv6
// group (RFC 2464, section 7).
[[nodiscard]] IpAddress solicited_node_group(const IpAddress& address);
[[nodiscard]] MacAddress multicast_mac(const IpAddress& group);

// Where a UDP packet goes to, also one whose datagram is opaque; none of a later fragment.
[[nodiscard]] std::optional<std::uint16_t> udp_destination_port(const IpPacket& packet);

// One line each, like tcpdump's:
// "00:53:64:60:02:00 > 00:53:64:60:01:00, 10.0.0.1 > 10.0.0.2: UDP 40000 > 9, 5 bytes".
[[nodiscard]] std::string format(const ArpPacket& packet);
[[nodiscard]] std::string format(const IpPacket& packet);
[[nodiscard]] std::string format(const EthernetFrame& frame);

}  // namespace vxmesh
