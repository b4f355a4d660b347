// What an agent must never write.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "sim/check/cluster_view.h"
#include "sim/check/excuses.h"
#include "sim/check/foreign_state.h"
#include "sim/check/settlement.h"
#include "sim/check/violation.h"

namespace vxmesh {

// Contract:
//   foreign: no operation of an agent changes a row that is not the overlay's, nor takes the place
//     of a route that has been somebody else's for a second;
//   prune: nothing is deleted before the agent has been given a complete list and has dumped every
//     table to its end, nor while it knows that its own Node is gone;
//   order: no route into the tunnel is written before the FDB entry that it needs is there, and
//     none of these goes before the routes that need it;
//   limit: behind an answer to a miss, the kernel has no more on-demand neighbours than the agent
//     may have;
//   quiet: an agent writes nothing but answers to misses, and deletes nothing but neighbours that
//     are more than it may have, if for a second neither its kernel nor what it has been served has
//     changed, and nothing that has failed is to be tried again; while expect_quiet() is on, all
//     whose Node is there and can be read.
class WriteOracle final : public ClusterObserver {
 public:
  // `max_neighbours`: on-demand ones of each agent.
  WriteOracle(const ClusterView& view, const Excuses& excuses, ReferenceConfig config,
              std::size_t max_neighbours, Verdicts& verdicts)
      : view_(view),
        excuses_(excuses),
        config_(std::move(config)),
        max_neighbours_(max_neighbours),
        verdicts_(verdicts) {}

  void expect_quiet(bool on) { quiet_ = on; }

 private:
  struct Absence {
    std::uint64_t gone = 0;  // at this revision
    std::uint64_t back = 0;  // 0: not yet
  };
  struct Known {
    bool listed = false;
    bool has_device = false;  // when the links were last dumped
    std::set<Table> dumped;
    std::optional<MonotonicTime> gone;  // since when it knows that its own Node is gone
    std::uint64_t served = 0;
    MonotonicTime restless;  // until then it has, or may have, something to write
  };

  void on_written(std::uint64_t revision, const std::string& name,
                  const NodeOrRejection* now) override;
  void on_process(const Host& host, ProcessChange change) override;
  void on_served(const Host& host, std::uint64_t revision) override;
  void on_dumped(const Host& host, Table table) override;
  void before_operation(const Host& host, const KernelOp& op) override;
  void on_operation(const Host& host, const KernelOp& op, const OpResult& result) override;
  void on_host(const Host& host, bool there) override;
  void on_settled() override;
  void on_notification(const Host& host, const Notification& message, bool by_agent) override;

  [[nodiscard]] bool owes(const Host& host) const;
  [[nodiscard]] static std::size_t neighbours_of(const Host& host);
  void judge_quiet(const Host& host, const KernelOp& op);
  void judge_place(const Host& host, const ReplaceRoute& op);
  void note_change(const Host& host, const Notification& message);
  [[nodiscard]] static bool answers_under_rename(const Host& host, const Notification& message);
  [[nodiscard]] bool makes_room(const Host& host, const KernelOp& op) const;
  [[nodiscard]] static bool has_dumped_all(const Known& known);
  void judge_delete(const Host& host, const KernelOp& op);
  void judge_order(const Host& host, const ReplaceRoute& op);
  void judge_order(const Host& host, const DeleteFdb& op);
  // The VTEP to which a route of ours leads; nothing: it leads to none.
  [[nodiscard]] std::optional<MacAddress> vtep_of(const Host& host, const Route& route) const;
  void fail(const Host& host, const char* oracle, const char* what, const std::string& text);

  const ClusterView& view_;
  const Excuses& excuses_;
  const ReferenceConfig config_;
  const std::size_t max_neighbours_;
  Verdicts& verdicts_;
  std::map<HostNumber, Known> known_;
  std::map<std::string, Absence> absences_;  // of Nodes, the last ones
  std::uint64_t last_change_ = 0;            // revision of a Node
  // Since when somebody else has a route to a destination; of those that are, or were.
  std::map<std::pair<HostNumber, IpPrefix>, MonotonicTime> foreign_since_;
  IfIndex device_;  // of the host whose operation is under way, before it
  bool quiet_ = false;
  std::map<HostNumber, const Host*> answered_;  // in the event under way
};

}  // namespace vxmesh
