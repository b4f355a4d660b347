// From when on a host, or what lies between two, owes what: what the faults under way excuse.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "sim/check/cluster_view.h"
#include "sim/check/settlement.h"

namespace vxmesh {

// How long recovery may take; the reasons stand beside each.
namespace budget {
// A change that the API has served is in the kernel: no step of the agent waits for a timer.
inline constexpr Duration kChange = std::chrono::seconds(1);
// An agent that has begun has listed, dumped and repaired what it finds.
inline constexpr Duration kStart = std::chrono::seconds(3);
// The underlay works again: neighbours of its own that have FAILED are asked for again.
inline constexpr Duration kNetwork = std::chrono::seconds(5);
// Operations succeed again, or are answered: what has failed is tried again after a pause that
// grows with the time for which it has failed, and at the latest the next full pass does what is
// left (ReconcilerOptions::resync_interval, 60 s).
inline constexpr Duration kOperations = std::chrono::seconds(65);
// Dumps succeed again: redumps back off to 10 s, and twice that with jitter.
inline constexpr Duration kDumps = std::chrono::seconds(25);
// A Node that was gone is back, and its agent knows: it lists again, and if that fails it backs off
// (30 s, twice that with jitter) once or twice.
inline constexpr Duration kOwnNode = std::chrono::seconds(130);
// The packet filter takes rules again: the agent backs off to 30 s, and twice that with jitter.
inline constexpr Duration kFirewall = std::chrono::seconds(65);
// A miss that was lost is asked again: three probes a second apart (mcast_solicit, app_solicit),
// and then with the next packet.
inline constexpr Duration kLostMiss = std::chrono::seconds(4);
}  // namespace budget

// An excuse that may be open, and ends at some time.
class Excuse {
 public:
  static constexpr MonotonicTime kForever{Duration::max()};

  void begin() { ++open_; }
  void end(MonotonicTime until) {
    open_ -= open_ > 0 ? 1U : 0U;
    last_until(until);
  }
  void last_until(MonotonicTime until) { until_ = std::max(until_, until); }
  [[nodiscard]] MonotonicTime until() const { return open_ > 0 ? kForever : until_; }

 private:
  std::uint64_t open_ = 0;
  MonotonicTime until_{Duration(-1)};
};

// Contract: an observer that must be told before the oracles that ask it. What is excused is judged
// again after the time that the questions give; kForever: until something happens that is told.
class Excuses final : public ClusterObserver {
 public:
  Excuses(const ClusterView& view, ReferenceConfig config)
      : view_(view), config_(std::move(config)) {}

  // The tables of the two hosts, and the network between them, are owed to be right after this.
  [[nodiscard]] MonotonicTime path(const Host& a, const Host& b) const;
  // Packets that need so large an MTU on the underlay pass between the two after this, as far as
  // its MTU is at fault.
  [[nodiscard]] MonotonicTime long_packets(const Host& a, const Host& b, std::uint64_t mtu) const;
  // Those of one host; with `to`: as far as they are about that remote PodCIDR.
  [[nodiscard]] MonotonicTime tables(const Host& host) const;
  [[nodiscard]] MonotonicTime tables(const Host& host, const IpPrefix& to) const;
  // Nothing of the host's tables, whatever it is about, is to be tried again after this.
  [[nodiscard]] MonotonicTime all_tables(const Host& host) const;
  // The host's agent answers misses after this.
  [[nodiscard]] MonotonicTime answers(const Host& host) const;
  // Packets that leave the host are masqueraded after this.
  [[nodiscard]] MonotonicTime firewall(const Host& host) const;
  // No route that is somebody else's, or was when a packet was queued, leads packets to peers out
  // of the host after this.
  [[nodiscard]] MonotonicTime peer_routes(const Host& host) const;
  // Hosts whose agent has to begin anew before they owe anything.
  [[nodiscard]] const std::set<std::string>& owed_at_start() const { return owed_at_start_; }

 private:
  // Tables, or what in them is about one VTEP, whose operations fail.
  struct Failing {
    Excuse tables;
    MonotonicTime since;  // when they were first refused
    bool held = false;    // open while the agent is paused
  };
  struct OfHost {
    Failing own;
    std::map<MacAddress, Failing> peers;  // by VTEP, if only what is about it has failed
    Excuse network;
    Excuse answers;
    Excuse firewall;
    Excuse peer_routes;        // open while foreign routes stand in the place of ours
    bool until_start = false;  // nothing of its tables is owed before the agent begins anew
    bool no_firewall = false;  // nor of its packet filter
    // Its own Node is gone, or was: at which revision it came back; nothing is owed before the
    // agent has been served that.
    bool node_gone = false;
    std::uint64_t node_back = 0;
    bool served = false;       // since its agent began
    bool doubted = false;      // dumps have failed, and none has come to its end since
    bool misled = false;       // what it was given last is a list that it does not believe
    bool awaits_list = false;  // nothing is deleted before it is served
    bool paused = false;
  };

  void on_written(std::uint64_t revision, const std::string& name,
                  const NodeOrRejection* now) override;
  void on_host(const Host& host, bool there) override;
  void on_host_changed(const Host& host) override;
  void on_process(const Host& host, ProcessChange change) override;
  void on_served(const Host& host, std::uint64_t revision) override;
  void on_misled(const Host& host) override;
  void on_operation(const Host& host, const KernelOp& op, const OpResult& result) override;
  void on_dumped(const Host& host, Table table) override;
  void on_step(const Step& step, bool begins) override;

  void network_step(const Step& step, bool begins);
  void kernel_step(const Step& step, bool begins, const Host& host);
  void fails(Failing& failing) const;
  void failure_begins(Failing& failing) const;
  [[nodiscard]] MonotonicTime after_failures(const Failing& failing) const;
  // The VTEP that the operation is about; nothing: the host's own device, or nobody knows.
  [[nodiscard]] std::optional<MacAddress> vtep_of(const Host& host, const KernelOp& op) const;
  [[nodiscard]] std::optional<MacAddress> vtep_of(const IpPrefix& pod_cidr) const;
  [[nodiscard]] bool owes_to_anybody(const OfHost& owed) const;
  static void until_listed(OfHost& owed);
  void until_start(const Host& host);
  void until_served(const Host& host);
  void drifts(const Host& host);
  void stands_still(OfHost& owed) const;
  void goes_on(OfHost& owed) const;
  static void hold(Failing& failing);
  [[nodiscard]] OfHost& of(const Host& host) { return hosts_[host.number()]; }
  [[nodiscard]] MonotonicTime in(Duration time) const { return view_.now() + time; }

  const ClusterView& view_;
  const ReferenceConfig config_;
  std::map<HostNumber, OfHost> hosts_;
  std::map<std::pair<std::string, std::string>, Excuse> between_;
  // What is let through, by whom it is between; of one host and everybody, the second is empty.
  std::map<std::pair<std::string, std::string>, std::map<std::uint64_t, Excuse>> black_holes_;
  std::set<std::string> owed_at_start_;
  std::set<HostNumber> starting_;  // begun since they owed something, not served yet
};

}  // namespace vxmesh
