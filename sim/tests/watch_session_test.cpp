// The watch session against a fake API server that fails in every way that it can.
#include "agent/watch_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/kube/fake_kubernetes.h"
#include "sim/world/fake_clock.h"
#include "sim/world/fake_event_loop.h"
#include "sim/world/fake_random.h"

namespace vxmesh {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::Pair;

using Contents = std::map<std::string, NodeOrRejection>;

// The last name in the order of lists, so that a list which is cut short never holds it.
constexpr const char* kOwnName = "z-own";

Node node(const std::string& name, std::uint32_t address = 1) {
  return {.name = name,
          .uid = "uid-" + name,
          .created_s = 0,
          .pod_cidrs = {},
          .addresses = {{.address = IpAddress::v4(address)}}};
}

std::string name_of(const NodeOrRejection& node) {
  return std::visit([](const auto& either) { return either.name; }, node);
}

// Every state that the store has been in, in order.
class History {
 public:
  explicit History(NodeStore& store) : store_(store) {
    record();
    subscription_ = store.subscribe([this] { record(); });
  }

  [[nodiscard]] std::size_t index_of(const ResourceVersion& version) const {
    return indexes_.at(version);
  }
  [[nodiscard]] const Contents& at(std::size_t index) const { return states_.at(index); }
  [[nodiscard]] const Contents& latest() const { return states_.back(); }

 private:
  // Only a change of the Nodes makes a new state; the revision of something else is the same one.
  void record() {
    Contents contents;
    const auto page = store_.list(0);
    for (const auto& object : page->objects) {
      contents.emplace(object->name, *object->payload);
    }
    if (states_.empty() || states_.back() != contents) {
      states_.push_back(std::move(contents));
    }
    indexes_.emplace(store_.resource_version(), states_.size() - 1);
  }

  NodeStore& store_;
  std::vector<Contents> states_;
  std::map<ResourceVersion, std::size_t> indexes_;
  NodeStore::Subscription subscription_;
};

// Mirrors what it is told, and insists that this is a state of the store at any time, that every
// event leads to the next state, and that nothing ever goes back. Does not believe a list without
// the own Node.
class MirrorSink final : public NodeSink {
 public:
  explicit MirrorSink(const History& history) : history_(history) {}

  bool on_list(const NodeSnapshot& snapshot) override {
    ++calls;
    Contents listed;
    for (const auto& each : snapshot.nodes) {
      listed.emplace(each->name, *each);
    }
    for (const NodeRejection& each : snapshot.rejections) {
      listed.emplace(each.name, each);
    }
    if (!listed.contains(kOwnName)) {
      return false;
    }
    const std::size_t index = history_.index_of(snapshot.resource_version);
    consistent = consistent && listed == history_.at(index) && (!has_list || index >= index_);
    has_list = true;
    index_ = index;
    view = std::move(listed);
    if (hook) {
      hook();
    }
    return true;
  }

  void on_node_event(WatchEventType type, const SharedNode& node) override {
    ++calls;
    if (type == WatchEventType::Deleted) {
      view.erase(name_of(*node));
    } else {
      view.insert_or_assign(name_of(*node), *node);
    }
    ++index_;
    consistent = consistent && has_list && view == history_.at(index_);
    if (hook) {
      hook();
    }
  }

  void on_session(WatchState state, const std::string& error) override {
    ++calls;
    sessions.emplace_back(state, error);
    if (session_hook) {
      session_hook();
    }
  }

  [[nodiscard]] WatchState state() const { return sessions.back().first; }

  Contents view;
  bool has_list = false;
  bool consistent = true;  // all of the above held so far
  int calls = 0;
  std::vector<std::pair<WatchState, std::string>> sessions;
  std::function<void()> hook;          // runs inside on_list and on_node_event
  std::function<void()> session_hook;  // runs inside on_session

 private:
  const History& history_;
  std::size_t index_ = 0;
};

// One session, one server, and every call that the one made to the other.
struct World {
  struct Request {
    MonotonicTime at;
    KubernetesCall call;
  };

  explicit World(std::uint64_t seed = 1) : random(Prng(seed)) {
    log = kubernetes.add_rule([this](const KubernetesCall& call) {
      requests.push_back({loop.now(), call});
      return std::nullopt;
    });
    for (const char* name : {"a", "b", "c", "d", kOwnName}) {
      check(store.create(name, node(name)).has_value(), "the store was empty");
    }
  }

  // Runs until the session watches and has caught up.
  void settle() {
    session->start();
    loop.run_for(seconds(1));
    ASSERT_EQ(sink.state(), WatchState::Watching);
    ASSERT_EQ(sink.view, history.latest());
    requests.clear();
  }

  void change(std::uint32_t address) {
    check(store.update(kOwnName, node(kOwnName, address)).has_value(), "the own Node is there");
  }

  [[nodiscard]] bool is_watch(std::size_t i) const {
    return std::holds_alternative<WatchRequest>(requests.at(i).call);
  }
  [[nodiscard]] const ListRequest& list(std::size_t i) const {
    return std::get<ListRequest>(requests.at(i).call);
  }
  [[nodiscard]] const WatchRequest& watch(std::size_t i) const {
    return std::get<WatchRequest>(requests.at(i).call);
  }
  [[nodiscard]] std::size_t lists() const {
    return static_cast<std::size_t>(std::count_if(
        requests.begin(), requests.end(),
        [](const Request& each) { return std::holds_alternative<ListRequest>(each.call); }));
  }
  [[nodiscard]] const WatchSessionCounters& counters() const { return session->counters(); }

  FakeEventLoop loop;
  FakeClock clock{loop};
  FakeRandom random;
  NodeStore store;
  History history{store};
  FakeKubernetes kubernetes{store, loop};
  std::vector<Request> requests;
  FakeKubernetes::RuleGuard log;
  MirrorSink sink{history};
  std::unique_ptr<WatchSession> session = std::make_unique<WatchSession>(
      kubernetes, loop, clock, random, sink, WatchSessionOptions{.page_limit = 2});
};

// A rule for watches only, or for lists only.
FakeKubernetes::RuleGuard on_watches(World& world, KubernetesFault fault) {
  return world.kubernetes.add_rule(
      [fault = std::move(fault)](const KubernetesCall& call) -> std::optional<KubernetesFault> {
        return std::holds_alternative<WatchRequest>(call) ? std::optional(fault) : std::nullopt;
      });
}
FakeKubernetes::RuleGuard on_lists(World& world, KubernetesFault fault) {
  return world.kubernetes.add_rule(
      [fault = std::move(fault)](const KubernetesCall& call) -> std::optional<KubernetesFault> {
        return std::holds_alternative<ListRequest>(call) ? std::optional(fault) : std::nullopt;
      });
}
// A rule for lists that name a resourceVersion.
FakeKubernetes::RuleGuard on_relists(World& world, KubernetesFault fault) {
  return world.kubernetes.add_rule(
      [fault = std::move(fault)](const KubernetesCall& call) -> std::optional<KubernetesFault> {
        const auto* list = std::get_if<ListRequest>(&call);
        const bool relist = list != nullptr && !list->resource_version.empty();
        return relist ? std::optional(fault) : std::nullopt;
      });
}

// --- The proper course ---

TEST(WatchSession, ListsTheMostRecentPageByPageAndWatchesFromThere) {
  World world;
  world.session->start();
  world.loop.run_for(seconds(1));
  ASSERT_EQ(world.requests.size(), 4U);  // five Nodes, two a page
  EXPECT_EQ(world.list(0).limit, 2U);
  EXPECT_EQ(world.list(0).resource_version, "");
  EXPECT_EQ(world.list(0).continue_token, "");
  EXPECT_NE(world.list(1).continue_token, "");
  EXPECT_EQ(world.list(1).resource_version, "");
  EXPECT_NE(world.list(2).continue_token, world.list(1).continue_token);
  EXPECT_EQ(world.watch(3).resource_version, world.store.resource_version());
  EXPECT_EQ(world.sink.view, world.history.latest());
  EXPECT_THAT(world.sink.sessions,
              ElementsAre(Pair(WatchState::Listing, ""), Pair(WatchState::Watching, "")));
  EXPECT_EQ(world.counters(), (WatchSessionCounters{.lists = 1, .watches = 1}));
}

TEST(WatchSession, RejectedNodesAreListedAndWatchedToo) {
  World world;
  const NodeRejection bad{.name = "bad", .uid = "u", .reason = "spec.podCIDR"};
  ASSERT_TRUE(world.store.create("bad", bad));
  world.settle();
  ASSERT_TRUE(world.store.update("bad", node("bad")));
  ASSERT_TRUE(world.store.update("a", NodeRejection{.name = "a", .uid = "u", .reason = "r"}));
  world.loop.run_for(seconds(1));
  EXPECT_EQ(world.sink.view, world.history.latest());
  EXPECT_TRUE(world.sink.consistent);
}

TEST(WatchSession, ACleanEndResumesWithoutAListOrAWord) {
  World world;
  world.settle();
  for (std::uint32_t i = 0; i < 40; ++i) {
    world.change(100 + i);
    world.loop.run_for(minutes(1));
  }
  EXPECT_EQ(world.lists(), 0U);
  EXPECT_GE(world.requests.size(), 4U);
  EXPECT_EQ(world.counters().watch_restarts, world.requests.size());
  EXPECT_EQ(world.sink.sessions.size(), 2U);
  EXPECT_EQ(world.sink.view, world.history.latest());
  EXPECT_TRUE(world.sink.consistent);
}

TEST(WatchSession, TimeoutsAreSpreadOverTheirRange) {
  World world;
  world.session->start();
  world.loop.run_for(hours(10));
  std::uint32_t least = 600;
  std::uint32_t most = 0;
  for (std::size_t i = 3; i < world.requests.size(); ++i) {
    const std::uint32_t timeout_s = world.watch(i).timeout_s;
    EXPECT_GE(timeout_s, 300U);
    EXPECT_LT(timeout_s, 600U);
    least = std::min(least, timeout_s);
    most = std::max(most, timeout_s);
  }
  EXPECT_LT(least, 350U);
  EXPECT_GT(most, 550U);
}

TEST(WatchSession, BookmarksKeepAQuietWatchAheadOfCompaction) {
  World world;
  world.settle();
  for (int i = 0; i < 60; ++i) {
    world.store.advance();
    world.loop.run_for(minutes(1));
    world.store.compact();
  }
  EXPECT_GT(world.counters().bookmarks, 0U);
  EXPECT_EQ(world.counters().expired, 0U);
  EXPECT_EQ(world.lists(), 0U);
}

// --- Lists that fail ---

TEST(WatchSession, NothingOfAPartialListIsHandedOver) {
  for (const std::size_t nodes : {0U, 1U, 2U}) {
    World world;
    const auto fault = on_lists(world, reset_after(nodes));
    world.session->start();
    world.loop.run_for(minutes(10));
    EXPECT_FALSE(world.sink.has_list) << nodes;
    EXPECT_EQ(world.sink.state(), WatchState::BackingOff);
    EXPECT_GT(world.counters().transport_errors, 5U);
  }
}

TEST(WatchSession, ALaterPageThatFailsCostsTheWholeList) {
  World world;
  const auto fault = world.kubernetes.add_rule(
      [failed = false](const KubernetesCall& call) mutable -> std::optional<KubernetesFault> {
        const auto* list = std::get_if<ListRequest>(&call);
        if (failed || list == nullptr || list->continue_token.empty()) {
          return std::nullopt;
        }
        failed = true;
        return reset_after(1);
      });
  world.session->start();
  world.loop.run_for(minutes(1));
  ASSERT_GE(world.requests.size(), 3U);
  EXPECT_EQ(world.list(2).continue_token, "");
  EXPECT_EQ(world.sink.view, world.history.latest());
  EXPECT_TRUE(world.sink.consistent);
}

TEST(WatchSession, AnExpiredContinueTokenRestartsFromTheFirstPage) {
  World world;
  int compactions = 0;
  const auto fault = world.kubernetes.add_rule([&](const KubernetesCall& call) {
    const auto* list = std::get_if<ListRequest>(&call);
    if (list != nullptr && !list->continue_token.empty() && compactions < 2) {
      ++compactions;
      world.change(100);
      world.store.advance();
      world.store.compact();
    }
    return std::optional<KubernetesFault>();
  });
  world.session->start();
  world.loop.run_for(minutes(1));
  EXPECT_EQ(compactions, 2);
  EXPECT_EQ(world.counters().expired, 2U);
  EXPECT_EQ(world.list(2).continue_token, "");
  EXPECT_EQ(world.list(2).resource_version, "");
  EXPECT_EQ(world.sink.view, world.history.latest());
}

TEST(WatchSession, AListThatIsNotBelievedIsAskedForAgainAndNotWatchedFrom) {
  World world;
  world.settle();
  const Contents before = world.sink.view;
  auto fault = on_lists(world, end_after(0));
  world.session->relist();
  world.loop.run_for(minutes(10));
  EXPECT_EQ(world.lists(), world.requests.size());
  EXPECT_GT(world.counters().lists_rejected, 5U);
  EXPECT_EQ(world.sink.view, before);
  EXPECT_EQ(world.sink.state(), WatchState::BackingOff);
  EXPECT_NE(world.sink.sessions.back().second, "");

  fault.reset();
  world.loop.run_for(minutes(2));
  EXPECT_EQ(world.sink.sessions.back(), std::pair(WatchState::Watching, std::string()));
}

TEST(WatchSession, AListWithoutAResourceVersionIsAFailure) {
  for (const char* version : {"", "0"}) {
    World world;
    const auto fault = on_lists(world, wrong_versions_after(0, version));
    world.session->start();
    world.loop.run_for(minutes(10));
    EXPECT_FALSE(world.sink.has_list);
    EXPECT_GT(world.counters().missing_versions, 3U);
  }
}

TEST(WatchSession, PagesOfDifferentStatesAreNotOneList) {
  World world;
  const auto fault =
      world.kubernetes.add_rule([](const KubernetesCall& call) -> std::optional<KubernetesFault> {
        const auto* list = std::get_if<ListRequest>(&call);
        const bool later = list != nullptr && !list->continue_token.empty();
        return later ? std::optional(wrong_versions_after(0, "1")) : std::nullopt;
      });
  world.session->start();
  world.loop.run_for(minutes(10));
  EXPECT_FALSE(world.sink.has_list);
  EXPECT_GT(world.counters().missing_versions, 3U);
}

// --- Watches that fail ---

struct WatchFault {
  std::string name;
  KubernetesFault fault;
};
std::ostream& operator<<(std::ostream& stream, const WatchFault& fault) {
  return stream << fault.name;
}

class ResumedAfter : public testing::TestWithParam<WatchFault> {};

// However long it takes: thousands of agents that all list when a server comes back would bring it
// down again.
TEST_P(ResumedAfter, TheWatchGoesOnWhereItWasAndNothingIsListed) {
  World world;
  world.settle();
  const ResourceVersion seen = world.store.resource_version();
  world.change(50);
  auto fault = on_watches(world, GetParam().fault);
  world.kubernetes.interrupt(refused());
  world.loop.run_for(minutes(30));
  EXPECT_EQ(world.sink.state(), WatchState::BackingOff);
  EXPECT_NE(world.sink.sessions.back().second, "");
  EXPECT_EQ(world.lists(), 0U);
  for (std::size_t i = 0; i < world.requests.size(); ++i) {
    EXPECT_EQ(world.watch(i).resource_version, seen);
  }
  fault.reset();
  world.loop.run_for(minutes(5));
  EXPECT_EQ(world.lists(), 0U);
  EXPECT_EQ(world.sink.sessions.back(), std::pair(WatchState::Watching, std::string()));
  EXPECT_EQ(world.sink.view, world.history.latest());
  EXPECT_TRUE(world.sink.consistent);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, ResumedAfter,
    testing::Values(WatchFault{"refused", refused()}, WatchFault{"stalled", stalled()},
                    WatchFault{"status401", http_status(401, "Unauthorized")},
                    WatchFault{"status403", http_status(403, "Forbidden")},
                    WatchFault{"status429", http_status(429)},
                    WatchFault{"event429", error_event_after(0, 429, "TooManyRequests")},
                    WatchFault{"status500", http_status(500)},
                    WatchFault{"proxy504", http_status(504)},
                    WatchFault{"status503", http_status(503)}),
    [](const auto& param) { return param.param.name; });

class ListedAfter : public testing::TestWithParam<WatchFault> {};

TEST_P(ListedAfter, AListNotOlderThanWhatWasSeenTakesOver) {
  World world;
  world.settle();
  const ResourceVersion seen = world.store.resource_version();
  world.store.advance();
  const auto fault =
      world.kubernetes.add_rule([&](const KubernetesCall& call) -> std::optional<KubernetesFault> {
        const auto* watch = std::get_if<WatchRequest>(&call);
        const bool again = watch != nullptr && watch->resource_version == seen;
        return again ? std::optional(GetParam().fault) : std::nullopt;
      });
  world.kubernetes.interrupt(refused());
  world.loop.run_for(milliseconds(1));
  world.change(50);
  world.loop.run_for(minutes(60));
  EXPECT_EQ(world.lists(), 3U);
  for (const World::Request& request : world.requests) {
    if (const auto* list = std::get_if<ListRequest>(&request.call)) {
      EXPECT_EQ(list->resource_version, list->continue_token.empty() ? seen : "");
    }
  }
  EXPECT_EQ(world.counters().relists, 1U);
  EXPECT_EQ(world.sink.state(), WatchState::Watching);
  EXPECT_EQ(world.sink.view, world.history.latest());
  EXPECT_TRUE(world.sink.consistent);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, ListedAfter,
    testing::Values(WatchFault{"status410", http_status(410, "Expired")},
                    WatchFault{"event410", error_event_after(0, 410, "Expired")},
                    WatchFault{"event410Gone", error_event_after(0, 410, "Gone")},
                    WatchFault{"tooLarge504", http_status(504, "Timeout")},
                    WatchFault{"status400", http_status(400, "BadRequest")},
                    WatchFault{"status404", http_status(404, "NotFound")},
                    WatchFault{"noVersions", wrong_versions_after(0, "")},
                    WatchFault{"versionsOfZero", wrong_versions_after(0, "0")},
                    // What follows cannot be read, however often it is asked for.
                    WatchFault{"event500", error_event_after(0, 500, "InternalError")},
                    WatchFault{"reset", reset_after(0)}, WatchFault{"endsAtOnce", end_after(0)},
                    WatchFault{"stalls", stall_after(0)}),
    [](const auto& param) { return param.param.name; });

TEST(WatchSession, AShortWatchAfterAGoodOneIsAFailureToo) {
  World world;
  world.settle();
  world.change(9);
  world.loop.run_for(seconds(1));
  const auto fault = on_watches(world, end_after(0));
  world.kubernetes.interrupt(end_after(0));
  world.loop.run_for(milliseconds(500));
  EXPECT_EQ(world.requests.size(), 1U);
  EXPECT_EQ(world.counters().short_watches, 1U);
}

TEST(WatchSession, AShortWatchThatBroughtNewsIsResumedAtOnce) {
  World world;
  world.settle();
  for (std::uint32_t i = 0; i < 5; ++i) {
    world.change(100 + i);
    world.loop.run_for(milliseconds(2));
    world.kubernetes.interrupt(end_after(0));
    world.loop.run_for(milliseconds(2));
  }
  EXPECT_EQ(world.requests.size(), 5U);
  EXPECT_EQ(world.sink.sessions.size(), 2U);
  EXPECT_EQ(world.counters().short_watches, 0U);
}

// Breaks the open watch, and waits for the next one.
void break_watch(World& world) {
  world.kubernetes.interrupt(reset_after(0));
  do {
    world.loop.run_one();
  } while (world.sink.state() != WatchState::Watching || world.kubernetes.calls() == 0);
}

TEST(WatchSession, OnlyWatchesThatBreakInARowLeadToAList) {
  World world;
  world.settle();
  break_watch(world);
  break_watch(world);
  EXPECT_EQ(world.counters().relists, 0U);
  break_watch(world);
  EXPECT_EQ(world.counters().relists, 1U);
  break_watch(world);  // the list begins a new row
  break_watch(world);
  EXPECT_EQ(world.counters().relists, 1U);
  world.change(9);  // so does an event
  world.loop.run_for(milliseconds(10));
  break_watch(world);  // this one has brought something
  break_watch(world);
  break_watch(world);
  EXPECT_EQ(world.counters().relists, 1U);
  const std::uint64_t restarts = world.counters().watch_restarts;
  world.loop.run_for(minutes(11));  // so does a watch that ends in its time
  EXPECT_GT(world.counters().watch_restarts, restarts);
  break_watch(world);
  break_watch(world);
  EXPECT_EQ(world.counters().relists, 1U);
  break_watch(world);
  EXPECT_EQ(world.counters().relists, 2U);
  EXPECT_EQ(world.sink.view, world.history.latest());
}

TEST(WatchSession, ACompactionDuringAnOutageLeadsToAList) {
  World world;
  world.settle();
  world.kubernetes.interrupt(reset_after(0));
  world.loop.run_for(milliseconds(1));
  ASSERT_TRUE(world.store.remove("b"));
  world.change(50);
  world.store.compact();
  world.loop.run_for(minutes(1));
  EXPECT_EQ(world.counters().expired, 1U);
  EXPECT_EQ(world.lists(), 2U);
  EXPECT_EQ(world.sink.view, world.history.latest());
}

TEST(WatchSession, AListThatCannotBeThatNewAsksForTheMostRecent) {
  for (const KubernetesFault& answer : {http_status(410, "Expired"), http_status(504, "Timeout")}) {
    World world;
    world.settle();
    const ResourceVersion seen = world.store.resource_version();
    const auto fault = on_relists(world, answer);
    world.session->relist();
    world.loop.run_for(minutes(1));
    ASSERT_EQ(world.requests.size(), 5U);
    EXPECT_EQ(world.list(0).resource_version, seen);
    EXPECT_EQ(world.list(1).resource_version, "");
    EXPECT_EQ(world.sink.state(), WatchState::Watching);
  }
}

// --- Deadlines ---

TEST(WatchSession, APageThatDoesNotComeIsAskedForAgain) {
  World world;
  auto fault = on_lists(world, stall_after(1));
  world.session->start();
  world.loop.run_for(seconds(59));
  EXPECT_EQ(world.requests.size(), 1U);
  world.loop.run_for(seconds(3));
  EXPECT_EQ(world.requests.size(), 2U);
  EXPECT_EQ(world.counters().timeouts, 1U);
  EXPECT_FALSE(world.sink.has_list);
}

TEST(WatchSession, AListMayTakeLongAsLongAsItGoesOn) {
  World world;
  // One Node at a time, and 59 s between two: the connection is slow, not dead.
  FakeKubernetes slow(
      world.store, world.loop,
      FakeKubernetesOptions{
          .latency = seconds(59), .items_per_turn = 1, .between_turns = seconds(59)});
  WatchSession session(slow, world.loop, world.clock, world.random, world.sink,
                       WatchSessionOptions{.page_limit = 3});
  session.start();
  world.loop.run_for(seconds(59 * 8 + 1));
  EXPECT_EQ(session.counters().timeouts, 0U);
  EXPECT_EQ(world.sink.view, world.history.latest());
}

TEST(WatchSession, AWatchThatOutlivesItsTimeIsDead) {
  World world;
  const auto fault = on_watches(world, stall_after(0));
  world.session->start();
  world.loop.run_for(seconds(1));
  const World::Request watch = world.requests.back();
  const Duration timeout = seconds(std::get<WatchRequest>(watch.call).timeout_s);
  world.loop.run_until(watch.at + timeout + seconds(9));
  EXPECT_EQ(world.counters().timeouts, 0U);
  world.loop.run_for(seconds(3));
  EXPECT_EQ(world.counters().timeouts, 1U);
  EXPECT_EQ(world.sink.sessions.at(2).first, WatchState::BackingOff);
}

TEST(WatchSession, AWatchThatFallsSilentIsDeadIfItsServerSendsBookmarks) {
  World world;
  world.settle();
  world.loop.run_for(seconds(61));
  ASSERT_EQ(world.counters().bookmarks, 1U);
  world.kubernetes.interrupt(stall_after(0));
  world.loop.run_for(seconds(178));
  EXPECT_EQ(world.counters().timeouts, 0U);
  world.loop.run_for(seconds(3));
  EXPECT_EQ(world.counters().timeouts, 1U);
  EXPECT_EQ(world.lists(), 0U) << "the watch goes on where it was";
}

// The server has sent bookmarks, and sends none any more: one watch is ended, and then it is
// believed.
TEST(WatchSession, AServerThatStopsToSendBookmarksIsNotAskedAgainAndAgain) {
  World world;
  world.settle();
  world.loop.run_for(seconds(61));
  const auto fault = on_watches(world, no_bookmarks());
  world.kubernetes.interrupt(no_bookmarks());
  world.loop.run_for(minutes(9));
  EXPECT_EQ(world.counters().timeouts, 1U);
}

// --- Waits ---

TEST(WatchSession, WaitsGrowFrom800MillisecondsTo30SecondsWithJitter) {
  World world;
  const auto fault = on_lists(world, refused());
  world.session->start();
  world.loop.run_for(hours(2));
  Duration delay = milliseconds(800);
  const Duration answer = milliseconds(1);
  ASSERT_GT(world.requests.size(), 20U);
  bool jitter = false;
  for (std::size_t i = 1; i < world.requests.size(); ++i) {
    const Duration waited = world.requests[i].at - world.requests[i - 1].at - answer;
    EXPECT_GE(waited, delay);
    EXPECT_LT(waited, 2 * delay);
    jitter = jitter || waited > delay + delay / 2;
    delay = std::min<Duration>(2 * delay, seconds(30));
  }
  EXPECT_TRUE(jitter);
}

TEST(WatchSession, TwoQuietMinutesForgetFailuresAndGoodLists) {
  World world;
  auto fault = on_lists(world, refused());
  world.session->start();
  world.loop.run_for(minutes(10));
  fault.reset();
  world.loop.run_for(minutes(5));
  world.requests.clear();
  world.kubernetes.interrupt(refused());
  world.loop.run_for(seconds(2));
  EXPECT_EQ(world.requests.size(), 1U);
}

TEST(WatchSession, RetryAfterIsHonouredWithinReason) {
  const std::vector<std::pair<Duration, Duration>> asked_and_waited{
      {seconds(0), milliseconds(800)}, {seconds(7), seconds(7)}, {hours(1), minutes(2)}};
  for (const auto& [asked, waited] : asked_and_waited) {
    for (const bool watch : {false, true}) {
      World world;
      const KubernetesFault answer = http_status(429, "", asked);
      const auto fault = watch ? on_watches(world, answer) : on_lists(world, answer);
      world.session->start();
      world.loop.run_for(seconds(1));
      const MonotonicTime first = world.requests.back().at;
      world.requests.clear();
      world.loop.run_for(minutes(3));
      ASSERT_FALSE(world.requests.empty());
      EXPECT_GE(world.requests.front().at - first, waited);
      EXPECT_LT(world.requests.front().at - first, waited + seconds(1));
      EXPECT_GE(world.counters().throttled, 2U);
    }
  }
}

// --- Stop, relist, and calls from inside callbacks ---

TEST(WatchSession, RelistListsAtOnceFromWhatWasSeen) {
  World world;
  world.settle();
  world.change(9);
  world.loop.run_for(seconds(1));
  world.session->relist();
  world.session->relist();  // one is under way
  world.loop.run_for(milliseconds(10));
  ASSERT_EQ(world.requests.size(), 4U);
  EXPECT_EQ(world.list(0).resource_version, world.store.resource_version());
  EXPECT_TRUE(world.is_watch(3));
  EXPECT_EQ(world.kubernetes.calls(), 1U);
}

TEST(WatchSession, RelistDoesNotCutAWaitShort) {
  World world;
  world.settle();
  auto fault = on_watches(world, refused());
  world.kubernetes.interrupt(refused());
  world.loop.run_for(milliseconds(700));
  world.session->relist();
  EXPECT_TRUE(world.requests.empty());
  world.loop.run_for(seconds(1));
  ASSERT_FALSE(world.requests.empty());
  EXPECT_FALSE(world.is_watch(0));
}

TEST(WatchSession, RelistMayBeCalledFromAnEvent) {
  World world;
  world.settle();
  bool once = true;
  world.sink.hook = [&] {
    if (std::exchange(once, false)) {
      world.session->relist();
    }
  };
  world.change(7);
  world.change(8);
  world.loop.run_for(seconds(1));
  EXPECT_EQ(world.counters().relists, 1U);
  EXPECT_EQ(world.sink.view, world.history.latest());
  EXPECT_TRUE(world.sink.consistent);
  EXPECT_EQ(world.kubernetes.calls(), 1U);
}

TEST(WatchSession, StopMayBeCalledFromEveryCallback) {
  for (int stop_at = 1; stop_at <= 6; ++stop_at) {
    World world;
    auto fault = on_watches(world, reset_after(1));
    const auto stop = [&] {
      if (world.sink.calls >= stop_at) {
        world.session->stop();
      }
    };
    world.sink.hook = stop;
    world.sink.session_hook = stop;
    world.session->start();
    world.loop.run_for(milliseconds(20));
    world.change(7);
    world.loop.run_for(minutes(10));
    EXPECT_EQ(world.sink.calls, stop_at);
    EXPECT_EQ(world.loop.pending(), 0U);
    EXPECT_EQ(world.kubernetes.calls(), 0U);
  }
}

TEST(WatchSession, ItStartsAgainAfterAStop) {
  World world;
  world.settle();
  const ResourceVersion seen = world.store.resource_version();
  world.session->stop();
  world.change(9);
  world.session->relist();  // not for a stopped one
  world.loop.run_for(minutes(1));
  EXPECT_TRUE(world.requests.empty());
  world.session->start();
  world.session->start();
  world.loop.run_for(seconds(1));
  EXPECT_EQ(world.list(0).resource_version, seen);
  EXPECT_EQ(world.lists(), 3U);
  EXPECT_EQ(world.sink.view, world.history.latest());
}

// --- Any schedule of faults ---

KubernetesFault any_fault() {
  const auto items = *rc::gen::inRange<std::size_t>(0, 4);
  const Duration retry_after = seconds(*rc::gen::inRange(0, 4000));
  const std::vector<KubernetesFault> faults{
      refused(),
      reset_after(items),
      http_status(401, "Unauthorized"),
      http_status(404, "NotFound"),
      http_status(410, "Expired"),
      http_status(429, "", retry_after),
      http_status(503, "", retry_after),
      http_status(504, "Timeout"),
      error_event_after(items, 410, "Expired"),
      error_event_after(items, 429, "TooManyRequests"),
      error_event_after(items, 500, "InternalError"),
      stalled(),
      stall_after(items),
      end_after(items),
      wrong_versions_after(items, ""),
      wrong_versions_after(items, "0"),
  };
  return *rc::gen::elementOf(faults);
}

// One random thing that happens to the cluster or to the connection.
void happen(World& world) {
  const std::string name(1, static_cast<char>('a' + *rc::gen::inRange(0, 6)));
  const auto address = *rc::gen::inRange<std::uint32_t>(1, 100);
  switch (*rc::gen::inRange(0, 8)) {
    case 0: static_cast<void>(world.store.create(name, node(name, address))); break;
    case 1: static_cast<void>(world.store.update(name, node(name, address))); break;
    case 2: static_cast<void>(world.store.remove(name)); break;
    case 3:
      static_cast<void>(world.store.update(name, NodeRejection{name, "u", "spec.podCIDR"}));
      break;
    case 4: world.store.advance(); break;
    case 5: world.store.compact(); break;
    case 6: world.session->relist(); break;
    default: world.kubernetes.interrupt(any_fault());
  }
}

// Some seconds, minutes or milliseconds.
void wait(World& world) {
  const auto count = *rc::gen::inRange(0, 100);
  world.loop.run_for(count * *rc::gen::element<Duration>(milliseconds(1), seconds(1), seconds(10)));
}

// Things happen and calls fail, for a while.
void live_through_faults(World& world) {
  const auto often = *rc::gen::inRange(1, 4);
  const auto fault =
      world.kubernetes.add_rule([&](const KubernetesCall&) -> std::optional<KubernetesFault> {
        const bool fails = *rc::gen::inRange(0, 4) < often;
        return fails ? std::optional(any_fault()) : std::nullopt;
      });
  for (int steps = *rc::gen::inRange(0, 30); steps > 0; --steps) {
    happen(world);
    wait(world);
  }
}

RC_GTEST_PROP(WatchSessionProperties, OnceFaultsStopTheViewIsTheStore, (std::uint64_t seed)) {
  World world(seed);
  world.session->start();
  live_through_faults(world);
  RC_ASSERT(world.sink.consistent);
  // A dead watch is noticed after at most 610 s, and the longest wait is 120 s; then a list that
  // names a version which the server does not have may fail once more.
  world.loop.run_for(seconds(610 + 120 + 60 + 60));
  RC_ASSERT(world.sink.state() == WatchState::Watching);
  RC_ASSERT(world.sink.sessions.back().second.empty());
  RC_ASSERT(world.sink.view == world.history.latest());
  RC_ASSERT(world.sink.consistent);
  RC_ASSERT(world.kubernetes.calls() == 1U);

  world.change(1000);
  world.loop.run_for(milliseconds(10));
  RC_ASSERT(world.sink.view == world.history.latest());
}

RC_GTEST_PROP(WatchSessionProperties, NothingIsCalledOrLeftAfterTheEnd, (std::uint64_t seed)) {
  World world(seed);
  world.session->start();
  live_through_faults(world);
  const int calls = world.sink.calls;
  if (*rc::gen::arbitrary<bool>()) {
    world.session->stop();
  } else {
    world.session.reset();
  }
  RC_ASSERT(world.loop.pending() == 0U);
  RC_ASSERT(world.kubernetes.calls() == 0U);
  static_cast<void>(world.store.create("new", node("new")));
  RC_ASSERT(world.loop.pending() == 0U);
  RC_ASSERT(world.sink.calls == calls);
}

RC_GTEST_PROP(WatchSessionProperties, OneSeedIsOneRun, (std::uint64_t seed)) {
  const auto run = [&] {
    World world(seed);
    const auto fault = on_watches(world, reset_after(0));
    world.session->start();
    world.loop.run_for(minutes(10));
    std::vector<MonotonicTime> times;
    for (const World::Request& request : world.requests) {
      times.push_back(request.at);
    }
    return times;
  };
  RC_ASSERT(run() == run());
}

}  // namespace
}  // namespace vxmesh
