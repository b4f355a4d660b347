// The data plane's packets: in, on, and out (net/ipv4, net/ipv6).
#include <algorithm>
#include <cerrno>
#include <utility>

#include "sim/kernel/data_plane.h"
#include "sim/kernel/firewall.h"
#include "sim/kernel/not_modelled.h"
#include "sim/kernel/packet_choices.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

constexpr IfIndex kLoopback{1};
constexpr std::uint16_t kDiscardPort = 9;
constexpr IpAddress kLimitedBroadcast = IpAddress::v4(0xffffffff);
constexpr IpAddress kLoopbackV4 = IpAddress::v4(0x7f000001);
constexpr IpAddress kLoopbackV6 = IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});

// icmp.h, icmpv6.h.
constexpr std::uint8_t kEchoRequest = 8;
constexpr std::uint8_t kEchoReply = 0;
constexpr std::uint8_t kEchoRequestV6 = 128;
constexpr std::uint8_t kEchoReplyV6 = 129;
constexpr std::uint8_t kUnreachable = 3;
constexpr std::uint8_t kUnreachableV6 = 1;

bool is_unspecified(const IpAddress& address) {
  return address == (address.family() == Family::V4 ? IpAddress() : IpAddress::v6({}));
}
bool is_zero_net(const IpAddress& address) {
  return address.bytes()[0] == 0;
}
bool is_loopback(const IpAddress& address) {
  return address.family() == Family::V4 ? address.bytes()[0] == 127 : address == kLoopbackV6;
}

// What a route of a type that does not lead on answers a sender here (fib_props,
// ip6_rt_type_to_error).
int refusal(const RouteRecord* route) {
  if (route == nullptr || route->route.type == RouteType::Throw) {
    return ENETUNREACH;
  }
  switch (route->route.type) {
    case RouteType::Unreachable: return EHOSTUNREACH;
    case RouteType::Blackhole: return EINVAL;
    case RouteType::Prohibit: return EACCES;
    default: return 0;
  }
}

// skb->truesize of a packet as it waits for its neighbour (measured: facts/kernel.md 1b): the
// smallest head that there is, or a power of two, and the sk_buff itself.
std::uint64_t truesize(const IpPacket& packet) {
  constexpr std::uint64_t kSkBuff = 256;
  constexpr std::uint64_t kSharedInfo = 320;
  constexpr std::uint64_t kSmallHead = 576;
  constexpr std::uint64_t kLinkHeader = 32;
  const std::uint64_t wanted = size_on_wire(packet) + kLinkHeader + kSharedInfo;
  std::uint64_t head = 512;
  while (head < wanted) {
    head *= 2;
  }
  return (wanted <= kSmallHead ? kSmallHead : head) + kSkBuff;
}

}  // namespace

// --- In ---

void DataPlane::take_packet(const Incoming& in) {
  if (in.cast == Cast::OtherHost || !speaks(in.device, in.packet.family())) {
    return;
  }
  if (in.looped) {
    deliver(in, RouteType::Local);
  } else if (in.packet.family() == Family::V4) {
    take_ipv4(in);
  } else {
    take_ipv6(in);
  }
}

// ip_route_input_slow, and where it leads
void DataPlane::take_ipv4(const Incoming& in) {
  const IpAddress& source = in.packet.source;
  const IpAddress& destination = in.packet.destination;
  if (destination.is_multicast() || source.is_multicast() || source == kLimitedBroadcast) {
    return;  // of groups this namespace hears none but 224.0.0.1, to which nobody answers
  }
  const bool is_broadcast =
      destination == kLimitedBroadcast || (is_unspecified(source) && is_unspecified(destination));
  if (!is_broadcast && (is_zero_net(source) || is_zero_net(destination) || is_loopback(source) ||
                        is_loopback(destination))) {
    return;
  }
  const RouteRecord* route = is_broadcast ? nullptr : route_to(destination);
  if (is_broadcast || (route != nullptr && route->route.type == RouteType::Broadcast)) {
    if (is_zero_net(source) || check_source(source, in.device, std::nullopt).good) {
      deliver(in, RouteType::Broadcast);
    }
    return;
  }
  if (route == nullptr || !leads_on(*route)) {
    if (tables_.forwards()) {
      refuse_ipv4(in, route == nullptr ? RouteType::Throw : route->route.type);
    }
    return;
  }
  if (route->route.type == RouteType::Local) {
    if (check_source(source, in.device, std::nullopt).good) {
      deliver(in, RouteType::Local);
    }
    return;
  }
  if (!tables_.forwards() || route->route.type != RouteType::Unicast) {
    return;
  }
  const SourceCheck check = check_source(source, in.device, route->route.device);
  if (check.good) {
    forward_ipv4(in, *route, check.on_link && route->route.device == in.device);
  }
}

// ip6_rcv_core, ip6_route_input, and where it leads
void DataPlane::take_ipv6(const Incoming& in) {
  const IpAddress& source = in.packet.source;
  const IpAddress& destination = in.packet.destination;
  const bool on_wire = in.device != kLoopback;
  if (source.is_multicast() || (on_wire && (is_loopback(source) || is_loopback(destination)))) {
    return;
  }
  if (destination.is_multicast()) {
    const unsigned scope = destination.bytes()[1] & 0xfU;
    if (scope != 0 && (scope != 1 || !on_wire) && listens_to(in.device, destination)) {
      deliver(in, RouteType::Multicast);
    }
    return;
  }
  std::optional<IfIndex> device;
  if (destination.is_link_local()) {
    device = in.device;
  }
  const RouteRecord* route = tables_.route({.destination = destination, .device = device});
  if (route == nullptr || !leads_on(*route) || drops_in_secret(*route)) {
    refuse_ipv6(in, route == nullptr ? RouteType::Throw : route->route.type);
  } else if (route->route.type == RouteType::Local || route->route.type == RouteType::Anycast) {
    deliver(in, route->route.type);
  } else if (tables_.forwards() && route->route.type == RouteType::Unicast) {
    forward_ipv6(in, *route);
  }
}

void DataPlane::deliver(const Incoming& in, RouteType type) {
  const IpPacket& packet = in.packet;
  if (packet.is_fragment()) {
    if (const std::optional<IpPacket> whole = reassembly_.add(packet, now_)) {
      deliver({.device = in.device, .cast = in.cast, .packet = *whole, .looped = in.looped}, type);
    }
    return;
  }
  if (const auto* datagram = std::get_if<UdpDatagram>(&packet.payload)) {
    deliver_datagram(in, *datagram, type);
  } else if (const auto* message = std::get_if<IcmpMessage>(&packet.payload)) {
    const bool v4 = packet.family() == Family::V4;
    if (message->type == (v4 ? kEchoRequest : kEchoRequestV6) && message->code == 0) {
      answer_echo(in, *message, type);
    }
  } else if (const auto* nd = std::get_if<NdMessage>(&packet.payload)) {
    take_nd(in, *nd);
  } else if (const auto* segment = std::get_if<TcpSegment>(&packet.payload)) {
    if (type == RouteType::Local && in.cast == Cast::Host) {
      reset_connection(in, *segment);
    }
  } else if (type == RouteType::Local) {
    refuse_protocol(in);
  }
}

// tcp_v4_send_reset, tcp_v6_send_reset: nobody listens.
void DataPlane::reset_connection(const Incoming& in, const TcpSegment& segment) {
  const IpPacket& packet = in.packet;
  const RouteRecord* back = route_back(in);
  if ((segment.flags & TcpSegment::kReset) != 0 || back == nullptr || !leads_on(*back)) {
    return;
  }
  TcpSegment reset{.source_port = segment.destination_port,
                   .destination_port = segment.source_port,
                   .flags = TcpSegment::kReset};
  if ((segment.flags & TcpSegment::kAck) != 0) {
    reset.sequence = segment.acknowledgment;
  } else {
    const bool syn = (segment.flags & TcpSegment::kSyn) != 0;
    const bool fin = (segment.flags & TcpSegment::kFin) != 0;
    reset.flags |= TcpSegment::kAck;
    reset.acknowledgment = static_cast<std::uint32_t>(segment.sequence + (syn ? 1U : 0U) +
                                                      (fin ? 1U : 0U) + segment.payload.size());
  }
  output({.source = packet.destination,
          .destination = packet.source,
          .tos = static_cast<std::uint8_t>(packet.tos & ~3U),
          .dont_fragment = packet.family() == Family::V4,
          .payload = std::move(reset)},
         *back);
}

// ip_protocol_deliver_rcu, ip6_protocol_deliver_rcu
void DataPlane::refuse_protocol(const Incoming& in) {
  constexpr IcmpError kNoProtocol{.type = kUnreachable, .code = 2};
  // The pointer is to the next header field.
  constexpr IcmpError kUnknownHeader{.type = 4, .code = 1, .parameter = 6};
  // What has a handler (IGMP, TCP, UDP, PIM), or is an IPv6 extension header or its end.
  constexpr std::uint8_t kKnownV4[] = {1, 2, 6, 17, 103};
  constexpr std::uint8_t kKnownV6[] = {0, 6, 17, 43, 44, 58, 59, 60, 103};
  const std::uint8_t protocol = in.packet.protocol();
  const auto is_in = [&](const auto& known) {
    return std::find(std::begin(known), std::end(known), protocol) != std::end(known);
  };
  if (in.packet.family() == Family::V4 && !is_in(kKnownV4)) {
    report(in, kNoProtocol);
  } else if (in.packet.family() == Family::V6 && !is_in(kKnownV6)) {
    report(in, kUnknownHeader);
  }
}

void DataPlane::deliver_datagram(const Incoming& in, const UdpDatagram& datagram, RouteType type) {
  const Family family = in.packet.family();
  if (family == Family::V6 && !datagram.has_checksum) {
    return;
  }
  if (has_tunnel_socket(family, datagram.destination_port)) {
    decapsulate(in.packet, datagram);
    return;
  }
  constexpr std::uint8_t kPortV4 = 3;
  constexpr std::uint8_t kPortV6 = 4;
  if (type == RouteType::Local || type == RouteType::Anycast) {
    report(in, family == Family::V4 ? IcmpError{.type = kUnreachable, .code = kPortV4}
                                    : IcmpError{.type = kUnreachableV6, .code = kPortV6});
  }
}

// icmp_echo, icmpv6_echo_reply
void DataPlane::answer_echo(const Incoming& in, const IcmpMessage& request, RouteType type) {
  const IpPacket& packet = in.packet;
  const bool v4 = packet.family() == Family::V4;
  if (v4 && type != RouteType::Local) {
    return;  // net.ipv4.icmp_echo_ignore_broadcasts
  }
  const RouteRecord* back = v4 ? route_to(packet.source) : route_back(in);
  if (back == nullptr || !leads_on(*back)) {
    return;
  }
  const std::optional<IpAddress> source =
      type == RouteType::Local ? packet.destination : source_for(packet.source, back);
  if (!source) {
    return;
  }
  IcmpMessage reply = request;
  reply.type = v4 ? kEchoReply : kEchoReplyV6;
  output({.source = *source,
          .destination = packet.source,
          .tos = packet.tos,
          .payload = std::move(reply)},
         *back);
}

// The way back to the sender; a link-local one is behind the device that it came by.
const RouteRecord* DataPlane::route_back(const Incoming& in) const {
  std::optional<IfIndex> device;
  if (in.packet.source.family() == Family::V6 && in.packet.source.is_link_local()) {
    device = in.device;
  }
  return tables_.route({.destination = in.packet.source, .device = device});
}

// --- On ---

// ip_forward
void DataPlane::forward_ipv4(const Incoming& in, const RouteRecord& route, bool redirect) {
  constexpr IcmpError kTimeExceeded{.type = 11};
  constexpr std::uint8_t kFragmentationNeeded = 4;
  if (in.cast != Cast::Host) {
    return;
  }
  if (in.packet.ttl <= 1) {
    report(in, kTimeExceeded);
    return;
  }
  const std::uint32_t mtu = mtu_of(route);
  if (size_on_wire(in.packet) > mtu && in.packet.dont_fragment) {
    report(in, {.type = kUnreachable, .code = kFragmentationNeeded, .parameter = mtu});
    return;
  }
  IpPacket packet = in.packet;
  --packet.ttl;
  const RouteRecord way = route;  // what is reported may change the tables
  if (redirect) {
    redirect_ipv4({.device = in.device, .cast = in.cast, .packet = packet}, way);
  }
  output(std::move(packet), way);
}

// ip6_forward
void DataPlane::forward_ipv6(const Incoming& in, const RouteRecord& route) {
  constexpr IcmpError kTimeExceeded{.type = 3};
  constexpr IcmpError kBeyondScope{.type = kUnreachableV6, .code = 2};
  constexpr std::uint8_t kTooBig = 2;
  constexpr std::uint32_t kMinMtu = 1280;
  if (in.cast != Cast::Host) {
    return;
  }
  if (in.packet.ttl <= 1) {
    report(in, kTimeExceeded);
    return;
  }
  const RouteRecord way = route;
  if (way.route.device == in.device) {
    redirect_ipv6(in, way);
  } else if (is_unspecified(in.packet.source)) {
    return;
  } else if (in.packet.source.is_link_local()) {
    report(in, kBeyondScope);
    return;
  }
  const std::uint32_t mtu = std::max(mtu_of(way), kMinMtu);
  if (size_on_wire(in.packet) > mtu) {
    report(in, {.type = kTooBig, .parameter = mtu});
    return;
  }
  IpPacket packet = in.packet;
  --packet.ttl;
  output(std::move(packet), way);
}

// ip_error
void DataPlane::refuse_ipv4(const Incoming& in, RouteType type) {
  constexpr std::uint8_t kNet = 0;
  constexpr std::uint8_t kHost = 1;
  constexpr std::uint8_t kFiltered = 13;
  if (type == RouteType::Blackhole || !icmp_limit_.allow_unroutable(in.packet.source, now_)) {
    return;
  }
  report(in, {.type = kUnreachable,
              .code = type == RouteType::Unreachable ? kHost
                      : type == RouteType::Prohibit  ? kFiltered
                                                     : kNet});
}

// ip6_pkt_drop: also where nothing is forwarded.
void DataPlane::refuse_ipv6(const Incoming& in, RouteType type) {
  constexpr std::uint8_t kNoRoute = 0;
  constexpr std::uint8_t kProhibited = 1;
  if (type == RouteType::Blackhole) {
    return;
  }
  report(in,
         {.type = kUnreachableV6, .code = type == RouteType::Prohibit ? kProhibited : kNoRoute});
}

// --- Out ---

// What has a loopback address as source stays on this host (__mkroute_output).
bool DataPlane::may_leave(const IpAddress& source, const RouteRecord& route) {
  return !is_loopback(source) || route.route.type == RouteType::Local ||
         route.route.device == kLoopback;
}

int DataPlane::send_udp(const IpAddress& to) {
  const bool v4 = to.family() == Family::V4;
  const IpAddress destination = !is_unspecified(to) ? to : v4 ? kLoopbackV4 : kLoopbackV6;
  const RouteRecord here = way_to_this_host();
  const RouteRecord* route = v4 && is_unspecified(to) ? &here : route_to(destination);
  std::optional<IpAddress> source;
  if (!v4 || refusal(route) == 0) {
    source = source_for(destination, route);
  }
  if (!v4 && !source) {
    return EADDRNOTAVAIL;
  }
  if (const int error = refusal(route); error != 0) {
    return error;
  }
  if (v4 && source && !may_leave(*source, *route)) {
    return EINVAL;
  }
  if (v4 && (route->route.type == RouteType::Broadcast || destination == kLimitedBroadcast)) {
    return EACCES;  // without SO_BROADCAST
  }
  output({.source = source.value_or(IpAddress()),
          .destination = destination,
          .dont_fragment = v4,
          .payload = UdpDatagram{.source_port = kFirstFreePort,
                                 .destination_port = kDiscardPort,
                                 .payload = Bytes{'x'}}},
         *route);
  return 0;
}

IpPacket DataPlane::filtered(IpPacket packet, IfIndex device) const {
  const LinkRecord* link = tables_.link(device);
  if (!firewall_ || link == nullptr || device == kLoopback) {
    return packet;
  }
  const LeavingPacket leaving{.packet = packet, .device = link->link.name};
  if (!is_masqueraded(*firewall_, leaving)) {
    return packet;
  }
  const std::optional<IpAddress> source = packet.family() == Family::V4
                                              ? select_ipv4(device, packet.destination, 0)
                                              : select_ipv6(device, packet.destination);
  return source ? after_postrouting(*firewall_, leaving, *source) : packet;
}

void DataPlane::output(IpPacket packet, const RouteRecord& route) {
  if (drops_in_secret(route)) {
    // Not while ICMP is sent: its socket is taken (icmpv6_xmit_lock).
    if (!std::holds_alternative<IcmpMessage>(packet.payload)) {
      refuse_ipv6({.device = kLoopback, .packet = packet}, route.route.type);
    }
    return;
  }
  if (leads_to_us(route)) {
    RouteRecord loopback;
    loopback.route.device = kLoopback;
    if (packet.family() == Family::V6) {
      loopback.route.gateway = route.route.gateway;  // rt6_nexthop
    }
    hand_to_neighbour(std::move(packet), loopback);
    return;
  }
  if (!route.route.device) {
    return;
  }
  packet = filtered(std::move(packet), *route.route.device);
  const std::uint32_t mtu = mtu_of(route);
  if (size_on_wire(packet) <= mtu) {
    hand_to_neighbour(std::move(packet), route);
  } else if (packet.family() == Family::V4 && !packet.dont_fragment) {
    output_fragments(packet, route, mtu);
  }
}

// ip_do_fragment
void DataPlane::output_fragments(const IpPacket& packet, const RouteRecord& route,
                                 std::uint32_t mtu) {
  constexpr std::size_t kHeader = 20;
  constexpr std::size_t kUnit = 8;
  if (mtu < kHeader + kUnit) {
    return;
  }
  const Bytes whole = encode(packet);
  const std::size_t room = (mtu - kHeader) / kUnit * kUnit;
  for (std::size_t at = kHeader; at < whole.size(); at += room) {
    const std::size_t end = std::min(whole.size(), at + room);
    IpPacket part = packet;
    part.fragment_offset =
        static_cast<std::uint16_t>(packet.fragment_offset + (at - kHeader) / kUnit);
    part.more_fragments = packet.more_fragments || end != whole.size();
    part.payload =
        OpaqueTransport{.protocol = packet.protocol(),
                        .bytes = Bytes(whole.begin() + static_cast<std::ptrdiff_t>(at),
                                       whole.begin() + static_cast<std::ptrdiff_t>(end))};
    hand_to_neighbour(std::move(part), route);
  }
}

void DataPlane::hand_to_neighbour(IpPacket packet, const RouteRecord& route) {
  const IfIndex device = *route.route.device;
  const IpAddress neighbour = next_hop(route, packet.destination);
  const auto shared = std::make_shared<const IpPacket>(std::move(packet));
  NeighbourEffects effects;
  const Resolution resolution = tables_.neighbours().resolve(
      tables_.neighbour_device(device), neighbour,
      {.truesize = truesize(*shared), .packet = shared}, now_, effects);
  tables_.take(effects);
  if (resolution.fate == Resolution::Fate::Send) {
    send_to(device, *shared, resolution.to);
  }
}

void DataPlane::send_to(IfIndex device, const IpPacket& packet, const MacAddress& mac) {
  if (device == kLoopback) {
    inbox_.push_back({.device = device,
                      .frame = std::make_shared<const EthernetFrame>(
                          EthernetFrame{.destination = mac, .payload = packet}),
                      .cast = Cast::Host,
                      .looped = true});
  } else if (const LinkRecord* link = tables_.link(device)) {
    (void)transmit(device, std::make_shared<const EthernetFrame>(EthernetFrame{
                               .destination = mac, .source = link->link.mac, .payload = packet}));
  }
}

}  // namespace vxmesh
