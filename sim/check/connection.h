// The way of a packet through the kernels, hop by hop, without sending it.
#pragma once

#include <optional>
#include <string>

#include "sim/check/cluster_view.h"

namespace vxmesh {

struct Connection {
  bool delivered = false;
  // The sender's kernel has no MAC for the address: the way is that of the MAC that was handed in.
  bool unresolved = false;
  const Host* at = nullptr;       // where it comes out of the tunnel, if it does
  std::optional<IpAddress> vtep;  // that it is sent to, if it is sent
  std::string why;                // it is not delivered
};

// From a pod of `from` to `to`. `mac`: of the node that owns `to`, for the case that its neighbour
// is unresolved. What happens on the underlay itself (links, losses) is not looked at.
[[nodiscard]] Connection connection(const ClusterView& view, const Host& from, const IpAddress& to,
                                    const MacAddress& mac);

}  // namespace vxmesh
