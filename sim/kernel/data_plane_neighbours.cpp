// The data plane's ARP and neighbour discovery (net/ipv4/arp.c, net/ipv6/ndisc.c): what is heard
// and what is said. What it does to the table is the table's business.
#include <utility>

#include "sim/kernel/data_plane.h"
#include "sim/kernel/not_modelled.h"

namespace vxmesh {
namespace {

constexpr IfIndex kLoopback{1};
constexpr std::uint8_t kNdHopLimit = 255;
constexpr IpAddress kAllNodes = IpAddress::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});

bool is_loopback(const IpAddress& address) {
  return address.bytes()[0] == 127;
}

bool is_solicited_node_group(const IpAddress& address) {
  return address.is_multicast() && solicited_node_group(address) == address;
}

RouteRecord straight_out_of(IfIndex device) {
  RouteRecord route;
  route.route.device = device;
  return route;
}

}  // namespace

// --- ARP ---

// arp_rcv, arp_process
void DataPlane::take_arp(const Arrived& arrived, const ArpPacket& arp) {
  const IfIndex device = arrived.device;
  const bool is_request = arp.operation == ArpPacket::kRequest;
  const bool is_reply = arp.operation == ArpPacket::kReply;
  if (device == kLoopback || tables_.link(device)->link.no_arp || !speaks(device, Family::V4) ||
      arrived.cast == Cast::OtherHost || (!is_request && !is_reply) || arp.target.is_multicast() ||
      is_loopback(arp.target)) {
    return;
  }
  if (arp.sender == IpAddress()) {  // duplicate address detection (RFC 2131)
    if (is_request && is_local(arp.target)) {
      reply_arp(device, arp);
    }
    return;
  }
  NeighbourEffects effects;
  const NeighbourDevice here = tables_.neighbour_device(device);
  if (is_request && asks_for_us(device, arp)) {
    const bool known =
        tables_.neighbours().arp_request_for_us(here, arp.sender, arp.sender_mac, now_, effects);
    tables_.take(effects);
    if (known) {
      reply_arp(device, arp);
    }
    return;
  }
  const bool gratuitous = arp.sender == arp.target &&
                          (is_request || arp.target_mac == arp.sender_mac) &&
                          here.type_of(arp.sender) == RouteType::Unicast;
  const bool confirms = is_reply && arrived.cast == Cast::Host;
  tables_.neighbours().arp_other(here, arp.sender, arp.sender_mac, confirms, gratuitous, now_,
                                 effects);
  tables_.take(effects);
}

// ip_route_input_slow, as it judges an ARP request
bool DataPlane::asks_for_us(IfIndex device, const ArpPacket& request) const {
  constexpr IpAddress kLimitedBroadcast = IpAddress::v4(0xffffffff);
  const IpAddress& sender = request.sender;
  if (sender.is_multicast() || sender == kLimitedBroadcast || sender.bytes()[0] == 0 ||
      is_loopback(sender)) {
    return false;
  }
  return is_local(request.target) && check_source(sender, device, std::nullopt).good;
}

void DataPlane::reply_arp(IfIndex device, const ArpPacket& request) {
  const MacAddress& own = tables_.link(device)->link.mac;
  const ArpPacket reply{.operation = ArpPacket::kReply,
                        .sender_mac = own,
                        .sender = request.target,
                        .target_mac = request.sender_mac,
                        .target = request.sender};
  (void)transmit(device, std::make_shared<const EthernetFrame>(EthernetFrame{
                             .destination = request.sender_mac, .source = own, .payload = reply}));
}

// arp_solicit
void DataPlane::solicit_arp(const Solicitation& wanted) {
  const LinkRecord* link = tables_.link(wanted.device);
  if (link == nullptr) {
    return;
  }
  std::optional<IpAddress> source;
  if (wanted.because_of != nullptr && wanted.because_of->family() == Family::V4 &&
      is_local(wanted.because_of->source)) {
    source = wanted.because_of->source;
  } else {
    source = select_ipv4(wanted.device, wanted.target, kScopeLink);
  }
  const ArpPacket request{.operation = ArpPacket::kRequest,
                          .sender_mac = link->link.mac,
                          .sender = source.value_or(IpAddress()),
                          .target_mac = {},
                          .target = wanted.target};
  (void)transmit(wanted.device, std::make_shared<const EthernetFrame>(
                                    EthernetFrame{.destination = wanted.to.value_or(kBroadcastMac),
                                                  .source = link->link.mac,
                                                  .payload = request}));
}

// --- Neighbour discovery ---

// ndisc_rcv, ndisc_recv_na
void DataPlane::take_nd(const Incoming& in, const NdMessage& message) {
  if (in.packet.ttl != kNdHopLimit || message.target.is_multicast()) {
    return;
  }
  if (message.kind == NdMessage::Kind::Solicit) {
    take_solicitation(in, message);
    return;
  }
  const bool solicited = (message.flags & NdMessage::kSolicited) != 0;
  if (solicited && in.packet.destination.is_multicast()) {
    return;
  }
  if (has_address(in.device, message.target, true)) {
    if (!has_address(in.device, message.target, false)) {
      not_modelled("an IPv6 address that another host has too");
    }
    return;
  }
  NeighbourEffects effects;
  tables_.neighbours().nd_advertised(tables_.neighbour_device(in.device),
                                     {.target = message.target,
                                      .mac = message.link_layer,
                                      .solicited = solicited,
                                      .override_flag = (message.flags & NdMessage::kOverride) != 0,
                                      .router = (message.flags & NdMessage::kRouter) != 0},
                                     now_, effects);
  tables_.take(effects);
}

// ndisc_recv_ns
void DataPlane::take_solicitation(const Incoming& in, const NdMessage& message) {
  const IpAddress& asker = in.packet.source;
  const bool to_group = in.packet.destination.is_multicast();
  const bool detects_duplicates = asker == IpAddress::v6({});
  if (detects_duplicates &&
      (!is_solicited_node_group(in.packet.destination) || message.link_layer)) {
    return;
  }
  const bool is_ours = has_address(in.device, message.target, true);
  if (is_ours && !has_address(in.device, message.target, false)) {
    if (detects_duplicates) {
      not_modelled("an IPv6 address that another host has too");
    }
    return;  // tentative: not ours yet
  }
  if (!is_ours) {
    const RouteRecord* route = tables_.route({.destination = message.target, .device = in.device});
    if (route != nullptr && route->route.type == RouteType::Anycast && route->is_of_address) {
      not_modelled("neighbour discovery of an anycast address");
    }
    return;
  }
  const std::uint8_t router = tables_.forwards() ? NdMessage::kRouter : std::uint8_t{0};
  if (detects_duplicates) {
    advertise(in.device, kAllNodes, message.target,
              static_cast<std::uint8_t>(router | NdMessage::kOverride), true);
    return;
  }
  NeighbourEffects effects;
  const bool known = tables_.neighbours().nd_solicited(tables_.neighbour_device(in.device), asker,
                                                       message.link_layer, to_group, now_, effects);
  tables_.take(effects);
  if (known) {
    const std::uint8_t override_flag = to_group ? NdMessage::kOverride : std::uint8_t{0};
    advertise(in.device, asker, message.target,
              static_cast<std::uint8_t>(router | NdMessage::kSolicited | override_flag), to_group);
  }
}

// ndisc_send_na
void DataPlane::advertise(IfIndex device, const IpAddress& to, const IpAddress& target,
                          std::uint8_t flags, bool with_mac) {
  NdMessage message{.kind = NdMessage::Kind::Advertise, .flags = flags, .target = target};
  if (with_mac) {
    message.link_layer = tables_.link(device)->link.mac;
  }
  hand_to_neighbour({.source = target, .destination = to, .ttl = kNdHopLimit, .payload = message},
                    straight_out_of(device));
}

// ndisc_solicit
void DataPlane::solicit_nd(const Solicitation& wanted) {
  const LinkRecord* link = tables_.link(wanted.device);
  if (link == nullptr) {
    return;
  }
  std::optional<IpAddress> source;
  if (wanted.because_of != nullptr && wanted.because_of->family() == Family::V6 &&
      has_address(wanted.device, wanted.because_of->source, false)) {
    source = wanted.because_of->source;
  } else {
    source = link_local_of(wanted.device);
  }
  if (!source) {
    return;
  }
  const NdMessage message{.target = wanted.target, .link_layer = link->link.mac};
  const IpAddress group = solicited_node_group(wanted.target);
  send_to(wanted.device,
          {.source = *source,
           .destination = wanted.to ? wanted.target : group,
           .ttl = kNdHopLimit,
           .payload = message},
          wanted.to.value_or(multicast_mac(group)));
}

}  // namespace vxmesh
