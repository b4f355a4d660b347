#include "adapters/libnl/encode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <sys/socket.h>

#include "adapters/libnl/test_messages.h"
#include "model/ownership.h"

namespace vxmesh {
namespace {

constexpr IfIndex kDevice{7};
constexpr std::uint16_t kReplaceFlags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;

// The bytes that Linux reads on this (little-endian) machine, written out once.
TEST(Encode, AnOnDemandNeighbourByteForByte) {
  const MessageBytes bytes = encode(ReplaceNeighbour{{.device = kDevice,
                                                      .address = ip("100.96.2.5"),
                                                      .lladdr = mac("00:53:64:60:02:00"),
                                                      .state = kNudNoarp,
                                                      .flags = kNtfExtLearned,
                                                      .protocol = kOwnProtocol}},
                                    0x01020304, /*acknowledge=*/true);
  EXPECT_THAT(bytes,
              ::testing::ElementsAreArray(std::vector<std::uint8_t>{
                  56,   0,    0,    0,  // length
                  28,   0,              // RTM_NEWNEIGH
                  0x05, 0x05,           // REQUEST|ACK|REPLACE|CREATE
                  4,    3,    2,    1,  // sequence
                  0,    0,    0,    0,  // port
                  2,    0,    0,    0,  // AF_INET
                  7,    0,    0,    0,  // device
                  0x40, 0,    0x10, 0,  // NOARP, EXT_LEARNED
                  8,    0,    1,    0,  // NDA_DST
                  100,  96,   2,    5,  //
                  10,   0,    2,    0,  // NDA_LLADDR
                  0,    0x53, 0x64, 0x60, 2, 0, 0, 0, 5, 0, 12, 0, 118, 0, 0, 0}));  // NDA_PROTOCOL
}

TEST(Encode, OnlyTheLastOfABatchIsAcknowledged) {
  const DeleteLink op{kDevice};
  EXPECT_EQ(message_in(encode(op, 1, false)).flags(), NLM_F_REQUEST);
  EXPECT_EQ(message_in(encode(op, 1, true)).flags(), NLM_F_REQUEST | NLM_F_ACK);
}

TEST(Encode, AVxlanIsCreatedInOneMessage) {
  const CreateVxlan op{
      {.index = IfIndex{99},
       .name = "vxlan1",
       .mac = mac("00:53:64:60:02:00"),
       .mtu = 1450,
       .up = true,
       .group = kOwnLinkGroup,
       .kind = "vxlan",
       .vxlan =
           VxlanLink{.vni = Vni{77}, .port = 4789, .local = ip("172.20.0.11"), .learning = false}}};
  const MessageBytes bytes = encode(op, 1, false);
  const Message message = message_in(bytes);
  EXPECT_EQ(message.type(), RTM_NEWLINK);
  EXPECT_EQ(message.flags(), NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
  const ifinfomsg header = message.header<ifinfomsg>().value();
  EXPECT_EQ(header.ifi_index, 0) << "the kernel chooses it";
  EXPECT_EQ(header.ifi_flags, 0U) << "it must stay down";
  const Attributes attributes = message.attributes<ifinfomsg>();
  EXPECT_EQ(attributes.text(IFLA_IFNAME), "vxlan1");
  EXPECT_EQ(attributes.mac(IFLA_ADDRESS), op.link.mac);
  EXPECT_EQ(attributes.u32(IFLA_MTU), 1450U);
  EXPECT_EQ(attributes.u32(IFLA_GROUP), kOwnLinkGroup);
  const Attributes info = attributes.nested(IFLA_LINKINFO);
  EXPECT_EQ(info.text(IFLA_INFO_KIND), "vxlan");
  const Attributes data = info.nested(IFLA_INFO_DATA);
  EXPECT_EQ(data.u32(IFLA_VXLAN_ID), 77U);
  EXPECT_EQ(data.big_endian_u16(IFLA_VXLAN_PORT), 4789U);
  EXPECT_EQ(data.u8(IFLA_VXLAN_LEARNING), 0);
  EXPECT_EQ(data.address(IFLA_VXLAN_LOCAL, Family::V4), ip("172.20.0.11"));
  EXPECT_EQ(data.bytes(IFLA_VXLAN_COLLECT_METADATA), std::nullopt);
}

TEST(Encode, AChangeSaysNothingThatIsNotToChange) {
  const MessageBytes bytes = encode(ChangeLink{.device = kDevice, .mtu = 1400}, 1, false);
  const Message message = message_in(bytes);
  EXPECT_EQ(message.type(), RTM_NEWLINK);
  EXPECT_EQ(message.flags(), NLM_F_REQUEST);
  const ifinfomsg header = message.header<ifinfomsg>().value();
  EXPECT_EQ(header.ifi_index, 7);
  EXPECT_EQ(header.ifi_change, 0U);
  const Attributes attributes = message.attributes<ifinfomsg>();
  EXPECT_EQ(attributes.u32(IFLA_MTU), 1400U);
  for (const int type : {IFLA_ADDRESS, IFLA_IFNAME, IFLA_GROUP, IFLA_LINKINFO, IFLA_AF_SPEC}) {
    EXPECT_EQ(attributes.bytes(type), std::nullopt) << type;
  }
}

TEST(Encode, UpAndDownNameOneFlag) {
  for (const bool up : {true, false}) {
    const MessageBytes bytes = encode(ChangeLink{.device = kDevice, .up = up}, 1, false);
    const ifinfomsg header = message_in(bytes).header<ifinfomsg>().value();
    EXPECT_EQ(header.ifi_change, unsigned{IFF_UP});
    EXPECT_EQ(header.ifi_flags, up ? unsigned{IFF_UP} : 0U);
  }
}

TEST(Encode, ReversePathFilterIsNestedThreeDeep) {
  const MessageBytes bytes = encode(ChangeLink{.device = kDevice, .rp_filter = 2}, 1, false);
  EXPECT_EQ(message_in(bytes)
                .attributes<ifinfomsg>()
                .nested(IFLA_AF_SPEC)
                .nested(AF_INET)
                .nested(IFLA_INET_CONF)
                .u32(IPV4_DEVCONF_RP_FILTER),
            2U);
}

TEST(Encode, Ipv6AddressesSkipDuplicateDetection) {
  const MessageBytes bytes = encode(
      ReplaceAddress{
          {.device = kDevice, .address = ip("fd60::1"), .length = 128, .no_prefix_route = true}},
      1, false);
  const Message message = message_in(bytes);
  EXPECT_EQ(message.flags(), kReplaceFlags);
  EXPECT_EQ(message.attributes<ifaddrmsg>().u32(IFA_FLAGS),
            std::uint32_t{IFA_F_NODAD | IFA_F_NOPREFIXROUTE});
}

TEST(Encode, Ipv4AddressesCarryTheirScopeAndFlags) {
  const MessageBytes bytes = encode(
      ReplaceAddress{{.device = kDevice, .address = ip("10.0.0.1"), .length = 8, .scope = 253}}, 1,
      false);
  const Message message = message_in(bytes);
  EXPECT_EQ(message.header<ifaddrmsg>()->ifa_scope, 253);
  EXPECT_EQ(message.header<ifaddrmsg>()->ifa_prefixlen, 8);
  EXPECT_EQ(message.attributes<ifaddrmsg>().u32(IFA_FLAGS), 0U);
  EXPECT_EQ(message.attributes<ifaddrmsg>().address(IFA_LOCAL, Family::V4), ip("10.0.0.1"));
}

TEST(Encode, ADeletedIpv6RefusalIsNamedByTheLoopback) {
  const auto device_said = [](std::string_view destination, RouteType type) {
    const Route route{.destination = cidr(destination), .type = type};
    const MessageBytes bytes = encode(DeleteRoute{route}, 1, false);
    return message_in(bytes).attributes<rtmsg>().u32(RTA_OIF);
  };
  EXPECT_EQ(device_said("fd00::/64", RouteType::Unreachable), 1U);
  EXPECT_EQ(device_said("fd00::/64", RouteType::Unicast), std::nullopt);
  EXPECT_EQ(device_said("100.96.2.0/24", RouteType::Unreachable), std::nullopt);
}

TEST(Encode, ADeletedRouteIsNamedInFull) {
  const Route route{.destination = cidr("100.96.2.0/24"),
                    .metric = 12,
                    .table = 1000,
                    .type = RouteType::Unicast,
                    .scope = 253,
                    .protocol = kOwnProtocol,
                    .device = kDevice,
                    .gateway = ip("100.96.2.0"),
                    .onlink = true};
  const MessageBytes bytes = encode(DeleteRoute{route}, 1, false);
  const Message message = message_in(bytes);
  EXPECT_EQ(message.type(), RTM_DELROUTE);
  const rtmsg header = message.header<rtmsg>().value();
  EXPECT_EQ(header.rtm_dst_len, 24);
  EXPECT_EQ(header.rtm_scope, 253);
  EXPECT_EQ(header.rtm_type, RTN_UNICAST);
  EXPECT_EQ(header.rtm_protocol, kOwnProtocol);
  EXPECT_EQ(header.rtm_flags, unsigned{RTNH_F_ONLINK});
  const Attributes attributes = message.attributes<rtmsg>();
  EXPECT_EQ(attributes.address(RTA_DST, Family::V4), ip("100.96.2.0"));
  EXPECT_EQ(attributes.u32(RTA_PRIORITY), 12U);
  EXPECT_EQ(attributes.u32(RTA_TABLE), 1000U);
  EXPECT_EQ(attributes.u32(RTA_OIF), 7U);
  EXPECT_EQ(attributes.address(RTA_GATEWAY, Family::V4), ip("100.96.2.0"));
}

TEST(Encode, AnFdbDeleteNamesNoDestination) {
  const MessageBytes bytes =
      encode(DeleteFdb{.device = kDevice, .mac = mac("00:53:64:60:02:00")}, 1, false);
  const Message message = message_in(bytes);
  EXPECT_EQ(message.header<ndmsg>()->ndm_family, AF_BRIDGE);
  EXPECT_EQ(message.header<ndmsg>()->ndm_flags, NTF_SELF);
  EXPECT_EQ(message.attributes<ndmsg>().bytes(NDA_DST), std::nullopt);
}

TEST(Encode, NeighbourParametersNameTheTableAndTheDevice) {
  const MessageBytes bytes = encode(SetNeighbourParameters{.device = kDevice,
                                                           .family = Family::V6,
                                                           .parameters = {.app_solicit = 3,
                                                                          .ucast_solicit = 0,
                                                                          .mcast_solicit = 1,
                                                                          .mcast_resolicit = 2}},
                                    1, false);
  const Attributes attributes = message_in(bytes).attributes<ndtmsg>();
  EXPECT_EQ(attributes.text(NDTA_NAME), "ndisc_cache");
  const Attributes parameters = attributes.nested(NDTA_PARMS);
  EXPECT_EQ(parameters.u32(NDTPA_IFINDEX), 7U);
  EXPECT_EQ(parameters.u32(NDTPA_APP_PROBES), 3U);
  EXPECT_EQ(parameters.u32(NDTPA_UCAST_PROBES), 0U);
  EXPECT_EQ(parameters.u32(NDTPA_MCAST_PROBES), 1U);
  EXPECT_EQ(parameters.u32(NDTPA_MCAST_REPROBES), 2U);
}

}  // namespace
}  // namespace vxmesh
