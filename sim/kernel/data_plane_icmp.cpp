// The data plane's ICMP errors and redirects (net/ipv4/icmp.c, net/ipv6/icmp.c,
// ip_rt_send_redirect, ndisc_send_redirect).
#include <algorithm>
#include <chrono>
#include <utility>

#include "sim/kernel/data_plane.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

constexpr std::uint8_t kUnreachable = 3;
constexpr std::uint8_t kUnreachableV6 = 1;
constexpr std::uint8_t kFragmentationNeeded = 4;
constexpr std::uint8_t kRedirect = 5;
constexpr std::uint8_t kTooBig = 2;
constexpr std::uint8_t kRedirectV6 = 137;
constexpr Duration kCost = std::chrono::seconds(1);  // icmp_ratelimit, icmpv6_time

// The ICMP type of a packet that is about ICMP, typed or not.
std::optional<std::uint8_t> icmp_type(const IpPacket& packet) {
  if (const auto* message = std::get_if<IcmpMessage>(&packet.payload)) {
    return message->type;
  }
  const auto* opaque = std::get_if<OpaqueTransport>(&packet.payload);
  const std::uint8_t icmp = packet.family() == Family::V4 ? kProtocolIcmp : kProtocolIcmpv6;
  if (opaque == nullptr || opaque->protocol != icmp) {
    return std::nullopt;
  }
  return opaque->bytes.empty() ? std::uint8_t{0xff} : opaque->bytes[0];
}

// icmp_pointers[].error, and types that ICMP does not know.
bool is_error_v4(std::uint8_t type) {
  constexpr std::uint8_t kLastType = 18;
  constexpr std::uint8_t kErrors[] = {3, 4, 5, 11, 12};
  return type > kLastType ||
         std::find(std::begin(kErrors), std::end(kErrors), type) != std::end(kErrors);
}

Bytes first_bytes(Bytes bytes, std::size_t most) {
  bytes.resize(std::min(bytes.size(), most));
  return bytes;
}

void append(Bytes& bytes, const IpAddress& address) {
  bytes.insert(bytes.end(), address.bytes().begin(), address.bytes().end());
}

// ipv6_anycast_destination: the first address of a network on the wire is its routers' too
// (RFC 4291, 2.6.1), whoever else has it.
bool is_anycast(const IpAddress& address, const RouteRecord& route) {
  constexpr std::uint8_t kLongest = 126;
  const IpPrefix& destination = route.route.destination;
  return (route.route.type == RouteType::Anycast && route.is_of_address) ||
         (destination.length() <= kLongest && !route.route.gateway &&
          destination.base() == address);
}

}  // namespace

void DataPlane::report(const Incoming& in, const IcmpError& error) {
  if (in.packet.fragment_offset != 0) {
    return;
  }
  if (in.packet.family() == Family::V4) {
    report_ipv4(in, error);
  } else {
    report_ipv6(in, error);
  }
}

// ipv4_link_failure, ip6_link_failure. Where the packet came in is not known any more: its way back
// says it.
void DataPlane::report_lost(IfIndex device, const IpPacket& packet) {
  constexpr std::uint8_t kHost = 1;
  constexpr std::uint8_t kAddress = 3;
  const RouteRecord* back = route_to(packet.source);
  const IfIndex came_by = back != nullptr && back->route.device ? *back->route.device : device;
  const bool v4 = packet.family() == Family::V4;
  report({.device = came_by, .packet = packet},
         {.type = v4 ? kUnreachable : kUnreachableV6, .code = v4 ? kHost : kAddress});
}

// icmp_send
void DataPlane::report_ipv4(const Incoming& in, const IcmpError& error) {
  constexpr std::uint8_t kTosMask = 0x1e;                  // RT_TOS
  constexpr std::uint8_t kInternetControl = 0xc0;          // IPTOS_PREC_INTERNETCONTROL
  constexpr IpAddress kDummy = IpAddress::v4(0xc0000008);  // INADDR_DUMMY
  constexpr std::size_t kHeaders = 28;
  constexpr std::size_t kMaxSize = 576;
  const std::optional<std::uint8_t> about = icmp_type(in.packet);
  if (in.cast != Cast::Host || (about && is_error_v4(*about))) {
    return;
  }
  const RouteRecord here = way_to_this_host();
  const bool from_nobody = in.packet.source == IpAddress();  // ours: we have no address
  const IpAddress to = from_nobody ? *here.route.preferred_source : in.packet.source;
  const RouteRecord* back = from_nobody ? &here : route_to(to);
  if (back == nullptr || !leads_on(*back)) {
    return;
  }
  const IpAddress source = is_local(in.packet.destination) ? in.packet.destination
                                                           : source_for(to, back).value_or(kDummy);
  if (!may_leave(source, *back)) {
    return;
  }
  const bool is_limited = error.type != kRedirect &&
                          !(error.type == kUnreachable && error.code == kFragmentationNeeded) &&
                          back->route.type != RouteType::Local;
  if (is_limited && !icmp_limit_.allow(to, kCost, now_)) {
    return;
  }
  const std::size_t mtu =
      back->route.type == RouteType::Local ? kMaxSize : std::size_t{mtu_of(*back)};
  const std::size_t room = std::min(mtu, kMaxSize);
  if (room <= kHeaders + 20) {
    return;
  }
  output({.source = source,
          .destination = to,
          .tos = static_cast<std::uint8_t>((in.packet.tos & kTosMask) | kInternetControl),
          .payload = IcmpMessage{.type = error.type,
                                 .code = error.code,
                                 .parameter = error.parameter,
                                 .data = first_bytes(encode(in.packet), room - kHeaders)}},
         *back);
}

// icmp6_send
void DataPlane::report_ipv6(const Incoming& in, const IcmpError& error) {
  constexpr std::uint8_t kFirstInformational = 128;
  constexpr std::size_t kMaxQuote = 1280 - 40 - 8;
  const IpAddress& to = in.packet.source;
  const std::optional<std::uint8_t> about = icmp_type(in.packet);
  const bool to_group = in.packet.destination.is_multicast() || in.cast != Cast::Host;
  if ((to_group && error.type != kTooBig) || to == IpAddress::v6({}) || to.is_multicast() ||
      (about && *about < kFirstInformational)) {
    return;
  }
  const RouteRecord* back = route_back(in);
  if (back == nullptr || !leads_on(*back)) {
    return;
  }
  std::optional<IpAddress> source = back->route.preferred_source;
  if (!to_group && is_local(in.packet.destination)) {
    source = in.packet.destination;
  } else if (!source) {
    source = select_ipv6(in.device, to);
  }
  const bool is_limited =
      error.type != kTooBig && back->route.type != RouteType::Local && !drops_in_secret(*back);
  const unsigned missing_bits = 128U - back->route.destination.length();
  if (!source || (is_limited && !icmp_limit_.allow(to, kCost / (1 << (missing_bits / 32)), now_)) ||
      is_anycast(to, *back)) {
    return;
  }
  output({.source = *source,
          .destination = to,
          .payload = IcmpMessage{.type = error.type,
                                 .code = error.code,
                                 .parameter = error.parameter,
                                 .data = first_bytes(encode(in.packet), kMaxQuote)}},
         *back);
}

// ip_rt_send_redirect
void DataPlane::redirect_ipv4(const Incoming& in, const RouteRecord& route) {
  const IpAddress& to = in.packet.source;
  if (!icmp_limit_.allow_redirect(to, now_)) {
    return;
  }
  constexpr std::uint8_t kHost = 1;
  const IpAddress gateway = route.route.gateway.value_or(in.packet.destination);
  report(in, {.type = kRedirect,
              .code = kHost,
              .parameter = gateway.family() == Family::V4 ? gateway.v4_bits() : 0});
  icmp_limit_.redirected(to, now_);
}

// ip6_forward, ndisc_send_redirect
void DataPlane::redirect_ipv6(const Incoming& in, const RouteRecord& route) {
  constexpr std::size_t kMaxMessage = 1280 - 40 - 40;
  constexpr std::uint8_t kTargetOption = 2;
  constexpr std::uint8_t kHeaderOption = 4;
  const IpPacket& packet = in.packet;
  const IpAddress target = next_hop(route, packet.destination);
  const std::optional<IpAddress> source = link_local_of(in.device);
  if (!icmp_limit_.allow(packet.destination, kCost, now_) || !source ||
      (target != packet.destination && !target.is_link_local())) {
    return;
  }
  const RouteRecord* back = tables_.route({.destination = packet.source, .device = in.device});
  if (back == nullptr || !leads_on(*back) || back->route.gateway ||
      !icmp_limit_.allow(packet.source, kCost, now_)) {
    return;
  }
  Bytes data;
  append(data, target);
  append(data, packet.destination);
  std::size_t option_size = 0;
  const std::optional<NeighbourReport> known =
      tables_.neighbours().find(tables_.id(), in.device, target, now_);
  if (known && is_valid_nud(known->record.neighbour.state) && known->record.neighbour.lladdr) {
    data.push_back(kTargetOption);
    data.push_back(1);
    const MacAddress& mac = *known->record.neighbour.lladdr;
    data.insert(data.end(), mac.bytes.begin(), mac.bytes.end());
    option_size = 8;
  }
  const Bytes quoted = encode(packet);
  const std::size_t size = std::min(kMaxMessage - option_size, quoted.size() + 8) & ~std::size_t{7};
  data.push_back(kHeaderOption);
  data.push_back(static_cast<std::uint8_t>(size / 8));
  data.resize(data.size() + 6);
  data.insert(data.end(), quoted.begin(), quoted.begin() + static_cast<std::ptrdiff_t>(size - 8));
  hand_to_neighbour({.source = *source,
                     .destination = packet.source,
                     .ttl = 255,
                     .payload = IcmpMessage{.type = kRedirectV6, .data = std::move(data)}},
                    *back);
}

}  // namespace vxmesh
