#include "sim/cluster/member.h"

#include <utility>

#include "base/check.h"
#include "sim/world/digest.h"

namespace vxmesh {
namespace {

ActionKind kind_of(KernelFault fault) {
  switch (fault) {
    case KernelFault::EventsLost: return ActionKind::LoseEvents;
    case KernelFault::AnswerLost: return ActionKind::LoseAnswers;
    case KernelFault::Refused: return ActionKind::FailOperations;
    case KernelFault::RefusedForMemory: return ActionKind::FailSomeOperations;
    case KernelFault::DumpInterrupted: return ActionKind::InterruptDumps;
    case KernelFault::DumpFailed: return ActionKind::FailDumps;
    case KernelFault::DumpTorn: return ActionKind::TearDumps;
    case KernelFault::FirewallRefused: return ActionKind::FailFirewall;
  }
  check(false, "there are no more");
  return ActionKind::LoseEvents;
}

}  // namespace

Member::Member(Cluster& cluster, const NodeSpec& node, HostNumber number) : cluster_(cluster) {
  const ClusterOptions& options = cluster.options_;
  Prng clocks = cluster.prng_.split("clock/" + node.name);
  const auto skew = static_cast<std::int64_t>(
      clocks.below(2 * static_cast<std::uint64_t>(options.max_skew_ppm) + 1));
  host_ = std::make_unique<Host>(
      HostOptions{.number = number,
                  .name = node.name,
                  .ip = node.ip,
                  .pod_cidr = node.pod_cidr,
                  .underlay_mtu = options.spec.underlay_mtu,
                  .clock_ppm = skew - options.max_skew_ppm},
      cluster.world_, cluster.fabric_, cluster.trace_,
      [this](const PodPacket& packet) {
        cluster_.trace_.record(
            cluster_.now(), host_->number(), TraceKind::Packet, ~digest_of(packet), [&] {
              return format(packet.to) + " gets #" + std::to_string(packet.number) + " from " +
                     format(packet.from);
            });
        cluster_.tell([&](ClusterObserver& observer) { observer.on_received(*host_, packet); });
      },
      [this] { cluster_.touched(*this); });
  if (options.injection && options.injection->kind == InjectionKind::StaleEvent) {
    stale_server_ = std::make_unique<ApiServers>(cluster.store_, cluster.world_, cluster.clock_, 1);
    stale_server_->set_lag(Injector::kStaleness);
  }
  host_->kernel_faults().met = [this](KernelFault fault) { cluster_.effect(kind_of(fault)); };
  subscription_ = host_->kernel().subscribe([this](const Notification& message) {
    cluster_.tell([&](ClusterObserver& observer) {
      observer.on_notification(*host_, message, in_operation_);
    });
  });
}

Member::~Member() {
  if (start_timer_) {
    cluster_.world_.cancel(*start_timer_);
  }
}

void Member::start_agent() {
  check(process() == nullptr, "one agent runs on a host");
  if (start_timer_) {  // somebody is faster than the restart
    cluster_.world_.cancel(*start_timer_);
    start_timer_.reset();
  }
  process_.reset();
  const std::string label = "agent/" + host_->name() + "/" + std::to_string(++lives_);
  OperationWatcher& watcher = *this;
  process_ = std::make_unique<AgentProcess>(
      AgentProcessOptions{.agent = {.node_name = host_->name(),
                                    .overlay = {.cidrs = {cluster_.options_.spec.overlay}},
                                    .reconciler = cluster_.options_.reconciler},
                          .api = cluster_.options_.api},
      *host_, cluster_.servers_, cluster_.world_, cluster_.trace_, watcher,
      cluster_.prng_.split(label));
  process_->loop().set_after_event([this] { cluster_.touched(*this); });
  process_->kubernetes().set_served([this](std::uint64_t revision) {
    cluster_.trace_.record(cluster_.now(), host_->number(), TraceKind::Api, revision,
                           [&] { return "served up to " + std::to_string(revision); });
    cluster_.tell([&](ClusterObserver& observer) { observer.on_served(*host_, revision); });
  });
  process_->kubernetes().set_misled(
      [this] { cluster_.tell([&](ClusterObserver& observer) { observer.on_misled(*host_); }); });
  api_rule_ =
      process_->kubernetes().add_rule([this](const KubernetesCall& call) { return at_call(call); });
  process_->kubernetes().set_page_rule([this] { return cluster_.page_size(*host_); });
  process_->kubernetes().set_event_rule([this] { return at_event(); });
  process_->kubernetes().cut_off(cluster_.is_cut_off(host_->name()));
  if (api_lags_) {
    process_->kubernetes().use(*late_server_);
  }
  if (paused_) {
    process_->loop().pause();
  }
  cluster_.tell(
      [&](ClusterObserver& observer) { observer.on_process(*host_, ProcessChange::Started); });
  process_->start();
  cluster_.touched(*this);
}

void Member::kill_agent(std::optional<Duration> restart) {
  if (AgentProcess* running = process()) {
    restart_ = restart;
    dies_at_event_ = false;
    running->kill();
    cluster_.touched(*this);
  }
}

void Member::crash_at_operation(std::uint64_t count, Duration restart) {
  operations_left_ = count;
  restart_ = restart;
}

void Member::crash_at_event(std::uint64_t count, Duration restart) {
  if (AgentProcess* running = process()) {
    restart_ = restart;
    dies_at_event_ = true;
    running->loop().kill_at_event(count);
  }
}

void Member::disarm() {
  operations_left_.reset();
  if (AgentProcess* running = process()) {
    running->loop().live_on();
    restart_.reset();
    dies_at_event_ = false;
  }
}

void Member::pause_agent(bool paused) {
  paused_ = paused;
  AgentProcess* running = process();
  if (running == nullptr || running->loop().paused() == paused) {
    return;
  }
  const ProcessChange change = paused ? ProcessChange::Paused : ProcessChange::Resumed;
  cluster_.tell([&](ClusterObserver& observer) { observer.on_process(*host_, change); });
  if (paused) {
    running->loop().pause();
  } else {
    running->loop().resume();
  }
  cluster_.touched(*this);
}

void Member::set_api_lag(std::optional<Duration> lag) {
  if (late_server_ == nullptr) {
    late_server_ =
        std::make_unique<ApiServers>(cluster_.store_, cluster_.world_, cluster_.clock_, 1);
  }
  late_server_->set_lag(lag.value_or(Duration{}));
  api_lags_ = lag.has_value();
  if (AgentProcess* running = process()) {
    running->kubernetes().use(api_lags_ ? *late_server_ : cluster_.servers_);
    if (api_lags_) {
      running->kubernetes().interrupt(reset_after(0));
    }
  }
}

void Member::settle() {
  if (process_ != nullptr && !process_->alive()) {
    process_.reset();
    operations_left_.reset();
    if (std::exchange(dies_at_event_, false)) {
      cluster_.effect(ActionKind::CrashAtEvent);
    }
    cluster_.tell(
        [&](ClusterObserver& observer) { observer.on_process(*host_, ProcessChange::Died); });
    if (restart_) {
      start_timer_ = cluster_.world_.timer(*restart_, [this] { start_agent(); });
      restart_.reset();
    }
  }
  host_->settle();
}

// --- What the agent does ---

OperationFate Member::before(const KernelOp& op, bool last) {
  comes_to(ForeignMoment::Operation);
  cluster_.tell([&](ClusterObserver& observer) { observer.before_operation(*host_, op); });
  in_operation_ = true;
  const std::optional<InjectionKind> injected = cluster_.injector_.at_operation(last);
  if (!injected) {
    return OperationFate::Answered;
  }
  note_injection(*injected);
  if (*injected == InjectionKind::Crash) {
    crash_at_operation(0, Injector::kRestart);
    return OperationFate::Answered;
  }
  return *injected == InjectionKind::LoseAnswer ? OperationFate::AnswerLost
                                                : OperationFate::RequestLost;
}

void Member::after(const KernelOp& op, const OpResult& result, bool executed) {
  in_operation_ = false;
  const OpDone* done = std::get_if<OpDone>(&result);
  cluster_.trace_.record(
      cluster_.now(), host_->number(), TraceKind::Operation, digest_of(op, result, executed), [&] {
        const std::string fate =
            done == nullptr ? "answer lost"
            : done->error_number == 0
                ? "done"
                : "errno " + std::to_string(done->error_number) + " " + done->extended_ack;
        return format(op) + ": " + fate + (executed ? "" : ", not executed");
      });
  cluster_.tell([&](ClusterObserver& observer) { observer.on_operation(*host_, op, result); });
  if (operations_left_ && (*operations_left_)-- == 0) {
    operations_left_.reset();
    dies_at_event_ = false;
    cluster_.effect(ActionKind::CrashAtOperation);
    process_->kill();
  }
  cluster_.touched(*this);
}

void Member::dumped(Table table) {
  cluster_.trace_.record(cluster_.now(), host_->number(), TraceKind::Dump,
                         static_cast<std::uint64_t>(table),
                         [&] { return "dumped " + format(table); });
  cluster_.tell([&](ClusterObserver& observer) { observer.on_dumped(*host_, table); });
  switch (table) {
    case Table::Links: comes_to(ForeignMoment::LinksDumped); break;
    case Table::Fdb: comes_to(ForeignMoment::FdbDumped); break;
    case Table::Neighbours: comes_to(ForeignMoment::NeighboursDumped); break;
    case Table::Addresses:
    case Table::Routes: break;
  }
}

void Member::comes_to(ForeignMoment moment) {
  if (foreign_ == moment) {
    foreign_.reset();
    cluster_.effect(ActionKind::ForeignUnderWay);
    cluster_.write_under_way(*host_, moment);
  }
}

std::optional<KubernetesFault> Member::at_call(const KubernetesCall& call) {
  auto injected = cluster_.injector_.at_call(host_->number(), call);
  return injected ? injected : cluster_.api_fault(*host_, call);
}

WatchEventFault Member::at_event() {
  const std::optional<InjectionKind> injected = cluster_.injector_.at_event(host_->number());
  if (!injected) {
    return {};
  }
  note_injection(*injected);
  if (*injected == InjectionKind::StaleEvent) {
    process_->kubernetes().use(*stale_server_);
  }
  return event_fault(*injected);
}

void Member::note_injection(InjectionKind kind) {
  cluster_.trace_.record(cluster_.now(), host_->number(), TraceKind::Fault,
                         static_cast<std::uint64_t>(kind),
                         [&] { return "injected at this point: " + std::string(format(kind)); });
}

}  // namespace vxmesh
