#include "sim/check/path_oracle.h"

#include <algorithm>
#include <vector>

namespace vxmesh {
namespace {

// A host of the PodCIDR that stands for those that are not resolved; pods get lower ones.
IpAddress unresolved_of(const IpPrefix& pod_cidr) {
  return IpAddress::v4(pod_cidr.last().v4_bits() - 1);
}

constexpr Duration kSeen = std::chrono::seconds(1);

// The addresses of the PodCIDR that the host has a MAC for, but not its base.
std::vector<IpAddress> resolved_in(const Host& from, const IpPrefix& pod_cidr) {
  std::vector<IpAddress> resolved;
  for (const Neighbour& neighbour : from.kernel().neighbours(from.device(), pod_cidr)) {
    if (neighbour.address != pod_cidr.base() && neighbour.lladdr) {
      resolved.push_back(neighbour.address);
    }
  }
  return resolved;
}

// Those of `addresses` of the PodCIDR that the host has a MAC for, likewise.
std::vector<IpAddress> resolved_of(const Host& from, const IpPrefix& pod_cidr,
                                   const std::set<IpAddress>& addresses) {
  std::vector<IpAddress> resolved;
  for (const IpAddress& address : addresses) {
    const std::optional<Neighbour> neighbour = from.kernel().find_neighbour(from.device(), address);
    if (address != pod_cidr.base() && neighbour && neighbour->lladdr) {
      resolved.push_back(address);
    }
  }
  return resolved;
}

}  // namespace

// --- What happens ---

void PathOracle::on_written(std::uint64_t revision, const std::string& name,
                            const NodeOrRejection* now) {
  history_.changed(revision, name, now);
  const std::set<IpPrefix> changed = history_.changed_between(revision - 1, revision);
  for (const IpPrefix& pod_cidr : changed) {
    if (const auto known = owners_.find(pod_cidr); known != owners_.end()) {
      by_mac_.erase(known->second.mac);
      owners_.erase(known);
    }
    if (const auto owner = history_.owner(pod_cidr, revision)) {
      by_mac_.insert_or_assign(owner->mac, pod_cidr);
      owners_.emplace(pod_cidr, *owner);
    }
  }
  for (const auto& [number, host] : hosts_) {
    for (const IpPrefix& pod_cidr : changed) {
      look_at(*host, pod_cidr);
    }
    if (host->name() == name) {
      look_at_all_of(*host);
    }
  }
}

void PathOracle::on_served(const Host& host, std::uint64_t revision) {
  Seen& seen = seen_[host.number()];
  const std::uint64_t before = std::exchange(seen.served, std::max(seen.served, revision));
  const MonotonicTime now = view_.now();
  for (const IpPrefix& pod_cidr : history_.changed_between(before, revision)) {
    if (pod_cidr == host.pod_cidr()) {
      look_at_all_of(host);
      look_at_all_to(host);
      own_owed_after_[host.number()] = now + budget::kChange;
    } else {
      const Key key{host.number(), pod_cidr};
      owed_after_[key] = now + budget::kChange;
      owing_.emplace_back(now + budget::kChange, key);
      look_at(host, pod_cidr);
    }
    seen.pending.try_emplace(revision, now);
  }
  if (!seen.pending.empty() && unsettled_.insert(host.number()).second) {
    view_.at(now + kSeen, [] {});  // on_settled() comes by then
  }
}

void PathOracle::on_process(const Host& host, ProcessChange change) {
  Seen& seen = seen_[host.number()];
  if (change == ProcessChange::Died) {
    // What it has done outlives it. What it had still to do begins when the next one is served.
    const bool is_done = excuses_.tables(host) < view_.now();
    seen.pending.clear();
    seen.served = is_done ? std::min(seen.served, seen.settled) : 0;
  } else if (change == ProcessChange::Resumed) {
    for (auto& [revision, since] : seen.pending) {
      since = view_.now();
    }
  }
  look_at_all_of(host);
}

void PathOracle::on_host(const Host& host, bool there) {
  if (there) {
    hosts_.emplace(host.number(), &host);
    look_at_all_of(host);
    look_at_all_to(host);
    return;
  }
  look_at_all_to(host);
  hosts_.erase(host.number());
  seen_.erase(host.number());
  unsettled_.erase(host.number());
  own_owed_after_.erase(host.number());
  const auto is_of_host = [&](const auto& entry) { return entry.first.first == host.number(); };
  std::erase_if(owed_after_, is_of_host);
  std::erase_if(again_, is_of_host);
  std::erase_if(to_judge_, is_of_host);
  std::erase_if(excused_, [&](const Key& key) { return key.first == host.number(); });
}

void PathOracle::on_host_changed(const Host& host) {
  look_at_all_of(host);
  look_at_all_to(host);
}

void PathOracle::on_notification(const Host& host, const Notification& message, bool /*by_agent*/) {
  if (message.kind == Notification::Kind::Miss || !hosts_.contains(host.number())) {
    return;
  }
  if (const auto* route = std::get_if<RouteRecord>(&message.record)) {
    const IpPrefix& destination = route->route.destination;
    if (owners_.contains(destination)) {
      look_at(host, destination);
    } else if (destination.family() == Family::V4 && !destination.base().is_multicast()) {
      look_at_all_of(host);
    }
  } else if (const auto* fdb = std::get_if<FdbRecord>(&message.record)) {
    if (const auto known = by_mac_.find(fdb->entry.mac); known != by_mac_.end()) {
      look_at(host, known->second);
    }
  } else if (const auto* neighbour = std::get_if<NeighbourRecord>(&message.record)) {
    if (neighbour->neighbour.device == host.device()) {
      look_at(host, neighbour->neighbour.address);
    }
  } else {
    look_at_all_of(host);
    look_at_all_to(host);
  }
}

// What was excused may not be any more; what was not is no other than before.
void PathOracle::on_step(const Step& /*step*/, bool /*begins*/) {
  for (const Key& key : std::exchange(excused_, {})) {
    to_judge_[key].all = true;
  }
}

void PathOracle::look_at(const Host& host, const IpPrefix& pod_cidr) {
  if (hosts_.contains(host.number())) {
    to_judge_[{host.number(), pod_cidr}].all = true;
  }
}

void PathOracle::look_at(const Host& host, const IpAddress& address) {
  auto place = owners_.upper_bound(IpPrefix::containing(address, address_bits(address.family())));
  if (place != owners_.begin() && (--place)->first.contains(address)) {
    to_judge_[{host.number(), place->first}].addresses.insert(address);
  }
}

void PathOracle::look_at_all_of(const Host& host) {
  for (const auto& [pod_cidr, owner] : owners_) {
    look_at(host, pod_cidr);
  }
}

void PathOracle::look_at_all_to(const Host& host) {
  for (const auto& [number, other] : hosts_) {
    look_at(*other, host.pod_cidr());
  }
}

// --- Judging ---

void PathOracle::on_settled() {
  forget_owed();
  settle_views();
  while (!to_judge_.empty() && !verdicts_.violation()) {
    const std::map<Key, Look> looks = std::exchange(to_judge_, {});
    for (const auto& [key, look] : looks) {
      if (const auto host = hosts_.find(key.first); host != hosts_.end()) {
        judge(*host->second, key.second, look);
      }
    }
  }
}

// What is owed by now excuses nothing any more.
void PathOracle::forget_owed() {
  for (; !owing_.empty() && owing_.front().first < view_.now(); owing_.pop_front()) {
    const auto& [time, key] = owing_.front();
    const auto owed = owed_after_.find(key);
    if (owed != owed_after_.end() && owed->second == time) {
      owed_after_.erase(owed);
    }
  }
}

void PathOracle::settle_views() {
  for (auto number = unsettled_.begin(); number != unsettled_.end();) {
    Seen& seen = seen_.at(*number);
    settle(*number, seen);
    number = seen.pending.empty() ? unsettled_.erase(number) : std::next(number);
  }
}

void PathOracle::settle(HostNumber number, Seen& seen) {
  const Host& host = *hosts_.at(number);
  const MonotonicTime now = view_.now();
  if (!view_.agent_runs(host.name())) {
    return;
  }
  const bool idle = view_.agent_idle(host.name());
  while (!seen.pending.empty()) {
    const auto [revision, since] = *seen.pending.begin();
    if (!idle && now - since < kSeen) {
      break;
    }
    forget_unread(host, seen, revision);
    for (const IpPrefix& pod_cidr : history_.changed_between(seen.settled, revision)) {
      look_at(host, pod_cidr);
      if (pod_cidr == host.pod_cidr()) {
        look_at_all_of(host);
      }
      note_unread(seen, pod_cidr, revision);
    }
    seen.settled = std::max(seen.settled, revision);
    seen.pending.erase(seen.pending.begin());
  }
}

// Who lists knows nothing of what a Node was between the last time that it could be read and now:
// neither what it holds nor what it has given up.
void PathOracle::note_unread(Seen& seen, const IpPrefix& pod_cidr, std::uint64_t revision) const {
  for (const std::uint64_t when : {seen.settled, revision}) {
    for (const Holder& holder : history_.holders(pod_cidr, when)) {
      if (history_.is_uncertain(holder.owner.node, revision)) {
        seen.unread.try_emplace(pod_cidr,
                                Unread{.node = holder.owner.node, .settled = seen.settled});
      }
    }
  }
}

void PathOracle::forget_unread(const Host& host, Seen& seen, std::uint64_t revision) {
  std::erase_if(seen.unread, [&](const auto& entry) {
    const bool is_read = !history_.is_uncertain(entry.second.node, revision);
    if (is_read) {
      look_at(host, entry.first);
    }
    return is_read;
  });
}

bool PathOracle::is_as_written(const Host& host) const {
  const auto owner = owners_.find(host.pod_cidr());
  return owner != owners_.end() && owner->second.node == host.name() &&
         owner->second.vtep == host.ip();
}

MonotonicTime PathOracle::owed_after(const Host& from, const IpPrefix& to) const {
  const auto owner = owners_.find(to);
  const Host* other = owner == owners_.end() ? nullptr : view_.host(owner->second.node);
  if (other == nullptr || other == &from || other->pod_cidr() != to || !is_as_written(from) ||
      !is_as_written(*other)) {
    return Excuse::kForever;
  }
  if (!is_served(from, to) || !is_served(from, from.pod_cidr()) || !is_served(*other, to)) {
    return Excuse::kForever;
  }
  return std::max(excuses_.path(from, *other), owed_for_changes(from, *other));
}

MonotonicTime PathOracle::owed_between(const Host& a, const Host& b) const {
  if (&a == &b || !is_as_written(a) || !is_as_written(b)) {
    return Excuse::kForever;
  }
  for (const Host* host : {&a, &b}) {
    if (!is_served(*host, a.pod_cidr()) || !is_served(*host, b.pod_cidr())) {
      return Excuse::kForever;
    }
  }
  return std::max({excuses_.path(a, b), owed_for_changes(a, b), owed_for_changes(b, a)});
}

MonotonicTime PathOracle::owed_by(const Host& host) const {
  if (!is_as_written(host) || !is_served(host, host.pod_cidr())) {
    return Excuse::kForever;
  }
  return owed_for_own_changes(host);
}

MonotonicTime PathOracle::owed_for_own_changes(const Host& host) const {
  const auto own = own_owed_after_.find(host.number());
  return own == own_owed_after_.end() ? MonotonicTime{Duration(-1)} : own->second;
}

// The host's agent has been served what was last written about the PodCIDR, and could read it.
bool PathOracle::is_served(const Host& host, const IpPrefix& pod_cidr) const {
  const auto seen = seen_.find(host.number());
  return seen != seen_.end() && !seen->second.unread.contains(pod_cidr) &&
         seen->second.served >= history_.last_change(pod_cidr).value_or(0);
}

// What the API has changed of either, or of the PodCIDR of `to` as `from` knows it.
MonotonicTime PathOracle::owed_for_changes(const Host& from, const Host& to) const {
  MonotonicTime after{Duration(-1)};
  if (const auto changed = owed_after_.find({from.number(), to.pod_cidr()});
      changed != owed_after_.end()) {
    after = changed->second;
  }
  return std::max({after, owed_for_own_changes(from), owed_for_own_changes(to)});
}

void PathOracle::judge(const Host& from, const IpPrefix& to, const Look& look) {
  if (to == from.pod_cidr()) {
    return;
  }
  const auto owner = owners_.find(to);
  const MacAddress mac = owner == owners_.end() ? MacAddress{} : owner->second.mac;
  std::vector<std::pair<IpAddress, Connection>> ways;
  const std::vector<IpAddress> resolved =
      look.all ? resolved_in(from, to) : resolved_of(from, to, look.addresses);
  if (resolved.empty() && !look.all) {
    return;
  }
  for (const IpAddress& address : resolved) {
    ways.emplace_back(address, connection(view_, from, address, mac));
    judge_safety(from, to, address, ways.back().second);
  }
  const MonotonicTime after = owed_after(from, to);
  if (after == Excuse::kForever) {
    excused_.insert({from.number(), to});
    return;
  }
  if (look.all) {
    ways.emplace_back(unresolved_of(to), connection(view_, from, unresolved_of(to), mac));
  }
  for (const auto& [address, way] : ways) {
    if (way.delivered && way.at->name() == owner->second.node) {
      continue;
    }
    if (view_.now() <= after) {
      judge_again(from, to, after);
      return;
    }
    verdicts_.fail(
        {.oracle = "blackout",
         .what = way.unresolved ? "an unresolved address of a peer is dark" : "a peer is dark",
         .detail = from.name() + " does not reach " + format(address) + " of " +
                   owner->second.node + ": " +
                   (way.why.empty() ? "it comes out at " + way.at->name() : way.why),
         .time = view_.now(),
         .from = from.name(),
         .to = address});
    return;
  }
  if (view_.now() > after) {
    verdicts_.judged("blackout");
  }
}

// Only a MAC that the kernel has itself decides where a packet goes.
void PathOracle::judge_safety(const Host& from, const IpPrefix& to, const IpAddress& address,
                              const Connection& way) {
  if (way.at == nullptr || way.unresolved) {
    return;
  }
  const Seen& seen = seen_[from.number()];
  const auto unread = seen.unread.find(to);
  const std::uint64_t known = unread == seen.unread.end() ? seen.settled : unread->second.settled;
  if (history_.was_at(address, *way.vtep, known)) {
    verdicts_.judged("safety");
    return;
  }
  // Who does not know its own new address programs nothing; all is looked at when it does.
  const bool knows_itself = seen.settled >= history_.last_change(from.pod_cidr()).value_or(0);
  const MonotonicTime after = knows_itself ? excuses_.tables(from, to) : Excuse::kForever;
  if (view_.now() <= after) {
    judge_again(from, to, after);
  } else {
    verdicts_.fail({.oracle = "safety",
                    .what = "a packet is delivered at a node that does not own the pod",
                    .detail = from.name() + " sends packets to " + format(address) + " to " +
                              way.at->name() + " at " + format(*way.vtep),
                    .time = view_.now(),
                    .from = from.name(),
                    .to = address});
  }
}

void PathOracle::judge_again(const Host& from, const IpPrefix& to, MonotonicTime time) {
  const Key key{from.number(), to};
  if (time == Excuse::kForever) {
    excused_.insert(key);
    return;
  }
  if (!again_.emplace(key, time).second) {
    return;
  }
  view_.at(time + Duration(1), [this, key] {
    again_.erase(key);
    to_judge_[key].all = true;
  });
}

}  // namespace vxmesh
