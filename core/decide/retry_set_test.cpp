#include "decide/retry_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr OpTarget kDevice{};
constexpr OpTarget kFirst{MacAddress{{0, 0x53, 100, 96, 1, 0}}};
constexpr OpTarget kSecond{MacAddress{{0, 0x53, 100, 96, 2, 0}}};
constexpr MonotonicTime kStart{std::chrono::hours(1)};

TEST(RetrySet, FailedTargetIsDueOnceAfterItsBackoff) {
  RetrySet retries;
  EXPECT_EQ(retries.next_due(), std::nullopt);
  retries.failed(kFirst, kStart, 0);
  EXPECT_EQ(retries.next_due(), kStart + milliseconds(100));
  EXPECT_THAT(retries.take_due(kStart + milliseconds(99)), IsEmpty());
  EXPECT_THAT(retries.take_due(kStart + milliseconds(100)), ElementsAre(kFirst));
  EXPECT_THAT(retries.take_due(kStart + minutes(9)), IsEmpty());
  EXPECT_EQ(retries.next_due(), std::nullopt);
  EXPECT_EQ(retries.size(), 1U) << "it stays until it succeeds";
}

TEST(RetrySet, EachFailureDoublesTheWaitUpToAMinute) {
  RetrySet retries;
  MonotonicTime now = kStart;
  Duration wait{};
  for (int i = 0; i < 11; ++i) {
    retries.failed(kFirst, now, 0);
    wait = *retries.next_due() - now;
    EXPECT_EQ(wait, std::min<Duration>(milliseconds(100) * (1 << i), minutes(1)));
    now = *retries.next_due();
    EXPECT_THAT(retries.take_due(now), ElementsAre(kFirst));
  }
  now = now + std::chrono::hours(48);
  retries.failed(kFirst, now, 0);
  EXPECT_EQ(retries.next_due(), now + minutes(1)) << "time alone heals nothing";
}

TEST(RetrySet, SuccessForgets) {
  RetrySet retries;
  retries.failed(kFirst, kStart, 0);
  retries.failed(kFirst, kStart, 0);
  retries.succeeded(kFirst);
  retries.succeeded(kSecond);
  EXPECT_EQ(retries.size(), 0U);
  EXPECT_EQ(retries.next_due(), std::nullopt);
  retries.failed(kFirst, kStart, 0);
  EXPECT_EQ(retries.next_due(), kStart + milliseconds(100));
}

TEST(RetrySet, TargetsWaitEachForThemselves) {
  RetrySet retries;
  MonotonicTime now = kStart;
  for (int i = 0; i < 5; ++i) {
    retries.failed(kFirst, now, 0);
    now = *retries.next_due();
    EXPECT_THAT(retries.take_due(now), ElementsAre(kFirst));
  }
  retries.failed(kFirst, now, 0);
  retries.failed(kSecond, now, 50'000'000);
  retries.failed(kDevice, now, 0);
  EXPECT_EQ(retries.next_due(), now + milliseconds(100));
  EXPECT_THAT(retries.take_due(now + milliseconds(150)), ElementsAre(kDevice, kSecond));
  EXPECT_EQ(retries.next_due(), now + milliseconds(3200));
  EXPECT_EQ(retries.size(), 3U);
}

TEST(RetrySet, ATryInItsTimeThatNobodyTookIsNoTryMore) {
  RetrySet retries;
  retries.failed(kFirst, kStart, 0);
  retries.failed(kFirst, kStart + milliseconds(150), 0);
  EXPECT_EQ(retries.next_due(), kStart + milliseconds(350));
  retries.succeeded(kFirst);
  EXPECT_EQ(retries.next_due(), std::nullopt);
}

TEST(RetrySet, WhatTheDeviceHoldsBackIsTriedSoonHoweverOftenItWas) {
  RetrySet retries;
  MonotonicTime now = kStart;
  for (int i = 0; i < 8; ++i) {
    retries.held_back(kFirst, now, 0);
    retries.held_back(kFirst, now + milliseconds(1), 0);
    EXPECT_EQ(retries.next_due(), now + milliseconds(100));
    now = *retries.next_due();
    EXPECT_THAT(retries.take_due(now), ElementsAre(kFirst));
  }
  retries.failed(kFirst, now, 0);
  EXPECT_EQ(retries.next_due(), now + milliseconds(100)) << "its own first failure";
  retries.held_back(kFirst, now + milliseconds(50), 0);
  EXPECT_EQ(retries.next_due(), now + milliseconds(100)) << "ahead of its time";
  EXPECT_EQ(retries.size(), 1U);
}

TEST(RetrySet, AFailureAheadOfItsTimePutsNothingOff) {
  RetrySet retries;
  retries.failed(kFirst, kStart, 0);
  retries.failed(kFirst, kStart + milliseconds(99), 0);
  EXPECT_EQ(retries.next_due(), kStart + milliseconds(100));
  EXPECT_THAT(retries.take_due(kStart + milliseconds(100)), ElementsAre(kFirst));
  retries.failed(kFirst, kStart + milliseconds(100), 0);
  EXPECT_EQ(retries.next_due(), kStart + milliseconds(300)) << "the second failure, not the third";
}

}  // namespace
}  // namespace vxmesh
