// The data plane, situation by situation: the fake sends what Linux sends, byte by byte, but for
// what Linux leaves open (frames.h).
#include <gtest/gtest.h>

#include <chrono>

#include "integration/fidelity/packet_lab.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh::fidelity {
namespace {

constexpr const char* kA = "02:00:00:00:00:0a";
constexpr const char* kB = "02:00:00:00:00:0b";
constexpr const char* kC = "02:00:00:00:00:0c";
constexpr const char* kD = "02:00:00:00:00:0d";
constexpr const char* kX = "02:00:00:00:00:99";  // somebody behind vb or vd
constexpr const char* kAll = "ff:ff:ff:ff:ff:ff";
constexpr const char* kNone = "00:00:00:00:00:00";

constexpr const char* kOwn = "00:53:64:60:01:00";   // the tunnel's MAC
constexpr const char* kPeer = "00:53:64:60:02:00";  // that of the node 10.1.0.5

constexpr std::uint16_t kRequest = ArpPacket::kRequest;
constexpr std::uint16_t kReply = ArpPacket::kReply;

//   vb ~ va  10.1.0.1/24  fd01::1/64
//   vd ~ vc  10.2.0.1/24  fd02::1/64
void make_two_networks(PacketLab& lab) {
  lab.veth("va", kA, "vb", kB);
  lab.veth("vc", kC, "vd", kD);
  for (const char* device : {"va", "vb", "vc", "vd"}) {
    lab.up(device);
  }
  lab.address("va", "10.1.0.1", 24);
  lab.address("vc", "10.2.0.1", 24);
  lab.address("va", "fd01::1", 64);
  lab.address("vc", "fd02::1", 64);
  lab.capture("vb");
  lab.capture("vd");
}

// X is 10.1.0.5 and fd01::5 behind vb, and 10.2.0.5 and fd02::5 behind vd.
void make_router(PacketLab& lab) {
  make_two_networks(lab);
  lab.forward();
  lab.neighbour("va", "10.1.0.5", kX);
  lab.neighbour("vc", "10.2.0.5", kX);
  lab.neighbour("va", "fd01::5", kX);
  lab.neighbour("vc", "fd02::5", kX);
}

void make_tunnel(PacketLab& lab) {
  make_router(lab);
  lab.vxlan("vx0", kOwn, "10.1.0.1");
  lab.up("vx0");
  lab.address("vx0", "100.96.1.0", 32);
  lab.route("100.96.2.0", 24, "vx0");
  lab.capture("vx0");
  lab.fdb("vx0", kPeer, "10.1.0.5");
  lab.neighbour("vx0", "100.96.2.5", kPeer, kNudNoarp, kNtfExtLearned);
}

// From X behind vb to the host.
void from_x(PacketLab& lab, const EthernetFrame::Payload& payload, const std::string& when) {
  lab.inject("vb", frame(kA, kX, payload));
  lab.look(when);
}

TEST(Packets, Arp) {
  compare([](PacketLab& lab) {
    make_two_networks(lab);
    const auto hears = [&](const ArpPacket& packet, const std::string& when) {
      lab.inject("vb", frame(kAll, kX, packet));
      lab.look(when);
    };
    hears(arp(kRequest, kX, "10.1.0.9", kNone, "10.1.0.1"), "a request");
    hears(arp(kRequest, kX, "10.1.0.9", kNone, "10.2.0.1"), "for another device's address");
    hears(arp(kRequest, kX, "10.1.0.9", kNone, "10.1.0.7"), "for somebody else");
    hears(arp(kRequest, kX, "0.0.0.0", kNone, "10.1.0.1"), "a probe");
    hears(arp(kRequest, kX, "0.0.0.0", kNone, "10.2.0.1"), "a probe of another device's address");
    hears(arp(kRequest, kX, "10.2.0.1", kNone, "10.1.0.1"), "from an address of ours");
    hears(arp(kRequest, kX, "10.1.0.255", kNone, "10.1.0.1"), "from a broadcast address");
    hears(arp(kRequest, kX, "10.1.0.9", kNone, "10.1.0.255"), "for a broadcast address");
    hears(arp(kRequest, kX, "192.0.2.1", kNone, "10.1.0.1"), "from off the link");
    hears(arp(3, kX, "10.1.0.6", kNone, "10.1.0.1"), "another operation");
    lab.inject("vb", frame(kA, kX, arp(kReply, kX, "10.1.0.8", kA, "10.1.0.1")));
    lab.look("a reply that nobody asked for");
    lab.inject("vb", frame(kC, kX, arp(kRequest, kX, "10.1.0.6", kNone, "10.1.0.1")));
    lab.look("in a frame for another host");
    EthernetFrame padded = frame(kAll, kX, arp(kRequest, kX, "10.1.0.5", kNone, "10.1.0.1"));
    padded.trailer = Bytes(18);
    lab.inject("vb", padded);
    lab.look("padded");
  });
}

TEST(Packets, NeighbourDiscovery) {
  compare([](PacketLab& lab) {
    make_two_networks(lab);
    const auto solicits = [&](std::string_view from, std::string_view to, std::string_view target,
                              bool with_mac, std::uint8_t hop_limit, const std::string& when) {
      NdMessage message{.target = ip(target)};
      if (with_mac) {
        message.link_layer = mac(kX);
      }
      const IpPacket packet{
          .source = ip(from), .destination = ip(to), .ttl = hop_limit, .payload = message};
      const MacAddress to_mac =
          packet.destination.is_multicast() ? multicast_mac(packet.destination) : mac(kA);
      lab.inject("vb", EthernetFrame{to_mac, mac(kX), packet, {}});
      lab.look(when);
    };
    constexpr const char* kGroup = "ff02::1:ff00:1";
    solicits("fd01::9", kGroup, "fd01::1", true, 255, "to the group");
    solicits("fd01::9", "fd01::1", "fd01::1", true, 255, "to us");
    solicits("fd01::8", "fd01::1", "fd01::1", false, 255, "to us, without a MAC");
    solicits("fd01::7", kGroup, "fd01::1", false, 255, "to the group, without a MAC");
    solicits("::", kGroup, "fd01::1", false, 255, "a probe for duplicates");
    solicits("fd01::6", kGroup, "fd01::1", true, 64, "from off the link");
    solicits("fd01::6", kGroup, "fd02::1", true, 255, "for another device's address");
    solicits("fd01::6", "ff02::1:ff00:2", "fd01::2", true, 255, "for somebody else");
  });
}

TEST(Packets, OfAProcess) {
  compare([](PacketLab& lab) {
    make_two_networks(lab);
    lab.up("lo");
    lab.capture("lo");
    lab.send("10.1.0.5");
    lab.look("waits for its neighbour");
    from_x(lab, arp(kReply, kX, "10.1.0.5", kA, "10.1.0.1"), "goes");
    lab.send("10.1.0.5");
    lab.look("goes at once");
    lab.send("fd01::5");
    lab.look("waits for its neighbour, IPv6");
    from_x(lab,
           IpPacket{.source = ip("fd01::5"),
                    .destination = ip("fd01::1"),
                    .ttl = 255,
                    .payload = NdMessage{.kind = NdMessage::Kind::Advertise,
                                         .flags = NdMessage::kSolicited | NdMessage::kOverride,
                                         .target = ip("fd01::5"),
                                         .link_layer = mac(kX)}},
           "goes, IPv6");
    lab.refusing_route("192.0.3.0", 24, 6);
    lab.refusing_route("192.0.4.0", 24, 7);
    lab.refusing_route("192.0.5.0", 24, 8);
    lab.refusing_route("fdab::", 64, 6);
    lab.refusing_route("fdac::", 64, 7);
    lab.refusing_route("fdad::", 64, 8);
    for (const char* address :
         {"10.1.0.1", "10.2.0.1", "fd01::1", "192.0.2.1", "192.0.3.1", "192.0.4.1", "192.0.5.1",
          "10.1.0.255", "255.255.255.255", "224.0.0.5", "0.0.0.0", "127.0.0.1", "fdaa::1",
          "fdab::1", "fdac::1", "fdad::1", "::", "::1"}) {
      lab.send(address);
      lab.look(address);
    }
  });
}

TEST(Packets, ForUs) {
  compare([](PacketLab& lab) {
    make_two_networks(lab);
    lab.neighbour("va", "10.1.0.5", kX);
    lab.neighbour("va", "fd01::5", kX);
    from_x(lab, echo("10.1.0.5", "10.1.0.1"), "echo");
    from_x(lab, echo("10.1.0.5", "10.2.0.1"), "echo of another device's address");
    from_x(lab, echo("fd01::5", "fd01::1"), "echo, IPv6");
    lab.inject("vb", frame(kAll, kX, echo("10.1.0.5", "10.1.0.1")));
    lab.look("echo in a broadcast frame");
    lab.inject("vb", frame(kAll, kX, echo("10.1.0.5", "10.1.0.255")));
    lab.look("echo of a broadcast address");
    lab.inject("vb", frame("33:33:00:00:00:01", kX, echo("fd01::5", "ff02::1")));
    lab.look("echo of all nodes");
    lab.inject("vb", frame(kC, kX, echo("10.1.0.5", "10.1.0.1")));
    lab.look("in a frame for another host");
    from_x(lab, udp("10.1.0.5", "10.1.0.1"), "a closed port");
    from_x(lab, udp("fd01::5", "fd01::1"), "a closed port, IPv6");
    from_x(lab, udp("10.1.0.5", "10.1.0.1", Bytes(1000)), "a closed port, long");
    from_x(lab, udp("fd01::5", "fd01::1", Bytes(1400)), "a closed port, long, IPv6");
    IpPacket odd = udp("10.1.0.5", "10.1.0.1");
    odd.tos = 0xff;
    odd.ttl = 3;
    odd.dont_fragment = true;
    from_x(lab, odd, "a closed port, with another header");
    Bytes damaged = encode(frame(kA, kX, udp("10.1.0.5", "10.1.0.1")));
    damaged.back() ^= 1U;
    lab.inject("vb", damaged);
    lab.look("a wrong checksum");
    for (const char* from : {"10.1.0.1", "10.2.0.1", "127.0.0.1", "224.0.0.1", "0.0.0.0"}) {
      from_x(lab, udp(from, "10.1.0.1"), "from " + std::string(from));
    }
    from_x(lab, udp("192.0.2.7", "10.1.0.1"), "no way back");
    from_x(lab, udp("10.1.0.77", "10.1.0.1"), "back to an unknown neighbour");
    for (const std::uint8_t protocol : Bytes{2, 47, 103, 200}) {
      const OpaqueTransport payload{.protocol = protocol, .bytes = {1, 2, 3}};
      from_x(lab, IpPacket{ip("10.1.0.5"), ip("10.1.0.1"), 64, 0, 0, false, false, 0, 0, payload},
             "protocol " + std::to_string(protocol));
    }
    const OpaqueTransport nothing{.protocol = 200, .bytes = {1, 2, 3}};
    from_x(lab, IpPacket{ip("fd01::5"), ip("fd01::1"), 64, 0, 0, false, false, 0, 0, nothing},
           "a protocol, IPv6");
    for (const std::uint8_t flags : {TcpSegment::kSyn, TcpSegment::kAck, TcpSegment::kReset}) {
      from_x(lab, tcp("10.1.0.5", "10.1.0.1", flags), "TCP " + std::to_string(flags));
      from_x(lab, tcp("fd01::5", "fd01::1", flags), "TCP over IPv6 " + std::to_string(flags));
    }
  });
}

TEST(Packets, Forwarded) {
  compare([](PacketLab& lab) {
    make_router(lab);
    from_x(lab, udp("10.1.0.5", "10.2.0.5"), "IPv4");
    from_x(lab, udp("fd01::5", "fd02::5"), "IPv6");
    lab.inject("vb", frame(kAll, kX, udp("10.1.0.5", "10.2.0.5")));
    lab.look("in a broadcast frame");
    EthernetFrame padded = frame(kA, kX, udp("10.1.0.5", "10.2.0.5"));
    padded.trailer = Bytes(20);
    lab.inject("vb", padded);
    lab.look("padded");
    Bytes damaged = encode(frame(kA, kX, udp("10.1.0.5", "10.2.0.5")));
    damaged.back() ^= 1U;
    lab.inject("vb", damaged);
    lab.look("with a wrong checksum");
    for (const char* from : {"127.0.0.1", "10.2.0.1", "224.0.0.1", "0.0.0.0"}) {
      from_x(lab, udp(from, "10.2.0.5"), "from " + std::string(from));
    }
    from_x(lab, udp("fe80::5", "fd02::5"), "from the link");
    from_x(lab, udp("::", "fd02::5"), "from nobody");
    from_x(lab, udp("10.1.0.5", "10.2.0.255"), "to a broadcast address");
    from_x(lab, udp("10.1.0.5", "10.2.0.77"), "to an unknown neighbour");
    from_x(lab, udp("fd01::5", "fd02::77"), "to an unknown neighbour, IPv6");
    lab.inject("vd", frame(kC, kX, arp(kReply, kX, "10.2.0.77", kC, "10.2.0.1")));
    lab.look("which becomes known");
  });
}

TEST(Packets, Unforwarded) {
  compare([](PacketLab& lab) {
    make_two_networks(lab);
    lab.neighbour("va", "10.1.0.5", kX);
    lab.neighbour("va", "fd01::5", kX);
    for (const char* to : {"10.2.0.5", "192.0.2.1"}) {
      from_x(lab, udp("10.1.0.5", to), to);
    }
    for (const char* to : {"fd02::5", "fdaa::1"}) {
      from_x(lab, udp("fd01::5", to), to);
    }
  });
}

TEST(Packets, Refused) {
  compare([](PacketLab& lab) {
    make_router(lab);
    from_x(lab, udp("10.1.0.5", "192.0.2.1"), "no route");
    from_x(lab, udp("fd01::5", "fdaa::1"), "no route, IPv6");
    std::uint8_t last = 10;
    for (const std::uint8_t type : Bytes{6, 7, 8, 9}) {  // blackhole, unreachable, prohibit, throw
      const std::string v4 = "192.0." + std::to_string(type);
      const std::string v6 = "fdb" + std::to_string(type);
      const std::string from = "10.1.0." + std::to_string(last++);
      lab.refusing_route(v4 + ".0", 24, type);
      lab.refusing_route(v6 + "::", 64, type);
      lab.neighbour("va", from, kX);
      from_x(lab, udp(from, v4 + ".1"), v4);
      from_x(lab, udp("fd01::5", v6 + "::1"), v6);
    }
    IpPacket tired = udp("10.1.0.5", "10.2.0.5");
    tired.ttl = 1;
    from_x(lab, tired, "too many hops");
    tired = udp("fd01::5", "fd02::5");
    tired.ttl = 1;
    from_x(lab, tired, "too many hops, IPv6");
    from_x(lab, udp("10.1.0.5", "10.1.0.6"), "a way back out");
    from_x(lab, udp("10.1.0.5", "10.1.0.6"), "a way back out, again");
    from_x(lab, udp("fd01::5", "fd01::6"), "a way back out, IPv6");
  });
}

// All at once: what an address gains in a quarter of a second is a further error.
TEST(Packets, NoMoreErrorsThanTheLimit) {
  compare([](PacketLab& lab) {
    make_router(lab);
    lab.refusing_route("192.0.2.0", 24, 7);
    lab.neighbour("va", "10.1.0.6", kX);
    lab.neighbour("va", "fd01::6", kX);
    const auto says = [&](IpPacket packet, const std::string& when) {
      packet.ttl = 1;
      for (int i = 0; i < 8; ++i) {
        lab.inject("vb", frame(kA, kX, packet));
      }
      lab.look(when);
    };
    says(udp("10.1.0.5", "192.0.2.1"), "unreachable");
    says(udp("10.1.0.6", "10.2.0.5"), "too many hops");
    says(udp("fd01::6", "fd02::5"), "too many hops, IPv6");
  });
}

// A part of an IPv4 packet: its bytes behind the header, from one place to another.
IpPacket part_of(const IpPacket& packet, std::size_t begin, std::size_t end) {
  constexpr std::ptrdiff_t kHeader = 20;
  const Bytes all = encode(packet);
  const std::size_t size = all.size() - kHeader;
  IpPacket part = packet;
  part.fragment_offset = static_cast<std::uint16_t>(begin / 8);
  part.more_fragments = end < size;
  part.payload = OpaqueTransport{
      .protocol = packet.protocol(),
      .bytes = Bytes(all.begin() + kHeader + static_cast<std::ptrdiff_t>(begin),
                     all.begin() + kHeader + static_cast<std::ptrdiff_t>(std::min(end, size)))};
  return part;
}

TEST(Packets, ForTheHostInParts) {
  compare([](PacketLab& lab) {
    make_router(lab);
    IpPacket whole = udp("10.1.0.5", "10.1.0.1", Bytes(100));
    whole.id = 7;
    from_x(lab, part_of(whole, 0, 48), "the first");
    from_x(lab, part_of(whole, 0, 48), "the first again");
    from_x(lab, part_of(whole, 96, 200), "the last");
    from_x(lab, part_of(whole, 48, 96), "what was missing");
    whole.id = 8;
    from_x(lab, part_of(whole, 48, 200), "the last before the first");
    from_x(lab, part_of(whole, 0, 48), "and then that");
    whole.id = 9;
    from_x(lab, part_of(whole, 0, 48), "a first");
    from_x(lab, part_of(whole, 40, 200), "one that overlaps it");
    from_x(lab, part_of(whole, 48, 200), "one that does not, too late");
    whole.id = 10;
    from_x(lab, part_of(whole, 0, 48), "another first");
    from_x(lab, part_of(whole, 16, 32), "one within it");
    from_x(lab, part_of(whole, 48, 200), "and the rest");
    whole.id = 11;
    from_x(lab, part_of(whole, 48, 64), "one run");
    from_x(lab, part_of(whole, 16, 48), "another");
    from_x(lab, part_of(whole, 32, 56), "one within both, and none");
    from_x(lab, part_of(whole, 0, 16), "the first, too late");
    from_x(lab, part_of(whole, 64, 200), "the last, too late");
    IpPacket shorter = udp("10.1.0.5", "10.1.0.1", Bytes(88));
    shorter.id = 12;
    IpPacket rest = part_of(shorter, 64, 96);
    rest.more_fragments = true;
    from_x(lab, rest, "more is to come");
    from_x(lab, part_of(shorter, 0, 32), "a first");
    IpPacket end = part_of(shorter, 32, 64);
    end.more_fragments = false;
    from_x(lab, end, "an end before what has come");
    whole.id = 13;
    end.fragment_offset = 8190;
    from_x(lab, end, "beyond all packets");
  });
}

TEST(Packets, TooLong) {
  compare([](PacketLab& lab) {
    make_router(lab);
    lab.change("vc", [](rtnl::NewLink& link) { link.mtu = 1300; });
    IpPacket packet = udp("10.1.0.5", "10.2.0.5", Bytes(1400));
    from_x(lab, packet, "in fragments");
    packet.dont_fragment = true;
    from_x(lab, packet, "in one piece or not at all");
    from_x(lab, udp("fd01::5", "fd02::5", Bytes(1400)), "IPv6");
    packet.more_fragments = true;
    packet.dont_fragment = false;
    packet.payload = OpaqueTransport{.protocol = kProtocolUdp, .bytes = Bytes(1304)};
    from_x(lab, packet, "a fragment in fragments");
    lab.inject("vb", Bytes(1515));
    lab.inject("vb", Bytes(13));
    lab.change("va", [](rtnl::NewLink& link) { link.mtu = 1400; });
    lab.inject("vb", Bytes(1418));
    lab.inject("vb", Bytes(1419));
    lab.look("frames");
  });
}

constexpr const char* kBridge = "02:00:00:00:00:b0";
// vb and vd speak IPv6 unasked, from which the bridge learns their own MACs.
constexpr const char* kBehindB = "02:00:00:00:00:1b";
constexpr const char* kBehindD = "02:00:00:00:00:1d";

// br0 10.1.0.1/24 with the ports va, vc and ve, behind which are vb, vd and vf.
void make_bridge(PacketLab& lab) {
  lab.veth("va", kA, "vb", kB);
  lab.veth("vc", kC, "vd", kD);
  lab.veth("ve", "02:00:00:00:00:0e", "vf", "02:00:00:00:00:0f");
  lab.bridge("br0", kBridge);
  lab.address("br0", "10.1.0.1", 24);
  for (const char* device : {"br0", "va", "vb", "vc", "vd", "ve", "vf"}) {
    lab.up(device);
  }
  for (const char* port : {"va", "vc", "ve"}) {
    lab.master(port, "br0");
  }
  for (const char* device : {"vb", "vd", "vf", "br0"}) {
    lab.capture(device);
  }
  for (const char* device : {"vb", "vd", "vf"}) {
    lab.wait_for_way("br0", device);
    lab.wait_for_way(device, "br0");
  }
}

TEST(Packets, OnABridge) {
  compare([](PacketLab& lab) {
    make_bridge(lab);
    const auto says = [&](const char* device, const char* to, const char* from,
                          const std::string& when) {
      lab.inject(device, unknown(to, from));
      lab.look(when);
    };
    says("vb", kBehindD, kBehindB, "to an unknown MAC");
    says("vd", kBehindB, kBehindD, "to a learned one");
    says("vb", kBehindD, kBehindB, "both are learned");
    says("vb", kAll, kBehindB, "broadcast");
    says("vb", "01:00:5e:00:00:09", kBehindB, "multicast");
    for (const char* group : {"01:80:c2:00:00:00", "01:80:c2:00:00:01", "01:80:c2:00:00:03",
                              "01:80:c2:00:00:0e", "01:80:c2:00:00:10"}) {
      says("vb", group, kBehindB, group);
    }
    says("vb", kBridge, kBehindB, "to the bridge");
    says("vb", kC, kBehindB, "to a port's MAC");
    says("vb", kA, kBehindB, "to its own port's MAC");
    says("vb", kBehindB, kBehindB, "to where it comes from");
    says("vb", kBehindD, kAll, "from a group");
    says("vb", kBehindD, kNone, "from nobody");
    says("vb", kBehindD, kBridge, "from the bridge's MAC");
    says("br0", kBehindD, kBridge, "of the bridge to a known MAC");
    says("br0", kX, kBridge, "of the bridge to an unknown one");
    says("br0", kC, kBridge, "of the bridge to a port's MAC");
    says("br0", kBridge, kBridge, "of the bridge to itself");
    says("va", kAll, kA, "of a port itself");
    lab.inject("vd", frame(kAll, kBehindD, arp(kRequest, kBehindD, "10.1.0.4", kNone, "10.1.0.1")));
    lab.look("ARP");
    lab.inject("vd", frame(kBridge, kBehindD, echo("10.1.0.4", "10.1.0.1")));
    lab.look("echo");
    lab.inject("vd", frame(kC, kBehindD, echo("10.1.0.4", "10.1.0.1")));
    lab.look("echo to the port's MAC");
    lab.inject("vb", frame(kC, kBehindB, echo("10.1.0.4", "10.1.0.1")));
    lab.look("echo to another port's MAC");
    lab.down("vc");
    lab.up("vc");
    lab.wait_for_way("vb", "vd");
    says("vb", kBehindD, kBehindB, "what a port's MACs are is forgotten when it goes down");
    lab.change("vc", [](rtnl::NewLink& link) { link.mtu = 1400; });
    Bytes longer = encode(unknown(kAll, kBehindB));
    longer.resize(1414 + 4 + 1);
    lab.inject("vb", longer);
    lab.look("too long for the bridge's MTU");
    lab.down("br0");
    says("vb", kAll, kBehindB, "the bridge is down");
  });
}

TEST(Packets, IntoTheTunnel) {
  compare([](PacketLab& lab) {
    make_tunnel(lab);
    lab.send("100.96.2.5");
    lab.look("of a process");
    for (const std::uint8_t tos : Bytes{0x00, 0x01, 0x02, 0x03, 0xb8, 0xff}) {
      IpPacket packet = udp("10.2.0.5", "100.96.2.5");
      packet.tos = tos;
      lab.inject("vd", frame(kC, kX, packet));
      lab.look("forwarded, tos " + std::to_string(tos));
    }
    const auto enters = [&](const EthernetFrame& inner, const std::string& when) {
      lab.inject("vx0", inner);
      lab.look(when);
    };
    enters(unknown(kPeer, kOwn), "any frame");
    enters(unknown(kX, kOwn), "to a MAC without an entry");
    enters(unknown(kAll, kOwn), "broadcast");
    lab.fdb("vx0", kNone, "10.1.0.5");
    lab.fdb("vx0", kNone, "10.2.0.5", rtnl::kAppend);
    enters(unknown(kX, kOwn), "to a MAC without an entry, where there is one for all");
    enters(unknown(kAll, kOwn), "broadcast, where there is one for all");
    struct Destination {
      const char* mac;
      const char* address;
    };
    for (const auto& [to, address] : {Destination{"00:53:64:60:03:00", "10.1.0.1"},
                                      Destination{"00:53:64:60:04:00", "192.0.2.1"},
                                      Destination{"00:53:64:60:05:00", "100.96.2.9"},
                                      Destination{"00:53:64:60:06:00", "10.1.0.255"},
                                      Destination{"00:53:64:60:07:00", "10.1.0.66"},
                                      Destination{"00:53:64:60:08:00", "0.0.0.0"}}) {
      lab.fdb("vx0", to, address);
      enters(frame(to, kOwn, udp("1.1.1.1", "100.96.1.0")), std::string("to ") + address);
    }
    enters(frame(kPeer, kOwn, udp("1.1.1.1", "2.2.2.2", Bytes(1470))), "too long outside");
    IpPacket marked = udp("1.1.1.1", "2.2.2.2");
    marked.tos = 0xb9;
    lab.change("vx0", [](rtnl::NewLink& link) {
      link.kind = rtnl::Kind::Vxlan;
      link.tos = 1;
      link.ttl = 9;
    });
    enters(frame(kPeer, kOwn, marked), "tos inherited, ttl set");
    lab.change("vx0", [](rtnl::NewLink& link) {
      link.kind = rtnl::Kind::Vxlan;
      link.tos = 0x20;
    });
    enters(frame(kPeer, kOwn, marked), "tos set");
  });
}

TEST(Packets, OutOfTheTunnel) {
  compare([](PacketLab& lab) {
    make_tunnel(lab);
    const EthernetFrame inner = frame(kOwn, kPeer, udp("100.96.2.5", "10.2.0.5"));
    from_x(lab, tunnelled("10.1.0.5", "10.1.0.1", inner), "to be forwarded");
    from_x(lab, tunnelled("10.1.0.5", "10.1.0.1", inner, 2), "of another segment");
    from_x(lab, tunnelled("192.0.2.77", "10.1.0.1", inner), "from anybody");
    from_x(lab, tunnelled("10.1.0.5", "10.2.0.1", inner), "to another address of ours");
    lab.inject("vb", frame(kAll, kX, tunnelled("10.1.0.5", "10.1.0.255", inner)));
    lab.look("to a broadcast address");
    EthernetFrame spoofed = inner;
    spoofed.source = mac(kOwn);
    from_x(lab, tunnelled("10.1.0.5", "10.1.0.1", spoofed), "from our own MAC");
    IpPacket unchecked = tunnelled("10.1.0.5", "10.1.0.1", inner);
    std::get<UdpDatagram>(unchecked.payload).has_checksum = false;
    from_x(lab, unchecked, "without a checksum");
    for (std::uint8_t outer = 0; outer < 4; ++outer) {
      for (std::uint8_t ecn = 0; ecn < 4; ++ecn) {
        EthernetFrame marked = inner;
        std::get<IpPacket>(marked.payload).tos = static_cast<std::uint8_t>(0x20U | ecn);
        IpPacket packet = tunnelled("10.1.0.5", "10.1.0.1", marked);
        packet.tos = outer;
        from_x(lab, packet, "ECN " + std::to_string(outer) + " around " + std::to_string(ecn));
      }
    }
    const Bytes inside = encode(inner);
    for (Bytes header : {Bytes{0, 0, 0, 0, 0, 0, 1, 0}, Bytes{0x88, 0, 0, 0, 0, 0, 1, 0},
                         Bytes{8, 0, 0, 1, 0, 0, 1, 0}, Bytes{8, 0, 0, 0, 0, 0, 1, 1}}) {
      header.insert(header.end(), inside.begin(), inside.end());
      from_x(lab, udp_to_port("10.1.0.5", "10.1.0.1", kVxlanPort, header), "another header");
    }
    from_x(lab, udp_to_port("10.1.0.5", "10.1.0.1", kVxlanPort, {8, 0, 0, 0, 0, 0, 1, 0, 1, 2, 3}),
           "too short");
    lab.down("vx0");
    from_x(lab, tunnelled("10.1.0.5", "10.1.0.1", inner), "the device is down");
  });
}

TEST(Packets, ArpThroughTheTunnel) {
  compare([](PacketLab& lab) {
    make_tunnel(lab);
    const auto hears = [&](const ArpPacket& packet, const std::string& when) {
      const EthernetFrame inner = frame(kOwn, kX, packet);
      from_x(lab, tunnelled("10.1.0.5", "10.1.0.1", inner), when);
    };
    lab.neighbour("vx0", "100.96.2.6", kPeer, kNudReachable);
    hears(arp(kRequest, kPeer, "100.96.2.7", kNone, "100.96.1.0"), "a request");
    hears(arp(kRequest, kX, "100.96.2.5", kNone, "100.96.1.0"), "about what the agent wrote");
    hears(arp(kReply, kX, "100.96.2.6", kOwn, "100.96.1.0"), "about what is fresh");
    lab.advance(std::chrono::milliseconds(1100));
    hears(arp(kReply, kX, "100.96.2.6", kOwn, "100.96.1.0"), "about what is not");
  });
}

TEST(Packets, ATunnelOverIpv6) {
  compare([](PacketLab& lab) {
    make_two_networks(lab);
    lab.up("lo");
    lab.vxlan("vx0", kOwn, "fd01::1");
    lab.up("vx0");
    lab.address("vx0", "fd64:1::", 128);
    lab.route("fd64:2::", 64, "vx0");
    lab.capture("vx0");
    lab.neighbour("va", "fd01::5", kX);
    lab.fdb("vx0", kPeer, "fd01::5");
    lab.neighbour("vx0", "fd64:2::5", kPeer, kNudNoarp, kNtfExtLearned);
    lab.send("fd64:2::5");
    lab.look("of a process");
    lab.inject("vx0", frame(kPeer, kOwn, udp("1.1.1.1", "2.2.2.2")));
    lab.look("IPv4 inside");
    const EthernetFrame inner = frame(kOwn, kPeer, echo("fd64:2::5", "fd64:1::"));
    IpPacket packet = tunnelled("fd01::5", "fd01::1", inner);
    from_x(lab, packet, "out of it");
    std::get<UdpDatagram>(packet.payload).has_checksum = false;
    from_x(lab, packet, "out of it, without a checksum");
  });
}

}  // namespace
}  // namespace vxmesh::fidelity
