#include "sim/cluster/convergence.h"

#include <variant>

namespace vxmesh {

ReferenceConfig reference_config(const ClusterSpec& spec) {
  return {.overlay = {spec.overlay}};
}

std::string first_deviation(const Cluster& cluster, const std::vector<Node>& remembered) {
  const ReferenceConfig config = reference_config(cluster.options().spec);
  const Holdings holdings = reference_holdings(config, cluster.nodes(), remembered);
  for (Host* host : cluster.hosts()) {
    const AgentProcess* process = cluster.process(host->name());
    const auto object = cluster.nodes().find(host->name());
    const Node* self =
        object == cluster.nodes().end() ? nullptr : std::get_if<Node>(&object->second);
    if (self == nullptr) {
      continue;  // nothing is owed
    }
    const std::uint32_t mtu = host->kernel().find_link(host->underlay())->mtu;
    const auto wanted = reference_state(config, holdings, *self, mtu);
    if (!wanted) {
      continue;
    }
    if (process == nullptr) {
      return host->name() + ": no agent runs";
    }
    const std::vector<std::string> wrong = deviations(*wanted, host->kernel());
    if (!wrong.empty()) {
      return wrong.front();
    }
    const auto owner = holdings.find(host->pod_cidr());
    const bool owns = owner != holdings.end() && owner->second.front().certain &&
                      owner->second.front().owner.node == host->name();
    if (owns != process->ready()) {
      return host->name() + (owns ? ": its agent is not ready: " + process->readiness().reason
                                  : ": its agent is ready without its PodCIDR");
    }
  }
  return {};
}

}  // namespace vxmesh
