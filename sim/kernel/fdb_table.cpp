#include "sim/kernel/fdb_table.h"

#include <algorithm>

namespace vxmesh {
namespace {

constexpr std::uint16_t kPinned = kNudPermanent | kNudNoarp;

// What vxlan_fdb_parse and vxlan_fdb_update refuse whatever is there.
OpDone judge(const FdbEntry& entry, Family family) {
  if (!entry.dst || (entry.state & (kNudPermanent | kNudReachable)) == 0) {
    return refuse(EINVAL);
  }
  return entry.dst->family() == family ? accept() : refuse(EAFNOSUPPORT);
}

bool has_one_destination(const MacAddress& mac) {
  return mac != MacAddress{} && (mac.bytes[0] & 1U) == 0;
}

}  // namespace

OpDone FdbTable::replace(FdbEntry entry, Family family, KernelMessages& messages) {
  if (OpDone verdict = judge(entry, family); verdict != accept()) {
    return verdict;
  }
  if (!has_one_destination(entry.mac)) {
    return refuse(EOPNOTSUPP, find(entry.device, entry.mac) == nullptr
                                  ? ""
                                  : "Cannot replace non-unicast fdb entries");
  }
  entry.flags = static_cast<std::uint8_t>((entry.flags & ~kNtfUse) | kNtfSelf);
  return write(entry, /*replace=*/true, messages);
}

OpDone FdbTable::append(FdbEntry entry, Family family, KernelMessages& messages) {
  if (OpDone verdict = judge(entry, family); verdict != accept()) {
    return verdict;
  }
  entry.flags = static_cast<std::uint8_t>((entry.flags & ~kNtfUse) | kNtfSelf);
  return write(entry, /*replace=*/false, messages);
}

OpDone FdbTable::write(const FdbEntry& entry, bool replace, KernelMessages& messages) {
  const bool fresh = find(entry.device, entry.mac) == nullptr;
  Row& row = this->row(entry);
  if (fresh) {
    row.remotes.push_back(entry);
    report(messages, KernelChange::Kind::New, entry);
    return accept();
  }
  const std::vector<FdbEntry> before = row.remotes;
  // An EXT_LEARNED write does not take over an entry that a user made: only the destination moves.
  const bool user_made = (row.remotes.front().flags & kNtfExtLearned) == 0;
  if (!user_made || (entry.flags & kNtfExtLearned) == 0) {
    for (FdbEntry& remote : row.remotes) {
      remote.state = entry.state;
      remote.flags = entry.flags;
    }
  }
  const bool known = std::any_of(row.remotes.begin(), row.remotes.end(),
                                 [&](const FdbEntry& remote) { return remote.dst == entry.dst; });
  if (!known && replace) {
    row.remotes.front().dst = entry.dst;
  } else if (!known && !has_one_destination(entry.mac)) {
    row.remotes.push_back(row.remotes.front());
    row.remotes.back().dst = entry.dst;
  }
  if (row.remotes != before) {
    report(messages, KernelChange::Kind::New,
           known || replace ? row.remotes.front() : row.remotes.back());
  }
  return accept();
}

FdbTable::Row& FdbTable::row(const FdbEntry& entry) {
  const auto [place, fresh] = rows_.try_emplace(Key{entry.device, entry.mac});
  if (fresh) {
    place->second.sequence = next_sequence_++;
    order_.emplace(std::pair{entry.device, place->second.sequence}, entry.mac);
  }
  return place->second;
}

OpDone FdbTable::remove(IfIndex device, const MacAddress& mac, KernelMessages& messages) {
  const auto place = rows_.find(Key{device, mac});
  if (place == rows_.end()) {
    return refuse(ENOENT);
  }
  for (const FdbEntry& remote : place->second.remotes) {
    report(messages, KernelChange::Kind::Deleted, remote);
  }
  order_.erase(std::pair{device, place->second.sequence});
  rows_.erase(place);
  return accept();
}

void FdbTable::flush_if(IfIndex device, const std::function<bool(const FdbEntry&)>& goes,
                        KernelMessages& messages) {
  for (const FdbEntry& entry : rows(device)) {
    if (goes(entry) && find(device, entry.mac) != nullptr) {
      (void)remove(device, entry.mac, messages);
    }
  }
}

void FdbTable::flush_dynamic(IfIndex device, KernelMessages& messages) {
  flush_if(
      device, [](const FdbEntry& entry) { return (entry.state & kPinned) == 0; }, messages);
}

void FdbTable::flush(IfIndex device, KernelMessages& messages) {
  flush_if(
      device, [](const FdbEntry&) { return true; }, messages);
}

const std::vector<FdbEntry>* FdbTable::find(IfIndex device, const MacAddress& mac) const {
  const auto place = rows_.find(Key{device, mac});
  return place == rows_.end() ? nullptr : &place->second.remotes;
}

std::vector<FdbEntry> FdbTable::rows_after(IfIndex device, std::size_t skip,
                                           std::size_t max) const {
  std::vector<FdbEntry> rows;
  for (auto place = order_.lower_bound(std::pair{IfIndex{device.value + 1}, std::uint64_t{0}});
       place != order_.begin() && rows.size() < max;) {
    --place;
    if (place->first.first != device) {
      break;
    }
    for (const FdbEntry& remote : rows_.at(Key{device, place->second}).remotes) {
      if (skip > 0) {
        --skip;
      } else if (rows.size() < max) {
        rows.push_back(remote);
      }
    }
  }
  return rows;
}

std::vector<FdbEntry> FdbTable::rows(IfIndex device) const {
  return rows_after(device, 0, SIZE_MAX);
}

}  // namespace vxmesh
