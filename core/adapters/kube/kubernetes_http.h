// The Kubernetes port over HTTP: an API server, or vxmesh-fakekube.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "adapters/kube/access.h"
#include "base/result.h"
#include "ports/clock.h"
#include "ports/kubernetes.h"

namespace boost::asio {
class io_context;
}  // namespace boost::asio

namespace vxmesh {

struct KubernetesHttpOptions {
  std::string user_agent = "vxmesh-agent";
  // Told of each watch event that was skipped because its type is unknown; may be empty.
  std::function<void(std::string_view type)> on_skipped_event;
};

// Contract: that of ports/kubernetes.h. Each call has a connection of its own. Lists and watches
// are parsed as they arrive, 64 KiB at a time. A token file is read again every 60 s and after a
// 401. Messages of errors name the server. `io` and `clock` outlive the result, and the result
// outlives its calls. InvalidInput if the URL or a certificate is not usable.
[[nodiscard]] Result<std::unique_ptr<Kubernetes>> make_kubernetes_http(
    boost::asio::io_context& io, const Clock& clock, const KubernetesAccess& access,
    const KubernetesHttpOptions& options = {});

}  // namespace vxmesh
