// Runs a plan, one bounded batch at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "decide/plan.h"
#include "ports/netlink.h"

namespace vxmesh {

// True if the kernel is as the operation wants it: done without error, or a delete of what is not
// there.
[[nodiscard]] bool achieved(const KernelOp& op, const OpResult& result);

// "replace route ... failed: ENETDOWN Device for nexthop is not up".
[[nodiscard]] std::string describe_failure(const KernelOp& op, const OpResult& result);

// Contract: stages run in order and no batch spans two. An operation runs only if all operations of
// earlier stages for the device and for its own target were achieved; one node's failure holds back
// nobody else. After a stage that creates the device its index is looked up and bound in what
// follows. Threading: one thread.
class PlanExecution {
 public:
  struct Outcome {
    const PlannedOp& planned;
    const OpResult& result;
  };
  // Called for every operation that ran, in order.
  using Observer = std::function<void(const Outcome&)>;
  // Called with the link when a created device has been looked up.
  using Created = std::function<void(const Link&)>;

  PlanExecution(Netlink& netlink, Plan plan, std::string device_name, Observer observer,
                Created created);

  // Runs the next batch of at most Netlink::kMaxBatch operations. True when nothing is left to run.
  [[nodiscard]] bool step();

  [[nodiscard]] bool disruptive() const { return plan_.disruptive; }
  // Targets of which an operation was not achieved; the device is OpTarget{}.
  [[nodiscard]] const std::set<OpTarget>& failed() const { return failed_; }
  // Targets of which an operation did not run because the device has failed, and nothing else.
  [[nodiscard]] const std::set<OpTarget>& held_back() const { return held_back_; }
  // Targets of which every operation was achieved, so far.
  [[nodiscard]] std::set<OpTarget> succeeded() const;
  // An answer was lost: what it did is known only after a redump.
  [[nodiscard]] bool unknown() const { return unknown_; }

 private:
  void hold_back(const OpTarget& target);
  void run(const std::vector<PlannedOp>& batch);
  void finish_stage();
  void bind_device();

  Netlink& netlink_;
  Plan plan_;
  std::string device_name_;
  Observer observer_;
  Created created_;

  std::size_t stage_ = 0;
  std::size_t offset_ = 0;              // of the next operation in the stage
  std::set<OpTarget> failed_;           // in earlier stages: these hold back
  std::set<OpTarget> failed_in_stage_;  // in this stage: these do not yet
  std::set<OpTarget> held_back_;        // by the device alone
  std::set<OpTarget> touched_;
  bool device_created_ = false;
  bool unknown_ = false;
};

}  // namespace vxmesh
