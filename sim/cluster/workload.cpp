#include "sim/cluster/workload.h"

namespace vxmesh {
namespace {

// Pods talk to nodes as well: one packet for so many probes.
constexpr std::uint64_t kProbesPerNodeProbe = 16;

// A time with that mean, from nothing to twice as much.
Duration drawn_interval(Prng& prng, std::uint64_t per_second) {
  const Duration mean = Duration(std::chrono::seconds(1)) / static_cast<std::int64_t>(per_second);
  return prng.between(Duration{}, 2 * mean);
}

}  // namespace

Workload::Workload(Cluster& cluster, WorkloadOptions options)
    : cluster_(cluster),
      options_(options),
      probes_(cluster.prng("probes")),
      heartbeats_drawn_(cluster.prng("heartbeats")) {
  cluster.observe(*this);
}

void Workload::start() {
  running_ = true;
  if (options_.probes_per_second > 0) {
    probe_later();
  }
  if (options_.heartbeats_per_second > 0) {
    heartbeat_later();
  }
}

void Workload::probe_later() {
  cluster_.at(cluster_.now() + drawn_interval(probes_, options_.probes_per_second), [this] {
    if (running_) {
      probe();
      probe_later();
    }
  });
}

// Both ends are drawn whatever becomes of them, so that the draws behind do not depend on it.
void Workload::probe() {
  const std::uint64_t first = probes_.next();
  const std::uint64_t second = probes_.next();
  const std::vector<const PodSpec*>& pods = cluster_.pod_list();
  if (pods.size() < 2) {
    return;
  }
  const PodSpec& from = *pods[first % pods.size()];
  const PodSpec& to = *pods[second % pods.size()];
  if (from.node != to.node) {
    ++sent_;
    cluster_.send({.from = from.address, .to = to.address, .number = next_number_++});
  }
  const Host* node = cluster_.host(to.node);
  if ((first >> 32U) % kProbesPerNodeProbe == 0 && node != nullptr) {
    cluster_.send({.from = from.address, .to = node->ip(), .number = 0});
  }
}

void Workload::on_received(const Host& /*host*/, const PodPacket& packet) {
  if (packet.number == 0) {
    return;
  }
  ++received_;
  if ((packet.number & kAnswer) == 0) {
    ++sent_;
    cluster_.at(cluster_.now(), [this, packet] {
      cluster_.send({.from = packet.to, .to = packet.from, .number = packet.number | kAnswer});
    });
  }
}

void Workload::heartbeat_later() {
  cluster_.at(cluster_.now() + drawn_interval(heartbeats_drawn_, options_.heartbeats_per_second),
              [this] {
                if (running_) {
                  heartbeat();
                  heartbeat_later();
                }
              });
}

void Workload::heartbeat() {
  const std::uint64_t drawn = heartbeats_drawn_.next();
  const std::vector<NodeSpec>& nodes = cluster_.options().spec.nodes;
  ++heartbeats_;
  cluster_.heartbeat(nodes[drawn % nodes.size()].name);
}

}  // namespace vxmesh
