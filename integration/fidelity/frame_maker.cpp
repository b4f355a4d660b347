#include "integration/fidelity/frame_maker.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "sim/kernel/packet_codec.h"

namespace vxmesh::fidelity {
namespace {

// IEEE 802, local experimental: nobody takes notice of such a frame.
constexpr std::uint16_t kExperiment = 0x88b5;
constexpr std::uint16_t kSentinel = 0x88b6;
constexpr std::uint16_t kDiscard = 9;
constexpr std::uint8_t kHopLimit = 255;  // RFC 4861: else it has been forwarded, and is ignored
constexpr std::uint8_t kEchoRequest = 8;
constexpr std::uint8_t kEchoRequestV6 = 128;

// The group that an address is solicited in, and the MAC of that group (RFC 4291, RFC 2464).
IpAddress solicited_group(const IpAddress& target) {
  std::array<std::uint8_t, 16> bytes{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  std::copy(target.bytes().begin() + 13, target.bytes().end(), bytes.begin() + 13);
  return IpAddress::v6(bytes);
}

MacAddress group_mac(const IpAddress& group) {
  const auto& bytes = group.bytes();
  return MacAddress{{0x33, 0x33, bytes[12], bytes[13], bytes[14], bytes[15]}};
}

bool has_address(const StateView& state, const IpAddress& address) {
  return std::any_of(state.addresses.begin(), state.addresses.end(),
                     [&](const auto* record) { return record->address.address == address; });
}

// The vxlan that takes a datagram to this address, port and VNI.
const Link* tunnel_of(const StateView& state, const IpPacket& packet, const UdpDatagram& datagram) {
  const auto* tunnelled = std::get_if<VxlanFrame>(&datagram.payload);
  for (const LinkRecord* record : state.links) {
    const Link& link = record->link;
    if (tunnelled != nullptr && link.vxlan && link.up && link.vxlan->vni == tunnelled->vni &&
        link.vxlan->port == datagram.destination_port && has_address(state, packet.destination)) {
      return &link;
    }
  }
  return nullptr;
}

}  // namespace

const Link* peer_of(const Link& link, const StateView& state) {
  for (const LinkRecord* record : state.links) {
    if (record->link.index == link.index && link.kind == "veth" && record->lower) {
      return state.link(*record->lower);
    }
  }
  return nullptr;
}

std::optional<Heard> heard_by(const Inject& action, const StateView& state) {
  const Link* sender = state.link(action.device);
  const Link* receiver = sender != nullptr && sender->up ? peer_of(*sender, state) : nullptr;
  std::optional<EthernetFrame> frame = decode_frame(action.frame);
  if (receiver == nullptr || !receiver->up || receiver->master || !frame) {
    return std::nullopt;
  }
  if (const auto* packet = std::get_if<IpPacket>(&frame->payload)) {
    const auto* datagram = std::get_if<UdpDatagram>(&packet->payload);
    const Link* tunnel = datagram != nullptr ? tunnel_of(state, *packet, *datagram) : nullptr;
    if (tunnel != nullptr && !tunnel->master && frame->destination == receiver->mac) {
      const EthernetFrame inner = *std::get<VxlanFrame>(datagram->payload).inner;
      return Heard{.device = tunnel->index, .frame = inner};
    }
  }
  return Heard{.device = receiver->index, .frame = *std::move(frame)};
}

const Link* FrameMaker::draw_link(bool veth_only) const {
  std::vector<const Link*> veths;
  std::vector<const Link*> others;
  for (const LinkRecord* record : state_.links) {
    if (record->link.up && !record->link.kind.empty()) {
      (record->link.kind == "veth" ? veths : others).push_back(&record->link);
    }
  }
  if (!veths.empty() && (veth_only || others.empty() || draw_.chance(75))) {
    return draw_.of(veths);
  }
  return others.empty() || veth_only ? nullptr : draw_.of(others);
}

IpAddress FrameMaker::own_address(const Link* receiver, Family family) const {
  std::vector<IpAddress> own;
  for (const AddressRecord* record : state_.addresses) {
    if (record->address.address.family() == family &&
        (receiver == nullptr || record->address.device == receiver->index || draw_.chance(30))) {
      own.push_back(record->address.address);
    }
  }
  return own.empty() || draw_.chance(20) ? draw_.of(pool::addresses(family)) : draw_.of(own);
}

EthernetFrame FrameMaker::addressed(const Link* receiver, EthernetFrame::Payload payload) const {
  EthernetFrame frame{.destination = kBroadcastMac,
                      .source = draw_.of(pool::macs()),
                      .payload = std::move(payload),
                      .trailer = {}};
  if (receiver != nullptr && draw_.chance(60)) {
    frame.destination = receiver->mac;
  } else if (draw_.chance(50)) {
    frame.destination = draw_.of(pool::macs());
  }
  return frame;
}

EthernetFrame FrameMaker::arp(const Link* receiver) const {
  ArpPacket arp{.operation = draw_.chance(50) ? ArpPacket::kRequest : ArpPacket::kReply,
                .sender_mac = draw_.of(pool::macs()),
                .sender = draw_.of(pool::addresses(Family::V4)),
                .target_mac = {},
                .target = own_address(receiver, Family::V4)};
  if (draw_.chance(10)) {
    arp.target = arp.sender;
  }
  if (receiver != nullptr && arp.operation == ArpPacket::kReply) {
    arp.target_mac = receiver->mac;
  }
  EthernetFrame frame = addressed(receiver, arp);
  frame.source = draw_.chance(95) ? arp.sender_mac : frame.source;
  return frame;
}

EthernetFrame FrameMaker::discovery(const Link* receiver) const {
  const MacAddress mac = draw_.of(pool::macs());
  const bool solicits = draw_.chance(40);
  NdMessage message{.kind = solicits ? NdMessage::Kind::Solicit : NdMessage::Kind::Advertise,
                    .flags = 0,
                    .target = own_address(receiver, Family::V6),
                    .link_layer = mac};
  IpPacket packet{.source = draw_.of(pool::addresses(Family::V6)),
                  .destination = solicited_group(message.target),
                  .ttl = kHopLimit,
                  .payload = message};
  EthernetFrame frame = addressed(receiver, packet);
  frame.source = mac;
  if (solicits) {
    if (draw_.chance(60)) {
      frame.destination = group_mac(packet.destination);
    } else {
      packet.destination = message.target;
    }
    if (draw_.chance(15)) {
      message.link_layer.reset();
    }
  } else {
    constexpr std::uint8_t kFlags[] = {NdMessage::kSolicited, NdMessage::kOverride,
                                       NdMessage::kSolicited | NdMessage::kOverride, 0,
                                       NdMessage::kRouter};
    message.flags = draw_.of(kFlags);
    message.target = draw_.of(pool::addresses(Family::V6));
    packet.destination = own_address(receiver, Family::V6);
    if (draw_.chance(15)) {
      message.link_layer.reset();
    }
  }
  packet.payload = message;
  frame.payload = packet;
  return frame;
}

EthernetFrame FrameMaker::packet(const Link* receiver) const {
  const Family family = draw_.chance(60) ? Family::V4 : Family::V6;
  IpPacket packet{.source = draw_.of(pool::addresses(family)),
                  .destination = draw_.chance(70) ? own_address(receiver, family)
                                                  : draw_.of(pool::addresses(family))};
  packet.ttl = draw_.chance(90) ? std::uint8_t{64} : std::uint8_t{1};
  if (draw_.chance(50)) {
    packet.payload = IcmpMessage{.type = family == Family::V4 ? kEchoRequest : kEchoRequestV6,
                                 .parameter = 0x10001};
  } else {
    packet.payload =
        UdpDatagram{.source_port = 40000, .destination_port = kDiscard, .payload = Bytes{'x'}};
  }
  return addressed(receiver, packet);
}

EthernetFrame FrameMaker::inner(const Link* receiver) const {
  const std::uint64_t drawn = draw_.prng.below(100);
  return drawn < 35   ? arp(receiver)
         : drawn < 60 ? discovery(receiver)
         : drawn < 88
             ? packet(receiver)
             : addressed(receiver, OpaqueFrame{.ether_type = kExperiment, .bytes = Bytes(46)});
}

std::optional<EthernetFrame> FrameMaker::tunnelled(const Link& receiver) const {
  std::vector<const Link*> tunnels;
  for (const LinkRecord* record : state_.links) {
    if (record->link.vxlan && record->link.vxlan->local) {
      tunnels.push_back(&record->link);
    }
  }
  if (tunnels.empty()) {
    return std::nullopt;
  }
  const Link& tunnel = *draw_.of(tunnels);
  const IpAddress& local = *tunnel.vxlan->local;
  const Vni vni = draw_.chance(92) ? tunnel.vxlan->vni : Vni{7};
  const IpPacket packet{
      .source = draw_.of(pool::destinations(local.family())),
      .destination = local,
      .payload =
          UdpDatagram{.source_port = 40000,
                      .destination_port = tunnel.vxlan->port,
                      .payload = VxlanFrame{
                          .vni = vni, .inner = std::make_shared<EthernetFrame>(inner(&tunnel))}}};
  return EthernetFrame{.destination = receiver.mac,
                       .source = draw_.of(pool::macs()),
                       .payload = packet,
                       .trailer = {}};
}

Inject FrameMaker::inject() const {
  const Link* link = draw_link(false);
  if (link == nullptr) {
    return {.device = IfIndex{1}, .frame = encode(inner(nullptr))};
  }
  const Link* receiver = peer_of(*link, state_);
  if (receiver != nullptr && draw_.chance(50)) {
    if (const auto frame = tunnelled(*receiver)) {
      return {.device = link->index, .frame = encode(*frame)};
    }
  }
  return {.device = link->index, .frame = encode(inner(receiver))};
}

Inject FrameMaker::resolve(Family family) const {
  const Link* link = draw_link(true);
  const Link* receiver = link != nullptr ? peer_of(*link, state_) : nullptr;
  return {.device = link != nullptr ? link->index : IfIndex{1},
          .frame = encode(family == Family::V4 ? arp(receiver) : discovery(receiver))};
}

std::optional<Inject> FrameMaker::sentinel(IfIndex device) const {
  const Link* link = state_.link(device);
  const Link* peer = link != nullptr ? peer_of(*link, state_) : nullptr;
  if (peer == nullptr || !peer->up || !link->up) {
    return std::nullopt;
  }
  const EthernetFrame frame{.destination = link->mac,
                            .source = peer->mac,
                            .payload = OpaqueFrame{.ether_type = kSentinel, .bytes = Bytes(46)},
                            .trailer = {}};
  return Inject{.device = peer->index, .frame = encode(frame)};
}

}  // namespace vxmesh::fidelity
