#include "integration/fidelity/packet_lab.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "base/check.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh::fidelity {
namespace {

constexpr std::uint16_t kSourcePort = 1000;
constexpr std::uint16_t kClosedPort = 2000;

std::string hex(const Bytes& bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 0xfU];
  }
  return text;
}

std::vector<std::string> seen_in(World& world, const std::function<void(PacketLab&)>& body) {
  PacketLab lab(world);
  body(lab);
  return lab.seen();
}

}  // namespace

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}

MacAddress mac(std::string_view text) {
  return MacAddress::parse(text).value();
}

EthernetFrame frame(std::string_view to, std::string_view from, EthernetFrame::Payload payload) {
  return {.destination = mac(to), .source = mac(from), .payload = std::move(payload)};
}

EthernetFrame unknown(std::string_view to, std::string_view from) {
  constexpr std::uint16_t kExperiment = 0x88b5;  // IEEE 802
  return frame(to, from, OpaqueFrame{.ether_type = kExperiment, .bytes = {1, 2, 3}});
}

IpPacket udp(std::string_view from, std::string_view to, Bytes payload) {
  return udp_to_port(from, to, kClosedPort, std::move(payload));
}

IpPacket udp_to_port(std::string_view from, std::string_view to, std::uint16_t port,
                     Bytes payload) {
  return {.source = ip(from),
          .destination = ip(to),
          .payload = UdpDatagram{
              .source_port = kSourcePort, .destination_port = port, .payload = std::move(payload)}};
}

IpPacket tunnelled(std::string_view from, std::string_view to, const EthernetFrame& inner,
                   std::uint32_t vni) {
  IpPacket packet = udp_to_port(from, to, kVxlanPort);
  std::get<UdpDatagram>(packet.payload).payload =
      VxlanFrame{.vni = Vni{vni}, .inner = std::make_shared<const EthernetFrame>(inner)};
  return packet;
}

IpPacket echo(std::string_view from, std::string_view to) {
  const bool v4 = ip(from).family() == Family::V4;
  return {.source = ip(from),
          .destination = ip(to),
          .tos = 0x15,
          .payload = IcmpMessage{.type = static_cast<std::uint8_t>(v4 ? 8 : 128),
                                 .parameter = 0x10002,
                                 .data = {1, 2, 3}}};
}

IpPacket tcp(std::string_view from, std::string_view to, std::uint8_t flags) {
  return {.source = ip(from),
          .destination = ip(to),
          .tos = 0xff,
          .payload = TcpSegment{.source_port = kSourcePort,
                                .destination_port = kClosedPort,
                                .sequence = 7,
                                .acknowledgment = 9,
                                .flags = flags,
                                .options = {2, 4, 5, 0xb4},
                                .payload = {1, 2}}};
}

ArpPacket arp(std::uint16_t operation, std::string_view sender_mac, std::string_view sender,
              std::string_view target_mac, std::string_view target) {
  return {.operation = operation,
          .sender_mac = mac(sender_mac),
          .sender = ip(sender),
          .target_mac = mac(target_mac),
          .target = ip(target)};
}

// --- Set-up ---

void PacketLab::request(const rtnl::Request& request) {
  const OpDone done = world_.request(request, Writer::First).done;
  if (done != OpDone{}) {
    seen_.push_back("refused: " + std::to_string(done.error_number) + " " + done.extended_ack);
  }
}

IfIndex PacketLab::index_of(const std::string& device) const {
  return devices_.at(device);
}

void PacketLab::know(const std::string& device, IfIndex index) {
  check(devices_.emplace(device, index).second, "a device has a name of its own");
}

void PacketLab::veth(const std::string& name, std::string_view mac, const std::string& peer,
                     std::string_view peer_mac) {
  rtnl::NewLink pair{.flags = rtnl::kCreate, .name = name, .mac = fidelity::mac(mac)};
  pair.kind = rtnl::Kind::Veth;
  pair.peer_name = peer;
  pair.peer_mac = fidelity::mac(peer_mac);
  request(pair);
  know(peer, next_);  // the peer comes first
  know(name, IfIndex{next_.value + 1});
  next_.value += 2;
}

void PacketLab::bridge(const std::string& name, std::string_view mac) {
  rtnl::NewLink link{.flags = rtnl::kCreate, .name = name, .mac = fidelity::mac(mac)};
  link.kind = rtnl::Kind::Bridge;
  request(link);
  know(name, next_);
  ++next_.value;
}

void PacketLab::vxlan(const std::string& name, std::string_view mac, std::string_view local) {
  rtnl::NewLink link{.flags = rtnl::kCreate, .name = name, .mac = fidelity::mac(mac)};
  link.kind = rtnl::Kind::Vxlan;
  link.vni = 1;
  link.port = kVxlanPort;
  link.local = ip(local);
  link.learning = false;
  request(link);
  know(name, next_);
  ++next_.value;
}

void PacketLab::change(const std::string& device, const std::function<void(rtnl::NewLink&)>& say) {
  rtnl::NewLink link{.device = index_of(device)};
  say(link);
  request(link);
}

void PacketLab::up(const std::string& device) {
  change(device, [](rtnl::NewLink& link) { link.up = true; });
}

void PacketLab::down(const std::string& device) {
  change(device, [](rtnl::NewLink& link) { link.up = false; });
}

void PacketLab::master(const std::string& device, const std::string& bridge) {
  change(device, [&](rtnl::NewLink& link) { link.master = index_of(bridge); });
}

void PacketLab::address(const std::string& device, std::string_view address, std::uint8_t length) {
  rtnl::NewAddr added{.flags = rtnl::kCreate | rtnl::kExcl,
                      .device = index_of(device),
                      .local = ip(address),
                      .length = length};
  if (added.local.family() == Family::V6) {
    added.address_flags = kAddressNoDad;
  }
  request(added);
}

void PacketLab::route(std::string_view destination, std::uint8_t length,
                      const std::string& device) {
  rtnl::NewRoute added{.flags = rtnl::kCreate | rtnl::kExcl};
  added.route.destination = ip(destination);
  added.route.length = length;
  added.route.device = index_of(device);
  added.route.scope = added.route.destination.family() == Family::V4 ? kScopeLink : 0;
  request(added);
}

void PacketLab::refusing_route(std::string_view destination, std::uint8_t length,
                               std::uint8_t type) {
  rtnl::NewRoute added{.flags = rtnl::kCreate | rtnl::kExcl};
  added.route.destination = ip(destination);
  added.route.length = length;
  added.route.type = type;
  request(added);
}

void PacketLab::neighbour(const std::string& device, std::string_view address, std::string_view mac,
                          std::uint16_t state, std::uint8_t flags) {
  request(rtnl::NewNeigh{.flags = rtnl::kCreate | rtnl::kReplace,
                         .device = index_of(device),
                         .address = ip(address),
                         .state = state,
                         .ntf = flags,
                         .lladdr = fidelity::mac(mac)});
}

void PacketLab::fdb(const std::string& device, std::string_view mac, std::string_view destination,
                    std::uint16_t flags) {
  request(rtnl::NewFdb{.flags = static_cast<std::uint16_t>(rtnl::kCreate | flags),
                       .device = index_of(device),
                       .state = kNudPermanent,
                       .ntf = kNtfSelf,
                       .lladdr = fidelity::mac(mac),
                       .dst = ip(destination)});
}

// --- Packets ---

void PacketLab::capture(const std::string& device) {
  world_.capture(index_of(device));
}

void PacketLab::inject(const std::string& device, const EthernetFrame& frame) {
  inject(device, encode(frame));
}

void PacketLab::inject(const std::string& device, const Bytes& frame) {
  if (const int error = world_.inject(index_of(device), frame); error != 0) {
    seen_.push_back("inject: " + std::to_string(error));
  }
}

void PacketLab::send(std::string_view address) {
  const int error = world_.send_datagram(ip(address));
  seen_.push_back("send to " + std::string(address) + ": " + std::to_string(error));
}

void PacketLab::wait_for_way(const std::string& from, const std::string& to) {
  constexpr int kTries = 1000;
  const Bytes frame = encode(unknown("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:77"));
  const Captured expected{.device = index_of(to), .frame = frame};
  for (int i = 0; i < kTries; ++i) {
    inject(from, frame);
    const std::vector<Captured> frames = world_.captured();
    if (std::find(frames.begin(), frames.end(), expected) != frames.end()) {
      return;
    }
    world_.advance(std::chrono::milliseconds(1));
  }
  seen_.push_back("no way from " + from + " to " + to);
}

void PacketLab::look(const std::string& when) {
  seen_.push_back("-- " + when);
  for (const Captured& captured : world_.captured()) {
    const std::optional<EthernetFrame> frame = decode_frame(captured.frame);
    check(frame.has_value(), "a device receives whole frames");
    seen_.push_back("#" + std::to_string(captured.device.value) + " " + format(*frame) + " = " +
                    hex(captured.frame));
  }
  for (const Record& row : world_.tables()) {
    if (const auto* record = std::get_if<NeighbourRecord>(&row)) {
      seen_.push_back(format(record->neighbour));
    }
  }
}

void compare(const std::function<void(PacketLab&)>& body) {
  const Result<std::unique_ptr<World>> real = make_real_world();
  if (!real) {
    GTEST_SKIP() << real.error().context;
  }
  const std::vector<std::string> on_linux = seen_in(**real, body);
  const std::vector<std::string> on_fake = seen_in(*make_fake_world(), body);
  std::string when;
  for (std::size_t i = 0; i < std::min(on_linux.size(), on_fake.size()); ++i) {
    when = on_linux[i].starts_with("-- ") ? on_linux[i] : when;
    ASSERT_EQ(on_fake[i], on_linux[i]) << when;
  }
  EXPECT_EQ(on_fake, on_linux);
}

}  // namespace vxmesh::fidelity
