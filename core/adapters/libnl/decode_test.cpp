#include "adapters/libnl/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <rapidcheck/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "adapters/libnl/encode.h"
#include "adapters/libnl/event_queue.h"
#include "adapters/libnl/test_messages.h"
#include "model/ownership.h"

namespace vxmesh {
namespace {

constexpr IfIndex kDevice{7};

std::optional<KernelChange> decoded(const MessageBytes& bytes) {
  return decode_change(message_in(bytes));
}

// What the kernel would report of the object that an operation writes: the same attributes.
template <typename Object>
std::optional<Object> read_back(const KernelOp& op) {
  const std::optional<KernelChange> change = decoded(encode(op, 1, false));
  if (!change || change->kind != KernelChange::Kind::New) {
    return std::nullopt;
  }
  return std::get<Object>(change->report.object);
}

// --- What is written is what is read ---

rc::Gen<IpAddress> any_address(Family family) {
  if (family == Family::V4) {
    return rc::gen::map(rc::gen::arbitrary<std::uint32_t>(), IpAddress::v4);
  }
  return rc::gen::map(
      rc::gen::container<std::array<std::uint8_t, 16>>(rc::gen::arbitrary<std::uint8_t>()),
      IpAddress::v6);
}

MacAddress any_mac() {
  return MacAddress{
      *rc::gen::container<std::array<std::uint8_t, 6>>(rc::gen::arbitrary<std::uint8_t>())};
}

Family any_family() {
  return *rc::gen::element(Family::V4, Family::V6);
}

std::uint8_t any_byte() {
  return *rc::gen::arbitrary<std::uint8_t>();
}

RC_GTEST_PROP(DecodeProperty, Neighbours, (std::uint16_t state)) {
  const Neighbour row{.device = kDevice,
                      .address = *any_address(any_family()),
                      .lladdr = any_mac(),
                      .state = state,
                      .flags = any_byte(),
                      .protocol = any_byte()};
  RC_ASSERT(read_back<Neighbour>(ReplaceNeighbour{row}) == row);
}

RC_GTEST_PROP(DecodeProperty, FdbEntries, (std::uint16_t state)) {
  const FdbEntry row{.device = kDevice,
                     .mac = any_mac(),
                     .dst = *any_address(any_family()),
                     .state = state,
                     .flags = static_cast<std::uint8_t>(any_byte() | kNtfSelf)};
  RC_ASSERT(read_back<FdbEntry>(ReplaceFdb{row}) == row);
}

RC_GTEST_PROP(DecodeProperty, Addresses, (bool no_prefix_route)) {
  const IpAddress address = *any_address(any_family());
  const IfAddress row{.device = kDevice,
                      .address = address,
                      .length = *rc::gen::inRange<std::uint8_t>(
                          0, static_cast<std::uint8_t>(address_bits(address.family()) + 1)),
                      .no_prefix_route = no_prefix_route,
                      .scope = any_byte()};
  RC_ASSERT(read_back<IfAddress>(ReplaceAddress{row}) == row);
}

RC_GTEST_PROP(DecodeProperty, Routes, (std::uint32_t metric, std::uint32_t table, bool onlink)) {
  const Family family = any_family();
  const IpAddress base = *any_address(family);
  const auto length =
      *rc::gen::inRange<std::uint8_t>(0, static_cast<std::uint8_t>(address_bits(family) + 1));
  const Route row{.destination = IpPrefix::containing(base, length),
                  .metric = metric,
                  .table = table,
                  .scope = any_byte(),
                  .protocol = any_byte(),
                  .device = kDevice,
                  // IPv4 also has gateways of the other family.
                  .gateway = *any_address(family == Family::V4 ? any_family() : family),
                  .onlink = onlink,
                  .preferred_source = *any_address(family)};
  RC_ASSERT(read_back<Route>(ReplaceRoute{row}) == row);
}

RC_GTEST_PROP(DecodeProperty, NeighbourParameters,
              (std::uint32_t app, std::uint32_t ucast, std::uint32_t mcast)) {
  const Family family = any_family();
  const NeighbourParameters row{
      .app_solicit = app, .ucast_solicit = ucast, .mcast_solicit = mcast, .mcast_resolicit = 4};
  MessageBytes bytes = encode(
      SetNeighbourParameters{.device = kDevice, .family = family, .parameters = row}, 1, false);
  const std::uint16_t type = RTM_NEWNEIGHTBL;
  std::memcpy(bytes.data() + offsetof(nlmsghdr, nlmsg_type), &type, sizeof(type));
  const Message message = message_in(bytes);
  const Family other = family == Family::V4 ? Family::V6 : Family::V4;
  RC_ASSERT(decode_neighbour_parameters(message, family, kDevice) == row);
  RC_ASSERT(decode_neighbour_parameters(message, other, kDevice) == std::nullopt);
  RC_ASSERT(decode_neighbour_parameters(message, family, IfIndex{8}) == std::nullopt);
}

// --- Cases that only the kernel writes ---

TEST(Decode, ABridgesWordOnItsPortIsNoLink) {
  for (const std::uint8_t family : {std::uint8_t{AF_UNSPEC}, std::uint8_t{AF_BRIDGE}}) {
    MessageWriter writer(RTM_DELLINK, 0);
    ifinfomsg header{};
    header.ifi_family = family;
    header.ifi_index = 7;
    writer.put_header(header);
    writer.put_text(IFLA_IFNAME, "veth0");
    EXPECT_EQ(decoded(writer.finish(0)).has_value(), family == AF_UNSPEC);
  }
}

TEST(Decode, ALinkWithoutAnEthernetAddress) {
  MessageWriter writer(RTM_NEWLINK, 0);
  ifinfomsg header{};
  header.ifi_index = 7;
  header.ifi_flags = 1;
  writer.put_header(header);
  writer.put_text(IFLA_IFNAME, "tunl0");
  writer.put_u32(IFLA_ADDRESS, 0x0100007f);
  writer.put_u32(IFLA_MTU, 1480);
  EXPECT_EQ(decoded(writer.finish(0))->report.object,
            (KernelObject{Link{.index = kDevice, .name = "tunl0", .mtu = 1480, .up = true}}));
}

MessageBytes route_message(std::uint8_t family, std::uint8_t type, std::uint32_t flags,
                           std::span<const std::uint8_t> nexthops = {}) {
  MessageWriter writer(RTM_NEWROUTE, 0);
  rtmsg header{};
  header.rtm_family = family;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_type = type;
  header.rtm_flags = flags;
  writer.put_header(header);
  if (nexthops.empty()) {
    writer.put_u32(RTA_OIF, 1);
  } else {
    writer.put_bytes(RTA_MULTIPATH, nexthops);
  }
  return writer.finish(0);
}

TEST(Decode, DefaultRoutesHaveNoDestinationAttribute) {
  EXPECT_EQ(decoded(route_message(AF_INET6, RTN_UNICAST, 0))->report.object,
            (KernelObject{Route{.destination = cidr("::/0"), .device = IfIndex{1}}}));
  EXPECT_EQ(decoded(route_message(AF_INET, RTN_UNICAST, 0))->report.object,
            (KernelObject{Route{.destination = cidr("0.0.0.0/0"), .device = IfIndex{1}}}));
}

TEST(Decode, RoutesThatGoNowhereHaveNoDevice) {
  const auto change = decoded(route_message(AF_INET6, RTN_UNREACHABLE, 0));
  EXPECT_EQ(std::get<Route>(change->report.object).device, std::nullopt);
}

TEST(Decode, RoutesWithSeveralNexthopsHaveNoDevice) {
  const std::vector<std::uint8_t> nexthops(2 * sizeof(rtnexthop), 0);
  const auto change = decoded(route_message(AF_INET, RTN_UNICAST, 0, nexthops));
  EXPECT_EQ(std::get<Route>(change->report.object).device, std::nullopt);
}

TEST(Decode, CachedAndForeignFamiliesRoutesAreNone) {
  EXPECT_EQ(decoded(route_message(AF_INET6, RTN_UNICAST, RTM_F_CLONED)), std::nullopt);
  EXPECT_EQ(decoded(route_message(AF_MPLS, RTN_UNICAST, 0)), std::nullopt);
}

TEST(Decode, UnknownRouteTypesAreOther) {
  const auto change = decoded(route_message(AF_INET, RTN_PROHIBIT, 0));
  EXPECT_EQ(std::get<Route>(change->report.object).type, RouteType::Other);
}

MessageBytes neighbour_message(std::uint16_t type, std::uint16_t flags, ndmsg header,
                               bool with_address, bool with_mac) {
  MessageWriter writer(type, 0);
  header.ndm_ifindex = 7;
  writer.put_header(header);
  if (with_address) {
    writer.put_address(NDA_DST, ip("100.96.2.5"));
  }
  if (with_mac) {
    writer.put_mac(NDA_LLADDR, mac("00:53:64:60:02:00"));
  }
  nda_cacheinfo info{};
  info.ndm_confirmed = 1;
  info.ndm_used = 2;
  info.ndm_updated = 345;
  info.ndm_refcnt = 4;
  MessageBytes bytes(sizeof(info));
  std::memcpy(bytes.data(), &info, sizeof(info));
  writer.put_bytes(NDA_CACHEINFO, bytes);
  return with_flags(writer.finish(0), flags);
}

ndmsg neighbour_header(std::uint8_t family, std::uint16_t state, std::uint8_t flags = 0) {
  ndmsg header{};
  header.ndm_family = family;
  header.ndm_state = state;
  header.ndm_flags = flags;
  return header;
}

TEST(Decode, TimeSinceTheUpdateIsInHundredths) {
  const auto change = decoded(
      neighbour_message(RTM_NEWNEIGH, 0, neighbour_header(AF_INET, NUD_INCOMPLETE), true, false));
  EXPECT_EQ(change->report.since_update, std::chrono::milliseconds(3450));
  EXPECT_EQ(std::get<Neighbour>(change->report.object).lladdr, std::nullopt);
}

TEST(Decode, ABridgesFdbIsNotOurs) {
  EXPECT_EQ(
      decoded(neighbour_message(
          RTM_NEWNEIGH, 0, neighbour_header(AF_BRIDGE, NUD_REACHABLE, NTF_MASTER), false, true)),
      std::nullopt);
}

TEST(Decode, MissesAreProbesOfTheKernelsResolution) {
  const Miss miss{.device = kDevice, .address = ip("100.96.2.5")};
  for (const std::uint16_t state : {std::uint16_t{NUD_INCOMPLETE}, std::uint16_t{NUD_PROBE}}) {
    const MessageBytes bytes = neighbour_message(RTM_GETNEIGH, NLM_F_REQUEST,
                                                 neighbour_header(AF_INET, state), true, false);
    EXPECT_EQ(decode_miss(message_in(bytes)), miss);
    EXPECT_EQ(decoded(bytes), std::nullopt);
  }
}

TEST(Decode, VxlansOwnReportsAreNoMisses) {
  const auto decode = [](std::uint16_t type, std::uint16_t flags, std::uint16_t state,
                         bool with_address) {
    const MessageBytes bytes = neighbour_message(type, flags, neighbour_header(AF_INET, state),
                                                 with_address, !with_address);
    return decode_miss(message_in(bytes));
  };
  EXPECT_EQ(decode(RTM_GETNEIGH, 0, NUD_STALE, true), std::nullopt) << "l3miss";
  EXPECT_EQ(decode(RTM_GETNEIGH, 0, NUD_STALE, false), std::nullopt) << "l2miss";
  // Each mark by itself, as other kernels may write them.
  EXPECT_EQ(decode(RTM_GETNEIGH, 0, NUD_INCOMPLETE, true), std::nullopt);
  EXPECT_EQ(decode(RTM_GETNEIGH, NLM_F_REQUEST, NUD_STALE, true), std::nullopt);
  EXPECT_EQ(decode(RTM_GETNEIGH, NLM_F_REQUEST, NUD_INCOMPLETE, false), std::nullopt);
  EXPECT_EQ(decode(RTM_NEWNEIGH, NLM_F_REQUEST, NUD_INCOMPLETE, true), std::nullopt);
}

TEST(Decode, ReversePathFilterIsTheEighthNumber) {
  MessageWriter writer(RTM_NEWLINK, 0);
  ifinfomsg header{};
  header.ifi_index = 7;
  writer.put_header(header);
  MessageBytes numbers(32 * sizeof(std::uint32_t));
  numbers[(IPV4_DEVCONF_RP_FILTER - 1) * sizeof(std::uint32_t)] = 2;
  writer.put_nested(IFLA_AF_SPEC, [&] {
    writer.put_nested(AF_INET, [&] { writer.put_bytes(IFLA_INET_CONF, numbers); });
  });
  EXPECT_EQ(decode_rp_filter(message_in(writer.finish(0))), 2);
}

// --- Hostile bytes: nothing is read outside the message, whatever it says ---

std::vector<MessageBytes> samples() {
  const Route route{.destination = cidr("100.96.2.0/24"),
                    .device = kDevice,
                    .gateway = ip("fd00::1"),
                    .preferred_source = ip("100.96.1.0")};
  return {
      encode(CreateVxlan{{.index = kDevice, .name = "vxlan1", .vxlan = VxlanLink{}}}, 1, true),
      encode(ChangeLink{.device = kDevice, .rp_filter = 1}, 1, true),
      encode(ReplaceAddress{{.device = kDevice, .address = ip("fd00::1"), .length = 64}}, 1, true),
      encode(ReplaceRoute{route}, 1, true),
      encode(ReplaceFdb{{.device = kDevice, .dst = ip("172.20.0.1")}}, 1, true),
      encode(ReplaceNeighbour{{.device = kDevice, .lladdr = MacAddress{}}}, 1, true),
      encode(SetNeighbourParameters{.device = kDevice}, 1, true),
      neighbour_message(RTM_GETNEIGH, NLM_F_REQUEST, neighbour_header(AF_INET, NUD_PROBE), true,
                        true),
      ack(1, EINVAL, "text")};
}

// On the heap at exactly its size, so that the address sanitizer sees a read behind it.
void read_everything(const MessageBytes& bytes) {
  const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), exact.get());
  std::span<const std::uint8_t> buffer(exact.get(), bytes.size());
  EventQueue queue(1, 1);
  while (const std::optional<Message> message = take_message(buffer)) {
    queue.push(*message);
    static_cast<void>(decode_answer(*message));
    static_cast<void>(decode_rp_filter(*message));
    static_cast<void>(decode_neighbour_parameters(*message, Family::V4, kDevice));
  }
}

TEST(DecodeHostile, EveryTruncationOfEveryMessage) {
  for (const MessageBytes& sample : samples()) {
    for (std::size_t size = 0; size <= sample.size(); ++size) {
      MessageBytes cut(sample.begin(), sample.begin() + static_cast<std::ptrdiff_t>(size));
      read_everything(cut);
      if (size >= sizeof(std::uint32_t)) {  // the same with a header that owns up to it
        const auto length = static_cast<std::uint32_t>(size);
        std::memcpy(cut.data(), &length, sizeof(length));
        read_everything(cut);
      }
    }
  }
}

TEST(DecodeHostile, EveryByteSetToEdgeValues) {
  for (const MessageBytes& sample : samples()) {
    for (std::size_t at = 0; at < sample.size(); ++at) {
      for (const unsigned value : {0x00U, 0x01U, 0x03U, 0x04U, 0x7fU, 0x80U, 0xffU}) {
        MessageBytes changed = sample;
        changed[at] = static_cast<std::uint8_t>(value);
        read_everything(changed);
      }
    }
  }
}

RC_GTEST_PROP(DecodeHostile, AnyMutations, ()) {
  MessageBytes bytes = *rc::gen::elementOf(samples());
  const auto count = *rc::gen::inRange(1, 8);
  for (int i = 0; i < count; ++i) {
    bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] = any_byte();
  }
  read_everything(bytes);
}

RC_GTEST_PROP(DecodeHostile, AnyBytes, (const MessageBytes& bytes)) {
  read_everything(bytes);
}

}  // namespace
}  // namespace vxmesh
