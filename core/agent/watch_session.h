// The session with the Kubernetes API: keeps a sink's view of all Nodes true through every failure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/backoff.h"
#include "base/time.h"
#include "ports/clock.h"
#include "ports/event_loop.h"
#include "ports/kubernetes.h"
#include "ports/random.h"

namespace vxmesh {

// All Nodes at one resourceVersion, in the order in which the server gave them.
struct NodeSnapshot {
  std::vector<std::shared_ptr<const Node>> nodes;  // none is null
  std::vector<NodeRejection> rejections;
  ResourceVersion resource_version;
};

enum class WatchState : std::uint8_t {
  Listing,     // a list is under way, or the first watch after it has not opened yet
  Watching,    // the watch is open, or was ended in order and is being opened again
  BackingOff,  // something failed: waiting, or opening the watch again
};

// Contract: called from the event loop, or inside start() and relist(). May call stop() and
// relist(), but not destroy the session.
class NodeSink {
 public:
  virtual ~NodeSink() = default;

  // A complete list: what is not in it does not exist. Returns false if it cannot be believed; the
  // session then backs off and lists again, and nothing of it was used.
  virtual bool on_list(const NodeSnapshot& snapshot) = 0;
  // A change since the list, or since the last event. Only after an on_list that returned true.
  virtual void on_node_event(WatchEventType type, const SharedNode& node) = 0;
  // The session's condition changed; `error` says why when it is not in order (empty otherwise).
  virtual void on_session(WatchState state, const std::string& error) = 0;
};

// Where no other source is named, the values are those of client-go's reflector
// (k8s.io/client-go/tools/cache/reflector.go).
struct WatchSessionOptions {
  std::uint32_t page_limit = 500;  // client-go tools/pager
  BackoffLimits backoff{.first = std::chrono::milliseconds(800),
                        .cap = std::chrono::seconds(30),
                        .reset_after = std::chrono::minutes(2)};
  // A server that asks for more patience than this is asked again after this.
  Duration retry_after_max = std::chrono::minutes(2);
  // Longest wait for a list's next Node or a watch's opening: the API server's own limit for a
  // request (--request-timeout).
  Duration request_deadline = std::chrono::seconds(60);
  // timeoutSeconds of a watch is drawn from [min, max), so that the agents of a cluster do not come
  // back all at once.
  std::uint32_t watch_timeout_min_s = 300;
  std::uint32_t watch_timeout_max_s = 600;
  // A watch that the server has not ended so long after its timeoutSeconds is dead.
  Duration watch_overtime = std::chrono::seconds(10);
  // A server that sends bookmarks does so every minute (apiserver: cacher.go): a watch of it that
  // has been silent for so long is dead, as one is whose connection is half open.
  Duration watch_silence = std::chrono::minutes(3);
  // A watch that was ended sooner than this and brought nothing new has failed.
  Duration short_watch = std::chrono::seconds(1);
  // So many opened watches that failed in a row without anything new: what follows that
  // resourceVersion cannot be had by watching, so list again.
  std::uint32_t failed_watches_max = 3;
};

// What happened since the session was made.
struct WatchSessionCounters {
  std::uint64_t lists = 0;           // complete lists that the sink accepted
  std::uint64_t lists_rejected = 0;  // complete lists that it did not believe
  std::uint64_t relists = 0;         // lists begun after the first complete one
  std::uint64_t watches = 0;         // watches that opened
  std::uint64_t watch_restarts = 0;  // watches begun without a list before them
  std::uint64_t events = 0;          // handed to the sink
  std::uint64_t bookmarks = 0;
  // Failures, by kind; each also means one wait.
  std::uint64_t transport_errors = 0;
  std::uint64_t timeouts = 0;        // a deadline of ours passed
  std::uint64_t expired = 0;         // 410
  std::uint64_t unauthorized = 0;    // 401 and 403
  std::uint64_t throttled = 0;       // 429
  std::uint64_t server_errors = 0;   // 5xx
  std::uint64_t other_statuses = 0;  // every other status
  std::uint64_t short_watches = 0;
  std::uint64_t missing_versions = 0;  // a list or an event without a usable resourceVersion

  friend bool operator==(const WatchSessionCounters&, const WatchSessionCounters&) = default;
};

// Contract: from start() to stop() the session lists, watches, and begins again as each failure
// needs it, for ever. A list is handed over whole or not at all; whatever fails, what the sink has
// stays valid, and once the server answers again the sink's view becomes that of the server.
//   - The first list asks for the most recent state; later ones for one not older than what was
//     seen, and for the most recent again if the server cannot give that (410, 504).
//   - A watch that ends is resumed where it was; only 410, a missing resourceVersion, a status that
//     retrying cannot cure, and a stream that keeps failing at one place lead to a new list.
//   - Every failure is followed by a wait that grows (WatchSessionOptions::backoff), and is not
//     shorter than the server's Retry-After.
// Threading: one thread. Memory: one list of typed Nodes, until it is handed over.
// Failure: never gives up; on_session says what is wrong, the counters how often.
class WatchSession final : private ListHandler, private WatchHandler {
 public:
  // All must outlive the session.
  WatchSession(Kubernetes& kubernetes, EventLoop& loop, Clock& clock, Random& random,
               NodeSink& sink, WatchSessionOptions options = {});
  ~WatchSession() override;
  WatchSession(const WatchSession&) = delete;
  WatchSession& operator=(const WatchSession&) = delete;

  // Begins with a list. Does nothing if it runs already.
  void start();
  // Nothing is called after this returns, until start(). Keeps the resourceVersion seen last.
  void stop();
  // Lists again: at once if watching, after the wait if one is on. Does nothing while a list is
  // under way, because what it is wanted for will be in it or in the watch that follows.
  void relist();

  [[nodiscard]] const WatchSessionCounters& counters() const { return counters_; }

 private:
  enum class Phase : std::uint8_t { Stopped, Listing, Opening, Watching, Waiting };
  enum class Next : std::uint8_t { List, Watch };

  // ListHandler
  void on_node(const SharedNode& node) override;
  void on_end(const ListEnd& end) override;
  // WatchHandler
  void on_open() override;
  void on_event(WatchEventType type, const SharedNode& node,
                const ResourceVersion& resource_version) override;
  void on_bookmark(const ResourceVersion& resource_version) override;
  void on_closed() override;
  // Both
  void on_error(const ApiError& error) override;

  void list();
  void request_page(const std::string& continue_token);
  void finish_list();
  void list_failed(const ApiError& error);

  void watch();
  // Notes how far the stream has come; false, and the watch has failed, if it does not say so.
  bool advance(const ResourceVersion& resource_version);
  void watch_failed(const ApiError& error);
  // Watch again, or list if opened watches keep failing at the same place.
  [[nodiscard]] Next after_broken_watch();

  void wait_then(Next next, std::optional<Duration> at_least, std::string error);
  void set_deadline(Duration delay);
  void set_watch_deadline();
  void deadline_passed();
  void count(const ApiError& error);
  // Ends the call and the timer that are on.
  void quiet();
  // Tells the sink, if it is news. The last thing that a caller does: the sink may call back.
  void report(WatchState state);

  Kubernetes& kubernetes_;
  EventLoop& loop_;
  Clock& clock_;
  Random& random_;
  NodeSink& sink_;
  const WatchSessionOptions options_;

  Phase phase_ = Phase::Stopped;
  Next next_ = Next::List;  // what follows the wait
  Backoff backoff_;
  WatchSessionCounters counters_;
  std::unique_ptr<ApiCall> call_;
  std::optional<TimerId> timer_;  // the end of the wait, or the call's deadline; may have run
  MonotonicTime deadline_;        // the call's
  MonotonicTime timer_due_;       // when timer_ runs; not before deadline_ was set
  bool sends_bookmarks_ = false;  // the server has sent one since a watch of it was last silent

  ResourceVersion version_;   // seen last; empty: none, or not to be asked for
  NodeSnapshot snapshot_;     // the list under way
  Duration watch_timeout_{};  // timeoutSeconds of the watch
  MonotonicTime watch_began_;
  bool watch_advanced_ = false;       // it brought a resourceVersion that was not known before
  std::uint32_t failed_watches_ = 0;  // opened, nothing new, in a row

  std::string error_;  // why it is not in order; empty: it is
  std::optional<std::pair<WatchState, std::string>> reported_;
};

}  // namespace vxmesh
