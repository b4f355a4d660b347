#include "adapters/posix/event_loop_asio.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "adapters/posix/clock_posix.h"

namespace vxmesh {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

TEST(EventLoopAsio, PostedCallbacksRunLaterAndInOrder) {
  EventLoopAsio loop;
  std::vector<int> ran;
  loop.post([&] {
    ran.push_back(1);
    loop.post([&] { ran.push_back(3); });
    ran.push_back(2);
  });
  EXPECT_TRUE(ran.empty());
  loop.run();
  EXPECT_THAT(ran, ElementsAre(1, 2, 3));
}

TEST(EventLoopAsio, TimersRunByDeadlineThenByAge) {
  EventLoopAsio loop;
  std::vector<int> ran;
  loop.timer(20ms, [&] { ran.push_back(4); });
  loop.timer(-5s, [&] { ran.push_back(1); });
  loop.timer(10ms, [&] { ran.push_back(3); });
  loop.timer(0s, [&] { ran.push_back(2); });
  EXPECT_TRUE(ran.empty());
  loop.run();
  EXPECT_THAT(ran, ElementsAre(1, 2, 3, 4));
}

TEST(EventLoopAsio, ATimerRunsNotBeforeItsTime) {
  EventLoopAsio loop;
  const ClockPosix clock;
  const MonotonicTime start = clock.monotonic();
  MonotonicTime end;
  loop.timer(30ms, [&] { end = clock.monotonic(); });
  loop.run();
  EXPECT_GE(end - start, 30ms);
}

TEST(EventLoopAsio, CancelledTimersDoNotRunEvenWhenDue) {
  EventLoopAsio loop;
  std::vector<int> ran;
  TimerId second{};
  loop.timer(0s, [&] {
    ran.push_back(1);
    loop.cancel(second);  // due in the same turn
  });
  second = loop.timer(0s, [&] { ran.push_back(2); });
  const TimerId far = loop.timer(1h, [&] { ran.push_back(3); });
  loop.cancel(far);
  loop.cancel(far);
  loop.cancel(TimerId{99});
  loop.run();
  EXPECT_THAT(ran, ElementsAre(1));
}

TEST(EventLoopAsio, ACancelledFirstTimerDoesNotDelayTheNext) {
  EventLoopAsio loop;
  std::vector<int> ran;
  const TimerId first = loop.timer(5ms, [&] { ran.push_back(1); });
  loop.timer(15ms, [&] { ran.push_back(2); });
  loop.cancel(first);
  loop.run();
  EXPECT_THAT(ran, ElementsAre(2));
}

TEST(EventLoopAsio, ATimerMadeByATimerLetsPostedCallbacksRunFirst) {
  EventLoopAsio loop;
  std::vector<int> ran;
  loop.timer(0s, [&] {
    ran.push_back(1);
    loop.timer(0s, [&] { ran.push_back(3); });
    loop.post([&] { ran.push_back(2); });
  });
  loop.run();
  EXPECT_THAT(ran, ElementsAre(1, 2, 3));
}

TEST(EventLoopAsio, StopLeavesTheRestForTheNextRun) {
  EventLoopAsio loop;
  std::vector<int> ran;
  loop.timer(0s, [&] {
    ran.push_back(1);
    loop.stop();
  });
  loop.timer(0s, [&] { ran.push_back(2); });
  loop.timer(Duration::max(), [&] { ran.push_back(99); });  // keeps run from ending by itself
  loop.run();
  EXPECT_THAT(ran, ElementsAre(1));
  loop.post([&] { loop.timer(1ms, [&] { loop.stop(); }); });
  loop.run();
  EXPECT_THAT(ran, ElementsAre(1, 2));
}

TEST(ClockPosix, WallIsSinceTheEpochAndMonotonicGoesForward) {
  const ClockPosix clock;
  EXPECT_GT(clock.wall().since_epoch, 24h * 365 * 50);
  const MonotonicTime first = clock.monotonic();
  EXPECT_GE(clock.monotonic(), first);
}

}  // namespace
}  // namespace vxmesh
