// The API servers of a cluster: replicas over one store, each with a watch cache of its own age.
//
// As stale as real servers may be, and no staler (apiserver: storage/cacher). Where they differ:
//   - An apiserver of today may answer a list from its cache in more cases than the one of
//     yesterday; here each list that may come from a cache does.
//   - A cache reaches back as far as the store's compaction does, not to a window of its own; no
//     list at resourceVersion "0" is older, though a server that is cut off from its etcd for long
//     would answer it with what it saw last.
//   - A watch from a revision that not even the store has reached is refused at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/time.h"
#include "ports/clock.h"
#include "ports/event_loop.h"
#include "ports/kubernetes.h"
#include "sim/kube/store.h"
#include "sim/kube/subscribers.h"
#include "sim/world/prng.h"

namespace vxmesh {

// Nodes as the codec of the real adapter would give them: typed, or a rejection.
using NodeStore = Store<NodeOrRejection>;

// How long a server waits for its cache before it answers ResourceVersionTooLarge (apiserver:
// watch_cache.go, blockTimeout), and the Retry-After that it then sends (storage/errors.go).
inline constexpr Duration kCacheWait = std::chrono::seconds(3);
inline constexpr Duration kTooLargeRetryAfter = std::chrono::seconds(1);

// One replica. Its cache is the store as it was at the revision seen().
// Threading: one thread. The store must outlive it.
class ApiServer {
 public:
  explicit ApiServer(NodeStore& store) : store_(store), seen_(store.pin(store.revision())) {}

  [[nodiscard]] std::uint64_t seen() const { return *seen_; }
  // The cache has read what the store has up to `revision`; one that it has seen does nothing.
  void see(std::uint64_t revision);

  // A page: the newest state if no resourceVersion is asked for, the token's if there is one, else
  // that of the cache. ResourceVersionTooLarge: not until the cache has seen more.
  [[nodiscard]] StoreResult<NodeStore::Page> list(const ListRequest& request) const;
  // What a list at resourceVersion "0" gets: what the cache has seen by now or, as one that was cut
  // off from the store does until it has caught up, at any time before. Whole, whatever the limit
  // (apiserver: cacher.go, GetList).
  [[nodiscard]] NodeStore::Page list_any(Prng& prng) const;

  // `progressed` is called whenever the cache has seen more; it may read, but not change the store
  // or subscribe.
  [[nodiscard]] Subscribers::Subscription subscribe(std::function<void()> progressed) {
    return subscribers_.add(std::move(progressed));
  }

  // The events after a revision: each once, in order, as soon as the cache has seen it. Compaction
  // does not touch what it has still to bring. The server must outlive it.
  class Stream {
   public:
    // The next event; nothing if the cache has no more for now.
    [[nodiscard]] std::optional<NodeStore::Event> next();
    // What a bookmark says: all up to it was brought. Nothing if events wait, or if the cache has
    // not yet reached the revision where the stream begins.
    [[nodiscard]] std::optional<std::uint64_t> bookmark() const;

   private:
    friend class ApiServer;
    Stream(const ApiServer& server, NodeStore::Pin position)
        : server_(&server), position_(std::move(position)) {}

    [[nodiscard]] const NodeStore::Event* peek() const;

    const ApiServer* server_;
    NodeStore::Pin position_;  // where it begins, or its last event
  };

  // Expired, ResourceVersionTooLarge (the store has not reached it), or BadRequest.
  [[nodiscard]] StoreResult<Stream> watch(const ResourceVersion& resource_version) const;

 private:
  NodeStore& store_;
  NodeStore::Pin seen_;
  Subscribers subscribers_;
};

// Contract: with a lag a replica sees each revision so much later than it was written, and at once
// without one. It never loses what it has seen, and sees in order.
// Threading: one thread. Store, loop and clock must outlive it, and it every client.
class ApiServers {
 public:
  // `loop` and `clock` are the world's own, which no process' death stops.
  ApiServers(NodeStore& store, EventLoop& loop, const Clock& clock, std::size_t replicas);
  // One server that never lags, and so needs no time.
  explicit ApiServers(NodeStore& store);
  ~ApiServers();
  ApiServers(const ApiServers&) = delete;
  ApiServers& operator=(const ApiServers&) = delete;

  [[nodiscard]] std::size_t size() const { return replicas_.size(); }
  [[nodiscard]] const ApiServer& at(std::size_t replica) const;
  // The one to which a load balancer happens to send a call.
  [[nodiscard]] ApiServer& any(Prng& prng);

  // `lag`: 0 to 24 h. Counts for what was written but not seen, too; a shorter one may show that at
  // once.
  void set_lag(std::size_t replica, Duration lag);
  // Of every replica.
  void set_lag(Duration lag);

 private:
  struct Write {
    MonotonicTime at;
    std::uint64_t revision = 0;
  };
  struct Replica {
    explicit Replica(NodeStore& store) : server(store) {}

    ApiServer server;
    Duration lag{};
    std::deque<Write> unseen;     // in order; empty without a lag
    std::optional<TimerId> next;  // when the first of them is due
  };

  void written();
  void catch_up(Replica& replica);

  NodeStore& store_;
  EventLoop* const loop_;     // null: no replica lags
  const Clock* const clock_;  // as loop_
  std::deque<Replica> replicas_;
  NodeStore::Subscription subscription_;
};

}  // namespace vxmesh
