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

// Whether its MAC says more than its PodCIDRs: in two overlay CIDRs IPv6 ones that do not overlap
// may give one MAC.
bool is_found_by_mac(const std::vector<IpPrefix>& claims) {
  return !claims.empty() && claims.front().family() == Family::V6;
}

// Takes one value out of a multimap.
void erase_value(auto& index, const auto& key, const auto* value) {
  auto [place, end] = index.equal_range(key);
  place = std::find_if(place, end, [&](const auto& row) { return row.second == value; });
  index.erase(place);
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
  std::vector<std::shared_ptr<const Node>> shared;
  shared.reserve(nodes.size());
  for (const Node& node : nodes) {
    shared.push_back(std::make_shared<const Node>(node));
  }
  return replace(shared, rejections);
}

NodeCacheChange NodeCache::replace(const std::vector<std::shared_ptr<const Node>>& nodes,
                                   const std::vector<NodeRejection>& rejections) {
  const HashMap<std::string, std::unique_ptr<Entry>> known = std::exchange(nodes_, {});
  std::map<std::string_view, std::shared_ptr<const Node>> listed;
  for (const NodeRejection& rejection : rejections) {
    if (const std::unique_ptr<Entry>* entry = known.find(rejection.name)) {
      PROBE("listed-node-unreadable-keeps-what-was-known");
      listed.insert_or_assign(rejection.name, (*entry)->node);
    }
  }
  for (const std::shared_ptr<const Node>& node : nodes) {
    listed.insert_or_assign(node->name, node);
  }
  ++problems_version_;
  Owners before = std::exchange(owners_, {});
  unreadable_.clear();
  faulty_.clear();
  claims_.clear();
  claim_lengths_.clear();
  macs_.clear();
  addresses_.clear();
  nodes_.reserve(listed.size());
  Group all;
  for (const auto& [name, node] : listed) {
    Entry& entry = add(node);
    all.emplace_hint(all.end(), entry.node->name, &entry);
  }
  for (const NodeRejection& rejection : rejections) {
    reject(rejection);
  }
  return settle(all, std::move(before));
}

NodeCacheChange NodeCache::upsert(std::shared_ptr<const Node> node) {
  if (!unreadable_.empty()) {
    problems_version_ += unreadable_.erase(node->name);
  }
  Entry* known = find(node->name);
  if (known != nullptr && (known->node == node || *known->node == *node)) {
    known->node = std::move(node);
    return {};
  }
  Group seeds;
  Owners before;
  bool had_problem = false;
  if (known != nullptr) {
    PROBE_IF(known->node->uid != node->uid, "node-replaced-before-its-delete-came");
    had_problem = has_problem(*known);
    add_rivals(*known, seeds);
    seeds.erase(node->name);
    erase(node->name, before);
  }
  Entry& entry = add(std::move(node));
  seeds.emplace(entry.node->name, &entry);
  const Group group = group_of(std::move(seeds));
  const bool matters = had_problem || has_problem(entry) || group.size() > 1;
  problems_version_ += matters ? 1U : 0U;
  return settle(group, std::move(before));
}

bool NodeCache::is_another(const std::string& name, const std::string& uid) const {
  const Entry* known = find(name);
  const auto rejection = unreadable_.find(name);
  const bool is_unreadable = rejection != unreadable_.end() && rejection->second.uid == uid;
  return known != nullptr && known->node->uid != uid && !is_unreadable;
}

NodeCacheChange NodeCache::remove(const std::string& name, const std::string& uid) {
  const auto rejection = unreadable_.find(name);
  const bool was_unreadable = rejection != unreadable_.end() && rejection->second.uid == uid;
  const Entry* known = find(name);
  if (known == nullptr || is_another(name, uid)) {
    PROBE_IF(known != nullptr, "late-delete-of-another-uid-ignored");
    if (was_unreadable) {
      ++problems_version_;
      unreadable_.erase(rejection);
    }
    return {};
  }
  Group seeds;
  Owners before;
  add_rivals(*known, seeds);
  seeds.erase(name);
  const bool matters = has_problem(*known) || rejection != unreadable_.end() || !seeds.empty();
  problems_version_ += matters ? 1U : 0U;
  // One with another uid is of the Node that has come after this one.
  if (rejection != unreadable_.end() && (was_unreadable || rejection->second.uid.empty())) {
    unreadable_.erase(rejection);
  }
  erase(name, before);
  return settle(group_of(std::move(seeds)), std::move(before));
}

void NodeCache::reject(const NodeRejection& rejection) {
  ++problems_version_;
  unreadable_.insert_or_assign(rejection.name, rejection);
}

NodeCache::Entry* NodeCache::find(const std::string& name) const {
  const std::unique_ptr<Entry>* entry = nodes_.find(name);
  return entry == nullptr ? nullptr : entry->get();
}

std::unique_ptr<NodeCache::Entry> NodeCache::judge(std::shared_ptr<const Node> node) const {
  auto entry = std::make_unique<Entry>(Entry{.node = std::move(node),
                                             .claims = {},
                                             .mac = {},
                                             .vtep = {},
                                             .problems = {},
                                             .accepted = false});
  judge_pod_cidrs(*entry);
  judge_address(*entry);
  return entry;
}

void NodeCache::judge_pod_cidrs(Entry& entry) const {
  const Node& node = *entry.node;
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
      first_address(*entry.node, NodeAddressType::InternalIp, config_.underlay);
  if (!address) {
    address = first_address(*entry.node, NodeAddressType::ExternalIp, config_.underlay);
  }
  const auto report = [&](NodeProblemKind kind, const std::string& text) {
    entry.problems.push_back({.kind = kind, .node = entry.node->name, .text = text});
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

NodeCache::Entry& NodeCache::add(std::shared_ptr<const Node> node) {
  const std::string name = node->name;
  const auto [place, added] = nodes_.emplace(name, judge(std::move(node)));
  check(added, "a Node is added once");
  Entry& entry = **place;
  for (const IpPrefix& claim : entry.claims) {
    claims_.emplace(claim, &entry);
    ++claim_lengths_[claim.length()];
  }
  if (is_found_by_mac(entry.claims)) {
    macs_.emplace(entry.mac, &entry);
  }
  if (entry.vtep) {
    addresses_.emplace(*entry.vtep, &entry);
  }
  if (!entry.problems.empty()) {
    faulty_.emplace(entry.node->name, &entry);
  }
  return entry;
}

void NodeCache::erase(const std::string& name, Owners& before) {
  Entry& entry = *find(name);
  withdraw(entry, before);
  for (const IpPrefix& claim : entry.claims) {
    erase_value(claims_, claim, &entry);
    const auto length = claim_lengths_.find(claim.length());
    if (--length->second == 0) {
      claim_lengths_.erase(length);
    }
  }
  if (is_found_by_mac(entry.claims)) {
    erase_value(macs_, entry.mac, &entry);
  }
  if (entry.vtep) {
    erase_value(addresses_, *entry.vtep, &entry);
  }
  faulty_.erase(name);
  nodes_.erase(name);
}

// Takes back what `entry` was accepted for.
void NodeCache::withdraw(Entry& entry, Owners& before) {
  if (!std::exchange(entry.accepted, false) || !entry.vtep) {
    return;
  }
  for (const IpPrefix& claim : entry.claims) {
    before.insert(owners_.extract(claim));
  }
}

void NodeCache::accept(Entry& entry, Owners& after) {
  entry.accepted = true;
  if (!entry.vtep) {
    return;
  }
  const Owner owner{
      .node = entry.node->name, .uid = entry.node->uid, .vtep = *entry.vtep, .mac = entry.mac};
  for (const IpPrefix& claim : entry.claims) {
    owners_.emplace(claim, owner);
    after.emplace(claim, owner);
  }
}

void NodeCache::Holders::add(const Entry& entry) {
  for (const IpPrefix& claim : entry.claims) {
    prefixes.emplace(claim, &entry);
  }
  macs.emplace(entry.mac, &entry);
}

const NodeCache::Entry* NodeCache::Holders::winner_over(const Entry& entry) const {
  for (const IpPrefix& claim : entry.claims) {
    // The first one at or behind the base can lie inside `claim`, the one before can contain it.
    const auto next = prefixes.lower_bound(claim);
    if (next != prefixes.end() && claim.contains(next->first)) {
      return next->second;
    }
    if (next != prefixes.begin() && std::prev(next)->first.contains(claim)) {
      return std::prev(next)->second;
    }
  }
  const auto holder = macs.find(entry.mac);
  return holder == macs.end() ? nullptr : holder->second;
}

// Adds every Node that cannot be accepted together with `entry` (and itself, if it is held). A
// wider prefix is looked for in the lengths only that there are.
void NodeCache::add_rivals(const Entry& entry, Group& group) const {
  const auto add = [&](const auto& row) { group.emplace(row.second->node->name, row.second); };
  for (const IpPrefix& claim : entry.claims) {
    for (const auto& [length, count] : claim_lengths_) {
      if (length >= claim.length()) {
        break;
      }
      const auto [first, end] = claims_.equal_range(IpPrefix::containing(claim.base(), length));
      std::for_each(first, end, add);
    }
    for (auto it = claims_.lower_bound(claim); it != claims_.end() && claim.contains(it->first);
         ++it) {
      add(*it);
    }
  }
  if (is_found_by_mac(entry.claims)) {
    const auto [first, end] = macs_.equal_range(entry.mac);
    std::for_each(first, end, add);
  }
}

// `seeds` and every Node that rivals one of the group.
NodeCache::Group NodeCache::group_of(Group seeds) const {
  Group group;
  while (!seeds.empty()) {
    const auto place = group.insert(seeds.extract(seeds.begin()));
    if (place.inserted) {
      Group rivals;
      add_rivals(*place.position->second, rivals);
      std::erase_if(rivals, [&](const auto& rival) { return group.contains(rival.first); });
      seeds.merge(rivals);
    }
  }
  return group;
}

// Decides afresh who of `group` is accepted. Requires: no Node outside rivals one inside.
NodeCacheChange NodeCache::settle(const Group& group, Owners before) {
  std::vector<Entry*> by_age;
  for (const auto& [name, entry] : group) {
    withdraw(*entry, before);
    if (!entry->claims.empty()) {
      by_age.push_back(entry);
    }
  }
  std::sort(by_age.begin(), by_age.end(), [](const Entry* a, const Entry* b) {
    return std::tie(a->node->created_s, a->node->uid, a->node->name) <
           std::tie(b->node->created_s, b->node->uid, b->node->name);
  });
  Owners after;
  Holders holders;
  for (Entry* entry : by_age) {
    if (holders.winner_over(*entry) != nullptr) {
      PROBE("conflict-lost-to-an-older-node");
      continue;
    }
    holders.add(*entry);
    accept(*entry, after);
  }
  NodeCacheChange change{.prefixes = differences(before, after), .self = false};
  // Only if our own Node was decided about, or is not there, can another thing be known of it.
  if (group.contains(self_name_) || !nodes_.contains(self_name_)) {
    const std::optional<Self> old_self = std::exchange(self_, make_self());
    change.self = self_ != old_self;
  }
  return change;
}

std::optional<Self> NodeCache::make_self() const {
  const Entry* entry = find(self_name_);
  if (entry == nullptr || entry->claims.empty() || !entry->vtep) {
    return std::nullopt;
  }
  return Self{.uid = entry->node->uid,
              .pod_cidrs = entry->claims,
              .vtep = *entry->vtep,
              .mac = entry->mac,
              .lost_pod_cidr = !entry->accepted};
}

// One of its own, or an address that another has too. Those that Nodes have of their rivals come
// and go with these.
bool NodeCache::has_problem(const Entry& entry) const {
  if (!entry.problems.empty() || !entry.vtep) {
    return !entry.problems.empty();
  }
  const auto first = addresses_.lower_bound(*entry.vtep);
  const auto second = std::next(first);
  return second != addresses_.end() && second->first == *entry.vtep;
}

std::vector<NodeProblem> NodeCache::problems() const {
  std::vector<NodeProblem> problems;
  for (const auto& [name, rejection] : unreadable_) {
    problems.push_back(
        {.kind = NodeProblemKind::Untypable, .node = name, .text = rejection.reason});
  }
  for (const auto& [name, entry] : faulty_) {
    problems.insert(problems.end(), entry->problems.begin(), entry->problems.end());
  }
  report_conflicts(problems);
  report_shared_addresses(problems);
  std::sort(problems.begin(), problems.end());
  return problems;
}

void NodeCache::report_conflicts(std::vector<NodeProblem>& problems) const {
  std::vector<const Entry*> losers;
  for (const auto& [claim, entry] : claims_) {
    if (!entry->accepted && claim == entry->claims.front()) {
      losers.push_back(entry);
    }
  }
  if (losers.empty()) {
    return;
  }
  Holders holders;
  for (const auto& [claim, entry] : claims_) {
    if (entry->accepted && claim == entry->claims.front()) {
      holders.add(*entry);
    }
  }
  for (const Entry* loser : losers) {
    const Entry* winner = holders.winner_over(*loser);
    check(winner != nullptr, "a Node is accepted unless another stands in its way");
    problems.push_back({.kind = NodeProblemKind::Conflict,
                        .node = loser->node->name,
                        .text = "its PodCIDRs (the first is " + format(loser->claims.front()) +
                                ") overlap those of the older Node '" + winner->node->name + "'"});
  }
}

void NodeCache::report_shared_addresses(std::vector<NodeProblem>& problems) const {
  for (auto first = addresses_.begin(); first != addresses_.end();) {
    const auto end = addresses_.upper_bound(first->first);
    std::set<std::string> names;
    std::for_each(first, end, [&](const auto& row) { names.insert(row.second->node->name); });
    for (const std::string& name : names) {
      if (names.size() > 1) {
        const std::string& other =
            *names.begin() == name ? *std::next(names.begin()) : *names.begin();
        problems.push_back(
            {.kind = NodeProblemKind::SharedAddress,
             .node = name,
             .text = "address " + format(first->first) + " is also that of Node '" + other + "'"});
      }
    }
    first = end;
  }
}

}  // namespace vxmesh
