#include "agent/plan_execution.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/probe.h"
#include "model/ownership.h"

namespace vxmesh {
namespace {

bool is_delete(const KernelOp& op) {
  return std::holds_alternative<DeleteLink>(op) || std::holds_alternative<DeleteAddress>(op) ||
         std::holds_alternative<DeleteRoute>(op) || std::holds_alternative<DeleteFdb>(op) ||
         std::holds_alternative<DeleteNeighbour>(op);
}

// What the kernel answers to a delete of a row that is not there, or whose device is not.
bool means_absent(int error_number) {
  return error_number == ENOENT || error_number == ESRCH || error_number == EADDRNOTAVAIL ||
         error_number == ENODEV;
}

}  // namespace

bool achieved(const KernelOp& op, const OpResult& result) {
  const OpDone* done = std::get_if<OpDone>(&result);
  return done != nullptr &&
         (done->error_number == 0 || (is_delete(op) && means_absent(done->error_number)));
}

std::string describe_failure(const KernelOp& op, const OpResult& result) {
  const OpDone* done = std::get_if<OpDone>(&result);
  if (done == nullptr) {
    return format(op) + ": the kernel's answer was lost";
  }
  const char* name = strerrorname_np(done->error_number);
  return format(op) + ": " + (name == nullptr ? std::to_string(done->error_number) : name) +
         (done->extended_ack.empty() ? "" : " " + done->extended_ack);
}

PlanExecution::PlanExecution(Netlink& netlink, Plan plan, std::string device_name,
                             Observer observer, Created created)
    : netlink_(netlink),
      plan_(std::move(plan)),
      device_name_(std::move(device_name)),
      observer_(std::move(observer)),
      created_(std::move(created)) {}

std::set<OpTarget> PlanExecution::succeeded() const {
  std::set<OpTarget> succeeded;
  for (const OpTarget& target : touched_) {
    if (!failed_.contains(target) && !held_back_.contains(target)) {
      succeeded.insert(target);
    }
  }
  return succeeded;
}

void PlanExecution::hold_back(const OpTarget& target) {
  PROBE("operation-held-back-by-an-earlier-failure");
  if (!failed_.contains(target)) {
    held_back_.insert(target);
  }
}

bool PlanExecution::step() {
  if (stage_ >= plan_.stages.size()) {
    return true;
  }
  const std::vector<PlannedOp>& stage = plan_.stages[stage_];
  std::vector<PlannedOp> batch;
  while (offset_ < stage.size() && batch.size() < Netlink::kMaxBatch) {
    const PlannedOp& planned = stage[offset_++];
    touched_.insert(planned.target);
    if (failed_.contains(OpTarget{}) || failed_.contains(planned.target)) {
      hold_back(planned.target);
    } else {
      batch.push_back(planned);
    }
  }
  run(batch);
  if (offset_ == stage.size()) {
    finish_stage();
  }
  return stage_ >= plan_.stages.size();
}

void PlanExecution::run(const std::vector<PlannedOp>& batch) {
  if (batch.empty()) {
    return;
  }
  std::vector<KernelOp> ops;
  ops.reserve(batch.size());
  for (const PlannedOp& planned : batch) {
    ops.push_back(planned.op);
  }
  const std::vector<OpResult> results = netlink_.apply(ops);
  check(results.size() == ops.size(), "every operation has a result");
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!achieved(batch[i].op, results[i])) {
      PROBE_IF(std::holds_alternative<OpUnknown>(results[i]), "operation-with-a-lost-answer");
      failed_in_stage_.insert(batch[i].target);
      unknown_ = unknown_ || std::holds_alternative<OpUnknown>(results[i]);
    } else if (std::holds_alternative<CreateVxlan>(batch[i].op)) {
      device_created_ = true;
    }
    observer_({.planned = batch[i], .result = results[i]});
  }
}

void PlanExecution::finish_stage() {
  failed_.merge(failed_in_stage_);
  failed_in_stage_.clear();
  ++stage_;
  offset_ = 0;
  if (std::exchange(device_created_, false)) {
    bind_device();
  }
}

void PlanExecution::bind_device() {
  const Result<std::optional<Link>> link = netlink_.get_link(device_name_);
  if (!link || !*link || !is_owned(**link)) {  // somebody may have been faster
    failed_.insert(OpTarget{});                // holds back all that follows; the retry looks again
    return;
  }
  created_(**link);
  for (std::size_t i = stage_; i < plan_.stages.size(); ++i) {
    bind_created_device(plan_.stages[i], (*link)->index);
  }
}

}  // namespace vxmesh
