#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "model/ip_address.h"
#include "model/ip_prefix.h"
#include "model/kernel_state.h"
#include "model/mac_address.h"
#include "model/ownership.h"

namespace vxmesh {
namespace {

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}
IpPrefix net(std::string_view text) {
  return IpPrefix::parse(text).value();
}

rc::Gen<IpAddress> any_address() {
  return rc::gen::exec([] {
    if (*rc::gen::arbitrary<bool>()) {
      return IpAddress::v4(*rc::gen::arbitrary<std::uint32_t>());
    }
    return IpAddress::v6(
        *rc::gen::container<std::array<std::uint8_t, 16>>(rc::gen::arbitrary<std::uint8_t>()));
  });
}

rc::Gen<IpPrefix> any_prefix() {
  return rc::gen::exec([] {
    const IpAddress address = *any_address();
    const int bits = address_bits(address.family());
    return IpPrefix::containing(address, static_cast<std::uint8_t>(*rc::gen::inRange(0, bits + 1)));
  });
}

// A prefix inside `outer`, at most `longer` bits longer.
rc::Gen<IpPrefix> any_prefix_in(const IpPrefix& outer, int longer) {
  return rc::gen::exec([=] {
    const int most = std::min<int>(outer.length() + longer, address_bits(outer.family()));
    const auto length = static_cast<std::uint8_t>(*rc::gen::inRange<int>(outer.length(), most + 1));
    std::array<std::uint8_t, 16> bytes = outer.base().bytes();
    for (unsigned bit = outer.length(); bit < length; ++bit) {
      const unsigned value = *rc::gen::arbitrary<bool>() ? 1U : 0U;
      bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] | value << (7 - bit % 8));
    }
    const IpAddress base =
        outer.family() == Family::V6
            ? IpAddress::v6(bytes)
            : IpAddress::v4(static_cast<std::uint32_t>(bytes[0]) << 24U |
                            static_cast<std::uint32_t>(bytes[1]) << 16U |
                            static_cast<std::uint32_t>(bytes[2]) << 8U | bytes[3]);
    return IpPrefix::make(base, length).value();
  });
}

// Bit by bit, without the code under test.
bool bit_of(const IpAddress& address, unsigned index) {
  return ((unsigned{address.bytes()[index / 8]} >> (7 - index % 8)) & 1U) != 0;
}
bool naively_contains(const IpPrefix& prefix, const IpAddress& address) {
  if (prefix.family() != address.family()) {
    return false;
  }
  for (unsigned i = 0; i < prefix.length(); ++i) {
    if (bit_of(prefix.base(), i) != bit_of(address, i)) {
      return false;
    }
  }
  return true;
}

// --- Addresses ---

RC_GTEST_PROP(IpAddress, TextRoundTrips, ()) {
  const IpAddress address = *any_address();
  RC_ASSERT(ip(format(address)) == address);
}

TEST(IpAddress, RejectsWhatIsNotOne) {
  for (const char* text : {"", " ", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.4 ",
                           "fe80::1%eth0", "::g", "1:2:3:4:5:6:7:8:9", "host"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)));
}

TEST(IpAddress, OrderIsIpv4FirstThenNumeric) {
  const std::vector<IpAddress> ordered{ip("9.255.255.255"), ip("10.0.0.0"), ip("200.0.0.1"),
                                       ip("::"), ip("fd00::1")};
  EXPECT_TRUE(std::is_sorted(ordered.begin(), ordered.end()));
  EXPECT_EQ(ip("10.1.2.3").v4_bits(), 0x0a010203U);
}

TEST(IpAddress, KnowsTheAddressesOfHosts) {
  for (const char* text : {"10.0.0.1", "223.255.255.255", "2001:db8::1", "fd00::1", "64:ff9b::1"}) {
    EXPECT_TRUE(ip(text).is_host_unicast()) << text;
  }
  for (const char* text :
       {"0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.1.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "ff02::1", "fe80::1", "febf::1", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(ip(text).is_host_unicast()) << text;
  }
}

// --- Prefixes ---

RC_GTEST_PROP(IpPrefix, TextRoundTrips, ()) {
  const IpPrefix prefix = *any_prefix();
  RC_ASSERT(net(format(prefix)) == prefix);
}

TEST(IpPrefix, RejectsWhatIsNotOne) {
  for (const char* text :
       {"", "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/33", "fd00::/129", "10.0.0.0/08",
        "10.0.0.0/+8", "10.0.0.0/-1", "10.0.0.0/8 ", "10.0.0.0/8/8", "10.0.0.0/300", "10.0.0/8",
        "10.0.0.0/x", "10.0.0.0/0x8", "10.0.0.0/99999999999999999999"}) {
    EXPECT_FALSE(IpPrefix::parse(text)) << text;
  }
}

TEST(IpPrefix, HostBitsAreRefusedWithTheCorrectedPrefix) {
  const Result<IpPrefix> wrong = IpPrefix::parse("100.96.2.1/24");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::InvalidInput);
  EXPECT_NE(wrong.error().context.find("100.96.2.0/24"), std::string::npos);
}

RC_GTEST_PROP(IpPrefix, ContainsByItsBits, ()) {
  const IpPrefix prefix = *any_prefix();
  const IpAddress other = *rc::gen::oneOf(
      any_address(),
      rc::gen::map(any_prefix_in(prefix, 128), [](const IpPrefix& inner) { return inner.base(); }));
  RC_ASSERT(prefix.contains(other) == naively_contains(prefix, other));
  RC_ASSERT(prefix.contains(prefix.base()) && prefix.contains(prefix.last()));
  RC_ASSERT(prefix.contains(other) == (prefix.base() <= other && other <= prefix.last()));
}

RC_GTEST_PROP(IpPrefix, OverlapIsOneInsideTheOther, ()) {
  const IpPrefix a = *any_prefix();
  const IpPrefix b = *rc::gen::oneOf(any_prefix(), any_prefix_in(a, 128));
  const bool share = a.base() <= b.last() && b.base() <= a.last();
  RC_ASSERT(a.overlaps(b) == (a.family() == b.family() && share));
  RC_ASSERT(a.overlaps(b) == b.overlaps(a));
}

// On which every range scan of decide rests.
RC_GTEST_PROP(IpPrefix, ComesRightBeforeWhatItContains, ()) {
  const IpPrefix outer = net("100.96.0.0/12");
  const auto inside = *rc::gen::container<std::set<IpPrefix>>(any_prefix_in(outer, 20));
  const IpPrefix prefix = *any_prefix_in(outer, 20);
  std::set<IpPrefix> scanned;
  for (auto it = inside.lower_bound(prefix); it != inside.end() && prefix.contains(*it); ++it) {
    scanned.insert(*it);
  }
  std::set<IpPrefix> contained;
  for (const IpPrefix& other : inside) {
    if (prefix.contains(other)) {
      contained.insert(other);
    }
  }
  RC_ASSERT(scanned == contained);
}

// --- MAC addresses ---

TEST(MacAddress, EncodesThePodCidr) {
  EXPECT_EQ(format(vtep_mac(net("100.96.2.0/24"), net("100.96.0.0/12"))), "00:53:64:60:02:00");
  EXPECT_EQ(format(vtep_mac(net("fd00:1:2:3::/64"), net("fd00:1::/32"))), "02:53:00:02:00:03");
  EXPECT_EQ(format(vtep_mac(net("fd00:1234:5678::/64"), net("fd00::/12"))), "02:53:01:23:45:67");
}

TEST(MacAddress, ParsesAndRejects) {
  EXPECT_EQ(format(MacAddress::parse("00:53:AB:cd:02:0F").value()), "00:53:ab:cd:02:0f");
  for (const char* text : {"", "00:53:64:60:02", "00:53:64:60:02:0", "00-53-64-60-02-00",
                           "00:53:64:60:02:0g", "00:53:64:60:02:00:", "+0:53:64:60:02:00"}) {
    EXPECT_FALSE(MacAddress::parse(text)) << text;
  }
}

void mac_tells_apart(const IpPrefix& overlay) {
  const IpPrefix a = *any_prefix_in(overlay, 32);
  const IpPrefix b = *any_prefix_in(overlay, 32);
  RC_PRE(!a.overlaps(b));
  RC_ASSERT(vtep_mac(a, overlay) != vtep_mac(b, overlay));
}

RC_GTEST_PROP(MacAddress, TellsIpv4PodCidrsApart, ()) {
  mac_tells_apart(net("100.96.0.0/12"));
}

RC_GTEST_PROP(MacAddress, TellsIpv6PodCidrsApart, ()) {
  const auto length = static_cast<std::uint8_t>(*rc::gen::inRange(8, 120));
  mac_tells_apart(IpPrefix::containing(ip("fdab:cdef:1234:5678:9abc:def0:1234:5678"), length));
}

RC_GTEST_PROP(MacAddress, IsUnicastAndSaysItsFamily, ()) {
  const bool v4 = *rc::gen::arbitrary<bool>();
  const IpPrefix overlay = v4 ? net("100.96.0.0/12") : net("fd00:1::/32");
  const MacAddress mac = vtep_mac(*any_prefix_in(overlay, 32), overlay);
  RC_ASSERT((mac.bytes[0] & 1U) == 0U);
  RC_ASSERT(mac.bytes[0] == (v4 ? 0x00 : 0x02));
}

// --- Ownership ---

constexpr IfIndex kOurs{7};
constexpr IfIndex kOther{2};

TEST(Ownership, OfLinks) {
  Link link{.index = kOurs, .name = "any", .group = kOwnLinkGroup, .vxlan = VxlanLink{}};
  EXPECT_TRUE(is_owned(link));
  link.group = 0;
  EXPECT_FALSE(is_owned(link));
  link.group = kOwnLinkGroup;
  link.vxlan.reset();
  EXPECT_FALSE(is_owned(link));
}

TEST(Ownership, OfAddresses) {
  EXPECT_TRUE(is_owned(IfAddress{.device = kOurs, .address = ip("10.0.0.1")}, kOurs));
  EXPECT_FALSE(is_owned(IfAddress{.device = kOurs, .address = ip("fe80::1")}, kOurs));
  EXPECT_FALSE(is_owned(IfAddress{.device = kOther, .address = ip("10.0.0.1")}, kOurs));
}

TEST(Ownership, OfRoutes) {
  Route route{.destination = net("100.96.3.0/24"), .protocol = 3, .device = kOurs};
  EXPECT_TRUE(is_owned(route, kOurs)) << "whoever made it: it is on our device";
  EXPECT_FALSE(is_owned(route, kOther));
  route.protocol = kRouteProtocolKernel;
  EXPECT_FALSE(is_owned(route, kOurs));
  route.protocol = kOwnProtocol;
  route.table = kRouteTableLocal;
  EXPECT_FALSE(is_owned(route, kOurs));
  route.table = kRouteTableMain;
  route.device = kOther;
  EXPECT_FALSE(is_owned(route, kOurs)) << "our protocol alone does not make it ours";
  route.device.reset();
  EXPECT_TRUE(is_owned(route, kOurs));
  route.protocol = 3;
  EXPECT_FALSE(is_owned(route, kOurs));
}

TEST(Ownership, OfNeighbours) {
  Neighbour neighbour{.device = kOurs, .address = ip("100.96.3.4"), .lladdr = MacAddress{}};
  for (const std::uint16_t state : {kNudReachable, kNudStale, kNudNoarp, kNudPermanent}) {
    neighbour.state = state;
    EXPECT_TRUE(is_owned(neighbour, kOurs)) << format_nud(state);
    EXPECT_FALSE(is_owned(neighbour, kOther));
  }
  for (const std::uint16_t state : {kNudIncomplete, kNudFailed, kNudNone}) {
    neighbour.state = state;
    EXPECT_FALSE(is_owned(neighbour, kOurs)) << format_nud(state);
  }
  neighbour.state = kNudNoarp;
  neighbour.address = ip("ff02::1");
  EXPECT_FALSE(is_owned(neighbour, kOurs));
}

// --- State and text ---

TEST(KernelState, FindsLinksByName) {
  KernelState state;
  state.links[kOther] = Link{.index = kOther, .name = "eth0"};
  ASSERT_NE(find_link(state, "eth0"), nullptr);
  EXPECT_EQ(find_link(state, "eth0")->index, kOther);
  EXPECT_EQ(find_link(state, "eth"), nullptr);
}

TEST(Format, ReadsLikeIproute) {
  EXPECT_EQ(format(Route{.destination = net("100.96.0.0/12"),
                         .metric = kRouteMetricLast,
                         .type = RouteType::Unreachable,
                         .protocol = kOwnProtocol}),
            "unreachable 100.96.0.0/12 table 254 proto 118 scope 0 metric 4294967295");
  EXPECT_EQ(format_nud(kNudNoarp), "NOARP");
  EXPECT_EQ(format_nud(kNudReachable | kNudPermanent), "REACHABLE|PERMANENT");
  EXPECT_EQ(format_nud(kNudNone), "NONE");
  EXPECT_EQ(format(Neighbour{.device = kOurs,
                             .address = ip("100.96.3.4"),
                             .lladdr = vtep_mac(net("100.96.3.0/24"), net("100.96.0.0/12")),
                             .state = kNudNoarp,
                             .flags = kNtfExtLearned,
                             .protocol = kOwnProtocol}),
            "100.96.3.4 dev #7 lladdr 00:53:64:60:03:00 NOARP flags 16 proto 118");
}

}  // namespace
}  // namespace vxmesh
