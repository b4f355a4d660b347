#include "decide/neighbour_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

namespace vxmesh {
namespace {

std::map<IpAddress, MonotonicTime> table(const std::vector<std::uint8_t>& times) {
  std::map<IpAddress, MonotonicTime> updated;
  for (std::uint32_t i = 0; i < times.size(); ++i) {
    updated[IpAddress::v4(0x64600200U + i)] = MonotonicTime{std::chrono::seconds(times[i])};
  }
  return updated;
}

TEST(NeighbourBudget, NothingGoesWhileThereIsRoom) {
  EXPECT_THAT(evictions(table(std::vector<std::uint8_t>(16, 1)), 16), testing::IsEmpty());
  EXPECT_THAT(evictions({}, 0), testing::IsEmpty());
}

TEST(NeighbourBudget, OneTooManyGivesUpTheOldestSixteenth) {
  std::vector<std::uint8_t> times(33, 9);
  times[20] = 1;
  times[7] = 2;
  times[3] = 3;
  EXPECT_THAT(evictions(table(times), 32),
              testing::ElementsAre(IpAddress::v4(0x64600200U + 20), IpAddress::v4(0x64600200U + 7),
                                   IpAddress::v4(0x64600200U + 3)));
}

TEST(NeighbourBudget, EqualTimesGoByAddress) {
  EXPECT_THAT(evictions(table({5, 5, 5}), 2), testing::ElementsAre(IpAddress::v4(0x64600200U)));
}

RC_GTEST_PROP(NeighbourBudgetProperty, KeepsTheYoungest, (const std::vector<std::uint8_t>& times)) {
  const auto updated = table(times);
  const std::size_t max = *rc::gen::inRange<std::size_t>(0, 40);
  const std::vector<IpAddress> gone = evictions(updated, max);
  RC_ASSERT(gone.size() == (updated.size() <= max ? 0U : updated.size() - (max - max / 16)));
  std::map<IpAddress, MonotonicTime> kept = updated;
  for (const IpAddress& address : gone) {
    RC_ASSERT(kept.erase(address) == 1U);
  }
  for (const IpAddress& address : gone) {
    RC_ASSERT(std::all_of(kept.begin(), kept.end(), [&](const auto& row) {
      return std::pair(updated.at(address), address) < std::pair(row.second, row.first);
    }));
  }
}

}  // namespace
}  // namespace vxmesh
