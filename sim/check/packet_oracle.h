// Blackout of single packets, and what packets look like on the underlay.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>

#include "sim/check/cluster_view.h"
#include "sim/check/excuses.h"
#include "sim/check/masquerade.h"
#include "sim/check/path_oracle.h"
#include "sim/check/violation.h"

namespace vxmesh {

// Contract, for packets with a number other than 0:
//   blackout: one that is owed when it is sent, and for as long as it may wait (kPatience), gets to
//     its pod. It is owed if the paths there and back are (PathOracle), both pods run, and the
//     underlay has room for it;
//   misses: likewise if the neighbour is unresolved; it is owed if the sender's agent answers;
//   masquerade: no packet leaves a node for a place outside the overlay with a pod's address, and
//     none goes into the tunnel with a source outside of it.
class PacketOracle final : public ClusterObserver {
 public:
  // What a queued packet may wait for its neighbour, and then the way.
  static constexpr Duration kPatience = std::chrono::milliseconds(110);

  PacketOracle(ClusterView& view, const Excuses& excuses, const PathOracle& paths,
               ReferenceConfig config, Verdicts& verdicts)
      : view_(view),
        excuses_(excuses),
        paths_(paths),
        config_(std::move(config)),
        verdicts_(verdicts) {}

 private:
  struct Sent {
    PodPacket packet;
    MonotonicTime time;
    HostNumber from = 0;
    HostNumber to = 0;
    bool resolved = false;
  };

  void on_sent(const Host& host, const PodPacket& packet) override;
  void on_received(const Host& host, const PodPacket& packet) override;
  void on_frame(const Host& from, const EthernetFrame& frame) override;
  void on_settled() override;

  // When it is owed: after this.
  [[nodiscard]] MonotonicTime owed_after(const PodPacket& packet, const Host& from, const Host& to,
                                         bool resolved) const;
  void judge_lost(const Sent& sent);
  void judge_source(const Host& from, const IpPacket& packet, bool in_tunnel);
  [[nodiscard]] bool in_overlay(const IpAddress& address) const;

  ClusterView& view_;
  const Excuses& excuses_;
  const PathOracle& paths_;
  ReferenceConfig config_;
  Verdicts& verdicts_;
  std::deque<Sent> sent_;                // in order of time
  std::set<std::uint64_t> outstanding_;  // numbers of those in sent_ that have not come
};

}  // namespace vxmesh
