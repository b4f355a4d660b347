// What is foreign, and what is masqueraded, against the code that decides it for the agent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "decide/testing/generators.h"
#include "sim/check/foreign_state.h"
#include "sim/check/masquerade.h"
#include "sim/kernel/firewall.h"

namespace vxmesh {
namespace {

using generate::chance;
using generate::ip;
using generate::net;

constexpr MonotonicTime kNow{std::chrono::seconds(1)};

RC_GTEST_PROP(ForeignState, IsWhatTheAgentDoesNotOwn, ()) {
  const std::map<IpPrefix, Owner> owners = *generate::owners();
  const DesiredState desired =
      desired_state(generate::config(), generate::self(), owners, generate::kUnderlayMtu);
  const KernelState tables = (*generate::actual_state(desired)).tables;
  const IfIndex device =
      *rc::gen::element(generate::kDevice, generate::kDevice, generate::kUnderlay, IfIndex{0});
  const auto compare = [&](const auto& row) {
    RC_ASSERT(is_foreign(KernelObject(row), device) == !is_owned(row, device));
  };
  for (Route route : tables.routes) {
    route.table = *rc::gen::element(kRouteTableMain, kRouteTableLocal, 77U);
    compare(route);
  }
  for (const FdbEntry& entry : tables.fdb) {
    compare(entry);
  }
  for (const IfAddress& address : tables.addresses) {
    compare(address);
  }
  for (auto [address, neighbour] : tables.neighbours) {
    neighbour.state = *rc::gen::element<std::uint16_t>(
        kNudNone, kNudIncomplete, kNudFailed, kNudReachable, kNudStale, kNudNoarp, kNudPermanent);
    compare(neighbour);
  }
}

// Two devices of others beside ours, with rows of all kinds.
class Kernel : public ::testing::Test {
 protected:
  Kernel() {
    underlay = kernel.add_link(
        Link{.name = "eth0", .mac = MacAddress{{2, 0, 0, 0, 0, 1}}, .mtu = 1500, .up = true}, kNow);
    do_it(ReplaceAddress{{.device = underlay, .address = ip("172.20.0.2"), .length = 24}});
    do_it(ReplaceRoute{{.destination = net("0.0.0.0/0"),
                        .protocol = 3,
                        .device = underlay,
                        .gateway = ip("172.20.0.1")}});
    other = make_vxlan("flannel.9", 9, 0);
    own = make_vxlan("vxlan1", 1, 0x76786d);
    do_it(fdb(other));
    do_it(ReplaceNeighbour{neighbour(underlay)});
  }

  IfIndex make_vxlan(const std::string& name, std::uint32_t vni, std::uint32_t group) {
    do_it(CreateVxlan{{.name = name,
                       .mac = MacAddress{{2, 0, 0, 0, 1, static_cast<std::uint8_t>(vni)}},
                       .mtu = 1450,
                       .group = group,
                       .kind = "vxlan",
                       .vxlan = VxlanLink{.vni = Vni{vni}, .port = 4789}}});
    const IfIndex device = kernel.find_link(name)->index;
    do_it(ChangeLink{.device = device, .up = true});
    return device;
  }
  static ReplaceFdb fdb(IfIndex device) {
    return {{.device = device,
             .mac = MacAddress{{0, 0x53, 100, 96, 1, 0}},
             .dst = ip("172.20.0.9"),
             .state = kNudPermanent}};
  }
  static Neighbour neighbour(IfIndex device) {
    return Neighbour{.device = device,
                     .address = ip("172.20.0.9"),
                     .lladdr = MacAddress{{2, 0, 0, 0, 0, 9}},
                     .state = kNudPermanent};
  }
  void do_it(const KernelOp& op) {
    EXPECT_EQ(kernel.execute(op, now).error_number, 0) << format(op);
  }
  [[nodiscard]] std::vector<std::string> rows() const {
    return foreign_rows(kernel, own_device(kernel, "vxlan1"));
  }
  void expect_seen(const KernelOp& op) {
    const std::vector<std::string> before = rows();
    do_it(op);
    EXPECT_NE(rows(), before) << format(op);
  }

  NamespaceState kernel;
  MonotonicTime now = kNow;
  IfIndex underlay;
  IfIndex other;
  IfIndex own;
};

TEST_F(Kernel, OwnDeviceIsOneOfThatNameAndGroup) {
  EXPECT_EQ(own_device(kernel, "vxlan1"), own);
  EXPECT_EQ(own_device(kernel, "flannel.9"), IfIndex{0});
  EXPECT_EQ(own_device(kernel, "vxlan2"), IfIndex{0});
  EXPECT_FALSE(is_foreign(KernelObject(*kernel.find_link(own)), own));
  EXPECT_TRUE(is_foreign(KernelObject(*kernel.find_link(other)), own));
}

TEST_F(Kernel, ForeignRowsAreNotChangedByUsNorByTime) {
  const std::vector<std::string> before = rows();
  do_it(fdb(own));
  do_it(ReplaceNeighbour{neighbour(own)});
  do_it(ReplaceAddress{{.device = own, .address = ip("100.96.0.0"), .length = 12}});
  do_it(ReplaceRoute{
      {.destination = net("100.96.1.0/24"), .scope = 253, .protocol = 118, .device = own}});
  do_it(ReplaceRoute{{.destination = net("100.96.0.0/12"),
                      .metric = 7,
                      .type = RouteType::Unreachable,
                      .protocol = 118}});
  EXPECT_EQ(rows(), before);
  (void)kernel.send_packet(ip("172.20.0.77"), now);
  now = now + std::chrono::seconds(30);
  kernel.run_timers(now);
  EXPECT_EQ(rows(), before);
  do_it(DeleteLink{.device = own});
  EXPECT_EQ(rows(), before);
}

TEST_F(Kernel, EveryChangeOfAForeignRowIsSeen) {
  expect_seen(ChangeLink{.device = other, .mtu = 1400});
  expect_seen(DeleteFdb{.device = other, .mac = fdb(other).entry.mac});
  expect_seen(DeleteNeighbour{.device = underlay, .address = ip("172.20.0.9")});
  expect_seen(ReplaceAddress{{.device = underlay, .address = ip("172.20.5.2"), .length = 24}});
  const std::vector<Route> routes = kernel.routes().rows();
  const auto connected = std::find_if(routes.begin(), routes.end(), [](const Route& route) {
    return route.destination == net("172.20.0.0/24");
  });
  ASSERT_NE(connected, routes.end());
  Route taken_over = *connected;
  taken_over.protocol = 118;
  taken_over.device = own;
  expect_seen(ReplaceRoute{taken_over});
  expect_seen(ReplaceRoute{
      {.destination = net("10.0.0.0/8"), .type = RouteType::Unreachable, .protocol = 4}});
  expect_seen(DeleteLink{.device = other});
}

RC_GTEST_PROP(Masquerade, IsWhatTheFirewallDoes, ()) {
  ReferenceConfig config{.overlay = generate::config().cidrs};
  if (chance(30)) {
    config.overlay = {net("100.96.0.0/12")};
  }
  const std::vector<IpPrefix> own{net("100.96.2.0/24"), net("fd00:96:0:2::/64")};
  const bool v4 = chance(60);
  const auto some = [&] {
    return v4 ? *rc::gen::element(ip("100.96.2.5"), ip("100.96.3.5"), ip("172.20.0.2"),
                                  ip("10.200.0.1"), ip("8.8.8.8"))
              : *rc::gen::element(ip("fd00:96:0:2::5"), ip("fd00:96:0:3::5"), ip("2001:db8::2"));
  };
  const std::uint16_t port = *rc::gen::element<std::uint16_t>(4789, 53);
  const bool udp = chance(70);
  const Departure departure{.source = some(),
                            .destination = some(),
                            .device = *rc::gen::element<std::string>("vxlan1", "eth0"),
                            .udp_port = udp ? std::optional(port) : std::nullopt,
                            .marked = chance(20)};
  IpPacket packet{.source = departure.source, .destination = departure.destination};
  if (udp) {
    packet.payload = UdpDatagram{.source_port = 1000, .destination_port = port};
  }
  const FirewallPolicy policy{.device = config.device,
                              .tunnel_port = config.port,
                              .overlay = config.overlay,
                              .own_pod_cidrs = own};
  const LeavingPacket leaving{
      .packet = packet, .device = departure.device, .mark = departure.marked ? 0x4000U : 0U};
  RC_ASSERT(must_be_masqueraded(config, own, departure) == is_masqueraded(policy, leaving));
}

}  // namespace
}  // namespace vxmesh
