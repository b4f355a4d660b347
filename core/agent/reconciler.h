// Brings the kernel to what the nodes ask for, and answers its misses.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/kernel_mirror.h"
#include "agent/plan_execution.h"
#include "base/backoff.h"
#include "base/log.h"
#include "base/metrics.h"
#include "decide/desired_state.h"
#include "decide/lifecycle.h"
#include "decide/node_cache.h"
#include "decide/retry_set.h"
#include "ports/clock.h"
#include "ports/event_loop.h"
#include "ports/netlink.h"
#include "ports/random.h"

namespace vxmesh {

struct ReconcilerOptions {
  std::size_t max_neighbours = 16384;                   // on-demand, each family
  Duration resync_interval = std::chrono::seconds{60};  // between full passes over fresh dumps
};

// What the reconciler works with; all of it outlives it.
struct ReconcilerPorts {
  Netlink& netlink;
  EventLoop& loop;
  const Clock& clock;
  Random& random;
  Metrics& metrics;
  Log& log;
};

// Contract: work is done in turns on the event loop, each bounded: misses first, then events, then
// one step of whatever is under way (a batch of the plan, a step of the redump, or a new plan). A
// plan is computed only from a complete mirror and after all events have been applied.
//   - Nothing is deleted unless the lifecycle allows pruning.
//   - When the kernel is as desired, nothing is written.
//   - A failed operation is tried again for its own target, with its own back-off.
//   - Lost events or answers lead to a redump; misses that it finds unanswered are answered.
// Threading: one thread. Nothing happens inside the calls below but bookkeeping.
// Metrics: those that declare_reconciler_metrics() declares.
class Reconciler {
 public:
  // `on_change` is called when the lifecycle may have changed, `on_dump` after each complete
  // redump.
  Reconciler(OverlayConfig config, ReconcilerOptions options, ReconcilerPorts ports,
             const NodeCache& nodes, Lifecycle& lifecycle, std::function<void()> on_change,
             std::function<void()> on_dump);
  ~Reconciler();
  Reconciler(const Reconciler&) = delete;
  Reconciler& operator=(const Reconciler&) = delete;

  // Starts with a dump. Once.
  void start();

  // A complete list is in the cache.
  void list_accepted();
  // A list or a watch event changed the cache.
  void nodes_changed(const NodeCacheChange& change);

  // Redump and full pass.
  void resync();

 private:
  void wake();
  void turn();
  [[nodiscard]] const Link* own_device() const;
  [[nodiscard]] bool answer_misses();
  void answer(const std::vector<Miss>& misses);
  void evict();
  [[nodiscard]] bool apply_events();
  void follow(const MirrorChange& change);
  void follow_routes(const MirrorChange& change);
  void follow_vtep(const MacAddress& mac);
  [[nodiscard]] bool advance(bool drained);
  void step_redump();
  void redump_later();
  [[nodiscard]] bool plan_next();
  [[nodiscard]] std::optional<std::uint32_t> underlay_mtu() const;
  [[nodiscard]] bool refresh_desired();
  void execute(Plan plan, bool full);
  void note_in_the_way(const Plan& plan, const std::set<IpPrefix>* changed);
  void observe(const PlanExecution::Outcome& outcome);
  void finish_execution();
  void arm_retry();
  void take_retries();
  void blocked(const std::string& why);

  OverlayConfig config_;
  ReconcilerOptions options_;
  ReconcilerPorts ports_;
  const NodeCache& nodes_;
  Lifecycle& lifecycle_;
  std::function<void()> on_change_;
  std::function<void()> on_dump_;

  Metrics::CounterHandle operations_done_;
  Metrics::CounterHandle operations_failed_;
  Metrics::CounterHandle full_plans_;
  Metrics::CounterHandle changed_plans_;
  Metrics::GaugeHandle peer_count_;
  Metrics::GaugeHandle foreign_route_count_;
  Metrics::GaugeHandle retry_count_;

  KernelMirror mirror_;
  std::optional<Self> self_;          // the last complete one: kept while our Node is gone
  std::optional<std::uint32_t> mtu_;  // underlay MTU that desired_ was made with
  std::optional<DesiredState> desired_;
  bool listed_ = false;  // a complete list has been accepted
  bool dumped_ = false;  // a complete dump has been made
  bool turn_posted_ = false;
  bool redump_wanted_ = false;
  bool full_wanted_ = false;      // a full pass, desired state made afresh
  std::set<IpPrefix> changed_;    // PodCIDRs to look at before the next full pass
  std::set<IpAddress> deferred_;  // misses that came before the first list

  std::optional<PlanExecution> execution_;
  bool execution_is_full_ = false;
  std::string first_failure_;
  std::set<Route> in_the_way_;  // foreign routes where ours should be
  RetrySet retry_;
  std::set<OpTarget> to_retry_;  // peers whose time has come, for the next plan
  std::set<OpTarget> retried_;   // those of the plan under way
  Backoff redump_backoff_;
  std::string blocked_reason_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // posted turns outlive us otherwise
  std::optional<TimerId> resync_timer_;
  std::optional<TimerId> retry_timer_;
  std::optional<TimerId> redump_timer_;
};

// Declares the reconciler's metrics.
void declare_reconciler_metrics(Metrics& metrics);

}  // namespace vxmesh
