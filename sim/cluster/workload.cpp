#include "sim/cluster/workload.h"

namespace vxmesh {
namespace {

// Pods talk to nodes as well: one packet for so many talks.
constexpr std::uint64_t kTalksPerNodeProbe = 4;
// One of so many talks is of packets as long as they may be.
constexpr std::uint64_t kTalksPerLongOne = 4;
// Two pods that talk exchange 1 to 15 packets, with pauses that are as long as each other.
constexpr std::uint64_t kMeanPackets = 8;
constexpr std::uint64_t kMaxPauseMs = 500;

// Until the next one, if so many come a second, in lots of `each`: from nothing to twice the mean.
Duration drawn_interval(Prng& prng, std::uint64_t per_second, std::uint64_t each = 1) {
  const Duration mean =
      Duration(std::chrono::seconds(each)) / static_cast<std::int64_t>(per_second);
  return prng.between(Duration{}, 2 * mean);
}

// The first from `place` on that is not on `node`; the one at `place` if there is none.
const PodSpec& next_elsewhere(const std::vector<const PodSpec*>& pods, std::uint64_t place,
                              const std::string& node) {
  for (std::uint64_t i = 0; i < pods.size(); ++i) {
    const PodSpec& pod = *pods[(place + i) % pods.size()];
    if (pod.node != node) {
      return pod;
    }
  }
  return *pods[place];
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
    talk_later();
  }
  if (options_.heartbeats_per_second > 0) {
    heartbeat_later();
  }
}

void Workload::talk_later() {
  const Duration pause = drawn_interval(probes_, options_.probes_per_second, kMeanPackets);
  cluster_.at(cluster_.now() + pause, [this] {
    if (running_) {
      begin_talk();
      talk_later();
    }
  });
}

// Everything is drawn whatever becomes of it, so that the draws behind do not depend on it.
void Workload::begin_talk() {
  const std::uint64_t first = probes_.next();
  const std::uint64_t second = probes_.next();
  const std::uint64_t packets = probes_.between(std::uint64_t{1}, 2 * kMeanPackets - 1);
  const Duration pause = std::chrono::milliseconds(probes_.below(kMaxPauseMs));
  const std::vector<const PodSpec*>& pods = cluster_.pod_list();
  if (pods.size() < 2) {
    return;
  }
  const PodSpec& from = *pods[first % pods.size()];
  const PodSpec& to = next_elsewhere(pods, second % pods.size(), from.node);
  if ((first >> 32U) % kTalksPerNodeProbe == 0) {
    if (const Host* node = cluster_.host(to.node)) {
      cluster_.send({.from = from.address, .to = node->ip(), .number = 0});
    }
  }
  if (from.node != to.node) {
    const bool is_long = (second >> 32U) % kTalksPerLongOne == 0;
    go_on({.from = from.address,
           .to = to.address,
           .bytes = is_long ? cluster_.pod_mtu() : PodPacket::kLeast,
           .packets = packets,
           .pause = pause});
  }
}

void Workload::go_on(Talk talk) {
  ++sent_;
  cluster_.send({.from = talk.from, .to = talk.to, .number = next_number_++, .bytes = talk.bytes});
  if (--talk.packets > 0) {
    cluster_.at(cluster_.now() + talk.pause, [this, talk] {
      if (running_) {
        go_on(talk);
      }
    });
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
      cluster_.send({.from = packet.to,
                     .to = packet.from,
                     .number = packet.number | kAnswer,
                     .bytes = packet.bytes});
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
