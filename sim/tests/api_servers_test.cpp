// Several API servers over one store: how old an answer may be, and what a client is told for sure.
#include "sim/kube/api_servers.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/watch_session.h"
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

using Contents = std::map<std::string, NodeOrRejection>;

constexpr Duration kLatency = milliseconds(1);

Node node(const std::string& name, const std::string& uid = "u", std::int64_t created_s = 0) {
  return {.name = name, .uid = uid, .created_s = created_s, .pod_cidrs = {}, .addresses = {}};
}

std::string name_of(const NodeOrRejection& node) {
  return std::visit([](const auto& either) { return either.name; }, node);
}

void apply(Contents& contents, WatchEventType type, const NodeOrRejection& node) {
  if (type == WatchEventType::Deleted) {
    contents.erase(name_of(node));
  } else {
    contents.insert_or_assign(name_of(node), node);
  }
}

// A store, its servers, and a model of both: every state and every event that there has been.
struct Cluster {
  struct Event {
    MonotonicTime at;
    WatchEventType type = WatchEventType::Added;
    NodeOrRejection node;
  };

  explicit Cluster(std::size_t replicas = 3) : servers(store, loop, clock, replicas) {
    states[store.revision()] = {};
  }

  void create(const Node& node) {
    check(store.create(node.name, node).has_value(), "the name was free");
    written(WatchEventType::Added, node);
  }
  void update(const Node& node) {
    const std::uint64_t before = store.revision();
    check(store.update(node.name, node).has_value(), "the Node is there");
    if (store.revision() != before) {
      written(WatchEventType::Modified, node);
    }
  }
  void touch(const std::string& name) {
    check(store.touch(name).has_value(), "the Node is there");
    written(WatchEventType::Modified, latest().at(name));
  }
  void remove(const std::string& name) {
    check(store.remove(name).has_value(), "the Node is there");
    written(WatchEventType::Deleted, latest().at(name));
  }
  void advance() {
    store.advance();
    states[store.revision()] = latest();
  }
  void compact(std::uint64_t revision) {
    store.compact(revision);
    compacted = std::max(compacted, revision);
  }

  [[nodiscard]] const Contents& latest() const { return states.rbegin()->second; }
  // The newest revision that was written so long ago, or longer.
  [[nodiscard]] std::uint64_t revision_before(Duration age) const {
    std::uint64_t revision = states.begin()->first;
    for (const auto& [each, event] : events) {
      revision = event.at + age <= loop.now() ? each : revision;
    }
    return revision;
  }
  [[nodiscard]] std::uint64_t oldest_seen() const {
    std::uint64_t oldest = store.revision();
    for (std::size_t i = 0; i < servers.size(); ++i) {
      oldest = std::min(oldest, servers.at(i).seen());
    }
    return oldest;
  }

  FakeEventLoop loop;
  FakeClock clock{loop};
  NodeStore store;
  ApiServers servers;
  std::map<std::uint64_t, Contents> states;  // by revision, each of them
  std::map<std::uint64_t, Event> events;     // by revision
  std::uint64_t compacted = 1;
  Duration longest_lag = seconds(5);  // that any server ever has

 private:
  void written(WatchEventType type, const NodeOrRejection& node) {
    Contents contents = latest();
    apply(contents, type, node);
    states[store.revision()] = std::move(contents);
    events[store.revision()] = {.at = loop.now(), .type = type, .node = node};
  }
};

// A client that makes one call at a time and believes what it is told. It insists that `served`
// says only what is so, and, while it trusts the servers, that they keep to the rules.
class Client final : private ListHandler, private WatchHandler {
 public:
  Client(Cluster& cluster, EventLoop& loop, std::uint64_t seed)
      : kubernetes(cluster.servers, loop, Prng(seed),
                   {.latency = kLatency, .items_per_turn = 1000}),
        cluster_(cluster) {
    kubernetes.set_served([this](std::uint64_t revision) {
      served.push_back(revision);
      expect(cluster_.states.contains(revision) && view == cluster_.states.at(revision),
             "what is served is what the client has been told");
    });
  }

  // `revision` 0: the most recent.
  void list(std::uint64_t revision, std::uint32_t limit) {
    listing_.clear();
    asked_ = revision;
    limit_ = limit;
    request_page("");
  }
  // At resourceVersion "0": a limit does not count.
  void list_any() {
    listing_.clear();
    asked_ = 1;
    limit_ = UINT32_MAX;
    token_.clear();
    begin();
    call_ =
        kubernetes.list_nodes({.limit = 1, .continue_token = "", .resource_version = "0"}, *this);
    page_size_ = 0;
  }
  void watch(std::uint64_t revision) {
    begin();
    position_ = revision;
    expired_ = false;
    call_ = kubernetes.watch_nodes({.resource_version = std::to_string(revision), .timeout_s = 300},
                                   *this);
  }
  void hang_up() {
    call_.reset();
    watching = false;
  }
  void expect(bool so, const char* what) {
    if (!so && wrong.empty()) {
      wrong = what;
    }
  }

  FakeKubernetes kubernetes;
  bool trusting = true;
  bool watching = false;  // a watch is open, and not too old
  Contents view;
  ResourceVersion version;  // to go on from; empty: none
  std::vector<std::uint64_t> served;
  std::vector<ApiError> errors;
  int events = 0;
  int bookmarks = 0;
  MonotonicTime last_at;  // when the last answer or event came
  std::string wrong;

  [[nodiscard]] std::uint64_t position() const { return position_; }

 private:
  void begin() {
    call_.reset();
    watching = false;
    requested_at_ = cluster_.loop.now();
  }
  void request_page(const std::string& token) {
    begin();
    token_ = token;
    const bool any = asked_ == 0 || !token.empty();
    call_ = kubernetes.list_nodes(
        {.limit = limit_,
         .continue_token = token,
         .resource_version = any ? ResourceVersion{} : std::to_string(asked_)},
        *this);
    page_size_ = 0;
  }
  void rule(bool so, const char* what) { expect(!trusting || so, what); }

  void on_node(const SharedNode& node) override {
    ++page_size_;
    rule(listing_.empty() || listing_.rbegin()->first < name_of(*node), "a list is in order");
    listing_.emplace(name_of(*node), *node);
  }
  void on_end(const ListEnd& end) override {
    last_at = cluster_.loop.now();
    judge_page(end);
    if (!end.continue_token.empty()) {
      request_page(std::string(end.continue_token));
      return;
    }
    view = std::exchange(listing_, {});
    version = end.resource_version;
    if (trusting) {
      rule(view == cluster_.states.at(*parse_revision(version)), "a list is one state");
    }
    call_.reset();
  }
  // A page is read and brought in one turn: the rules hold as of now.
  void judge_page(const ListEnd& end) {
    if (!trusting) {
      return;
    }
    const std::uint64_t revision = parse_revision(end.resource_version).value_or(0);
    rule(cluster_.states.contains(revision), "a list is of a state that there has been");
    rule(end.continue_token.empty() ? page_size_ <= limit_ : page_size_ == limit_,
         "a page is full, or the last");
    if (!token_.empty()) {
      rule(revision == parse_continue_token(token_)->revision, "pages are of one state");
      rule(revision >= cluster_.compacted, "an old token expires");
    } else if (asked_ == 0) {
      rule(revision == cluster_.store.revision(), "the most recent state is the newest");
    } else {
      rule(revision >= asked_, "never older than asked for");
      rule(revision >= cluster_.revision_before(cluster_.longest_lag),
           "never older than the cache");
    }
  }

  void on_open() override {
    expired_ = position_ < cluster_.compacted;
    watching = !expired_;
    opened_at_ = cluster_.loop.now();
  }
  void on_event(WatchEventType type, const SharedNode& node,
                const ResourceVersion& resource_version) override {
    ++events;
    last_at = cluster_.loop.now();
    const std::uint64_t revision = parse_revision(resource_version).value_or(0);
    if (trusting) {
      rule(watching, "no event on a watch that is too old");
      const auto next = cluster_.events.upper_bound(position_);
      const bool right = next != cluster_.events.end() && next->first == revision;
      rule(right, "no gap, nothing twice, in order");
      if (right) {
        rule(next->second.type == type && next->second.node == *node, "events are the writes");
        const MonotonicTime due = std::max(next->second.at + cluster_.longest_lag, opened_at_);
        rule(last_at <= due + kLatency, "an event is no older than the cache");
      }
    }
    position_ = revision;
    version = resource_version;
    apply(view, type, *node);
  }
  void on_bookmark(const ResourceVersion& resource_version) override {
    ++bookmarks;
    last_at = cluster_.loop.now();
    const std::uint64_t revision = parse_revision(resource_version).value_or(0);
    const auto next = cluster_.events.upper_bound(position_);
    rule(revision >= position_, "a bookmark does not go back");
    rule(next == cluster_.events.end() || next->first > revision, "a bookmark skips nothing");
    rule(revision <= cluster_.store.revision(), "a bookmark is of a state that there has been");
    position_ = revision;
    version = resource_version;
  }
  void on_closed() override {
    watching = false;
    call_.reset();
  }
  void on_error(const ApiError& error) override {
    errors.push_back(error);
    last_at = cluster_.loop.now();
    if (trusting) {
      judge_error(error);
    }
    watching = false;
    listing_.clear();
    call_.reset();
  }
  void judge_error(const ApiError& error) {
    if (error.status == 410) {
      const bool token_expired =
          !token_.empty() && parse_continue_token(token_)->revision < cluster_.compacted;
      rule(expired_ || token_expired, "410 only when due");
      return;
    }
    rule(error.status == 504 && error.retry_after == Duration(seconds(1)), "410 or 504");
    if (opened_at_ <= requested_at_ && last_at == requested_at_ + kLatency) {
      rule(position_ > cluster_.store.revision(), "a watch is refused if it is of the future");
    } else {
      rule(asked_ > cluster_.oldest_seen(), "504 only if a cache is behind");
      rule(last_at == requested_at_ + kLatency + kCacheWait, "the server has waited");
    }
  }

  Cluster& cluster_;
  std::unique_ptr<ApiCall> call_;
  MonotonicTime requested_at_;
  // The list:
  std::uint64_t asked_ = 0;
  std::uint32_t limit_ = 0;
  std::uint32_t page_size_ = 0;
  std::string token_;
  Contents listing_;
  // The watch:
  std::uint64_t position_ = 0;  // everything up to it has come
  bool expired_ = false;        // it was too old when it opened
  MonotonicTime opened_at_;
};

// A process: its loop is the world's until it dies, and then drops everything.
class MortalLoop final : public EventLoop {
 public:
  explicit MortalLoop(EventLoop& world) : world_(world) {}

  void post(std::function<void()> callback) override { timer(Duration{}, std::move(callback)); }
  TimerId timer(Duration delay, std::function<void()> callback) override {
    return world_.timer(delay, [this, callback = std::move(callback)] {
      if (alive) {
        callback();
      }
    });
  }
  void cancel(TimerId id) override { world_.cancel(id); }

  bool alive = true;

 private:
  EventLoop& world_;
};

void with_nodes(Cluster& cluster, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    cluster.create(node(name));
  }
}

FakeKubernetes::RuleGuard always(FakeKubernetes& kubernetes, KubernetesFault fault) {
  return kubernetes.add_rule([fault = std::move(fault)](const KubernetesCall&) {
    return std::optional<KubernetesFault>(fault);
  });
}

// --- How old an answer may be ---

TEST(ApiServers, ALagIsTheTimeFromTheWriteToTheEvent) {
  Cluster cluster(1);
  cluster.servers.set_lag(milliseconds(500));
  Client client(cluster, cluster.loop, 1);
  client.watch(1);
  cluster.loop.run_for(seconds(1));
  const MonotonicTime written = cluster.loop.now();
  cluster.create(node("a"));
  cluster.loop.run_for(milliseconds(200));
  cluster.create(node("b"));
  cluster.loop.run_for(milliseconds(301));
  EXPECT_EQ(client.events, 1);
  EXPECT_EQ(client.last_at, written + milliseconds(501));
  cluster.loop.run_for(seconds(1));
  EXPECT_EQ(client.events, 2);
  EXPECT_EQ(client.last_at, written + milliseconds(701));
  EXPECT_EQ(client.wrong, "");
}

TEST(ApiServers, AShorterLagCountsForWhatIsUnderWay) {
  Cluster cluster;
  cluster.servers.set_lag(hours(1));
  with_nodes(cluster, {"a", "b"});
  cluster.loop.run_for(seconds(2));
  cluster.create(node("c"));
  EXPECT_EQ(cluster.servers.at(0).seen(), 1U);
  cluster.servers.set_lag(0, seconds(1));
  EXPECT_EQ(cluster.servers.at(0).seen(), 3U);
  cluster.loop.run_for(seconds(1));
  EXPECT_EQ(cluster.servers.at(0).seen(), 4U);
  EXPECT_EQ(cluster.servers.at(1).seen(), 1U);
  cluster.servers.set_lag(Duration{});
  EXPECT_EQ(cluster.servers.at(1).seen(), 4U);
}

TEST(ApiServers, AListMayBeAsOldAsItsCacheUnlessItAsksForMore) {
  Cluster cluster(1);
  with_nodes(cluster, {"a", "b"});
  cluster.servers.set_lag(hours(1));
  with_nodes(cluster, {"c"});
  Client client(cluster, cluster.loop, 1);
  client.list(2, 10);
  cluster.loop.run_for(seconds(1));
  EXPECT_EQ(client.view, cluster.states.at(3));
  client.list(0, 10);
  cluster.loop.run_for(seconds(1));
  EXPECT_EQ(client.view, cluster.states.at(4));
  EXPECT_EQ(client.wrong, "");
}

// As a server does whose cache was cut off, or has just been made.
TEST(ApiServers, AListAtVersionZeroGetsAnyStateThatTheCacheHasHadSinceTheCompaction) {
  Cluster cluster(1);
  cluster.longest_lag = hours(1);
  with_nodes(cluster, {"a", "b", "c"});
  cluster.compact(3);
  with_nodes(cluster, {"d", "e"});
  cluster.servers.set_lag(hours(1));
  with_nodes(cluster, {"f"});
  Client client(cluster, cluster.loop, 1);
  std::map<ResourceVersion, int> versions;
  for (int i = 0; i < 100; ++i) {
    client.list_any();
    cluster.loop.run_for(kLatency);
    ++versions[client.version];
  }
  EXPECT_EQ(versions.size(), 4U);
  for (const char* version : {"3", "4", "5", "6"}) {
    EXPECT_GT(versions[version], 5) << version;
  }
  EXPECT_GT(versions["6"], 50);
  cluster.compact(7);  // beyond what the cache has seen, which is all that it can give now
  client.list_any();
  cluster.loop.run_for(kLatency);
  EXPECT_EQ(client.version, "6");
  EXPECT_EQ(client.view, cluster.states.at(6));
  EXPECT_EQ(client.wrong, "");
}

TEST(ApiServers, ACallGoesToAnyOfThem) {
  Cluster cluster;
  with_nodes(cluster, {"a"});
  cluster.servers.set_lag(1, seconds(5));
  with_nodes(cluster, {"b"});
  cluster.servers.set_lag(2, seconds(5));
  with_nodes(cluster, {"c"});
  Client client(cluster, cluster.loop, 1);
  std::map<ResourceVersion, int> versions;
  for (int i = 0; i < 100; ++i) {
    client.list(2, 10);
    cluster.loop.run_for(kLatency);
    ++versions[client.version];
  }
  for (const char* version : {"2", "3", "4"}) {
    EXPECT_GT(versions[version], 20) << version;
  }
}

TEST(ApiServers, ACacheThatIsBehindIsWaitedForUpToThreeSeconds) {
  Cluster cluster(1);
  cluster.servers.set_lag(seconds(2));
  with_nodes(cluster, {"a"});
  Client client(cluster, cluster.loop, 1);
  client.list(2, 10);
  cluster.loop.run_for(seconds(3));
  EXPECT_EQ(client.last_at, MonotonicTime{seconds(2)});
  EXPECT_EQ(client.view, cluster.states.at(2));

  cluster.servers.set_lag(seconds(4));
  const MonotonicTime asked = cluster.loop.now();
  with_nodes(cluster, {"b"});
  client.list(3, 10);
  cluster.loop.run_for(seconds(5));
  ASSERT_EQ(client.errors.size(), 1U);
  EXPECT_EQ(client.errors[0].status, 504);
  EXPECT_EQ(client.errors[0].reason, "Timeout");
  EXPECT_EQ(client.errors[0].retry_after, Duration(seconds(1)));
  EXPECT_EQ(client.last_at, asked + kLatency + seconds(3));
  EXPECT_EQ(client.wrong, "");
}

TEST(ApiServers, AListThatWaitsCanBeInterrupted) {
  Cluster cluster(1);
  for (const KubernetesFault& fault : {reset_after(5), stalled(), empty_list()}) {
    Client client(cluster, cluster.loop, 1);
    client.trusting = false;
    client.list(9, 10);
    cluster.loop.run_for(seconds(1));
    client.kubernetes.interrupt(fault);
    cluster.loop.run_for(milliseconds(1));
    EXPECT_EQ(client.kubernetes.calls(), 0U);
    cluster.loop.run_for(seconds(5));
    EXPECT_EQ(client.errors.size(), fault.kind == KubernetesFault::Kind::Error ? 1U : 0U);
    EXPECT_TRUE(client.served.empty());
  }
}

TEST(ApiServers, AWatchWaitsForACacheThatHasNotReachedItsBeginning) {
  Cluster cluster(1);
  cluster.longest_lag = minutes(2);
  cluster.servers.set_lag(cluster.longest_lag);
  with_nodes(cluster, {"a", "b", "c"});
  Client client(cluster, cluster.loop, 1);
  client.watch(3);
  cluster.loop.run_for(seconds(119));
  EXPECT_TRUE(client.watching);
  EXPECT_EQ(client.events, 0);
  EXPECT_EQ(client.bookmarks, 0);  // one would go back
  cluster.loop.run_for(seconds(2));
  EXPECT_EQ(client.events, 1);
  EXPECT_EQ(client.position(), 4U);
  EXPECT_EQ(client.wrong, "");
}

TEST(ApiServers, CompactionTakesNothingFromOpenWatchesAndOldCaches) {
  Cluster cluster(1);
  with_nodes(cluster, {"a", "b"});
  cluster.servers.set_lag(seconds(5));
  Client watcher(cluster, cluster.loop, 1);
  watcher.watch(2);
  cluster.loop.run_for(seconds(1));
  cluster.remove("a");
  cluster.touch("b");
  cluster.compact(cluster.store.revision());
  Client lister(cluster, cluster.loop, 2);
  lister.list(2, 10);
  cluster.loop.run_for(seconds(1));
  EXPECT_EQ(lister.view, cluster.states.at(3));
  cluster.loop.run_for(seconds(5));
  EXPECT_EQ(watcher.events, 3);
  lister.watch(3);
  cluster.loop.run_for(seconds(1));
  ASSERT_EQ(lister.errors.size(), 1U);
  EXPECT_EQ(lister.errors[0].status, 410);
  EXPECT_EQ(watcher.wrong + lister.wrong, "");
}

// Else an hour of heartbeats would fill the memory.
TEST(ApiServers, CompactionFreesWhatEveryWatchHasRead) {
  Cluster cluster(1);
  Client reader(cluster, cluster.loop, 1);
  Client stalled(cluster, cluster.loop, 2);
  const auto guard = always(stalled.kubernetes, stall_after(0));
  reader.watch(1);
  stalled.watch(1);
  cluster.loop.run_for(seconds(1));
  const std::weak_ptr<const NodeStore::Object> first = *cluster.store.create("a", node("a"));
  ASSERT_TRUE(cluster.store.touch("a"));
  cluster.store.compact();
  EXPECT_FALSE(first.expired());
  cluster.loop.run_for(seconds(1));
  cluster.store.compact();
  EXPECT_TRUE(first.expired());
}

TEST(ApiServers, ANodeCanBeReplacedUnderItsNameUnseen) {
  Cluster cluster(1);
  with_nodes(cluster, {"a"});
  Client client(cluster, cluster.loop, 1);
  client.list(0, 10);
  cluster.loop.run_for(seconds(1));
  cluster.remove("a");
  cluster.create(node("a", "another"));
  client.list(3, 10);
  cluster.loop.run_for(seconds(1));
  EXPECT_EQ(std::get<Node>(client.view.at("a")).uid, "another");
}

TEST(ApiServers, AHeartbeatSharesTheNode) {
  Cluster cluster(1);
  with_nodes(cluster, {"a"});
  const auto before = *cluster.store.get("a");
  const auto after = *cluster.store.touch("a");
  EXPECT_EQ(after->payload, before->payload);
  EXPECT_EQ(after->resource_version, "3");
  EXPECT_EQ(*cluster.store.get("a"), after);
  EXPECT_EQ(cluster.store.touch("b").error(), StoreError::NotFound);
}

TEST(ApiServers, ADeadProcessHearsNothingAndItsCallsCanGo) {
  Cluster cluster;
  cluster.servers.set_lag(seconds(1));
  with_nodes(cluster, {"a"});
  MortalLoop process(cluster.loop);
  auto watcher = std::make_unique<Client>(cluster, process, 1);
  auto lister = std::make_unique<Client>(cluster, process, 2);
  watcher->watch(1);
  lister->list(2, 10);
  cluster.loop.run_for(milliseconds(10));
  EXPECT_TRUE(watcher->watching);
  process.alive = false;
  cluster.loop.run_for(seconds(10));
  EXPECT_EQ(watcher->events, 0);
  EXPECT_TRUE(lister->served.empty());
  watcher->hang_up();
  cluster.touch("a");
  watcher.reset();
  cluster.loop.run_for(milliseconds(500));
  lister.reset();
  cluster.loop.run_for(minutes(10));
}

// --- Bookmarks that misbehave ---

TEST(FakeKubernetes, BookmarksComeLateOrNotAtAll) {
  const auto bookmarks = [](const std::optional<KubernetesFault>& fault, Duration time) {
    Cluster cluster(1);
    Client client(cluster, cluster.loop, 1);
    const auto guard = fault ? always(client.kubernetes, *fault) : nullptr;
    client.watch(1);
    cluster.loop.run_for(time);
    EXPECT_EQ(client.wrong, "");
    return client.bookmarks;
  };
  EXPECT_EQ(bookmarks({}, seconds(61)), 1);
  EXPECT_EQ(bookmarks(late_bookmarks(seconds(30)), seconds(89)), 0);
  EXPECT_EQ(bookmarks(late_bookmarks(seconds(30)), seconds(91)), 1);
  EXPECT_EQ(bookmarks(late_bookmarks(seconds(30)), seconds(151)), 2);
  EXPECT_EQ(bookmarks(no_bookmarks(), minutes(10)), 0);
}

// --- What happens around one event ---

// A client that watches from revision 1, and to whose event number `index` this happens.
std::unique_ptr<Client> watching(Cluster& cluster, int index, const WatchEventFault& fault) {
  auto client = std::make_unique<Client>(cluster, cluster.loop, 1);
  client->trusting = false;
  client->kubernetes.set_event_rule(
      [index, fault, asked = 0]() mutable { return asked++ == index ? fault : WatchEventFault{}; });
  client->watch(1);
  cluster.loop.run_for(milliseconds(10));
  with_nodes(cluster, {"a", "b", "c"});
  return client;
}

// Of the server, whatever the client asks for; the token continues what was listed.
TEST(FakeKubernetes, PagesMayBeSmallerThanTheLimit) {
  Cluster cluster;
  with_nodes(cluster, {"a", "b", "c", "d", "e"});
  Client client(cluster, cluster.loop, 1);
  std::vector<std::uint32_t> sizes{1, 3, 10};
  client.kubernetes.set_page_rule([&]() -> std::optional<std::uint32_t> {
    if (sizes.empty()) {
      return std::nullopt;
    }
    const std::uint32_t size = sizes.front();
    sizes.erase(sizes.begin());
    return size;
  });
  client.trusting = false;  // that a page is full
  client.list(0, 500);
  cluster.loop.run_for(2 * kLatency);
  EXPECT_TRUE(client.view.empty()) << "the third page is to come";
  cluster.loop.run_for(kLatency);
  EXPECT_EQ(client.view, cluster.latest());
  client.list(0, 500);
  cluster.loop.run_for(kLatency);
  EXPECT_EQ(client.view, cluster.latest());
  EXPECT_EQ(client.served.size(), 2U);
  EXPECT_EQ(client.wrong, "");
}

TEST(FakeKubernetes, AnEventThatWaitsKeepsThoseBehindItWaiting) {
  Cluster cluster(1);
  const auto client = watching(cluster, 1, {.delay = seconds(2)});
  cluster.loop.run_for(milliseconds(1999));
  EXPECT_EQ(client->position(), 2U);
  cluster.loop.run_for(milliseconds(2));
  EXPECT_EQ(client->position(), 4U);
  EXPECT_EQ(client->events, 3) << "each once";
  EXPECT_TRUE(client->watching);
}

TEST(FakeKubernetes, AWatchCanBeInterruptedWhileAnEventWaits) {
  Cluster cluster(1);
  const auto client = watching(cluster, 1, {.delay = seconds(2)});
  cluster.loop.run_for(seconds(1));
  client->kubernetes.interrupt(reset_after(0));
  cluster.loop.run_for(seconds(10));
  EXPECT_EQ(client->errors.size(), 1U);
  EXPECT_EQ(client->position(), 2U);
}

TEST(FakeKubernetes, AWatchEndsBeforeAnEventOrRightBehindIt) {
  for (const bool behind : {false, true}) {
    Cluster cluster(1);
    const ApiError expired = error_event_after(0, 410, "Expired").error;
    const auto client = watching(cluster, 1, {.ends_with = expired, .behind = behind});
    cluster.loop.run_for(seconds(10));
    EXPECT_EQ(client->errors, std::vector<ApiError>({expired}));
    EXPECT_EQ(client->position(), behind ? 3U : 2U);
  }
}

// What a watch brings, in order.
class Order final : public WatchHandler {
 public:
  std::vector<std::string> seen;

 private:
  void on_open() override {}
  void on_event(WatchEventType type, const SharedNode& node,
                const ResourceVersion& resource_version) override {
    const char* what = type == WatchEventType::Added ? "added " : "deleted ";
    seen.push_back(what + std::get<Node>(*node).uid + " at " + resource_version);
  }
  void on_bookmark(const ResourceVersion& /*resource_version*/) override {}
  void on_closed() override {}
  void on_error(const ApiError& /*error*/) override {}
};

TEST(FakeKubernetes, ADeleteComesBehindTheAddOfTheSameNameThatFollowsIt) {
  for (const bool late : {false, true}) {
    Cluster cluster(1);
    Client client(cluster, cluster.loop, 1);
    const auto guard = late ? always(client.kubernetes, late_deletes()) : nullptr;
    Order order;
    const auto call =
        client.kubernetes.watch_nodes({.resource_version = "1", .timeout_s = 300}, order);
    cluster.create(node("a", "old"));
    cluster.create(node("b", "other"));
    cluster.remove("b");  // nothing takes its place
    cluster.remove("a");
    cluster.create(node("a", "new"));
    cluster.loop.run_for(seconds(1));
    const std::vector<std::string> begin{"added old at 2", "added other at 3",
                                         "deleted other at 4"};
    std::vector<std::string> wanted = begin;
    const std::string gone = "deleted old at 5";
    const std::string replaced = "added new at 6";
    wanted.insert(wanted.end(), {late ? replaced : gone, late ? gone : replaced});
    EXPECT_EQ(order.seen, wanted);
  }
}

TEST(FakeKubernetes, WhatIsCutOffGoesOnAfterwards) {
  Cluster cluster(1);
  Client client(cluster, cluster.loop, 1);
  client.watch(1);
  cluster.loop.run_for(seconds(1));
  client.kubernetes.cut_off(true);
  with_nodes(cluster, {"a", "b"});
  Client lister(cluster, cluster.loop, 2);
  lister.kubernetes.cut_off(true);
  lister.list(0, 10);
  cluster.loop.run_for(seconds(20));
  EXPECT_EQ(client.events, 0);
  EXPECT_TRUE(lister.version.empty());
  client.trusting = false;  // it insists on the latency
  for (Client* each : {&client, &lister}) {
    each->kubernetes.cut_off(false);
  }
  cluster.loop.run_for(milliseconds(1));
  EXPECT_EQ(client.position(), 3U);
  EXPECT_EQ(client.errors.size(), 0U);
  EXPECT_EQ(lister.view, cluster.latest());
  EXPECT_EQ(client.wrong, "");
}

TEST(FakeKubernetes, CallsGoToTheServersThatTheClientIsToUse) {
  Cluster cluster(1);
  ApiServers late(cluster.store, cluster.loop, cluster.clock, 1);
  late.set_lag(seconds(3));
  Client client(cluster, cluster.loop, 1);
  with_nodes(cluster, {"a"});
  client.kubernetes.use(late);
  client.list(1, 10);
  cluster.loop.run_for(seconds(1));
  EXPECT_TRUE(client.view.empty()) << "as old as the server's cache";
  client.kubernetes.use(cluster.servers);
  client.list(1, 10);
  cluster.loop.run_for(seconds(1));
  EXPECT_EQ(client.view, cluster.latest());
  EXPECT_EQ(client.wrong, "");
}

// --- What `served` says ---

TEST(Served, AfterTheLastPageEachEventAndEachBookmark) {
  Cluster cluster(1);
  with_nodes(cluster, {"a", "b", "c"});
  Client client(cluster, cluster.loop, 1);
  client.list(0, 2);
  cluster.loop.run_for(seconds(1));
  EXPECT_EQ(client.served, std::vector<std::uint64_t>({4}));
  client.watch(4);
  cluster.loop.run_for(seconds(1));
  cluster.touch("a");
  cluster.remove("b");
  cluster.loop.run_for(seconds(1));
  EXPECT_EQ(client.served, std::vector<std::uint64_t>({4, 5, 6}));
  cluster.advance();
  cluster.loop.run_for(minutes(1));
  EXPECT_EQ(client.served, std::vector<std::uint64_t>({4, 5, 6, 7}));
  EXPECT_EQ(client.wrong, "");
}

TEST(Served, NotAfterAListThatIsNotTrueUntilTheNextThatIs) {
  for (const KubernetesFault& fault :
       {empty_list(), end_after(2), wrong_versions_after(0, "2"), wrong_versions_after(0, "9")}) {
    Cluster cluster(1);
    with_nodes(cluster, {"a", "b", "c"});
    Client client(cluster, cluster.loop, 1);
    client.trusting = false;
    client.list(0, 10);
    cluster.loop.run_for(seconds(1));
    EXPECT_EQ(client.served, std::vector<std::uint64_t>({4}));
    auto guard = always(client.kubernetes, fault);
    client.list(0, 10);
    cluster.loop.run_for(seconds(1));
    guard.reset();
    client.watch(4);
    cluster.touch("a");
    cluster.loop.run_for(minutes(2));
    EXPECT_EQ(client.events, 1);
    EXPECT_EQ(client.served, std::vector<std::uint64_t>({4}));
    client.list(5, 10);
    cluster.loop.run_for(seconds(1));
    EXPECT_EQ(client.served, std::vector<std::uint64_t>({4, 5}));
    EXPECT_EQ(client.wrong, "");
  }
}

TEST(Served, NotInAWatchThatLeavesAGap) {
  Cluster cluster(1);
  with_nodes(cluster, {"a"});
  Client client(cluster, cluster.loop, 1);
  client.list(0, 10);
  cluster.loop.run_for(seconds(1));
  cluster.create(node("b"));
  client.watch(3);
  cluster.touch("a");
  cluster.loop.run_for(minutes(2));
  EXPECT_EQ(client.events, 1);
  EXPECT_EQ(client.served, std::vector<std::uint64_t>({2}));
}

// --- Any schedule ---

void random_write(Cluster& cluster) {
  const std::string name = "n" + std::to_string(*rc::gen::inRange(0, 6));
  const auto value = *rc::gen::inRange<std::int64_t>(0, 3);
  if (!cluster.latest().contains(name)) {
    cluster.create(node(name, "uid" + std::to_string(cluster.store.revision()), value));
    return;
  }
  switch (*rc::gen::inRange(0, 5)) {
    case 0: cluster.remove(name); break;
    case 1: cluster.advance(); break;
    case 2: cluster.touch(name); break;
    default: {
      Node changed = std::get<Node>(cluster.latest().at(name));
      changed.created_s = value;
      cluster.update(changed);
    }
  }
}

void random_call(Cluster& cluster, Client& client) {
  // From what the client knows, to what is still to come; now and then from anywhere.
  const std::uint64_t newest = cluster.store.revision();
  const std::uint64_t known = parse_revision(client.version).value_or(1);
  const std::uint64_t from = std::min(known, newest);
  const bool anywhere = *rc::gen::inRange(0, 3) == 0;
  const std::uint64_t revision =
      anywhere ? *rc::gen::inRange<std::uint64_t>(from, newest + 3) : known;
  switch (*rc::gen::inRange(0, 4)) {
    case 0: client.list(0, *rc::gen::inRange<std::uint32_t>(1, 7)); break;
    case 1: client.list(revision, *rc::gen::inRange<std::uint32_t>(1, 7)); break;
    case 2: client.watch(revision); break;
    default: client.hang_up();
  }
}

void random_step(Cluster& cluster, const std::vector<std::unique_ptr<Client>>& clients) {
  static const std::vector<Duration> kTimes{Duration{}, kLatency,   milliseconds(20),
                                            seconds(1), seconds(4), seconds(61)};
  static const std::vector<Duration> kLags{Duration{}, Duration{}, milliseconds(10), seconds(2),
                                           seconds(5)};
  switch (*rc::gen::inRange(0, 12)) {
    case 0:
      cluster.compact(
          *rc::gen::inRange<std::uint64_t>(cluster.compacted, cluster.store.revision() + 1));
      break;
    case 1:
      cluster.servers.set_lag(*rc::gen::inRange<std::size_t>(0, cluster.servers.size()),
                              *rc::gen::elementOf(kLags));
      break;
    case 2:
    case 3:
    case 4:
    case 5: random_write(cluster); break;
    case 6:
    case 7:
    case 8: cluster.loop.run_for(*rc::gen::elementOf(kTimes)); break;
    default:
      random_call(cluster, **rc::gen::elementOf(std::vector<Client*>{
                               clients[0].get(), clients[1].get(), clients[2].get()}));
  }
}

std::vector<std::unique_ptr<Client>> three_clients(Cluster& cluster) {
  std::vector<std::unique_ptr<Client>> clients;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    clients.push_back(std::make_unique<Client>(cluster, cluster.loop, seed));
  }
  return clients;
}

RC_GTEST_PROP(ApiServersProperties, AnswersAreAsOldAsTheyMayBeAndNoOlder, ()) {
  Cluster cluster;
  const auto clients = three_clients(cluster);
  for (int steps = *rc::gen::inRange(0, 150); steps > 0; --steps) {
    random_step(cluster, clients);
  }
  cluster.servers.set_lag(Duration{});
  cluster.loop.run_for(seconds(1));
  for (const auto& client : clients) {
    RC_ASSERT(client->wrong == "");
    RC_ASSERT(!client->watching ||
              cluster.events.upper_bound(client->position()) == cluster.events.end());
  }
}

KubernetesFault random_fault(const ResourceVersion& wrong_version) {
  const auto items = *rc::gen::inRange<std::size_t>(0, 5);
  const std::vector<KubernetesFault> faults{
      refused(),
      reset_after(items),
      stalled(),
      stall_after(items),
      end_after(items),
      empty_list(),
      no_bookmarks(),
      late_bookmarks(seconds(20)),
      error_event_after(items, 410, "Expired"),
      error_event_after(items, 500),
      http_status(401),
      http_status(403),
      http_status(429),
      http_status(429, "", Duration{}),
      http_status(429, "", hours(1)),
      http_status(503),
      wrong_versions_after(items, wrong_version),
  };
  return *rc::gen::elementOf(faults);
}

RC_GTEST_PROP(ApiServersProperties, WhatIsServedIsWhatTheClientWasToldWhateverFails, ()) {
  Cluster cluster;
  const auto clients = three_clients(cluster);
  std::vector<FakeKubernetes::RuleGuard> guards;
  for (const auto& client : clients) {
    client->trusting = false;
    guards.push_back(
        client->kubernetes.add_rule([&](const KubernetesCall&) -> std::optional<KubernetesFault> {
          const auto version = *rc::gen::inRange<std::uint64_t>(1, cluster.store.revision() + 2);
          return *rc::gen::inRange(0, 3) == 0 ? std::optional(random_fault(std::to_string(version)))
                                              : std::nullopt;
        }));
  }
  for (int steps = *rc::gen::inRange(0, 150); steps > 0; --steps) {
    random_step(cluster, clients);
    if (*rc::gen::inRange(0, 30) == 0) {
      clients[0]->kubernetes.interrupt(reset_after(0));
    }
  }
  for (const auto& client : clients) {
    RC_ASSERT(client->wrong == "");
  }
}

// --- The agents' watch session over these servers ---

// The last name, so that a list which is cut short never holds it; does not believe such a list.
constexpr const char* kOwnName = "z-own";

class MirrorSink final : public NodeSink {
 public:
  bool on_list(const NodeSnapshot& snapshot) override {
    Contents listed;
    for (const auto& each : snapshot.nodes) {
      listed.emplace(each->name, *each);
    }
    const bool believed = listed.contains(kOwnName);
    if (believed) {
      view = std::move(listed);
    }
    return believed;
  }
  void on_node_event(WatchEventType type, const SharedNode& node) override {
    apply(view, type, *node);
  }
  void on_session(WatchState state, const std::string&) override { watch_state = state; }

  Contents view;
  WatchState watch_state = WatchState::Listing;
};

RC_GTEST_PROP(ApiServersProperties, AWatchSessionConvergesOnceTheFaultsStop, ()) {
  Cluster cluster;
  cluster.create(node(kOwnName));
  FakeKubernetes kubernetes(cluster.servers, cluster.loop, Prng(1));
  std::uint64_t served = 0;
  kubernetes.set_served([&](std::uint64_t revision) { served = revision; });
  FakeRandom random{Prng(2)};
  MirrorSink sink;
  WatchSession session(kubernetes, cluster.loop, cluster.clock, random, sink, {.page_limit = 2});
  auto guard = kubernetes.add_rule([&](const KubernetesCall&) -> std::optional<KubernetesFault> {
    // A version that the server could have given would be a lie that nobody can see through.
    return *rc::gen::inRange(0, 2) == 0 ? std::optional(random_fault("")) : std::nullopt;
  });
  session.start();
  const auto clients = three_clients(cluster);
  for (int steps = *rc::gen::inRange(0, 60); steps > 0; --steps) {
    random_step(cluster, clients);
  }
  guard.reset();
  // A call that has met its fault may stall for as long as a watch lasts.
  cluster.loop.run_for(minutes(15));
  cluster.touch(kOwnName);
  cluster.loop.run_for(seconds(10));
  RC_ASSERT(sink.watch_state == WatchState::Watching);
  RC_ASSERT(sink.view == cluster.latest());
  session.relist();  // the last list may have been complete, but not known to be
  cluster.loop.run_for(seconds(10));
  RC_ASSERT(sink.view == cluster.latest());
  RC_ASSERT(served == cluster.store.revision());
}

}  // namespace
}  // namespace vxmesh
