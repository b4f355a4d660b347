// What goes on in a cluster all the time: pods that send, kubelets that report.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/cluster/cluster.h"

namespace vxmesh {

struct WorkloadOptions {
  // Of the whole cluster, a virtual second; 0 is none. Every probe asks for an answer.
  // The defaults are as quick as sweeps are meant to be: with the answers over 200 packets, and
  // with the events of the kernels over 10 events.
  std::uint64_t probes_per_second = 108;
  std::uint64_t heartbeats_per_second = 5;
};

// Contract: from start() on, at drawn times, a drawn pod begins to talk to a drawn pod of another
// host: it sends it some numbered packets, short ones or as long as pods may send them, each of
// which comes back (the same number, with kAnswer set); and a drawn node's Node is written again as
// it is. Numbers are not used twice. The cluster outlives this.
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

 private:
  void on_received(const Host& host, const PodPacket& packet) override;

  // Two pods that talk.
  struct Talk {
    IpAddress from;
    IpAddress to;
    std::uint32_t bytes = PodPacket::kLeast;  // of each packet
    std::uint64_t packets = 0;                // that are left
    Duration pause{};                         // between two
  };

  void talk_later();
  void begin_talk();
  void go_on(Talk talk);
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
