#include "decide/miss_resolver.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "decide/testing/generators.h"

namespace vxmesh {
namespace {

using generate::ip;
using generate::kDevice;
using generate::net;

constexpr auto resolve = [](const Peers& peers, std::string_view address,
                            IfIndex device = kDevice) {
  return resolve_miss(generate::config(), generate::self(), peers, kDevice,
                      Miss{.device = device, .address = ip(address)});
};

Peers one_peer() {
  return {
      {net("100.96.2.0/25"), Peer{.node = "n2", .mac = MacAddress{{2}}, .vtep = ip("172.20.0.2")}}};
}

TEST(MissResolver, AnswersWithTheMacOfTheOwner) {
  const MissAnswer answer = resolve(one_peer(), "100.96.2.9");
  EXPECT_EQ(answer.verdict, MissVerdict::Answered);
  EXPECT_EQ(answer.neighbour,
            on_demand_neighbour(ip("100.96.2.9"), one_peer().begin()->second, kDevice));
  EXPECT_EQ(resolve(one_peer(), "100.96.2.0").verdict, MissVerdict::Answered)
      << "the base address is the node's own in the overlay";
}

TEST(MissResolver, AnswersNothingElse) {
  const auto verdict = [](std::string_view address, IfIndex device = kDevice) {
    const MissAnswer answer = resolve(one_peer(), address, device);
    EXPECT_EQ(answer.neighbour, std::nullopt);
    return answer.verdict;
  };
  EXPECT_EQ(verdict("100.96.2.9", IfIndex{3}), MissVerdict::OtherDevice);
  EXPECT_EQ(verdict("8.8.8.8"), MissVerdict::OutsideOverlay);
  EXPECT_EQ(verdict("fe80::1"), MissVerdict::OutsideOverlay);
  EXPECT_EQ(verdict("100.96.200.7"), MissVerdict::OwnPodCidr);
  EXPECT_EQ(verdict("fd00:96:0:200::7"), MissVerdict::OwnPodCidr);
  EXPECT_EQ(verdict("100.96.2.128"), MissVerdict::UnknownPodCidr) << "never an assumed /24";
  EXPECT_EQ(verdict("100.96.3.1"), MissVerdict::UnknownPodCidr);
}

TEST(MissResolver, OwnPodCidrIsOursEvenInsideAWiderOne) {
  const Peers wider{{net("100.96.192.0/20"), Peer{.node = "wide"}}};
  EXPECT_EQ(resolve(wider, "100.96.200.7").verdict, MissVerdict::OwnPodCidr);
  EXPECT_EQ(resolve(wider, "100.96.201.7").verdict, MissVerdict::Answered);
}

TEST(MissResolver, VerdictsAreMetricLabels) {
  EXPECT_EQ(format(MissVerdict::Answered), "answered");
  EXPECT_EQ(format(MissVerdict::OtherDevice), "other-device");
  EXPECT_EQ(format(MissVerdict::OutsideOverlay), "outside-overlay");
  EXPECT_EQ(format(MissVerdict::OwnPodCidr), "own-pod-cidr");
  EXPECT_EQ(format(MissVerdict::UnknownPodCidr), "unknown-pod-cidr");
}

// Against a walk over all peers that keeps the longest match, for prefixes of every length.
RC_GTEST_PROP(MissResolverProperty, IsALongestPrefixMatch, ()) {
  Peers peers;
  std::uint8_t number = 0;
  for (int i = *rc::gen::inRange(0, 40); i > 0; --i) {
    const auto length = static_cast<std::uint8_t>(*rc::gen::inRange(13, 33));
    const std::uint32_t bits = 0x64600000U | *rc::gen::inRange<std::uint32_t>(0, 1U << 20U);
    const IpPrefix prefix = IpPrefix::containing(IpAddress::v4(bits), length);
    const bool free = std::none_of(peers.begin(), peers.end(),
                                   [&](const auto& peer) { return peer.first.overlaps(prefix); });
    if (free) {
      peers[prefix] = Peer{.node = "", .mac = MacAddress{{2, ++number}}, .vtep = {}};
    }
  }
  const std::uint32_t random = *rc::gen::inRange<std::uint32_t>(0, 1U << 20U);
  IpAddress address = IpAddress::v4(0x64600000U | random);
  if (!peers.empty() && generate::chance(70)) {
    const IpPrefix near =
        std::next(peers.begin(), *rc::gen::inRange<std::ptrdiff_t>(0, std::ssize(peers)))->first;
    address = *rc::gen::element(
        near.base(), near.last(), IpAddress::v4(near.base().v4_bits() - 1),
        IpAddress::v4(near.last().v4_bits() + 1),
        IpAddress::v4(near.base().v4_bits() |
                      (random & (near.last().v4_bits() - near.base().v4_bits()))));
  }
  const Peers::value_type* longest = nullptr;
  for (const auto& peer : peers) {
    if (peer.first.contains(address) &&
        (longest == nullptr || longest->first.length() < peer.first.length())) {
      longest = &peer;
    }
  }
  Self self = generate::self();
  self.pod_cidrs = {net("10.200.0.0/24")};
  const MissAnswer answer = resolve_miss(generate::config(), self, peers, kDevice,
                                         Miss{.device = kDevice, .address = address});
  RC_ASSERT((answer.verdict == MissVerdict::Answered) == (longest != nullptr));
  RC_ASSERT(answer.neighbour.has_value() == (longest != nullptr));
  if (longest != nullptr) {
    RC_ASSERT(answer.neighbour->lladdr == longest->second.mac);
  }
}

}  // namespace
}  // namespace vxmesh
