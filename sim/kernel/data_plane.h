// The data plane of a network namespace: what becomes of a frame or a packet.
//
// Bridge, route, neighbour, FDB, encapsulation, underlay, decapsulation and delivery as Linux does
// it, on packets as values. sim/kernel/README.md says what is missing, what aborts and what
// differs.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "ports/firewall.h"
#include "sim/kernel/bridge_table.h"
#include "sim/kernel/icmp_limit.h"
#include "sim/kernel/network_tables.h"
#include "sim/kernel/packet.h"
#include "sim/kernel/reassembly.h"

namespace vxmesh {

using FramePtr = std::shared_ptr<const EthernetFrame>;

// Contract: a state machine without clock, randomness or I/O; time comes with the calls and never
// runs backwards. What a call causes in this namespace is done when it returns: frames that one
// device sends and another receives are taken one after the other, in the order in which they were
// sent.
// Where Linux chooses freely the choice is always the same: packet_choices.h says which.
class DataPlane {
 public:
  explicit DataPlane(NetworkTables& tables) : tables_(tables) {}
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  // --- What comes from outside ---

  // A packet socket sends the frame out of `device`. The errno, 0 if it was taken.
  int inject(IfIndex device, std::span<const std::uint8_t> frame, MonotonicTime now);
  // A frame arrives at a device that is the end of a wire.
  void receive(IfIndex device, FramePtr frame, MonotonicTime now);
  // A process sends one UDP datagram of one byte to port 9. The errno, 0 if it was taken.
  int send_datagram(const IpAddress& to, MonotonicTime now);

  // --- What the tables want done ---

  void act(const Solicitation& solicitation, MonotonicTime now);
  void act(const ReleasedPacket& released, MonotonicTime now);
  void act(const LostPacket& lost, MonotonicTime now);
  // A port of a bridge goes down, loses its carrier, or leaves.
  void port_disabled(IfIndex port) { bridges_.forget_port(port); }

  // --- What goes outside ---

  // Called with each frame that a device receives, as a packet socket on it sees it; must not call
  // back.
  using Tap = std::function<void(IfIndex, const EthernetFrame&)>;
  void set_tap(Tap tap) { tap_ = std::move(tap); }
  // Called with each frame that leaves by a device that is the end of a wire (one without a kind);
  // without it they are lost. May call other data planes, not this one.
  using Wire = std::function<void(IfIndex, FramePtr)>;
  void set_wire(Wire wire) { wire_ = std::move(wire); }

  // The packet filter; without one everything passes as it is.
  void set_firewall(std::optional<FirewallPolicy> policy) { firewall_ = std::move(policy); }

 private:
  // Whom the link layer says a frame is for (skb->pkt_type).
  enum class Cast : std::uint8_t { Host, Broadcast, Multicast, OtherHost };
  struct Arrived {
    IfIndex device;
    FramePtr frame;
    std::optional<Cast> cast;  // if a bridge has decided it already
    bool looped = false;       // comes by the loopback device, from our own output
  };
  // An IP packet that has come in, and how.
  struct Incoming {
    IfIndex device;
    Cast cast = Cast::Host;
    const IpPacket& packet;
    bool looped = false;
  };
  struct IcmpError {
    std::uint8_t type = 0;
    std::uint8_t code = 0;
    std::uint32_t parameter = 0;
  };
  class Turn;

  // --- Frames (data_plane.cpp) ---
  bool transmit(IfIndex device, FramePtr frame);
  bool transmit_veth(const LinkRecord& link, FramePtr frame);
  void transmit_bridge(const LinkRecord& bridge, const FramePtr& frame);
  void take(const Arrived& arrived);
  void take_at_port(const LinkRecord& port, const LinkRecord& bridge, const Arrived& arrived);
  void flood(IfIndex bridge, std::optional<IfIndex> from, const FramePtr& frame);
  void forward_to_port(IfIndex port, const FramePtr& frame);
  [[nodiscard]] bool is_own_mac(const LinkRecord& bridge, const MacAddress& mac) const;
  void take_at_host(const Arrived& arrived);
  [[nodiscard]] bool is_up(IfIndex device) const;

  // --- The tunnel (data_plane_tunnel.cpp) ---
  void transmit_tunnel(const LinkRecord& link, const FramePtr& frame);
  // How an outer packet goes: `out` is what its FDB entry says, `local` what its device has.
  struct Way {
    RouteRecord route;
    IpAddress source;
  };
  [[nodiscard]] std::optional<Way> underlay_way(const IpAddress& to, std::optional<IfIndex> out,
                                                const std::optional<IpAddress>& local) const;
  [[nodiscard]] std::optional<RouteRecord> underlay_route_v4(
      const IpAddress& to, std::optional<IfIndex> out, const std::optional<IpAddress>& local) const;
  [[nodiscard]] std::optional<RouteRecord> underlay_route_v6(const IpAddress& to,
                                                             std::optional<IfIndex> out,
                                                             bool has_source) const;
  void encapsulate(const LinkRecord& link, const FramePtr& frame, const FdbRemote& remote);
  [[nodiscard]] std::uint16_t next_id();
  void loop_back(const LinkRecord& link, const FramePtr& frame, std::uint32_t vni,
                 std::uint16_t port);
  [[nodiscard]] const LinkRecord* tunnel(Family family, std::uint16_t port,
                                         std::uint32_t vni) const;
  [[nodiscard]] bool has_tunnel_socket(Family family, std::uint16_t port) const;
  void decapsulate(const IpPacket& outer, const UdpDatagram& datagram);

  // --- Packets (data_plane_ip.cpp) ---
  void take_packet(const Incoming& in);
  void take_ipv4(const Incoming& in);
  void take_ipv6(const Incoming& in);
  void deliver(const Incoming& in, RouteType type);
  void reset_connection(const Incoming& in, const TcpSegment& segment);
  void refuse_protocol(const Incoming& in);
  void deliver_datagram(const Incoming& in, const UdpDatagram& datagram, RouteType type);
  void answer_echo(const Incoming& in, const IcmpMessage& request, RouteType type);
  void forward_ipv4(const Incoming& in, const RouteRecord& route, bool redirect);
  void forward_ipv6(const Incoming& in, const RouteRecord& route);
  void refuse_ipv4(const Incoming& in, RouteType type);
  void refuse_ipv6(const Incoming& in, RouteType type);
  [[nodiscard]] static bool may_leave(const IpAddress& source, const RouteRecord& route);
  int send_udp(const IpAddress& to);
  // Sends a packet along a route, from here on whatever it was before.
  void output(IpPacket packet, const RouteRecord& route);
  void output_fragments(const IpPacket& packet, const RouteRecord& route, std::uint32_t mtu);
  void hand_to_neighbour(IpPacket packet, const RouteRecord& route);
  void send_to(IfIndex device, const IpPacket& packet, const MacAddress& mac);
  [[nodiscard]] IpPacket filtered(IpPacket packet, IfIndex device) const;

  // --- ICMP errors (data_plane_icmp.cpp) ---
  void report(const Incoming& in, const IcmpError& error);
  void report_lost(IfIndex device, const IpPacket& packet);
  void report_ipv4(const Incoming& in, const IcmpError& error);
  void report_ipv6(const Incoming& in, const IcmpError& error);
  void redirect_ipv4(const Incoming& in, const RouteRecord& route);
  void redirect_ipv6(const Incoming& in, const RouteRecord& route);

  // --- Addresses and routes (data_plane_routes.cpp) ---
  struct SourceCheck {
    bool good = false;
    bool on_link = false;
  };
  [[nodiscard]] SourceCheck check_source(const IpAddress& source, IfIndex device,
                                         std::optional<IfIndex> out) const;
  [[nodiscard]] const RouteRecord* route_to(const IpAddress& destination) const;
  [[nodiscard]] const RouteRecord* route_back(const Incoming& in) const;
  [[nodiscard]] bool is_local(const IpAddress& address) const;
  // The address of a device, or a local route leads to it.
  [[nodiscard]] bool is_ours(const IpAddress& address) const;
  [[nodiscard]] bool has_address(IfIndex device, const IpAddress& address, bool tentative) const;
  [[nodiscard]] bool listens_to(IfIndex device, const IpAddress& group) const;
  // The source of a packet of ours; none if there is no address for it.
  [[nodiscard]] std::optional<IpAddress> source_for(const IpAddress& destination,
                                                    const RouteRecord* route) const;
  [[nodiscard]] std::optional<IpAddress> select_ipv4(IfIndex device,
                                                     const std::optional<IpAddress>& towards,
                                                     std::uint8_t scope) const;
  [[nodiscard]] std::optional<IpAddress> select_ipv6(std::optional<IfIndex> device,
                                                     const IpAddress& destination) const;
  [[nodiscard]] std::optional<IpAddress> link_local_of(IfIndex device) const;
  [[nodiscard]] std::uint32_t mtu_of(const RouteRecord& route) const;
  [[nodiscard]] bool speaks(IfIndex device, Family family) const;

  // --- ARP and neighbour discovery (data_plane_neighbours.cpp) ---
  void take_arp(const Arrived& arrived, const ArpPacket& arp);
  void reply_arp(IfIndex device, const ArpPacket& request);
  [[nodiscard]] bool asks_for_us(IfIndex device, const ArpPacket& request) const;
  void take_nd(const Incoming& in, const NdMessage& message);
  void take_solicitation(const Incoming& in, const NdMessage& message);
  void advertise(IfIndex device, const IpAddress& to, const IpAddress& target, std::uint8_t flags,
                 bool with_mac);
  void solicit_arp(const Solicitation& wanted);
  void solicit_nd(const Solicitation& wanted);

  NetworkTables& tables_;
  MonotonicTime now_;
  bool draining_ = false;
  unsigned depth_ = 0;  // of devices that send through devices
  std::deque<Arrived> inbox_;
  BridgeTable bridges_;
  IcmpLimit icmp_limit_;
  Reassembly reassembly_;
  std::uint16_t last_id_ = 0;  // of a tunnel's IPv4 packet
  std::optional<FirewallPolicy> firewall_;
  Tap tap_;
  Wire wire_;
};

}  // namespace vxmesh
