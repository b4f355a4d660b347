#include "sim/check/ownership_history.h"

#include <algorithm>
#include <iterator>
#include <variant>

#include "base/check.h"

namespace vxmesh {
namespace {

void erase_name(auto& index, const auto& key, const std::string& name) {
  const auto names = index.find(key);
  names->second.erase(name);
  if (names->second.empty()) {
    index.erase(names);
  }
}

std::optional<ReferenceOwner> certain_one(const std::vector<Holder>& holders) {
  for (const Holder& holder : holders) {
    if (holder.certain) {
      return holder.owner;
    }
  }
  return std::nullopt;
}

// The last entry at or before `revision`, or the end.
template <typename Entries>
auto entry_at(const Entries& entries, std::uint64_t revision) {
  const auto later =
      std::upper_bound(entries.begin(), entries.end(), revision,
                       [](std::uint64_t wanted, const auto& e) { return wanted < e.revision; });
  return later == entries.begin() ? entries.end() : std::prev(later);
}

}  // namespace

void OwnershipHistory::changed(std::uint64_t revision, const std::string& name,
                               const NodeOrRejection* now) {
  check(revision >= latest_, "changes come in order of revision");
  latest_ = revision;
  if (!take(name, now)) {
    return;
  }
  const auto known = known_.find(name);
  std::optional<Claim> claim;
  if (known != known_.end()) {
    claim = claim_of(config_, known->second.node, known->second.readable);
  }
  resettle(revision, name, std::move(claim));
}

void OwnershipHistory::record(std::uint64_t revision, const ApiNodes& nodes) {
  check(revision >= latest_, "changes come in order of revision");
  latest_ = revision;
  std::vector<std::string> gone;
  for (const auto& [name, known] : known_) {
    if (!nodes.contains(name)) {
      gone.push_back(name);
    }
  }
  for (const std::string& name : gone) {
    changed(revision, name, nullptr);
  }
  for (const auto& [name, object] : nodes) {
    changed(revision, name, &object);
  }
}

// False if nothing changes.
bool OwnershipHistory::take(const std::string& name, const NodeOrRejection* now) {
  const auto known = known_.find(name);
  if (now == nullptr) {
    return known_.erase(name) > 0;
  }
  if (const Node* node = std::get_if<Node>(now)) {
    if (known != known_.end() && known->second.readable && known->second.node == *node) {
      return false;
    }
    known_.insert_or_assign(name, Known{.node = *node});
    return true;
  }
  if (known == known_.end()) {
    return false;
  }
  const std::string& uid = std::get<NodeRejection>(*now).uid;
  if (uid.empty() || uid == known->second.node.uid) {
    return std::exchange(known->second.readable, false);
  }
  known_.erase(known);  // another Node, of which nothing is known
  return true;
}

void OwnershipHistory::resettle(std::uint64_t revision, const std::string& name,
                                std::optional<Claim> claim) {
  const auto before = claims_.find(name);
  Names seeds;
  std::set<IpPrefix> concerned;
  if (before != claims_.end()) {
    if (claim == before->second) {
      return;
    }
    const Claim old = before->second;
    concerned.insert(old.pod_cidrs.begin(), old.pod_cidrs.end());
    erase_claim(old);
    add_rivals(old, seeds);
  }
  if (claim) {
    add_claim(*claim);
    seeds.insert(name);
  }
  std::vector<Claim> group;
  for (const std::string& member : group_of(std::move(seeds))) {
    group.push_back(claims_.at(member));
    concerned.insert(group.back().pod_cidrs.begin(), group.back().pod_cidrs.end());
  }
  Holdings holdings = settle(std::move(group));
  for (const IpPrefix& pod_cidr : concerned) {
    write(revision, pod_cidr, std::move(holdings[pod_cidr]));
  }
}

void OwnershipHistory::add_claim(const Claim& claim) {
  claims_.emplace(claim.node, claim);
  for (const IpPrefix& pod_cidr : claim.pod_cidrs) {
    by_prefix_[pod_cidr].insert(claim.node);
  }
  by_mac_[claim.mac].insert(claim.node);
}

void OwnershipHistory::erase_claim(const Claim& claim) {
  for (const IpPrefix& pod_cidr : claim.pod_cidrs) {
    erase_name(by_prefix_, pod_cidr, claim.node);
  }
  erase_name(by_mac_, claim.mac, claim.node);
  claims_.erase(claim.node);
}

void OwnershipHistory::add_rivals(const Claim& claim, Names& names) const {
  for (const IpPrefix& pod_cidr : claim.pod_cidrs) {
    for (std::uint8_t length = 0; length < pod_cidr.length(); ++length) {
      const auto wider = by_prefix_.find(IpPrefix::containing(pod_cidr.base(), length));
      if (wider != by_prefix_.end()) {
        names.insert(wider->second.begin(), wider->second.end());
      }
    }
    auto inner = by_prefix_.lower_bound(pod_cidr);
    for (; inner != by_prefix_.end() && pod_cidr.contains(inner->first); ++inner) {
      names.insert(inner->second.begin(), inner->second.end());
    }
  }
  const auto same_mac = by_mac_.find(claim.mac);
  if (same_mac != by_mac_.end()) {
    names.insert(same_mac->second.begin(), same_mac->second.end());
  }
}

// `seeds` and all who stand in the way of one of the group.
OwnershipHistory::Names OwnershipHistory::group_of(Names seeds) const {
  Names group;
  while (!seeds.empty()) {
    const std::string name = seeds.extract(seeds.begin()).value();
    if (group.insert(name).second) {
      add_rivals(claims_.at(name), seeds);
    }
  }
  return group;
}

void OwnershipHistory::write(std::uint64_t revision, const IpPrefix& pod_cidr,
                             std::vector<Holder> holders) {
  std::vector<Entry>& entries = entries_[pod_cidr];
  if (!entries.empty() && entries.back().revision == revision) {
    entries.pop_back();  // what several changes of one revision lead to counts
  }
  const bool same = entries.empty() ? holders.empty() : entries.back().holders == holders;
  if (!same) {
    entries.push_back(Entry{.revision = revision, .holders = std::move(holders)});
    written_.emplace_back(revision, pod_cidr);
    lengths_[pod_cidr.family()].insert(pod_cidr.length());
  }
  if (entries.empty()) {
    entries_.erase(pod_cidr);
  }
}

std::set<IpPrefix> OwnershipHistory::changed_between(std::uint64_t after,
                                                     std::uint64_t upto) const {
  std::set<IpPrefix> changed;
  auto write = std::upper_bound(
      written_.begin(), written_.end(), after,
      [](std::uint64_t revision, const auto& entry) { return revision < entry.first; });
  for (; write != written_.end() && write->first <= upto; ++write) {
    changed.insert(write->second);
  }
  return changed;
}

std::vector<Holder> OwnershipHistory::holders(const IpPrefix& pod_cidr,
                                              std::uint64_t revision) const {
  check(revision >= oldest_, "nobody asks about what is forgotten");
  const auto entries = entries_.find(pod_cidr);
  if (entries == entries_.end()) {
    return {};
  }
  const auto entry = entry_at(entries->second, revision);
  return entry == entries->second.end() ? std::vector<Holder>{} : entry->holders;
}

// Of those that somebody has held.
std::vector<IpPrefix> OwnershipHistory::prefixes_around(const IpAddress& address) const {
  std::vector<IpPrefix> prefixes;
  const auto lengths = lengths_.find(address.family());
  if (lengths != lengths_.end()) {
    for (const std::uint8_t length : lengths->second) {
      const auto entries = entries_.find(IpPrefix::containing(address, length));
      if (entries != entries_.end()) {
        prefixes.push_back(entries->first);
      }
    }
  }
  return prefixes;
}

std::vector<Holder> OwnershipHistory::holders(const IpAddress& address,
                                              std::uint64_t revision) const {
  std::vector<Holder> all;
  for (const IpPrefix& pod_cidr : prefixes_around(address)) {
    const std::vector<Holder> some = holders(pod_cidr, revision);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::optional<ReferenceOwner> OwnershipHistory::owner(const IpAddress& address,
                                                      std::uint64_t revision) const {
  return certain_one(holders(address, revision));
}

std::optional<ReferenceOwner> OwnershipHistory::owner(const IpPrefix& pod_cidr,
                                                      std::uint64_t revision) const {
  return certain_one(holders(pod_cidr, revision));
}

bool OwnershipHistory::was_at(const IpAddress& address, const IpAddress& vtep,
                              std::uint64_t from_revision) const {
  for (const IpPrefix& pod_cidr : prefixes_around(address)) {
    const std::vector<Entry>& entries = entries_.at(pod_cidr);
    const auto first = entry_at(entries, from_revision);
    for (auto entry = first == entries.end() ? entries.begin() : first; entry != entries.end();
         ++entry) {
      if (std::ranges::any_of(entry->holders,
                              [&](const Holder& holder) { return holder.owner.vtep == vtep; })) {
        return true;
      }
    }
  }
  return false;
}

bool OwnershipHistory::is_uncertain(const std::string& node, std::uint64_t revision) const {
  return std::ranges::any_of(entries_, [&](const auto& pod_cidr) {
    const auto entry = entry_at(pod_cidr.second, revision);
    return entry != pod_cidr.second.end() &&
           std::ranges::any_of(entry->holders, [&](const Holder& holder) {
             return !holder.certain && holder.owner.node == node;
           });
  });
}

std::optional<std::uint64_t> OwnershipHistory::last_change(const IpPrefix& pod_cidr) const {
  const auto entries = entries_.find(pod_cidr);
  return entries == entries_.end() ? std::nullopt : std::optional(entries->second.back().revision);
}

void OwnershipHistory::forget_before(std::uint64_t revision) {
  oldest_ = std::max(oldest_, revision);
  // An entry is out of use when its successor was written, and an empty one at once.
  for (; !written_.empty() && written_.front().first <= revision; written_.pop_front()) {
    const auto found = entries_.find(written_.front().second);
    if (found == entries_.end()) {
      continue;
    }
    std::vector<Entry>& entries = found->second;
    const auto current = entry_at(entries, revision);
    if (current != entries.end()) {
      const bool empty = current->holders.empty();
      entries.erase(entries.begin(), empty ? std::next(current) : current);
    }
    if (entries.empty()) {
      entries_.erase(found);
    }
  }
}

std::size_t OwnershipHistory::entries() const {
  std::size_t count = 0;
  for (const auto& [pod_cidr, entries] : entries_) {
    count += entries.size();
  }
  return count;
}

}  // namespace vxmesh
