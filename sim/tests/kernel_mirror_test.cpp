#include "agent/kernel_mirror.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "model/ownership.h"
#include "sim/kernel/fake_netlink.h"
#include "sim/world/fake_clock.h"
#include "sim/world/fake_event_loop.h"

namespace vxmesh {
namespace {

const IpAddress kVtep = *IpAddress::parse("172.20.0.11");

OverlayConfig overlay_config() {
  OverlayConfig config;
  config.cidrs = {*IpPrefix::parse("100.96.0.0/12")};
  return config;
}

// A namespace with our device in it, somebody who writes to it, and a mirror.
class MirrorWorld {
 public:
  MirrorWorld() {
    const IfIndex underlay =
        state_.add_link(Link{.name = "eth0", .mac = {{2, 0, 0, 0, 0, 1}}, .mtu = 1500, .up = true},
                        clock_.monotonic());
    write(ReplaceAddress{{.device = underlay, .address = kVtep, .length = 24}});
    create_device();
    redump();
  }

  void create_device() {
    write(CreateVxlan{
        Link{.name = "vxlan1",
             .mac = {{0, 0x53, 100, 96, 1, 0}},
             .mtu = 1450,
             .group = kOwnLinkGroup,
             .kind = "vxlan",
             .vxlan = VxlanLink{.vni = Vni{1}, .port = 4789, .local = kVtep, .learning = false}}});
    write(SetNeighbourParameters{
        .device = device(),
        .parameters = {.app_solicit = 3, .ucast_solicit = 0, .mcast_solicit = 0}});
    set_up(true);
    write(ReplaceAddress{{.device = device(),
                          .address = *IpAddress::parse("100.96.1.0"),
                          .length = 12,
                          .no_prefix_route = true}});
  }

  [[nodiscard]] IfIndex device() const {
    const Link* link = state_.find_link("vxlan1");
    return link == nullptr ? IfIndex{} : link->index;
  }

  // Somebody else's operation; whether the kernel takes it does not matter.
  void write(const KernelOp& op) { (void)state_.execute(op, clock_.monotonic()); }

  void set_up(bool up) {
    ChangeLink change{.device = device()};
    change.up = up;
    write(change);
  }

  void drain(std::size_t max) {
    for (const KernelEvent& event : netlink_.take_events(max)) {
      mirror_.apply_event(event, change_);
    }
  }

  // As the reconciler does it: behind what has been told already, and again for as long as
  // something may have vanished without an event, and when the device went under the dump. What is
  // told late may hide a row that has come back without a word, as an IPv6 link-local address does
  // until its duplicate detection is over (inet6_ifa_notify in addrconf_dad_completed).
  void redump() {
    drain(100000);
    do {
      change_ = {};
      mirror_.begin_redump();
      while (mirror_.redumping()) {
        step();
        drain(1000);
      }
      drain(100000);
    } while (change_.redump);
  }

  // The same, if one that is under way already, and what has been told, are not enough.
  void catch_up() {
    while (mirror_.redumping()) {
      step();
      drain(1000);
    }
    drain(100000);
    if (change_.redump) {
      redump();
    }
  }

  void step() {
    const Result<bool> done = mirror_.step();
    if (!done) {
      RC_ASSERT(done.error().code == ErrorCode::Interrupted);
      change_.redump = true;
    }
  }

  // One of a handful of things that other programs and the kernel do.
  void disturb(unsigned what, std::uint8_t which) {
    const IpPrefix pod_cidr =
        IpPrefix::containing(IpAddress::v4(0x64600000U | std::uint32_t{which} << 8U), 24);
    const MacAddress mac{{0, 0x53, 100, 96, which, 0}};
    const Route route{.destination = pod_cidr,
                      .scope = 253,
                      .protocol = which % 3 == 0 ? std::uint8_t{4} : kOwnProtocol,
                      .device = device()};
    const Neighbour neighbour{.device = device(),
                              .address = IpAddress::v4(0x64600005U | std::uint32_t{which} << 8U),
                              .lladdr = mac,
                              .state = which % 5 == 0 ? kNudReachable : kNudNoarp,
                              .flags = kNtfExtLearned,
                              .protocol = kOwnProtocol};
    switch (what) {
      case 0:
        return write(ReplaceFdb{{.device = device(),
                                 .mac = mac,
                                 .dst = IpAddress::v4(0xac140000U | which % 7U),
                                 .state = kNudPermanent,
                                 .flags = kNtfSelf}});
      case 1: return write(DeleteFdb{.device = device(), .mac = mac});
      case 2: return write(ReplaceNeighbour{neighbour});
      case 3: return write(DeleteNeighbour{.device = device(), .address = neighbour.address});
      case 4: return write(ReplaceRoute{route});
      case 5: return write(DeleteRoute{route});
      case 6: (void)state_.send_packet(neighbour.address, clock_.monotonic()); return;
      case 7: return set_up(which % 2 == 0);
      case 8: write(DeleteLink{device()}); return which % 2 == 0 ? create_device() : void();
      case 9: return device() == IfIndex{} ? create_device() : void();
      default: (void)state_.add_route(route, clock_.monotonic());
    }
  }

  void step_or_begin() {
    if (mirror_.redumping()) {
      step();
    } else {
      drain(100000);
      change_ = {};
      mirror_.begin_redump();
    }
  }

  // What the mirror promises to hold.
  [[nodiscard]] KernelState promised() const {
    KernelState promised = state_.tables(device());
    std::erase_if(promised.neighbours,
                  [&](const auto& row) { return !is_owned(row.second, device()); });
    std::erase_if(promised.routes, [&](const Route& route) {
      const bool ours = (route.device && route.device == device()) || is_owned(route, device());
      const bool in_overlay = route.table == kRouteTableMain &&
                              IpPrefix::parse("100.96.0.0/12")->contains(route.destination);
      return !ours && !in_overlay;
    });
    return promised;
  }

  [[nodiscard]] const KernelState& mirrored() const { return mirror_.actual().tables; }
  [[nodiscard]] KernelMirror& mirror() { return mirror_; }
  [[nodiscard]] FakeNetlink& netlink() { return netlink_; }

 private:
  FakeEventLoop loop_;
  FakeClock clock_{loop_};
  NamespaceState state_;
  FakeNetlink netlink_{state_, loop_, clock_};
  OverlayConfig config_ = overlay_config();
  KernelMirror mirror_{netlink_, clock_, config_};
  MirrorChange change_;
};

using Acts = std::vector<std::pair<std::uint8_t, std::uint8_t>>;

TEST(KernelMirrorTest, EqualsTheKernelAfterAnyInterleavingOfWritesEventsAndDumps) {
  EXPECT_TRUE(rc::check([](const Acts& acts) {
    MirrorWorld world;
    for (const auto& [act, which] : acts) {
      const unsigned what = act % 16U;
      if (what < 11) {
        world.disturb(what, which);
      } else if (what < 13) {
        world.drain(which % 4U);
      } else {
        world.step_or_begin();
      }
    }
    world.redump();
    RC_ASSERT(world.mirrored() == world.promised());
  }));
}

// What a dump has read before something was told of it is older than that. The device stays as it
// is, so that nothing asks for another dump, and the same few rows change again and again.
TEST(KernelMirrorTest, EqualsTheKernelAfterADumpThatWritesFellInto) {
  EXPECT_TRUE(rc::check([](const Acts& acts) {
    MirrorWorld world;
    for (const auto& [act, which] : acts) {
      switch (act % 3U) {
        case 0: world.disturb(act / 3U % 6U, which % 3U); break;
        case 1: world.drain(which % 4U); break;
        default: world.step_or_begin();
      }
    }
    world.catch_up();
    RC_ASSERT(world.mirrored() == world.promised());
  }));
}

TEST(KernelMirrorTest, AnEntryThatATornDumpLacksIsKept) {
  MirrorWorld world;
  for (unsigned i = 2; i < 200; ++i) {
    world.disturb(0, static_cast<std::uint8_t>(i));
  }
  world.redump();
  ASSERT_EQ(world.mirrored().fdb.size(), 198U);
  // Rows that go while the dump walks make it miss others that stay.
  world.mirror().begin_redump();
  for (unsigned i = 199; world.mirror().redumping(); --i) {
    world.disturb(1, static_cast<std::uint8_t>(i));
    ASSERT_TRUE(world.mirror().step());
    world.drain(1000);
  }
  EXPECT_EQ(world.mirrored(), world.promised());
}

TEST(KernelMirrorTest, AnOverrunAsksForARedumpAndFindsTheLostMiss) {
  MirrorWorld world;
  world.disturb(4, 2);
  world.drain(1000);
  world.netlink().lose_messages(1000);
  world.disturb(6, 2);
  MirrorChange change;
  for (const KernelEvent& event : world.netlink().take_events(1000)) {
    world.mirror().apply_event(event, change);
  }
  EXPECT_TRUE(change.overrun);
  EXPECT_TRUE(change.redump);
  world.redump();
  const std::vector<Miss> lost{
      {.device = world.device(), .address = *IpAddress::parse("100.96.2.5")}};
  EXPECT_EQ(world.mirror().take_unresolved(), lost);
}

// What the dump before has seen is not what this one has.
TEST(KernelMirrorTest, ARedumpFindsWhatHasGoneUnheard) {
  MirrorWorld world;
  for (const unsigned made : {0U, 2U, 4U}) {
    world.disturb(made, 2);
  }
  world.redump();
  ASSERT_FALSE(world.mirrored().neighbours.empty());
  world.netlink().lose_messages(1000);
  for (const unsigned deleted : {1U, 3U, 5U}) {
    world.disturb(deleted, 2);
  }
  world.redump();
  EXPECT_EQ(world.mirrored(), world.promised());
}

TEST(KernelMirrorTest, OurOwnEchoChangesNothing) {
  MirrorWorld world;
  const IfIndex device = world.device();
  const MacAddress mac{{0, 0x53, 100, 96, 2, 0}};
  const IpAddress pod = *IpAddress::parse("100.96.2.5");
  const Route route{.destination = *IpPrefix::parse("100.96.2.0/24"),
                    .scope = 253,
                    .protocol = kOwnProtocol,
                    .device = device};
  const std::vector<KernelOp> ops = {
      ChangeLink{.device = device, .mtu = 1400},
      ChangeLink{.device = device, .vxlan_local = *IpAddress::parse("172.20.0.12")},
      ChangeLink{.device = device, .vxlan_learning = true},
      ChangeLink{.device = device, .vxlan_local = kVtep, .vxlan_learning = false},
      ReplaceFdb{{.device = device,
                  .mac = mac,
                  .dst = *IpAddress::parse("172.20.0.12"),
                  .state = kNudPermanent}},
      ReplaceNeighbour{{.device = device,
                        .address = pod,
                        .lladdr = mac,
                        .state = kNudNoarp,
                        .flags = kNtfExtLearned,
                        .protocol = kOwnProtocol}},
      ReplaceRoute{route},
      DeleteRoute{route},
      DeleteNeighbour{.device = device, .address = pod},
      DeleteFdb{.device = device, .mac = mac}};
  for (const KernelOp& op : ops) {
    MirrorChange change;
    ASSERT_TRUE(succeeded(world.netlink().apply(std::span(&op, 1)).front())) << format(op);
    world.mirror().apply_operation(op, change);
    EXPECT_EQ(world.mirrored(), world.promised()) << format(op);
    for (const KernelEvent& event : world.netlink().take_events(1000)) {
      world.mirror().apply_event(event, change);
    }
    EXPECT_TRUE(change.vteps.empty() && change.neighbours.empty()) << format(op);
    EXPECT_TRUE(change.routes.empty() && change.foreign_routes.empty()) << format(op);
    EXPECT_FALSE(change.redump || change.device || change.underlay) << format(op);
    EXPECT_EQ(world.mirrored(), world.promised()) << format(op);
  }
}

TEST(KernelMirrorTest, OurDeviceChangedIffItDiffersInWhatWeSetOnIt) {
  MirrorWorld world;
  const Link link = *world.mirror().device();
  const auto told = [&](const Link& now) {
    MirrorChange change;
    world.mirror().apply_event(KernelChange{.report = {.object = now}}, change);
    EXPECT_EQ(change.device, change.redump) << format(now);
    EXPECT_FALSE(change.underlay) << format(now);
    return change.device;
  };
  std::vector<Link> others(7, link);
  others[0].mac.bytes[5] ^= 1U;
  others[1].mtu -= 1;
  others[2].up = false;
  others[3].no_arp = true;
  others[4].group += 1;
  others[5].vxlan->learning = true;
  others[6].vxlan.reset();
  for (const Link& other : others) {
    EXPECT_FALSE(told(link)) << format(link);
    EXPECT_TRUE(told(other)) << format(other);
    EXPECT_FALSE(told(other)) << format(other);
    EXPECT_TRUE(told(link)) << format(other);
  }
  MirrorChange gone;
  world.mirror().apply_event(
      KernelChange{.kind = KernelChange::Kind::Deleted, .report = {.object = link}}, gone);
  EXPECT_TRUE(gone.device && gone.redump);
  EXPECT_EQ(world.mirror().device(), nullptr);
}

TEST(KernelMirrorTest, WithOurDeviceGoesWhatTheKernelDropsInSilence) {
  MirrorWorld world;
  for (const unsigned kind : {0U, 2U, 4U}) {
    world.disturb(kind, 2);
  }
  world.redump();
  ASSERT_FALSE(world.mirrored().routes.empty());
  const KernelOp op = DeleteLink{world.device()};
  ASSERT_TRUE(succeeded(world.netlink().apply(std::span(&op, 1)).front()));
  MirrorChange change;
  world.mirror().apply_operation(op, change);
  world.drain(1000);
  EXPECT_EQ(world.mirrored(), world.promised());
}

TEST(KernelMirrorTest, AnAddressConcernsOurDeviceOrTheUnderlay) {
  using Kind = KernelChange::Kind;
  MirrorWorld world;
  const auto told = [&](Kind kind, const IfAddress& address) {
    MirrorChange change;
    world.mirror().apply_event(KernelChange{.kind = kind, .report = {.object = address}}, change);
    return change;
  };
  for (const bool ours : {true, false}) {
    const IfAddress address{.device = ours ? world.device() : IfIndex{2},  // eth0
                            .address = *IpAddress::parse("192.0.2.1"),
                            .length = 24};
    IfAddress other = address;
    other.no_prefix_route = true;
    for (const IfAddress& now : {address, other}) {
      const MirrorChange come = told(Kind::New, now);
      EXPECT_TRUE(come.device == ours && come.underlay == !ours && !come.redump);
      const MirrorChange again = told(Kind::New, now);
      EXPECT_FALSE(again.device || again.underlay || again.redump);
    }
    const MirrorChange gone = told(Kind::Deleted, address);
    EXPECT_TRUE(gone.device == ours && gone.underlay == !ours && gone.redump == ours);
    const MirrorChange gone_again = told(Kind::Deleted, address);
    EXPECT_FALSE(gone_again.device || gone_again.underlay || gone_again.redump);
  }
}

}  // namespace
}  // namespace vxmesh
