// FDB entries and neighbours.
#include <cerrno>
#include <chrono>

#include "integration/contract/netlink_contract.h"

namespace vxmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class FdbContract : public NetlinkContract {
 protected:
  void SetUp() override {
    NetlinkContract::SetUp();
    if (!IsSkipped()) {
      device_ = create_vxlan();
      entry_ = FdbEntry{.device = device_,
                        .mac = mac("00:53:64:60:02:00"),
                        .dst = ip("172.20.0.12"),
                        .state = kNudPermanent,
                        .flags = kNtfSelf};
    }
  }

  IfIndex device_;
  FdbEntry entry_;
};

TEST_F(FdbContract, AnEntryIsWrittenAndReadBack) {
  must({ReplaceFdb{entry_}});
  EXPECT_THAT(fdb(device_), ElementsAre(entry_));
  EXPECT_EQ(netlink().get_fdb(device_, entry_.mac).value(), entry_);
  EXPECT_EQ(netlink().get_fdb(device_, mac("00:53:64:60:03:00")).value(), std::nullopt);
  EXPECT_EQ(netlink().get_fdb(kNoSuchDevice, entry_.mac).value(), std::nullopt);
}

TEST_F(FdbContract, TheEntryIsTheDevicesOwnWhateverItsFlagsSay) {
  FdbEntry without_self = entry_;
  without_self.flags = 0;
  must({ReplaceFdb{without_self}});
  EXPECT_THAT(fdb(device_), ElementsAre(entry_));
}

TEST_F(FdbContract, ReplaceMovesTheDestinationInOneStep) {
  must({ReplaceFdb{entry_}});
  static_cast<void>(take_all_events());
  must({ReplaceFdb{entry_}});
  EXPECT_THAT(take_all_events(), IsEmpty()) << "an identical entry was written";
  FdbEntry moved = entry_;
  moved.dst = ip("172.20.0.44");
  must({ReplaceFdb{moved}});
  EXPECT_THAT(fdb(device_), ElementsAre(moved));
  EXPECT_THAT(take_all_events(),
              ElementsAre(KernelEvent{KernelChange{KernelChange::Kind::New, {moved, {}}}}));
}

TEST_F(FdbContract, OnlyTheDevicesRowsAreDumped) {
  Link second = vxlan();
  second.name = "vxlan2";
  second.vxlan->vni = Vni{2};
  const IfIndex other = create_vxlan(second);
  FdbEntry others = entry_;
  others.device = other;
  others.dst = ip("172.20.0.77");
  must({ReplaceFdb{entry_}, ReplaceFdb{others}});
  EXPECT_THAT(fdb(device_), ElementsAre(entry_));
  EXPECT_THAT(fdb(other), ElementsAre(others));
  EXPECT_THAT(fdb(kNoSuchDevice), IsEmpty());
}

TEST_F(FdbContract, ADeleteTakesTheEntryAndAbsenceIsSaid) {
  must({ReplaceFdb{entry_}, DeleteFdb{.device = device_, .mac = entry_.mac}});
  EXPECT_THAT(fdb(device_), IsEmpty());
  EXPECT_EQ(apply(DeleteFdb{.device = device_, .mac = entry_.mac}), refused(ENOENT));
  EXPECT_EQ(apply(DeleteFdb{.device = kNoSuchDevice, .mac = entry_.mac}),
            refused(ENODEV, "unknown ifindex"));
}

TEST_F(FdbContract, WritesAreRefusedWithTheKernelsReason) {
  FdbEntry wrong = entry_;
  wrong.dst = ip("fd00::12");
  EXPECT_EQ(apply(ReplaceFdb{wrong}), refused(EAFNOSUPPORT));
  wrong = entry_;
  wrong.dst.reset();
  EXPECT_EQ(apply(ReplaceFdb{wrong}), refused(EINVAL));
  wrong = entry_;
  wrong.state = kNudStale;
  EXPECT_EQ(apply(ReplaceFdb{wrong}), refused(EINVAL));
  wrong = entry_;
  wrong.device = kNoSuchDevice;
  EXPECT_EQ(apply(ReplaceFdb{wrong}), refused(ENODEV, "unknown ifindex"));
  wrong = entry_;
  wrong.device = kLoopback;
  EXPECT_EQ(apply(ReplaceFdb{wrong}),
            refused(EINVAL, "FDB add only supported for Ethernet devices"));
  wrong = entry_;
  wrong.mac = mac("01:00:5e:00:00:01");
  EXPECT_EQ(apply(ReplaceFdb{wrong}), refused(EOPNOTSUPP));
  EXPECT_THAT(fdb(device_), IsEmpty());
}

class NeighbourContract : public NetlinkContract {
 protected:
  void SetUp() override {
    NetlinkContract::SetUp();
    if (!IsSkipped()) {
      device_ = create_overlay_device();
      neighbour_ = on_demand("100.96.2.5");
    }
  }

  // As the agent answers a miss.
  [[nodiscard]] Neighbour on_demand(std::string_view address) const {
    return Neighbour{.device = device_,
                     .address = ip(address),
                     .lladdr = mac("00:53:64:60:02:00"),
                     .state = kNudNoarp,
                     .flags = kNtfExtLearned,
                     .protocol = kOwnProtocol};
  }

  IfIndex device_;
  Neighbour neighbour_;
};

TEST_F(NeighbourContract, StateFlagsAndProtocolAreReadBackInBothFamilies) {
  Neighbour v6 = on_demand("fd60:0:0:2::5");
  Neighbour permanent = neighbour_;
  permanent.address = ip("100.96.2.0");
  permanent.state = kNudPermanent;
  permanent.flags = 0;
  must({ReplaceNeighbour{neighbour_}, ReplaceNeighbour{v6}, ReplaceNeighbour{permanent}});
  EXPECT_THAT(neighbours(device_), UnorderedElementsAre(neighbour_, v6, permanent));
  EXPECT_EQ(netlink().get_neighbour(device_, neighbour_.address).value(), neighbour_);
  EXPECT_EQ(netlink().get_neighbour(device_, v6.address).value(), v6);
  EXPECT_EQ(netlink().get_neighbour(device_, ip("100.96.2.6")).value(), std::nullopt);
  EXPECT_EQ(netlink().get_neighbour(kNoSuchDevice, ip("100.96.2.6")).value(), std::nullopt);
}

TEST_F(NeighbourContract, ReplaceChangesTheMacAndKeepsWhatItSays) {
  must({ReplaceNeighbour{neighbour_}});
  static_cast<void>(take_all_events());
  must({ReplaceNeighbour{neighbour_}});
  EXPECT_THAT(take_all_events(), IsEmpty()) << "an identical entry was written";
  Neighbour moved = neighbour_;
  moved.lladdr = mac("00:53:64:60:09:00");
  must({ReplaceNeighbour{moved}});
  EXPECT_THAT(neighbours(device_), ElementsAre(moved));
}

// What a write does not say is cleared; so each of ours says it.
TEST_F(NeighbourContract, AWriteWithoutExtLearnedClearsIt) {
  must({ReplaceNeighbour{neighbour_}});
  Neighbour plain = neighbour_;
  plain.flags = 0;
  must({ReplaceNeighbour{plain}});
  EXPECT_THAT(neighbours(device_), ElementsAre(plain));
}

TEST_F(NeighbourContract, RowsSayHowLongAgoTheyWereWritten) {
  must({ReplaceNeighbour{neighbour_}});
  EXPECT_TRUE(world().run_until([&] {
    for (const KernelReport& report : dump(Table::Neighbours, device_)) {
      if (report.object == KernelObject{neighbour_}) {
        return report.since_update > Duration{} && report.since_update < std::chrono::seconds(30);
      }
    }
    return false;
  }));
}

TEST_F(NeighbourContract, OnlyTheDevicesRowsAreDumped) {
  Link second = vxlan();
  second.name = "vxlan2";
  second.vxlan->vni = Vni{2};
  const IfIndex other = create_vxlan(second);
  Neighbour others = neighbour_;
  others.device = other;
  must({ReplaceNeighbour{neighbour_}, ReplaceNeighbour{others}});
  EXPECT_THAT(neighbours(device_), ElementsAre(neighbour_));
  EXPECT_THAT(neighbours(other), ElementsAre(others));
}

TEST_F(NeighbourContract, ADeleteTakesTheEntryAndAbsenceIsSaid) {
  must({ReplaceNeighbour{neighbour_},
        DeleteNeighbour{.device = device_, .address = neighbour_.address}});
  EXPECT_THAT(neighbours(device_), IsEmpty());
  EXPECT_EQ(apply(DeleteNeighbour{.device = device_, .address = neighbour_.address}),
            refused(ENOENT));
  EXPECT_EQ(apply(DeleteNeighbour{.device = kNoSuchDevice, .address = neighbour_.address}),
            refused(ENODEV));
}

TEST_F(NeighbourContract, WritesAreRefusedWithTheKernelsReason) {
  Neighbour wrong = neighbour_;
  wrong.device = kNoSuchDevice;
  EXPECT_EQ(apply(ReplaceNeighbour{wrong}), refused(ENODEV));
  wrong.device = IfIndex{};
  EXPECT_EQ(apply(ReplaceNeighbour{wrong}), refused(EINVAL, "Device not specified"));
}

TEST_F(NeighbourContract, LargeTablesAreDumpedInSteps) {
  constexpr unsigned kEntries = 3000;  // EXT_LEARNED: the host's thresholds do not count them
  std::vector<KernelOp> ops;
  std::vector<Neighbour> wanted;
  for (unsigned i = 0; i < kEntries; ++i) {
    Neighbour one = neighbour_;
    one.address = IpAddress::v4(ip("100.96.64.0").v4_bits() + i);
    wanted.push_back(one);
    ops.emplace_back(ReplaceNeighbour{one});
  }
  must(ops);
  int steps = 0;
  static_cast<void>(dump(Table::Neighbours, device_, &steps));
  EXPECT_GT(steps, 3) << "the whole table came at once";
  EXPECT_EQ(neighbours(device_), wanted);
}

TEST_F(NeighbourContract, ADumpThatIsGivenUpLeavesNothingBehind) {
  std::vector<KernelOp> ops;
  for (unsigned i = 0; i < 2000; ++i) {
    Neighbour one = neighbour_;
    one.address = IpAddress::v4(ip("100.96.64.0").v4_bits() + i);
    ops.emplace_back(ReplaceNeighbour{one});
  }
  must(ops);
  auto given_up = netlink().dump({.table = Table::Neighbours, .device = device_});
  ASSERT_TRUE(given_up->next());
  auto beside_it = netlink().dump({.table = Table::Links, .device = {}});
  EXPECT_TRUE(beside_it->next()) << "one dump disturbs another";
  given_up.reset();
  EXPECT_EQ(neighbours(device_).size(), ops.size());
}

// --- Misses ---

class MissContract : public NeighbourContract {
 protected:
  void SetUp() override {
    NeighbourContract::SetUp();
    if (!IsSkipped()) {
      must({ReplaceRoute{{.destination = cidr("100.96.2.0/24"),
                          .scope = 253,
                          .protocol = kOwnProtocol,
                          .device = device_}}});
    }
  }

  // Waits for misses and takes them.
  std::vector<Miss> misses() {
    std::vector<Miss> taken;
    EXPECT_TRUE(world().run_until([&] {
      taken = take_all_misses();
      return !taken.empty();
    }));
    return taken;
  }
};

TEST_F(MissContract, APacketToAnUnknownNeighbourAsksAndTheAnswerEndsIt) {
  ASSERT_TRUE(world().send_datagram(neighbour_.address));
  EXPECT_THAT(misses(), ElementsAre(Miss{.device = device_, .address = neighbour_.address}));
  EXPECT_EQ(netlink().get_neighbour(device_, neighbour_.address).value(),
            (Neighbour{.device = device_, .address = neighbour_.address, .state = kNudIncomplete}));

  must({ReplaceNeighbour{neighbour_}});
  EXPECT_THAT(neighbours(device_), ElementsAre(neighbour_));
  ASSERT_TRUE(world().send_datagram(neighbour_.address));
  EXPECT_THAT(take_all_misses(), IsEmpty());
}

TEST_F(MissContract, TheDumpShowsWhatIsStillAskedFor) {
  ASSERT_TRUE(world().send_datagram(neighbour_.address));
  EXPECT_THAT(neighbours(device_),
              ElementsAre(Neighbour{
                  .device = device_, .address = neighbour_.address, .state = kNudIncomplete}));
}

TEST_F(MissContract, AsksForEachAddressInTheOrderOfThePackets) {
  for (const char* address : {"100.96.2.7", "100.96.2.6", "100.96.2.8"}) {
    ASSERT_TRUE(world().send_datagram(ip(address)));
  }
  EXPECT_THAT(misses(),
              ElementsAre(Miss{device_, ip("100.96.2.7")}, Miss{device_, ip("100.96.2.6")},
                          Miss{device_, ip("100.96.2.8")}));
}

TEST_F(MissContract, TakesAtMostAsManyAsAsked) {
  for (const char* address : {"100.96.2.7", "100.96.2.6", "100.96.2.8"}) {
    ASSERT_TRUE(world().send_datagram(ip(address)));
  }
  EXPECT_THAT(netlink().take_misses(2),
              ElementsAre(Miss{device_, ip("100.96.2.7")}, Miss{device_, ip("100.96.2.6")}));
  EXPECT_THAT(netlink().take_misses(2), ElementsAre(Miss{device_, ip("100.96.2.8")}));
}

TEST_F(MissContract, Ipv6NeighboursAreAskedForToo) {
  must({ReplaceAddress{{.device = device_, .address = ip("fd60:0:0:1::"), .length = 128}},
        ReplaceRoute{{.destination = cidr("fd60:0:0:2::/64"),
                      .metric = 1024,
                      .protocol = kOwnProtocol,
                      .device = device_}}});
  static_cast<void>(take_all_misses());
  ASSERT_TRUE(world().send_datagram(ip("fd60:0:0:2::5")));
  const std::vector<Miss> taken = misses();
  EXPECT_THAT(taken, ::testing::Contains(Miss{device_, ip("fd60:0:0:2::5")}));
  must({ReplaceNeighbour{on_demand("fd60:0:0:2::5")}});
  EXPECT_EQ(netlink().get_neighbour(device_, ip("fd60:0:0:2::5")).value(),
            on_demand("fd60:0:0:2::5"));
}

TEST_F(MissContract, NothingIsAskedIfTheParametersSayNotTo) {
  must({SetNeighbourParameters{
      .device = device_,
      .family = Family::V4,
      .parameters = {.app_solicit = 0, .ucast_solicit = 0, .mcast_solicit = 0}}});
  world().send_datagram(neighbour_.address);
  EXPECT_THAT(take_all_misses(), IsEmpty());
}

// vxlan's own reports of unknown MACs have the same message type and are none.
TEST_F(MissContract, AnUnknownMacIsNoMiss) {
  must({ReplaceNeighbour{neighbour_}});
  ASSERT_TRUE(world().send_datagram(neighbour_.address));
  EXPECT_THAT(take_all_misses(), IsEmpty());
}

}  // namespace
}  // namespace vxmesh
