#include "agent/reconciler.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/probe.h"
#include "decide/miss_resolver.h"
#include "decide/neighbour_budget.h"
#include "model/ownership.h"

namespace vxmesh {
namespace {

constexpr std::size_t kMissesPerTurn = 1024;
constexpr std::size_t kEventsPerTurn = 4096;
// Kernel neighbours that wait for the first list hold packets for app_solicit seconds only.
constexpr std::size_t kMaxDeferredMisses = 4096;
constexpr BackoffLimits kRedumpBackoff{.first = std::chrono::milliseconds{100},
                                       .cap = std::chrono::seconds{10},
                                       .reset_after = std::chrono::minutes{1}};

}  // namespace

void declare_reconciler_metrics(Metrics& metrics) {
  using enum Metrics::Kind;
  metrics.declare(Counter, "vxmesh_misses_total", "Misses by what became of them.", true);
  metrics.declare(Counter, "vxmesh_operations_total", "Netlink writes by result.", true);
  metrics.declare(Counter, "vxmesh_plans_total", "Plans that were not empty, by scope.", true);
  metrics.declare(Counter, "vxmesh_redumps_total", "Complete dumps of the kernel's tables.");
  metrics.declare(Counter, "vxmesh_redump_failures_total", "Dumps that were given up.");
  metrics.declare(Counter, "vxmesh_overruns_total", "Times that kernel events were lost.");
  metrics.declare(Counter, "vxmesh_evictions_total", "On-demand neighbours given up for new ones.");
  metrics.declare(Gauge, "vxmesh_neighbours", "On-demand neighbours, by family.", true);
  metrics.declare(Gauge, "vxmesh_peers", "Remote PodCIDRs that are programmed.");
  metrics.declare(Gauge, "vxmesh_foreign_routes",
                  "Routes of others that stand where ours should be.");
  metrics.declare(Gauge, "vxmesh_retries", "Targets whose operations failed and are tried again.");
}

Reconciler::Reconciler(OverlayConfig config, ReconcilerOptions options, ReconcilerPorts ports,
                       const NodeCache& nodes, Lifecycle& lifecycle,
                       std::function<void()> on_change, std::function<void()> on_dump)
    : config_(std::move(config)),
      options_(options),
      ports_(ports),
      nodes_(nodes),
      lifecycle_(lifecycle),
      on_change_(std::move(on_change)),
      on_dump_(std::move(on_dump)),
      operations_done_(ports.metrics, "vxmesh_operations_total", {{"result", "done"}}),
      operations_failed_(ports.metrics, "vxmesh_operations_total", {{"result", "failed"}}),
      full_plans_(ports.metrics, "vxmesh_plans_total", {{"scope", "full"}}),
      changed_plans_(ports.metrics, "vxmesh_plans_total", {{"scope", "changed"}}),
      peer_count_(ports.metrics, "vxmesh_peers"),
      foreign_route_count_(ports.metrics, "vxmesh_foreign_routes"),
      retry_count_(ports.metrics, "vxmesh_retries"),
      mirror_(ports.netlink, ports.clock, config_),
      redump_backoff_(kRedumpBackoff) {}

Reconciler::~Reconciler() {
  ports_.netlink.set_listener({});
  for (const std::optional<TimerId>& timer : {resync_timer_, retry_timer_, redump_timer_}) {
    if (timer) {
      ports_.loop.cancel(*timer);
    }
  }
}

void Reconciler::start() {
  check(!redump_wanted_ && !dumped_, "the reconciler is started once");
  ports_.netlink.set_listener([this] { turn(); });
  resync();
}

void Reconciler::resync() {
  redump_wanted_ = true;
  if (resync_timer_) {
    ports_.loop.cancel(*resync_timer_);
  }
  resync_timer_ = ports_.loop.timer(options_.resync_interval, [this] { resync(); });
  wake();
}

void Reconciler::list_accepted() {
  listed_ = true;
  full_wanted_ = true;
  wake();
}

void Reconciler::nodes_changed(const NodeCacheChange& change) {
  full_wanted_ = full_wanted_ || change.self;
  changed_.insert(change.prefixes.begin(), change.prefixes.end());
  if (change.self || !change.prefixes.empty()) {
    wake();
  }
}

void Reconciler::wake() {
  if (!std::exchange(turn_posted_, true)) {
    ports_.loop.post([this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) {
        turn_posted_ = false;
        turn();
      }
    });
  }
}

void Reconciler::turn() {
  const bool misses_left = answer_misses();
  const bool events_left = apply_events();
  const bool work_left = advance(!events_left);
  if (misses_left || events_left || work_left) {
    wake();
  }
}

// The device, unless what holds its name is not ours.
const Link* Reconciler::own_device() const {
  const Link* device = mirror_.device();
  return device != nullptr && is_owned(*device) ? device : nullptr;
}

// --- Misses ---

bool Reconciler::answer_misses() {
  std::vector<Miss> misses = ports_.netlink.take_misses(kMissesPerTurn);
  const bool more = misses.size() == kMissesPerTurn;
  if (const Link* device = own_device(); desired_ && device != nullptr) {
    PROBE_IF(!deferred_.empty(), "deferred-misses-answered");
    for (const IpAddress& address : std::exchange(deferred_, {})) {
      misses.push_back({.device = device->index, .address = address});
    }
    for (const Miss& miss : mirror_.take_unresolved()) {
      misses.push_back(miss);
    }
  }
  if (!misses.empty()) {
    answer(misses);
    evict();
  }
  return more;
}

void Reconciler::answer(const std::vector<Miss>& misses) {
  const Link* device = own_device();
  std::vector<KernelOp> answers;
  std::set<IpAddress> answered;
  for (const Miss& miss : misses) {
    if (!desired_ || device == nullptr) {
      if (deferred_.size() < kMaxDeferredMisses) {
        deferred_.insert(miss.address);
      }
      ports_.metrics.add("vxmesh_misses_total", 1, {{"verdict", "too-early"}});
      continue;
    }
    const MissAnswer found = resolve_miss(config_, *self_, desired_->peers, device->index, miss);
    ports_.metrics.add("vxmesh_misses_total", 1, {{"verdict", format(found.verdict)}});
    if (found.neighbour && answered.insert(miss.address).second) {
      answers.emplace_back(ReplaceNeighbour{*found.neighbour});
    }
  }
  MirrorChange change;
  for (std::size_t begin = 0; begin < answers.size(); begin += Netlink::kMaxBatch) {
    const auto batch =
        std::span(answers).subspan(begin, std::min(Netlink::kMaxBatch, answers.size() - begin));
    const std::vector<OpResult> results = ports_.netlink.apply(batch);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      // A failed answer needs no retry of ours: the kernel asks again (app_solicit times, then with
      // the next packet).
      const bool ok = achieved(batch[i], results[i]);
      (ok ? operations_done_ : operations_failed_).increment();
      if (ok) {
        mirror_.apply_operation(batch[i], change);
      }
    }
  }
}

void Reconciler::evict() {
  if (!listed_ || own_device() == nullptr) {
    return;
  }
  const IfIndex device = own_device()->index;
  MirrorChange change;
  for (const Family family : {Family::V4, Family::V6}) {
    const std::vector<IpAddress> victims =
        evictions(mirror_.updated(family), options_.max_neighbours);
    for (std::size_t begin = 0; begin < victims.size(); begin += Netlink::kMaxBatch) {
      std::vector<KernelOp> batch;
      for (std::size_t i = begin; i < std::min(victims.size(), begin + Netlink::kMaxBatch); ++i) {
        batch.emplace_back(DeleteNeighbour{.device = device, .address = victims[i]});
      }
      const std::vector<OpResult> results = ports_.netlink.apply(batch);
      for (std::size_t i = 0; i < batch.size(); ++i) {
        if (achieved(batch[i], results[i])) {
          mirror_.apply_operation(batch[i], change);
          ports_.metrics.add("vxmesh_evictions_total");
        }
      }
    }
    ports_.metrics.set("vxmesh_neighbours",
                       static_cast<std::int64_t>(mirror_.updated(family).size()),
                       {{"family", format(family)}});
  }
}

// --- Events ---

bool Reconciler::apply_events() {
  const std::vector<KernelEvent> events = ports_.netlink.take_events(kEventsPerTurn);
  MirrorChange change;
  for (const KernelEvent& event : events) {
    mirror_.apply_event(event, change);
  }
  follow(change);
  return events.size() == kEventsPerTurn;
}

void Reconciler::follow(const MirrorChange& change) {
  if (change.overrun) {
    PROBE("kernel-events-lost");
    ports_.metrics.add("vxmesh_overruns_total");
    ports_.log.warning("kernel events were lost, reading all tables again");
  }
  // What is in the way may go without a word: with the last address of its device
  // (fib_sync_down_dev of net/ipv4/fib_semantics.c), or when that goes down.
  const bool way_may_be_free = change.underlay && !in_the_way_.empty();
  redump_wanted_ = redump_wanted_ || change.redump || way_may_be_free;
  full_wanted_ = full_wanted_ || change.device ||
                 (change.underlay && desired_ && underlay_mtu() != mtu_) ||
                 (change.underlay && !blocked_reason_.empty());
  if (!desired_) {
    return;
  }
  follow_routes(change);
  for (const MacAddress& mac : change.vteps) {
    follow_vtep(mac);
  }
  for (const IpAddress& address : change.neighbours) {
    if (const auto* peer = find_peer(desired_->peers, address)) {
      changed_.insert(peer->first);
    } else {
      full_wanted_ = true;
    }
  }
}

void Reconciler::follow_routes(const MirrorChange& change) {
  for (const IpPrefix& destination : change.routes) {
    if (desired_->peers.contains(destination)) {
      changed_.insert(destination);
    } else {
      full_wanted_ = true;
    }
  }
  for (const IpPrefix& destination : change.foreign_routes) {
    if (desired_->peers.contains(destination)) {
      changed_.insert(destination);
    }
    const bool refused = std::ranges::any_of(
        desired_->refusals, [&](const Route& route) { return route.destination == destination; });
    full_wanted_ = full_wanted_ || refused;
  }
}

void Reconciler::follow_vtep(const MacAddress& mac) {
  if (const auto* peer = find_peer(*desired_, mac)) {
    changed_.insert(peer->first);
  } else {
    full_wanted_ = true;
  }
}

// --- One step of what is under way ---

bool Reconciler::advance(bool drained) {
  if (execution_) {
    if (execution_->step()) {
      finish_execution();
    }
    return true;
  }
  if (redump_wanted_ && !redump_timer_) {
    redump_wanted_ = false;
    mirror_.begin_redump();
    return true;
  }
  if (mirror_.redumping()) {
    step_redump();
    return true;
  }
  return !drained || plan_next();
}

void Reconciler::step_redump() {
  const Result<bool> finished = mirror_.step();
  if (!finished) {
    ports_.metrics.add("vxmesh_redump_failures_total");
    if (finished.error().code == ErrorCode::Interrupted) {
      PROBE("dump-interrupted");
    } else {
      PROBE("dump-failed");
      ports_.log.warning("reading the kernel's tables failed, trying again",
                         {{"error", finished.error().context}});
      lifecycle_.kernel_doubted(finished.error().context);
      on_change_();
    }
    redump_later();
  } else if (*finished) {
    redump_backoff_.reset();
    ports_.metrics.add("vxmesh_redumps_total");
    dumped_ = true;
    full_wanted_ = true;
    lifecycle_.dump_completed();
    evict();
    on_dump_();
    on_change_();
  }
}

void Reconciler::redump_later() {
  redump_wanted_ = true;
  if (!redump_timer_) {
    redump_timer_ = ports_.loop.timer(
        redump_backoff_.next(ports_.clock.monotonic(), ports_.random.next()), [this] {
          redump_timer_.reset();
          wake();
        });
  }
}

std::optional<std::uint32_t> Reconciler::underlay_mtu() const {
  const KernelState& tables = mirror_.actual().tables;
  for (const IfAddress& address : tables.addresses) {
    const auto link = tables.links.find(address.device);
    if (address.address == self_->vtep && link != tables.links.end() &&
        link->second.name != config_.device) {
      return link->second.mtu;
    }
  }
  return std::nullopt;
}

bool Reconciler::refresh_desired() {
  self_ = nodes_.self() ? nodes_.self() : self_;
  if (!self_) {
    return false;  // our Node is not complete: the lifecycle says so
  }
  mtu_ = underlay_mtu();
  if (!mtu_) {
    blocked("our Node's address " + format(self_->vtep) + " is on no link of this host");
    return false;
  }
  desired_ = desired_state(config_, *self_, nodes_.owners(), *mtu_);
  peer_count_.set(desired_->peers.size());
  const Result<void> free = device_conflict(*desired_, mirror_.actual().tables);
  if (!free) {
    blocked(free.error().context);
    return false;
  }
  return true;
}

// Says once, and until it is over, why nothing can be programmed.
void Reconciler::blocked(const std::string& why) {
  PROBE("nothing-can-be-programmed");
  if (why != blocked_reason_) {
    ports_.log.error("cannot program the kernel", {{"error", why}});
    blocked_reason_ = why;
  }
  lifecycle_.diverged(why);
  on_change_();
}

bool Reconciler::plan_next() {
  if (!listed_ || !dumped_ || (!full_wanted_ && changed_.empty())) {
    return false;
  }
  const bool full = full_wanted_ || !desired_;
  const std::set<IpPrefix> changed = std::exchange(changed_, {});
  const Prune prune = lifecycle_.may_prune() ? Prune::Yes : Prune::No;
  if (full) {
    full_wanted_ = false;
    if (!refresh_desired()) {
      // What there is stays, and follows the others: a full pass comes when nothing is in the way.
      changed_ = desired_ ? changed : std::set<IpPrefix>{};
      return !changed_.empty();
    }
    blocked_reason_.clear();
    Plan plan = plan_all(*desired_, mirror_.actual(), prune);
    note_in_the_way(plan, nullptr);
    execute(std::move(plan), full);
  } else {
    update_peers(*desired_, *self_, nodes_.owners(), changed);
    peer_count_.set(desired_->peers.size());
    Plan plan = plan_changes(*desired_, mirror_.actual(), changed, prune);
    note_in_the_way(plan, &changed);
    execute(std::move(plan), full);
  }
  return true;
}

// Says once that a foreign route stands where ours should be. `changed`: what the plan is about;
// null: all.
void Reconciler::note_in_the_way(const Plan& plan, const std::set<IpPrefix>* changed) {
  for (const Route& route : plan.in_the_way) {
    if (!in_the_way_.contains(route)) {
      ports_.log.error("a route that is not ours stands where ours should be",
                       {{"route", format(route)}});
    }
  }
  std::erase_if(in_the_way_, [&](const Route& route) {
    return changed == nullptr || changed->contains(route.destination);
  });
  in_the_way_.insert(plan.in_the_way.begin(), plan.in_the_way.end());
  foreign_route_count_.set(in_the_way_.size());
}

// --- Execution ---

void Reconciler::execute(Plan plan, bool full) {
  if (!plan.empty()) {
    (full ? full_plans_ : changed_plans_).increment();
    ports_.log.debug("applying a plan", {{"operations", std::to_string(plan.size())},
                                         {"scope", full ? "full" : "changed"}});
    if (plan.disruptive) {
      ports_.log.warning(
          "the plan interrupts traffic: the device is rebuilt or a PodCIDR has moved");
    }
  }
  first_failure_.clear();
  execution_is_full_ = full;
  retried_ = std::exchange(to_retry_, {});
  execution_.emplace(
      ports_.netlink, std::move(plan), config_.device,
      [this](const PlanExecution::Outcome& outcome) { observe(outcome); },
      [this](const Link& link) { mirror_.apply_link(link); });
}

void Reconciler::observe(const PlanExecution::Outcome& outcome) {
  const bool ok = achieved(outcome.planned.op, outcome.result);
  (ok ? operations_done_ : operations_failed_).increment();
  if (ok) {
    MirrorChange change;
    mirror_.apply_operation(outcome.planned.op, change);
    redump_wanted_ = redump_wanted_ || change.redump;
  } else if (first_failure_.empty()) {
    first_failure_ = describe_failure(outcome.planned.op, outcome.result);
    ports_.log.warning("an operation failed, its target is tried again",
                       {{"operation", first_failure_}});
  }
}

void Reconciler::finish_execution() {
  const MonotonicTime now = ports_.clock.monotonic();
  const bool clean = execution_->failed().empty();
  for (const OpTarget& target : execution_->failed()) {
    PROBE_IF(target.vtep, "peer-failed-and-retried");
    PROBE_IF(!target.vtep, "device-failed-and-retried");
    retry_.failed(target, now, ports_.random.next());
  }
  for (const OpTarget& target : execution_->held_back()) {
    retry_.held_back(target, now, ports_.random.next());
  }
  if (execution_is_full_ && clean) {
    retry_ = RetrySet{};
  } else {
    for (const OpTarget& target : execution_->succeeded()) {
      retry_.succeeded(target);
    }
    for (const OpTarget& target : retried_) {  // of some there was nothing left to do
      if (!execution_->failed().contains(target) && !execution_->held_back().contains(target)) {
        retry_.succeeded(target);
      }
    }
  }
  // What came of nothing is tried again by the retry set alone: a redump and a full pass would try
  // it at once, again and again.
  redump_wanted_ = redump_wanted_ || (execution_->disruptive() && !execution_->succeeded().empty());
  if (execution_->unknown()) {
    redump_later();
  }
  execution_.reset();
  retry_count_.set(retry_.size());
  if (!clean) {
    lifecycle_.diverged(first_failure_.empty() ? "the device could not be looked up"
                                               : first_failure_);
  } else if (!in_the_way_.empty()) {
    lifecycle_.diverged("a route that is not ours stands where ours should be: " +
                        format(*in_the_way_.begin()));
  } else if (blocked_reason_.empty() && retry_.size() == 0 && !redump_wanted_ && !full_wanted_ &&
             changed_.empty()) {
    lifecycle_.converged();
  }
  arm_retry();
  on_change_();
}

void Reconciler::arm_retry() {
  if (retry_timer_) {
    ports_.loop.cancel(*retry_timer_);
    retry_timer_.reset();
  }
  if (const std::optional<MonotonicTime> due = retry_.next_due()) {
    retry_timer_ = ports_.loop.timer(*due - ports_.clock.monotonic(), [this] {
      retry_timer_.reset();
      take_retries();
    });
  }
}

void Reconciler::take_retries() {
  for (const OpTarget& target : retry_.take_due(ports_.clock.monotonic())) {
    if (target.vtep && desired_) {
      to_retry_.insert(target);
      follow_vtep(*target.vtep);
    } else {
      redump_wanted_ = true;  // the device itself: look at it before the next try
    }
  }
  arm_retry();
  wake();
}

}  // namespace vxmesh
