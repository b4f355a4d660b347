// One process of the agent on a simulated host: the production code with the host's kernel, a
// client of the API and a packet filter.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "agent/agent.h"
#include "sim/cluster/traced_kubernetes.h"
#include "sim/fabric/host.h"
#include "sim/faults/process_netlink.h"
#include "sim/kube/fake_kubernetes.h"
#include "sim/world/fake_random.h"
#include "sim/world/prng.h"
#include "sim/world/process_loop.h"

namespace vxmesh {

// The packet filter of a host: takes each policy a little later, as nft does.
class HostFirewall final : public Firewall {
 public:
  static constexpr Duration kLatency = std::chrono::milliseconds(20);

  HostFirewall(Host& host, ProcessLoop& loop) : host_(host), loop_(loop) {}

  void apply(const FirewallPolicy& policy, Done done) override;
  void remove(Done done) override;

 private:
  void set(std::optional<FirewallPolicy> policy, Done done);

  Host& host_;
  ProcessLoop& loop_;
};

class TracedLog final : public Log {
 public:
  TracedLog(const FakeEventLoop& world, HostNumber host, Trace& trace)
      : world_(world), host_(host), trace_(trace) {}

  void write(LogLevel level, std::string_view event, const LogFields& fields) override;

 private:
  const FakeEventLoop& world_;
  HostNumber host_;
  Trace& trace_;
};

struct AgentProcessOptions {
  AgentOptions agent;
  FakeKubernetesOptions api;
};

// Contract: runs from start() until kill(), or until it dies at a place that was set before. What
// it is made of stays until this is destroyed, which must not happen inside one of its callbacks.
class AgentProcess {
 public:
  AgentProcess(AgentProcessOptions options, Host& host, ApiServers& servers, FakeEventLoop& world,
               Trace& trace, OperationWatcher& watcher, const Prng& prng);
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;

  void start() { agent_.start(); }
  void kill() { loop_.kill(); }

  [[nodiscard]] bool alive() const { return !loop_.dead(); }
  [[nodiscard]] bool ready() const { return alive() && agent_.readiness().ready; }
  [[nodiscard]] Readiness readiness() const { return agent_.readiness(); }
  [[nodiscard]] ProcessLoop& loop() { return loop_; }
  [[nodiscard]] const ProcessLoop& loop() const { return loop_; }
  [[nodiscard]] FakeKubernetes& kubernetes() { return kubernetes_; }
  [[nodiscard]] ProcessNetlink& netlink() { return netlink_; }

 private:
  static Metrics declared();

  ProcessLoop loop_;
  FakeRandom random_;
  TracedLog log_;
  Metrics metrics_ = declared();
  ProcessNetlink netlink_;
  FakeKubernetes kubernetes_;
  TracedKubernetes traced_kubernetes_;
  HostFirewall firewall_;
  Agent agent_;
};

}  // namespace vxmesh
