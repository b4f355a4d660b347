// A whole cluster in one process and virtual time: hosts, the production agent on each, the API,
// the underlay, and what happens to them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/check/cluster_view.h"
#include "sim/cluster/agent_process.h"
#include "sim/cluster/injection.h"
#include "sim/fabric/fabric.h"
#include "sim/fabric/host.h"
#include "sim/kube/fake_kubernetes.h"
#include "sim/scenario/scenario.h"
#include "sim/world/fake_clock.h"
#include "sim/world/fake_event_loop.h"
#include "sim/world/prng.h"
#include "sim/world/trace.h"

namespace vxmesh {

struct ClusterOptions {
  ClusterSpec spec;
  std::uint64_t seed = 1;
  // Of clocks, in millionths of their rate, either way.
  std::int64_t max_skew_ppm = 200;
  ReconcilerOptions reconciler;
  FakeKubernetesOptions api;
  std::optional<Injection> injection;
};

// One host, and what runs on it.
class Member;

// Contract: equal options and equal calls give equal runs. Time goes on in run_until() only.
class Cluster final : public ClusterView {
 public:
  explicit Cluster(ClusterOptions options);
  ~Cluster() override;
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Must outlive this; to be added before start().
  void observe(ClusterObserver& observer) { observers_.push_back(&observer); }

  // Hosts boot, Node objects are made, agents start within a second.
  void start();
  // Does the step now. What lasts ends by itself.
  void apply(const Step& step);
  // Whatever lasts is over now, and whoever is dead or paused runs again.
  void heal();

  // `over`, asked behind every event, ends it there.
  void run_until(
      MonotonicTime end, const std::function<bool()>& over = [] { return false; });
  [[nodiscard]] MonotonicTime now() const override { return world_.now(); }
  void at(MonotonicTime time, std::function<void()> callback) override;

  // A pod sends; does nothing if there is none of that address.
  void send(const PodPacket& packet);
  // Of the longest packet that a pod may send, bytes: what a tunnel leaves of the underlay's MTU.
  [[nodiscard]] std::uint32_t pod_mtu() const {
    return options_.spec.underlay_mtu - Host::kTunnelHeaders;
  }
  // A kubelet writes its Node's status, and nothing that is read of it has changed.
  void heartbeat(const std::string& node);
  // A Node is made. Without a host of its name it is a machine that nobody looks at.
  void add_object(const NodeSpec& node);

  [[nodiscard]] std::vector<Host*> hosts() const override;
  [[nodiscard]] Host* host(const std::string& name) const override;
  [[nodiscard]] Host* host_at(const IpAddress& ip) const override;
  [[nodiscard]] Host* host_of_pod(const IpAddress& address) const override;
  [[nodiscard]] bool agent_runs(const std::string& host) const override;
  [[nodiscard]] bool agent_idle(const std::string& host) const override;
  [[nodiscard]] const std::map<std::string, NodeOrRejection>& nodes() const override {
    return nodes_;
  }
  // Null while none runs.
  [[nodiscard]] AgentProcess* process(const std::string& host) const;
  [[nodiscard]] const std::map<std::string, PodSpec>& pods() const { return pods_; }
  // In order of name; good until a pod comes or goes.
  [[nodiscard]] const std::vector<const PodSpec*>& pod_list();
  [[nodiscard]] Trace& trace() { return trace_; }
  [[nodiscard]] const ClusterOptions& options() const { return options_; }
  // The first fault of the network under way that loses an IP packet of so many bytes on its way
  // from one host to another, or may; null: there is none.
  [[nodiscard]] const Step* network_fault(const std::string& from, const std::string& to,
                                          std::uint32_t bytes) const;
  // Faults of the network, and of the tables that it needs, are over now.
  void heal_network();
  // Events of the world so far.
  [[nodiscard]] std::uint64_t events() const { return events_; }
  // Where something could be, or was injected so far.
  [[nodiscard]] const Injector& injector() const { return injector_; }
  [[nodiscard]] Prng prng(const std::string& label) const { return prng_.split(label); }

  // Somebody asks for a process to be started again, as an administrator would.
  void restart_agent(const std::string& host);

 private:
  friend class Member;
  // A control plane of usual size.
  static constexpr std::size_t kApiServers = 3;

  // A lasting step that has begun.
  struct Fault {
    Step step;
    Fabric::Guard rule;
    Prng prng;
    bool met = false;  // something of what it is about
  };

  void add_member(const NodeSpec& node);
  void remove_member(const std::string& name);
  Member& member(const std::string& name) const;
  // Of the API servers' clock, since 1970.
  [[nodiscard]] std::int64_t wall_seconds() const;
  void write(const std::string& name, std::optional<NodeOrRejection> payload);
  void add_pod(const std::string& name, const std::string& node, const IpAddress& address);
  void remove_pod(const std::string& name);
  void remove_pods_of(const std::string& node);
  void settle();
  void touched(Member& member);

  void happen(const Step& step);
  void do_cluster(const Step& step);
  void change_node(const Action& action);
  void spoil_object(const std::string& name, bool on);
  void swap_addresses(const std::string& a, const std::string& b);
  void add_hostile_node(const Action& action);
  void scan(const Action& action);
  void storm(const Action& action);
  void upgrade_all(Duration apart);
  void do_process(const Step& step);
  void do_kernel(const Step& step);
  void set_peer_route(Host& host, const Action& action, bool on) const;
  static void rename_device(Host& host, bool on);
  void write_under_way(const Host& host, ForeignMoment moment);
  void change_device(Host& host, const Action& action);
  void begin(const Step& step);
  void end(std::uint64_t id);
  void set_state(const Step& step, bool on);
  void effect(ActionKind kind) {
    tell([&](ClusterObserver& observer) { observer.on_effect(kind); });
  }
  void met(Fault& fault);
  // The step is about something that is there.
  [[nodiscard]] bool has_target(const Action& action) const;
  [[nodiscard]] Fabric::Guard network_rule(Fault& fault);
  [[nodiscard]] bool is_cut_off(const std::string& host) const;
  // True if the connection of an agent is one that the step is about.
  bool interrupt_api(const Step& step, bool begins);
  [[nodiscard]] std::optional<KubernetesFault> api_fault(const Host& host,
                                                         const KubernetesCall& call);
  // The most Nodes that a page for its agent has now; nothing: as many as it asks for.
  [[nodiscard]] std::optional<std::uint32_t> page_size(const Host& host);
  [[nodiscard]] std::optional<KubernetesFault> meets(const Fault& fault, const Host& host,
                                                     const KubernetesCall& call) const;
  template <typename Call>
  void tell(Call call) {
    for (ClusterObserver* observer : observers_) {
      call(*observer);
    }
  }

  ClusterOptions options_;
  Trace trace_;
  Prng prng_;
  FakeEventLoop world_{&trace_};
  Fabric fabric_{world_, trace_};
  FakeClock clock_{world_};
  Injector injector_;
  NodeStore store_;
  ApiServers servers_{store_, world_, clock_, kApiServers};
  std::map<std::string, NodeOrRejection> nodes_;  // what is in it
  std::map<std::string, Node> spoiled_;           // as they were when they could be read last
  std::vector<ClusterObserver*> observers_;
  std::map<std::string, std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Member>> gone_;  // until the event that removed them is over
  std::vector<Member*> touched_;
  std::map<IpAddress, Member*> by_ip_;
  std::map<HostNumber, Member*> by_number_;
  std::map<std::string, PodSpec> pods_;
  std::vector<const PodSpec*> pod_list_;  // empty: to be made again
  std::map<IpAddress, Member*> pod_hosts_;
  std::map<std::uint64_t, Fault> faults_;
  std::uint64_t next_fault_ = 1;
  std::uint64_t events_ = 0;
  std::uint64_t objects_made_ = 0;
  HostNumber next_host_ = 1;
};

}  // namespace vxmesh
