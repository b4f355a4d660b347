#include "integration/fidelity/unsuited.h"

#include <algorithm>
#include <variant>

#include "sim/kernel/packet_codec.h"

namespace vxmesh::fidelity {
namespace {

constexpr std::uint32_t kDefaultMetricV6 = 1024;  // IP6_RT_PRIO_USER

constexpr IfIndex kLoopback{1};
constexpr std::uint32_t kMinIpv4Mtu = 68;  // IPV4_MIN_MTU

using Name = std::optional<std::string_view>;

// eth_hw_addr_random.
bool draws_mac(const rtnl::NewLink& request, const StateView& before) {
  const bool by_index = request.device.value != 0;
  const bool there = by_index ? before.link(request.device) != nullptr
                              : request.name && before.link(*request.name) != nullptr;
  if (there || !request.kind || (request.flags & rtnl::kCreate) == 0) {
    return false;
  }
  return !request.mac || (*request.kind == rtnl::Kind::Veth && !request.peer_mac);
}

// Two devices of one MAC on one wire have one link-local address, and which of them loses it is a
// matter of time (addrconf_dad_failure). Tunnels are no such wire.
bool shares_mac(const rtnl::NewLink& request, const StateView& before) {
  const Link* self = request.device.value != 0 ? before.link(request.device)
                     : request.name            ? before.link(*request.name)
                                               : nullptr;
  const bool is_vxlan = self != nullptr ? self->kind == "vxlan" : request.kind == rtnl::Kind::Vxlan;
  if (is_vxlan) {
    return false;
  }
  if (request.mac && request.mac == request.peer_mac) {
    return true;
  }
  return std::any_of(before.links.begin(), before.links.end(), [&](const LinkRecord* other) {
    const rtnl::LinkLayer mac(other->link.mac);
    return &other->link != self && other->link.kind != "vxlan" &&
           (mac == request.mac || mac == request.peer_mac);
  });
}

// Both ends of a veth in bridges: what is flooded goes round for ever, in the real kernel as well.
bool closes_circle(const rtnl::NewLink& request, const StateView& before) {
  if (!request.master || request.master->value == 0) {
    return false;
  }
  for (const LinkRecord* record : before.links) {
    const bool is_it = request.device.value != 0 ? record->link.index == request.device
                                                 : request.name == record->link.name;
    const Link* peer = is_it && record->lower ? before.link(*record->lower) : nullptr;
    if (peer != nullptr && peer->master) {
      return true;
    }
  }
  return false;
}

// False of a bridge, whose carrier is that of its ports.
bool is_running(const LinkRecord& record, const StateView& before) {
  const Link* peer = record.lower ? before.link(*record.lower) : nullptr;
  return record.link.up && record.link.kind != "bridge" && (!record.lower || (peer && peer->up));
}

// Detection of an address that was given to such a device begins in a workqueue, and ends there if
// it sees IFF_NOARP; nothing tells when it has found the device not ready (addrconf_dad_begin).
bool may_end_detection(const rtnl::NewLink& request, const StateView& before) {
  return request.no_arp.value_or(false) &&
         std::any_of(before.addresses.begin(), before.addresses.end(), [&](const auto* there) {
           const LinkRecord* record = before.record(there->address.device);
           const bool is_it = request.device.value != 0 ? record->link.index == request.device
                              : request.name            ? request.name == record->link.name
                                                        : request.group == record->link.group;
           return is_it && (there->flags & kAddressTentative) != 0 && !is_running(*record, before);
         });
}

Name judge(const rtnl::NewLink& request, const StateView& before) {
  if (request.proxy.value_or(false)) {
    return "vxlan proxy";
  }
  if (request.rsc.value_or(false)) {
    return "vxlan rsc";
  }
  if (request.l2miss.value_or(false)) {
    return "vxlan l2miss";
  }
  if (request.l3miss.value_or(false)) {
    return "vxlan l3miss";
  }
  if (request.external.value_or(false)) {
    return "vxlan external";
  }
  if (closes_circle(request, before)) {
    return "a circle of bridge ports";
  }
  if (request.device == kLoopback || request.name == "lo") {
    if (request.no_arp) {
      return "IFF_NOARP of the loopback";  // it keeps a random delay of its own (addrconf_dad_kick)
    }
    if (request.mtu.value_or(kMinIpv4Mtu) < kMinIpv4Mtu) {
      return "an MTU that takes IPv4 off the loopback";  // inetdev_destroy
    }
  }
  if (may_end_detection(request, before)) {
    return "IFF_NOARP where the detection of an address may not have begun";
  }
  if (shares_mac(request, before)) {
    return "two devices of one MAC on one wire";
  }
  return draws_mac(request, before) ? Name("a MAC that the kernel draws") : std::nullopt;
}

// Whether duplicate address detection, under way in a workqueue, sees IFA_F_NODAD is a race.
Name judge(const rtnl::NewAddr& request, const StateView& before) {
  const bool no_dad = (request.address_flags.value_or(0) & kAddressNoDad) != 0;
  const bool replaces = (request.flags & rtnl::kReplace) != 0;
  for (const AddressRecord* there : before.addresses) {
    if (no_dad && replaces && there->address.device == request.device &&
        there->address.address == request.local && (there->flags & kAddressTentative) != 0) {
      return "NODAD for an address whose detection is under way";
    }
    // On one wire the detection finds the other, in its own time (addrconf_dad_failure).
    const bool is_detected = !no_dad || (there->flags & kAddressTentative) != 0;
    if (is_detected && request.local.family() == Family::V6 &&
        there->address.address == request.local && there->address.device != request.device) {
      return "detection of an IPv6 address that another device has";
    }
  }
  return std::nullopt;
}

// A second route with a gateway beside one of its prefix and metric becomes a sibling, and both
// one multipath route (fib6_add_rt2node, rt6_qualify_for_ecmp), unless it replaces the other.
Name judge(const rtnl::NewRoute& request, const StateView& before) {
  const rtnl::RouteFields& route = request.route;
  if (route.destination.family() == Family::V4 || !route.gateway ||
      route.length > address_bits(Family::V6)) {
    return std::nullopt;
  }
  const std::uint32_t asked = route.metric.value_or(0);
  const std::uint32_t metric = asked == 0 ? kDefaultMetricV6 : asked;
  const IpPrefix prefix = IpPrefix::containing(route.destination, route.length);
  for (const RouteRecord* there : before.routes) {
    if (there->route.destination == prefix && there->route.table == route.table &&
        there->route.metric == metric && there->route.gateway &&
        (request.flags & rtnl::kReplace) == 0) {
      return "IPv6 multipath";
    }
  }
  return std::nullopt;
}

Name judge(const rtnl::NewNeigh& request, const StateView& /*before*/) {
  if ((request.ntf & kNtfUse) != 0) {
    return "NTF_USE";
  }
  if ((request.ntf & kNtfProxy) != 0) {
    return "NTF_PROXY";
  }
  // NTF_EXT_MANAGED; the bits behind it came with later kernels.
  return (request.ext_flags.value_or(0) & ~2U) != 0 ? Name("NTF_EXT_MANAGED") : std::nullopt;
}

// Entries of a bridge, and those of devices that keep lists instead of an FDB (ndo_dflt_fdb_add).
Name judge_fdb(IfIndex device, std::uint8_t ntf, const StateView& before) {
  const Link* link = before.link(device);
  if (link == nullptr || link->kind.empty()) {
    return std::nullopt;
  }
  if (link->kind != "vxlan") {
    return "the FDB of a device that is no vxlan";
  }
  if (link->master && (ntf & kNtfMaster) == kNtfMaster) {
    return "the FDB of a bridge";
  }
  return link->master && (ntf & kNtfSelf) == 0 ? Name("the FDB of a bridge") : std::nullopt;
}

Name judge(const rtnl::NewFdb& request, const StateView& before) {
  return (request.ntf & kNtfUse) != 0 ? Name("NTF_USE")
                                      : judge_fdb(request.device, request.ntf, before);
}

Name judge(const rtnl::DelFdb& request, const StateView& before) {
  return judge_fdb(request.device, request.ntf, before);
}

Name judge(const rtnl::GetFdb& request, const StateView& before) {
  return judge_fdb(request.device, request.ntf, before);
}

// A neighbour of the loopback that is not NOARP makes packets to ourselves wait, errors about them
// included, which then go round for ever.
bool loopback_is_odd(const StateView& before) {
  return std::any_of(before.neighbours.begin(), before.neighbours.end(), [&](const auto* there) {
    return there->neighbour.device == kLoopback && there->neighbour.state != kNudNoarp;
  });
}

Name judge(const SendDatagram& send, const StateView& before) {
  const RouteRecord* route = before.route_to(send.to);
  const bool is_ours =
      std::any_of(before.addresses.begin(), before.addresses.end(),
                  [&](const auto* there) { return there->address.address == send.to; });
  if (is_ours && (route == nullptr || route->route.type != RouteType::Local)) {
    return "a packet to an address of ours that somebody made not local";
  }
  return loopback_is_odd(before) ? Name("a packet over a loopback that somebody keeps waiting")
                                 : std::nullopt;
}

// vxlan_snoop: what would be learned is not modelled.
bool learns(const StateView& before) {
  return std::any_of(before.links.begin(), before.links.end(), [](const auto* record) {
    return record->link.up && record->link.vxlan && record->link.vxlan->learning;
  });
}

// What the requests of a batch do is known to none behind them, so only those are suited that are
// whatever was done before. What links and IPv6 addresses do goes on behind a request.
bool suits_batch(const rtnl::Request& request) {
  const auto* new_route = std::get_if<rtnl::NewRoute>(&request);
  if (new_route != nullptr) {
    return new_route->route.destination.family() == Family::V4;
  }
  return std::holds_alternative<rtnl::DelRoute>(request) ||
         std::holds_alternative<rtnl::NewNeigh>(request) ||
         std::holds_alternative<rtnl::DelNeigh>(request) ||
         std::holds_alternative<rtnl::NewFdb>(request) ||
         std::holds_alternative<rtnl::DelFdb>(request) ||
         std::holds_alternative<rtnl::SetNeighTable>(request);
}

Name judge_request(const rtnl::Request& request, const StateView& before);

Name judge(const Batch& batch, const StateView& before) {
  for (const rtnl::Request& request : batch.requests) {
    if (!suits_batch(request)) {
      return "in a batch another request than of routes, neighbours and the FDB";
    }
    if (const Name name = judge_request(request, before)) {
      return name;
    }
  }
  return std::nullopt;
}

// Linux looks for some of its own addresses in the routes, and for others in the addresses.
bool has_address_not_local(const StateView& before) {
  return std::any_of(before.addresses.begin(), before.addresses.end(), [&](const auto* there) {
    const IpAddress& address = there->address.address;
    const RouteRecord* route = before.route_to(address);
    return address.family() == Family::V4 &&
           (route == nullptr || route->route.type != RouteType::Local);
  });
}

// What neighbour discovery says in a frame or in one that it tunnels; null if it is about other
// things.
const NdMessage* discovery_in(const EthernetFrame& frame) {
  const auto* packet = std::get_if<IpPacket>(&frame.payload);
  if (packet == nullptr) {
    return nullptr;
  }
  if (const auto* datagram = std::get_if<UdpDatagram>(&packet->payload)) {
    const auto* tunnelled = std::get_if<VxlanFrame>(&datagram->payload);
    return tunnelled != nullptr ? discovery_in(*tunnelled->inner) : nullptr;
  }
  return std::get_if<NdMessage>(&packet->payload);
}

// Where it arrives the detection of the address fails, in its own time (addrconf_dad_failure).
bool advertises_tentative(const Inject& inject, const StateView& before) {
  const std::optional<EthernetFrame> frame = decode_frame(inject.frame);
  const NdMessage* message = frame ? discovery_in(*frame) : nullptr;
  return message != nullptr && message->kind == NdMessage::Kind::Advertise &&
         std::any_of(before.addresses.begin(), before.addresses.end(), [&](const auto* there) {
           return there->address.address == message->target &&
                  (there->flags & kAddressTentative) != 0;
         });
}

Name judge(const Inject& inject, const StateView& before) {
  if (learns(before)) {
    return "a frame where a vxlan learns";
  }
  if (has_address_not_local(before)) {
    return "a frame where somebody made an address of ours not local";
  }
  return advertises_tentative(inject, before)
             ? Name("an advertisement of an address whose detection is under way")
             : std::nullopt;
}

template <typename Other>
Name judge(const Other& /*request*/, const StateView& /*before*/) {
  return std::nullopt;
}

Name judge_request(const rtnl::Request& request, const StateView& before) {
  return std::visit([&](const auto& kind) { return judge(kind, before); }, request);
}

}  // namespace

std::optional<std::string_view> unsuited(const Action& action, const StateView& before) {
  if (const auto* send = std::get_if<SendDatagram>(&action)) {
    return judge(*send, before);
  }
  if (const auto* capture = std::get_if<Capture>(&action);
      capture != nullptr && before.link(capture->device) == nullptr) {
    return "frames of a device that is not there";
  }
  if (const auto* inject = std::get_if<Inject>(&action)) {
    return judge(*inject, before);
  }
  if (const auto* batch = std::get_if<Batch>(&action)) {
    return judge(*batch, before);
  }
  const auto* request = std::get_if<rtnl::Request>(&action);
  return request != nullptr ? judge_request(*request, before) : std::nullopt;
}

}  // namespace vxmesh::fidelity
