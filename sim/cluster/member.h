// One host of a cluster and the agent on it, over the agent's lives.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "sim/cluster/cluster.h"

namespace vxmesh {

// Contract: tells the cluster's observers what the agent does; settle() buries an agent that has
// died, arms its next start, and must not be called inside one of its callbacks.
class Member final : private OperationWatcher {
 public:
  Member(Cluster& cluster, const NodeSpec& node, HostNumber number);
  ~Member() override;
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  [[nodiscard]] Host& host() { return *host_; }
  [[nodiscard]] AgentProcess* process() const {
    return process_ != nullptr && process_->alive() ? process_.get() : nullptr;
  }

  void start_agent();
  // Dies now; without `restart` for ever.
  void kill_agent(std::optional<Duration> restart);
  // Dies behind so many more operations or events of its loop.
  void crash_at_operation(std::uint64_t count, Duration restart);
  void crash_at_event(std::uint64_t count, Duration restart);
  // Of the two above nothing more comes.
  void disarm();
  void pause_agent(bool paused);
  // Somebody writes to the device when the agent comes there; absent: nobody does any more.
  void write_at(std::optional<ForeignMoment> moment) { foreign_ = moment; }
  // What it is served is so much behind, as one server that it keeps coming to; absent: no more.
  void set_api_lag(std::optional<Duration> lag);

  // Dead, and to be started again.
  [[nodiscard]] bool restarts() const { return restart_ || start_timer_; }

  void settle();
  bool touched = false;

 private:
  OperationFate before(const KernelOp& op, bool last) override;
  void after(const KernelOp& op, const OpResult& result, bool executed) override;
  void dumped(Table table) override;

  [[nodiscard]] std::optional<KubernetesFault> at_call(const KubernetesCall& call);
  [[nodiscard]] WatchEventFault at_event();
  void note_injection(InjectionKind kind);
  void comes_to(ForeignMoment moment);

  Cluster& cluster_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<ApiServers> late_server_;   // once set_api_lag() was called
  std::unique_ptr<ApiServers> stale_server_;  // if something is injected that needs it
  bool api_lags_ = false;
  NamespaceState::Subscription subscription_;
  std::unique_ptr<AgentProcess> process_;
  FakeKubernetes::RuleGuard api_rule_;
  std::uint64_t lives_ = 0;
  std::optional<Duration> restart_;  // how long after its death
  std::optional<std::uint64_t> operations_left_;
  bool dies_at_event_ = false;
  std::optional<ForeignMoment> foreign_;
  bool in_operation_ = false;
  bool paused_ = false;
  std::optional<TimerId> start_timer_;
};

}  // namespace vxmesh
