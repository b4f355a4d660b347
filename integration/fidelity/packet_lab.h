// Packets through a namespace that a test builds, in both worlds: what comes out must be the same.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "integration/fidelity/world.h"
#include "sim/kernel/packet.h"

namespace vxmesh::fidelity {

// --- Values of which the test is sure ---

[[nodiscard]] IpAddress ip(std::string_view text);
[[nodiscard]] MacAddress mac(std::string_view text);

[[nodiscard]] EthernetFrame frame(std::string_view to, std::string_view from,
                                  EthernetFrame::Payload payload);
// A frame that no host understands.
[[nodiscard]] EthernetFrame unknown(std::string_view to, std::string_view from);
[[nodiscard]] IpPacket udp(std::string_view from, std::string_view to, Bytes payload = {'h', 'i'});
[[nodiscard]] IpPacket udp_to_port(std::string_view from, std::string_view to, std::uint16_t port,
                                   Bytes payload = {'h', 'i'});
[[nodiscard]] IpPacket tunnelled(std::string_view from, std::string_view to,
                                 const EthernetFrame& inner, std::uint32_t vni = 1);
[[nodiscard]] IpPacket echo(std::string_view from, std::string_view to);
[[nodiscard]] IpPacket tcp(std::string_view from, std::string_view to, std::uint8_t flags);
[[nodiscard]] ArpPacket arp(std::uint16_t operation, std::string_view sender_mac,
                            std::string_view sender, std::string_view target_mac,
                            std::string_view target);

// One world, and what was seen in it. Devices are known by name.
class PacketLab {
 public:
  explicit PacketLab(World& world) : world_(world) {}

  // --- Set-up; a refusal is seen ---

  void veth(const std::string& name, std::string_view mac, const std::string& peer,
            std::string_view peer_mac);
  void bridge(const std::string& name, std::string_view mac);
  void vxlan(const std::string& name, std::string_view mac, std::string_view local);
  // A change of the device.
  void change(const std::string& device, const std::function<void(rtnl::NewLink&)>& say);
  void up(const std::string& device);
  void down(const std::string& device);
  void master(const std::string& device, const std::string& bridge);
  void address(const std::string& device, std::string_view address, std::uint8_t length);
  void route(std::string_view destination, std::uint8_t length, const std::string& device);
  void refusing_route(std::string_view destination, std::uint8_t length, std::uint8_t type);
  void neighbour(const std::string& device, std::string_view address, std::string_view mac,
                 std::uint16_t state = 0x80, std::uint8_t flags = 0);
  void fdb(const std::string& device, std::string_view mac, std::string_view destination,
           std::uint16_t flags = 0);
  void forward() { world_.set_forwarding(true); }
  void advance(Duration time) { world_.advance(time); }

  // --- Packets ---

  void capture(const std::string& device);
  void inject(const std::string& device, const EthernetFrame& frame);
  void inject(const std::string& device, const Bytes& frame);
  void send(std::string_view address);
  // Until a broadcast frame comes through. A bridge's port forwards nothing until the kernel has
  // noticed its carrier, which takes it a moment.
  void wait_for_way(const std::string& from, const std::string& to);
  // What has come out since the last look, and which neighbours there are.
  void look(const std::string& when);

  [[nodiscard]] const std::vector<std::string>& seen() const { return seen_; }

 private:
  void request(const rtnl::Request& request);
  [[nodiscard]] IfIndex index_of(const std::string& device) const;
  void know(const std::string& device, IfIndex index);

  World& world_;
  IfIndex next_{2};
  std::map<std::string, IfIndex> devices_{{"lo", IfIndex{1}}};
  std::vector<std::string> seen_;
};

// Does it in both worlds, and expects to see the same. Skips the test where there is no real one.
void compare(const std::function<void(PacketLab&)>& body);

}  // namespace vxmesh::fidelity
