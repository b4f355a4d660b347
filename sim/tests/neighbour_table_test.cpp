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

}  // namespace
}  // namespace vxmesh
