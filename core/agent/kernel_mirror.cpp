#include "agent/kernel_mirror.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/probe.h"
#include "model/ownership.h"

namespace vxmesh {
namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;  // clang 14 does not deduce it for aggregates

// True if they agree in what makes them one row to the kernel.
bool same_row(const IfAddress& a, const IfAddress& b) {
  return a.device == b.device && a.address == b.address && a.length == b.length;
}
bool same_row(const FdbEntry& a, const FdbEntry& b) {
  constexpr unsigned kMulticastBit = 1;
  const bool several = (a.mac.bytes[0] & kMulticastBit) != 0 || a.mac == MacAddress{};
  return a.device == b.device && a.mac == b.mac && (!several || a.dst == b.dst);
}

// The lowest value that a row with the same key can have, for lower_bound.
IfAddress first_of(const IfAddress& row) {
  return {.device = row.device, .address = row.address, .length = row.length};
}
FdbEntry first_of(const FdbEntry& row) {
  return {.device = row.device, .mac = row.mac};
}

// `place`: the first of the rows, in order, that is not before first_of(key).
template <typename Place, typename Row>
bool contains_row(Place place, Place end, const Row& key) {
  for (auto it = place; it != end; ++it) {
    if (same_row(*it, key)) {
      return true;
    }
    if (first_of(*it) != first_of(key)) {
      break;
    }
  }
  return false;
}

template <typename Row>
bool contains_row(const std::set<Row>& rows, const Row& key) {
  return contains_row(rows.lower_bound(first_of(key)), rows.end(), key);
}

template <typename Row>
bool erase_row(std::set<Row>& rows, const Row& key) {
  bool erased = false;
  auto it = rows.lower_bound(first_of(key));
  while (it != rows.end() && first_of(*it) == first_of(key)) {
    const bool same = same_row(*it, key);
    it = same ? rows.erase(it) : std::next(it);
    erased = erased || same;
  }
  return erased;
}

// What we set on a device, or must react to when it changes.
bool differs_in_what_we_set(const Link& a, const Link& b) {
  return a.name != b.name || a.mac != b.mac || a.mtu != b.mtu || a.up != b.up ||
         a.no_arp != b.no_arp || a.group != b.group || a.vxlan != b.vxlan;
}

}  // namespace

KernelMirror::KernelMirror(Netlink& netlink, const Clock& clock, const OverlayConfig& config)
    : netlink_(netlink), clock_(clock), config_(config) {}

bool KernelMirror::on_device(IfIndex index) const {
  return device_ != IfIndex{} && index == device_;
}

bool KernelMirror::concerns_us(const Route& route) const {
  return (route.device && on_device(*route.device)) || is_owned(route, device_) ||
         (route.table == kRouteTableMain && overlay_of(config_, route.destination) != nullptr);
}

void KernelMirror::note_route(const Route& route, MirrorChange& change) const {
  (is_owned(route, device_) ? change.routes : change.foreign_routes).insert(route.destination);
}

const Link* KernelMirror::device() const {
  const auto it = actual_.tables.links.find(device_);
  return it == actual_.tables.links.end() ? nullptr : &it->second;
}

const std::map<IpAddress, MonotonicTime>& KernelMirror::updated(Family family) const {
  return updated_.at(family);
}

std::vector<Miss> KernelMirror::take_unresolved() {
  PROBE_IF(!unresolved_.empty(), "unresolved-neighbours-found-by-a-dump");
  std::vector<Miss> misses;
  for (const IpAddress& address : std::exchange(unresolved_, {})) {
    misses.push_back({.device = device_, .address = address});
  }
  return misses;
}

// --- Rows in and out ---

void KernelMirror::note_device_index() {
  const Link* link = find_link(actual_.tables, config_.device);
  const IfIndex index = link == nullptr ? IfIndex{} : link->index;
  if (index != device_) {
    forget_device_rows();
    device_ = index;
  }
}

void KernelMirror::forget_device_rows() {
  std::erase_if(actual_.tables.routes,
                [&](const Route& route) { return route.device && on_device(*route.device); });
  actual_.tables.fdb.clear();
  actual_.tables.neighbours.clear();
  for (auto& [family, times] : updated_) {
    times.clear();
  }
  unresolved_.clear();
  actual_.parameters.clear();
  actual_.rp_filter.reset();
}

void KernelMirror::put(const Link& link, MirrorChange& change) {
  const auto [it, added] = actual_.tables.links.try_emplace(link.index, link);
  const Link before = std::exchange(it->second, link);
  const bool ours = link.name == config_.device || on_device(link.index);
  const bool differs = added || differs_in_what_we_set(before, link);
  if (ours && differs) {
    change.device = true;
    change.redump = true;  // up, down, a MAC or another name: routes and neighbours vanish silently
  } else if (!ours && (added || before.mtu != link.mtu || before.up != link.up)) {
    change.underlay = true;
  }
  note_device_index();
}

void KernelMirror::drop(const Link& link, MirrorChange& change) {
  const bool was_known = actual_.tables.links.erase(link.index) > 0;
  if (on_device(link.index)) {
    change.device = true;
    change.redump = true;
  } else if (was_known) {
    change.underlay = true;  // it may have been in our way
  }
  note_device_index();
}

void KernelMirror::put(const IfAddress& address, MirrorChange& change) {
  if (actual_.tables.addresses.contains(address)) {
    return;
  }
  erase_row(actual_.tables.addresses, address);
  actual_.tables.addresses.insert(address);
  (on_device(address.device) ? change.device : change.underlay) = true;
}

void KernelMirror::drop(const IfAddress& address, MirrorChange& change) {
  if (!erase_row(actual_.tables.addresses, address)) {
    return;
  }
  if (on_device(address.device)) {
    change.device = true;
    change.redump = true;  // the last IPv4 address takes all routes and neighbours with it
  } else {
    change.underlay = true;
  }
}

void KernelMirror::put(const Route& route, MirrorChange& change) {
  if (!concerns_us(route) || !actual_.tables.routes.insert(route).second) {
    return;
  }
  note_route(route, change);
  // Added beside a twin or in its place: the event does not say.
  const Route first{.destination = route.destination, .metric = route.metric, .table = route.table};
  const auto is_twin = [&](const Route& other) {
    return other.destination == route.destination && other.metric == route.metric &&
           other.table == route.table;
  };
  const auto twin = actual_.tables.routes.lower_bound(first);
  const bool several =
      is_twin(*twin) && std::next(twin) != actual_.tables.routes.end() && is_twin(*std::next(twin));
  PROBE_IF(several, "route-beside-a-twin");
  change.redump = change.redump || several;
}

void KernelMirror::drop(const Route& route, MirrorChange& change) {
  if (actual_.tables.routes.erase(route) > 0) {
    note_route(route, change);
  }
}

void KernelMirror::put(const FdbEntry& entry, MirrorChange& change) {
  if (!on_device(entry.device) || actual_.tables.fdb.contains(entry)) {
    return;
  }
  erase_row(actual_.tables.fdb, entry);
  actual_.tables.fdb.insert(entry);
  change.vteps.insert(entry.mac);
}

void KernelMirror::drop(const FdbEntry& entry, MirrorChange& change) {
  if (on_device(entry.device) && erase_row(actual_.tables.fdb, entry)) {
    change.vteps.insert(entry.mac);
  }
}

void KernelMirror::put(const Neighbour& neighbour, MirrorChange& change) {
  put(neighbour, clock_.monotonic(), change);
}

void KernelMirror::put(const Neighbour& neighbour, MonotonicTime updated, MirrorChange& change) {
  if (!on_device(neighbour.device)) {
    return;
  }
  if (!is_owned(neighbour, device_)) {
    drop(neighbour, change);
    return;
  }
  const auto [it, added] = actual_.tables.neighbours.try_emplace(neighbour.address, neighbour);
  if (added || it->second != neighbour) {
    it->second = neighbour;
    change.neighbours.insert(neighbour.address);
  }
  updated_.at(neighbour.address.family())[neighbour.address] = updated;
}

void KernelMirror::drop(const Neighbour& neighbour, MirrorChange& change) {
  (void)change;  // an absent on-demand neighbour conforms: the next packet asks for it
  if (on_device(neighbour.device)) {
    actual_.tables.neighbours.erase(neighbour.address);
    updated_.at(neighbour.address.family()).erase(neighbour.address);
  }
}

// --- Events and operations ---

void KernelMirror::apply_event(const KernelEvent& event, MirrorChange& change) {
  if (std::holds_alternative<Overrun>(event)) {
    change.overrun = true;
    change.redump = true;
    return;
  }
  const auto& [kind, report] = std::get<KernelChange>(event);
  if (redumping()) {
    std::visit(Overloaded{
                   [&](const Link& link) { touched_.links.try_emplace(link.index, link); },
                   [&](const IfAddress& address) { touched_.addresses.insert(address); },
                   [&](const Route& route) { touched_.routes.insert(route); },
                   [&](const FdbEntry& entry) { touched_.fdb.insert(entry); },
                   [&](const Neighbour& neighbour) {
                     touched_.neighbours.try_emplace(neighbour.address, neighbour);
                   },
               },
               report.object);
  }
  const bool added = kind == KernelChange::Kind::New;
  std::visit([&](const auto& row) { added ? put(row, change) : drop(row, change); }, report.object);
}

void KernelMirror::apply_link(const Link& link) {
  MirrorChange expected;
  put(link, expected);
}

void KernelMirror::apply_operation(const KernelOp& op, MirrorChange& change) {
  MirrorChange expected;  // our own doing wakes nobody
  std::visit(
      Overloaded{
          [](const CreateVxlan&) {},  // its index is not known yet: apply_link
          [&](const ChangeLink& o) {
            const auto it = actual_.tables.links.find(o.device);
            if (it == actual_.tables.links.end()) {
              return;
            }
            Link link = it->second;
            link.up = o.up.value_or(link.up);
            link.mtu = o.mtu.value_or(link.mtu);
            if (link.vxlan) {
              link.vxlan->local = o.vxlan_local ? o.vxlan_local : link.vxlan->local;
              link.vxlan->learning = o.vxlan_learning.value_or(link.vxlan->learning);
            }
            put(link, expected);
            actual_.rp_filter = o.rp_filter ? o.rp_filter : actual_.rp_filter;
          },
          [&](const DeleteLink& o) { drop(Link{.index = o.device}, expected); },
          [&](const SetNeighbourParameters& o) { actual_.parameters[o.family] = o.parameters; },
          [&](const ReplaceAddress& o) { put(o.address, expected); },
          [&](const DeleteAddress& o) { drop(o.address, expected); },
          [&](const ReplaceRoute& o) {
            put(o.route, expected);
            change.redump = change.redump || expected.redump;  // its twin may be gone now
          },
          [&](const DeleteRoute& o) { drop(o.route, expected); },
          [&](const ReplaceFdb& o) {
            FdbEntry entry = o.entry;
            entry.flags |= kNtfSelf;
            put(entry, expected);
          },
          [&](const DeleteFdb& o) {
            std::set<FdbEntry>& fdb = actual_.tables.fdb;
            auto entry = fdb.lower_bound(FdbEntry{.device = o.device, .mac = o.mac});
            while (entry != fdb.end() && entry->device == o.device && entry->mac == o.mac) {
              entry = fdb.erase(entry);
            }
          },
          [&](const ReplaceNeighbour& o) { put(o.neighbour, expected); },
          [&](const DeleteNeighbour& o) {
            drop(Neighbour{.device = o.device, .address = o.address}, expected);
          },
      },
      op);
}

// --- Redump ---

void KernelMirror::begin_redump() {
  begin(Stage::Links);
}

void KernelMirror::begin(Stage stage) {
  const bool again = stage == Stage::AddressesAgain || stage == Stage::RoutesAgain;
  if (!again) {
    seen_ = KernelState{};
    seen_routes_ = std::vector<Route>();  // and their memory
    seen_fdb_ = std::vector<FdbEntry>();
    seen_neighbours_ = std::vector<IpAddress>();
    touched_ = KernelState{};
  }
  if (device_ == IfIndex{} && (stage == Stage::Fdb || stage == Stage::Neighbours)) {
    stage = Stage::Parameters;
  }
  stage_ = stage;
  cursor_.reset();
  constexpr std::array kTables = {
      std::pair{Stage::Links, Table::Links},
      std::pair{Stage::Addresses, Table::Addresses},
      std::pair{Stage::AddressesAgain, Table::Addresses},
      std::pair{Stage::Routes, Table::Routes},
      std::pair{Stage::RoutesAgain, Table::Routes},
      std::pair{Stage::Fdb, Table::Fdb},
      std::pair{Stage::Neighbours, Table::Neighbours},
  };
  for (const auto& [dumped_in, table] : kTables) {
    if (dumped_in == stage) {
      const bool of_device = table == Table::Fdb || table == Table::Neighbours;
      cursor_ = netlink_.dump(
          {.table = table, .device = of_device ? std::optional(device_) : std::nullopt});
    }
  }
}

Result<bool> KernelMirror::step() {
  check(redumping(), "a redump is under way");
  if (cursor_ != nullptr) {
    Result<DumpCursor::Step> rows = cursor_->next();
    if (!rows) {
      return give_up(rows.error());
    }
    for (const KernelReport& report : rows->rows) {
      take_row(report);
    }
    if (!rows->finished) {
      return false;
    }
  }
  const Result<Stage> next = finish_table();
  if (!next) {
    return give_up(next.error());
  }
  begin(*next);
  return stage_ == Stage::Idle;
}

Result<bool> KernelMirror::give_up(const Error& error) {
  stage_ = Stage::Idle;
  cursor_.reset();
  const Result<std::optional<Link>> link = netlink_.get_link(config_.device);
  const IfIndex index = link && *link ? (*link)->index : IfIndex{};
  if (link && index != device_) {
    PROBE("device-went-or-came-while-dumped");
    return fail(ErrorCode::Interrupted,
                config_.device + " went or came while its tables were read");
  }
  return tl::unexpected(error);
}

void KernelMirror::take_row(const KernelReport& report) {
  MirrorChange expected;  // a full plan follows every redump
  std::visit(Overloaded{
                 [&](const Link& link) {
                   seen_.links.try_emplace(link.index, link);
                   if (!touched_.links.contains(link.index)) {
                     put(link, expected);
                   }
                 },
                 [&](const IfAddress& address) {
                   seen_.addresses.insert(address);
                   if (!contains_row(touched_.addresses, address)) {
                     put(address, expected);
                   }
                 },
                 [&](const Route& route) {
                   seen_routes_.push_back(route);
                   if (!touched_.routes.contains(route)) {
                     put(route, expected);
                   }
                 },
                 [&](const FdbEntry& entry) {
                   seen_fdb_.push_back(entry);
                   if (!contains_row(touched_.fdb, entry)) {
                     put(entry, expected);
                   }
                 },
                 [&](const Neighbour& neighbour) {
                   if (touched_.neighbours.contains(neighbour.address)) {
                     return;
                   }
                   seen_neighbours_.push_back(neighbour.address);
                   put(neighbour, clock_.monotonic() - report.since_update, expected);
                   if (neighbour.state == kNudIncomplete) {
                     unresolved_.insert(neighbour.address);
                   }
                 },
             },
             report.object);
}

Result<KernelMirror::Stage> KernelMirror::finish_table() {
  switch (stage_) {
    case Stage::Links: drop_unseen_links(); return Stage::Addresses;
    case Stage::Addresses:
      return unseen_addresses().empty() ? Stage::Routes : Stage::AddressesAgain;
    case Stage::AddressesAgain:
      for (const IfAddress& address : unseen_addresses()) {
        actual_.tables.addresses.erase(address);
      }
      return Stage::Routes;
    case Stage::Routes: return unseen_routes().empty() ? Stage::Fdb : Stage::RoutesAgain;
    case Stage::RoutesAgain:
      PROBE("routes-missing-in-a-dump-read-again");
      for (const Route& route : unseen_routes()) {
        actual_.tables.routes.erase(route);
      }
      return Stage::Fdb;
    case Stage::Fdb: return confirm_unseen_fdb().map([] { return Stage::Neighbours; });
    case Stage::Neighbours:
      return confirm_unseen_neighbours().map([] { return Stage::Parameters; });
    case Stage::Parameters: return read_parameters().map([] { return Stage::Idle; });
    case Stage::Idle: break;
  }
  check(false, "a table is finished only while one is being dumped");
  return Stage::Idle;
}

void KernelMirror::drop_unseen_links() {
  std::erase_if(actual_.tables.links, [&](const auto& row) {
    return !seen_.links.contains(row.first) && !touched_.links.contains(row.first);
  });
  note_device_index();
}

std::vector<IfAddress> KernelMirror::unseen_addresses() const {
  std::vector<IfAddress> unseen;
  for (const IfAddress& address : actual_.tables.addresses) {
    if (!seen_.addresses.contains(address) && !contains_row(touched_.addresses, address)) {
      unseen.push_back(address);
    }
  }
  return unseen;
}

std::vector<Route> KernelMirror::unseen_routes() {
  std::sort(seen_routes_.begin(), seen_routes_.end());
  std::vector<Route> unseen;
  std::set_difference(actual_.tables.routes.begin(), actual_.tables.routes.end(),
                      seen_routes_.begin(), seen_routes_.end(), std::back_inserter(unseen));
  std::erase_if(unseen, [&](const Route& route) { return touched_.routes.contains(route); });
  return unseen;
}

Result<void> KernelMirror::confirm_unseen_fdb() {
  std::sort(seen_fdb_.begin(), seen_fdb_.end());
  std::vector<FdbEntry> unseen;
  for (const FdbEntry& entry : actual_.tables.fdb) {
    const auto place = std::lower_bound(seen_fdb_.begin(), seen_fdb_.end(), first_of(entry));
    if (!contains_row(place, seen_fdb_.end(), entry) && !contains_row(touched_.fdb, entry)) {
      unseen.push_back(entry);
    }
  }
  for (const FdbEntry& entry : unseen) {
    const Result<std::optional<FdbEntry>> found = netlink_.get_fdb(device_, entry.mac);
    if (!found) {
      return tl::unexpected(found.error());
    }
    PROBE_IF(*found, "fdb-entry-missing-in-a-dump-confirmed");
    MirrorChange expected;
    *found ? put(**found, expected) : drop(entry, expected);
  }
  return {};
}

Result<void> KernelMirror::confirm_unseen_neighbours() {
  std::sort(seen_neighbours_.begin(), seen_neighbours_.end());
  auto seen = seen_neighbours_.begin();
  std::vector<Neighbour> unseen;
  for (const auto& [address, neighbour] : actual_.tables.neighbours) {
    while (seen != seen_neighbours_.end() && *seen < address) {
      ++seen;
    }
    const bool is_seen = seen != seen_neighbours_.end() && *seen == address;
    if (!is_seen && !touched_.neighbours.contains(address)) {
      unseen.push_back(neighbour);
    }
  }
  for (const Neighbour& neighbour : unseen) {
    const Result<std::optional<Neighbour>> found =
        netlink_.get_neighbour(device_, neighbour.address);
    if (!found) {
      return tl::unexpected(found.error());
    }
    PROBE_IF(*found, "neighbour-missing-in-a-dump-confirmed");
    MirrorChange expected;
    *found ? put(**found, expected) : drop(neighbour, expected);
  }
  return {};
}

Result<void> KernelMirror::read_parameters() {
  const Link* link = device();
  if (link == nullptr || !is_owned(*link)) {
    return {};
  }
  for (const Family family : {Family::V4, Family::V6}) {
    const Result<NeighbourParameters> read = netlink_.get_neighbour_parameters(device_, family);
    if (read) {
      actual_.parameters[family] = *read;
    } else if (family == Family::V4) {
      return tl::unexpected(read.error());
    }  // a kernel or a device without IPv6 has none
  }
  const Result<std::uint8_t> filter = netlink_.get_rp_filter(device_);
  if (!filter) {
    return tl::unexpected(filter.error());
  }
  actual_.rp_filter = *filter;
  return {};
}

}  // namespace vxmesh
