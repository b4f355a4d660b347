#include "decide/node_cache.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/probe.h"

namespace vxmesh {
namespace {

// The longest IPv6 PodCIDR is this many bits longer than the overlay: vtep_mac encodes no more.
constexpr unsigned kEncodedBits = 32;

// Why `pod_cidr` cannot be a node's; empty if it can.
std::string pod_cidr_fault(const OverlayConfig& config, const IpPrefix& pod_cidr) {
  const IpPrefix* overlay = overlay_of(config, pod_cidr);
  if (overlay == nullptr) {
    return "is not inside the overlay";
  }
  if (*overlay == pod_cidr) {
    return "is a whole CIDR of the overlay";
  }
  if (pod_cidr.family() == Family::V6 && pod_cidr.length() > overlay->length() + kEncodedBits) {
    return "is more than 32 bits longer than the overlay's " + format(*overlay) +
           ", so no MAC address can encode it";
  }
  return "";
}

std::optional<IpAddress> first_address(const Node& node, NodeAddressType type, Family family) {
  for (const NodeAddress& candidate : node.addresses) {
    if (candidate.type == type && candidate.address.family() == family) {
      return candidate.address;
    }
  }
  return std::nullopt;
}

// The name of the holder of a prefix that overlaps, or null. `holders` do not overlap each other.
const std::string* overlapping_holder(const std::map<IpPrefix, std::string>& holders,
                                      const IpPrefix& prefix) {
  // The first one at or behind the base can lie inside `prefix`, the one before can contain it.
  const auto next = holders.lower_bound(prefix);
  if (next != holders.end() && prefix.contains(next->first)) {
    return &next->second;
  }
  if (next != holders.begin() && std::prev(next)->first.contains(prefix)) {
    return &std::prev(next)->second;
  }
  return nullptr;
}

void erase_name(auto& index, const auto& key, const std::string& name) {
  const auto names = index.find(key);
  names->second.erase(name);
  if (names->second.empty()) {
    index.erase(names);
  }
}

std::set<IpPrefix> differences(const std::map<IpPrefix, Owner>& before,
                               const std::map<IpPrefix, Owner>& after) {
  std::set<IpPrefix> changed;
  for (const auto& [prefix, owner] : before) {
    const auto now = after.find(prefix);
    PROBE_IF(now != after.end() && now->second.uid != owner.uid, "pod-cidr-changed-hands");
    if (now == after.end() || now->second != owner) {
      changed.insert(prefix);
    }
  }
  for (const auto& [prefix, owner] : after) {
    if (!before.contains(prefix)) {
      changed.insert(prefix);
    }
  }
  return changed;
}

}  // namespace

std::string format(NodeProblemKind kind) {
  switch (kind) {
    case NodeProblemKind::Waiting: return "waiting";
    case NodeProblemKind::Untypable: return "untypable";
    case NodeProblemKind::BadPodCidr: return "bad-pod-cidr";
    case NodeProblemKind::BadAddress: return "bad-address";
    case NodeProblemKind::Conflict: return "conflict";
    case NodeProblemKind::SharedAddress: break;
  }
  return "shared-address";
}

NodeCache::NodeCache(std::string self_name, OverlayConfig config)
    : self_name_(std::move(self_name)), config_(std::move(config)) {}

NodeCacheChange NodeCache::replace(const std::vector<Node>& nodes,
                                   const std::vector<NodeRejection>& rejections) {
  std::map<std::string, Node> listed;
  for (const NodeRejection& rejection : rejections) {
    const auto known = nodes_.find(rejection.name);
    if (known != nodes_.end()) {
      PROBE("listed-node-unreadable-keeps-what-was-known");
      listed.insert_or_assign(rejection.name, known->second.node);
    }
  }
  for (const Node& node : nodes) {
    listed.insert_or_assign(node.name, node);
  }
  ++problems_version_;
  Owners before = std::exchange(owners_, {});
  nodes_.clear();
  unreadable_.clear();
  claims_.clear();
  macs_.clear();
  addresses_.clear();
  accepted_prefixes_.clear();
  accepted_macs_.clear();
  Names all;
  for (const auto& [name, node] : listed) {
    add(node);
    all.insert(all.end(), name);
  }
  for (const NodeRejection& rejection : rejections) {
    reject(rejection);
  }
  return settle(all, std::move(before));
}

NodeCacheChange NodeCache::upsert(const Node& node) {
  problems_version_ += unreadable_.erase(node.name);
  const auto known = nodes_.find(node.name);
  if (known != nodes_.end() && known->second.node == node) {
    return {};
  }
  Names seeds{node.name};
  Owners before;
  bool had_problem = false;
  if (known != nodes_.end()) {
    PROBE_IF(known->second.node.uid != node.uid, "node-replaced-before-its-delete-came");
    had_problem = has_problem(known->second);
    add_rivals(known->second, seeds);
    erase(node.name, before);
  }
  add(node);
  const Names group = group_of(std::move(seeds));
  const bool matters = had_problem || has_problem(nodes_.at(node.name)) || group.size() > 1;
  problems_version_ += matters ? 1U : 0U;
  return settle(group, std::move(before));
}

bool NodeCache::is_another(const std::string& name, const std::string& uid) const {
  const auto known = nodes_.find(name);
  const auto rejection = unreadable_.find(name);
  const bool is_unreadable = rejection != unreadable_.end() && rejection->second.uid == uid;
  return known != nodes_.end() && known->second.node.uid != uid && !is_unreadable;
}

NodeCacheChange NodeCache::remove(const std::string& name, const std::string& uid) {
  const auto rejection = unreadable_.find(name);
  const bool was_unreadable = rejection != unreadable_.end() && rejection->second.uid == uid;
  const auto known = nodes_.find(name);
  if (known == nodes_.end() || is_another(name, uid)) {
    PROBE_IF(known != nodes_.end(), "late-delete-of-another-uid-ignored");
    if (was_unreadable) {
      ++problems_version_;
      unreadable_.erase(rejection);
    }
    return {};
  }
  Names seeds;
  Owners before;
  add_rivals(known->second, seeds);
  seeds.erase(name);
  const bool matters =
      has_problem(known->second) || rejection != unreadable_.end() || !seeds.empty();
  problems_version_ += matters ? 1U : 0U;
  if (rejection != unreadable_.end()) {
    unreadable_.erase(rejection);
  }
  erase(name, before);
  return settle(group_of(std::move(seeds)), std::move(before));
}

void NodeCache::reject(const NodeRejection& rejection) {
  ++problems_version_;
  unreadable_.insert_or_assign(rejection.name, rejection);
}

NodeCache::Entry NodeCache::judge(const Node& node) const {
  Entry entry{.node = node, .claims = {}, .mac = {}, .vtep = {}, .problems = {}, .accepted = false};
  judge_pod_cidrs(entry);
  judge_address(entry);
  return entry;
}

void NodeCache::judge_pod_cidrs(Entry& entry) const {
  const Node& node = entry.node;
  const auto report = [&](NodeProblemKind kind, const std::string& text) {
    entry.problems.push_back({.kind = kind, .node = node.name, .text = text});
  };
  bool usable = true;
  std::set<Family> families;
  for (const IpPrefix& pod_cidr : node.pod_cidrs) {
    std::string fault = pod_cidr_fault(config_, pod_cidr);
    if (fault.empty() && !families.insert(pod_cidr.family()).second) {
      fault = "is a second one of its family";
    }
    if (!fault.empty()) {
      usable = false;
      report(NodeProblemKind::BadPodCidr, "PodCIDR " + format(pod_cidr) + " " + fault);
    }
  }
  if (node.pod_cidrs.empty()) {
    report(NodeProblemKind::Waiting, "it has no PodCIDR yet");
  } else if (usable) {
    entry.claims = node.pod_cidrs;
    std::sort(entry.claims.begin(), entry.claims.end());  // IPv4 is before IPv6
    entry.mac = vtep_mac(entry.claims.front(), *overlay_of(config_, entry.claims.front()));
  }
}

void NodeCache::judge_address(Entry& entry) const {
  std::optional<IpAddress> address =
      first_address(entry.node, NodeAddressType::InternalIp, config_.underlay);
  if (!address) {
    address = first_address(entry.node, NodeAddressType::ExternalIp, config_.underlay);
  }
  const auto report = [&](NodeProblemKind kind, const std::string& text) {
    entry.problems.push_back({.kind = kind, .node = entry.node.name, .text = text});
  };
  if (!address) {
    report(NodeProblemKind::Waiting, "it has no " + format(config_.underlay) + " address yet");
  } else if (!address->is_host_unicast()) {
    report(NodeProblemKind::BadAddress,
           "address " + format(*address) + " is not the unicast address of a host");
  } else if (const IpPrefix* overlay = overlay_of(config_, *address)) {
    report(NodeProblemKind::BadAddress,
           "address " + format(*address) + " is inside the overlay's " + format(*overlay));
  } else {
    entry.vtep = address;
  }
}

void NodeCache::add(const Node& node) {
  const auto [it, added] = nodes_.emplace(node.name, judge(node));
  check(added, "a Node is added once");
  const Entry& entry = it->second;
  for (const IpPrefix& claim : entry.claims) {
    claims_[claim].insert(node.name);
  }
  if (!entry.claims.empty()) {
    macs_[entry.mac].insert(node.name);
  }
  if (entry.vtep) {
    addresses_[*entry.vtep].insert(node.name);
  }
}

void NodeCache::erase(const std::string& name, Owners& before) {
  const auto it = nodes_.find(name);
  Entry& entry = it->second;
  withdraw(entry, before);
  for (const IpPrefix& claim : entry.claims) {
    erase_name(claims_, claim, name);
  }
  if (!entry.claims.empty()) {
    erase_name(macs_, entry.mac, name);
  }
  if (entry.vtep) {
    erase_name(addresses_, *entry.vtep, name);
  }
  nodes_.erase(it);
}

// Takes back what `entry` was accepted for.
void NodeCache::withdraw(Entry& entry, Owners& before) {
  if (!entry.accepted) {
    return;
  }
  entry.accepted = false;
  accepted_macs_.erase(entry.mac);
  for (const IpPrefix& claim : entry.claims) {
    accepted_prefixes_.erase(claim);
    if (entry.vtep) {
      before.insert(owners_.extract(claim));
    }
  }
}

void NodeCache::accept(const std::string& name) {
  Entry& entry = nodes_.at(name);
  if (entry.claims.empty()) {
    return;
  }
  if (winner_over(entry) != nullptr) {
    PROBE("conflict-lost-to-an-older-node");
    return;
  }
  entry.accepted = true;
  accepted_macs_.emplace(entry.mac, name);
  for (const IpPrefix& claim : entry.claims) {
    accepted_prefixes_.emplace(claim, name);
    if (entry.vtep) {
      owners_.emplace(
          claim, Owner{.node = name, .uid = entry.node.uid, .vtep = *entry.vtep, .mac = entry.mac});
    }
  }
}

// An accepted Node that stands in the way of `entry`, which is not accepted; null if none does.
const std::string* NodeCache::winner_over(const Entry& entry) const {
  for (const IpPrefix& claim : entry.claims) {
    if (const std::string* holder = overlapping_holder(accepted_prefixes_, claim)) {
      return holder;
    }
  }
  const auto holder = accepted_macs_.find(entry.mac);
  return holder == accepted_macs_.end() ? nullptr : &holder->second;
}

// Adds every Node that cannot be accepted together with `entry` (and its own name, if it is held).
void NodeCache::add_rivals(const Entry& entry, Names& names) const {
  for (const IpPrefix& claim : entry.claims) {
    for (std::uint8_t length = 0; length < claim.length(); ++length) {
      const auto wider = claims_.find(IpPrefix::containing(claim.base(), length));
      if (wider != claims_.end()) {
        names.insert(wider->second.begin(), wider->second.end());
      }
    }
    for (auto it = claims_.lower_bound(claim); it != claims_.end() && claim.contains(it->first);
         ++it) {
      names.insert(it->second.begin(), it->second.end());
    }
  }
  const auto same_mac = macs_.find(entry.mac);
  if (!entry.claims.empty() && same_mac != macs_.end()) {
    names.insert(same_mac->second.begin(), same_mac->second.end());
  }
}

// `seeds` and every Node that rivals one of the group.
NodeCache::Names NodeCache::group_of(Names seeds) const {
  Names group;
  while (!seeds.empty()) {
    const std::string name = seeds.extract(seeds.begin()).value();
    if (group.insert(name).second) {
      Names rivals;
      add_rivals(nodes_.at(name), rivals);
      std::set_difference(rivals.begin(), rivals.end(), group.begin(), group.end(),
                          std::inserter(seeds, seeds.end()));
    }
  }
  return group;
}

// Decides afresh who of `group` is accepted. Requires: no Node outside rivals one inside.
NodeCacheChange NodeCache::settle(const Names& group, Owners before) {
  std::vector<std::tuple<std::int64_t, std::string, std::string>> by_age;
  for (const std::string& name : group) {
    Entry& entry = nodes_.at(name);
    withdraw(entry, before);
    by_age.emplace_back(entry.node.created_s, entry.node.uid, name);
  }
  std::sort(by_age.begin(), by_age.end());
  Owners after;
  for (const auto& [created, uid, name] : by_age) {
    accept(name);
    const Entry& entry = nodes_.at(name);
    for (const IpPrefix& claim : entry.claims) {
      if (entry.accepted && entry.vtep) {
        after.emplace(claim, owners_.at(claim));
      }
    }
  }
  const std::optional<Self> old_self = std::exchange(self_, make_self());
  return NodeCacheChange{.prefixes = differences(before, after), .self = self_ != old_self};
}

std::optional<Self> NodeCache::make_self() const {
  const auto it = nodes_.find(self_name_);
  if (it == nodes_.end() || it->second.claims.empty() || !it->second.vtep) {
    return std::nullopt;
  }
  const Entry& entry = it->second;
  return Self{.uid = entry.node.uid,
              .pod_cidrs = entry.claims,
              .vtep = *entry.vtep,
              .mac = entry.mac,
              .lost_pod_cidr = !entry.accepted};
}

// One of its own, or an address that another has too. Those that Nodes have of their rivals come
// and go with these.
bool NodeCache::has_problem(const Entry& entry) const {
  return !entry.problems.empty() || (entry.vtep && addresses_.at(*entry.vtep).size() > 1);
}

std::vector<NodeProblem> NodeCache::problems() const {
  std::vector<NodeProblem> problems;
  for (const auto& [name, rejection] : unreadable_) {
    problems.push_back(
        {.kind = NodeProblemKind::Untypable, .node = name, .text = rejection.reason});
  }
  for (const auto& [name, entry] : nodes_) {
    problems.insert(problems.end(), entry.problems.begin(), entry.problems.end());
    if (!entry.claims.empty() && !entry.accepted) {
      const std::string* winner = winner_over(entry);
      check(winner != nullptr, "a Node is accepted unless another stands in its way");
      problems.push_back({.kind = NodeProblemKind::Conflict,
                          .node = name,
                          .text = "its PodCIDRs (the first is " + format(entry.claims.front()) +
                                  ") overlap those of the older Node '" + *winner + "'"});
    }
  }
  for (const auto& [address, names] : addresses_) {
    for (const std::string& name : names) {
      if (names.size() > 1) {
        const std::string& other =
            *names.begin() == name ? *std::next(names.begin()) : *names.begin();
        problems.push_back(
            {.kind = NodeProblemKind::SharedAddress,
             .node = name,
             .text = "address " + format(address) + " is also that of Node '" + other + "'"});
      }
    }
  }
  std::sort(problems.begin(), problems.end());
  return problems;
}

}  // namespace vxmesh
