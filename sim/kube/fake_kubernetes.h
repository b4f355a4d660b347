// The Kubernetes port over the store: one client's connection to a fake API server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ports/event_loop.h"
#include "ports/kubernetes.h"
#include "sim/kube/store.h"

namespace vxmesh {

// Nodes as the codec of the real adapter would give them: typed, or a rejection.
using NodeStore = Store<NodeOrRejection>;

using KubernetesCall = std::variant<ListRequest, WatchRequest>;

// What goes wrong with one call.
struct KubernetesFault {
  enum class Kind : std::uint8_t {
    Error,  // `error`: a transport error, an HTTP status, or an ERROR event
    Stall,  // nothing more, and no end: a half-open connection
    End,    // a clean end: of the watch, or of the list, which is not complete and says it is
    WrongVersions,  // goes on, but every resourceVersion is `version`
  };
  Kind kind = Kind::Error;
  // How many Nodes, events and bookmarks come before it; absent: it comes instead of any answer,
  // so that a watch does not open. A list that has fewer Nodes fails at its end.
  std::optional<std::size_t> after;
  ApiError error;           // Kind::Error only
  ResourceVersion version;  // Kind::WrongVersions only

  friend bool operator==(const KubernetesFault&, const KubernetesFault&) = default;
};

// Shorthands. Recovery is owed from every one of them.
[[nodiscard]] KubernetesFault refused();
[[nodiscard]] KubernetesFault reset_after(std::size_t items);
[[nodiscard]] KubernetesFault http_status(std::uint16_t status, std::string reason = "",
                                          std::optional<Duration> retry_after = {});
[[nodiscard]] KubernetesFault error_event_after(std::size_t items, std::uint16_t status,
                                                std::string reason = "");
[[nodiscard]] KubernetesFault stalled();
[[nodiscard]] KubernetesFault stall_after(std::size_t items);
[[nodiscard]] KubernetesFault end_after(std::size_t items);
[[nodiscard]] KubernetesFault wrong_versions_after(std::size_t items, ResourceVersion version);

// Sees every call as it is made, and may decide what goes wrong with it.
using KubernetesFaultRule =
    std::function<std::optional<KubernetesFault>(const KubernetesCall& call)>;

struct FakeKubernetesOptions {
  Duration latency = std::chrono::milliseconds(1);  // of an answer, and of each event
  std::size_t items_per_turn = 16;                  // what one read from the connection brings
  Duration between_turns{};                         // how long the next read takes, if more waits
  // Bookmarks come so often, and once so long before a watch ends (apiserver: cacher.go,
  // cache_watcher.go).
  Duration bookmark_interval = std::chrono::seconds(60);
  Duration bookmark_before_end = std::chrono::seconds(2);
};

// Contract: as ports/kubernetes.h. Several can share a store; each is one client and has faults of
// its own. Lists and watches mean what they mean in the real API: a page reads the state of its
// token, a watch brings every change since its resourceVersion in order, and one that is too old
// opens and then gets an ERROR event 410. Stricter than the real server: a request that a careful
// client never sends (resourceVersion "0", one beside a continue token, a watch without one or
// without timeoutSeconds) is a broken invariant.
// Threading: one thread. The store, the loop and this must outlive every call; a rule ends with its
// guard.
class FakeKubernetes final : public Kubernetes {
 public:
  using RuleGuard = std::shared_ptr<const void>;

  FakeKubernetes(NodeStore& store, EventLoop& loop, FakeKubernetesOptions options = {})
      : store_(store), loop_(loop), options_(options) {}

  [[nodiscard]] std::unique_ptr<ApiCall> list_nodes(const ListRequest& request,
                                                    ListHandler& handler) override;
  [[nodiscard]] std::unique_ptr<ApiCall> watch_nodes(const WatchRequest& request,
                                                     WatchHandler& handler) override;

  // The oldest rule that gives a fault decides. Dropping the guard ends the rule.
  [[nodiscard]] RuleGuard add_rule(KubernetesFaultRule rule);

  // Every call under way meets `fault` now, whatever its `after` says.
  void interrupt(const KubernetesFault& fault);

  void set_served(std::function<void(std::uint64_t)> served) { served_ = std::move(served); }
  std::function<void(std::uint64_t)> served_;

  // Calls under way: made, neither ended nor destroyed.
  [[nodiscard]] std::size_t calls() const;

 private:
  class Call;
  class ListCall;
  class WatchCall;

  [[nodiscard]] std::optional<KubernetesFault> fault_for(const KubernetesCall& call);

  NodeStore& store_;
  EventLoop& loop_;
  const FakeKubernetesOptions options_;
  std::vector<std::weak_ptr<const KubernetesFaultRule>> rules_;
  std::vector<Call*> calls_;  // in the order in which they were made
};

}  // namespace vxmesh
