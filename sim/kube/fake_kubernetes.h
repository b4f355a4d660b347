// The Kubernetes port over fake API servers: one client's connection to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ports/event_loop.h"
#include "ports/kubernetes.h"
#include "sim/kube/api_servers.h"
#include "sim/world/prng.h"

namespace vxmesh {

using KubernetesCall = std::variant<ListRequest, WatchRequest>;

// What goes wrong with one call.
struct KubernetesFault {
  enum class Kind : std::uint8_t {
    Error,  // `error`: a transport error, an HTTP status, or an ERROR event
    Stall,  // nothing more, and no end: a half-open connection
    End,    // a clean end: of the watch, or of the list, which is not complete and says it is
    WrongVersions,  // goes on, but every resourceVersion is `version`
    LateBookmarks,  // goes on, but bookmarks come `delay` later; not at all without one
    LateDeletes,    // goes on, but a Delete comes behind the Add that follows it, of one name
  };
  Kind kind = Kind::Error;
  // How many Nodes, events and bookmarks come before it; absent: it comes instead of any answer,
  // so that a watch does not open. A list that has fewer Nodes fails at its end.
  std::optional<std::size_t> after;
  ApiError error;                 // Kind::Error only
  ResourceVersion version;        // Kind::WrongVersions only
  std::optional<Duration> delay;  // Kind::LateBookmarks only

  friend bool operator==(const KubernetesFault&, const KubernetesFault&) = default;
};

// Shorthands. Recovery is owed from every one of them. A 429 is an http_status, with the
// Retry-After that it is to have; a partial list that breaks is reset_after.
[[nodiscard]] KubernetesFault refused();
[[nodiscard]] KubernetesFault reset_after(std::size_t items);
[[nodiscard]] KubernetesFault http_status(std::uint16_t status, std::string reason = "",
                                          std::optional<Duration> retry_after = {});
[[nodiscard]] KubernetesFault error_event_after(std::size_t items, std::uint16_t status,
                                                std::string reason = "");
[[nodiscard]] KubernetesFault stalled();
[[nodiscard]] KubernetesFault stall_after(std::size_t items);
[[nodiscard]] KubernetesFault end_after(std::size_t items);
// A list that says it is complete and that there are no Nodes; a watch that ends as it opens.
[[nodiscard]] KubernetesFault empty_list();
[[nodiscard]] KubernetesFault wrong_versions_after(std::size_t items, ResourceVersion version);
[[nodiscard]] KubernetesFault late_bookmarks(Duration delay);
[[nodiscard]] KubernetesFault no_bookmarks();
[[nodiscard]] KubernetesFault late_deletes();

// Sees every call as it is made, and may decide what goes wrong with it.
using KubernetesFaultRule =
    std::function<std::optional<KubernetesFault>(const KubernetesCall& call)>;

// What happens to a watch around one of its events. Nothing: all zero.
struct WatchEventFault {
  Duration delay{};                   // the event, and all behind it in the stream, waits so long
  std::optional<ApiError> ends_with;  // the watch ends with this, and the event does not come
  bool behind = false;                // it does come, and the watch ends right behind it
};

// Asked before each event of a watch, not before bookmarks.
using WatchEventRule = std::function<WatchEventFault()>;

struct FakeKubernetesOptions {
  Duration latency = std::chrono::milliseconds(1);  // of an answer, and of each event
  std::size_t items_per_turn = 16;                  // what one read from the connection brings
  Duration between_turns{};                         // how long the next read takes, if more waits
  // Bookmarks come so often, and once so long before a watch ends (apiserver: cacher.go,
  // cache_watcher.go).
  Duration bookmark_interval = std::chrono::seconds(60);
  Duration bookmark_before_end = std::chrono::seconds(2);
};

// Contract: as ports/kubernetes.h. Several can share servers; each is one client and has faults of
// its own. Lists and watches mean what they mean in the real API: a page reads the state of its
// token, a watch brings every change since its resourceVersion in order, and one that is too old
// opens and then gets an ERROR event 410. A list at resourceVersion "0", which no careful client
// sends, gets any old state that a server may have. Stricter than the real server: a
// resourceVersion beside a continue token, and a watch from "0", without one or without
// timeoutSeconds, are broken invariants. Threading: one thread. The servers (or the store), the
// loop and this must outlive every call; a rule ends with its guard.
class FakeKubernetes final : public Kubernetes {
 public:
  using RuleGuard = std::shared_ptr<const void>;

  // `loop` is the client's own: when its process is dead the loop runs nothing, and nothing of this
  // does. Each call goes to a server drawn from `prng`.
  FakeKubernetes(ApiServers& servers, EventLoop& loop, Prng prng,
                 FakeKubernetesOptions options = {})
      : servers_(&servers), loop_(loop), prng_(prng), options_(options) {}
  // A client of the only server, which never lags.
  FakeKubernetes(NodeStore& store, EventLoop& loop, FakeKubernetesOptions options = {})
      : own_servers_(std::make_unique<ApiServers>(store)),
        servers_(own_servers_.get()),
        loop_(loop),
        prng_(0),
        options_(options) {}

  [[nodiscard]] std::unique_ptr<ApiCall> list_nodes(const ListRequest& request,
                                                    ListHandler& handler) override;
  [[nodiscard]] std::unique_ptr<ApiCall> watch_nodes(const WatchRequest& request,
                                                     WatchHandler& handler) override;

  // The oldest rule that gives a fault decides. Dropping the guard ends the rule.
  [[nodiscard]] RuleGuard add_rule(KubernetesFaultRule rule);

  // The most Nodes of a page, asked for at each request for one; nothing: as many as the request
  // says. Real servers may give fewer than that, too, and a continue token for the rest.
  void set_page_rule(std::function<std::optional<std::uint32_t>()> rule) {
    page_rule_ = std::move(rule);
  }

  void set_event_rule(WatchEventRule rule) { event_rule_ = std::move(rule); }

  // Calls from now on go to one of these, over the same store; they must outlive this.
  void use(ApiServers& servers) { servers_ = &servers; }

  // For oracles. `served(revision)` is called when the client has been told the whole state at
  // `revision`: a list of some state, complete and true, and then each event since, none left out
  // and none twice. It comes right after the handler has returned from the last page, from an
  // event, or from a bookmark, even if the handler has destroyed the call or the process has died
  // in it. Until the next true list it stays away after one that says it is complete but was cut
  // short or given another resourceVersion by a fault, and in a watch that does not go on exactly
  // where the client was left. Revisions go back if the client lists an older state.
  // For a client that makes one call at a time and reads a list's pages in order.
  void set_served(std::function<void(std::uint64_t revision)> served) {
    served_ = std::move(served);
  }

  // `misled()` is called instead after a list that says it is complete and is not true.
  void set_misled(std::function<void()> misled) { misled_ = std::move(misled); }

  // While it is on nothing passes, of calls under way and of new ones. Afterwards they go on, as
  // connections do that lost packets only.
  void cut_off(bool on);

  // Every call under way meets `fault` now, whatever its `after` says.
  void interrupt(const KubernetesFault& fault);

  // Calls under way: made, neither ended nor destroyed.
  [[nodiscard]] std::size_t calls() const;

 private:
  class Call;
  class ListCall;
  class WatchCall;

  [[nodiscard]] std::optional<KubernetesFault> fault_for(const KubernetesCall& call);
  // The client has been told the whole state at `revision`, or (absent) what is not true.
  void told(std::optional<std::uint64_t> revision);

  const std::unique_ptr<ApiServers> own_servers_;  // null: they are someone else's
  ApiServers* servers_;
  EventLoop& loop_;
  Prng prng_;
  const FakeKubernetesOptions options_;
  std::vector<std::weak_ptr<const KubernetesFaultRule>> rules_;
  WatchEventRule event_rule_;
  std::function<std::optional<std::uint32_t>()> page_rule_;
  bool cut_off_ = false;
  std::vector<Call*> calls_;  // in the order in which they were made
  std::function<void(std::uint64_t)> served_;
  std::function<void()> misled_;
  std::optional<std::uint64_t> told_;  // the state that the client was told last; absent: not true
};

}  // namespace vxmesh
