#include "agent/agent.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "base/probe.h"

namespace vxmesh {
namespace {

// Problems are logged when they have lasted this long, so that a Node that is still being filled in
// by the control plane is not reported with every write to it.
constexpr Duration kProblemDelay = std::chrono::seconds{1};
// In one report; a cluster that is misconfigured as a whole must not flood the log.
constexpr std::size_t kMaxProblemsLogged = 20;
constexpr BackoffLimits kFirewallBackoff{.first = std::chrono::seconds{1},
                                         .cap = std::chrono::seconds{30},
                                         .reset_after = std::chrono::minutes{5}};

ReconcilerPorts reconciler_ports(const AgentPorts& ports) {
  return {.netlink = ports.netlink,
          .loop = ports.loop,
          .clock = ports.clock,
          .random = ports.random,
          .metrics = ports.metrics,
          .log = ports.log};
}

}  // namespace

void declare_agent_metrics(Metrics& metrics) {
  using enum Metrics::Kind;
  declare_reconciler_metrics(metrics);
  metrics.declare(Gauge, "vxmesh_nodes", "Nodes in the cache.");
  metrics.declare(Gauge, "vxmesh_node_problems", "Nodes not programmed as they stand.", true);
  metrics.declare(Counter, "vxmesh_node_events_total", "Watch events, by what they changed.", true);
  metrics.declare(Counter, "vxmesh_api_lists_total", "Complete lists of Nodes that were believed.");
  metrics.declare(Counter, "vxmesh_api_watches_total", "Watches that opened.");
  metrics.declare(Counter, "vxmesh_api_failures_total", "API calls that failed, by kind.", true);
  metrics.declare(Gauge, "vxmesh_api_connected", "1 while the watch is open.");
  metrics.declare(Gauge, "vxmesh_ready", "1 while /readyz says yes.");
}

Agent::Agent(AgentOptions options, AgentPorts ports)
    : options_(std::move(options)),
      ports_(ports),
      nodes_(options_.node_name, options_.overlay),
      events_changed_(ports.metrics, "vxmesh_node_events_total", {{"effect", "changed"}}),
      events_none_(ports.metrics, "vxmesh_node_events_total", {{"effect", "none"}}),
      node_count_(ports.metrics, "vxmesh_nodes"),
      is_ready_(ports.metrics, "vxmesh_ready"),
      reconciler_(
          options_.overlay, options_.reconciler, reconciler_ports(ports), nodes_, lifecycle_,
          [this] { report_readiness(); }, [this] { kernel_dumped(); }),
      session_(ports.kubernetes, ports.loop, ports.clock, ports.random, *this, options_.watch),
      firewall_backoff_(kFirewallBackoff) {}

Agent::~Agent() {
  for (const std::optional<TimerId>& timer : {firewall_timer_, problems_timer_}) {
    if (timer) {
      ports_.loop.cancel(*timer);
    }
  }
}

void Agent::start() {
  if (!options_.masquerade) {
    ports_.firewall.remove([this, alive = std::weak_ptr(alive_)](const Result<void>& result) {
      if (!alive.expired() && !result) {
        ports_.log.warning("the firewall rules of an earlier run were not removed, ignoring",
                           {{"error", result.error().context}});
      }
    });
  }
  reconciler_.start();
  session_.start();
}

// --- Nodes ---

// Why a complete list cannot be believed; empty if it can.
std::string Agent::doubt(const NodeSnapshot& snapshot) const {
  if (snapshot.nodes.empty()) {
    return "the API lists no Nodes";
  }
  const auto own = [&](const auto& node) { return node->name == options_.node_name; };
  const auto own_rejection = [&](const auto& node) { return node.name == options_.node_name; };
  if (std::ranges::none_of(snapshot.nodes, own) &&
      std::ranges::none_of(snapshot.rejections, own_rejection)) {
    return "the API lists no Node " + options_.node_name;
  }
  return {};
}

bool Agent::on_list(const NodeSnapshot& snapshot) {
  const std::string why = doubt(snapshot);
  if (!why.empty()) {
    PROBE("list-not-believed");
    ports_.log.warning("the list of Nodes is not believed, keeping everything", {{"why", why}});
    lifecycle_.nodes_doubted(why);
    report_readiness();
    return false;
  }
  own_node_gone_ = false;
  if (lifecycle_.state() == LifecycleState::Degraded) {
    reconciler_.resync();  // what was doubted is believed again only over a fresh dump
  }
  const NodeCacheChange change = nodes_.replace(snapshot.nodes, snapshot.rejections);
  if (change.self) {
    lifecycle_.self_changed(nodes_.self().has_value());
  }
  lifecycle_.list_accepted(nodes_.self().has_value());
  reconciler_.list_accepted();
  nodes_changed(change);
  report_problems();
  return true;
}

void Agent::on_node_event(WatchEventType type, const SharedNode& event) {
  const NodeRejection* rejection = std::get_if<NodeRejection>(event.get());
  if (rejection != nullptr && type != WatchEventType::Deleted) {
    ports_.metrics.add("vxmesh_node_events_total", 1, {{"effect", "rejected"}});
    nodes_.reject(*rejection);
    report_problems_soon();
    return;
  }
  if (rejection == nullptr) {
    take_event(type, std::shared_ptr<const Node>(event, &std::get<Node>(*event)));
  } else {  // that a Node is gone is clear from its name and uid, whatever else is unreadable
    take_event(type,
               std::make_shared<const Node>(Node{.name = rejection->name, .uid = rejection->uid}));
  }
}

void Agent::take_event(WatchEventType type, std::shared_ptr<const Node> node) {
  if (node->name == options_.node_name) {
    take_own_event(type, std::move(node));
    return;
  }
  const NodeCacheChange change = type == WatchEventType::Deleted
                                     ? nodes_.remove(node->name, node->uid)
                                     : nodes_.upsert(std::move(node));
  count_event(change);
  nodes_changed(change);
}

// Degraded is left over a list and a dump that are both newer than the doubt. If the kernel was
// doubted, the dump is there now and the list is still to come.
void Agent::kernel_dumped() {
  if (lifecycle_.state() == LifecycleState::Degraded && !own_node_gone_) {
    session_.relist();
  }
}

// Our own Node going is more likely a mistake than a wish: nothing is removed. When it is back, a
// complete list settles what happened in between.
void Agent::take_own_event(WatchEventType type, std::shared_ptr<const Node> node) {
  if (type == WatchEventType::Deleted && nodes_.is_another(node->name, node->uid)) {
    count_event(nodes_.remove(node->name, node->uid));
  } else if (type == WatchEventType::Deleted) {
    PROBE("own-node-gone");
    const std::string why = "our own Node " + node->name + " was deleted";
    ports_.log.warning("keeping everything", {{"why", why}});
    own_node_gone_ = true;
    lifecycle_.nodes_doubted(why);
    report_readiness();
  } else if (own_node_gone_) {
    PROBE("own-node-back");
    session_.relist();
  } else {
    const NodeCacheChange change = nodes_.upsert(std::move(node));
    count_event(change);
    if (change.self) {
      lifecycle_.self_changed(nodes_.self().has_value());
    }
    nodes_changed(change);
  }
}

void Agent::count_event(const NodeCacheChange& change) {
  const bool changed = change.self || !change.prefixes.empty();
  (changed ? events_changed_ : events_none_).increment();
}

void Agent::nodes_changed(const NodeCacheChange& change) {
  node_count_.set(nodes_.size());
  reconciler_.nodes_changed(change);
  if (change.self) {
    apply_firewall();
  }
  report_problems_soon();
}

void Agent::count_session() {
  const WatchSessionCounters& now = session_.counters();
  const auto add = [&](const std::string& metric, std::uint64_t WatchSessionCounters::*counter,
                       const MetricLabels& labels = {}) {
    const std::uint64_t by = now.*counter - std::exchange(counted_.*counter, now.*counter);
    ports_.metrics.add(metric, static_cast<std::int64_t>(by), labels);
  };
  add("vxmesh_api_lists_total", &WatchSessionCounters::lists);
  add("vxmesh_api_watches_total", &WatchSessionCounters::watches);
  constexpr std::pair<const char*, std::uint64_t WatchSessionCounters::*> kFailures[] = {
      {"list-doubted", &WatchSessionCounters::lists_rejected},
      {"transport", &WatchSessionCounters::transport_errors},
      {"timeout", &WatchSessionCounters::timeouts},
      {"expired", &WatchSessionCounters::expired},
      {"unauthorized", &WatchSessionCounters::unauthorized},
      {"throttled", &WatchSessionCounters::throttled},
      {"server-error", &WatchSessionCounters::server_errors},
      {"other-status", &WatchSessionCounters::other_statuses},
      {"short-watch", &WatchSessionCounters::short_watches},
      {"missing-version", &WatchSessionCounters::missing_versions}};
  for (const auto& [kind, counter] : kFailures) {
    add("vxmesh_api_failures_total", counter, {{"kind", kind}});
  }
}

void Agent::on_session(WatchState state, const std::string& error) {
  count_session();
  ports_.metrics.set("vxmesh_api_connected", state == WatchState::Watching ? 1 : 0);
  if (error != session_error_) {
    if (!error.empty()) {
      ports_.log.warning("the API does not answer as it should, trying again", {{"error", error}});
    } else {
      ports_.log.info("the API answers again");
    }
    session_error_ = error;
  }
}

// --- Firewall ---

void Agent::apply_firewall() {
  if (!options_.masquerade || !nodes_.self()) {
    return;
  }
  FirewallPolicy policy{.device = options_.overlay.device,
                        .tunnel_port = options_.overlay.port,
                        .overlay = options_.overlay.cidrs,
                        .own_pod_cidrs = nodes_.self()->pod_cidrs};
  if (policy_ == policy) {
    return;
  }
  policy_ = std::move(policy);
  set_firewall();
}

// What is under way for another policy, or waits to be tried again, is of no account from now on.
void Agent::set_firewall() {
  if (firewall_timer_) {
    ports_.loop.cancel(*firewall_timer_);
    firewall_timer_.reset();
  }
  policy_applied_ = false;
  ports_.firewall.apply(*policy_, [this, alive = std::weak_ptr(alive_),
                                   attempt = ++firewall_attempt_](const Result<void>& result) {
    if (!alive.expired() && attempt == firewall_attempt_) {
      firewall_done(result);
    }
  });
}

void Agent::firewall_done(const Result<void>& result) {
  policy_applied_ = result.has_value();
  firewall_error_ = result ? "" : result.error().context;
  if (!result) {
    PROBE("firewall-failed-and-retried");
    ports_.log.error("the firewall rules were not set, trying again", {{"error", firewall_error_}});
    firewall_timer_ = ports_.loop.timer(
        firewall_backoff_.next(ports_.clock.monotonic(), ports_.random.next()), [this] {
          firewall_timer_.reset();
          set_firewall();
        });
  }
  report_readiness();
}

// --- Reports ---

void Agent::report_problems_soon() {
  if (!problems_timer_ && nodes_.problems_version() != problems_reported_) {
    problems_timer_ = ports_.loop.timer(kProblemDelay, [this] {
      problems_timer_.reset();
      report_problems();
    });
  }
}

void Agent::report_problems() {
  problems_reported_ = nodes_.problems_version();
  std::set<NodeProblem> problems;
  std::size_t unreported = 0;
  std::map<NodeProblemKind, std::int64_t> counts;
  for (const NodeProblemKind kind : kNodeProblemKinds) {
    counts[kind] = 0;
  }
  for (NodeProblem& problem : nodes_.problems()) {
    ++counts[problem.kind];
    if (!problems_.contains(problem) && ++unreported <= kMaxProblemsLogged) {
      ports_.log.warning(
          "a Node is not programmed as it stands",
          {{"node", problem.node}, {"problem", format(problem.kind)}, {"why", problem.text}});
    }
    problems.insert(std::move(problem));
  }
  if (unreported > kMaxProblemsLogged) {
    ports_.log.warning("more Nodes are not programmed as they stand, see vxmesh_node_problems",
                       {{"more", std::to_string(unreported - kMaxProblemsLogged)}});
  }
  problems_ = std::move(problems);
  for (const auto& [kind, count] : counts) {
    ports_.metrics.set("vxmesh_node_problems", count, {{"kind", format(kind)}});
  }
}

Readiness Agent::readiness() const {
  Readiness readiness{
      .ready = false, .state = format(lifecycle_.state()), .reason = lifecycle_.reason()};
  if (!lifecycle_.ready()) {
    return readiness;
  }
  if (nodes_.self() && nodes_.self()->lost_pod_cidr) {
    readiness.reason = "an older Node owns our PodCIDR";
  } else if (options_.masquerade && !policy_applied_) {
    readiness.reason = firewall_error_.empty() ? "the firewall rules are not set yet"
                                               : "firewall: " + firewall_error_;
  } else {
    readiness.ready = true;
    readiness.reason.clear();
  }
  return readiness;
}

void Agent::report_readiness() {
  const Readiness now = readiness();
  is_ready_.set(now.ready ? 1 : 0);
  if (reported_ != now) {
    ports_.log.info(now.ready ? "ready" : "not ready",
                    {{"state", now.state}, {"reason", now.reason}});
    reported_ = now;
  }
}

}  // namespace vxmesh
