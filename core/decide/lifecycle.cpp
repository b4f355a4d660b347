#include "decide/lifecycle.h"

#include "base/probe.h"

namespace vxmesh {

std::string format(LifecycleState state) {
  switch (state) {
    case LifecycleState::AwaitingNodes: return "awaiting-nodes";
    case LifecycleState::Syncing: return "syncing";
    case LifecycleState::Synced: return "synced";
    case LifecycleState::Degraded: break;
  }
  return "degraded";
}

void Lifecycle::list_accepted(bool self_complete) {
  listed_ = true;
  self_complete_ = self_complete;
  recover();
}

void Lifecycle::self_changed(bool self_complete) {
  self_complete_ = self_complete;
  converged_ = false;
}

void Lifecycle::nodes_doubted(const std::string& why) {
  doubt(listed_, why);
}

void Lifecycle::dump_completed() {
  dumped_ = true;
  recover();
}

void Lifecycle::kernel_doubted(const std::string& why) {
  doubt(dumped_, why);
}

void Lifecycle::converged() {
  converged_ = listed_ && dumped_ && self_complete_;
  if (converged_) {
    trouble_.clear();
  }
}

void Lifecycle::diverged(const std::string& why) {
  converged_ = false;
  if (!degraded_) {
    trouble_ = why;
  }
}

void Lifecycle::doubt(bool believed, const std::string& why) {
  trouble_ = why;
  converged_ = false;
  if (believed || degraded_) {
    degraded_ = true;
    listed_ = false;
    dumped_ = false;
  }
}

void Lifecycle::recover() {
  if (degraded_ && listed_ && dumped_) {
    PROBE("believed-again-after-doubt");
    degraded_ = false;
    trouble_.clear();
  }
}

LifecycleState Lifecycle::state() const {
  if (degraded_) {
    return LifecycleState::Degraded;
  }
  if (!listed_ || !self_complete_) {
    return LifecycleState::AwaitingNodes;
  }
  return converged_ ? LifecycleState::Synced : LifecycleState::Syncing;
}

std::string Lifecycle::reason() const {
  const auto with_trouble = [this](const std::string& what) {
    return trouble_.empty() ? what : what + ": " + trouble_;
  };
  switch (state()) {
    case LifecycleState::AwaitingNodes:
      return with_trouble(listed_ ? "this node's Node has no usable PodCIDR and address yet"
                                  : "no complete list of Nodes has come yet");
    case LifecycleState::Syncing:
      return with_trouble(dumped_ ? "the kernel is not yet as desired"
                                  : "the kernel's tables have not been read yet");
    case LifecycleState::Degraded: return trouble_;
    case LifecycleState::Synced: break;
  }
  return "";
}

}  // namespace vxmesh
