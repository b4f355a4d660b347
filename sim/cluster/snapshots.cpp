#include "sim/cluster/snapshots.h"

namespace vxmesh {

std::vector<HostSnapshot> snapshots(const ClusterView& cluster) {
  std::vector<HostSnapshot> taken;
  for (const Host* host : cluster.hosts()) {
    const auto object = cluster.nodes().find(host->name());
    const Node* node =
        object == cluster.nodes().end() ? nullptr : std::get_if<Node>(&object->second);
    taken.push_back({.node = host->name(),
                     .pod_cidrs = node == nullptr ? std::vector<IpPrefix>{} : node->pod_cidrs,
                     .underlay = {host->ip()},
                     .device = "vxlan1",
                     .kernel = host->kernel().tables(host->device())});
  }
  return taken;
}

}  // namespace vxmesh
