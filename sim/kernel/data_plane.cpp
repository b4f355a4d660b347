#include "sim/kernel/data_plane.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "sim/kernel/not_modelled.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

constexpr IfIndex kLoopback{1};
constexpr std::size_t kEthernetHeader = 14;
constexpr std::size_t kVlanHeader = 4;
constexpr std::uint16_t kEtherTypeVlan = 0x8100;
// XMIT_RECURSION_LIMIT: devices that send through devices that send.
constexpr unsigned kMaxDepth = 8;
// More frames in one call than any program makes; Linux would go on for ever.
constexpr std::size_t kMaxFramesInCall = 100'000;

// 01:80:c2:00:00:0X (IEEE 802.1D, table 7-10).
bool is_reserved_group(const MacAddress& mac) {
  constexpr MacAddress kGroup{{0x01, 0x80, 0xc2, 0x00, 0x00, 0x00}};
  return std::equal(mac.bytes.begin(), mac.bytes.end() - 1, kGroup.bytes.begin()) &&
         (mac.bytes[5] & 0xf0U) == 0;
}

bool is_valid_source(const MacAddress& mac) {
  return mac != MacAddress{} && !is_multicast(mac);
}

}  // namespace

// What a public call does: takes the time, and when the outermost one ends all frames that are
// under way.
class DataPlane::Turn {
 public:
  Turn(DataPlane& plane, MonotonicTime now) : plane_(plane) {
    check(now >= plane_.now_, "time never runs backwards");
    plane_.now_ = now;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (plane_.draining_) {
      return;
    }
    plane_.draining_ = true;
    for (std::size_t taken = 0; !plane_.inbox_.empty(); ++taken) {
      if (taken == kMaxFramesInCall) {
        not_modelled("frames that go in circles");
      }
      const Arrived arrived = std::move(plane_.inbox_.front());
      plane_.inbox_.pop_front();
      plane_.take(arrived);
    }
    plane_.draining_ = false;
  }

 private:
  DataPlane& plane_;
};

// --- What comes from outside ---

int DataPlane::inject(IfIndex device, std::span<const std::uint8_t> frame, MonotonicTime now) {
  const Turn turn(*this, now);
  const LinkRecord* link = tables_.link(device);
  if (link == nullptr) {
    return ENXIO;
  }
  if (!link->link.up) {
    return ENETDOWN;
  }
  std::optional<EthernetFrame> decoded = decode_frame(frame);
  if (!decoded) {
    return EINVAL;
  }
  const std::size_t vlan = decoded->ether_type() == kEtherTypeVlan ? kVlanHeader : 0;
  if (frame.size() > link->link.mtu + kEthernetHeader + vlan) {
    return EMSGSIZE;
  }
  // A veth says that the other end refused; without a carrier there is a queue that takes all
  // (noop_qdisc).
  const bool taken = transmit(device, std::make_shared<const EthernetFrame>(std::move(*decoded)));
  return taken || !tables_.is_running(device) ? 0 : ENOBUFS;
}

void DataPlane::receive(IfIndex device, FramePtr frame, MonotonicTime now) {
  const Turn turn(*this, now);
  inbox_.push_back({.device = device, .frame = std::move(frame)});
}

int DataPlane::send_datagram(const IpAddress& to, MonotonicTime now) {
  const Turn turn(*this, now);
  return send_udp(to);
}

void DataPlane::act(const Solicitation& solicitation, MonotonicTime now) {
  const Turn turn(*this, now);
  if (solicitation.target.family() == Family::V4) {
    solicit_arp(solicitation);
  } else {
    solicit_nd(solicitation);
  }
}

void DataPlane::act(const ReleasedPacket& released, MonotonicTime now) {
  const Turn turn(*this, now);
  if (released.packet.packet != nullptr) {
    send_to(released.device, *released.packet.packet, released.to);
  }
}

void DataPlane::act(const LostPacket& lost, MonotonicTime now) {
  const Turn turn(*this, now);
  if (lost.reported && lost.packet.packet != nullptr) {
    report_lost(lost.device, *lost.packet.packet);
  }
}

// --- Frames ---

bool DataPlane::is_up(IfIndex device) const {
  const LinkRecord* link = tables_.link(device);
  return link != nullptr && link->link.up;
}

bool DataPlane::transmit(IfIndex device, FramePtr frame) {
  const LinkRecord* link = tables_.link(device);
  if (link == nullptr || !link->link.up || depth_ == kMaxDepth) {
    return true;  // lost, and nobody is told
  }
  ++depth_;
  bool taken = true;
  if (device == kLoopback) {
    inbox_.push_back({.device = device, .frame = std::move(frame)});
  } else if (link->link.kind == "veth") {
    taken = transmit_veth(*link, std::move(frame));
  } else if (link->link.kind == "bridge") {
    transmit_bridge(*link, frame);
  } else if (link->link.kind == "vxlan") {
    transmit_tunnel(*link, frame);
  } else if (wire_) {
    wire_(device, std::move(frame));
  }
  --depth_;
  return taken;
}

// is_skb_forwardable: the receiver's MTU has room for a VLAN header too.
bool fits(const LinkRecord& receiver, const EthernetFrame& frame) {
  return receiver.link.up &&
         size_on_wire(frame) <= receiver.link.mtu + kEthernetHeader + kVlanHeader;
}

bool DataPlane::transmit_veth(const LinkRecord& link, FramePtr frame) {
  const LinkRecord* peer = link.lower ? tables_.link(*link.lower) : nullptr;
  if (peer == nullptr || !fits(*peer, *frame)) {
    return false;
  }
  inbox_.push_back({.device = peer->link.index, .frame = std::move(frame)});
  return true;
}

void DataPlane::take(const Arrived& arrived) {
  if (tap_) {
    tap_(arrived.device, *arrived.frame);
  }
  const LinkRecord* link = tables_.link(arrived.device);
  if (link == nullptr || !link->link.up) {
    return;
  }
  Arrived seen = arrived;
  if (!seen.cast) {
    const MacAddress& to = arrived.frame->destination;
    seen.cast = to == kBroadcastMac    ? Cast::Broadcast
                : is_multicast(to)     ? Cast::Multicast
                : to == link->link.mac ? Cast::Host
                                       : Cast::OtherHost;
  }
  const LinkRecord* master = link->link.master ? tables_.link(*link->link.master) : nullptr;
  if (master != nullptr && master->link.kind == "bridge") {
    take_at_port(*link, *master, seen);
  } else {
    take_at_host(seen);
  }
}

void DataPlane::take_at_host(const Arrived& arrived) {
  if (const auto* arp = std::get_if<ArpPacket>(&arrived.frame->payload)) {
    take_arp(arrived, *arp);
  } else if (const auto* packet = std::get_if<IpPacket>(&arrived.frame->payload)) {
    take_packet({.device = arrived.device,
                 .cast = *arrived.cast,
                 .packet = *packet,
                 .looped = arrived.looped});
  }
}

// --- Bridges ---

bool DataPlane::is_own_mac(const LinkRecord& bridge, const MacAddress& mac) const {
  const std::vector<IfIndex> ports = tables_.ports_of(bridge.link.index);
  return mac == bridge.link.mac || std::any_of(ports.begin(), ports.end(), [&](IfIndex port) {
           return tables_.link(port)->link.mac == mac;
         });
}

void DataPlane::forward_to_port(IfIndex port, const FramePtr& frame) {
  const LinkRecord* link = tables_.link(port);
  // A port forwards while it has a carrier and the bridge is up.
  if (link != nullptr && tables_.is_running(port) && is_up(*link->link.master) &&
      fits(*link, *frame)) {
    (void)transmit(port, frame);
  }
}

void DataPlane::flood(IfIndex bridge, std::optional<IfIndex> from, const FramePtr& frame) {
  for (const IfIndex port : tables_.ports_of(bridge)) {  // newest first
    if (port != from) {
      forward_to_port(port, frame);
    }
  }
}

// br_dev_xmit
void DataPlane::transmit_bridge(const LinkRecord& bridge, const FramePtr& frame) {
  const IfIndex index = bridge.link.index;
  const MacAddress& to = frame->destination;
  if (is_multicast(to)) {
    flood(index, std::nullopt, frame);
    return;
  }
  for (const IfIndex port : tables_.ports_of(index)) {
    if (tables_.link(port)->link.mac == to) {
      forward_to_port(port, frame);
      return;
    }
  }
  if (to == bridge.link.mac) {
    return;
  }
  if (const std::optional<IfIndex> port = bridges_.find(index, to, now_)) {
    forward_to_port(*port, frame);
  } else {
    flood(index, std::nullopt, frame);
  }
}

// br_handle_frame, br_handle_frame_finish
void DataPlane::take_at_port(const LinkRecord& port, const LinkRecord& bridge,
                             const Arrived& arrived) {
  const FramePtr& frame = arrived.frame;
  const IfIndex index = bridge.link.index;
  if (!is_valid_source(frame->source)) {
    return;
  }
  if (is_reserved_group(frame->destination) && frame->destination.bytes[5] != 0) {
    constexpr std::uint8_t kPause = 1;
    if (frame->destination.bytes[5] != kPause) {
      take_at_host(arrived);
    }
    return;
  }
  if (!bridge.link.up || !tables_.is_running(port.link.index)) {
    return;
  }
  if (!is_own_mac(bridge, frame->source)) {
    bridges_.learn(index, frame->source, port.link.index, now_);
  }
  const MacAddress& to = frame->destination;
  const Cast cast = to == bridge.link.mac ? Cast::Host : *arrived.cast;
  bool is_for_us = is_multicast(to);
  if (is_own_mac(bridge, to)) {
    is_for_us = true;
  } else if (const auto known = is_for_us ? std::nullopt : bridges_.find(index, to, now_)) {
    if (*known != port.link.index) {
      forward_to_port(*known, frame);
    }
  } else {
    flood(index, port.link.index, frame);
  }
  if (is_for_us) {
    inbox_.push_front({.device = index, .frame = frame, .cast = cast});
  }
}

}  // namespace vxmesh
