// The data plane's vxlan devices (drivers/net/vxlan/vxlan_core.c).
#include <utility>

#include "sim/kernel/data_plane.h"
#include "sim/kernel/not_modelled.h"
#include "sim/kernel/packet_choices.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

constexpr std::uint8_t kDefaultTtl = 64;  // net.ipv4.ip_default_ttl
constexpr std::uint8_t kInheritTos = 1;

// RFC 3168: the lower two bits of the traffic class.
constexpr std::uint8_t kEcnMask = 3;
constexpr std::uint8_t kEcnEct1 = 1;
constexpr std::uint8_t kEcnEct0 = 2;
constexpr std::uint8_t kEcnCe = 3;

// What a vxlan device puts before a frame: Ethernet, IP, UDP and VXLAN headers (vxlan_headroom).
constexpr std::uint32_t kHeadroomV4 = 50;
constexpr std::uint32_t kHeadroomV6 = 70;
constexpr std::uint32_t kEthernetHeader = 14;

Family underlay_family(const LinkRecord& link) {
  if (link.link.vxlan->local) {
    return link.link.vxlan->local->family();
  }
  return link.remote ? link.remote->family() : Family::V4;
}

bool is_unspecified(const IpAddress& address) {
  return address == (address.family() == Family::V4 ? IpAddress() : IpAddress::v6({}));
}

// RTCF_LOCAL: what goes out of the loopback does too (__mkroute_output).
bool stays_here(const RouteRecord& route) {
  constexpr IfIndex kLoopback{1};
  const bool v4 = route.route.destination.family() == Family::V4;
  return route.route.type == RouteType::Local || (v4 && route.route.device == kLoopback);
}

std::uint8_t tos_of(const EthernetFrame& frame) {
  const auto* packet = std::get_if<IpPacket>(&frame.payload);
  return packet == nullptr ? std::uint8_t{0} : packet->tos;
}

// INET_ECN_encapsulate
std::uint8_t with_ecn_of(std::uint8_t tos, std::uint8_t inner) {
  const std::uint8_t ecn = (inner & kEcnMask) == kEcnCe ? kEcnEct0 : inner & kEcnMask;
  return static_cast<std::uint8_t>((tos & ~kEcnMask) | ecn);
}

// INET_ECN_decapsulate: what the inner frame becomes; null if it must be dropped.
FramePtr decapsulated(const FramePtr& frame, std::uint8_t outer_tos) {
  const auto* packet = std::get_if<IpPacket>(&frame->payload);
  if (packet == nullptr) {
    return frame;
  }
  const std::uint8_t outer = outer_tos & kEcnMask;
  const std::uint8_t inner = packet->tos & kEcnMask;
  if (inner == 0) {
    return outer == kEcnCe ? nullptr : frame;
  }
  const bool marks = outer == kEcnCe || (outer == kEcnEct1 && inner == kEcnEct0);
  if (!marks || inner == kEcnCe) {
    return frame;
  }
  EthernetFrame marked = *frame;
  std::uint8_t& tos = std::get<IpPacket>(marked.payload).tos;
  tos = static_cast<std::uint8_t>((tos & ~kEcnMask) | outer);
  return std::make_shared<const EthernetFrame>(std::move(marked));
}

}  // namespace

// vxlan_xmit
void DataPlane::transmit_tunnel(const LinkRecord& link, const FramePtr& frame) {
  const IfIndex device = link.link.index;
  const std::vector<FdbRemote>* remotes = tables_.fdb().use(device, frame->destination, now_);
  if (remotes == nullptr) {
    remotes = tables_.fdb().use(device, MacAddress{}, now_);
  }
  if (remotes == nullptr) {
    return;
  }
  // Each destination but the first gets a copy, and the first the frame itself, at the end.
  const std::vector<FdbRemote> to = *remotes;
  for (std::size_t i = 1; i <= to.size(); ++i) {
    encapsulate(link, frame, to[i % to.size()]);
  }
}

// udp_tunnel_dst_lookup, udp_tunnel6_dst_lookup
std::optional<DataPlane::Way> DataPlane::underlay_way(const IpAddress& to,
                                                      std::optional<IfIndex> out,
                                                      const std::optional<IpAddress>& local) const {
  std::optional<RouteRecord> route = to.family() == Family::V4
                                         ? underlay_route_v4(to, out, local)
                                         : underlay_route_v6(to, out, local.has_value());
  if (!route) {
    return std::nullopt;
  }
  std::optional<IpAddress> source = local ? local : source_for(to, &*route);
  if (!source && to.family() == Family::V4) {
    source = IpAddress();  // of a host without addresses
  }
  const bool leaves = source && may_leave(*source, *route);
  return leaves ? std::optional(Way{.route = *route, .source = *source}) : std::nullopt;
}

// ip_route_output_key_hash_rcu: a source has to be ours, and what no route out of the device leads
// to is on its wire.
std::optional<RouteRecord> DataPlane::underlay_route_v4(
    const IpAddress& to, std::optional<IfIndex> out, const std::optional<IpAddress>& local) const {
  if (local && !is_ours(*local)) {
    return std::nullopt;
  }
  if (out && !(is_up(*out) && speaks(*out, Family::V4))) {
    return std::nullopt;
  }
  const RouteRecord* found = tables_.route({.destination = to, .device = out});
  if (found != nullptr && leads_on(*found)) {
    return *found;
  }
  if (!out) {
    return std::nullopt;
  }
  RouteRecord on_wire;
  on_wire.route.device = out;
  on_wire.route.scope = kScopeLink;
  return on_wire;
}

// ip6_route_output_flags: the device of a packet that has its source is no more than a preference.
std::optional<RouteRecord> DataPlane::underlay_route_v6(const IpAddress& to,
                                                        std::optional<IfIndex> out,
                                                        bool has_source) const {
  const RouteRecord* found = tables_.route({.destination = to, .device = out});
  if (has_source) {
    const RouteRecord* any = tables_.route({.destination = to, .device = std::nullopt});
    const bool preferred = found != nullptr && any != nullptr &&
                           found->route.destination == any->route.destination &&
                           found->route.metric == any->route.metric;
    found = preferred ? found : any;
  }
  return found != nullptr && leads_on(*found) ? std::optional(*found) : std::nullopt;
}

// vxlan_xmit_one
void DataPlane::encapsulate(const LinkRecord& link, const FramePtr& frame,
                            const FdbRemote& remote) {
  const VxlanLink& vxlan = *link.link.vxlan;
  if (is_unspecified(remote.dst)) {
    return;
  }
  const std::uint16_t port = remote.port != 0 ? remote.port : vxlan.port;
  const std::uint32_t vni = remote.vni != 0 ? remote.vni : vxlan.vni.value;
  const std::optional<Way> way = underlay_way(remote.dst, remote.underlay, vxlan.local);
  if (!way) {
    return;
  }
  const RouteRecord& route = way->route;
  if (stays_here(route)) {
    // No socket of a tunnel is bound to a device (vxlan_find_sock).
    if (!remote.underlay) {
      loop_back(link, frame, vni, port);
    }
    return;
  }
  if (route.route.device == link.link.index) {
    return;
  }
  const Family family = remote.dst.family();
  const std::uint32_t headroom = family == Family::V4 ? kHeadroomV4 : kHeadroomV6;
  if (size_on_wire(*frame) - kEthernetHeader + headroom > mtu_of(route) && link.link.master) {
    not_modelled("path MTU discovery of a tunnel that is a port of a bridge");
  }
  const std::uint8_t tos = link.tos == kInheritTos ? tos_of(*frame) : link.tos;
  std::uint8_t ttl = link.ttl != 0 ? link.ttl : kDefaultTtl;
  if (link.ttl == 0 && remote.dst.is_multicast()) {
    ttl = 1;
  }
  UdpDatagram datagram{.source_port = kFirstFreePort,
                       .destination_port = port,
                       .payload = VxlanFrame{.vni = Vni{vni}, .inner = frame}};
  output({.source = way->source,
          .destination = remote.dst,
          .ttl = ttl,
          .tos = with_ecn_of(tos, tos_of(*frame)),
          .id = family == Family::V4 ? next_id() : std::uint16_t{0},
          .payload = std::move(datagram)},
         route);
}

// __ip_select_ident, which gives no two packets that may be under way together the same.
std::uint16_t DataPlane::next_id() {
  last_id_ = static_cast<std::uint16_t>(last_id_ == 0xffff ? 1 : last_id_ + 1);
  return last_id_;
}

// encap_bypass_if_local: a destination of our own is reached without packets.
void DataPlane::loop_back(const LinkRecord& link, const FramePtr& frame, std::uint32_t vni,
                          std::uint16_t port) {
  const LinkRecord* receiver = tunnel(underlay_family(link), port, vni);
  if (receiver == nullptr) {
    return;
  }
  if (receiver->link.vxlan->learning) {
    not_modelled("learning of a vxlan device");
  }
  inbox_.push_back({.device = receiver->link.index, .frame = frame, .cast = Cast::Host});
}

bool DataPlane::has_tunnel_socket(Family family, std::uint16_t port) const {
  for (const IfIndex device : tables_.devices()) {
    const LinkRecord& link = *tables_.link(device);
    if (link.link.vxlan && link.link.up && link.link.vxlan->port == port &&
        underlay_family(link) == family) {
      return true;
    }
  }
  return false;
}

const LinkRecord* DataPlane::tunnel(Family family, std::uint16_t port, std::uint32_t vni) const {
  for (const IfIndex device : tables_.devices()) {
    const LinkRecord* link = tables_.link(device);
    const std::optional<VxlanLink>& vxlan = link->link.vxlan;
    if (vxlan && link->link.up && vxlan->port == port && vxlan->vni.value == vni &&
        underlay_family(*link) == family) {
      return link;
    }
  }
  return nullptr;
}

// vxlan_rcv
void DataPlane::decapsulate(const IpPacket& outer, const UdpDatagram& datagram) {
  const auto* typed = std::get_if<VxlanFrame>(&datagram.payload);
  const std::optional<VxlanFrame> read =
      typed != nullptr ? *typed : decode_vxlan(std::get<Bytes>(datagram.payload));
  if (!read) {
    return;
  }
  const LinkRecord* link = tunnel(outer.family(), datagram.destination_port, read->vni.value);
  if (link == nullptr || read->inner->source == link->link.mac) {
    return;
  }
  if (link->link.vxlan->learning) {
    not_modelled("learning of a vxlan device");
  }
  if (FramePtr frame = decapsulated(read->inner, outer.tos)) {
    inbox_.push_back({.device = link->link.index, .frame = std::move(frame)});
  }
}

}  // namespace vxmesh
