#include "sim/cluster/agent_process.h"

#include <utility>

#include "sim/world/digest.h"

namespace vxmesh {

void HostFirewall::apply(const FirewallPolicy& policy, Done done) {
  set(policy, std::move(done));
}

void HostFirewall::remove(Done done) {
  set(std::nullopt, std::move(done));
}

void HostFirewall::set(std::optional<FirewallPolicy> policy, Done done) {
  loop_.cover(TraceKind::Firewall, digest_of(policy));
  loop_.timer(kLatency, [this, policy = std::move(policy), done = std::move(done)] {
    const bool refused = host_.kernel_faults().refuses_firewall;
    loop_.cover(TraceKind::Firewall, digest_of(refused));
    if (refused) {
      host_.kernel_faults().met(KernelFault::FirewallRefused);
      done(tl::unexpected(Error{.code = ErrorCode::Environment,
                                .context = "nft: Could not process rule: Cannot allocate memory"}));
      return;
    }
    host_.kernel().data_plane().set_firewall(policy);
    done({});
  });
}

void TracedLog::write(LogLevel level, std::string_view event, const LogFields& fields) {
  trace_.record(world_.now(), host_, TraceKind::Log, digest_of(level, event), [&] {
    std::string text(event);
    for (const auto& [name, value] : fields) {
      text.append(" ").append(name).append("=").append(value);
    }
    return text;
  });
}

Metrics AgentProcess::declared() {
  Metrics metrics;
  declare_agent_metrics(metrics);
  return metrics;
}

AgentProcess::AgentProcess(AgentProcessOptions options, Host& host, ApiServers& servers,
                           FakeEventLoop& world, Trace& trace, OperationWatcher& watcher,
                           const Prng& prng)
    : loop_(world, host.clock(), host.number(), trace),
      random_(prng.split("random")),
      log_(world, host.number(), trace),
      netlink_(host.kernel(), loop_, host.clock(), host.kernel_faults(), watcher,
               prng.split("netlink")),
      kubernetes_(servers, loop_, prng.split("servers"), options.api),
      traced_kubernetes_(kubernetes_, loop_),
      firewall_(host, loop_),
      agent_(std::move(options.agent), AgentPorts{.netlink = netlink_,
                                                  .kubernetes = traced_kubernetes_,
                                                  .firewall = firewall_,
                                                  .loop = loop_,
                                                  .clock = host.clock(),
                                                  .random = random_,
                                                  .metrics = metrics_,
                                                  .log = log_}) {}

}  // namespace vxmesh
