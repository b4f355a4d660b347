// Parts of a packet make the packet, whatever the order; what contradicts itself makes none.
#include "sim/kernel/reassembly.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

using std::chrono::seconds;

IpPacket datagram(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  }
  return {
      .source = IpAddress::v4(0x0a000001),
      .destination = IpAddress::v4(0x0a000002),
      .id = 77,
      .payload = UdpDatagram{.source_port = 1, .destination_port = 9, .payload = std::move(bytes)}};
}

// Of at most `units` times eight bytes each.
std::vector<IpPacket> parts_of(const IpPacket& packet, std::size_t units) {
  constexpr std::size_t kHeader = 20;
  const Bytes all = encode(packet);
  std::vector<IpPacket> parts;
  for (std::size_t at = kHeader; at < all.size(); at += units * 8) {
    const std::size_t end = std::min(all.size(), at + units * 8);
    IpPacket part = packet;
    part.fragment_offset = static_cast<std::uint16_t>((at - kHeader) / 8);
    part.more_fragments = end != all.size();
    part.payload = OpaqueTransport{.protocol = kProtocolUdp,
                                   .bytes = Bytes(all.begin() + static_cast<std::ptrdiff_t>(at),
                                                  all.begin() + static_cast<std::ptrdiff_t>(end))};
    parts.push_back(std::move(part));
  }
  return parts;
}

RC_GTEST_PROP(Reassembly, PartsMakeThePacketInAnyOrder, ()) {
  const IpPacket packet = datagram(*rc::gen::inRange<std::size_t>(9, 400));
  std::vector<IpPacket> parts = parts_of(packet, *rc::gen::inRange<std::size_t>(1, 3));
  const auto twice = *rc::gen::inRange<std::size_t>(0, parts.size());
  parts.push_back(parts[twice]);
  const auto order = *rc::gen::arbitrary<std::uint32_t>();
  for (std::size_t i = parts.size(); i > 1; --i) {
    std::swap(parts[i - 1], parts[(order >> (i % 16)) % i]);
  }
  Reassembly reassembly;
  std::vector<IpPacket> whole;
  for (const IpPacket& part : parts) {
    if (auto made = reassembly.add(part, {})) {
      whole.push_back(*made);
    }
  }
  RC_ASSERT(whole.size() == 1U);
  RC_ASSERT(whole[0] == packet);
}

TEST(Reassembly, PacketsOfOtherIdsAreOthers) {
  const std::vector<IpPacket> parts = parts_of(datagram(30), 2);
  IpPacket other = parts[1];
  other.id = 78;
  Reassembly reassembly;
  EXPECT_FALSE(reassembly.add(parts[0], {}));
  EXPECT_FALSE(reassembly.add(other, {}));
  EXPECT_FALSE(reassembly.add(parts[2], {}));
  EXPECT_TRUE(reassembly.add(parts[1], {}));
}

TEST(Reassembly, PartsThatOverlapMakeNone) {
  const std::vector<IpPacket> parts = parts_of(datagram(30), 2);
  IpPacket wrong = parts[1];
  wrong.fragment_offset -= 1;
  Reassembly reassembly;
  EXPECT_FALSE(reassembly.add(parts[0], {}));
  EXPECT_FALSE(reassembly.add(wrong, {}));  // with it goes the first
  EXPECT_FALSE(reassembly.add(parts[1], {}));
  EXPECT_FALSE(reassembly.add(parts[2], {}));
}

TEST(Reassembly, WhatIsThereAlreadyIsPassedOver) {
  const IpPacket packet = datagram(30);
  const std::vector<IpPacket> parts = parts_of(packet, 2);
  IpPacket within = parts_of(packet, 1)[1];
  std::get<OpaqueTransport>(within.payload).bytes[0] ^= 1U;
  Reassembly reassembly;
  EXPECT_FALSE(reassembly.add(parts[0], {}));
  EXPECT_FALSE(reassembly.add(within, {}));
  EXPECT_FALSE(reassembly.add(parts[1], {}));
  EXPECT_EQ(reassembly.add(parts[2], {}), packet);
}

TEST(Reassembly, NoPartIsBehindTheEnd) {
  const std::vector<IpPacket> parts = parts_of(datagram(30), 1);
  IpPacket early = parts[2];
  early.more_fragments = false;
  Reassembly reassembly;
  EXPECT_FALSE(reassembly.add(early, {}));
  EXPECT_FALSE(reassembly.add(parts[3], {}));  // with it goes the first
  EXPECT_FALSE(reassembly.add(parts[0], {}));
  EXPECT_FALSE(reassembly.add(parts[1], {}));
}

TEST(Reassembly, NoPacketIsLongerThanItsHeaderCanSay) {
  constexpr std::size_t kAlmostAll = 65504;
  IpPacket first = datagram(0);
  first.more_fragments = true;
  first.payload = OpaqueTransport{.protocol = kProtocolUdp, .bytes = Bytes(kAlmostAll)};
  IpPacket last = first;
  last.more_fragments = false;
  last.fragment_offset = kAlmostAll / 8;
  last.payload = OpaqueTransport{.protocol = kProtocolUdp, .bytes = Bytes(16)};
  Reassembly reassembly;
  EXPECT_FALSE(reassembly.add(first, {}));
  EXPECT_FALSE(reassembly.add(last, {}));
}

TEST(Reassembly, PartsThatComeTooLateMakeNone) {
  const std::vector<IpPacket> parts = parts_of(datagram(30), 3);
  ASSERT_EQ(parts.size(), 2U);
  Reassembly reassembly;
  EXPECT_FALSE(reassembly.add(parts[0], {}));
  EXPECT_FALSE(reassembly.add(parts[1], MonotonicTime{seconds(31)}));
}

}  // namespace
}  // namespace vxmesh
