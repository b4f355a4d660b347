// The agent's states, and what each allows.
#pragma once

#include <cstdint>
#include <string>

namespace vxmesh {

enum class LifecycleState : std::uint8_t {
  AwaitingNodes,  // no complete, believable list yet, or our own Node is not complete
  Syncing,        // list and self are there; the kernel has not been brought to them yet
  Synced,         // the kernel was brought to the desired state
  Degraded,       // API or kernel cannot be believed: keep everything, prune nothing
};

[[nodiscard]] std::string format(LifecycleState state);  // "awaiting-nodes", ...

// Contract: inputs are facts as they happen; the state follows from them alone. Degraded is entered
// when a source that was believed is doubted, and left only when a complete list and a complete
// dump have both come after the doubt. (A source that was never believed is not doubted into
// Degraded: a first list without nodes leaves the agent awaiting.) Whatever is known of convergence
// ends with a doubt and with a change of our own Node.
class Lifecycle {
 public:
  // A complete list with our own Node in it was taken into the cache; `self_complete`: our Node has
  // PodCIDR and address.
  void list_accepted(bool self_complete);
  // Our Node changed on the watch.
  void self_changed(bool self_complete);
  // The API says something that cannot be believed (an empty list, our own Node gone).
  void nodes_doubted(const std::string& why);
  // Every table was dumped to its end and events were applied over it.
  void dump_completed();
  // The kernel's tables could not be read, or what was read cannot be right.
  void kernel_doubted(const std::string& why);
  // All that was planned was Done without error (or nothing needed doing).
  void converged();
  // Operations failed; they are in the retry set.
  void diverged(const std::string& why);

  [[nodiscard]] LifecycleState state() const;
  // True once a complete list with our Node and a complete dump are there and neither is in doubt.
  [[nodiscard]] bool may_prune() const { return listed_ && dumped_; }
  // True in Synced.
  [[nodiscard]] bool ready() const { return state() == LifecycleState::Synced; }
  // Why it is not ready, for /readyz; empty if it is.
  [[nodiscard]] std::string reason() const;

 private:
  void doubt(bool believed, const std::string& why);
  void recover();

  bool listed_ = false;  // a complete list came, after the last doubt
  bool dumped_ = false;  // a complete dump came, after the last doubt
  bool self_complete_ = false;
  bool converged_ = false;
  bool degraded_ = false;
  std::string trouble_;  // what was doubted or failed last; empty: nothing
};

}  // namespace vxmesh
