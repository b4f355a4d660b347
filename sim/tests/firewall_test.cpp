// The firewall policy on packets (sim/kernel/firewall.h); nft's own judgement of the same rules is
// tested where nft is (adapters/nftables, integration/agent).
#include "sim/kernel/firewall.h"

#include <gtest/gtest.h>

#include <string_view>

namespace vxmesh {
namespace {

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}
IpPrefix net(std::string_view text) {
  return IpPrefix::parse(text).value();
}

FirewallPolicy policy() {
  return {.device = "vxlan1",
          .tunnel_port = kVxlanPort,
          .overlay = {net("100.96.0.0/12"), net("fd00:96::/32")},
          .own_pod_cidrs = {net("100.96.1.0/24"), net("fd00:96:1::/48")}};
}

IpPacket udp(std::string_view source, std::string_view destination, std::uint16_t port = 53) {
  return {.source = ip(source),
          .destination = ip(destination),
          .payload = UdpDatagram{.source_port = 40000, .destination_port = port}};
}

bool masqueraded(const IpPacket& packet, std::string_view device, std::uint32_t mark = 0) {
  return is_masqueraded(policy(), {.packet = packet, .device = device, .mark = mark});
}

TEST(Firewall, MasqueradesAPodThatLeavesTheOverlay) {
  EXPECT_TRUE(masqueraded(udp("100.96.1.5", "192.0.2.1"), "eth0"));
  EXPECT_TRUE(masqueraded(udp("fd00:96:1::5", "2001:db8::1"), "eth0"));
}

TEST(Firewall, LeavesPodToPodAlone) {
  EXPECT_FALSE(masqueraded(udp("100.96.1.5", "100.96.2.5"), "vxlan1"));
  EXPECT_FALSE(masqueraded(udp("100.96.1.5", "100.96.1.6"), "cni0"));
  EXPECT_FALSE(masqueraded(udp("fd00:96:1::5", "fd00:96:2::5"), "vxlan1"));
}

TEST(Firewall, LeavesOthersPodsAloneOutsideTheTunnel) {
  EXPECT_FALSE(masqueraded(udp("100.96.2.5", "192.0.2.1"), "eth0"));
}

TEST(Firewall, MasqueradesAForeignSourceIntoTheTunnel) {
  EXPECT_TRUE(masqueraded(udp("10.9.0.1", "100.96.2.5"), "vxlan1"));
  EXPECT_TRUE(masqueraded(udp("10.9.0.1", "100.96.2.5", kVxlanPort), "vxlan1"));
  EXPECT_FALSE(masqueraded(udp("10.9.0.1", "100.96.1.5"), "cni0"));
}

TEST(Firewall, LeavesTheTunnelsOwnPacketsAlone) {
  EXPECT_FALSE(masqueraded(udp("100.96.1.5", "192.0.2.1", kVxlanPort), "eth0"));
  // Also one whose datagram is not understood: nft looks at the port alone.
  const IpPacket opaque{.source = ip("100.96.1.5"),
                        .destination = ip("192.0.2.1"),
                        .payload = OpaqueTransport{.protocol = kProtocolUdp,
                                                   .bytes = {0, 1, 0x12, 0xb5, 0, 8, 1, 1}}};
  EXPECT_FALSE(masqueraded(opaque, "eth0"));
  const IpPacket tcp{.source = ip("100.96.1.5"),
                     .destination = ip("192.0.2.1"),
                     .payload = TcpSegment{.destination_port = kVxlanPort}};
  EXPECT_TRUE(masqueraded(tcp, "eth0"));
}

TEST(Firewall, LeavesMarkedPacketsAlone) {
  EXPECT_FALSE(masqueraded(udp("100.96.1.5", "192.0.2.1"), "eth0", 0x4000));
  EXPECT_FALSE(masqueraded(udp("10.9.0.1", "100.96.2.5"), "vxlan1", 0xc000));
  EXPECT_TRUE(masqueraded(udp("100.96.1.5", "192.0.2.1"), "eth0", 0x8000));
}

TEST(Firewall, HasNoRulesForAFamilyWithoutOverlay) {
  FirewallPolicy only_v6 = policy();
  only_v6.overlay = {net("fd00:96::/32")};
  const IpPacket packet = udp("100.96.1.5", "192.0.2.1");
  EXPECT_FALSE(is_masqueraded(only_v6, {.packet = packet, .device = "eth0"}));
  EXPECT_FALSE(is_masqueraded(only_v6, {.packet = packet, .device = "vxlan1"}));
}

TEST(Firewall, ChangesTheSourceAndNothingElse) {
  const IpPacket packet = udp("100.96.1.5", "192.0.2.1");
  IpPacket expected = packet;
  expected.source = ip("172.20.0.11");
  EXPECT_EQ(after_postrouting(policy(), {.packet = packet, .device = "eth0"}, ip("172.20.0.11")),
            expected);
  EXPECT_EQ(after_postrouting(policy(), {.packet = packet, .device = "cni0", .mark = 0x4000},
                              ip("172.20.0.11")),
            packet);
}

}  // namespace
}  // namespace vxmesh
