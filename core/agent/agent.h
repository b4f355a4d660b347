// The agent: nodes in, kernel state out, on one thread.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/reconciler.h"
#include "agent/watch_session.h"
#include "base/backoff.h"
#include "base/log.h"
#include "base/metrics.h"
#include "decide/lifecycle.h"
#include "decide/node_cache.h"
#include "ports/clock.h"
#include "ports/event_loop.h"
#include "ports/firewall.h"
#include "ports/kubernetes.h"
#include "ports/netlink.h"
#include "ports/random.h"

namespace vxmesh {

struct AgentOptions {
  std::string node_name;
  OverlayConfig overlay;
  ReconcilerOptions reconciler;
  WatchSessionOptions watch;
  bool masquerade = true;
};

// The outside world; all of it outlives the agent.
struct AgentPorts {
  Netlink& netlink;
  Kubernetes& kubernetes;
  Firewall& firewall;
  EventLoop& loop;
  Clock& clock;
  Random& random;
  Metrics& metrics;
  Log& log;
};

// What /readyz says.
struct Readiness {
  bool ready = false;
  std::string state;   // of the lifecycle
  std::string reason;  // why it is not ready; empty if it is

  friend bool operator==(const Readiness&, const Readiness&) = default;
};

// Contract: once started it keeps the kernel as the nodes ask (reconciler.h) from what the API says
// (watch_session.h). A list without Nodes, or without our own, is not believed; when our own Node
// goes, all stays as it is until it is back. Destroying the agent leaves the kernel untouched.
// Threading: one thread; nothing blocks but the netlink port.
// Failure: nothing ends the agent. What is wrong is in readiness(), in the metrics and once in the
// log. Metrics: the reconciler's, and vxmesh_nodes, vxmesh_node_problems, vxmesh_node_events_total,
// vxmesh_api_connected, vxmesh_api_lists_total, vxmesh_api_watches_total,
// vxmesh_api_failures_total, vxmesh_ready.
class Agent final : private NodeSink {
 public:
  Agent(AgentOptions options, AgentPorts ports);
  ~Agent() override;
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  void start();

  [[nodiscard]] Readiness readiness() const;

 private:
  bool on_list(const NodeSnapshot& snapshot) override;
  void on_node_event(WatchEventType type, const SharedNode& event) override;
  void on_session(WatchState state, const std::string& error) override;

  [[nodiscard]] std::string doubt(const NodeSnapshot& snapshot) const;
  void kernel_dumped();
  void take_event(WatchEventType type, std::shared_ptr<const Node> node);
  void take_own_event(WatchEventType type, std::shared_ptr<const Node> node);
  void count_event(const NodeCacheChange& change);
  void nodes_changed(const NodeCacheChange& change);
  void apply_firewall();
  void set_firewall();
  void firewall_done(const Result<void>& result);
  void count_session();
  void report_problems_soon();
  void report_problems();
  void report_readiness();

  AgentOptions options_;
  AgentPorts ports_;
  NodeCache nodes_;
  Metrics::CounterHandle events_changed_;
  Metrics::CounterHandle events_none_;
  Metrics::GaugeHandle node_count_;
  Metrics::GaugeHandle is_ready_;
  Lifecycle lifecycle_;
  Reconciler reconciler_;
  WatchSession session_;

  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // the firewall outlives us
  bool own_node_gone_ = false;
  std::string session_error_;
  WatchSessionCounters counted_;          // of the session, as last added to the metrics
  std::optional<FirewallPolicy> policy_;  // wanted; absent until our Node is known
  bool policy_applied_ = false;
  std::string firewall_error_;
  Backoff firewall_backoff_;
  std::uint64_t firewall_attempt_ = 0;  // only the last one counts
  std::optional<TimerId> firewall_timer_;
  std::optional<TimerId> problems_timer_;
  std::uint64_t problems_reported_ = 0;  // problems_version() of the last report
  std::set<NodeProblem> problems_;       // as last logged
  std::optional<Readiness> reported_;    // as last logged
};

// Declares every metric of the agent, the reconciler's included.
void declare_agent_metrics(Metrics& metrics);

}  // namespace vxmesh
