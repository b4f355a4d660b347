#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "sim/scenario/parse_parts.h"

namespace vxmesh {
namespace {

constexpr std::size_t kMaxNodes = 5000;
constexpr std::size_t kMaxPods = 10000;
// Of every host of the simulator's, which has no routers between them.
IpPrefix underlay() {
  return IpPrefix::containing(IpAddress::v4(0xac140000), 16);
}
constexpr std::uint32_t kDefaultUnderlay = 0xac14000a;  // 172.20.0.10, and the position is added

IpPrefix read_overlay(Reading& reading, const YamlValue& value) {
  const std::string text = text_of(value, "overlay", "a CIDR", reading.problem);
  const Result<IpPrefix> overlay = IpPrefix::parse(text);
  if (!overlay || overlay->family() != Family::V4 || overlay->length() < 1 ||
      overlay->length() > 28) {
    reading.problem.report(value.line, "overlay is '" + text +
                                           "'; write an IPv4 CIDR with room for PodCIDRs, such "
                                           "as 100.96.0.0/12");
    return IpPrefix::containing(IpAddress::v4(0x64600000), 12);
  }
  return *overlay;
}

void check_mode(Reading& reading, const YamlValue& value) {
  const std::string mode = text_of(value, "mode", "on-miss", reading.problem);
  if (mode == "gateway") {
    reading.problem.report(value.line, "gateway mode is not simulated yet; write mode: on-miss");
  } else if (mode != "on-miss") {
    reading.problem.report(value.line, "mode is '" + mode + "'; write on-miss");
  }
}

void check_node_address(Reading& reading, const IpAddress& ip, std::uint32_t line) {
  if (!ip.is_host_unicast()) {
    reading.problem.report(line, format(ip) + " cannot be a host's address; choose a unicast one");
  } else if (reading.overlay.contains(ip)) {
    reading.problem.report(line, "node address " + format(ip) + " lies in the overlay " +
                                     format(reading.overlay) + "; choose one outside");
  } else if (!underlay().contains(ip) || ip == underlay().base() || ip == underlay().last()) {
    reading.problem.report(line, "node address " + format(ip) + " is no host's in " +
                                     format(underlay()) +
                                     ", which all nodes are in; choose one there");
  }
}

IpPrefix default_pod_cidr(Reading& reading, const std::string& name, std::uint32_t line) {
  const std::uint64_t base = std::uint64_t{reading.overlay.base().v4_bits()} + 256 * reading.nodes;
  if (base > reading.overlay.last().v4_bits() || reading.overlay.length() >= 24) {
    reading.problem.report(line, "the overlay " + format(reading.overlay) +
                                     " has no /24 for node " + name + "; give it a podCIDR");
    return reading.overlay;
  }
  return IpPrefix::containing(IpAddress::v4(static_cast<std::uint32_t>(base)), 24);
}

// What the nodes at the start may not share.
class Claims {
 public:
  explicit Claims(Reading& reading) : reading_(reading) {}

  void add(const NodeSpec& node, std::uint32_t line) {
    const auto [ip, is_new] = ips_.emplace(node.ip, node.name);
    if (!is_new) {
      reading_.problem.report(line, "nodes " + ip->second + " and " + node.name +
                                        " have the same address " + format(node.ip) +
                                        "; give one another ip");
    }
    // Those before are disjoint, so only its neighbours in order can overlap the new one.
    const auto at = pod_cidrs_.lower_bound(node.pod_cidr);
    if (at != pod_cidrs_.end()) {
      check_apart(at->first, at->second, node, line);
    }
    if (at != pod_cidrs_.begin()) {
      check_apart(std::prev(at)->first, std::prev(at)->second, node, line);
    }
    pod_cidrs_.emplace(node.pod_cidr, node.name);
  }

 private:
  void check_apart(const IpPrefix& other, const std::string& owner, const NodeSpec& node,
                   std::uint32_t line) {
    if (other.overlaps(node.pod_cidr)) {
      reading_.problem.report(line, "the PodCIDRs of nodes " + owner + " and " + node.name +
                                        " overlap: " + format(other) + " and " +
                                        format(node.pod_cidr) + "; give one another podCIDR");
    }
  }

  Reading& reading_;
  std::map<IpAddress, std::string> ips_;
  std::map<IpPrefix, std::string> pod_cidrs_;
};

std::vector<NodeSpec> read_nodes(Reading& reading, const YamlValue& value) {
  std::vector<NodeSpec> nodes;
  Claims claims(reading);
  if (value.kind != YamlValue::Kind::Map || value.entries.empty()) {
    reading.problem.report(value.line,
                           "nodes is not a map of names, or has none; write {n1: {}, n2: {}}");
  }
  if (value.entries.size() > kMaxNodes) {
    reading.problem.report(value.line,
                           "more than " + std::to_string(kMaxNodes) + " nodes; leave some out");
    return nodes;
  }
  for (const YamlEntry& entry : value.entries) {
    const std::string name = read_new_name(reading, entry.key, entry.line, "node");
    const NodeChange change = read_node_change(reading, entry.value, name, Duration{});
    nodes.push_back(complete_node(reading, name, change, Duration{}, entry.line));
    claims.add(nodes.back(), entry.line);
  }
  return nodes;
}

// A pod of the file before it has an address.
struct PlannedPod {
  std::string name;
  PodPlace place;
  std::uint32_t line;
};

std::vector<PlannedPod> plan_pods(Reading& reading, const YamlValue& value) {
  std::vector<PlannedPod> pods;
  if (value.kind != YamlValue::Kind::Map) {
    reading.problem.report(value.line, "pods is not a map of names; write {a: n1, b: n2}");
  }
  for (const YamlEntry& entry : value.entries) {
    const std::string name = read_new_name(reading, entry.key, entry.line, "pod");
    const PodPlace place = read_pod_place(reading, entry.value, name, Duration{}, true);
    if (place.count == 0) {
      pods.push_back({.name = name, .place = place, .line = entry.line});
    }
    for (std::uint64_t i = 0; i < place.count && pods.size() <= kMaxPods; ++i) {
      const std::string numbered = name + std::to_string(i);
      pods.push_back({.name = numbered, .place = place, .line = entry.line});
    }
    if (pods.size() > kMaxPods) {
      reading.problem.report(entry.line,
                             "more than " + std::to_string(kMaxPods) + " pods; leave some out");
      return {};
    }
  }
  return pods;
}

std::vector<PodSpec> read_pods(Reading& reading, const YamlValue& value) {
  const std::vector<PlannedPod> planned = plan_pods(reading, value);
  std::vector<PodSpec> pods(planned.size());
  // Those with an address of their own first, so that no default takes it.
  for (const bool given : {true, false}) {
    for (std::size_t i = 0; i < planned.size(); ++i) {
      const auto& [name, place, line] = planned[i];
      if (place.address.has_value() == given) {
        pods[i] = complete_pod(reading, name, place, Duration{}, line);
      }
    }
  }
  return pods;
}

}  // namespace

NodeChange read_node_change(Reading& reading, const YamlValue& value, const std::string& name,
                            Duration at) {
  NodeChange change;
  if (value.kind == YamlValue::Kind::Null) {
    return change;
  }
  Fields fields(value, "node " + name, reading.problem);
  if (const YamlValue* ip = fields.take("ip")) {
    change.ip = read_address(reading, *ip, "ip", at);
    check_node_address(reading, *change.ip, ip->line);
  }
  if (const YamlValue* pod_cidr = fields.take("podCIDR")) {
    change.pod_cidr = read_pod_cidr(reading, *pod_cidr, "podCIDR", at);
  }
  fields.finish();
  return change;
}

NodeSpec complete_node(Reading& reading, const std::string& name, const NodeChange& change,
                       Duration at, std::uint32_t line) {
  NodeSpec node{.name = name};
  if (const NodeSpec* before = reading.cast.node(name, at)) {
    node = *before;
  } else {
    ++reading.nodes;
    node.ip = IpAddress::v4(kDefaultUnderlay + static_cast<std::uint32_t>(reading.nodes));
    if (!change.ip) {
      check_node_address(reading, node.ip, line);
    }
    node.pod_cidr = change.pod_cidr ? *change.pod_cidr : default_pod_cidr(reading, name, line);
  }
  node.ip = change.ip.value_or(node.ip);
  node.pod_cidr = change.pod_cidr.value_or(node.pod_cidr);
  reading.cast.node_is(at, node);
  return node;
}

PodPlace read_pod_place(Reading& reading, const YamlValue& value, const std::string& name,
                        Duration at, bool may_count) {
  constexpr std::uint64_t kMaxCount = 1000;
  if (value.kind == YamlValue::Kind::Scalar) {
    return {.node = read_node_name(reading, value)};
  }
  PodPlace place;
  Fields fields(value, "pod " + name, reading.problem);
  place.node = read_node_name(reading, fields.need("node", "node: n1"));
  if (const YamlValue* count = may_count ? fields.take("count") : nullptr) {
    place.count = number_of(*count, "count", 1, kMaxCount, reading.problem);
  }
  if (const YamlValue* address = fields.take("address")) {
    place.address = read_address(reading, *address, "address", at);
    if (place.count > 0) {
      reading.problem.report(address->line,
                             "several pods cannot have one address; leave out address or count");
    }
  }
  fields.finish();
  return place;
}

PodSpec complete_pod(Reading& reading, const std::string& name, const PodPlace& place, Duration at,
                     std::uint32_t line) {
  PodSpec pod{.name = name, .node = place.node};
  const NodeSpec* node = reading.cast.node(place.node, at);
  if (node == nullptr) {
    return pod;  // reported where its name was read
  }
  if (reading.cast.pod_is_there(name, at)) {
    reading.problem.report(line, "pod " + name + " is there already; choose another name");
  }
  const std::optional<IpAddress> address =
      place.address ? place.address : reading.cast.free_address(node->pod_cidr);
  if (!address) {
    reading.problem.report(line, "the PodCIDR " + format(node->pod_cidr) + " of node " +
                                     node->name + " has no address left; give it a larger one");
    return pod;
  }
  pod.address = *address;
  if (!is_pod_address(node->pod_cidr, pod.address)) {
    reading.problem.report(line, format(pod.address) + " of pod " + name +
                                     " is no pod's address in " + format(node->pod_cidr) + " of " +
                                     "node " + node->name + "; choose one from the third to the " +
                                     "last but one");
  }
  if (const PodSpec* twin = reading.cast.pod_with(pod.node, pod.address)) {
    reading.problem.report(line, "pod " + twin->name + " of node " + pod.node +
                                     " has the address " + format(pod.address) +
                                     " already; choose another");
  }
  reading.cast.pod_is(at, pod);
  return pod;
}

ClusterSpec read_cluster(Reading& reading, const YamlValue& value) {
  ClusterSpec cluster;
  Fields fields(value, "cluster", reading.problem);
  reading.overlay = read_overlay(reading, fields.need("overlay", "overlay: 100.96.0.0/12"));
  cluster.overlay = reading.overlay;
  if (const YamlValue* mode = fields.take("mode")) {
    check_mode(reading, *mode);
  }
  if (const YamlValue* mtu = fields.take("underlay-mtu")) {
    cluster.underlay_mtu =
        static_cast<std::uint32_t>(number_of(*mtu, "underlay-mtu", 626, 65535, reading.problem));
  }
  cluster.nodes = read_nodes(reading, fields.need("nodes", "nodes: {n1: {}, n2: {}}"));
  if (const YamlValue* pods = fields.take("pods")) {
    cluster.pods = read_pods(reading, *pods);
  }
  fields.finish();
  return cluster;
}

}  // namespace vxmesh
