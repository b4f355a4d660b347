// What goes on in a cluster all the time: pods that send, kubelets that report.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/cluster/cluster.h"

namespace vxmesh {

struct WorkloadOptions {
  // Of the whole cluster, a virtual second; 0 is none. Every probe asks for an answer.
  std::uint64_t probes_per_second = 120;
  std::uint64_t heartbeats_per_second = 10;
};

// Contract: from start() on, at drawn times, a drawn pod sends a numbered packet to a drawn pod of
// another host, which sends it back (the same number, with kAnswer set), and a drawn node's Node
// is written again as it is. Numbers are not used twice. The cluster outlives this.
class Workload final : public ClusterObserver {
 public:
  static constexpr std::uint64_t kAnswer = 1ULL << 63U;

  Workload(Cluster& cluster, WorkloadOptions options);

  void start();
  void stop() { running_ = false; }

  // Packets sent, answers included, and received.
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] std::uint64_t heartbeats() const { return heartbeats_; }
  // The number of a packet that somebody else wants to send.
  [[nodiscard]] std::uint64_t next_number() { return next_number_++; }

 private:
  void on_received(const Host& host, const PodPacket& packet) override;

  void probe_later();
  void probe();
  void heartbeat_later();
  void heartbeat();

  Cluster& cluster_;
  WorkloadOptions options_;
  Prng probes_;
  Prng heartbeats_drawn_;
  bool running_ = false;
  std::uint64_t next_number_ = 1;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t heartbeats_ = 0;
};

}  // namespace vxmesh
