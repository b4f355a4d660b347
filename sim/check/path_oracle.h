// Safety and blackout, decided by walks through the kernels at every change of state.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "sim/check/cluster_view.h"
#include "sim/check/connection.h"
#include "sim/check/excuses.h"
#include "sim/check/ownership_history.h"
#include "sim/check/violation.h"

namespace vxmesh {

// Contract: for every host and every PodCIDR of another one, whenever something changes that the
// way of a packet depends on:
//   safety: once the host's agent has seen a change (it has been served it, and then had nothing
//     more to do, or a second has passed), no packet is delivered at a node that has not owned the
//     PodCIDR since;
//   blackout: if both nodes are as the API says, both agents have been served what concerns them,
//     and nothing excuses it, the way leads to the owner; what the API has changed may take
//     budget::kChange from when it was served.
class PathOracle final : public ClusterObserver {
 public:
  PathOracle(ClusterView& view, const Excuses& excuses, OwnershipHistory& history,
             Verdicts& verdicts)
      : view_(view), excuses_(excuses), history_(history), verdicts_(verdicts) {}

  // Packets from the host to that PodCIDR are owed after this; Excuse::kForever: until something
  // changes.
  [[nodiscard]] MonotonicTime owed_after(const Host& from, const IpPrefix& to) const;
  // Packets both ways between the PodCIDRs of two hosts, likewise.
  [[nodiscard]] MonotonicTime owed_between(const Host& a, const Host& b) const;
  // What depends on the host's own address and PodCIDR alone, likewise.
  [[nodiscard]] MonotonicTime owed_by(const Host& host) const;

 private:
  using Key = std::pair<HostNumber, IpPrefix>;
  // Of a PodCIDR: the Node, which cannot be read, that holds it or did, and what was settled
  // before.
  struct Unread {
    std::string node;
    std::uint64_t settled = 0;
  };
  struct Seen {
    std::uint64_t served = 0;
    std::uint64_t settled = 0;
    std::map<std::uint64_t, MonotonicTime> pending;  // served and not settled: since when
    std::map<IpPrefix, Unread> unread;               // it knows no more of them
  };
  // What of a PodCIDR is to be judged: all ways into it, or those to addresses whose neighbours
  // changed, which nothing else depends on.
  struct Look {
    bool all = false;
    std::set<IpAddress> addresses;
  };

  void on_written(std::uint64_t revision, const std::string& name,
                  const NodeOrRejection* now) override;
  void on_served(const Host& host, std::uint64_t revision) override;
  void on_process(const Host& host, ProcessChange change) override;
  void on_host(const Host& host, bool there) override;
  void on_host_changed(const Host& host) override;
  void on_notification(const Host& host, const Notification& message, bool by_agent) override;
  void on_step(const Step& step, bool begins) override;
  void on_settled() override;

  void look_at_all_of(const Host& host);
  void look_at_all_to(const Host& host);
  void look_at(const Host& host, const IpPrefix& pod_cidr);
  void look_at(const Host& host, const IpAddress& address);
  void forget_owed();
  void settle_views();
  void settle(HostNumber host, Seen& seen);
  void note_unread(Seen& seen, const IpPrefix& pod_cidr, std::uint64_t revision) const;
  void forget_unread(const Host& host, Seen& seen, std::uint64_t revision);
  void judge(const Host& from, const IpPrefix& to, const Look& look);
  void judge_safety(const Host& from, const IpPrefix& to, const IpAddress& address,
                    const Connection& way);
  void judge_again(const Host& from, const IpPrefix& to, MonotonicTime time);
  [[nodiscard]] bool is_as_written(const Host& host) const;
  [[nodiscard]] bool is_served(const Host& host, const IpPrefix& pod_cidr) const;
  [[nodiscard]] MonotonicTime owed_for_changes(const Host& from, const Host& to) const;
  [[nodiscard]] MonotonicTime owed_for_own_changes(const Host& host) const;

  ClusterView& view_;
  const Excuses& excuses_;
  OwnershipHistory& history_;
  Verdicts& verdicts_;
  std::map<HostNumber, const Host*> hosts_;
  std::map<HostNumber, Seen> seen_;
  std::set<HostNumber> unsettled_;
  std::map<IpPrefix, ReferenceOwner> owners_;  // as last written, those that are certain
  std::map<MacAddress, IpPrefix> by_mac_;
  std::map<Key, MonotonicTime> owed_after_;             // what the API has changed
  std::deque<std::pair<MonotonicTime, Key>> owing_;     // what is in it, in order of time
  std::map<HostNumber, MonotonicTime> own_owed_after_;  // of the host's own PodCIDR or address
  std::map<Key, Look> to_judge_;
  std::map<Key, MonotonicTime> again_;  // to be judged then
  std::set<Key> excused_;               // until a step begins or is over, as far as is known
};

}  // namespace vxmesh
