// The Kubernetes port of one process, with all that goes through it in the trace.
#pragma once

#include <memory>

#include "ports/kubernetes.h"
#include "sim/world/process_loop.h"

namespace vxmesh {

// Contract: as `api`. The hash of the loop's trace covers every request, and everything that the
// handlers are told before they are. `api` and the loop outlive this and its calls.
class TracedKubernetes final : public Kubernetes {
 public:
  TracedKubernetes(Kubernetes& api, ProcessLoop& loop) : api_(api), loop_(loop) {}

  [[nodiscard]] std::unique_ptr<ApiCall> list_nodes(const ListRequest& request,
                                                    ListHandler& handler) override;
  [[nodiscard]] std::unique_ptr<ApiCall> watch_nodes(const WatchRequest& request,
                                                     WatchHandler& handler) override;

 private:
  Kubernetes& api_;
  ProcessLoop& loop_;
};

}  // namespace vxmesh
