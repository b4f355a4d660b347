#include "sim/kernel/neighbour_table.h"

#include <algorithm>

namespace vxmesh {
namespace {

// net.ipv4.neigh.*.retrans_time_ms, the default.
constexpr Duration kRetransTime = std::chrono::seconds(1);

// What of ndm_flags an entry keeps. Every write sets these to exactly what it says.
constexpr std::uint8_t kKeptFlags = kNtfExtLearned | kNtfRouter;

}  // namespace

bool is_valid_nud(std::uint16_t state) {
  constexpr auto kValid = static_cast<std::uint16_t>(kNudPermanent | kNudNoarp | kNudReachable |
                                                     kNudProbe | kNudStale | kNudDelay);
  return (state & kValid) != 0;
}

OpDone NeighbourTable::replace(const Neighbour& neighbour, MonotonicTime now,
                               KernelMessages& messages) {
  const Key key{neighbour.device, neighbour.address};
  const auto [place, fresh] = rows_.try_emplace(key);
  Row& row = place->second;
  if (fresh) {
    row.neighbour = Neighbour{.device = neighbour.device, .address = neighbour.address};
    row.updated = now;
  }
  const Neighbour before = row.neighbour;
  Neighbour after = neighbour;
  after.flags &= kKeptFlags;
  after.protocol = neighbour.protocol != 0 ? neighbour.protocol : before.protocol;
  after.lladdr = neighbour.lladdr ? neighbour.lladdr : before.lladdr;
  if (is_valid_nud(neighbour.state) && !after.lladdr) {
    // What was made for the request stays behind: an entry without a state.
    return refuse(EINVAL, "No link layer address given");
  }
  if (!is_valid_nud(neighbour.state)) {
    after.lladdr.reset();
  }
  row.neighbour = after;
  row.timer.reset();
  row.probes = 0;
  if (before.state != after.state || before.lladdr != after.lladdr) {
    row.updated = now;
  }
  // A protocol alone is stored without a word; so is an entry that never had a MAC.
  Neighbour told = before;
  told.protocol = after.protocol;
  if (told != after && (is_valid_nud(after.state) || is_valid_nud(before.state))) {
    report(messages, KernelChange::Kind::New, after, now - row.updated);
  }
  return accept();
}

OpDone NeighbourTable::remove(IfIndex device, const IpAddress& address, MonotonicTime now,
                              KernelMessages& messages) {
  const auto place = rows_.find(Key{device, address});
  if (place == rows_.end()) {
    return refuse(ENOENT);
  }
  Row& row = place->second;
  const bool valid = is_valid_nud(row.neighbour.state);
  row.neighbour.state = kNudFailed;
  row.neighbour.lladdr.reset();
  row.neighbour.flags = 0;  // a delete is a write that says none
  if (valid) {
    row.updated = now;
    report(messages, KernelChange::Kind::New, row.neighbour);
  }
  report(messages, KernelChange::Kind::Deleted, row.neighbour, now - row.updated);
  rows_.erase(place);
  return accept();
}

void NeighbourTable::flush(IfIndex device, std::optional<Family> family, MonotonicTime now,
                           KernelMessages& messages) {
  for (auto place = rows_.lower_bound(Key{device, IpAddress{}});
       place != rows_.end() && place->first.first == device;) {
    if (family && place->first.second.family() != *family) {
      ++place;
      continue;
    }
    report(messages, KernelChange::Kind::Deleted, place->second.neighbour,
           now - place->second.updated);
    place = rows_.erase(place);
  }
}

void NeighbourTable::resolve(IfIndex device, const IpAddress& address,
                             const NeighbourParameters& parameters, MonotonicTime now,
                             KernelMessages& messages) {
  const auto [place, fresh] = rows_.try_emplace(Key{device, address});
  Row& row = place->second;
  if (fresh) {
    row.neighbour = Neighbour{.device = device, .address = address};
  }
  const std::uint16_t state = row.neighbour.state;
  if (is_valid_nud(state) || (state & kNudIncomplete) != 0) {
    return;
  }
  row.updated = now;
  row.probes = 0;
  row.neighbour.lladdr.reset();
  if (parameters.app_solicit + parameters.mcast_solicit == 0) {
    row.neighbour.state = kNudFailed;  // no one to ask: given up at once, and nobody is told
    return;
  }
  row.neighbour.state = kNudIncomplete;
  probe(row, parameters, now, messages);
}

void NeighbourTable::probe(Row& row, const NeighbourParameters& parameters, MonotonicTime now,
                           KernelMessages& messages) {
  if (row.probes < parameters.app_solicit) {
    messages.emplace_back(Miss{.device = row.neighbour.device, .address = row.neighbour.address});
  }
  ++row.probes;
  row.timer = now + kRetransTime;
}

void NeighbourTable::run_timers(const ParametersOf& parameters_of, MonotonicTime now,
                                KernelMessages& messages) {
  for (auto& [key, row] : rows_) {
    if (!row.timer || *row.timer > now) {
      continue;
    }
    const NeighbourParameters parameters = parameters_of(key.first, key.second.family());
    if (row.probes < parameters.app_solicit + parameters.mcast_solicit) {
      probe(row, parameters, *row.timer, messages);
      continue;
    }
    row.neighbour.state = kNudFailed;
    row.updated = *row.timer;
    row.timer.reset();
    report(messages, KernelChange::Kind::New, row.neighbour, now - row.updated);
  }
}

std::optional<MonotonicTime> NeighbourTable::next_timer() const {
  std::optional<MonotonicTime> next;
  for (const auto& [key, row] : rows_) {
    if (row.timer && (!next || *row.timer < *next)) {
      next = row.timer;
    }
  }
  return next;
}

const NeighbourTable::Row* NeighbourTable::find(IfIndex device, const IpAddress& address) const {
  const auto place = rows_.find(Key{device, address});
  return place == rows_.end() ? nullptr : &place->second;
}

}  // namespace vxmesh
