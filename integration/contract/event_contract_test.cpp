// Events: what they carry, their order, their loss, and the wake.
#include <algorithm>

#include "integration/contract/netlink_contract.h"

namespace vxmesh {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using Kind = KernelChange::Kind;

KernelEvent event(Kind kind, KernelObject object) {
  return KernelChange{.kind = kind, .report = {.object = std::move(object)}};
}

class EventContract : public NetlinkContract {
 protected:
  // The events without times, of which only rows' identity counts here.
  std::vector<KernelEvent> events() {
    std::vector<KernelEvent> taken = take_all_events();
    for (KernelEvent& one : taken) {
      if (KernelChange* change = std::get_if<KernelChange>(&one)) {
        change->report.since_update = {};
      }
    }
    return taken;
  }
  [[nodiscard]] static Neighbour neighbour(IfIndex device, std::string_view address) {
    return Neighbour{.device = device,
                     .address = ip(address),
                     .lladdr = mac("00:53:64:60:02:00"),
                     .state = kNudNoarp,
                     .flags = kNtfExtLearned,
                     .protocol = kOwnProtocol};
  }
};

TEST_F(EventContract, CarryWhatChangedInOrder) {
  const IfIndex device = create_overlay_device();
  static_cast<void>(events());
  const Neighbour pod = neighbour(device, "100.96.2.5");
  const FdbEntry vtep{.device = device,
                      .mac = *pod.lladdr,
                      .dst = ip("172.20.0.12"),
                      .state = kNudPermanent,
                      .flags = kNtfSelf};
  const Route route{.destination = cidr("100.96.2.0/24"),
                    .scope = 253,
                    .protocol = kOwnProtocol,
                    .device = device};
  const IfAddress address{.device = device, .address = ip("100.96.7.7"), .length = 32};
  must({ReplaceFdb{vtep}, ReplaceNeighbour{pod}, ReplaceRoute{route}, ReplaceAddress{address}});
  const std::vector<KernelEvent> added = events();
  const std::vector<KernelEvent> expected{event(Kind::New, vtep), event(Kind::New, pod),
                                          event(Kind::New, route), event(Kind::New, address)};
  ASSERT_GE(added.size(), expected.size());
  // The address brings a route of the local table too, before or after its own event.
  std::vector<KernelEvent> ours;
  std::copy_if(added.begin(), added.end(), std::back_inserter(ours), [&](const KernelEvent& one) {
    return std::find(expected.begin(), expected.end(), one) != expected.end();
  });
  EXPECT_EQ(ours, expected);

  must({DeleteRoute{route}, DeleteFdb{.device = device, .mac = vtep.mac}});
  EXPECT_THAT(events(), ElementsAre(event(Kind::Deleted, route), event(Kind::Deleted, vtep)));
}

TEST_F(EventContract, LinksComeChangeAndGo) {
  const IfIndex device = create_vxlan();
  Link link = vxlan();
  link.index = device;
  EXPECT_THAT(events(), Contains(event(Kind::New, link)));
  must({ChangeLink{.device = device, .mtu = 1400}});
  link.mtu = 1400;
  EXPECT_THAT(events(), Contains(event(Kind::New, link)));
  must({ChangeLink{.device = device, .up = true}});
  link.up = true;
  EXPECT_THAT(events(), Contains(event(Kind::New, link)));
  must({DeleteLink{device}});
  link.up = false;
  EXPECT_THAT(events(), Contains(event(Kind::Deleted, link)));
}

TEST_F(EventContract, ADeletedNeighbourFailsFirst) {
  const IfIndex device = create_overlay_device();
  const Neighbour pod = neighbour(device, "100.96.2.5");
  must({ReplaceNeighbour{pod}});
  static_cast<void>(events());
  must({DeleteNeighbour{.device = device, .address = pod.address}});
  Neighbour failed = pod;
  failed.lladdr.reset();
  failed.state = kNudFailed;
  failed.flags = 0;
  EXPECT_THAT(events(), ElementsAre(event(Kind::New, failed), event(Kind::Deleted, failed)));
}

TEST_F(EventContract, DownFlushesNeighboursAloudAndIpv4RoutesInSilence) {
  const IfIndex device = create_overlay_device();
  const Neighbour pod = neighbour(device, "100.96.2.5");
  const Route route{.destination = cidr("100.96.2.0/24"),
                    .scope = 253,
                    .protocol = kOwnProtocol,
                    .device = device};
  must({ReplaceNeighbour{pod}, ReplaceRoute{route}});
  static_cast<void>(events());
  must({ChangeLink{.device = device, .up = false}});
  const std::vector<KernelEvent> flushed = events();
  EXPECT_THAT(flushed, Contains(event(Kind::Deleted, pod)));
  EXPECT_THAT(flushed, Not(Contains(event(Kind::Deleted, route))));
  EXPECT_THAT(routes(device), IsEmpty());
}

TEST_F(EventContract, AreTakenAtMostAsManyAsAsked) {
  const IfIndex device = create_overlay_device();
  static_cast<void>(events());
  must({ReplaceNeighbour{neighbour(device, "100.96.2.1")},
        ReplaceNeighbour{neighbour(device, "100.96.2.2")},
        ReplaceNeighbour{neighbour(device, "100.96.2.3")}});
  EXPECT_EQ(netlink().take_events(2).size(), 2U);
  EXPECT_EQ(netlink().take_events(2).size(), 1U);
  EXPECT_THAT(netlink().take_events(2), IsEmpty());
}

TEST_F(EventContract, LossIsAnOverrunAndLaterEventsFollow) {
  enter({.receive_buffer = 8192});
  const IfIndex device = create_overlay_device();
  static_cast<void>(take_all_events());
  std::vector<KernelOp> ops;
  for (unsigned i = 0; i < 500; ++i) {
    Neighbour one = neighbour(device, "100.96.2.0");
    one.address = IpAddress::v4(ip("100.96.64.0").v4_bits() + i);
    ops.emplace_back(ReplaceNeighbour{one});
  }
  must(ops);
  const std::vector<KernelEvent> taken = events();
  EXPECT_THAT(taken, Contains(KernelEvent{Overrun{}}));
  EXPECT_LT(taken.size(), ops.size());
  EXPECT_EQ(neighbours(device).size(), ops.size()) << "only the news was lost";

  const Neighbour later = neighbour(device, "100.96.2.9");
  must({ReplaceNeighbour{later}});
  EXPECT_THAT(events(), ElementsAre(event(Kind::New, later)));
}

TEST_F(EventContract, AMissThatIsLostIsInTheDump) {
  enter({.receive_buffer = 8192});
  const IfIndex device = create_overlay_device();
  must({ReplaceRoute{{.destination = cidr("100.96.2.0/24"),
                      .scope = 253,
                      .protocol = kOwnProtocol,
                      .device = device}}});
  std::vector<KernelOp> ops;
  for (unsigned i = 0; i < 100; ++i) {
    Neighbour one = neighbour(device, "100.96.2.0");
    one.address = IpAddress::v4(ip("100.96.64.0").v4_bits() + i);
    ops.emplace_back(ReplaceNeighbour{one});
  }
  must(ops);  // fills the buffer, so that there is no room for the miss
  ASSERT_TRUE(world().send_datagram(ip("100.96.2.5")));
  EXPECT_THAT(take_all_misses(), IsEmpty());
  EXPECT_THAT(events(), Contains(KernelEvent{Overrun{}}));
  EXPECT_THAT(
      neighbours(device),
      Contains(Neighbour{.device = device, .address = ip("100.96.2.5"), .state = kNudIncomplete}));
}

TEST_F(EventContract, TheListenerIsPostedNeverCalledWithin) {
  const IfIndex device = create_overlay_device();
  static_cast<void>(events());
  world().run_posted();
  int wakes = 0;
  netlink().set_listener([&] { ++wakes; });
  world().run_posted();
  EXPECT_EQ(wakes, 0) << "woken for nothing";

  must({ReplaceNeighbour{neighbour(device, "100.96.2.1")}});
  EXPECT_EQ(wakes, 0);
  EXPECT_TRUE(world().run_until([&] { return wakes == 1; }));
  EXPECT_EQ(netlink().take_events(10).size(), 1U);

  must({ReplaceNeighbour{neighbour(device, "100.96.2.2")}});
  EXPECT_TRUE(world().run_until([&] { return wakes == 2; }));
  EXPECT_EQ(netlink().take_events(10).size(), 1U);
  world().run_posted();
  EXPECT_EQ(wakes, 2);
}

TEST_F(EventContract, AListenerThatComesLateIsToldOfWhatWaits) {
  create_overlay_device();
  world().run_posted();
  int wakes = 0;
  netlink().set_listener([&] { ++wakes; });
  EXPECT_TRUE(world().run_until([&] { return wakes == 1; }));
}

TEST_F(EventContract, AMissWakesToo) {
  const IfIndex device = create_overlay_device();
  must({ReplaceRoute{{.destination = cidr("100.96.2.0/24"),
                      .scope = 253,
                      .protocol = kOwnProtocol,
                      .device = device}}});
  static_cast<void>(events());
  world().run_posted();
  std::vector<Miss> taken;
  netlink().set_listener([&] { taken = netlink().take_misses(10); });
  ASSERT_TRUE(world().send_datagram(ip("100.96.2.5")));
  EXPECT_TRUE(world().run_until([&] { return !taken.empty(); }));
  EXPECT_THAT(taken, ElementsAre(Miss{device, ip("100.96.2.5")}));
}

}  // namespace
}  // namespace vxmesh
