// Packets: what the overlay's tables make of them, from a pod into the tunnel and back.
#include <algorithm>
#include <memory>
#include <utility>

#include "integration/contract/netlink_contract.h"
#include "sim/kernel/packet_choices.h"

namespace vxmesh {

void PrintTo(const EthernetFrame& frame, std::ostream* out) {
  *out << format(frame);
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint16_t kTunnelPort = 4789;
constexpr std::uint16_t kExperiment = 0x88b5;  // an EtherType that nobody knows (IEEE 802)

// A node with one pod:
//
//   wire ~ under0  172.20.0.11/24      the underlay; whoever is outside is behind wire
//          vxlan1  100.96.1.0          the tunnel; 100.96.2.0/24 is behind 172.20.0.12
//          cni0    100.96.1.1/24       a bridge, of which veth0 is the port
//   pod  ~ veth0                       100.96.1.5 and its MAC are behind pod
//
// Absence is decided by a frame sent behind on the same way: when that has come out, so would have
// what was sent before it.
class PacketContract : public NetlinkContract {
 protected:
  void SetUp() override {
    NetlinkContract::SetUp();
    if (IsSkipped()) {
      return;
    }
    under0_ = make_pair("under0", under_mac_, "wire", mac("02:00:00:00:00:02"));
    wire_ = index_of("wire");
    const IfIndex veth0 =
        make_pair("veth0", mac("02:00:00:00:00:03"), "pod", mac("02:00:00:00:00:04"));
    pod_ = index_of("pod");
    rtnl::NewLink bridge{.flags = rtnl::kCreate, .name = "cni0", .mac = bridge_mac_};
    bridge.kind = rtnl::Kind::Bridge;
    request(bridge);
    cni0_ = index_of("cni0");
    rtnl::NewLink port{.device = veth0};
    port.master = cni0_;
    request(port);
    for (const IfIndex device : {under0_, wire_, veth0, pod_, cni0_}) {
      must({ChangeLink{.device = device, .up = true}});
    }
    must({ReplaceAddress{{.device = under0_, .address = ip("172.20.0.11"), .length = 24}},
          ReplaceAddress{{.device = cni0_, .address = ip("100.96.1.1"), .length = 24}}});
    make_overlay();
    know(under0_, "172.20.0.12", peer_underlay_mac_);
    know(cni0_, "100.96.1.5", pod_mac_);
    world().forward();
    for (const IfIndex device : {under0_, wire_, pod_, cni0_}) {
      world().capture(device);
    }
    warm_up(under0_, wire_);
    warm_up(wire_, under0_);
    warm_up(cni0_, pod_);
    warm_up(pod_, cni0_);
  }

  // A device sends nothing, and a bridge's port forwards nothing, until the kernel has noticed the
  // carrier, which takes it a moment.
  void warm_up(IfIndex from, IfIndex to) {
    ASSERT_TRUE(world().run_until([&] {
      world().inject(from, warm_up_frame());
      const std::vector<EthernetFrame> frames = world().captured(to);
      return std::find(frames.begin(), frames.end(), warm_up_frame()) != frames.end();
    }));
  }
  [[nodiscard]] static EthernetFrame warm_up_frame() { return unknown(0); }
  // A frame that everybody gets and nobody understands.
  [[nodiscard]] static EthernetFrame unknown(std::uint8_t content) {
    return {.destination = kBroadcastMac,
            .source = mac("02:00:00:00:00:77"),
            .payload = OpaqueFrame{.ether_type = kExperiment, .bytes = Bytes(46, content)}};
  }

  // As the agent sets it up.
  void make_overlay() {
    must({CreateVxlan{vxlan()}});
    vxlan1_ = index_of("vxlan1");
    for (const Family family : {Family::V4, Family::V6}) {
      must({SetNeighbourParameters{
          .device = vxlan1_,
          .family = family,
          .parameters = {.app_solicit = 3, .ucast_solicit = 0, .mcast_solicit = 0}}});
    }
    must({ReplaceFdb{{.device = vxlan1_,
                      .mac = peer_mac_,
                      .dst = ip("172.20.0.12"),
                      .state = kNudPermanent,
                      .flags = kNtfSelf}},
          ChangeLink{.device = vxlan1_, .up = true},
          ReplaceAddress{{.device = vxlan1_,
                          .address = ip("100.96.1.0"),
                          .length = 12,
                          .no_prefix_route = true}},
          ReplaceRoute{{.destination = cidr("100.96.2.0/24"), .scope = 253, .device = vxlan1_}},
          ReplaceRoute{{.destination = cidr("100.96.0.0/12"),
                        .metric = kRouteMetricLast,
                        .type = RouteType::Unreachable}}});
  }

  IfIndex make_pair(const std::string& name, const MacAddress& mac, const std::string& peer,
                    const MacAddress& peer_mac) {
    rtnl::NewLink pair{.flags = rtnl::kCreate, .name = name, .mac = mac};
    pair.kind = rtnl::Kind::Veth;
    pair.peer_name = peer;
    pair.peer_mac = peer_mac;
    request(pair);
    return index_of(name);
  }
  void request(const rtnl::Request& request) {
    ASSERT_EQ(world().request(request), OpDone{}) << "set-up";
  }
  [[nodiscard]] IfIndex index_of(const std::string& name) {
    const auto link = netlink().get_link(name);
    return link.has_value() && link->has_value() ? (*link)->index : IfIndex{};
  }
  void know(IfIndex device, std::string_view address, const MacAddress& mac,
            std::uint16_t state = kNudPermanent, std::uint8_t flags = 0) {
    must({ReplaceNeighbour{{.device = device,
                            .address = ip(address),
                            .lladdr = mac,
                            .state = state,
                            .flags = flags}}});
  }
  // What the agent answers a miss with.
  void answer(std::string_view address) {
    know(vxlan1_, address, peer_mac_, kNudNoarp, kNtfExtLearned);
  }

  // --- Frames ---

  [[nodiscard]] static IpPacket datagram(std::string_view from, std::string_view to) {
    return {.source = ip(from),
            .destination = ip(to),
            .payload = UdpDatagram{
                .source_port = 1000, .destination_port = 2000, .payload = Bytes{'h', 'i'}}};
  }
  // From the pod to its gateway.
  void from_pod(const IpPacket& packet) {
    world().inject(pod_, {.destination = bridge_mac_, .source = pod_mac_, .payload = packet});
  }
  // From the other node, through the tunnel.
  void from_tunnel(const EthernetFrame& inner, Vni vni = Vni{1}) {
    from_wire(UdpDatagram{
        .source_port = 40000,
        .destination_port = kTunnelPort,
        .payload = VxlanFrame{.vni = vni, .inner = std::make_shared<const EthernetFrame>(inner)}});
  }
  void from_wire(const UdpDatagram& payload, std::uint8_t tos = 0) {
    world().inject(wire_, {.destination = under_mac_,
                           .source = peer_underlay_mac_,
                           .payload = IpPacket{.source = ip("172.20.0.12"),
                                               .destination = ip("172.20.0.11"),
                                               .tos = tos,
                                               .payload = payload}});
  }
  [[nodiscard]] EthernetFrame to_us(const EthernetFrame::Payload& payload) const {
    return {.destination = vxlan().mac, .source = peer_mac_, .payload = payload};
  }

  // What comes out of `device` before the frame that `send_sentinel` sends behind.
  template <typename SendSentinel, typename IsSentinel>
  std::vector<EthernetFrame> before(IfIndex device, const SendSentinel& send_sentinel,
                                    const IsSentinel& is_sentinel) {
    send_sentinel();
    std::vector<EthernetFrame> seen;
    bool came = false;
    const auto look = [&] {
      for (const EthernetFrame& frame : world().captured(device)) {
        came = came || is_sentinel(frame);
        if (!came && frame != warm_up_frame()) {
          seen.push_back(frame);
        }
      }
      return came;
    };
    EXPECT_TRUE(world().run_until(look)) << "the frame sent behind did not come out";
    return seen;
  }
  [[nodiscard]] static std::vector<EthernetFrame> comparable(std::vector<EthernetFrame> frames) {
    for (EthernetFrame& frame : frames) {
      frame = without_choices(std::move(frame));
    }
    return frames;
  }
  // Out of the underlay device since the last call.
  [[nodiscard]] std::vector<EthernetFrame> sent() { return comparable(sent_as_it_was()); }
  [[nodiscard]] std::vector<EthernetFrame> sent_as_it_was() {
    const EthernetFrame sentinel = unknown(1);
    return before(
        wire_, [&] { world().inject(under0_, sentinel); },
        [&](const EthernetFrame& frame) { return frame == sentinel; });
  }
  // Delivered to the pod since the last call, of what came by the tunnel.
  [[nodiscard]] std::vector<EthernetFrame> delivered() {
    constexpr std::uint16_t kSentinelPort = 7;
    IpPacket sentinel = datagram("100.96.2.99", "100.96.1.5");
    std::get<UdpDatagram>(sentinel.payload).destination_port = kSentinelPort;
    const auto is_sentinel = [&](const EthernetFrame& frame) {
      const auto* packet = std::get_if<IpPacket>(&frame.payload);
      return packet != nullptr && udp_destination_port(*packet) == kSentinelPort;
    };
    return comparable(before(
        pod_, [&] { from_tunnel(to_us(sentinel)); }, is_sentinel));
  }

  // A frame as it leaves for the other node.
  [[nodiscard]] EthernetFrame encapsulated(const IpPacket& inner, std::uint8_t tos = 0) const {
    const EthernetFrame frame{.destination = peer_mac_, .source = vxlan().mac, .payload = inner};
    return {.destination = peer_underlay_mac_,
            .source = under_mac_,
            .payload = IpPacket{
                .source = ip("172.20.0.11"),
                .destination = ip("172.20.0.12"),
                .tos = tos,
                .payload = UdpDatagram{
                    .source_port = kFirstFreePort,
                    .destination_port = kTunnelPort,
                    .payload = VxlanFrame{.vni = Vni{1},
                                          .inner = std::make_shared<const EthernetFrame>(frame)}}}};
  }
  [[nodiscard]] EthernetFrame at_pod(const EthernetFrame::Payload& payload) const {
    return {.destination = pod_mac_, .source = bridge_mac_, .payload = payload};
  }
  // One hop on.
  [[nodiscard]] static IpPacket forwarded(IpPacket packet) {
    --packet.ttl;
    return packet;
  }

  const MacAddress under_mac_ = mac("02:00:00:00:00:01");
  const MacAddress peer_underlay_mac_ = mac("02:00:00:00:00:12");
  const MacAddress peer_mac_ = mac("00:53:64:60:02:00");
  const MacAddress pod_mac_ = mac("02:00:00:00:00:05");
  const MacAddress bridge_mac_ = mac("02:00:00:00:00:c0");
  IfIndex under0_, wire_, pod_, cni0_, vxlan1_;
};

// --- Into the tunnel ---

TEST_F(PacketContract, TheFirstPacketWaitsForItsNeighbour) {
  EXPECT_TRUE(world().send_datagram(ip("100.96.2.5")));
  EXPECT_THAT(sent(), IsEmpty()) << "nobody is asked by ARP either";
  EXPECT_THAT(take_all_misses(), ElementsAre(Miss{vxlan1_, ip("100.96.2.5")}));
  answer("100.96.2.5");
  const IpPacket packet{
      .source = ip("100.96.1.0"),
      .destination = ip("100.96.2.5"),
      .dont_fragment = true,
      .payload =
          UdpDatagram{.source_port = kFirstFreePort, .destination_port = 9, .payload = Bytes{'x'}}};
  EXPECT_THAT(sent(), ElementsAre(encapsulated(packet)));
  EXPECT_TRUE(world().send_datagram(ip("100.96.2.5")));
  EXPECT_THAT(sent(), ElementsAre(encapsulated(packet))) << "from then on nothing waits";
}

TEST_F(PacketContract, PacketsThatWaitedLeaveInTheirOrder) {
  std::vector<EthernetFrame> expected;
  for (std::uint8_t i = 0; i < 20; ++i) {
    IpPacket packet = datagram("100.96.1.5", "100.96.2.5");
    std::get<UdpDatagram>(packet.payload).payload = Bytes{i};
    from_pod(packet);
    expected.push_back(encapsulated(forwarded(packet)));
  }
  EXPECT_THAT(sent(), IsEmpty());
  answer("100.96.2.5");
  EXPECT_EQ(sent(), expected);
}

TEST_F(PacketContract, APodsPacketOfIpv6GoesTheSameWay) {
  must({ReplaceRoute{{.destination = cidr("fd00:96:2::/48"), .device = vxlan1_}}});
  const IpPacket packet = datagram("fd00:96:1::5", "fd00:96:2::5");
  from_pod(packet);
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_THAT(take_all_misses(), ElementsAre(Miss{vxlan1_, ip("fd00:96:2::5")}));
  answer("fd00:96:2::5");
  EXPECT_THAT(sent(), ElementsAre(encapsulated(forwarded(packet))));
}

TEST_F(PacketContract, TheOuterHeaderTakesTheInnerOnesCongestionBitsAlone) {
  answer("100.96.2.5");
  IpPacket packet = datagram("100.96.1.5", "100.96.2.5");
  for (const auto& [inner, outer] :
       {std::pair<std::uint8_t, std::uint8_t>{0xb8, 0}, {0xb9, 1}, {0xba, 2}, {0xbb, 2}}) {
    packet.tos = inner;
    from_pod(packet);
    EXPECT_THAT(sent(), ElementsAre(encapsulated(forwarded(packet), outer)));
  }
}

TEST_F(PacketContract, TheSourcePortIsAHashOfTheInnerFlow) {
  answer("100.96.2.5");
  from_pod(datagram("100.96.1.5", "100.96.2.5"));
  const std::vector<EthernetFrame> frames = sent_as_it_was();
  ASSERT_EQ(frames.size(), 1U);
  const IpPacket& outer = std::get<IpPacket>(frames[0].payload);
  EXPECT_FALSE(outer.dont_fragment);
  const UdpDatagram& udp = std::get<UdpDatagram>(outer.payload);
  EXPECT_TRUE(udp.has_checksum);
  EXPECT_GE(udp.source_port, kFirstFreePort);
  EXPECT_LE(udp.source_port, kLastFreePort);
}

TEST_F(PacketContract, AnAddressThatNobodyOwnsIsRefused) {
  const IpPacket packet = datagram("100.96.1.5", "100.96.77.5");
  from_pod(packet);
  const std::vector<EthernetFrame> answers = delivered();
  ASSERT_EQ(answers.size(), 1U);
  const IpPacket& answer = std::get<IpPacket>(answers[0].payload);
  EXPECT_EQ(answer.source, ip("100.96.1.1"));
  const IcmpMessage& error = std::get<IcmpMessage>(answer.payload);
  EXPECT_EQ(error.type, 3);
  EXPECT_EQ(error.code, 1);
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_THAT(neighbours(vxlan1_), IsEmpty());
  EXPECT_FALSE(world().send_datagram(ip("100.96.77.5")));
}

TEST_F(PacketContract, WithoutAnFdbEntryNothingLeaves) {
  know(vxlan1_, "100.96.2.5", mac("00:53:64:60:99:00"), kNudNoarp, kNtfExtLearned);
  from_pod(datagram("100.96.1.5", "100.96.2.5"));
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(PacketContract, APacketThatHasTravelledTooFarIsReported) {
  answer("100.96.2.5");
  IpPacket packet = datagram("100.96.1.5", "100.96.2.5");
  packet.ttl = 1;
  from_pod(packet);
  const std::vector<EthernetFrame> answers = delivered();
  ASSERT_EQ(answers.size(), 1U);
  const IpPacket& answer = std::get<IpPacket>(answers[0].payload);
  EXPECT_EQ(std::get<IcmpMessage>(answer.payload).type, 11);
  EXPECT_THAT(sent(), IsEmpty());
}

// --- Out of the tunnel ---

TEST_F(PacketContract, ADecapsulatedPacketReachesThePod) {
  const IpPacket packet = datagram("100.96.2.5", "100.96.1.5");
  from_tunnel(to_us(packet));
  EXPECT_THAT(delivered(), ElementsAre(at_pod(forwarded(packet))));
}

TEST_F(PacketContract, AFrameWithOurOwnMacIsDropped) {
  EthernetFrame spoofed = to_us(datagram("100.96.2.5", "100.96.1.5"));
  spoofed.source = vxlan().mac;
  from_tunnel(spoofed);
  EXPECT_THAT(delivered(), IsEmpty());
}

TEST_F(PacketContract, AFrameOfAnotherSegmentIsDropped) {
  from_tunnel(to_us(datagram("100.96.2.5", "100.96.1.5")), Vni{2});
  EXPECT_THAT(delivered(), IsEmpty());
}

TEST_F(PacketContract, AFrameForAnotherMacIsNotOurs) {
  EthernetFrame frame = to_us(datagram("100.96.2.5", "100.96.1.5"));
  frame.destination = mac("00:53:64:60:07:00");
  from_tunnel(frame);
  EXPECT_THAT(delivered(), IsEmpty());
}

TEST_F(PacketContract, AHeaderWithOtherBitsIsNotVxlan) {
  Bytes bytes{0x88, 0, 0, 0, 0, 0, 1, 0};
  bytes.resize(60);
  from_wire(UdpDatagram{.source_port = 40000, .destination_port = kTunnelPort, .payload = bytes});
  EXPECT_THAT(delivered(), IsEmpty());
}

TEST_F(PacketContract, CongestionOutsideIsToldInside) {
  IpPacket packet = datagram("100.96.2.5", "100.96.1.5");
  packet.tos = 0x02;
  const auto inner = std::make_shared<const EthernetFrame>(to_us(packet));
  const UdpDatagram outer{.source_port = 40000,
                          .destination_port = kTunnelPort,
                          .payload = VxlanFrame{.vni = Vni{1}, .inner = inner}};
  from_wire(outer, 0x03);
  packet.tos = 0x03;
  EXPECT_THAT(delivered(), ElementsAre(at_pod(forwarded(packet))));
}

// --- Neighbours that are heard of through the tunnel ---

TEST_F(PacketContract, ArpCannotMoveWhatTheAgentWrote) {
  const MacAddress attacker = mac("00:53:64:60:66:00");
  answer("100.96.2.5");
  know(vxlan1_, "100.96.2.6", peer_mac_, kNudPermanent);
  know(vxlan1_, "100.96.2.7", peer_mac_, kNudReachable);
  const std::vector<Neighbour> written = neighbours(vxlan1_);
  ASSERT_EQ(written.size(), 3U);
  for (const char* address : {"100.96.2.5", "100.96.2.6", "100.96.2.7"}) {
    from_tunnel({.destination = kBroadcastMac,
                 .source = peer_mac_,
                 .payload = ArpPacket{.operation = ArpPacket::kRequest,
                                      .sender_mac = attacker,
                                      .sender = ip(address),
                                      .target = ip(address)}});
  }
  EXPECT_THAT(delivered(), IsEmpty());
  std::vector<Neighbour> expected = written;
  expected[2].lladdr = attacker;  // REACHABLE is no protection
  expected[2].state = kNudStale;
  EXPECT_EQ(neighbours(vxlan1_), expected);
}

TEST_F(PacketContract, ARequestForOurAddressIsAnsweredAndRemembered) {
  const ArpPacket asked{.operation = ArpPacket::kRequest,
                        .sender_mac = peer_mac_,
                        .sender = ip("100.96.2.9"),
                        .target = ip("100.96.1.0")};
  from_tunnel({.destination = kBroadcastMac, .source = peer_mac_, .payload = asked});
  EXPECT_THAT(delivered(), IsEmpty());
  const ArpPacket reply{.operation = ArpPacket::kReply,
                        .sender_mac = vxlan().mac,
                        .sender = ip("100.96.1.0"),
                        .target_mac = peer_mac_,
                        .target = ip("100.96.2.9")};
  EthernetFrame expected = encapsulated(datagram("0.0.0.0", "0.0.0.0"));
  auto& outer = std::get<UdpDatagram>(std::get<IpPacket>(expected.payload).payload);
  std::get<VxlanFrame>(outer.payload).inner = std::make_shared<const EthernetFrame>(
      EthernetFrame{.destination = peer_mac_, .source = vxlan().mac, .payload = reply});
  EXPECT_THAT(sent(), ElementsAre(expected));
  EXPECT_THAT(neighbours(vxlan1_), ElementsAre(Neighbour{.device = vxlan1_,
                                                         .address = ip("100.96.2.9"),
                                                         .lladdr = peer_mac_,
                                                         .state = kNudStale}));
}

}  // namespace
}  // namespace vxmesh
