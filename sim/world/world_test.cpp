// Virtual time keeps the contract of the event loop, and random numbers are the same everywhere.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/world/digest.h"
#include "sim/world/fake_clock.h"
#include "sim/world/fake_event_loop.h"
#include "sim/world/fake_random.h"
#include "sim/world/prng.h"
#include "sim/world/process_loop.h"
#include "sim/world/slot_map.h"

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(FakeEventLoop, NothingRunsInsidePostOrTimer) {
  FakeEventLoop loop;
  int ran = 0;
  loop.post([&] { ++ran; });
  loop.timer(seconds(-1), [&] { ++ran; });
  EXPECT_EQ(ran, 0);
  loop.run_for(Duration{});
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(loop.now(), MonotonicTime{});
  EXPECT_FALSE(loop.run_one());
}

TEST(FakeEventLoop, TimeStandsStillInACallbackAndJumpsBetweenThem) {
  FakeEventLoop loop;
  std::vector<Duration> times;
  const auto note = [&] { times.push_back(loop.now().since_start); };
  loop.timer(seconds(3), note);
  loop.timer(seconds(1), [&] {
    note();
    loop.timer(seconds(1), note);
  });
  loop.run_until(MonotonicTime{seconds(2)});
  EXPECT_EQ(times, (std::vector<Duration>{seconds(1), seconds(2)}));
  EXPECT_EQ(loop.now(), MonotonicTime{seconds(2)});
  EXPECT_EQ(loop.pending(), 1U);
  EXPECT_TRUE(loop.run_one());
  EXPECT_EQ(times.back(), seconds(3));
}

TEST(FakeEventLoop, ACancelledCallbackDoesNotRunAndIsLetGo) {
  FakeEventLoop loop;
  auto held = std::make_shared<int>(0);
  TimerId second;
  const TimerId first = loop.timer(seconds(1), [&] { loop.cancel(second); });
  second = loop.timer(seconds(1), [held] { ++*held; });
  loop.run_for(seconds(2));
  EXPECT_EQ(*held, 0);
  EXPECT_EQ(held.use_count(), 1);
  loop.cancel(first);  // it has run
  loop.cancel(TimerId{1000});
}

// The order is that of (deadline, creation), as a stable sort gives it.
RC_GTEST_PROP(FakeEventLoopProperties, TimersRunInOrder, (const std::vector<bool>& which)) {
  FakeEventLoop loop;
  std::vector<std::pair<int, std::size_t>> wanted;
  std::vector<std::pair<int, std::size_t>> ran;
  for (std::size_t i = 0; i < which.size(); ++i) {
    const std::pair<int, std::size_t> entry{*rc::gen::inRange(0, 5), i};
    const TimerId id =
        loop.timer(milliseconds(entry.first), [&ran, entry] { ran.push_back(entry); });
    if (which[i]) {
      wanted.push_back(entry);
    } else {
      loop.cancel(id);
    }
  }
  std::sort(wanted.begin(), wanted.end());
  loop.run_for(seconds(1));
  RC_ASSERT(ran == wanted);
}

// As a map whose keys are given by the map, each once.
RC_GTEST_PROP(SlotMapProperties, AHandleStandsForOneValueAndIsNotUsedAgain,
              (const std::vector<std::uint8_t>& calls)) {
  SlotMap<int> slots;
  std::map<std::uint64_t, int> model;
  std::set<std::uint64_t> given;
  int next = 0;
  for (const std::uint8_t call : calls) {
    if (call % 2 == 0 || given.empty()) {
      const std::uint64_t handle = slots.insert(next);
      RC_ASSERT(given.insert(handle).second);
      RC_ASSERT(handle != 0U);
      model.emplace(handle, next++);
    } else {  // one that was given, and may be gone
      const std::uint64_t handle =
          *std::next(given.begin(), static_cast<std::ptrdiff_t>(call / 2U % given.size()));
      const auto known = model.find(handle);
      RC_ASSERT(slots.extract(handle) ==
                (known == model.end() ? std::nullopt : std::optional(known->second)));
      model.erase(handle);
    }
    RC_ASSERT(slots.size() == model.size());
  }
  std::multiset<int> values;
  slots.for_each([&](int value) { values.insert(value); });
  std::multiset<int> wanted;
  for (const std::uint64_t handle : given) {
    const auto known = model.find(handle);
    RC_ASSERT(slots.contains(handle) == (known != model.end()));
    const int* value = slots.find(handle);
    RC_ASSERT((value == nullptr ? std::nullopt : std::optional(*value)) ==
              (known == model.end() ? std::nullopt : std::optional(known->second)));
    if (value != nullptr) {
      wanted.insert(*value);
    }
  }
  RC_ASSERT(values == wanted);
}

TEST(FakeEventLoop, ManyThatAreCancelledLeaveTheOthersInOrder) {
  FakeEventLoop loop;
  std::vector<int> ran;
  std::vector<TimerId> cancelled;
  for (int i = 0; i < 1000; ++i) {
    const TimerId id = loop.timer(milliseconds(1000 - i), [&ran, i] { ran.push_back(i); });
    if (i % 10 != 0) {
      cancelled.push_back(id);
    }
  }
  for (const TimerId id : cancelled) {
    loop.cancel(id);
  }
  EXPECT_EQ(loop.pending(), 100U);
  EXPECT_EQ(loop.next_deadline(), MonotonicTime{milliseconds(10)});
  loop.run_for(seconds(2));
  EXPECT_EQ(ran.size(), 100U);
  EXPECT_TRUE(std::is_sorted(ran.rbegin(), ran.rend()));
}

TEST(FakeClock, TheWallStepsAndTheMonotonicClockDoesNot) {
  FakeEventLoop loop;
  FakeClock clock(loop, WallTime{seconds(1000)});
  loop.run_for(seconds(5));
  EXPECT_EQ(clock.monotonic(), MonotonicTime{seconds(5)});
  EXPECT_EQ(clock.wall(), WallTime{seconds(1005)});
  clock.step_wall(seconds(-100));
  EXPECT_EQ(clock.wall(), WallTime{seconds(905)});
  EXPECT_EQ(clock.monotonic(), MonotonicTime{seconds(5)});
}

// Those of splitmix64.c and xoshiro256starstar.c (prng.di.unimi.it) for the seed 0.
TEST(Prng, GivesTheNumbersOfTheReference) {
  Prng prng(0);
  EXPECT_EQ(prng.next(), 11091344671253066420U);
  EXPECT_EQ(prng.next(), 13793997310169335082U);
  EXPECT_EQ(prng.next(), 1900383378846508768U);
}

TEST(Prng, ASplitDependsOnSeedAndLabelOnly) {
  Prng one(7);
  const Prng two(7);
  static_cast<void>(one.next());
  EXPECT_EQ(one.split("network").next(), two.split("network").next());
  EXPECT_NE(one.split("network").next(), one.split("kernel").next());
  EXPECT_NE(one.split("network").next(), Prng(8).split("network").next());
  EXPECT_NE(one.split("network").next(), Prng(7).next());
}

TEST(Prng, AChanceIsThatOften) {
  Prng prng(1);
  int hits = 0;
  for (int i = 0; i < 10'000; ++i) {
    hits += prng.chance(1, 4) ? 1 : 0;
  }
  EXPECT_GT(hits, 2300);
  EXPECT_LT(hits, 2700);
  EXPECT_FALSE(prng.chance(0, 4));
  EXPECT_TRUE(prng.chance(4, 4));
}

// --- The trace ---

struct Inner {
  std::optional<std::uint8_t> number;
  std::string name;
};
struct Outer {
  bool flag = false;
  Inner inner;
  std::vector<Inner> more;
  std::variant<std::uint32_t, Duration> either;
  std::shared_ptr<const Inner> pointed = std::make_shared<const Inner>();
};

TEST(Digest, EveryFieldCountsAndPlacesDoNot) {
  const std::vector<Outer> values{
      {},
      {.flag = true},
      {.inner = {.number = std::uint8_t{0}}},
      {.inner = {.number = std::uint8_t{1}}},
      {.inner = {.name = "a"}},
      {.inner = {.name = "eight by"}},
      {.inner = {.name = "eight bytes and more"}},
      {.inner = {.name = "eight bytes and mort"}},
      {.more = {{}}},
      {.more = {{}, {}}},
      {.more = {{.name = "a"}}},
      {.either = 1U},
      {.either = Duration(1)},
      {.pointed = std::make_shared<const Inner>(Inner{.name = "a"})},
  };
  std::set<std::uint64_t> numbers;
  for (const Outer& value : values) {
    numbers.insert(digest_of(value));
  }
  EXPECT_EQ(numbers.size(), values.size());
  EXPECT_EQ(digest_of(Outer{}), digest_of(Outer{})) << "though they point to two places";
}

TEST(Digest, AddressesCountToTheLastBit) {
  EXPECT_NE(digest_of(IpAddress::v4(1)), digest_of(IpAddress::v4(2)));
  EXPECT_NE(digest_of(IpAddress::v4(0)), digest_of(IpAddress::v6({})));
  EXPECT_NE(digest_of(IpAddress::parse("fd00::1").value()),
            digest_of(IpAddress::parse("fd00::2").value()));
  EXPECT_NE(digest_of(IpPrefix::parse("10.0.0.0/8").value()),
            digest_of(IpPrefix::parse("10.0.0.0/9").value()));
  EXPECT_NE(digest_of(MacAddress{{1, 2, 3, 4, 5, 6}}), digest_of(MacAddress{{1, 2, 3, 4, 5, 7}}));
}

// The same on every compiler and machine.
TEST(Digest, IsWhatItWas) {
  EXPECT_EQ(digest_of(Outer{.inner = {.name = "eight bytes and more"}, .more = {{}}}),
            14734774088500975324U);
}

TEST(Trace, EveryCallbackThatIsRunCounts) {
  const auto hash_of = [](const std::vector<Duration>& delays, bool cancels = false) {
    Trace trace;
    FakeEventLoop loop(&trace);
    for (const Duration delay : delays) {
      const TimerId id = loop.timer(delay, [] {});
      if (cancels) {
        loop.cancel(id);
      }
    }
    loop.run_for(seconds(10));
    return trace.hash();
  };
  EXPECT_EQ(hash_of({seconds(1), seconds(2)}), hash_of({seconds(1), seconds(2)}));
  EXPECT_NE(hash_of({seconds(1), seconds(2)}), hash_of({seconds(1)}));
  EXPECT_NE(hash_of({seconds(1), seconds(2)}), hash_of({seconds(1), seconds(3)}));
  EXPECT_NE(hash_of({seconds(1), seconds(2)}), hash_of({seconds(2), seconds(1)}));
  EXPECT_EQ(hash_of({seconds(1)}, true), hash_of({})) << "one that is cancelled is not run";
}

TEST(Trace, EveryDrawCounts) {
  const auto hash_of = [](int draws, int split_draws) {
    Trace trace;
    Prng prng(1, &trace);
    Prng split = prng.split("network");
    for (int i = 0; i < draws; ++i) {
      static_cast<void>(prng.next());
    }
    for (int i = 0; i < split_draws; ++i) {
      static_cast<void>(split.chance(1, 2));
    }
    return trace.hash();
  };
  const std::set<std::uint64_t> hashes{hash_of(0, 0), hash_of(1, 0), hash_of(2, 0), hash_of(0, 1)};
  EXPECT_EQ(hashes.size(), 4U);
}

TEST(Trace, ATurnCountsWithItsProcess) {
  const auto hash_of = [](HostNumber host, bool pauses) {
    Trace trace;
    FakeEventLoop world;
    const HostClock clock(world, 0);
    ProcessLoop loop(world, clock, host, trace);
    loop.post([] {});
    if (pauses) {
      loop.pause();
    }
    world.run_for(seconds(1));
    return trace.hash();
  };
  EXPECT_NE(hash_of(1, false), hash_of(2, false));
  EXPECT_NE(hash_of(1, false), hash_of(1, true));
}

RC_GTEST_PROP(PrngProperties, DrawsStayInTheirRange,
              (std::uint64_t seed, std::uint64_t a, std::uint64_t b)) {
  Prng prng(seed);
  const auto [low, high] = std::minmax(a, b);
  const std::uint64_t drawn = prng.between(low, high);
  RC_ASSERT(drawn >= low);
  RC_ASSERT(drawn <= high);
  RC_ASSERT(prng.between(low, low) == low);
  static_cast<void>(prng.between(std::uint64_t{0}, UINT64_MAX));
}

}  // namespace
}  // namespace vxmesh
