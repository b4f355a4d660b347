#include "sim/cluster/pair_walk.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/check.h"
#include "model/ownership.h"
#include "sim/check/connection.h"
#include "sim/cluster/snapshots.h"

namespace vxmesh {
namespace {

// No pod, bridge or VTEP has it: those of scenarios begin lower.
constexpr std::uint32_t kPlaceOfSender = 253;
constexpr std::uint64_t kNumber = 1ULL << 41U;

WalkedPacket packet_from(const Host& host, const IpAddress& to,
                         std::optional<std::uint32_t> bytes) {
  return {.from_node = host.name(),
          .source = address_at(host.pod_cidr(), kPlaceOfSender),
          .destination = to,
          .bytes = bytes};
}

// Where a packet comes to a pod, of all hosts; empty: nowhere.
std::vector<std::string> send_one(Cluster& cluster, Host& from, const WalkedPacket& packet) {
  const IpAddress& to = packet.destination;
  const IpAddress& source = packet.source;
  const std::vector<Host*> hosts = cluster.hosts();
  for (Host* host : hosts) {
    const Action kill{
        .kind = ActionKind::Kill, .targets = {host->name()}, .delay = std::chrono::hours(1)};
    cluster.apply({.action = kill});
    host->add_pod(to);
  }
  from.add_pod(source);
  Trace& trace = cluster.trace();
  trace.keep_texts();
  const std::size_t before = trace.entries().size();
  from.send({.from = source,
             .to = to,
             .number = kNumber,
             .bytes = packet.bytes.value_or(PodPacket::kLeast)});
  cluster.run_until(cluster.now() + std::chrono::milliseconds(10));
  const std::string arrival =
      format(to) + " gets #" + std::to_string(kNumber) + " from " + format(source);
  std::vector<std::string> reached;
  for (std::size_t i = before; i < trace.entries().size(); ++i) {
    const Trace::Entry& entry = trace.entries()[i];
    if (entry.kind == TraceKind::Packet && entry.text == arrival) {
      const auto host =
          std::ranges::find(hosts, entry.host, [](const Host* h) { return h->number(); });
      reached.push_back((*host)->name());
    }
  }
  return reached;
}

// The sender's kernel resolves the address of the tunnel's other end to a machine that had it
// before: a walk knows nothing of that (explain/packet_walk.h).
bool is_misdirected(const Cluster& cluster, const Host& from, const IpAddress& to) {
  const Connection way = connection(cluster, from, to, MacAddress{});
  const Host* other = way.vtep ? cluster.host_at(*way.vtep) : nullptr;
  const std::optional<Neighbour> known =
      other == nullptr ? std::nullopt : from.kernel().find_neighbour(from.underlay(), *way.vtep);
  return known && known->lladdr && *known->lladdr != other->mac();
}

// A device without an address takes no IPv4 packet while its sources are checked
// (__fib_validate_source): nor does a walk know of that.
bool is_without_address(const Cluster& cluster, const std::string& node) {
  const Host* host = cluster.host(node);
  check(host != nullptr, "a walk ends at a host that is there");
  const IfIndex device = host->device();
  const std::vector<IfAddress> all = host->kernel().addresses();
  return std::ranges::none_of(all, [&](const IfAddress& address) {
    return address.device == device && address.address.family() == Family::V4;
  });
}

std::string text_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : " and ") + name;
  }
  return text.empty() ? "nowhere" : text;
}

std::string difference(const PacketWalk& walk, const std::string& really) {
  return "explain says that a packet from " + walk.packet.from_node + " to " +
         format(walk.packet.destination) + " is " + format(walk.verdict) + " at " + walk.node +
         ", but " + really;
}

}  // namespace

std::string format(const WalkedPair& walked) {
  return format(walked.walk) +
         (walked.underlay.empty() ? "" : "\non the underlay: " + walked.underlay);
}

WalkedPair walk_packet(const Cluster& cluster, const WalkedPacket& packet,
                       std::span<const HostSnapshot> hosts) {
  WalkedPair walked{.walk = walk(packet, hosts), .underlay = ""};
  const std::uint32_t bytes = packet.bytes.value_or(0) + Host::kTunnelHeaders;
  const std::string* at = &packet.from_node;
  for (const WalkHop& hop : walked.walk.hops) {
    const Step* fault = hop.node == *at ? nullptr : cluster.network_fault(*at, hop.node, bytes);
    if (fault != nullptr && walked.underlay.empty()) {
      walked.underlay = describe(*fault);
    }
    at = &hop.node;
  }
  return walked;
}

WalkedPair walk_pair(const Cluster& cluster, const std::string& from, const IpAddress& to,
                     std::optional<std::uint32_t> bytes) {
  const Host* host = cluster.host(from);
  check(host != nullptr, "a walk begins at a host that is there");
  return walk_packet(cluster, packet_from(*host, to, bytes), snapshots(cluster));
}

std::optional<WalkedPair> walk_resolved_pair(const Cluster& cluster, const std::string& from,
                                             const IpAddress& to,
                                             std::optional<std::uint32_t> bytes) {
  std::vector<HostSnapshot> hosts = snapshots(cluster);
  const auto sender = std::ranges::find(hosts, from, &HostSnapshot::node);
  const auto owner = std::ranges::find_if(hosts, [&](const HostSnapshot& host) {
    return std::ranges::any_of(host.pod_cidrs, [&](const IpPrefix& p) { return p.contains(to); });
  });
  check(sender != hosts.end(), "a walk begins at a host that is there");
  const Host* other = owner == hosts.end() ? nullptr : cluster.host(owner->node);
  const Link* tunnel = other == nullptr ? nullptr : other->kernel().find_link(other->device());
  const IfIndex device = cluster.host(from)->device();
  if (tunnel == nullptr || device == IfIndex{}) {
    return std::nullopt;
  }
  sender->kernel.neighbours[to] = {.device = device,
                                   .address = to,
                                   .lladdr = tunnel->mac,
                                   .state = kNudReachable,
                                   .flags = kNtfExtLearned,
                                   .protocol = kOwnProtocol};
  return walk_packet(cluster, packet_from(*cluster.host(from), to, bytes), hosts);
}

std::string misjudged_pair(Cluster& cluster, const std::string& from, const IpAddress& to,
                           std::optional<std::uint32_t> bytes) {
  cluster.heal_network();
  const PacketWalk walked = walk_pair(cluster, from, to, bytes).walk;
  Host& host = *cluster.host(from);
  const bool delivered = walked.verdict == WalkVerdict::Delivered;
  if (is_misdirected(cluster, host, to) ||
      (delivered && is_without_address(cluster, walked.node))) {
    return "";
  }
  const std::vector<std::string> reached = send_one(cluster, host, walked.packet);
  const bool at_its_end = reached == std::vector{walked.node};
  // Where the walk cannot follow, or the wrong node's pods are, there may be such a pod, or not.
  const bool may_arrive =
      walked.verdict == WalkVerdict::WrongNode || walked.verdict == WalkVerdict::LeftOverlay;
  const bool as_said = delivered ? at_its_end : reached.empty() || (may_arrive && at_its_end);
  return as_said ? "" : difference(walked, "it comes to a pod on " + text_of(reached));
}

}  // namespace vxmesh
