// The codec and the world of fidelity programs against the kernel that runs this.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <thread>

#include "integration/fidelity/world.h"

namespace vxmesh::fidelity {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::SizeIs;
using namespace rtnl;  // NOLINT(google-build-using-namespace): every request

constexpr std::uint16_t kNew = kCreate | kExcl;

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}

IpPrefix prefix(std::string_view text) {
  return IpPrefix::parse(text).value();
}

MacAddress mac(std::uint8_t last) {
  return MacAddress{{0x02, 0x53, 0, 0, 0, last}};
}

const IfIndex kDevice{2};
const IfIndex kPeer{3};

class RealWorldTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<World>> made = make_real_world();
    if (!made && made.error().code == ErrorCode::NoPermission) {
      GTEST_SKIP() << made.error().context;
    }
    ASSERT_TRUE(made.has_value()) << made.error().context;
    world_ = std::move(*made);
  }

  World& world() { return *world_; }

  void must(const Request& request, Writer writer = Writer::First) {
    const OpDone done = world().request(request, writer).done;
    ASSERT_EQ(done, OpDone{});
  }
  OpDone refused(const Request& request) { return world().request(request, Writer::First).done; }

  // The rows of one table that `keep` is true of.
  template <typename Row, typename Keep>
  std::vector<Row> rows(const Keep& keep) {
    std::vector<Row> kept;
    for (const Record& record : world().tables()) {
      const auto* row = std::get_if<Row>(&record);
      if (row != nullptr && keep(*row)) {
        kept.push_back(*row);
      }
    }
    return kept;
  }
  template <typename Row>
  std::vector<Row> rows() {
    return rows<Row>([](const Row&) { return true; });
  }

  // Index 2. IPv6 link-local addresses and their routes come in the kernel's own time, so tests
  // look at the rows that they asked for.
  NewLink vxlan() const {
    return NewLink{.flags = kNew,
                   .name = "vx0",
                   .mac = mac(1),
                   .mtu = 1400,
                   .group = 7,
                   .kind = Kind::Vxlan,
                   .vni = 42,
                   .port = 4789,
                   .local = ip("172.20.0.1"),
                   .learning = false,
                   .ttl = std::uint8_t{9},
                   .tos = std::uint8_t{4},
                   .ageing = 77,
                   .limit = 5};
  }
  // Until a namespace has an IPv4 address it has no table of local addresses, and takes every
  // address for a broadcast one (__inet_dev_addr_type).
  void give_address() {
    must(NewAddr{.flags = kNew, .device = kDevice, .local = ip("100.96.2.1"), .length = 32});
  }

 private:
  std::unique_ptr<World> world_;
};

TEST_F(RealWorldTest, AFreshWorldHasALoopbackDevice) {
  const LinkRecord loopback{
      .link = {.index = IfIndex{1}, .name = "lo", .mac = {}, .mtu = 65536, .kind = ""}};
  EXPECT_THAT(world().tables(), ElementsAre(Record(loopback)));
  EXPECT_THAT(world().notifications(), IsEmpty());
}

TEST_F(RealWorldTest, AVxlanIsReadBackWhole) {
  must(vxlan());
  const LinkRecord made{
      .link = {.index = kDevice,
               .name = "vx0",
               .mac = mac(1),
               .mtu = 1400,
               .group = 7,
               .kind = "vxlan",
               .vxlan =
                   VxlanLink{
                       .vni = Vni{42}, .port = 4789, .local = ip("172.20.0.1"), .learning = false}},
      .ttl = 9,
      .tos = 4,
      .ageing = 77,
      .limit = 5};
  EXPECT_THAT(rows<LinkRecord>(), Contains(made));
  EXPECT_THAT(world().notifications(), ElementsAre(Notification{.record = made}));
  must(NewLink{.device = kDevice, .no_arp = true, .rp_filter = 2});
  must(DelLink{.name = "vx0"}, Writer::Second);
  EXPECT_THAT(rows<LinkRecord>(), SizeIs(1));
}

TEST_F(RealWorldTest, BothEndsOfAVethAndABridge) {
  must(NewLink{
      .flags = kNew, .name = "ve0", .kind = Kind::Veth, .peer_name = "ve1", .peer_mac = mac(9)});
  must(NewLink{.flags = kNew, .name = "br0", .kind = Kind::Bridge});
  must(NewLink{.device = kDevice, .master = IfIndex{4}});
  const std::vector<LinkRecord> links =
      rows<LinkRecord>([](const LinkRecord& link) { return link.link.index != IfIndex{1}; });
  ASSERT_THAT(links, SizeIs(3));
  // The end that is named as the peer is made first.
  EXPECT_EQ(links[0].link.name, "ve1");
  EXPECT_EQ(links[0].link.mac, mac(9));
  EXPECT_EQ(links[0].lower, kPeer);
  EXPECT_EQ(links[1].link.name, "ve0");
  EXPECT_EQ(links[1].lower, kDevice);
  EXPECT_EQ(links[0].link.master, IfIndex{4});
  EXPECT_EQ(links[2].link.kind, "bridge");
  EXPECT_THAT(rows<FdbRecord>(), IsEmpty()) << "FDB rows that are not a vxlan's";
}

TEST_F(RealWorldTest, AddressesOfBothFamilies) {
  must(vxlan());
  must(NewAddr{.flags = kNew,
               .device = kDevice,
               .local = ip("100.96.2.1"),
               .length = 24,
               .scope = 253,
               .address_flags = kAddressNoPrefixRoute,
               .broadcast = ip("100.96.2.255"),
               .label = "vx0:a",
               .metric = 9,
               .protocol = std::uint8_t{77}});
  must(NewAddr{
      .device = kDevice, .local = ip("fd00::1"), .length = 64, .address_flags = kAddressNoDad});
  const AddressRecord v4{.address = {.device = kDevice,
                                     .address = ip("100.96.2.1"),
                                     .length = 24,
                                     .no_prefix_route = true,
                                     .scope = 253},
                         .flags = kAddressNoPrefixRoute | kAddressPermanent,
                         .label = "vx0:a",
                         .broadcast = ip("100.96.2.255"),
                         .metric = 9,
                         .protocol = 77};
  const AddressRecord v6{.address = {.device = kDevice, .address = ip("fd00::1"), .length = 64},
                         .flags = kAddressNoDad | kAddressPermanent};
  EXPECT_THAT(rows<AddressRecord>(), ElementsAre(v4, v6));
  EXPECT_THAT(world().notifications(),
              IsSupersetOf({Notification{.record = v4, .sender = PortId{1}, .answers = true},
                            Notification{.record = v6}}));
  EXPECT_EQ(
      refused(NewAddr{.flags = kNew, .device = kDevice, .local = ip("100.96.2.1"), .length = 24}),
      (OpDone{.error_number = EEXIST, .extended_ack = "ipv4: Address already assigned"}));
  must(DelAddr{.device = kDevice, .local = ip("100.96.2.1"), .length = 24});
  must(DelAddr{.device = kDevice, .local = ip("fd00::1"), .length = 64});
  EXPECT_THAT(rows<AddressRecord>(), IsEmpty());
}

TEST_F(RealWorldTest, RoutesOfBothFamilies) {
  must(vxlan());
  must(NewLink{.device = kDevice, .up = true});
  give_address();
  must(NewRoute{.flags = kNew,
                .route = {.destination = ip("100.96.3.0"),
                          .length = 24,
                          .tos = 4,
                          .table = 1000,
                          .protocol = 88,
                          .route_flags = kNexthopOnlink,
                          .metric = 5,
                          .device = kDevice,
                          .gateway = ip("100.96.3.1")}});
  must(NewRoute{.flags = kNew,
                .route = {.destination = ip("100.96.4.0"),
                          .length = 24,
                          .protocol = 88,
                          .route_flags = kNexthopOnlink,
                          .device = kDevice,
                          .gateway = ip("fd00::9")}});
  must(NewRoute{.flags = kNew,
                .route = {.destination = ip("fd01::"), .length = 16, .protocol = 88, .type = 7}});
  const auto ours = [](const RouteRecord& route) { return route.route.protocol == 88; };
  const RouteRecord onlink{.route = {.destination = prefix("100.96.3.0/24"),
                                     .metric = 5,
                                     .table = 1000,
                                     .protocol = 88,
                                     .device = kDevice,
                                     .gateway = ip("100.96.3.1"),
                                     .onlink = true},
                           .tos = 4,
                           .nexthop_flags = kNexthopOnlink};
  const RouteRecord via{.route = {.destination = prefix("100.96.4.0/24"),
                                  .protocol = 88,
                                  .device = kDevice,
                                  .gateway = ip("fd00::9"),
                                  .onlink = true},
                        .nexthop_flags = kNexthopOnlink};
  const RouteRecord unreachable{.route = {.destination = prefix("fd01::/16"),
                                          .metric = 1024,
                                          .type = RouteType::Unreachable,
                                          .protocol = 88,
                                          .device = IfIndex{1}}};  // fib6_is_reject
  EXPECT_THAT(rows<RouteRecord>(ours), ElementsAre(onlink, via, unreachable));
  EXPECT_EQ(refused(DelRoute{{.destination = ip("100.96.3.0"), .length = 24}}).error_number, ESRCH);
  must(DelRoute{{.destination = ip("100.96.3.0"),
                 .length = 24,
                 .tos = 4,
                 .table = 1000,
                 .protocol = 88,
                 .scope = 255,
                 .type = 0}});
  EXPECT_THAT(rows<RouteRecord>(ours), ElementsAre(via, unreachable));
}

TEST_F(RealWorldTest, FdbEntriesAndTheirRemotes) {
  must(vxlan());
  must(NewFdb{.flags = kNew,
              .device = kDevice,
              .state = kNudPermanent,
              .ntf = kNtfSelf,
              .lladdr = mac(7),
              .dst = ip("172.20.0.2"),
              .port = 1234,
              .vni = 99,
              .underlay = IfIndex{1}});
  const FdbRecord made{.entry = {.device = kDevice,
                                 .mac = mac(7),
                                 .dst = ip("172.20.0.2"),
                                 .state = kNudPermanent,
                                 .flags = kNtfSelf},
                       .port = 1234,
                       .vni = 99,
                       .underlay = IfIndex{1}};
  EXPECT_THAT(rows<FdbRecord>(), ElementsAre(made));
  EXPECT_EQ(
      world().request(GetFdb{.device = kDevice, .ntf = kNtfSelf, .lladdr = mac(7)}, Writer::First),
      (Reply{.done = {}, .row = made}));
  EXPECT_EQ(
      world().request(GetFdb{.device = kDevice, .ntf = kNtfSelf, .lladdr = mac(8)}, Writer::First),
      (Reply{.done = {.error_number = ENOENT, .extended_ack = "Fdb entry not found"}}));
  must(DelFdb{.flags = kBulk,
              .device = kDevice,
              .ntf = kNtfSelf,
              .port = 1234,
              .state_mask = kNudPermanent});
  EXPECT_THAT(rows<FdbRecord>(), SizeIs(1)) << "a flush of what is not permanent";
  must(DelFdb{.flags = kBulk,
              .device = kDevice,
              .state = kNudPermanent,
              .ntf = kNtfSelf,
              .state_mask = kNudPermanent,
              .ntf_mask = std::uint8_t{0}});
  EXPECT_THAT(rows<FdbRecord>(), IsEmpty());
}

TEST_F(RealWorldTest, NeighboursAndWhoWroteThem) {
  must(vxlan());
  give_address();
  static_cast<void>(world().notifications());
  for (const char* address : {"100.96.3.9", "fd00::9"}) {
    must(NewNeigh{.flags = kNew,
                  .device = kDevice,
                  .address = ip(address),
                  .state = kNudNoarp,
                  .ntf = kNtfExtLearned,
                  .lladdr = mac(7),
                  .protocol = std::uint8_t{88}},
         Writer::Second);
    const NeighbourRecord made{.neighbour = {.device = kDevice,
                                             .address = ip(address),
                                             .lladdr = mac(7),
                                             .state = kNudNoarp,
                                             .flags = kNtfExtLearned,
                                             .protocol = 88}};
    EXPECT_THAT(rows<NeighbourRecord>(), Contains(made));
    EXPECT_THAT(world().notifications(),
                ElementsAre(Notification{.record = made, .sender = PortId{2}}));
    const GetNeigh get{.device = kDevice, .address = ip(address)};
    EXPECT_EQ(world().request(get, Writer::First), (Reply{.done = {}, .row = made}));
    must(DelNeigh{.device = kDevice, .address = ip(address)});
    EXPECT_EQ(world().request(get, Writer::First).done.error_number, ENOENT);
    static_cast<void>(world().notifications());
  }
}

TEST_F(RealWorldTest, ALinkLayerAddressOfAnotherLengthIsSentAsItIs) {
  must(vxlan());
  NewNeigh request{.flags = kNew,
                   .device = kDevice,
                   .address = ip("100.96.3.9"),
                   .state = kNudPermanent,
                   .lladdr = LinkLayer()};
  request.lladdr->bytes = {1, 2, 3};
  EXPECT_EQ(refused(request),
            (OpDone{.error_number = EINVAL, .extended_ack = "Invalid link address"}));
}

TEST_F(RealWorldTest, AnUnknownNeighbourIsAMiss) {
  must(vxlan());
  must(SetNeighTable{.device = kDevice,
                     .app_probes = 1,
                     .ucast_probes = 0,
                     .mcast_probes = 0,
                     .mcast_reprobes = 0,
                     .retrans_time = 60'000,
                     .base_reachable_time = 30'000,
                     .delay_probe_time = 5'000,
                     .gc_stale_time = 60'000,
                     .locktime = 0,
                     .queue_bytes = 10'000});
  must(NewLink{.device = kDevice, .up = true});
  give_address();
  EXPECT_EQ(world().send_datagram(ip("100.96.3.9")), ENETUNREACH);
  must(NewRoute{.flags = kNew,
                .route = {.destination = ip("100.96.3.0"), .length = 24, .device = kDevice}});
  EXPECT_EQ(world().send_datagram(ip("100.96.3.9")), 0);
  std::vector<Notification> misses;
  for (const Notification& notification : world().notifications()) {
    if (notification.kind == Notification::Kind::Miss) {
      misses.push_back(notification);
    }
  }
  ASSERT_THAT(misses, SizeIs(1));
  const auto& miss = std::get<NeighbourRecord>(misses.front().record);
  EXPECT_EQ(miss.neighbour,
            (Neighbour{.device = kDevice, .address = ip("100.96.3.9"), .state = kNudIncomplete}));
  EXPECT_EQ(misses.front().flags, 1) << "NLM_F_REQUEST";
  EXPECT_EQ(misses.front().sender, PortId{0});
}

TEST_F(RealWorldTest, AFrameGoesInOnOneEndOfAVethAndOutOnTheOther) {
  must(NewLink{.flags = kNew, .name = "ve0", .kind = Kind::Veth});
  FrameBytes frame(60, 0x5a);
  std::fill_n(frame.begin(), 6, std::uint8_t{0xff});
  EXPECT_EQ(world().inject(kDevice, frame), ENETDOWN);
  EXPECT_EQ(world().inject(IfIndex{9}, frame), ENXIO);
  for (const IfIndex device : {kDevice, kPeer}) {
    must(NewLink{.device = device, .up = true});
    world().capture(device);
  }
  EXPECT_EQ(world().inject(kDevice, frame), 0);
  EXPECT_THAT(world().captured(), Contains(Captured{.device = kPeer, .frame = frame}));
  EXPECT_THAT(world().captured(), Not(Contains(Captured{.device = kDevice, .frame = frame})))
      << "what a device sends";
}

// Of the namespace that the thread is in.
std::string forwarding() {
  std::string all;
  for (const char* path :
       {"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"}) {
    std::string value;
    std::ifstream(path) >> value;
    all += value;
  }
  return all;
}

TEST(RealWorld, ForwardingIsThatOfTheNamespace) {
  const std::string outside = forwarding();
  Result<std::unique_ptr<World>> world = make_real_world();
  if (!world) {
    GTEST_SKIP() << world.error().context;
  }
  EXPECT_EQ(forwarding(), "00");
  (*world)->set_forwarding(true);
  EXPECT_EQ(forwarding(), "11");
  world->reset();
  EXPECT_EQ(forwarding(), outside);
}

TEST_F(RealWorldTest, WorldsOfSeveralThreadsAreApart) {
  must(vxlan());
  std::size_t links = 0;
  std::thread([&links] {
    const Result<std::unique_ptr<World>> other = make_real_world();
    ASSERT_TRUE(other.has_value());
    links = (*other)->tables().size();
  }).join();
  EXPECT_EQ(links, 1U);
  EXPECT_THAT(rows<LinkRecord>(), SizeIs(2));
}

TEST_F(RealWorldTest, TimePasses) {
  const auto before = std::chrono::steady_clock::now();
  world().advance(std::chrono::milliseconds(3));
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(3));
}

}  // namespace
}  // namespace vxmesh::fidelity
