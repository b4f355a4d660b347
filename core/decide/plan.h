// The plan: an ordered difference between what the kernel should hold and what it holds.
#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/result.h"
#include "decide/desired_state.h"
#include "model/kernel_state.h"
#include "ports/netlink.h"

namespace vxmesh {

// What an operation serves: a remote VTEP, named by its MAC, or (nullopt) the device itself.
struct OpTarget {
  std::optional<MacAddress> vtep;

  friend auto operator<=>(const OpTarget&, const OpTarget&) = default;
};

struct PlannedOp {
  OpTarget target;
  KernelOp op;

  friend bool operator==(const PlannedOp&, const PlannedOp&) = default;
};

// Stages run in order; no batch spans two. An operation runs only if every operation of earlier
// stages for the device and for its own target was Done without error.
struct Plan {
  std::vector<std::vector<PlannedOp>> stages;  // no stage is empty
  bool disruptive = false;  // rebuilds the device or moves a PodCIDR: exempt from the delivery law
  // Foreign routes with the destination, table and metric of one of ours. To write ours would take
  // them over, so it is left out.
  std::set<Route> in_the_way;

  [[nodiscard]] bool empty() const { return stages.empty(); }
  [[nodiscard]] std::size_t size() const;
  friend bool operator==(const Plan&, const Plan&) = default;
};

// The tables as dumped and tracked, with what no event reports: the device's parameters.
struct ActualState {
  KernelState tables;
  std::map<Family, NeighbourParameters> parameters;  // of our device; absent: not read
  std::optional<std::uint8_t> rp_filter;             // of our device
};

// Rows in a plan that follow a CreateVxlan carry IfIndex{0} as device; the executor learns the
// index when the link is there and binds it here.
inline constexpr IfIndex kCreatedDevice{0};
void bind_created_device(std::span<PlannedOp> ops, IfIndex device);

// Deletes of what is ours but not desired are planned only if pruning is allowed.
enum class Prune : bool { No, Yes };

// An error if a link that is not ours holds our name, or our VNI and port: it names that link.
[[nodiscard]] Result<void> device_conflict(const DesiredState& desired, const KernelState& actual);

// The full difference. Requires: no device_conflict.
//
// Laws (property tests against a fake kernel, sim/tests/plan_laws_test.cpp):
//   - applied, what we own equals desired, but for routes that have a foreign one in the way; an
//     on-demand neighbour conforms if its MAC is that of its address's owner and its state, flags
//     and protocol are ours;
//   - what is foreign is unchanged;
//   - a second plan is empty;
//   - whatever was delivered before and is to be delivered after is delivered after every
//     operation, and also when any one operation fails (not for disruptive plans);
//   - with Prune::No nothing is deleted but what stands in the way of what is written.
// A delete may find that its row is gone (ESRCH, ENOENT, EADDRNOTAVAIL): one of several routes that
// share a place is replaced by ours, and which one only the kernel knows.
[[nodiscard]] Plan plan_all(const DesiredState& desired, const ActualState& actual, Prune prune);

// The difference for the changed PodCIDRs only: equal to what plan_all says of them, at the cost of
// the change (and of their neighbours). The device, its addresses and parameters are taken to be
// right; without the device the plan is empty.
[[nodiscard]] Plan plan_changes(const DesiredState& desired, const ActualState& actual,
                                const std::set<IpPrefix>& changed, Prune prune);

// Everything we own, removed: for `vxmesh-agent cleanup`. `device_name` as configured.
[[nodiscard]] Plan plan_cleanup(const KernelState& actual, const std::string& device_name);

}  // namespace vxmesh
