// Routes, and batches.
#include <cerrno>

#include "integration/contract/netlink_contract.h"

namespace vxmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class RouteContract : public NetlinkContract {
 protected:
  void SetUp() override {
    NetlinkContract::SetUp();
    if (!IsSkipped()) {
      device_ = create_overlay_device();
    }
  }

  // A remote PodCIDR in on-miss mode.
  [[nodiscard]] Route on_link(std::string_view destination) const {
    return Route{.destination = cidr(destination),
                 .scope = kScopeLink,
                 .protocol = kOwnProtocol,
                 .device = device_};
  }
  // A remote PodCIDR in gateway mode.
  [[nodiscard]] Route via(std::string_view destination, std::string_view gateway) const {
    Route route = on_link(destination);
    route.scope = 0;
    route.gateway = ip(gateway);
    route.onlink = true;
    return route;
  }
  [[nodiscard]] static Route unreachable(std::string_view destination) {
    return Route{.destination = cidr(destination),
                 .metric = kRouteMetricLast,
                 .type = RouteType::Unreachable,
                 .protocol = kOwnProtocol};
  }

  IfIndex device_;
};

TEST_F(RouteContract, TheOverlaysRoutesAreReadBack) {
  const Route node = on_link("100.96.2.0/24");
  const Route rest = unreachable("100.96.0.0/12");
  const Route own = unreachable("100.96.1.0/24");
  must({ReplaceRoute{node}, ReplaceRoute{rest}, ReplaceRoute{own}, ReplaceRoute{node}});
  EXPECT_THAT(routes_to(node.destination), ElementsAre(node));
  EXPECT_THAT(routes_to(rest.destination), ElementsAre(rest));
  EXPECT_THAT(routes_to(own.destination), ElementsAre(own));
}

TEST_F(RouteContract, WhatIsInNoNodesPodCidrIsRefusedAtOnce) {
  must({ReplaceRoute{on_link("100.96.2.0/24")}, ReplaceRoute{unreachable("100.96.0.0/12")}});
  EXPECT_FALSE(world().send_datagram(ip("100.96.3.1")));
  EXPECT_THAT(neighbours(device_), IsEmpty());
  EXPECT_TRUE(world().send_datagram(ip("100.96.2.1")));
}

TEST_F(RouteContract, ReplaceSwitchesBetweenOnLinkAndGateway) {
  const Route direct = on_link("100.96.2.0/24");
  const Route through = via("100.96.2.0/24", "100.96.2.0");
  must({ReplaceRoute{direct}, ReplaceRoute{through}});
  EXPECT_THAT(routes(device_), ElementsAre(through));
  must({ReplaceRoute{direct}});
  EXPECT_THAT(routes(device_), ElementsAre(direct));
}

TEST_F(RouteContract, MetricsAreDifferentRoutes) {
  const Route first = on_link("100.96.2.0/24");
  Route second = first;
  second.metric = 77;
  must({ReplaceRoute{first}, ReplaceRoute{second}});
  EXPECT_THAT(routes(device_), UnorderedElementsAre(first, second));
  must({DeleteRoute{second}});
  EXPECT_THAT(routes(device_), ElementsAre(first));
}

TEST_F(RouteContract, TablesBeyond255AndPreferredSources) {
  Route route = on_link("100.96.2.0/24");
  route.table = 100000;
  route.preferred_source = ip("100.96.1.0");
  must({ReplaceRoute{route}});
  EXPECT_THAT(routes(device_), ElementsAre(route));
  must({DeleteRoute{route}});
  EXPECT_THAT(routes(device_), IsEmpty());
}

TEST_F(RouteContract, AnIpv4RouteViaAnIpv6Gateway) {
  const Route route = via("100.96.2.0/24", "fd60:0:0:2::");
  must({ReplaceRoute{route}});
  EXPECT_THAT(routes(device_), ElementsAre(route));
  must({DeleteRoute{route}});
  EXPECT_THAT(routes(device_), IsEmpty());
}

TEST_F(RouteContract, Ipv6Routes) {
  Route node = on_link("fd60:0:0:2::/64");
  node.scope = 0;
  node.metric = 1024;
  const Route rest = unreachable("fd60::/32");
  must({ReplaceRoute{node}, ReplaceRoute{rest}});
  EXPECT_THAT(routes_to(node.destination), ElementsAre(node));
  EXPECT_THAT(routes_to(rest.destination), ElementsAre(rest));
  must({DeleteRoute{node}, DeleteRoute{rest}});
  EXPECT_THAT(routes_to(node.destination), IsEmpty());
  EXPECT_THAT(routes_to(rest.destination), IsEmpty());
  EXPECT_EQ(apply(DeleteRoute{node}), refused(ESRCH));
}

// IPv6 keeps routes of one prefix and metric beside each other, and asks a delete for no type.
TEST_F(RouteContract, ADeleteOfAnIpv6RefusalLeavesTheRouteBeforeIt) {
  Route node = on_link("fd60:0:0:2::/64");
  node.scope = 0;
  node.metric = 1024;
  Route refusal = unreachable("fd60:0:0:2::/64");
  refusal.metric = node.metric;
  must({ReplaceRoute{node}});
  const rtnl::NewRoute beside{.flags = rtnl::kCreate,
                              .route = {.destination = refusal.destination.base(),
                                        .length = refusal.destination.length(),
                                        .protocol = refusal.protocol,
                                        .type = static_cast<std::uint8_t>(refusal.type),
                                        .metric = refusal.metric}};
  EXPECT_EQ(world().request(beside), OpDone{});
  EXPECT_THAT(routes_to(node.destination), UnorderedElementsAre(node, refusal));
  must({DeleteRoute{refusal}});
  EXPECT_THAT(routes_to(node.destination), ElementsAre(node));
}

TEST_F(RouteContract, ADeleteTakesExactlyItsRoute) {
  const Route route = on_link("100.96.2.0/24");
  const Route same_prefix = unreachable("100.96.2.0/24");
  must({ReplaceRoute{route}, ReplaceRoute{same_prefix}});

  Route other = route;
  other.protocol = 4;
  EXPECT_EQ(apply(DeleteRoute{other}), refused(ESRCH));
  other = route;
  other.scope = 0;
  EXPECT_EQ(apply(DeleteRoute{other}), refused(ESRCH));
  other = route;
  other.device = kLoopback;
  EXPECT_EQ(apply(DeleteRoute{other}), refused(ESRCH));
  other = route;
  other.metric = 5;
  EXPECT_EQ(apply(DeleteRoute{other}), refused(ESRCH));
  other = route;
  other.table = 100;
  EXPECT_EQ(apply(DeleteRoute{other}), refused(ESRCH, "FIB table does not exist"));
  other = route;
  other.destination = cidr("100.96.2.0/25");
  EXPECT_EQ(apply(DeleteRoute{other}), refused(ESRCH));

  must({DeleteRoute{route}});
  EXPECT_THAT(routes_to(route.destination), ElementsAre(same_prefix));
  EXPECT_EQ(apply(DeleteRoute{route}), refused(ESRCH)) << "it took the unreachable one for it";
  must({DeleteRoute{same_prefix}});
  EXPECT_THAT(routes_to(route.destination), IsEmpty());
}

TEST_F(RouteContract, WritesAreRefusedWithTheKernelsReason) {
  Route wrong = via("100.96.2.0/24", "172.30.0.1");
  wrong.onlink = false;
  EXPECT_EQ(apply(ReplaceRoute{wrong}), refused(ENETUNREACH, "Nexthop has invalid gateway"));
  wrong = on_link("100.96.2.0/24");
  wrong.preferred_source = ip("100.96.9.9");
  EXPECT_EQ(apply(ReplaceRoute{wrong}), refused(EINVAL, "Invalid prefsrc address"));
  wrong = on_link("100.96.2.0/24");
  wrong.device = kNoSuchDevice;
  EXPECT_EQ(apply(ReplaceRoute{wrong}), refused(ENODEV));
  must({ChangeLink{.device = device_, .up = false}});
  EXPECT_EQ(apply(ReplaceRoute{on_link("100.96.2.0/24")}),
            refused(ENETDOWN, "Device for nexthop is not up"));
  EXPECT_THAT(routes(device_), IsEmpty());
}

TEST_F(RouteContract, LargeTablesAreDumpedInSteps) {
  constexpr unsigned kRoutes = 2000;
  std::vector<KernelOp> ops;
  std::vector<Route> wanted;
  for (unsigned i = 0; i < kRoutes; ++i) {
    Route route = on_link("100.97.0.0/24");
    route.destination =
        IpPrefix::containing(IpAddress::v4(ip("100.97.0.0").v4_bits() + (i << 8U)), 24);
    wanted.push_back(route);
    ops.emplace_back(ReplaceRoute{route});
  }
  must(ops);
  int steps = 0;
  static_cast<void>(dump(Table::Routes, {}, &steps));
  EXPECT_GT(steps, 3) << "the whole table came at once";
  EXPECT_EQ(routes(device_), wanted);
}

class BatchContract : public RouteContract {};

TEST_F(BatchContract, OneThatFailsDoesNotStopTheRest) {
  const Route first = on_link("100.96.2.0/24");
  const Route last = on_link("100.96.4.0/24");
  Route wrong = via("100.96.3.0/24", "172.30.0.1");
  wrong.onlink = false;
  const std::vector<KernelOp> ops{ReplaceRoute{first}, DeleteLink{kNoSuchDevice},
                                  ReplaceRoute{wrong}, ReplaceRoute{last}};
  EXPECT_THAT(netlink().apply(ops),
              ElementsAre(done(), refused(ENODEV),
                          refused(ENETUNREACH, "Nexthop has invalid gateway"), done()));
  EXPECT_THAT(routes(device_), ElementsAre(first, last));
}

TEST_F(BatchContract, TheLastOnesFailureIsItsOwn) {
  const std::vector<KernelOp> ops{ReplaceRoute{on_link("100.96.2.0/24")},
                                  DeleteRoute{on_link("100.96.3.0/24")}};
  EXPECT_THAT(netlink().apply(ops), ElementsAre(done(), refused(ESRCH)));
}

TEST_F(BatchContract, AFullBatchOfFailuresHasAllItsAnswers) {
  Route wrong = via("100.96.3.0/24", "172.30.0.1");
  wrong.onlink = false;
  const std::vector<KernelOp> ops(Netlink::kMaxBatch, ReplaceRoute{wrong});
  EXPECT_THAT(
      netlink().apply(ops),
      ::testing::AllOf(::testing::SizeIs(Netlink::kMaxBatch),
                       ::testing::Each(refused(ENETUNREACH, "Nexthop has invalid gateway"))));
}

TEST_F(BatchContract, NothingIsDoneForNoOperations) {
  static_cast<void>(take_all_events());
  EXPECT_THAT(netlink().apply({}), IsEmpty());
  EXPECT_THAT(take_all_events(), IsEmpty());
}

TEST_F(BatchContract, AFullBatchOfTheLargestOperationsFits) {
  std::vector<KernelOp> ops;
  for (std::uint32_t i = 0; i < Netlink::kMaxBatch; ++i) {
    Link link = vxlan();
    link.name = "v" + std::to_string(i);
    link.vxlan->local = ip("fd00::11");
    link.mac = mac("01:00:00:00:00:00");  // refused, so that none of them is made
    ops.emplace_back(CreateVxlan{link});
  }
  EXPECT_THAT(netlink().apply(ops),
              ::testing::Each(refused(EADDRNOTAVAIL, "Provided Ethernet address is not unicast")));
}

}  // namespace
}  // namespace vxmesh
