#include "sim/scenario/cast.h"

#include <algorithm>
#include <functional>
#include <iterator>

namespace vxmesh {
namespace {

constexpr std::uint32_t kFirstPodOffset = 2;

template <typename Lives>
std::vector<std::string> names_of(const Lives& lives) {
  std::vector<std::string> names;
  names.reserve(lives.size());
  for (const auto& [name, life] : lives) {
    names.push_back(name);
  }
  return names;
}

}  // namespace

void Cast::node_is(Duration at, const NodeSpec& node) {
  std::vector<Moment<NodeSpec>>& life = nodes_[node.name];
  if (!life.empty() && life.back().spec && life.back().spec->pod_cidr != node.pod_cidr) {
    pods_leave(at, node.name);
  }
  life.push_back({.at = at, .spec = node});
}

void Cast::node_leaves(Duration at, const std::string& name) {
  nodes_[name].push_back({.at = at, .spec = std::nullopt});
  pods_leave(at, name);
}

void Cast::pods_leave(Duration at, const std::string& node) {
  for (auto& [pod, life] : pods_) {
    if (life.back().spec && life.back().spec->node == node) {
      pod_leaves(at, pod);
    }
  }
}

void Cast::pod_is(Duration at, const PodSpec& pod) {
  used_.insert(pod.address);
  by_address_.insert_or_assign({pod.node, pod.address}, pod.name);
  pods_[pod.name].push_back({.at = at, .spec = pod});
}

void Cast::pod_leaves(Duration at, const std::string& name) {
  std::vector<Moment<PodSpec>>& life = pods_[name];
  if (!life.empty() && life.back().spec) {
    by_address_.erase({life.back().spec->node, life.back().spec->address});
  }
  life.push_back({.at = at, .spec = std::nullopt});
}

template <typename Spec>
auto Cast::after(const std::vector<Moment<Spec>>& life, Duration at) {
  return std::ranges::upper_bound(life, at, std::less<>{}, &Moment<Spec>::at);
}

template <typename Spec>
const Spec* Cast::there_at(const std::vector<Moment<Spec>>& life, Duration at) {
  const auto later = after(life, at);
  return later != life.begin() && std::prev(later)->spec ? &*std::prev(later)->spec : nullptr;
}

template <typename Spec>
const Spec* Cast::spec_at(const Lives<Spec>& lives, std::string_view name, Duration at) {
  const auto found = lives.find(name);
  if (found == lives.end()) {
    return nullptr;
  }
  const std::vector<Moment<Spec>>& life = found->second;
  for (auto moment = after(life, at); moment != life.begin();) {
    if (const auto& spec = (--moment)->spec) {
      return &*spec;
    }
  }
  const auto first = std::ranges::find_if(life, [](const auto& m) { return m.spec.has_value(); });
  return first == life.end() ? nullptr : &*first->spec;
}

const NodeSpec* Cast::node(std::string_view name, Duration at) const {
  return spec_at(nodes_, name, at);
}

const PodSpec* Cast::pod(std::string_view name, Duration at) const {
  return spec_at(pods_, name, at);
}

std::vector<std::string> Cast::pods_there(Duration at) const {
  std::vector<std::string> names;
  for (const auto& [name, life] : pods_) {
    if (there_at(life, at) != nullptr) {
      names.push_back(name);
    }
  }
  return names;
}

const PodSpec* Cast::pod_with(const std::string& node, const IpAddress& address) const {
  const auto found = by_address_.find({node, address});
  return found == by_address_.end() ? nullptr : pod(found->second, kEnd);
}

bool Cast::node_is_there(std::string_view name, Duration at) const {
  const auto found = nodes_.find(name);
  return found != nodes_.end() && there_at(found->second, at) != nullptr;
}

bool Cast::pod_is_there(std::string_view name, Duration at) const {
  const auto found = pods_.find(name);
  return found != pods_.end() && there_at(found->second, at) != nullptr;
}

std::vector<std::string> Cast::node_names() const {
  return names_of(nodes_);
}

std::vector<std::string> Cast::pod_names() const {
  return names_of(pods_);
}

std::optional<IpAddress> Cast::free_address(const IpPrefix& pod_cidr) {
  auto& offset = next_offset_.try_emplace(pod_cidr, kFirstPodOffset).first->second;
  for (;; ++offset) {
    const IpAddress address = IpAddress::v4(pod_cidr.base().v4_bits() + offset);
    if (!is_pod_address(pod_cidr, address)) {
      return std::nullopt;
    }
    if (!used_.contains(address)) {
      return address;
    }
  }
}

bool is_pod_address(const IpPrefix& pod_cidr, const IpAddress& address) {
  return pod_cidr.contains(address) && address != pod_cidr.last() &&
         address.v4_bits() - pod_cidr.base().v4_bits() >= kFirstPodOffset;
}

}  // namespace vxmesh
