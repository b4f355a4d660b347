// What goes wrong between an agent and the kernel of its host.
#include "sim/faults/process_netlink.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "model/ownership.h"
#include "sim/world/fake_event_loop.h"

namespace vxmesh {
namespace {

class Watcher final : public OperationWatcher {
 public:
  int executed = 0;
  int dumped_tables = 0;

 private:
  OperationFate before(const KernelOp& /*op*/, bool /*last*/) override {
    return OperationFate::Answered;
  }
  void after(const KernelOp& /*op*/, const OpResult& /*result*/, bool was_executed) override {
    executed += was_executed ? 1 : 0;
  }
  void dumped(Table /*table*/) override { ++dumped_tables; }
};

class ProcessNetlinkTest : public ::testing::Test {
 protected:
  static constexpr std::uint8_t kRows = 200;

  void SetUp() override {
    (void)netlink_.apply(std::vector<KernelOp>{CreateVxlan{Link{
        .name = "vxlan1",
        .mac = {{0, 0x53, 100, 96, 1, 0}},
        .mtu = 1450,
        .group = kOwnLinkGroup,
        .kind = "vxlan",
        .vxlan = VxlanLink{.vni = Vni{1}, .port = 4789, .local = IpAddress::v4(0xac14000b)}}}});
    device_ = kernel_.find_link("vxlan1")->index;
    for (std::uint8_t i = 0; i < kRows; ++i) {
      (void)netlink_.apply(std::vector<KernelOp>{entry(i)});
    }
    watcher_.executed = 0;
  }

  [[nodiscard]] KernelOp entry(std::uint8_t number) const {
    return ReplaceFdb{{.device = device_,
                       .mac = {{0, 0x53, 100, 96, number, 0}},
                       .dst = IpAddress::v4(0xac14000c),
                       .state = kNudPermanent,
                       .flags = kNtfSelf}};
  }

  // How many of so many operations the kernel refuses for lack of memory.
  int refused_of(int count) {
    const std::vector<KernelOp> ops(static_cast<std::size_t>(count), entry(1));
    const std::vector<OpResult> results = netlink_.apply(ops);
    return static_cast<int>(
        std::ranges::count(results, OpResult{OpDone{.error_number = ENOMEM, .extended_ack = ""}}));
  }

  // The rows of a whole dump; its error ends it.
  Result<std::size_t> rows_of(Table table) {
    const auto cursor = netlink_.dump({.table = table, .device = device_});
    std::size_t rows = 0;
    while (true) {
      const Result<DumpCursor::Step> step = cursor->next();
      if (!step) {
        return tl::unexpected(step.error());
      }
      rows += step->rows.size();
      if (step->finished) {
        return rows;
      }
    }
  }

  FakeEventLoop world_;
  HostClock clock_{world_, 0};
  Trace trace_;
  ProcessLoop loop_{world_, clock_, 1, trace_};
  KernelHost machine_;
  NamespaceState kernel_{machine_};
  KernelFaults faults_;
  Watcher watcher_;
  ProcessNetlink netlink_{kernel_, loop_, clock_, faults_, watcher_, Prng(1)};
  IfIndex device_;
};

TEST_F(ProcessNetlinkTest, SoManyOperationsOfAThousandAreRefusedAndDoNothing) {
  EXPECT_EQ(refused_of(100), 0);
  faults_.refused = 1000;
  watcher_.executed = 0;
  EXPECT_EQ(refused_of(100), 100);
  EXPECT_EQ(watcher_.executed, 0);
  faults_.refused = 300;
  const int refused = refused_of(1000);
  EXPECT_GT(refused, 200);
  EXPECT_LT(refused, 400);
  EXPECT_EQ(watcher_.executed, 1000 - refused);
}

TEST_F(ProcessNetlinkTest, DumpsFailAndDoNotCountAsRead) {
  faults_.fails_dumps = true;
  EXPECT_EQ(rows_of(Table::Fdb).error().code, ErrorCode::Environment);
  faults_.interrupts_dumps = true;
  EXPECT_EQ(rows_of(Table::Fdb).error().code, ErrorCode::Interrupted);
  EXPECT_EQ(watcher_.dumped_tables, 0);
}

TEST_F(ProcessNetlinkTest, TornDumpsLeaveOutRowsOfFdbAndNeighboursOnly) {
  EXPECT_EQ(rows_of(Table::Fdb).value(), kRows);
  const std::size_t links = rows_of(Table::Links).value();
  faults_.torn = 500;
  EXPECT_GT(rows_of(Table::Fdb).value(), kRows / 4U);
  EXPECT_LT(rows_of(Table::Fdb).value(), kRows * 3U / 4U);
  EXPECT_NE(rows_of(Table::Fdb).value(), rows_of(Table::Fdb).value()) << "not the same ones";
  EXPECT_EQ(rows_of(Table::Links).value(), links);
}

// --- What is read is in the hash of the trace ---

class ProcessNetlinkTraceTest : public ProcessNetlinkTest {
 protected:
  // Of what `read` reads alone.
  template <typename Read>
  std::uint64_t hash_of(Read read) {
    trace_ = Trace();
    read();
    return trace_.hash();
  }
  std::uint64_t hash_of_dump() {
    return hash_of([&] { EXPECT_TRUE(rows_of(Table::Fdb)); });
  }
};

TEST_F(ProcessNetlinkTraceTest, EveryRowOfADumpCounts) {
  const std::uint64_t before = hash_of_dump();
  EXPECT_EQ(hash_of_dump(), before);
  auto row = std::get<ReplaceFdb>(entry(kRows - 1));
  row.entry.dst = IpAddress::v4(0xac14000d);
  (void)netlink_.apply(std::vector<KernelOp>{row});
  EXPECT_NE(hash_of_dump(), before);
}

TEST_F(ProcessNetlinkTraceTest, EveryEventCounts) {
  const auto hash_of_write = [&](std::uint32_t dst) {
    (void)netlink_.take_events(1000);
    auto row = std::get<ReplaceFdb>(entry(1));
    row.entry.dst = IpAddress::v4(dst);
    (void)netlink_.apply(std::vector<KernelOp>{row});
    return hash_of([&] { EXPECT_EQ(netlink_.take_events(1000).size(), 1U); });
  };
  const std::uint64_t before = hash_of_write(0xac14000d);
  const std::uint64_t other = hash_of_write(0xac14000e);
  EXPECT_NE(other, before);
  EXPECT_EQ(hash_of_write(0xac14000d), before);
  netlink_.lose_messages(1);
  EXPECT_NE(hash_of_write(0xac14000e), other) << "what is read says that one is lost";
}

TEST_F(ProcessNetlinkTraceTest, EveryAnswerCounts) {
  const auto hash_of_link = [&] {
    return hash_of([&] { EXPECT_TRUE(netlink_.get_link("vxlan1").value()); });
  };
  const std::uint64_t before = hash_of_link();
  (void)netlink_.apply(std::vector<KernelOp>{ChangeLink{.device = device_, .mtu = 1400}});
  EXPECT_NE(hash_of_link(), before);
}

}  // namespace
}  // namespace vxmesh
