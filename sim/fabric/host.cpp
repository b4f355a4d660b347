#include "sim/fabric/host.h"

#include <utility>

#include "base/check.h"
#include "sim/kernel/packet.h"
#include "sim/world/digest.h"

namespace vxmesh {
namespace {

constexpr PortId kAdministrator{2};  // whoever sets up the machine
constexpr std::uint16_t kDiscardPort = 9;
constexpr std::uint16_t kSourcePort = 40000;
constexpr std::uint8_t kUnderlayLength = 16;

MacAddress host_mac(HostNumber number) {
  return MacAddress{
      {0x02, 0, 0, 0, static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)}};
}
MacAddress bridge_mac(HostNumber number) {
  return MacAddress{
      {0x02, 0, 0, 1, static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)}};
}

constexpr std::size_t kNumberSize = 8;
constexpr std::size_t kHeaders = PodPacket::kLeast - kNumberSize;  // IPv4 and UDP

Bytes payload_of(const PodPacket& packet) {
  check(packet.bytes >= PodPacket::kLeast, "a packet has room for its headers and number");
  Bytes bytes(packet.bytes - kHeaders);
  for (std::size_t i = 0; i < kNumberSize; ++i) {
    bytes[i] = static_cast<std::uint8_t>(packet.number >> (8 * i));
  }
  return bytes;
}

std::optional<std::uint64_t> number_of(const IpPacket& packet) {
  const auto* datagram = std::get_if<UdpDatagram>(&packet.payload);
  const auto* bytes = datagram == nullptr ? nullptr : std::get_if<Bytes>(&datagram->payload);
  if (bytes == nullptr || bytes->size() < kNumberSize) {
    return std::nullopt;
  }
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < kNumberSize; ++i) {
    number |= static_cast<std::uint64_t>((*bytes)[i]) << (8 * i);
  }
  return number;
}

}  // namespace

MacAddress pod_mac(const IpAddress& address) {
  const auto bytes = address.bytes();
  return MacAddress{{0x02, 1, bytes[0], bytes[1], bytes[2], bytes[3]}};
}

IpAddress address_at(const IpPrefix& prefix, std::uint32_t place) {
  const IpAddress address = IpAddress::v4(prefix.base().v4_bits() + place);
  check(prefix.contains(address), "a prefix has so many addresses");
  return address;
}

Host::Host(HostOptions options, FakeEventLoop& world, Fabric& fabric, Trace& trace,
           Received received, Touched touched)
    : options_(std::move(options)),
      world_(world),
      fabric_(fabric),
      trace_(trace),
      received_(std::move(received)),
      touched_(std::move(touched)),
      mac_(host_mac(options_.number)),
      clock_(world, options_.clock_ppm) {
  set_up();
  kernel_.data_plane().set_wire(
      [this](IfIndex device, const FramePtr& frame) { frame_from_wire(device, frame); });
  fabric_.attach(options_.number, mac_, [this](FramePtr frame) {
    kernel_.receive(underlay_, std::move(frame), now());
    touched_();
  });
}

Host::~Host() {
  fabric_.detach(options_.number);
  if (timer_) {
    world_.cancel(*timer_);
  }
}

void Host::set_up() {
  request(rtnl::NewLink{.device = NamespaceState::kLoopback, .up = true});
  underlay_ = kernel_.add_link(
      Link{.name = "eth0", .mac = mac_, .mtu = options_.underlay_mtu, .up = true}, now());
  kernel_.set_forwarding(true, now());
  set_underlay_address(true);
  request(rtnl::NewLink{.flags = rtnl::kCreate,
                        .name = "cni0",
                        .mac = bridge_mac(options_.number),
                        .kind = rtnl::Kind::Bridge});
  bridge_ = kernel_.find_link("cni0")->index;
  wire_ = kernel_.add_link(Link{.name = "pods",
                                .mac = MacAddress{{0x02, 0, 0, 2, 0, 1}},
                                .mtu = options_.underlay_mtu,
                                .up = true},
                           now());
  request(rtnl::NewLink{.device = wire_, .master = bridge_});
  request(rtnl::NewLink{.device = bridge_, .up = true});
  set_up_pods();
}

void Host::set_up_pods() {
  request(rtnl::NewAddr{.flags = rtnl::kCreate,
                        .device = bridge_,
                        .local = address_at(options_.pod_cidr, 1),
                        .length = options_.pod_cidr.length()});
}

KernelReply Host::request(const rtnl::Request& request) {
  KernelReply reply = kernel_.request(request, kAdministrator, now());
  touched_();
  return reply;
}

IfIndex Host::device() const {
  const Link* link = kernel_.find_link("vxlan1");
  return link == nullptr ? IfIndex{} : link->index;
}

void Host::change_ip(const IpAddress& ip) {
  // The old one first: a second address of the subnet would be a secondary, and go with it.
  set_underlay_address(false);
  options_.ip = ip;
  set_underlay_address(true);
}

void Host::change_pod_cidr(const IpPrefix& pod_cidr) {
  pods_.clear();
  request(rtnl::DelAddr{.device = bridge_,
                        .local = address_at(options_.pod_cidr, 1),
                        .length = options_.pod_cidr.length()});
  options_.pod_cidr = pod_cidr;
  set_up_pods();
}

// As machines do when they have got an address (RFC 5227, section 2.3): who has it with the MAC of
// another learns ours, and does not have to find out that the other is gone.
void Host::announce() {
  const ArpPacket announcement{.operation = ArpPacket::kRequest,
                               .sender_mac = mac_,
                               .sender = options_.ip,
                               .target_mac = {},
                               .target = options_.ip};
  const auto frame = std::make_shared<const EthernetFrame>(EthernetFrame{
      .destination = kBroadcastMac, .source = mac_, .payload = announcement, .trailer = {}});
  world_.post([this, alive = std::weak_ptr(alive_), frame] {
    if (!alive.expired()) {
      fabric_.send(options_.number, frame);
    }
  });
}

void Host::set_underlay(bool up) {
  request(rtnl::NewLink{.device = underlay_, .up = up});
}

void Host::rename_underlay(const std::string& name) {
  const bool was_up = kernel_.find_link(underlay_)->up;
  set_underlay(false);
  request(rtnl::NewLink{.device = underlay_, .name = name});
  set_underlay(was_up);
}

void Host::set_underlay_mtu(std::uint32_t mtu) {
  request(rtnl::NewLink{.device = underlay_, .mtu = mtu});
}

void Host::set_underlay_address(bool there) {
  if (!there) {
    request(rtnl::DelAddr{.device = underlay_, .local = options_.ip, .length = kUnderlayLength});
    return;
  }
  request(rtnl::NewAddr{.flags = rtnl::kCreate,
                        .device = underlay_,
                        .local = options_.ip,
                        .length = kUnderlayLength});
  announce();
}

// --- Frames ---

void Host::frame_from_wire(IfIndex device, const FramePtr& frame) {
  if (device == underlay_) {
    fabric_.send(options_.number, frame);
  } else if (device == wire_) {
    frame_for_pod(frame);
  }
}

void Host::frame_for_pod(const FramePtr& frame) {
  if (const auto* arp = std::get_if<ArpPacket>(&frame->payload)) {
    if (arp->operation == ArpPacket::kRequest && has_pod(arp->target)) {
      answer_arp(*arp);
    }
    return;
  }
  const auto* packet = std::get_if<IpPacket>(&frame->payload);
  if (packet == nullptr || !has_pod(packet->destination) ||
      frame->destination != pod_mac(packet->destination)) {
    return;
  }
  if (const std::optional<std::uint64_t> number = number_of(*packet)) {
    received_({.from = packet->source,
               .to = packet->destination,
               .number = *number,
               .bytes = static_cast<std::uint32_t>(size_on_wire(*packet))});
  }
}

void Host::answer_arp(const ArpPacket& request) {
  const MacAddress mac = pod_mac(request.target);
  into_bridge(std::make_shared<const EthernetFrame>(
      EthernetFrame{.destination = request.sender_mac,
                    .source = mac,
                    .payload = ArpPacket{.operation = ArpPacket::kReply,
                                         .sender_mac = mac,
                                         .sender = request.target,
                                         .target_mac = request.sender_mac,
                                         .target = request.sender},
                    .trailer = {}}));
}

// Later, because the kernel is in the middle of what made the pod speak.
void Host::into_bridge(FramePtr frame) {
  world_.post([this, alive = std::weak_ptr(alive_), frame = std::move(frame)] {
    if (!alive.expired()) {
      kernel_.receive(wire_, frame, now());
      touched_();
    }
  });
}

void Host::send(const PodPacket& packet) {
  trace_.record(world_.now(), options_.number, TraceKind::Packet, digest_of(packet), [&] {
    return format(packet.from) + " sends #" + std::to_string(packet.number) + " to " +
           format(packet.to) +
           (packet.bytes > PodPacket::kLeast ? ", " + std::to_string(packet.bytes) + " bytes" : "");
  });
  auto frame = std::make_shared<const EthernetFrame>(
      EthernetFrame{.destination = bridge_mac(options_.number),
                    .source = pod_mac(packet.from),
                    .payload = IpPacket{.source = packet.from,
                                        .destination = packet.to,
                                        .dont_fragment = true,
                                        .payload = UdpDatagram{.source_port = kSourcePort,
                                                               .destination_port = kDiscardPort,
                                                               .payload = payload_of(packet)}},
                    .trailer = {}});
  kernel_.receive(wire_, std::move(frame), now());
  touched_();
}

// --- Time ---

void Host::settle() {
  const std::optional<MonotonicTime> next = kernel_.next_timer();
  if (timer_ && next == timer_at_) {
    return;
  }
  if (timer_) {
    world_.cancel(*timer_);
    timer_.reset();
  }
  if (next) {
    timer_at_ = *next;
    timer_ = world_.timer(clock_.world_time(*next) - world_.now(), [this] {
      timer_.reset();
      trace_.cover(options_.number, TraceKind::Timer, digest_of(now().since_start));
      kernel_.run_timers(now());
      touched_();
    });
  }
}

}  // namespace vxmesh
