// What the network namespaces of one kernel share: the neighbour tables, their thresholds and their
// garbage collection.
#pragma once

#include <map>

#include "sim/kernel/neighbour_table.h"

namespace vxmesh {

class NamespaceState;

// Contract: outlives its namespaces. No clock: time comes with the calls of the namespaces, which
// never go back behind what another namespace of the host has seen.
class KernelHost {
 public:
  explicit KernelHost(NeighbourTable::ReachableTime reachable_time = {})
      : neighbours_(std::move(reachable_time)) {}
  KernelHost(const KernelHost&) = delete;
  KernelHost& operator=(const KernelHost&) = delete;

  [[nodiscard]] NeighbourTable& neighbours() { return neighbours_; }
  [[nodiscard]] const NeighbourTable& neighbours() const { return neighbours_; }

  // A namespace comes and goes; its id is never given again.
  [[nodiscard]] NamespaceId join(NamespaceState& space);
  void leave(NamespaceId id);
  // Null if it has gone.
  [[nodiscard]] NamespaceState* find(NamespaceId id) const;

 private:
  NeighbourTable neighbours_;
  NamespaceId next_{1};
  std::map<NamespaceId, NamespaceState*> namespaces_;
};

}  // namespace vxmesh
