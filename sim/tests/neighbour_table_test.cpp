// The neighbour table by itself. The matrix, and every number and order in the other tests, was
// measured on Linux 6.18.
#include "sim/kernel/neighbour_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Fate = Resolution::Fate;
using Flush = NeighbourTable::Flush;

constexpr NamespaceId kHere{1};
constexpr IfIndex kDevice{2};
constexpr PortId kUser{77};
constexpr MacAddress kOwnMac{{0x00, 0x53, 1, 2, 3, 4}};
constexpr MacAddress kMacA{{2, 0, 0, 0, 0, 0xa}};
constexpr MacAddress kMacB{{2, 0, 0, 0, 0, 0xb}};

IpAddress ip(const std::string& text) {
  return IpAddress::parse(text).value();
}

// State, MAC (A, B, - for none, ? for another) and flags: "40A10".
std::string describe(const NeighbourRecord& record) {
  const Neighbour& neighbour = record.neighbour;
  std::ostringstream text;
  text << std::hex << neighbour.state;
  text << (!neighbour.lladdr            ? '-'
           : *neighbour.lladdr == kMacA ? 'A'
           : *neighbour.lladdr == kMacB ? 'B'
                                        : '?');
  text << static_cast<unsigned>(neighbour.flags);
  return text.str();
}

// "N40A0!": what is told, '!' if it names a sender; "?10.1.0.5" an ARP request or solicitation
// (with '@' to the neighbour's own MAC), ">" a packet that leaves, "x" one that is lost, "X" if its
// sender is told.
std::string describe(const NeighbourEffect& effect) {
  if (const auto* told = std::get_if<Notification>(&effect.what)) {
    constexpr std::string_view kKinds = "NDG";
    return std::string(1, kKinds.at(static_cast<std::size_t>(told->kind))) +
           describe(std::get<NeighbourRecord>(told->record)) +
           (told->sender == PortId{} ? "" : "!");
  }
  if (const auto* asked = std::get_if<Solicitation>(&effect.what)) {
    return "?" + format(asked->target) + (asked->to ? "@" : "");
  }
  if (std::holds_alternative<ReleasedPacket>(effect.what)) {
    return ">";
  }
  return std::get<LostPacket>(effect.what).reported ? "X" : "x";
}

std::uint16_t flags_of(std::string_view letters) {
  unsigned flags = 0;
  for (const char letter : letters) {
    switch (letter) {
      case 'C': flags |= rtnl::kCreate; break;
      case 'R': flags |= rtnl::kReplace; break;
      case 'E': flags |= rtnl::kExcl; break;
      default: break;
    }
  }
  return static_cast<std::uint16_t>(flags);
}

class NeighbourTableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    add_device(kHere, kDevice);
    // Miss by the agent only, and nothing moves by itself.
    set({.app_probes = 1, .ucast_probes = 0, .mcast_probes = 0});
  }

  void add_device(NamespaceId where, IfIndex device) {
    table_.add_device(where, device, Family::V4);
    table_.add_device(where, device, Family::V6);
  }

  void set(rtnl::SetNeighTable request) {
    for (const Family family : {Family::V4, Family::V6}) {
      request.family = family;
      request.device = kDevice;
      ASSERT_EQ(table_.set(kHere, request), OpDone{});
    }
  }

  [[nodiscard]] static NeighbourDevice device() {
    return {.where = kHere, .index = kDevice, .mac = kOwnMac};
  }

  OpDone write(std::uint16_t flags, const IpAddress& address, std::uint16_t state,
               std::optional<MacAddress> mac, std::uint8_t ntf = 0) {
    const NeighbourDevice target = device();
    return table_.write({.flags = flags,
                         .device = kDevice,
                         .address = address,
                         .state = state,
                         .ntf = ntf,
                         .lladdr = mac ? std::optional<rtnl::LinkLayer>(*mac) : std::nullopt},
                        &target, kUser, now_, effects_);
  }
  OpDone put(const std::string& address, std::uint16_t state, std::uint8_t ntf = 0) {
    return write(rtnl::kCreate | rtnl::kReplace, ip(address), state, kMacA, ntf);
  }
  OpDone remove(const std::string& address) {
    const NeighbourDevice target = device();
    return table_.remove({.device = kDevice, .address = ip(address)}, &target, kUser, now_,
                         effects_);
  }
  Fate send(const std::string& address, std::uint64_t truesize = 768) {
    return table_.resolve(device(), ip(address), {.truesize = truesize}, now_, effects_).fate;
  }
  void pass(Duration time) {
    now_ = now_ + time;
    table_.run_timers(now_, effects_);
  }

  // What happened since the last call.
  std::vector<std::string> events() {
    std::vector<std::string> texts;
    for (const NeighbourEffect& effect : effects_) {
      texts.push_back(describe(effect));
    }
    effects_.clear();
    return texts;
  }
  std::string row(const IpAddress& address) {
    const auto found = table_.find(kHere, kDevice, address, now_);
    return found ? describe(found->record) : "";
  }
  std::string row(const std::string& address) { return row(ip(address)); }

  // "errno|extended ack|events|row"
  std::string outcome(const OpDone& done, const IpAddress& address) {
    std::string text = std::to_string(done.error_number) + "|" + done.extended_ack + "|";
    std::string gap;
    for (const std::string& event : events()) {
      text += gap + event;
      gap = " ";
    }
    return text + "|" + row(address);
  }

  NeighbourTable table_;
  MonotonicTime now_{seconds(1)};
  NeighbourEffects effects_;
};

// --- Every write over every entry ---

struct Outcome {
  char key;
  const char* text;
};
constexpr Outcome kOutcomes[] = {
    {'a', "0|||0-0"},
    {'b', "0|||1-0"},
    {'c', "0||N2A0!|2A0"},
    {'d', "22|No link layer address given||0-0"},
    {'e', "0||N4A0!|4A0"},
    {'f', "0||N8A0!|8A0"},
    {'g', "0||N10A0!|10A0"},
    {'h', "0|||20-0"},
    {'i', "0||N40A0!|40A0"},
    {'j', "0||N80A0!|80A0"},
    {'k', "0|||0-10"},
    {'l', "0|||1-10"},
    {'m', "0||N2A10!|2A10"},
    {'n', "22|No link layer address given||0-10"},
    {'o', "0||N4A10!|4A10"},
    {'p', "0||N8A10!|8A10"},
    {'q', "0||N10A10!|10A10"},
    {'r', "0|||20-10"},
    {'s', "0||N40A10!|40A10"},
    {'t', "0||N80A10!|80A10"},
    {'u', "2|||"},
    {'v', "0||N2B0!|2B0"},
    {'w', "0||N4B0!|4B0"},
    {'x', "0||N8B0!|8B0"},
    {'y', "0||N10B0!|10B0"},
    {'z', "0||N40B0!|40B0"},
    {'A', "0||N80B0!|80B0"},
    {'B', "0||N2B10!|2B10"},
    {'C', "22|No link layer address given|N0-10!|0-10"},
    {'D', "0||N4B10!|4B10"},
    {'E', "0||N8B10!|8B10"},
    {'F', "0||N10B10!|10B10"},
    {'G', "0||N40B10!|40B10"},
    {'H', "0||N80B10!|80B10"},
    {'I', "17|||0-0"},
    {'J', "22|No link layer address given||1-0"},
    {'K', "0||N20-0!|20-0"},
    {'L', "22|No link layer address given|N1-10!|1-10"},
    {'M', "0||N20-10!|20-10"},
    {'N', "17|||1-0"},
    {'O', "0||N0-0!|0-0"},
    {'P', "0||N1-0!|1-0"},
    {'Q', "0|||2A0"},
    {'R', "0||N0-10!|0-10"},
    {'S', "0||N1-10!|1-10"},
    {'T', "17|||2A0"},
    {'U', "0|||4A0"},
    {'V', "17|||4A0"},
    {'W', "22|No link layer address given||20-0"},
    {'X', "22|No link layer address given|N20-10!|20-10"},
    {'Y', "17|||20-0"},
    {'Z', "0|||40A0"},
    {'0', "17|||40A0"},
    {'1', "0|||80A0"},
    {'2', "17|||80A0"},
    {'3', "0|||40A10"},
    {'4', "17|||40A10"},
    {'5', "0|||2A10"},
    {'6', "17|||2A10"},
    {'7', "0||N0-80!|0-80"},
    {'8', "0||N1-80!|1-80"},
    {'9', "0||N2A80!|2A80"},
    {'!', "0|||4A80"},
    {'#', "0||N8A80!|8A80"},
    {'$', "0||N10A80!|10A80"},
    {'%', "0||N20-80!|20-80"},
    {'&', "0||N40A80!|40A80"},
    {'(', "0||N80A80!|80A80"},
    {')', "0||N0-90!|0-90"},
    {'*', "0||N1-90!|1-90"},
    {'+', "0||N2A90!|2A90"},
    {',', "0||N4A90!|4A90"},
    {'-', "0||N8A90!|8A90"},
    {'.', "0||N10A90!|10A90"},
    {'/', "0||N20-90!|20-90"},
    {':', "0||N40A90!|40A90"},
    {';', "0||N80A90!|80A90"},
    {'<', "17|||4A80"},
};

struct WriteRow {
  const char* prior;
  std::uint8_t ntf;
  const char* flags;     // of nlmsg_flags, one word each: C(REATE) R(EPLACE) E(XCL), - for none
  const char* outcomes;  // for each of kStates: the same MAC, another (not over none), no MAC
};
constexpr std::uint16_t kStates[] = {0, 1, 2, 4, 8, 16, 32, 64, 128};
constexpr WriteRow kWriteRows[] = {
    {"absent", 0, "C CR CE CRE", "aabbcdedfdgdhhidjd"},
    {"absent", 16, "C CR CE CRE", "kkllmnonpnqnrrsntn"},
    {"absent", 0, "- R E RE", "uuuuuuuuuuuuuuuuuu"},
    {"absent", 16, "- R E RE", "uuuuuuuuuuuuuuuuuu"},
    {"none", 0, "C CR - R", "aaabbbcvdewdfxdgydhhhizdjAd"},
    {"none", 16, "C CR - R", "kkklllmBCoDCpECqFCrrrsGCtHC"},
    {"none", 0, "CE CRE E RE", "IIIIIIIIIIIIIIIIIIIIIIIIIII"},
    {"none", 16, "CE CRE E RE", "IIIIIIIIIIIIIIIIIIIIIIIIIII"},
    {"incomplete", 0, "C CR - R", "aaabbbcvJewJfxJgyJKKKizJjAJ"},
    {"incomplete", 16, "C CR - R", "kkklllmBLoDLpELqFLMMMsGLtHL"},
    {"incomplete", 0, "CE CRE E RE", "NNNNNNNNNNNNNNNNNNNNNNNNNNN"},
    {"incomplete", 16, "CE CRE E RE", "NNNNNNNNNNNNNNNNNNNNNNNNNNN"},
    {"reachable", 0, "C -", "OOOPPPQQQeQefQfgQgKKKiQijQj"},
    {"reachable", 16, "C -", "RRRSSSmmmomopmpqmqMMMsmstmt"},
    {"reachable", 0, "CR R", "OOOPPPQvQewefxfgygKKKizijAj"},
    {"reachable", 16, "CR R", "RRRSSSmBmoDopEpqFqMMMsGstHt"},
    {"reachable", 0, "CE CRE E RE", "TTTTTTTTTTTTTTTTTTTTTTTTTTT"},
    {"reachable", 16, "CE CRE E RE", "TTTTTTTTTTTTTTTTTTTTTTTTTTT"},
    {"stale", 0, "C -", "OOOPPPcUcUUUfUfgUgKKKiUijUj"},
    {"stale", 16, "C -", "RRRSSSmomooopopqoqMMMsostot"},
    {"stale", 0, "CR R", "OOOPPPcvcUwUfxfgygKKKizijAj"},
    {"stale", 16, "CR R", "RRRSSSmBmoDopEpqFqMMMsGstHt"},
    {"stale", 0, "CE CRE E RE", "VVVVVVVVVVVVVVVVVVVVVVVVVVV"},
    {"stale", 16, "CE CRE E RE", "VVVVVVVVVVVVVVVVVVVVVVVVVVV"},
    {"failed", 0, "C CR - R", "aaabbbcvWewWfxWgyWhhhizWjAW"},
    {"failed", 16, "C CR - R", "kkklllmBXoDXpEXqFXrrrsGXtHX"},
    {"failed", 0, "CE CRE E RE", "YYYYYYYYYYYYYYYYYYYYYYYYYYY"},
    {"failed", 16, "CE CRE E RE", "YYYYYYYYYYYYYYYYYYYYYYYYYYY"},
    {"noarp", 0, "C -", "OOOPPPcZceZefZfgZgKKKZZZjZj"},
    {"noarp", 16, "C -", "RRRSSSmsmosopspqsqMMMssstst"},
    {"noarp", 0, "CR R", "OOOPPPcvcewefxfgygKKKZzZjAj"},
    {"noarp", 16, "CR R", "RRRSSSmBmoDopEpqFqMMMsGstHt"},
    {"noarp", 0, "CE CRE E RE", "000000000000000000000000000"},
    {"noarp", 16, "CE CRE E RE", "000000000000000000000000000"},
    {"permanent", 0, "C -", "OOOPPPc1ce1ef1fg1gKKKi1i111"},
    {"permanent", 16, "C -", "RRRSSSmtmotoptpqtqMMMststtt"},
    {"permanent", 0, "CR R", "OOOPPPcvcewefxfgygKKKizi1A1"},
    {"permanent", 16, "CR R", "RRRSSSmBmoDopEpqFqMMMsGstHt"},
    {"permanent", 0, "CE CRE E RE", "222222222222222222222222222"},
    {"permanent", 16, "CE CRE E RE", "222222222222222222222222222"},
    {"noarp ext", 0, "C -", "OOOPPPciceiefifgigKKKiiijij"},
    {"noarp ext", 16, "C -", "RRRSSSm3mo3op3pq3qMMM333t3t"},
    {"noarp ext", 0, "CR R", "OOOPPPcvcewefxfgygKKKizijAj"},
    {"noarp ext", 16, "CR R", "RRRSSSmBmoDopEpqFqMMM3G3tHt"},
    {"noarp ext", 0, "CE CRE E RE", "444444444444444444444444444"},
    {"noarp ext", 16, "CE CRE E RE", "444444444444444444444444444"},
    {"reachable ext", 0, "C -", "OOOPPPcccecefcfgcgKKKicijcj"},
    {"reachable ext", 16, "C -", "RRRSSS555o5op5pq5qMMMs5st5t"},
    {"reachable ext", 0, "CR R", "OOOPPPcvcewefxfgygKKKizijAj"},
    {"reachable ext", 16, "CR R", "RRRSSS5B5oDopEpqFqMMMsGstHt"},
    {"reachable ext", 0, "CE CRE E RE", "666666666666666666666666666"},
    {"reachable ext", 16, "CE CRE E RE", "666666666666666666666666666"},
    {"stale router", 0, "C -", "7778889!9!!!#!#$!$%%%&!&(!("},
    {"stale router", 16, "C -", ")))***+,+,,,-,-.,.///:,:;,;"},
    {"stale router", 0, "CR R", "777888cvcewefxfgyg%%%izijAj"},
    {"stale router", 16, "CR R", ")))***mBmoDopEpqFq///sGstHt"},
    {"stale router", 0, "CE CRE E RE", "<<<<<<<<<<<<<<<<<<<<<<<<<<<"},
    {"stale router", 16, "CE CRE E RE", "<<<<<<<<<<<<<<<<<<<<<<<<<<<"},
};

struct Prior {
  const char* name;
  std::uint16_t state;
  std::uint8_t ntf;
};
constexpr Prior kPriors[] = {
    {"none", 0, 0},           {"incomplete", 1, 0},  {"reachable", 2, 0},
    {"stale", 4, 0},          {"failed", 32, 0},     {"noarp", 64, 0},
    {"permanent", 128, 0},    {"noarp ext", 64, 16}, {"reachable ext", 2, 16},
    {"stale router", 4, 128},
};

std::string text_of(char key) {
  for (const Outcome& outcome : kOutcomes) {
    if (outcome.key == key) {
      return outcome.text;
    }
  }
  return "";
}

TEST_F(NeighbourTableTest, EveryWriteOverEveryEntry) {
  table_.set_thresholds(Family::V4, {.periodic = 1 << 20, .soft = 1 << 20, .hard = 1 << 20});
  std::uint32_t next = 0x0a010001;
  const auto judge = [&](const WriteRow& row, const std::string& flags, std::uint16_t state,
                         std::optional<MacAddress> mac, char expected) {
    const IpAddress address = IpAddress::v4(next++);
    for (const Prior& prior : kPriors) {
      if (std::string_view(prior.name) == row.prior) {
        ASSERT_EQ(write(rtnl::kCreate, address, prior.state, kMacA, prior.ntf), OpDone{});
      }
    }
    effects_.clear();
    const OpDone done = write(flags_of(flags), address, state, mac, row.ntf);
    EXPECT_EQ(outcome(done, address), text_of(expected))
        << row.prior << ", flags " << flags << ", state " << state << ", ntf " << +row.ntf
        << (mac == kMacA ? ", same MAC"
            : mac        ? ", other MAC"
                         : ", no MAC");
  };
  for (const WriteRow& row : kWriteRows) {
    std::istringstream words(row.flags);
    for (std::string flags; words >> flags;) {
      const char* expected = row.outcomes;
      for (const std::uint16_t state : kStates) {
        judge(row, flags, state, kMacA, *expected++);
        if (std::string_view(row.prior) != "absent") {
          judge(row, flags, state, kMacB, *expected++);
        }
        judge(row, flags, state, std::nullopt, *expected++);
      }
    }
  }
}

// --- What requests are refused for ---

TEST_F(NeighbourTableTest, RefusesInTheKernelsOrder) {
  const NeighbourDevice target = device();
  rtnl::NewNeigh request{.flags = rtnl::kCreate, .address = ip("10.1.0.5"), .state = kNudNoarp};
  const auto refusal = [&](const NeighbourDevice* found) {
    return table_.write(request, found, kUser, now_, effects_);
  };
  request.lladdr.emplace().bytes.assign(33, 2);
  request.ext_flags = 2;
  EXPECT_EQ(refusal(nullptr), (OpDone{ERANGE, "Attribute failed policy validation"}));
  request.lladdr->bytes.resize(5);
  EXPECT_EQ(refusal(nullptr), (OpDone{EINVAL, "reserved bit set"}));
  request.ext_flags.reset();
  EXPECT_EQ(refusal(nullptr), (OpDone{EINVAL, "Device not specified"}));
  request.device = IfIndex{9};
  EXPECT_EQ(refusal(nullptr), (OpDone{ENODEV, ""}));
  request.device = kDevice;
  EXPECT_EQ(refusal(&target), (OpDone{EINVAL, "Invalid link address"}));
  request.lladdr->bytes.resize(8);  // the rest is ignored
  EXPECT_EQ(refusal(&target), OpDone{});
  EXPECT_THAT(events(), ElementsAre("N40?0!"));
}

TEST_F(NeighbourTableTest, RefusesWhereAFamilyIsNotSpoken) {
  table_.remove_device(kHere, kDevice, Family::V6, now_, effects_);
  table_.remove_device(kHere, kDevice, Family::V4, now_, effects_);
  EXPECT_EQ(write(0, ip("fd01::5"), kNudNoarp, kMacA),
            (OpDone{EINVAL, "IPv6 is disabled on this device"}));
  EXPECT_EQ(write(0, ip("10.1.0.5"), kNudNoarp, kMacA), (OpDone{ENOENT, ""}));
  EXPECT_EQ(put("10.1.0.5", kNudNoarp), (OpDone{EINVAL, ""}));
  EXPECT_EQ(table_.set(kHere, {.device = kDevice}), (OpDone{ENOENT, ""}));
  EXPECT_EQ(send("10.1.0.5"), Fate::NoDevice);
}

TEST_F(NeighbourTableTest, DeletesAndGets) {
  const NeighbourDevice target = device();
  const auto del = [&](IfIndex index, std::uint16_t flags, const NeighbourDevice* found) {
    return table_.remove({.flags = flags, .device = index, .address = ip("10.1.0.5")}, found, kUser,
                         now_, effects_);
  };
  const auto get = [&](IfIndex index, const NeighbourDevice* found) {
    return table_.get({.device = index, .address = ip("10.1.0.5")}, found, now_).done;
  };
  EXPECT_EQ(del(IfIndex{9}, rtnl::kBulk, nullptr),
            (OpDone{EOPNOTSUPP, "Bulk delete is not supported"}));
  EXPECT_EQ(del(IfIndex{9}, 0, nullptr), (OpDone{ENODEV, ""}));
  EXPECT_EQ(del(IfIndex{0}, 0, nullptr), (OpDone{EINVAL, ""}));
  EXPECT_EQ(del(kDevice, 0, &target), (OpDone{ENOENT, ""}));
  EXPECT_EQ(get(IfIndex{9}, nullptr), (OpDone{ENODEV, "Unknown device ifindex"}));
  EXPECT_EQ(get(IfIndex{0}, nullptr), (OpDone{EINVAL, "No device specified"}));
  EXPECT_EQ(get(kDevice, &target), (OpDone{ENOENT, "Neighbour entry not found"}));
}

TEST_F(NeighbourTableTest, ADeleteIsAFailureFirst) {
  put("10.1.0.5", kNudPermanent, kNtfExtLearned);
  put("10.1.0.6", kNudFailed);
  put("10.1.0.7", kNudNone, kNtfExtLearned);
  effects_.clear();
  remove("10.1.0.5");
  EXPECT_THAT(events(), ElementsAre("N20-0!", "D20-0"));
  remove("10.1.0.6");
  EXPECT_THAT(events(), ElementsAre("D20-0"));
  remove("10.1.0.7");
  EXPECT_THAT(events(), ElementsAre("D20-0"));
}

TEST_F(NeighbourTableTest, AllOfIpv4IsOneNeighbourOnLoopback) {
  constexpr IfIndex kLoopback{1};
  add_device(kHere, kLoopback);
  const NeighbourDevice loopback{.where = kHere, .index = kLoopback, .loopback = true};
  const auto put_there = [&](const std::string& address, std::uint16_t flags) {
    return table_.write({.flags = flags,
                         .device = kLoopback,
                         .address = ip(address),
                         .state = kNudPermanent,
                         .lladdr = kMacA},
                        &loopback, kUser, now_, effects_);
  };
  EXPECT_EQ(put_there("10.1.0.5", rtnl::kCreate | rtnl::kExcl), OpDone{});
  EXPECT_EQ(put_there("10.1.0.5", rtnl::kCreate | rtnl::kExcl), OpDone{});  // never found
  EXPECT_EQ(put_there("10.1.0.5", rtnl::kReplace).error_number, ENOENT);
  EXPECT_EQ(put_there("0.0.0.0", rtnl::kCreate | rtnl::kExcl).error_number, EEXIST);
  EXPECT_EQ(put_there("fd01::5", rtnl::kCreate), OpDone{});
  const auto rows = table_.rows(kHere, now_);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].record.neighbour.address, ip("0.0.0.0"));
  EXPECT_EQ(rows[0].record.type, static_cast<std::uint8_t>(RouteType::Broadcast));
  EXPECT_EQ(rows[1].record.type, static_cast<std::uint8_t>(RouteType::Local));
}

TEST_F(NeighbourTableTest, WhoseMacFollowsFromTheAddressNeedsNone) {
  NeighbourDevice target = device();
  target.type_of = [](const IpAddress& address) {
    return address == ip("10.1.255.255") ? RouteType::Broadcast : RouteType::Unicast;
  };
  const auto made = [&](const std::string& address) {
    EXPECT_EQ(table_.write({.flags = rtnl::kCreate,
                            .device = kDevice,
                            .address = ip(address),
                            .state = kNudReachable},
                           &target, kUser, now_, effects_),
              OpDone{});
    const NeighbourRecord record = table_.find(kHere, kDevice, ip(address), now_)->record;
    return format(*record.neighbour.lladdr) + " " + std::to_string(record.type);
  };
  EXPECT_EQ(made("10.1.255.255"), "ff:ff:ff:ff:ff:ff 3");
  EXPECT_EQ(made("224.129.2.3"), "01:00:5e:01:02:03 5");
  EXPECT_EQ(made("ff02::5:5"), "33:33:00:05:00:05 5");
  target.no_arp = true;
  EXPECT_EQ(made("10.1.0.9"), "00:53:01:02:03:04 1");
}

TEST_F(NeighbourTableTest, WhatIsNotModelledEndsTheRunByName) {
  const NeighbourDevice target = device();
  const auto ask = [&](std::uint8_t ntf, std::uint32_t extended) {
    (void)table_.write({.flags = rtnl::kCreate,
                        .device = kDevice,
                        .address = ip("10.1.0.5"),
                        .ntf = ntf,
                        .ext_flags = extended},
                       &target, kUser, now_, effects_);
  };
  EXPECT_DEATH(ask(kNtfProxy, 0), "does not model: neighbours: NTF_PROXY");
  EXPECT_DEATH(ask(0, 1), "does not model: neighbours: NDA_FLAGS_EXT");
}

// --- Packets that wait, probes, ageing ---

class ResolutionTest : public NeighbourTableTest {
 protected:
  void SetUp() override {
    NeighbourTableTest::SetUp();
    set({.app_probes = 0,
         .ucast_probes = 3,
         .mcast_probes = 3,
         .retrans_time = 100,
         .base_reachable_time = 1000,
         .delay_probe_time = 300});
  }
};

TEST_F(ResolutionTest, AsksThreeTimesAndGivesUp) {
  EXPECT_EQ(send("10.1.0.5"), Fate::Queued);
  EXPECT_EQ(send("10.1.0.5"), Fate::Queued);
  EXPECT_THAT(events(), ElementsAre("?10.1.0.5"));
  EXPECT_EQ(row("10.1.0.5"), "1-0");
  EXPECT_EQ(table_.next_timer(), now_ + milliseconds(100));
  pass(milliseconds(299));
  EXPECT_THAT(events(), ElementsAre("?10.1.0.5", "?10.1.0.5"));
  pass(milliseconds(1));
  EXPECT_THAT(events(), ElementsAre("X", "X", "N20-0"));
  EXPECT_EQ(table_.find(kHere, kDevice, ip("10.1.0.5"), now_)->record.probes, 6U);
  EXPECT_EQ(send("10.1.0.5"), Fate::Queued);  // again, at once, and nobody is told
  EXPECT_THAT(events(), ElementsAre("?10.1.0.5"));
}

TEST_F(ResolutionTest, TheAgentIsAskedBeforeEveryone) {
  set({.app_probes = 2, .mcast_probes = 1});
  send("fd01::5");
  pass(milliseconds(100));
  pass(milliseconds(100));
  pass(milliseconds(100));
  EXPECT_THAT(events(), ElementsAre("G1-0", "G1-0", "?fd01::5", "X", "N20-0"));
}

TEST_F(ResolutionTest, WithNobodyToAskItFailsAtOnceAndSilently) {
  set({.app_probes = 0, .mcast_probes = 0});
  EXPECT_EQ(send("10.1.0.5"), Fate::Failed);
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_EQ(row("10.1.0.5"), "20-0");
  EXPECT_EQ(table_.next_timer(), std::nullopt);
}

TEST_F(ResolutionTest, AnAnswerReleasesWhatWaitsBeforeItIsTold) {
  send("10.1.0.5");
  send("10.1.0.5");
  send("10.1.0.6");
  effects_.clear();
  put("10.1.0.5", kNudReachable);
  EXPECT_THAT(events(), ElementsAre(">", ">", "N2A0!"));
  put("10.1.0.6", kNudStale);  // used by the packet that waited
  EXPECT_THAT(events(), ElementsAre(">", "N8A0!"));
}

TEST_F(ResolutionTest, FailureByRequestReportsWhatWaits) {
  send("10.1.0.5");
  send("10.1.0.6");
  effects_.clear();
  put("10.1.0.5", kNudFailed);
  EXPECT_THAT(events(), ElementsAre("X", "N20-0!"));
  remove("10.1.0.6");
  EXPECT_THAT(events(), ElementsAre("X", "N20-0!", "D20-0"));
}

TEST_F(ResolutionTest, AnInjectedIncompleteEntryIsNeverAskedFor) {
  put("10.1.0.5", kNudIncomplete);
  EXPECT_EQ(send("10.1.0.5"), Fate::Queued);
  pass(seconds(60));
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_EQ(row("10.1.0.5"), "1-0");
}

TEST_F(ResolutionTest, TheQueueIsBoundedByBytesAndLosesItsHead) {
  set({.queue_bytes = 2000});
  for (int i = 0; i < 3; ++i) {
    send("10.1.0.5", 900);
  }
  EXPECT_THAT(events(), ElementsAre("?10.1.0.5", "x"));
  send("10.1.0.5", 5000);  // more than there is room for: alone then
  EXPECT_THAT(events(), ElementsAre("x", "x"));
  EXPECT_EQ(table_.counters(Family::V4).queue_discards, 3U);
}

TEST_F(ResolutionTest, ReachableGoesStaleUnlessItWasUsedLately) {
  put("10.1.0.5", kNudReachable);
  put("10.1.0.6", kNudReachable);
  pass(milliseconds(900));
  EXPECT_EQ(send("10.1.0.6"), Fate::Send);
  effects_.clear();
  pass(milliseconds(100));
  EXPECT_THAT(events(), IsEmpty());  // the last moment still counts as reachable
  pass(milliseconds(20));
  EXPECT_THAT(events(), ElementsAre("N4A0"));
  EXPECT_EQ(row("10.1.0.5"), "4A0");
  EXPECT_EQ(row("10.1.0.6"), "8A0");  // and nobody is told
}

TEST_F(ResolutionTest, PacketsWithACachedHeaderLeaveNoTrace) {
  put("10.1.0.5", kNudReachable);
  send("10.1.0.5");  // caches it
  pass(milliseconds(900));
  send("10.1.0.5");
  pass(milliseconds(120));
  EXPECT_EQ(row("10.1.0.5"), "4A0");  // so it was not used for 300 ms
}

TEST_F(ResolutionTest, AStaleNeighbourThatIsUsedIsProbed) {
  set({.app_probes = 1, .ucast_probes = 1, .mcast_reprobes = 1});
  put("10.1.0.5", kNudStale);
  EXPECT_EQ(send("10.1.0.5"), Fate::Send);
  EXPECT_EQ(row("10.1.0.5"), "8A0");
  effects_.clear();
  pass(milliseconds(300));
  EXPECT_THAT(events(), ElementsAre("?10.1.0.5@", "N10A0"));
  pass(milliseconds(200));
  EXPECT_THAT(events(), ElementsAre("G10A0", "?10.1.0.5"));
  EXPECT_EQ(send("10.1.0.5"), Fate::Send);
  pass(milliseconds(100));
  EXPECT_THAT(events(), ElementsAre("N20-0"));
}

TEST_F(ResolutionTest, ADelayedNeighbourThatIsConfirmedIsReachable) {
  put("10.1.0.5", kNudStale);
  send("10.1.0.5");
  pass(milliseconds(100));
  table_.arp_other(device(), ip("10.1.0.5"), kMacA, /*confirms=*/true, false, now_, effects_);
  EXPECT_THAT(events(), ElementsAre("N4A0!", "N2A0"));
}

TEST_F(ResolutionTest, InjectedProbesBeginAtOnce) {
  put("10.1.0.5", kNudDelay);
  put("10.1.0.6", kNudProbe);
  effects_.clear();
  pass(milliseconds(0));
  EXPECT_THAT(events(), ElementsAre("?10.1.0.5@", "N10A0", "?10.1.0.6@"));
}

TEST_F(ResolutionTest, AReachableBitEndsPermanence) {
  put("10.1.0.5", kNudPermanent | kNudReachable);
  pass(milliseconds(1020));
  EXPECT_THAT(events(), ElementsAre("N82A0!", "N4A0"));
}

TEST_F(ResolutionTest, NtfUseOnlyAsks) {
  put("10.1.0.5", kNudPermanent);
  put("10.1.0.6", kNudStale);
  effects_.clear();
  put("10.1.0.5", kNudPermanent, kNtfUse);
  put("10.1.0.6", kNudPermanent, kNtfUse);
  put("10.1.0.7", kNudPermanent, kNtfUse);
  EXPECT_THAT(events(), ElementsAre("?10.1.0.5", "?10.1.0.7"));
  EXPECT_EQ(row("10.1.0.5"), "1-0");
  EXPECT_EQ(row("10.1.0.6"), "8A0");
  EXPECT_EQ(row("10.1.0.7"), "1-0");
}

TEST(NeighbourReachableTime, ComesFromTheFunctionAndChangesEveryFiveMinutes) {
  Duration given = seconds(20);
  NeighbourTable table([&](Duration) { return given; });
  table.add_device(kHere, kDevice, Family::V4);
  const NeighbourDevice device{.where = kHere, .index = kDevice};
  NeighbourEffects effects;
  const auto lifetime = [&](MonotonicTime now) {
    table.run_timers(now, effects);
    (void)table.write({.flags = rtnl::kCreate | rtnl::kReplace,
                       .device = kDevice,
                       .address = ip("10.1.0.5"),
                       .state = kNudReachable,
                       .lladdr = kMacA},
                      &device, kUser, now, effects);
    return *table.next_timer() - now;
  };
  EXPECT_EQ(lifetime({seconds(1)}), seconds(20));
  given = seconds(40);
  EXPECT_EQ(lifetime({seconds(600)}), seconds(20));  // the first change comes late
  EXPECT_EQ(lifetime({seconds(760)}), seconds(40));
}

// --- ARP and ND ---

struct HeardRow {
  std::uint16_t state;   // of the entry, with kMacA
  const char* outcomes;  // the row afterwards
};

// After 50 ms, within locktime, and after 300 ms: a request for us, a reply to us, a broadcast
// reply and a gratuitous one from kMacB, a reply to us from kMacA.
constexpr HeardRow kArpRows[] = {
    {2, "4B0 2A0 2A0 4B0 2A0 4B0 2B0 4B0 4B0 2A0"},
    {4, "4B0 4A0 4A0 4B0 2A0 4B0 2B0 4B0 4B0 2A0"},
    {64, "40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0"},
    {128, "80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0"},
    {32, "4B0 2B0 4B0 4B0 2A0 4B0 2B0 4B0 4B0 2A0"},
    {1, "4B0 2B0 4B0 4B0 2A0 4B0 2B0 4B0 4B0 2A0"},
    {0, "4B0 2B0 4B0 4B0 2A0 4B0 2B0 4B0 4B0 2A0"},
};

TEST_F(NeighbourTableTest, EveryArpPacketOverEveryEntry) {
  set({.locktime = 200});
  const IpAddress address = ip("10.1.0.5");
  for (const HeardRow& row : kArpRows) {
    std::istringstream outcomes(row.outcomes);
    for (const Duration age : {milliseconds(50), milliseconds(300)}) {
      for (int kind = 0; kind < 5; ++kind) {
        put("10.1.0.5", row.state);
        pass(age);
        if (kind == 0) {
          EXPECT_TRUE(table_.arp_request_for_us(device(), address, kMacB, now_, effects_));
        } else {
          table_.arp_other(device(), address, kind == 4 ? kMacA : kMacB,
                           /*confirms=*/kind == 1 || kind == 4, /*gratuitous=*/kind == 3, now_,
                           effects_);
        }
        std::string expected;
        outcomes >> expected;
        EXPECT_EQ(this->row(address), expected) << row.state << " kind " << kind;
        remove("10.1.0.5");
      }
    }
  }
}

// With kMacA, kMacB and no address: a solicitation, and advertisements with every combination of
// solicited, override and router, in this order of bits.
constexpr HeardRow kNdRows[] = {
    {2,
     "2A0 2A0 2A0 2A0 2A0 2A80 2A80 2A80 2A80 4B0 4A0 4A0 4B0 2B0 4A0 4A0 4B80 2B80 "
     "2A0 2A0 2A0 2A0 2A0 2A80 2A80 2A80 2A80"},
    {4,
     "4A0 4A0 2A0 4A0 2A0 4A80 2A80 4A80 2A80 4B0 4A0 4A0 4B0 2B0 4A0 4A0 4B80 2B80 "
     "4A0 4A0 2A0 4A0 2A0 4A80 2A80 4A80 2A80"},
    {64,
     "40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 "
     "40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0 40A0"},
    {128,
     "80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 "
     "80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0 80A0"},
    {32,
     "4A0 20-0 20-0 20-0 20-0 20-0 20-0 20-0 20-0 4B0 20-0 20-0 20-0 20-0 20-0 20-0 20-0 20-0 "
     "20-0 20-0 20-0 20-0 20-0 20-0 20-0 20-0 20-0"},
    {1,
     "4A0 4A0 2A0 4A0 2A0 4A80 2A80 4A80 2A80 4B0 4B0 2B0 4B0 2B0 4B80 2B80 4B80 2B80 "
     "1-0 1-0 1-0 1-0 1-0 1-0 1-0 1-0 1-0"},
    {0,
     "4A0 4A0 2A0 4A0 2A0 4A80 2A80 4A80 2A80 4B0 4B0 2B0 4B0 2B0 4B80 2B80 4B80 2B80 "
     "0-0 0-0 0-0 0-0 0-0 0-0 0-0 0-0 0-0"},
};

TEST_F(NeighbourTableTest, EveryNdMessageOverEveryEntry) {
  const IpAddress address = ip("fd01::5");
  for (const HeardRow& row : kNdRows) {
    std::istringstream outcomes(row.outcomes);
    for (const std::optional<MacAddress>& mac :
         {std::optional(kMacA), std::optional(kMacB), std::optional<MacAddress>()}) {
      for (unsigned kind = 0; kind < 9; ++kind) {
        put("fd01::5", row.state);
        pass(milliseconds(20));
        if (kind == 0) {
          EXPECT_TRUE(table_.nd_solicited(device(), address, mac, false, now_, effects_));
        } else {
          table_.nd_advertised(device(),
                               {.target = address,
                                .mac = mac,
                                .solicited = ((kind - 1) & 1U) != 0,
                                .override_flag = ((kind - 1) & 2U) != 0,
                                .router = ((kind - 1) & 4U) != 0},
                               now_, effects_);
        }
        std::string expected;
        outcomes >> expected;
        EXPECT_EQ(this->row(address), expected) << row.state << " kind " << kind;
        remove("fd01::5");
      }
    }
  }
}

TEST_F(NeighbourTableTest, OnlyThoseWhoAskForUsBecomeKnown) {
  table_.arp_other(device(), ip("10.1.0.5"), kMacA, true, true, now_, effects_);
  table_.nd_advertised(device(), {.target = ip("fd01::5"), .mac = kMacA, .solicited = true}, now_,
                       effects_);
  EXPECT_FALSE(table_.nd_solicited(device(), ip("fd01::5"), std::nullopt, true, now_, effects_));
  EXPECT_THAT(table_.rows(kHere, now_), IsEmpty());
  EXPECT_TRUE(table_.arp_request_for_us(device(), ip("10.1.0.5"), kMacA, now_, effects_));
  EXPECT_TRUE(table_.nd_solicited(device(), ip("fd01::5"), kMacA, true, now_, effects_));
  EXPECT_THAT(events(), ElementsAre("N4A0", "N4A0"));
  // Without an address, to our own: an entry without a state.
  EXPECT_TRUE(table_.nd_solicited(device(), ip("fd01::6"), std::nullopt, false, now_, effects_));
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_EQ(row("fd01::6"), "0-0");
}

// --- Flushes ---

TEST_F(NeighbourTableTest, FlushesNewestFirstAndSaysTheLastState) {
  put("10.1.0.5", kNudPermanent);
  put("10.1.0.9", kNudReachable, kNtfExtLearned);
  put("10.1.0.7", kNudFailed);
  put("fd01::5", kNudNoarp);
  put("10.1.0.6", kNudPermanent | kNudReachable);
  send("10.1.0.8");
  effects_.clear();
  table_.flush(kHere, kDevice, Family::V4, Flush::KeepPermanent, now_, effects_);
  EXPECT_THAT(events(), ElementsAre("D1-0", "x", "D20-0", "D2A10"));
  table_.flush(kHere, kDevice, Family::V4, Flush::All, now_, effects_);
  EXPECT_THAT(events(), ElementsAre("D82A0", "D80A0"));
  table_.remove_device(kHere, kDevice, Family::V6, now_, effects_);
  EXPECT_THAT(events(), ElementsAre("D40A0"));
  EXPECT_EQ(table_.next_timer(), std::nullopt);
}

// --- The table of a host ---

class FullTableTest : public NeighbourTableTest {
 protected:
  static constexpr NamespaceId kThere{2};

  void SetUp() override {
    NeighbourTableTest::SetUp();
    add_device(kThere, kDevice);
    pass(seconds(10));  // long after the last collection
  }

  // Writes so many more; how many were refused.
  int fill(int count, std::uint16_t state, std::uint8_t ntf = 0) {
    int refused = 0;
    for (int i = 0; i < count; ++i) {
      const OpDone done = write(rtnl::kCreate, IpAddress::v4(next_++), state, kMacA, ntf);
      refused += done == OpDone{ENOBUFS, ""} ? 1 : 0;
    }
    return refused;
  }

  std::uint32_t next_ = 0x0a010001;
};

TEST_F(FullTableTest, NoarpIsCollectedHoweverYoung) {
  EXPECT_EQ(fill(1100, kNudNoarp), 0);
  // One at the 513th, then 513 at the 1025th.
  EXPECT_EQ(table_.counters(Family::V4).entries, 586U);
  EXPECT_EQ(row("10.1.0.1"), "");
  EXPECT_EQ(table_.counters(Family::V4).forced_collections, 2U);
}

TEST_F(FullTableTest, TimersHoldTheirEntries) {
  EXPECT_EQ(fill(1030, kNudReachable), 6);
  EXPECT_EQ(table_.counters(Family::V4).table_fulls, 6U);
  EXPECT_EQ(send("192.0.2.1"), Fate::NoRoom);
  EXPECT_EQ(fill(10, kNudReachable, kNtfExtLearned), 0);
  EXPECT_EQ(fill(10, kNudPermanent), 0);
  EXPECT_EQ(table_.counters(Family::V4).collectable, 1024U);
  // A namespace beside it has no room either, and the other family has.
  const NeighbourDevice there{.where = kThere, .index = kDevice};
  EXPECT_EQ(table_.resolve(there, ip("10.1.0.1"), {}, now_, effects_).fate, Fate::NoRoom);
  EXPECT_EQ(send("fd01::5"), Fate::Queued);
  // What is made permanent counts no more.
  EXPECT_EQ(write(rtnl::kReplace, ip("10.1.0.1"), kNudPermanent, kMacA), OpDone{});
  EXPECT_EQ(table_.resolve(there, ip("10.1.0.1"), {}, now_, effects_).fate, Fate::Queued);
}

TEST_F(FullTableTest, StaleIsCollectedAfterFiveSecondsAndItsNamespaceIsTold) {
  fill(1024, kNudStale);
  EXPECT_EQ(fill(1, kNudStale), 1);
  pass(milliseconds(5001));
  effects_.clear();
  const NeighbourDevice there{.where = kThere, .index = kDevice};
  EXPECT_EQ(table_.resolve(there, ip("10.1.0.1"), {}, now_, effects_).fate, Fate::Queued);
  EXPECT_EQ(table_.counters(Family::V4).entries, 512U);
  ASSERT_THAT(effects_, SizeIs(514));
  EXPECT_EQ(effects_.front().where, kHere);
  EXPECT_EQ(describe(effects_.front()), "D4A0");
  EXPECT_EQ(effects_.back().where, kThere);
}

TEST_F(FullTableTest, PeriodicCollectionBeginsAt128AndTakesWhatIsUnused) {
  fill(127, kNudNoarp);
  EXPECT_EQ(table_.next_timer(), std::nullopt);
  pass(seconds(300));
  EXPECT_EQ(table_.counters(Family::V4).entries, 127U);
  fill(1, kNudNoarp, kNtfExtLearned);
  EXPECT_TRUE(table_.next_timer().has_value());
  pass(seconds(15));
  EXPECT_EQ(table_.counters(Family::V4).entries, 1U);
  EXPECT_EQ(table_.next_timer(), std::nullopt);
}

TEST_F(FullTableTest, PeriodicCollectionTakesTheFailedAndLeavesTheYoung) {
  fill(100, kNudFailed);
  fill(100, kNudNoarp);
  pass(seconds(20));  // the first collection is at 30 s
  EXPECT_EQ(table_.counters(Family::V4).entries, 100U);
}

// By neigh_periodic_work of net/core/neighbour.c; not measured.
TEST_F(FullTableTest, PeriodicCollectionGoesByWhatAnEntryHasBecome) {
  const auto become = [&](const char* address, std::uint16_t from, std::uint8_t from_ntf,
                          std::uint16_t to, std::uint8_t to_ntf) {
    put(address, from, from_ntf);
    put(address, to, to_ntf);
  };
  become("10.9.0.1", kNudNoarp, 0, kNudNoarp, kNtfExtLearned);
  become("10.9.0.2", kNudNoarp, kNtfExtLearned, kNudNoarp, 0);
  become("10.9.0.3", kNudNoarp, 0, kNudPermanent, 0);
  become("10.9.0.4", kNudPermanent, 0, kNudNoarp, 0);
  fill(126, kNudNoarp);
  pass(seconds(300));
  EXPECT_EQ(table_.counters(Family::V4).entries, 2U);
  EXPECT_TRUE(table_.find(kHere, kDevice, ip("10.9.0.1"), now_).has_value());
  EXPECT_TRUE(table_.find(kHere, kDevice, ip("10.9.0.3"), now_).has_value());
}

TEST_F(NeighbourTableTest, RowsOfADeviceComeInParts) {
  put("10.1.0.7", kNudNoarp);
  put("fd01::5", kNudNoarp);
  put("10.1.0.5", kNudNoarp);
  const auto addresses = [&](const std::optional<IpAddress>& after, std::size_t max) {
    std::vector<std::string> texts;
    for (const NeighbourReport& report : table_.rows_after(kHere, kDevice, after, max, now_)) {
      texts.push_back(format(report.record.neighbour.address));
    }
    return texts;
  };
  EXPECT_THAT(addresses({}, 2), ElementsAre("10.1.0.5", "10.1.0.7"));
  EXPECT_THAT(addresses(ip("10.1.0.7"), 2), ElementsAre("fd01::5"));
  EXPECT_THAT(table_.rows_after(kHere, IfIndex{3}, {}, 2, now_), IsEmpty());
}

TEST_F(NeighbourTableTest, TellsHowLongAgoAnEntryChanged) {
  put("10.1.0.5", kNudNoarp);
  pass(seconds(3));
  put("10.1.0.5", kNudNoarp);  // nothing changes
  EXPECT_EQ(table_.find(kHere, kDevice, ip("10.1.0.5"), now_)->since_update, seconds(3));
  effects_.clear();
  put("10.1.0.5", kNudNoarp, kNtfExtLearned);  // a flag alone is no update
  EXPECT_EQ(std::get<Notification>(effects_.front().what).since_update, seconds(3));
}

}  // namespace
}  // namespace vxmesh
