// The FDB of a vxlan device by itself. The matrices, and every order in the other tests, were
// measured on Linux 6.18.
#include "sim/kernel/fdb_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr IfIndex kDevice{2};
constexpr MacAddress kMac{{2, 0, 0, 0, 0, 0xa}};
constexpr MacAddress kOther{{2, 0, 0, 0, 0, 0xb}};
constexpr MacAddress kGroup{{0x01, 0, 0x5e, 0, 0, 1}};
constexpr MacAddress kZero{};

// The last byte is what the tests tell destinations apart by.
IpAddress dst(std::uint8_t last) {
  return IpAddress::v4(last == 0 ? 0U : 0x0a020000U + last);
}

// State, flags and destination: "80:2:1", with 'p' and 'v' a port and a VNI.
std::string describe(const FdbRecord& record) {
  std::ostringstream text;
  text << std::hex << record.entry.state << ":" << static_cast<unsigned>(record.entry.flags) << ":"
       << std::dec << static_cast<unsigned>(record.entry.dst->bytes()[3]);
  if (record.port) {
    text << "p" << *record.port;
  }
  if (record.vni) {
    text << "v" << *record.vni;
  }
  return text.str();
}

std::string describe(const Notification& told) {
  constexpr std::string_view kKinds = "ND";
  return std::string(1, kKinds.at(static_cast<std::size_t>(told.kind))) +
         describe(std::get<FdbRecord>(told.record)) + (told.sender == PortId{} ? "" : "!");
}

template <typename Values>
std::vector<std::string> describe_all(const Values& values) {
  std::vector<std::string> texts;
  texts.reserve(values.size());
  for (const auto& value : values) {
    texts.push_back(describe(value));
  }
  return texts;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

std::uint16_t flags_of(std::string_view letters) {
  unsigned flags = 0;
  for (const char letter : letters) {
    switch (letter) {
      case 'C': flags |= rtnl::kCreate; break;
      case 'R': flags |= rtnl::kReplace; break;
      case 'E': flags |= rtnl::kExcl; break;
      case 'A': flags |= rtnl::kAppend; break;
      default: break;
    }
  }
  return static_cast<std::uint16_t>(flags);
}

class FdbTableTest : public ::testing::Test {
 protected:
  void SetUp() override { add_device({}); }

  void add_device(VxlanConfig config) {
    config.index = kDevice;
    config.vni = 5;
    config.port = 4789;
    if (made_) {
      table_.remove_device(kDevice, told_);
    }
    made_ = true;
    table_.add_device(config, now_, told_);
  }

  rtnl::NewFdb entry(std::string_view flags, const MacAddress& mac, std::uint8_t last,
                     std::uint16_t state = kNudPermanent, std::uint8_t ntf = kNtfSelf) {
    return {.flags = flags_of(flags),
            .device = kDevice,
            .state = state,
            .ntf = ntf,
            .lladdr = mac,
            .dst = dst(last)};
  }
  OpDone write(const rtnl::NewFdb& request) {
    return table_.write(request, &vxlan_, false, now_, told_);
  }
  OpDone remove(rtnl::DelFdb request) {
    request.device = kDevice;
    request.ntf = static_cast<std::uint8_t>(request.ntf | kNtfSelf);
    return table_.remove(request, &vxlan_, request.underlay == IfIndex{1}, told_);
  }
  void pass(Duration time) {
    now_ = now_ + time;
    table_.run_timers(now_, told_);
  }

  std::vector<std::string> events() { return describe_all(std::exchange(told_, {})); }
  std::vector<std::string> rows() { return describe_all(table_.rows(kDevice)); }

  // "errno|extended ack|events|rows"
  std::string outcome(const OpDone& done) {
    const std::string told = join(events());
    return std::to_string(done.error_number) + "|" + done.extended_ack + "|" + told + "|" +
           join(rows());
  }

  FdbTable table_;
  FdbDevice vxlan_;
  MonotonicTime now_{seconds(1)};
  FdbTable::Notifications told_;
  bool made_ = false;
};

// --- Every write and delete over every entry ---

struct Outcome {
  char key;
  const char* text;
};

template <typename Table>
std::string text_of(const Table& table, char key) {
  for (const Outcome& outcome : table) {
    if (outcome.key == key) {
      return outcome.text;
    }
  }
  return "";
}

struct Prior {
  const char* name = "";
  MacAddress mac;
  std::uint8_t destinations = 0;
  std::uint16_t state = 0;
  std::uint8_t ntf = 0;
};
constexpr Prior kPriors[] = {
    {"absent U", kMac, 0, 0, 0},
    {"absent Z", kZero, 0, 0, 0},
    {"absent M", kGroup, 0, 0, 0},
    {"permanent", kMac, 1, 0x80, 2},
    {"dynamic", kMac, 1, 2, 2},
    {"learned", kMac, 1, 2, 0x12},
    {"zero one", kZero, 1, 0x80, 2},
    {"zero two", kZero, 2, 0x80, 2},
    {"mcast learned", kGroup, 1, 2, 0x12},
};

constexpr Outcome kWriteOutcomes[] = {
    {'a', "2|||"},
    {'b', "0||N80:2:1|80:2:1"},
    {'c', "0||N80:2:2|80:2:2"},
    {'d', "0||N80:2:3|80:2:3"},
    {'e', "0||N80:2:1p99|80:2:1p99"},
    {'f', "0||N80:12:1|80:12:1"},
    {'g', "0||N80:12:2|80:12:2"},
    {'h', "0||N80:12:3|80:12:3"},
    {'i', "0||N80:12:1p99|80:12:1p99"},
    {'j', "0||N2:2:1|2:2:1"},
    {'k', "0||N2:2:2|2:2:2"},
    {'l', "0||N2:2:3|2:2:3"},
    {'m', "0||N2:2:1p99|2:2:1p99"},
    {'n', "0||N2:12:1|2:12:1"},
    {'o', "0||N2:12:2|2:12:2"},
    {'p', "0||N2:12:3|2:12:3"},
    {'q', "0||N2:12:1p99|2:12:1p99"},
    {'r', "0||N42:2:1|42:2:1"},
    {'s', "0||N42:2:2|42:2:2"},
    {'t', "0||N42:2:3|42:2:3"},
    {'u', "0||N42:2:1p99|42:2:1p99"},
    {'v', "0||N42:12:1|42:12:1"},
    {'w', "0||N42:12:2|42:12:2"},
    {'x', "0||N42:12:3|42:12:3"},
    {'y', "0||N42:12:1p99|42:12:1p99"},
    {'z', "95|||"},
    {'A', "0|||80:2:1"},
    {'B', "17|||80:2:1"},
    {'C', "0|||2:2:1"},
    {'D', "17|||2:2:1"},
    {'E', "0|||2:12:1"},
    {'F', "17|||2:12:1"},
    {'G', "95|Cannot replace non-unicast fdb entries||80:2:1"},
    {'H', "95|Cannot replace non-unicast fdb entries||2:2:1"},
    {'I', "95|Cannot replace non-unicast fdb entries||42:2:1"},
    {'J', "0||N80:2:2|80:2:1 80:2:2"},
    {'K', "0||N80:2:3|80:2:1 80:2:3"},
    {'L', "0||N80:2:1p99|80:2:1 80:2:1p99"},
    {'M', "0||N2:2:2|2:2:1 2:2:2"},
    {'N', "0||N2:2:3|2:2:1 2:2:3"},
    {'O', "0||N2:2:1p99|2:2:1 2:2:1p99"},
    {'P', "0||N42:2:2|42:2:1 42:2:2"},
    {'Q', "0||N42:2:3|42:2:1 42:2:3"},
    {'R', "0||N42:2:1p99|42:2:1 42:2:1p99"},
    {'S', "0|||80:2:1 80:2:2"},
    {'T', "0||N2:2:1|2:2:1 2:2:2"},
    {'U', "0||N42:2:1|42:2:1 42:2:2"},
    {'V', "95|Cannot replace non-unicast fdb entries||80:2:1 80:2:2"},
    {'W', "95|Cannot replace non-unicast fdb entries||2:2:1 2:2:2"},
    {'X', "95|Cannot replace non-unicast fdb entries||42:2:1 42:2:2"},
    {'Y', "17|||80:2:1 80:2:2"},
    {'Z', "0||N80:2:3|80:2:1 80:2:2 80:2:3"},
    {'0', "0||N80:2:1p99|80:2:1 80:2:2 80:2:1p99"},
    {'1', "0||N2:2:3|2:2:1 2:2:2 2:2:3"},
    {'2', "0||N2:2:1p99|2:2:1 2:2:2 2:2:1p99"},
    {'3', "0||N42:2:3|42:2:1 42:2:2 42:2:3"},
    {'4', "0||N42:2:1p99|42:2:1 42:2:2 42:2:1p99"},
    {'5', "95|Cannot replace non-unicast fdb entries||2:12:1"},
    {'6', "0||N2:12:2|2:12:1 2:12:2"},
    {'7', "0||N2:12:3|2:12:1 2:12:3"},
    {'8', "0||N2:12:1p99|2:12:1 2:12:1p99"},
};

struct WriteRow {
  const char* prior;
  const char* flags;     // of nlmsg_flags: C(REATE) R(EPLACE) E(XCL) A(PPEND), - for none
  const char* outcomes;  // for each of kWriteStates, kWriteNtf and kWriteRemotes
};
constexpr std::uint16_t kWriteStates[] = {0x80, 0x02, 0x42};
constexpr std::uint8_t kWriteNtf[] = {0x02, 0x12, 0x03};
struct WriteRemote {
  std::uint8_t last = 0;
  std::optional<std::uint16_t> port;
};
constexpr WriteRemote kWriteRemotes[] = {{1, {}}, {2, {}}, {3, {}}, {1, 99}};
constexpr WriteRow kWriteRows[] = {
    {"absent U", "- R E A RA RE EA REA", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"absent U", "C CR CE CA CRA CRE CEA CREA", "bcdefghibcdejklmnopqjklmrstuvwxyrstu"},
    {"absent Z", "- R E A RA RE EA REA", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"absent Z", "C CE CA CEA", "bcdefghibcdejklmnopqjklmrstuvwxyrstu"},
    {"absent Z", "CR CRA CRE CREA", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"},
    {"absent M", "- R E A RA RE EA REA", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"absent M", "C CE CA CEA", "bcdefghibcdejklmnopqjklmrstuvwxyrstu"},
    {"absent M", "CR CRA CRE CREA", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"},
    {"permanent", "- A C CA", "AAAAAAAAAAAAjjjjAAAAjjjjrrrrAAAArrrr"},
    {"permanent", "R RA CR CRA", "AcdeAcdeAcdejklmAcdejklmrstuAcderstu"},
    {"permanent", "E RE EA REA CE CRE CEA CREA", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"},
    {"dynamic", "- A C CA", "bbbbCCCCbbbbCCCCCCCCCCCCrrrrCCCCrrrr"},
    {"dynamic", "R RA CR CRA", "bcdeCklmbcdeCklmCklmCklmrstuCklmrstu"},
    {"dynamic", "E RE EA REA CE CRE CEA CREA", "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD"},
    {"learned", "- A C CA", "bbbbEEEEbbbbjjjjEEEEjjjjrrrrEEEErrrr"},
    {"learned", "R RA CR CRA", "bcdeEopqbcdejklmEopqjklmrstuEopqrstu"},
    {"learned", "E RE EA REA CE CRE CEA CREA", "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"},
    {"zero one", "- C", "AAAAAAAAAAAAjjjjAAAAjjjjrrrrAAAArrrr"},
    {"zero one", "R RA CR CRA", "GGGGGGGGGGGGHHHHGGGGHHHHIIIIGGGGIIII"},
    {"zero one", "E RE EA REA CE CRE CEA CREA", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"},
    {"zero one", "A CA", "AJKLAJKLAJKLjMNOAJKLjMNOrPQRAJKLrPQR"},
    {"zero two", "- C", "SSSSSSSSSSSSTTTTSSSSTTTTUUUUSSSSUUUU"},
    {"zero two", "R RA CR CRA", "VVVVVVVVVVVVWWWWVVVVWWWWXXXXVVVVXXXX"},
    {"zero two", "E RE EA REA CE CRE CEA CREA", "YYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYY"},
    {"zero two", "A CA", "SSZ0SSZ0SSZ0TT12SSZ0TT12UU34SSZ0UU34"},
    {"mcast learned", "- C", "bbbbEEEEbbbbjjjjEEEEjjjjrrrrEEEErrrr"},
    {"mcast learned", "R RA CR CRA", "GGGG5555GGGGHHHH5555HHHHIIII5555IIII"},
    {"mcast learned", "E RE EA REA CE CRE CEA CREA", "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"},
    {"mcast learned", "A CA", "bJKLE678bJKLjMNOE678jMNOrPQRE678rPQR"},
};

constexpr Outcome kDeleteOutcomes[] = {
    {'a', "2|||"},
    {'b', "99|Device not found||"},
    {'c', "0||D80:2:1|"},
    {'d', "0|||80:2:1"},
    {'e', "99|Device not found||80:2:1"},
    {'f', "0||D2:2:1|"},
    {'g', "0|||2:2:1"},
    {'h', "99|Device not found||2:2:1"},
    {'i', "0||D2:12:1|"},
    {'j', "0|||2:12:1"},
    {'k', "99|Device not found||2:12:1"},
    {'l', "0||D80:2:1 D80:2:2|"},
    {'m', "0||D80:2:1|80:2:2"},
    {'n', "0||D80:2:2|80:2:1"},
    {'o', "0|||80:2:1 80:2:2"},
    {'p', "99|Device not found||80:2:1 80:2:2"},
};

struct DeleteRow {
  const char* prior;
  const char* outcomes;  // for each of kDeletes
};
struct Delete {
  std::optional<std::uint8_t> last;
  std::optional<std::uint16_t> port;
  std::optional<std::uint32_t> vni;
  std::optional<IfIndex> underlay;
};
constexpr Delete kDeletes[] = {
    {},
    {1, {}, {}, {}},
    {2, {}, {}, {}},
    {3, {}, {}, {}},
    {0, {}, {}, {}},
    {1, 99, {}, {}},
    {1, 4789, {}, {}},
    {1, {}, 5, {}},
    {1, {}, 6, {}},
    {1, {}, {}, IfIndex{1}},
    {{}, 99, {}, {}},
    {{}, {}, {}, IfIndex{77}},
};
constexpr DeleteRow kDeleteRows[] = {
    {"absent U", "aaaaaaaaaaab"},  {"absent Z", "aaaaaaaaaaab"}, {"absent M", "aaaaaaaaaaab"},
    {"permanent", "ccddcdccddce"}, {"dynamic", "ffggfgffggfh"},  {"learned", "iijjijiijjik"},
    {"zero one", "ccddcdccddce"},  {"zero two", "lmnolommoolp"}, {"mcast learned", "iijjijiijjik"},
};

class FdbMatrixTest : public FdbTableTest {
 protected:
  // Makes a device with the entry; its MAC.
  MacAddress make(std::string_view name) {
    add_device({});
    for (const Prior& prior : kPriors) {
      if (prior.name == name) {
        for (std::uint8_t last = 1; last <= prior.destinations; ++last) {
          EXPECT_EQ(write(entry("CA", prior.mac, last, prior.state, prior.ntf)), OpDone{});
        }
        told_.clear();
        return prior.mac;
      }
    }
    ADD_FAILURE() << name;
    return {};
  }
};

TEST_F(FdbMatrixTest, EveryWriteOverEveryEntry) {
  for (const WriteRow& row : kWriteRows) {
    std::istringstream words(row.flags);
    for (std::string flags; words >> flags;) {
      const char* expected = row.outcomes;
      for (const std::uint16_t state : kWriteStates) {
        for (const std::uint8_t ntf : kWriteNtf) {
          for (const WriteRemote& remote : kWriteRemotes) {
            rtnl::NewFdb request = entry(flags, make(row.prior), remote.last, state, ntf);
            request.port = remote.port;
            EXPECT_EQ(outcome(write(request)), text_of(kWriteOutcomes, *expected++))
                << row.prior << ", flags " << flags << ", state " << state << ", ntf " << +ntf
                << ", dst " << +remote.last;
          }
        }
      }
    }
  }
}

TEST_F(FdbMatrixTest, EveryDeleteOfEveryEntry) {
  for (const DeleteRow& row : kDeleteRows) {
    const char* expected = row.outcomes;
    for (const Delete& wanted : kDeletes) {
      rtnl::DelFdb request{.lladdr = make(row.prior),
                           .port = wanted.port,
                           .vni = wanted.vni,
                           .underlay = wanted.underlay};
      if (wanted.last) {
        request.dst = dst(*wanted.last);
      }
      EXPECT_EQ(outcome(remove(request)), text_of(kDeleteOutcomes, *expected++))
          << row.prior << ", delete " << &wanted - kDeletes;
    }
  }
}

// --- What requests are refused for ---

TEST_F(FdbTableTest, RefusesWritesInTheKernelsOrder) {
  rtnl::NewFdb request{.flags = rtnl::kCreate, .state = kNudStale};
  FdbDevice found{.kind = FdbDevice::Kind::Loopback};
  const auto refusal = [&](const FdbDevice* device) {
    return table_.write(request, device, false, now_, told_);
  };
  EXPECT_EQ(refusal(nullptr), (OpDone{EINVAL, "invalid ifindex"}));
  request.device = IfIndex{9};
  EXPECT_EQ(refusal(nullptr), (OpDone{ENODEV, "unknown ifindex"}));
  request.device = kDevice;
  EXPECT_EQ(refusal(&found), (OpDone{EINVAL, "invalid address"}));
  request.lladdr.emplace().bytes.assign(7, 2);
  EXPECT_EQ(refusal(&found), (OpDone{EINVAL, "invalid address"}));
  request.lladdr->bytes.resize(6);
  EXPECT_EQ(refusal(&found), (OpDone{EINVAL, "FDB add only supported for Ethernet devices"}));
  found.kind = FdbDevice::Kind::Vxlan;
  EXPECT_EQ(refusal(&found), (OpDone{EOPNOTSUPP, ""}));
  request.ntf = kNtfMaster;
  EXPECT_EQ(refusal(&found), (OpDone{EOPNOTSUPP, ""}));
  request.ntf = kNtfSelf;
  request.underlay = IfIndex{77};
  EXPECT_EQ(refusal(&found), (OpDone{EINVAL, ""}));
  request.state = kNudReachable;
  EXPECT_EQ(refusal(&found), (OpDone{EINVAL, ""}));
  request.dst = IpAddress::v6({});
  EXPECT_EQ(refusal(&found), (OpDone{EADDRNOTAVAIL, "Device not found"}));
  request.underlay.reset();
  EXPECT_EQ(refusal(&found), (OpDone{EAFNOSUPPORT, ""}));
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_F(FdbTableTest, RefusesGetsInTheKernelsOrder) {
  rtnl::GetFdb request{.ntf = kNtfUse};
  FdbDevice found{.kind = FdbDevice::Kind::Other};
  const auto refusal = [&](const FdbDevice* device) { return table_.get(request, device).done; };
  EXPECT_EQ(refusal(nullptr), (OpDone{EINVAL, "Invalid flags in header for fdb get request"}));
  request.ntf = 0;
  EXPECT_EQ(refusal(nullptr), (OpDone{EINVAL, "Missing lookup address for fdb get request"}));
  request.lladdr.emplace().bytes.assign(33, 2);
  EXPECT_EQ(refusal(nullptr), (OpDone{ERANGE, "Attribute failed policy validation"}));
  request.lladdr->bytes.resize(7);
  EXPECT_EQ(refusal(nullptr), (OpDone{EINVAL, "Invalid address in fdb get request"}));
  request.lladdr->bytes.resize(6);
  EXPECT_EQ(refusal(nullptr), (OpDone{ENODEV, "No device specified"}));
  request.device = IfIndex{9};
  EXPECT_EQ(refusal(nullptr), (OpDone{ENODEV, "Unknown device ifindex"}));
  request.device = kDevice;
  EXPECT_EQ(refusal(&found), (OpDone{EINVAL, "Device is not a bridge port"}));
  request.ntf = kNtfSelf;
  EXPECT_EQ(refusal(&found), (OpDone{EOPNOTSUPP, "Fdb get operation not supported by device"}));
  EXPECT_EQ(refusal(&vxlan_), (OpDone{ENOENT, "Fdb entry not found"}));
}

TEST_F(FdbTableTest, GetsTheFirstDestination) {
  write(entry("C", kZero, 1));
  write(entry("CA", kZero, 2));
  const FdbAnswer answer =
      table_.get({.device = kDevice, .ntf = kNtfSelf, .lladdr = kZero}, &vxlan_);
  ASSERT_TRUE(answer.row);
  EXPECT_EQ(describe(*answer.row), "80:2:1");
}

TEST_F(FdbTableTest, RefusesDeletes) {
  rtnl::DelFdb request{.flags = rtnl::kBulk, .device = kDevice};
  const auto refusal = [&](const FdbDevice& device) {
    return table_.remove(request, &device, false, told_);
  };
  const FdbDevice loopback{.kind = FdbDevice::Kind::Loopback};
  EXPECT_EQ(refusal(loopback), (OpDone{EINVAL, "FDB delete only supported for Ethernet devices"}));
  EXPECT_EQ(refusal(vxlan_), (OpDone{EOPNOTSUPP, ""}));
  request.ntf = kNtfSelf;
  EXPECT_EQ(refusal({.kind = FdbDevice::Kind::Other}), (OpDone{EOPNOTSUPP, ""}));
  request.flags = 0;
  EXPECT_EQ(refusal(loopback), (OpDone{EINVAL, "invalid address"}));
  request.lladdr = kMac;
  EXPECT_EQ(refusal(vxlan_), (OpDone{ENOENT, ""}));
}

TEST_F(FdbTableTest, WhatIsNotModelledEndsTheRunByName) {
  rtnl::NewFdb request = entry("C", kMac, 1);
  const auto ask = [&](const FdbDevice& device) {
    (void)table_.write(request, &device, false, now_, told_);
  };
  EXPECT_DEATH(ask({.kind = FdbDevice::Kind::Bridge}), "does not model: FDB of a bridge");
  EXPECT_DEATH(ask({.kind = FdbDevice::Kind::Other}), "FDB of a device that is no vxlan");
  request.ntf = kNtfSelf | kNtfMaster;
  EXPECT_DEATH(ask({.bridge_port = true}), "does not model: FDB of a bridge");
}

// --- What the matrices do not reach ---

TEST_F(FdbTableTest, StoresWhatItIsGivenAndShowsWhatDiffers) {
  rtnl::NewFdb request = entry("CR", kMac, 1, 0x182, 0x47);
  write(request);
  EXPECT_THAT(events(), ElementsAre("N182:46:1"));  // NTF_USE is not kept
  request.port = 0;
  request.vni = 0x7000000;
  write(request);
  EXPECT_THAT(events(), ElementsAre("N182:46:1v117440512"));
  request.port = 4789;
  request.vni = 5;
  write(request);
  EXPECT_THAT(events(), ElementsAre("N182:46:1"));
}

TEST_F(FdbTableTest, NobodyFindsAnEntryWithAnotherSourceVni) {
  rtnl::NewFdb request = entry("CR", kMac, 1);
  request.source_vni = 77;
  EXPECT_EQ(write(request), OpDone{});
  EXPECT_EQ(write(request), (OpDone{EEXIST, ""}));  // though it says REPLACE
  EXPECT_EQ(remove({.lladdr = kMac, .source_vni = 77}), (OpDone{ENOENT, ""}));
  EXPECT_EQ(table_.find(kDevice, kMac), nullptr);
  request = entry("C", kMac, 2);
  EXPECT_EQ(write(request), OpDone{});
  request = entry("CR", kMac, 3);
  request.source_vni = 78;  // the one with the device's own VNI is found, and changed
  EXPECT_EQ(write(request), OpDone{});
  EXPECT_THAT(rows(), ElementsAre("80:2:3", "80:2:1"));
  EXPECT_EQ(remove({.flags = rtnl::kBulk, .source_vni = 77}), OpDone{});
  EXPECT_THAT(rows(), ElementsAre("80:2:3"));
}

TEST_F(FdbTableTest, LimitsTheEntriesNotTheDestinations) {
  add_device({.remote = dst(1), .limit = 2});
  told_.clear();
  EXPECT_EQ(write(entry("C", kMac, 1)), OpDone{});
  EXPECT_EQ(write(entry("C", kOther, 1)), (OpDone{ENOSPC, ""}));
  EXPECT_EQ(write(entry("CR", kGroup, 1)), (OpDone{EOPNOTSUPP, ""}));
  EXPECT_EQ(write(entry("CR", kMac, 2)), OpDone{});
  EXPECT_EQ(write(entry("CA", kZero, 2)), OpDone{});
  // Without the default entry there is no room to bring it back.
  remove({.lladdr = kZero});
  EXPECT_EQ(write(entry("C", kOther, 1)), OpDone{});
  told_.clear();
  VxlanConfig config{.index = kDevice, .vni = 5, .port = 4789, .remote = dst(9), .limit = 2};
  EXPECT_EQ(table_.change_device(config, now_, told_), (OpDone{ENOSPC, ""}));
  EXPECT_THAT(events(), IsEmpty());
}

TEST_F(FdbTableTest, TheDefaultDestinationIsAnEntry) {
  told_.clear();
  VxlanConfig config{.index = kDevice, .vni = 5, .port = 4789, .remote = dst(1)};
  add_device(config);
  EXPECT_THAT(events(), ElementsAre("N82:2:1"));
  config.remote = dst(2);
  EXPECT_EQ(table_.change_device(config, now_, told_), OpDone{});
  EXPECT_THAT(events(), ElementsAre("N82:2:2", "D82:2:1"));
  config.underlay = IfIndex{1};  // alone it changes no entry
  EXPECT_EQ(table_.change_device(config, now_, told_), OpDone{});
  EXPECT_THAT(events(), IsEmpty());
  config.remote = dst(0);  // so the entry, which has no underlay, is not found now
  EXPECT_EQ(table_.change_device(config, now_, told_), OpDone{});
  EXPECT_THAT(rows(), ElementsAre("82:2:2"));
}

TEST_F(FdbTableTest, AFlushTakesWhatMatchesEverything) {
  write(entry("C", kMac, 1, kNudPermanent, 0x82));
  write(entry("C", kOther, 2, kNudNoarp | kNudReachable));
  write(entry("CA", kZero, 1));
  write(entry("CA", kZero, 2));
  told_.clear();
  const auto flush = [&](rtnl::DelFdb request) {
    request.flags = rtnl::kBulk;
    return remove(request);
  };
  EXPECT_EQ(flush({.lladdr = kMac}), (OpDone{EINVAL, "Unsupported attribute"}));
  EXPECT_EQ(flush({.underlay = IfIndex{1}}), (OpDone{EINVAL, "Unsupported attribute"}));
  EXPECT_EQ(flush({.ntf = 0x40}), (OpDone{EINVAL, "Unsupported fdb flush ndm flag bits set"}));
  EXPECT_EQ(flush({.state = kNudReachable}),
            (OpDone{EINVAL, "Unsupported fdb flush ndm state bits set"}));
  EXPECT_EQ(flush({.dst = dst(7)}), OpDone{});
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_EQ(flush({.ntf = 0x80, .dst = dst(1), .ntf_mask = 0x80}), OpDone{});
  EXPECT_THAT(events(), ElementsAre("D80:82:1"));
  EXPECT_EQ(flush({.dst = dst(1)}), OpDone{});
  EXPECT_THAT(events(), ElementsAre("D80:2:1"));
  EXPECT_EQ(flush({.state = kNudNoarp, .state_mask = kNudNoarp}), OpDone{});
  EXPECT_THAT(events(), ElementsAre("D42:2:2"));
  EXPECT_EQ(flush({.vni = 5}), OpDone{});
  EXPECT_THAT(events(), ElementsAre("D80:2:2"));
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_F(FdbTableTest, GoingDownKeepsWhatIsPinnedAndTheDefault) {
  write(entry("C", kMac, 1));
  write(entry("C", kGroup, 2, kNudReachable | kNudNoarp));
  write(entry("C", kOther, 3, kNudReachable, kNtfSelf | kNtfExtLearned));
  write(entry("C", kZero, 4, kNudReachable));
  table_.open(kDevice, now_);
  told_.clear();
  table_.stop(kDevice, told_);
  EXPECT_THAT(events(), ElementsAre("D2:12:3"));
  EXPECT_THAT(rows(), ElementsAre("2:2:4", "42:2:2", "80:2:1"));
  EXPECT_EQ(table_.next_timer(), std::nullopt);
  table_.remove_device(kDevice, told_);
  EXPECT_THAT(events(), ElementsAre("D2:2:4", "D42:2:2", "D80:2:1"));
  made_ = false;
}

TEST_F(FdbTableTest, DynamicEntriesAgeUnlessTheyAreUsed) {
  add_device({.ageing = 12});
  write(entry("C", kMac, 1, kNudReachable));
  write(entry("C", kOther, 2, kNudReachable));
  write(entry("C", kGroup, 3, kNudReachable, kNtfSelf | kNtfExtLearned));
  table_.open(kDevice, now_);
  told_.clear();
  pass(seconds(5));
  ASSERT_NE(table_.use(kDevice, kMac, now_), nullptr);
  pass(seconds(6));
  EXPECT_EQ(table_.next_timer(), MonotonicTime{seconds(13)});
  EXPECT_THAT(events(), IsEmpty());
  pass(seconds(1));
  EXPECT_THAT(events(), ElementsAre("D4:2:2"));  // its last state is STALE
  EXPECT_EQ(table_.next_timer(), MonotonicTime{seconds(18)});
  pass(seconds(5));
  EXPECT_THAT(events(), ElementsAre("D4:2:1"));
  pass(seconds(100));
  EXPECT_THAT(rows(), ElementsAre("2:12:3"));
}

TEST_F(FdbTableTest, AnotherAgeingTimeIsAppliedAtOnce) {
  write(entry("C", kMac, 1, kNudReachable));
  table_.open(kDevice, now_);
  pass(seconds(5));
  told_.clear();
  const VxlanConfig config{.index = kDevice, .vni = 5, .port = 4789, .ageing = 2};
  EXPECT_EQ(table_.change_device(config, now_, told_), OpDone{});
  EXPECT_THAT(events(), ElementsAre("D4:2:1"));
}

TEST_F(FdbTableTest, AnEntryAgesFromWhenItIsPinnedNoMore) {
  table_.open(kDevice, now_);
  write(entry("C", kMac, 1));
  write(entry("C", kOther, 2, kNudReachable));
  write(entry("CR", kMac, 1, kNudReachable));
  write(entry("CR", kOther, 2));
  pass(seconds(310));
  EXPECT_THAT(rows(), ElementsAre("80:2:2"));
  write(entry("CR", kOther, 2, kNudReachable));
  pass(seconds(10));
  EXPECT_THAT(rows(), IsEmpty());
}

// Wherever the walk before it stopped, and whatever came and went since.
RC_GTEST_FIXTURE_PROP(FdbTableTest, AWalkShowsTheRowsBehindThoseThatItSkips, ()) {
  add_device({});
  for (const unsigned drawn :
       *rc::gen::container<std::vector<unsigned>>(rc::gen::inRange<unsigned>(0, 1U << 16U))) {
    const MacAddress own{{2, 0, 0, 0, 0, static_cast<std::uint8_t>(drawn % 8)}};
    const MacAddress mac = drawn % 4 == 0 ? kGroup : own;
    const auto last = static_cast<std::uint8_t>(drawn / 8 % 4 + 1);
    switch (drawn / 32 % 4) {
      case 0: write(entry(mac == kGroup ? "CA" : "CR", mac, last)); break;
      case 1: remove({.lladdr = mac, .dst = dst(last)}); break;
      default: {
        const std::size_t skip = drawn / 128 % 8;
        const std::size_t max = drawn / 1024 % 4;
        const auto walked = describe_all(table_.rows_after(kDevice, skip, max));
        const std::vector<std::string> all = rows();
        const auto begin = static_cast<std::ptrdiff_t>(std::min(skip, all.size()));
        const auto end = static_cast<std::ptrdiff_t>(std::min(skip + max, all.size()));
        RC_ASSERT(walked == std::vector(all.begin() + begin, all.begin() + end));
        (void)table_.rows_after(kDevice, 0, drawn / 4096 % 4);  // stops there
      }
    }
  }
}

TEST_F(FdbTableTest, ADumpThatGoesOnAfterADeleteMissesAnEntry) {
  for (std::uint8_t last = 1; last <= 4; ++last) {
    write(entry("C", {{2, 0, 0, 0, 1, last}}, last));
  }
  EXPECT_THAT(describe_all(table_.rows_after(kDevice, 0, 2)), ElementsAre("80:2:4", "80:2:3"));
  remove({.lladdr = MacAddress{{2, 0, 0, 0, 1, 4}}});
  EXPECT_THAT(describe_all(table_.rows_after(kDevice, 2, 2)), ElementsAre("80:2:1"));
}

}  // namespace
}  // namespace vxmesh
