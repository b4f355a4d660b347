// The fuzzer itself, on worlds of a few rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "integration/fidelity/frame_maker.h"
#include "integration/fidelity/generator.h"
#include "integration/fidelity/ip_commands.h"
#include "integration/fidelity/program.h"
#include "integration/fidelity/run.h"
#include "integration/fidelity/shrink.h"
#include "integration/fidelity/testing/simple_world.h"
#include "integration/fidelity/timed.h"
#include "integration/fidelity/unsuited.h"
#include "sim/kernel/packet_codec.h"
#include "sim/kernel/request_text.h"

namespace vxmesh::fidelity {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Program parsed(std::string_view text) {
  const Result<Program> program = parse_program(text);
  EXPECT_TRUE(program.has_value()) << program.error().context;
  return program.value_or(Program{});
}

std::string parse_error(std::string_view text) {
  const Result<Program> program = parse_program(text);
  return program ? "it parses" : program.error().context;
}

Worlds simple_worlds(SimpleWorld::Fault fault) {
  return {.fake = [fault](ReachableTime) { return std::make_unique<SimpleWorld>(fault); },
          .real = [] { return Result<std::unique_ptr<World>>(std::make_unique<SimpleWorld>()); },
          .crowded = [] { return false; }};
}

constexpr auto kNoProgress = [](std::uint64_t /*programs*/, std::uint64_t /*gaps*/) {};

TEST(ProgramText, ReadsAStepAsItIsWritten) {
  const std::string text =
      "1 new-fdb flags=replace|create dev=2 state=permanent ntf=self "
      "lladdr=00:53:64:60:02:00 dst=172.20.0.12\n";
  const Program program = parsed(text);
  const rtnl::NewFdb wanted{.flags = rtnl::kCreate | rtnl::kReplace,
                            .device = IfIndex{2},
                            .state = kNudPermanent,
                            .ntf = kNtfSelf,
                            .lladdr = MacAddress{{0x00, 0x53, 0x64, 0x60, 0x02, 0x00}},
                            .dst = IpAddress::v4(0xac14000c)};
  EXPECT_THAT(program, ElementsAre(Step{.writer = Writer::First, .action = rtnl::Request(wanted)}));
}

TEST(ProgramText, NumbersCommentsAndEmptyLinesRead) {
  EXPECT_EQ(parsed("# about\n\n2 new-neigh flags=0x500 dev=3 state=0x40|stale # why\n"),
            parsed("2 new-neigh flags=create|replace dev=3 state=noarp|stale"));
}

TEST(ProgramText, ErrorsSayWhereWhatAndWhatIsAccepted) {
  EXPECT_EQ(parse_error("1 new-fdb dev=2\n1 new-fdb stat=permanent\n"),
            "line 2, column 11, 'stat': new-fdb has no such field; the nearest is 'state' of "
            "flags, dev, state, ntf, lladdr, dst, port, vni, underlay, source_vni");
  EXPECT_THAT(parse_error("1 new-fdb state=permanant"),
              HasSubstr("column 11, 'state': 'permanant' is not known; the nearest is "
                        "'permanent'"));
  EXPECT_THAT(parse_error("1 new-fbd"), HasSubstr("the nearest is 'new-fdb'"));
  EXPECT_THAT(parse_error("3 new-fdb"), HasSubstr("the writer must stand here, 1 or 2"));
  EXPECT_THAT(parse_error("1 new-fdb port=65536"), HasSubstr("the most is 65535"));
  EXPECT_THAT(parse_error("1 new-fdb dev=2 dev=3"), HasSubstr("'dev' is given twice"));
  EXPECT_THAT(parse_error("1 new-link name=\"a"), HasSubstr("a quote is opened"));
  EXPECT_THAT(parse_error("1 inject dev=2 frame=ffz0"), HasSubstr("hexadecimal"));
  EXPECT_THAT(parse_error("# nothing\n"), HasSubstr("there is no step"));
}

// --- Every field that a request can have, drawn by type. ---

template <typename Number>
Number draw_number() {
  return *rc::gen::arbitrary<Number>();
}

template <typename Value>
Value draw_value() {
  if constexpr (std::is_same_v<Value, bool> || std::is_integral_v<Value>) {
    return draw_number<Value>();
  } else if constexpr (std::is_same_v<Value, IfIndex>) {
    return IfIndex{draw_number<std::uint32_t>()};
  } else if constexpr (std::is_same_v<Value, std::string>) {
    return *rc::gen::arbitrary<std::string>();
  } else if constexpr (std::is_same_v<Value, rtnl::LinkLayer>) {
    rtnl::LinkLayer lladdr;
    lladdr.bytes = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
    return lladdr;
  } else if constexpr (std::is_same_v<Value, FrameBytes>) {
    return *rc::gen::arbitrary<FrameBytes>();
  } else if constexpr (std::is_same_v<Value, Family>) {
    return draw_number<bool>() ? Family::V4 : Family::V6;
  } else if constexpr (std::is_same_v<Value, rtnl::Kind>) {
    return *rc::gen::element(rtnl::Kind::Vxlan, rtnl::Kind::Bridge, rtnl::Kind::Veth);
  } else {
    return draw_number<bool>() ? IpAddress::v4(draw_number<std::uint32_t>())
                               : IpAddress::v6(*rc::gen::arbitrary<std::array<std::uint8_t, 16>>());
  }
}

template <typename Fields>
Fields draw_fields() {
  Fields object;
  Fields::fields(object, [](std::string_view /*name*/, auto& member) {
    using Member = std::decay_t<decltype(member)>;
    if constexpr (rtnl::IsOptional<Member>::value) {
      if (draw_number<bool>()) {
        member = draw_value<typename Member::value_type>();
      }
    } else {
      member = draw_value<Member>();
    }
  });
  return object;
}

template <std::size_t... Index>
rtnl::Request draw_request(std::index_sequence<Index...> /*all*/) {
  using Drawer = rtnl::Request (*)();
  constexpr Drawer kDrawers[] = {[] {
    return rtnl::Request(draw_fields<std::variant_alternative_t<Index, rtnl::Request>>());
  }...};
  return kDrawers[*rc::gen::inRange<std::size_t>(0, sizeof...(Index))]();
}

Action draw_action() {
  const auto draw_one = [] {
    return draw_request(std::make_index_sequence<std::variant_size_v<rtnl::Request>>{});
  };
  switch (*rc::gen::inRange(0, 9)) {
    case 0: return draw_fields<SendDatagram>();
    case 1: return draw_fields<Inject>();
    case 2: return draw_fields<Advance>();
    case 3: return draw_fields<SetForwarding>();
    case 4: return draw_fields<Capture>();
    case 5: return Batch{{draw_one(), draw_one(), draw_one()}};
    default: return draw_one();
  }
}

RC_GTEST_PROP(ProgramText, ParsesBackToWhatWasFormatted, ()) {
  Program program;
  for (int i = *rc::gen::inRange(1, 6); i > 0; --i) {
    program.push_back(
        {.writer = draw_number<bool>() ? Writer::First : Writer::Second, .action = draw_action()});
  }
  const std::string text = format(program);
  const Result<Program> again = parse_program(text);
  RC_LOG() << text << (again ? "" : again.error().context);
  RC_ASSERT(again.has_value());
  RC_ASSERT(*again == program);
  RC_ASSERT(format(*again) == text);
}

TEST(ProgramText, ABatchHasTwoRequestsOrMore) {
  const auto error_of = [](std::string_view text) {
    const Result<Program> program = parse_program(text);
    return program ? std::string() : program.error().context;
  };
  EXPECT_EQ(error_of("1 batch del-link dev=2"),
            "line 1, column 3, 'batch': a batch has two requests or more, with ; between them");
  EXPECT_THAT(error_of("1 batch del-link dev=2 ;"), HasSubstr("line 1, column 24, ';': "));
  EXPECT_THAT(error_of("1 batch del-link dev=2 ; del-lnk dev=3"), HasSubstr("column 26"));
}

// --- Coverage ---

TEST(Coverage, HasEnoughCellsAndExcludesFew) {
  const auto excluded = std::count_if(all_cells().begin(), all_cells().end(),
                                      [](const Cell& cell) { return !cell.excluded.empty(); });
  const Coverage coverage;
  EXPECT_GE(coverage.counted(), 1500U);
  EXPECT_LE(static_cast<std::size_t>(excluded) * 10, all_cells().size());
  EXPECT_EQ(coverage.counted() + static_cast<std::size_t>(excluded), all_cells().size());
  EXPECT_EQ(coverage.percent(), 0U);
}

TEST(Coverage, CountsTheStateOfTheEntryAndWhatTheRequestSays) {
  const Program program = parsed(
      "1 new-link flags=create name=vxlan1 kind=vxlan\n"
      "1 new-neigh flags=create dev=2 dst=10.0.0.1 state=noarp lladdr=00:53:64:60:02:00\n"
      "1 new-neigh flags=replace dev=2 dst=10.0.0.1 state=noarp lladdr=00:53:64:60:02:01 "
      "protocol=187\n");
  SimpleWorld world;
  std::vector<Record> before;
  for (const Step& step : program) {
    before = world.tables();
    (void)perform(world, step);
  }
  const Situation situation = situation_of(program.back().action, StateView(before));
  EXPECT_EQ(situation.operation, "new-neigh inet");
  EXPECT_EQ(situation.state, "noarp, other");
  EXPECT_THAT(situation.aspects, ElementsAre("replace", "lladdr", "protocol"));
  Coverage coverage;
  coverage.mark(situation);
  coverage.mark(situation);
  EXPECT_EQ(coverage.seen_count(), 3U);
  EXPECT_THAT(format_cells(coverage),
              HasSubstr("seen     new-neigh inet / noarp, other / replace\n"));
}

// --- Generation ---

TEST(Generator, TheSameSeedGivesTheSamePrograms) {
  Generator one(7, 20, make_simple_world);
  Generator other(7, 20, make_simple_world);
  Generator another_seed(8, 20, make_simple_world);
  bool all_equal = true;
  for (int i = 0; i < 50; ++i) {
    const Program program = one.next();
    EXPECT_EQ(program.size(), 20U);
    EXPECT_EQ(program, other.next());
    all_equal &= program == another_seed.next();
  }
  EXPECT_FALSE(all_equal);
}

TEST(Generator, EveryOperationIsOneOfTheCoverage) {
  Generator generator(3, 20, make_simple_world);
  for (int i = 0; i < 200; ++i) {
    SimpleWorld world;
    for (const Step& step : generator.next()) {
      const std::vector<Record> tables = world.tables();
      const StateView state(tables);
      EXPECT_EQ(unsuited(step.action, state), std::nullopt) << format(step);
      const Situation situation = situation_of(step.action, state);
      const auto& all = all_operations();
      const auto operation = std::find_if(all.begin(), all.end(), [&](const Operation& known) {
        return known.name == situation.operation;
      });
      if (situation.operation.empty()) {
        continue;
      }
      ASSERT_NE(operation, all.end()) << situation.operation;
      EXPECT_THAT(operation->states, ::testing::Contains(situation.state)) << format(step);
      (void)perform(world, step);
    }
  }
}

// --- Comparison and shrinking ---

TEST(Run, EqualWorldsHaveNoGap) {
  const Result<RunResult> result =
      run({.programs = 100, .seed = 5}, simple_worlds(SimpleWorld::Fault::None), kNoProgress);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->gaps, 0U);
  EXPECT_EQ(result->tally.programs, 100U);
  EXPECT_EQ(result->tally.operations, 2000U);
  EXPECT_THAT(result->found, IsEmpty());
}

TEST(Run, APlantedFaultIsFoundAndShrunk) {
  const Result<RunResult> result =
      run({.programs = 300, .seed = 5, .jobs = 1, .most_gaps = 1},
          simple_worlds(SimpleWorld::Fault::DeletedNeighbourStays), kNoProgress);
  ASSERT_TRUE(result.has_value());
  ASSERT_EQ(result->found.size(), 1U);
  const FoundGap& found = result->found.front();
  EXPECT_EQ(found.gap.signature, "del-neigh: neighbour only in the fake") << format(found.program);
  // A device, a neighbour on it, and the delete.
  EXPECT_LE(found.program.size(), 3U) << format(found.program);
  EXPECT_EQ(found.gap.step + 1, found.program.size());
  EXPECT_TRUE(found.again);
}

std::optional<Gap> compare_with_silent_replace(const Program& program) {
  SimpleWorld fake(SimpleWorld::Fault::FdbReplaceIsSilent);
  SimpleWorld real;
  AllowanceCounts used{};
  return compare(program, fake, real, used, Duration{});
}

TEST(Shrink, LeavesOutStepsAttributesAndFlags) {
  const Program program = parsed(
      "2 new-link flags=create|excl name=vxlan1 up=on mtu=1450 kind=vxlan vni=1\n"
      "1 new-addr flags=create dev=2 local=100.96.1.0 length=12\n"
      "1 new-fdb flags=create dev=2 state=permanent ntf=self lladdr=00:53:64:60:02:00 "
      "dst=172.20.0.12\n"
      "2 new-fdb flags=create|replace dev=2 state=permanent ntf=self lladdr=00:53:64:60:02:00 "
      "dst=172.20.0.13 port=8472\n"
      "1 send to=100.96.2.1\n");
  const Trial trial = compare_with_silent_replace;
  const std::optional<Gap> gap = trial(program);
  ASSERT_TRUE(gap.has_value());
  EXPECT_EQ(gap->signature, "new-fdb: notification of new FDB entry only in Linux");
  EXPECT_EQ(format(shrink(program, *gap, trial, 400).program),
            "1 new-link name=vxlan1 kind=vxlan\n"
            "1 new-fdb flags=create dev=2 lladdr=00:53:64:60:02:00 dst=172.20.0.12\n"
            "1 new-fdb flags=replace dev=2 lladdr=00:53:64:60:02:00 dst=172.20.0.13\n");
  EXPECT_EQ(shrink(program, *gap, trial, 0).trials, 0U);
}

TEST(Shrink, LeavesOutDevicesAndNumbersTheOthersAnew) {
  const Program program = parsed(
      "1 new-link flags=create|excl name=vxlan1 kind=vxlan\n"
      "1 new-link flags=create|excl name=vxlan2 kind=vxlan\n"
      "1 new-fdb flags=create dev=3 lladdr=00:53:64:60:02:00 dst=172.20.0.12\n"
      "1 new-fdb flags=replace dev=3 lladdr=00:53:64:60:02:00 dst=172.20.0.13\n");
  const Trial trial = compare_with_silent_replace;
  const std::optional<Gap> gap = trial(program);
  ASSERT_TRUE(gap.has_value());
  EXPECT_EQ(format(shrink(program, *gap, trial, 400).program),
            "1 new-link name=vxlan2 kind=vxlan\n"
            "1 new-fdb flags=create dev=2 lladdr=00:53:64:60:02:00 dst=172.20.0.12\n"
            "1 new-fdb flags=replace dev=2 lladdr=00:53:64:60:02:00 dst=172.20.0.13\n");
}

TEST(Run, AnEnvironmentWithoutRealWorldsIsAnError) {
  Worlds worlds = simple_worlds(SimpleWorld::Fault::None);
  worlds.real = []() -> Result<std::unique_ptr<World>> {
    return fail(ErrorCode::NoPermission, "CAP_SYS_ADMIN is missing");
  };
  const Result<RunResult> result = run({.programs = 10}, worlds, kNoProgress);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::NoPermission);
}

// --- Time ---

constexpr std::string_view kResolving =
    "1 new-link flags=create name=vxlan1 mac=00:53:64:60:01:00 mtu=1200 kind=vxlan vni=1 "
    "port=4789 local=172.20.0.11 learning=off\n"
    "1 set-neigh-table dev=2 app_probes=2 ucast_probes=0 mcast_probes=0 retrans_time=200\n"
    "1 new-link dev=2 up=on\n"
    "1 new-addr flags=create dev=2 local=100.96.1.0 length=32 address_flags=noprefixroute\n"
    "1 new-route flags=create destination=100.96.2.0 length=24 scope=link dev=2\n"
    "1 send to=100.96.2.7\n";

TEST(Timed, QuietIsWhereNothingHappensForAWhile) {
  const auto ends_after = [](const std::string& milliseconds) {
    return parsed(std::string(kResolving) + "1 advance ms=" + milliseconds);
  };
  // Two probes of 200 ms each, then it has failed.
  EXPECT_TRUE(is_quiet(ends_after("700"), make_fake_world));
  EXPECT_FALSE(is_quiet(ends_after("400"), make_fake_world));
  EXPECT_FALSE(is_quiet(ends_after("300"), make_fake_world));
  EXPECT_FALSE(is_quiet(ends_after("100"), make_fake_world)) << "shorter than the spell itself";
  EXPECT_FALSE(is_quiet(parsed(kResolving), make_fake_world)) << "no time passes in the end";
}

TEST(Timed, WhatDependsOnARandomTimeIsNotQuiet) {
  // REACHABLE for 200 to 600 ms.
  const auto stale_after = [](const std::string& milliseconds) {
    return parsed(
        "1 new-link flags=create name=vxlan1 mac=00:53:64:60:01:00 mtu=1200 up=on kind=vxlan "
        "vni=1 port=4789 local=172.20.0.11 learning=off\n"
        "1 set-neigh-table dev=2 base_reachable_time=400 delay_probe_time=100\n"
        "1 new-neigh flags=create dev=2 dst=100.96.2.7 state=reachable "
        "lladdr=00:53:64:60:02:00\n"
        "1 advance ms=" +
        milliseconds);
  };
  EXPECT_FALSE(is_quiet(stale_after("450"), make_fake_world));
  EXPECT_TRUE(is_quiet(stale_after("1000"), make_fake_world));
}

TEST(Timed, GeneratedProgramsAreQuietAndTheSameAgain) {
  TimedGenerator one(7, 20, make_fake_world);
  TimedGenerator other(7, 20, make_fake_world);
  for (int i = 0; i < 20; ++i) {
    const Program program = one.next();
    EXPECT_EQ(program, other.next());
    EXPECT_TRUE(is_quiet(program, make_fake_world)) << format(program);
    EXPECT_GT(duration_of(program), Duration{});
  }
}

// --- Frames ---

// The program's last step's frame as the device hears it.
std::optional<Heard> heard_in(const Program& program) {
  const std::unique_ptr<World> world = make_fake_world();
  for (std::size_t i = 0; i + 1 < program.size(); ++i) {
    EXPECT_EQ(perform(*world, program[i]).done.error_number, 0) << format(program[i]);
  }
  const std::vector<Record> tables = world->tables();
  return heard_by(std::get<Inject>(program.back().action), StateView(tables));
}

TEST(Frames, OneInATunnelIsHeardByTheTunnelsDevice) {
  const EthernetFrame inner{
      .destination = kBroadcastMac,
      .source = MacAddress{{0x00, 0x53, 0x64, 0x60, 0x02, 0x00}},
      .payload = ArpPacket{.sender_mac = MacAddress{{0x00, 0x53, 0x64, 0x60, 0x02, 0x00}},
                           .sender = IpAddress::v4(0x64600207),
                           .target = IpAddress::v4(0x64600100)}};
  const auto outer = [&](std::uint32_t vni) {
    const IpPacket packet{
        .source = IpAddress::v4(0xac14000c),
        .destination = IpAddress::v4(0xac14000b),
        .payload =
            UdpDatagram{.source_port = 40000,
                        .destination_port = 4789,
                        .payload = VxlanFrame{.vni = Vni{vni},
                                              .inner = std::make_shared<EthernetFrame>(inner)}}};
    return EthernetFrame{.destination = MacAddress{{0x02, 0x53, 0, 2, 1, 0}},
                         .source = MacAddress{{0x00, 0x53, 0x64, 0x60, 0x02, 0x00}},
                         .payload = packet};
  };
  Program program = parsed(
      "1 new-link flags=create name=veth0 up=on mac=02:53:00:02:01:00 kind=veth peer_name=veth1 "
      "peer_mac=02:53:00:02:02:00\n"
      "1 new-link dev=2 up=on\n"
      "1 new-addr flags=create dev=3 local=172.20.0.11 length=24\n"
      "1 new-link flags=create name=vxlan1 up=on mac=00:53:64:60:01:00 kind=vxlan vni=1 "
      "port=4789 local=172.20.0.11 learning=off\n");
  program.push_back({.action = Inject{.device = IfIndex{2}, .frame = encode(outer(1))}});
  std::optional<Heard> heard = heard_in(program);
  ASSERT_TRUE(heard.has_value());
  EXPECT_EQ(heard->device, IfIndex{4});
  EXPECT_TRUE(heard->frame == inner);

  program.back() = {.action = Inject{.device = IfIndex{2}, .frame = encode(outer(7))}};
  heard = heard_in(program);
  ASSERT_TRUE(heard.has_value());
  EXPECT_EQ(heard->device, IfIndex{3}) << "no device has that VNI: it stays a packet on the wire";
}

TEST(Frames, BehindCapturedOnesComesOneThatArrives) {
  Generator generator(2, 20, make_fake_world);
  int with_sentinel = 0;
  for (int i = 0; i < 300; ++i) {
    const Program program = generator.next();
    const bool captures = std::any_of(program.begin(), program.end(), [](const Step& step) {
      return std::holds_alternative<Capture>(step.action);
    });
    const auto* last = std::get_if<Inject>(&program.back().action);
    constexpr std::uint16_t kSentinel = 0x88b6;
    if (!captures || last == nullptr || decode_frame(last->frame)->ether_type() != kSentinel) {
      continue;  // the device has gone, or is down
    }
    const std::unique_ptr<World> world = make_fake_world();
    for (std::size_t j = 0; j + 1 < program.size(); ++j) {
      (void)perform(*world, program[j]);
    }
    (void)world->captured();
    const std::vector<Captured> arrived = observe(*world, program.back()).captured;
    EXPECT_FALSE(arrived.empty()) << format(program);
    ++with_sentinel;
  }
  EXPECT_GT(with_sentinel, 0);
}

// --- Order ---

// What tells that the detection of an address of device 2 has ended.
std::vector<Notification> end_of_detection(std::string_view address) {
  const IpAddress ip = *IpAddress::parse(address);
  const IfAddress row{.device = IfIndex{2}, .address = ip, .length = 64};
  const Route route{.destination = IpPrefix::containing(ip, 128),
                    .table = kRouteTableLocal,
                    .type = RouteType::Local,
                    .protocol = kRouteProtocolKernel,
                    .device = IfIndex{2}};
  return {Notification{.record = AddressRecord{.address = row}},
          Notification{.record = RouteRecord{.route = route}}};
}

TEST(Compare, DetectionsEndInAnyOrderButEachInItsOwn) {
  const std::vector<Notification> first = end_of_detection("fd00:96:1::");
  const std::vector<Notification> second = end_of_detection("fd00:96:2::");
  const auto told = [](const std::vector<Notification>& notifications) {
    Observation observation;
    observation.notifications = notifications;
    return observation;
  };
  const Observation fake = told({first[0], first[1], second[0], second[1]});
  AllowanceCounts used{};
  EXPECT_EQ(gap_between(fake, told({second[0], second[1], first[0], first[1]}), "step", used),
            std::nullopt);
  EXPECT_EQ(used[static_cast<std::size_t>(Allowance::DadOrder)], 1U);
  EXPECT_TRUE(gap_between(fake, told({second[1], second[0], first[0], first[1]}), "step", used));
  EXPECT_TRUE(gap_between(fake, told({first[0], first[1], second[0]}), "step", used));
}

TEST(Compare, TimerMayBeToldBeforeTheRequestThatItIsOf) {
  const auto told = [](std::uint16_t state, PortId sender, std::uint32_t address = 0x64600200) {
    NeighbourRecord record;
    record.neighbour.device = IfIndex{2};
    record.neighbour.address = IpAddress::v4(address);
    record.neighbour.state = state;
    return Notification{.record = record, .sender = sender};
  };
  const auto observed = [](const std::vector<Notification>& notifications) {
    Observation observation;
    observation.notifications = notifications;
    return observation;
  };
  const PortId writer{1};
  const Observation fake = observed({told(kNudDelay, writer), told(kNudProbe, {})});
  AllowanceCounts used{};
  EXPECT_EQ(
      gap_between(fake, observed({told(kNudProbe, {}), told(kNudDelay, writer)}), "step", used),
      std::nullopt);
  EXPECT_EQ(
      gap_between(fake, observed({told(kNudProbe, writer), told(kNudProbe, {})}), "step", used),
      std::nullopt);
  EXPECT_EQ(used[static_cast<std::size_t>(Allowance::TimerFirst)], 2U);
  EXPECT_TRUE(
      gap_between(fake, observed({told(kNudStale, writer), told(kNudProbe, {})}), "step", used));
  EXPECT_TRUE(gap_between(fake, observed({told(kNudDelay, writer)}), "step", used));
  // Of other neighbours, of two writers, and of a state without a timer the order is kept.
  const Notification other = told(kNudProbe, {}, 0x64600300);
  EXPECT_TRUE(gap_between(observed({told(kNudDelay, writer), other}),
                          observed({other, told(kNudDelay, writer)}), "step", used));
  const Notification second = told(kNudDelay, PortId{2});
  EXPECT_TRUE(gap_between(observed({told(kNudDelay, writer), second}),
                          observed({second, told(kNudDelay, writer)}), "step", used));
  EXPECT_TRUE(gap_between(observed({told(kNudStale, writer), told(kNudProbe, {})}),
                          observed({told(kNudProbe, {}), told(kNudStale, writer)}), "step", used));
}

// --- What no program may have ---

// Expects that all steps but the last are suited, and says why the last is not.
std::optional<std::string_view> reason_against_last(const Program& program) {
  const std::unique_ptr<World> world = make_fake_world();
  for (std::size_t i = 0; i + 1 < program.size(); ++i) {
    EXPECT_EQ(unsuited(program[i].action, StateView(world->tables())), std::nullopt)
        << format(program[i]);
    (void)perform(*world, program[i]);
  }
  return unsuited(program.back().action, StateView(world->tables()));
}

TEST(Unsuited, BothEndsOfAVethInBridges) {
  EXPECT_EQ(reason_against_last(
                parsed("1 new-link flags=create name=veth0 mac=02:53:00:02:01:00 kind=veth "
                       "peer_name=veth1 peer_mac=02:53:00:02:02:00\n"
                       "1 new-link flags=create name=br0 mac=02:53:00:02:03:00 kind=bridge\n"
                       "1 new-link dev=2 master=4\n"
                       "1 new-link dev=3 master=4\n")),
            "a circle of bridge ports");
}

TEST(Unsuited, AnAdvertisementOfATentativeAddress) {
  const IpAddress target = *IpAddress::parse("fd00:96:1::");
  const auto advertise = [&](const IpAddress& address) {
    const EthernetFrame inner{
        .payload =
            IpPacket{.source = address,
                     .destination = address,
                     .ttl = 255,
                     .payload = NdMessage{.kind = NdMessage::Kind::Advertise, .target = address}}};
    const EthernetFrame outer{
        .payload = IpPacket{
            .payload = UdpDatagram{
                .destination_port = 4789,
                .payload = VxlanFrame{.vni = Vni{1},
                                      .inner = std::make_shared<const EthernetFrame>(inner)}}}};
    return std::array{Inject{.device = IfIndex{2}, .frame = encode(inner)},
                      Inject{.device = IfIndex{2}, .frame = encode(outer)}};
  };
  Program program = parsed(
      "1 new-link flags=create up=on mac=00:53:64:60:01:00 kind=vxlan learning=off\n"
      "1 new-addr dev=2 local=fd00:96:1:: length=64\n");
  program.emplace_back();
  for (const Inject& inject : advertise(target)) {
    program.back().action = inject;
    EXPECT_EQ(reason_against_last(program),
              "an advertisement of an address whose detection is under way");
  }
  for (const Inject& inject : advertise(*IpAddress::parse("fd00:96:2::"))) {
    program.back().action = inject;
    EXPECT_EQ(reason_against_last(program), std::nullopt);
  }
}

TEST(Unsuited, NoArpWhereDetectionMayNotHaveBegun) {
  const auto reason = [](std::string_view up, std::string_view last) {
    return reason_against_last(
        parsed("1 new-link flags=create mac=00:53:64:60:01:00 kind=vxlan learning=off group=5" +
               std::string(up) + "\n1 new-addr dev=2 local=fd00:96:1:: length=64\n" +
               std::string(last) + "\n"));
  };
  constexpr std::string_view kReason =
      "IFF_NOARP where the detection of an address may not have begun";
  EXPECT_EQ(reason("", "1 new-link dev=2 noarp=on"), kReason);
  EXPECT_EQ(reason("", "1 new-link name=vxlan0 noarp=on"), kReason);
  EXPECT_EQ(reason("", "1 new-link group=5 noarp=on"), kReason);
  EXPECT_EQ(reason(" up=on", "1 new-link dev=2 noarp=on"), std::nullopt);
  EXPECT_EQ(reason("", "1 new-link dev=2 noarp=off"), std::nullopt);
  EXPECT_EQ(reason(" noarp=on", "1 new-link dev=2 noarp=on"), std::nullopt);
}

// --- Commands ---

TEST(IpCommands, FollowNamesAndSayTheRestAsText) {
  const Program program = parsed(
      "1 new-link flags=excl|create name=veth0 kind=veth peer_name=veth1\n"
      "1 new-link flags=excl|create name=vxlan1 kind=vxlan vni=1 port=4789 learning=off\n"
      "1 new-link dev=4 name=vx2\n"
      "1 new-link dev=4 up=on\n"
      "2 new-fdb flags=replace|create dev=4 state=permanent ntf=self lladdr=00:53:64:60:02:00 "
      "dst=172.20.0.12\n"
      "1 new-neigh flags=create dev=2 dst=10.0.0.1\n"
      "1 new-route flags=create dev=4 destination=100.96.2.0 length=24 scope=link\n");
  EXPECT_THAT(ip_commands(program),
              ElementsAre("ip link add veth0 type veth peer name veth1",
                          "ip link add vxlan1 type vxlan id 1 dstport 4789 nolearning",
                          "ip link set vxlan1 name vx2", "ip link set vx2 up",
                          "bridge fdb replace 00:53:64:60:02:00 dev vx2 dst 172.20.0.12 self "
                          "permanent",
                          "# 1 new-neigh flags=create dev=2 dst=10.0.0.1",
                          "ip route prepend 100.96.2.0/24 dev vx2 table 254 proto 0 scope 253"));
}

}  // namespace
}  // namespace vxmesh::fidelity
