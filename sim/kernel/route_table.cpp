#include "sim/kernel/route_table.h"

#include <algorithm>
#include <array>
#include <functional>

#include "sim/kernel/not_modelled.h"

namespace vxmesh {
namespace {

// RTNH_F_* that say how a nexthop is, not what it is (RTNH_COMPARE_MASK).
constexpr std::uint32_t kNexthopCondition = kNexthopDead | kNexthopLinkDown;

bool has(std::uint16_t flags, std::uint16_t flag) {
  return (flags & flag) != 0;
}

// fib_find_info: the routes would share one fib_info, and have one type.
bool is_same_v4(RouteRecord a, RouteRecord b) {
  a.nexthop_flags &= ~kNexthopCondition;
  b.nexthop_flags &= ~kNexthopCondition;
  return a == b;
}

// fib_table_delete, fib_nh_match: what a request leaves out matches everything.
bool matches_v4(const RouteRecord& record, const rtnl::RouteFields& pattern) {
  constexpr std::uint8_t kScopeNowhere = 255;
  const Route& route = record.route;
  const bool metric_counts = pattern.metric.value_or(0) != 0;
  const bool device_counts = pattern.device.value_or(IfIndex{}) != IfIndex{};
  return record.tos == pattern.tos &&
         (pattern.type == 0 || static_cast<std::uint8_t>(route.type) == pattern.type) &&
         (pattern.scope == kScopeNowhere || pattern.scope == route.scope) &&
         (!pattern.preferred_source || pattern.preferred_source == IpAddress{} ||
          pattern.preferred_source == route.preferred_source) &&
         (pattern.protocol == 0 || pattern.protocol == route.protocol) &&
         (!metric_counts || *pattern.metric == route.metric) &&
         (!device_counts || pattern.device == route.device) &&
         (!pattern.gateway || pattern.gateway == IpAddress{} || pattern.gateway == route.gateway);
}

// ip6_route_del: neither type nor preferred source count.
bool matches_v6(const RouteRecord& record, const rtnl::RouteFields& pattern) {
  const Route& route = record.route;
  const bool metric_counts = pattern.metric.value_or(0) != 0;
  const bool device_counts = pattern.device.value_or(IfIndex{}) != IfIndex{};
  const IpAddress any = IpAddress::v6({});
  return (!metric_counts || *pattern.metric == route.metric) &&
         (pattern.protocol == 0 || pattern.protocol == route.protocol) &&
         (!device_counts || pattern.device == route.device) &&
         (!pattern.gateway || *pattern.gateway == route.gateway.value_or(any));
}

// rt6_duplicate_nexthop
bool same_nexthop_v6(const RouteRecord& a, const RouteRecord& b) {
  return a.route.device == b.route.device && a.route.gateway == b.route.gateway;
}

// The list of a table's routes of that length to `base`.
AddressKey index_key(std::uint32_t table, std::uint8_t length, const IpAddress& base) {
  return {.scope = std::uint64_t{table} << 8U | length, .address = base};
}

// rt6_qualify_for_ecmp
bool joins_others(const RouteRecord& route) {
  return route.route.gateway.has_value();
}

}  // namespace

IpAddress next_hop(const RouteRecord& route, const IpAddress& destination) {
  return route.gateway_is_ours ? destination : route.route.gateway.value_or(destination);
}

bool drops_in_secret(const RouteRecord& route) {
  constexpr IfIndex kLoopback{1};
  constexpr IpAddress kLoopbackAddress =
      IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  const IpAddress& destination = route.route.destination.base();
  return destination.family() == Family::V6 && route.route.device == kLoopback &&
         !leads_to_us(route) && destination != kLoopbackAddress;
}

Route port_route(const RouteRecord& record) {
  Route route = record.route;
  if (route.type == RouteType::Unreachable || route.type == RouteType::Blackhole) {
    route.device.reset();
  }
  return route;
}

RouteTable::Key RouteTable::key_of(const RouteRecord& route) {
  return Key{.family = route.route.destination.family(),
             .table = route.route.table,
             .destination = route.route.destination};
}

RouteTable::Written RouteTable::insert(const RouteRecord& route, std::uint16_t flags) {
  const Key key = key_of(route);
  const auto [entry, made] = routes_.try_emplace(key);
  List& list = entry->second;
  Written written =
      key.family == Family::V4 ? insert_v4(list, route, flags) : insert_v6(list, route, flags);
  if (list.empty()) {
    routes_.erase(entry);
  } else if (made) {
    note_list(key, list);
  }
  return written;
}

void RouteTable::note_list(const Key& key, const List& list) {
  const std::uint8_t length = key.destination.length();
  Lengths& lengths = lengths_[{key.family, key.table}];
  if (lengths.lists.at(length)++ == 0) {
    const auto place =
        std::lower_bound(lengths.in_use.begin(), lengths.in_use.end(), length, std::greater<>());
    lengths.in_use.insert(place, length);
  }
  index_.emplace(index_key(key.table, length, key.destination.base()), &list);
}

void RouteTable::forget_list(const Key& key) {
  const std::uint8_t length = key.destination.length();
  Lengths& lengths = lengths_[{key.family, key.table}];
  if (--lengths.lists.at(length) == 0) {
    std::erase(lengths.in_use, length);
  }
  index_.erase(index_key(key.table, length, key.destination.base()));
}

// fib_table_insert
RouteTable::Written RouteTable::insert_v4(List& list, const RouteRecord& route,
                                          std::uint16_t flags) {
  const auto rivals = [&](const RouteRecord& other) {
    return other.tos == route.tos && other.route.metric == route.route.metric;
  };
  const auto comes_before = [&](const RouteRecord& other) {
    return other.tos > route.tos ||
           (other.tos == route.tos && other.route.metric < route.route.metric);
  };
  const auto first = std::find_if_not(list.begin(), list.end(), comes_before);
  const auto end = std::find_if_not(first, list.end(), rivals);
  auto place = first;
  std::uint16_t event_flags = rtnl::kExcl;
  if (first != end) {
    if (has(flags, rtnl::kExcl)) {
      return {.error_number = EEXIST, .extended_ack = {}};
    }
    event_flags = 0;
    const auto same = std::find_if(
        first, end, [&](const RouteRecord& other) { return is_same_v4(other, route); });
    if (has(flags, rtnl::kReplace)) {
      if (same != end) {
        return {.error_number = same == first ? 0 : EEXIST, .extended_ack = {}};
      }
      *first = route;
      return {.extended_ack = {}, .changed = true, .event_flags = rtnl::kReplace};
    }
    if (same != end) {
      return {.error_number = EEXIST, .extended_ack = {}};
    }
    if (has(flags, rtnl::kAppend)) {
      event_flags = rtnl::kAppend;
      place = end;
    }
  }
  if (!has(flags, rtnl::kCreate)) {
    return {.error_number = ENOENT, .extended_ack = {}};
  }
  list.insert(place, route);
  return {.extended_ack = {},
          .changed = true,
          .event_flags = static_cast<std::uint16_t>(event_flags | rtnl::kCreate)};
}

// fib6_add, fib6_add_rt2node
RouteTable::Written RouteTable::insert_v6(List& list, const RouteRecord& route,
                                          std::uint16_t flags) {
  if (has(flags, rtnl::kReplace)) {
    return replace_v6(list, route, flags);
  }
  std::uint16_t event_flags = static_cast<std::uint16_t>(rtnl::kExcl | (flags & rtnl::kAppend));
  auto place = list.begin();
  for (; place != list.end() && place->route.metric <= route.route.metric; ++place) {
    if (place->route.metric < route.route.metric) {
      continue;
    }
    if (has(flags, rtnl::kExcl) || same_nexthop_v6(*place, route)) {
      return {.error_number = EEXIST, .extended_ack = {}};
    }
    event_flags &= static_cast<std::uint16_t>(~rtnl::kExcl);
    if (joins_others(*place) && joins_others(route)) {
      not_modelled("IPv6 multipath routes");
    }
  }
  // Without CREATE the kernel warns, and makes the route all the same.
  list.insert(place, route);
  return {.extended_ack = {},
          .changed = true,
          .event_flags = static_cast<std::uint16_t>(event_flags | rtnl::kCreate)};
}

RouteTable::Written RouteTable::replace_v6(List& list, const RouteRecord& route,
                                           std::uint16_t flags) {
  if (list.empty() && !has(flags, rtnl::kCreate)) {
    return {
        .error_number = ENOENT,
        .extended_ack = has_node_v6(key_of(route)) ? "" : "Can not replace route - no match found"};
  }
  const auto same_metric = [&](const RouteRecord& other) {
    return other.route.metric == route.route.metric;
  };
  const auto first = std::find_if(list.begin(), list.end(), same_metric);
  if (first != list.end() && has(flags, rtnl::kExcl)) {
    return {.error_number = EEXIST, .extended_ack = {}};
  }
  if (first == list.end()) {
    if (!has(flags, rtnl::kCreate)) {
      return {.error_number = ENOENT, .extended_ack = {}};
    }
    const auto place = std::find_if(list.begin(), list.end(), [&](const RouteRecord& other) {
      return other.route.metric > route.route.metric;
    });
    list.insert(place, route);
    return {.extended_ack = {},
            .changed = true,
            .event_flags =
                static_cast<std::uint16_t>(rtnl::kExcl | rtnl::kCreate | (flags & rtnl::kAppend))};
  }
  // A route with a gateway looks for one with a gateway, and one without for one without.
  const auto like = std::find_if(first, list.end(), [&](const RouteRecord& other) {
    return same_metric(other) && joins_others(other) == joins_others(route);
  });
  *(like == list.end() ? first : like) = route;
  return {.extended_ack = {}, .changed = true, .event_flags = rtnl::kReplace};
}

// fib6_add_1: a node without routes is found too: the root of the tree, and where it forks.
bool RouteTable::has_node_v6(const Key& key) const {
  const unsigned length = key.destination.length();
  if (length == 0) {
    return true;
  }
  std::array<bool, 2> branches{};
  for (const auto& [other, list] : routes_) {
    const IpPrefix& destination = other.destination;
    if (other.family == key.family && other.table == key.table && destination.length() > length &&
        key.destination.contains(destination.base())) {
      const std::uint8_t byte = destination.base().bytes()[length / 8];
      branches.at(byte >> (7U - length % 8) & 1U) = true;
    }
  }
  return branches[0] && branches[1];
}

std::optional<RouteRecord> RouteTable::remove(const rtnl::RouteFields& pattern) {
  const Family family = pattern.destination.family();
  const auto entry =
      routes_.find(Key{.family = family,
                       .table = pattern.table,
                       .destination = IpPrefix::containing(pattern.destination, pattern.length)});
  if (entry == routes_.end()) {
    return std::nullopt;
  }
  List& list = entry->second;
  const auto found = std::find_if(list.begin(), list.end(), [&](const RouteRecord& route) {
    return family == Family::V4 ? matches_v4(route, pattern) : matches_v6(route, pattern);
  });
  if (found == list.end()) {
    return std::nullopt;
  }
  RouteRecord removed = *found;
  list.erase(found);
  if (list.empty()) {
    forget_list(entry->first);
    routes_.erase(entry);
  }
  return removed;
}

std::vector<RouteRecord> RouteTable::remove_if(
    const std::function<bool(const RouteRecord&)>& matches) {
  std::vector<RouteRecord> removed;
  for (auto entry = routes_.begin(); entry != routes_.end();) {
    List& list = entry->second;
    std::copy_if(list.begin(), list.end(), std::back_inserter(removed), matches);
    std::erase_if(list, matches);
    if (list.empty()) {
      forget_list(entry->first);
      entry = routes_.erase(entry);
    } else {
      ++entry;
    }
  }
  return removed;
}

void RouteTable::remove_one(const RouteRecord& route) {
  const auto entry = routes_.find(key_of(route));
  if (entry == routes_.end()) {
    return;
  }
  List& list = entry->second;
  if (const auto found = std::find(list.begin(), list.end(), route); found != list.end()) {
    list.erase(found);
  }
  if (list.empty()) {
    forget_list(entry->first);
    routes_.erase(entry);
  }
}

std::optional<RouteRecord> RouteTable::find_first(
    const Key& key, const std::function<bool(const RouteRecord&)>& matches) const {
  const auto entry = routes_.find(key);
  if (entry == routes_.end()) {
    return std::nullopt;
  }
  const auto found = std::find_if(entry->second.begin(), entry->second.end(), matches);
  return found == entry->second.end() ? std::nullopt : std::optional(*found);
}

void RouteTable::edit(const std::function<void(RouteRecord&)>& change) {
  for (auto& [key, list] : routes_) {
    std::for_each(list.begin(), list.end(), change);
  }
}

const RouteRecord* RouteTable::usable(const List& list, const Query& query) {
  for (const RouteRecord& record : list) {
    // An error route has no device, and ends the search whatever device is asked for.
    const bool out_of_device =
        !query.device || !record.route.device || record.route.device == query.device;
    if (record.tos == 0 && record.route.scope >= query.min_scope && out_of_device) {
      return &record;
    }
  }
  return nullptr;
}

const RouteRecord* RouteTable::lookup(const Query& query,
                                      std::initializer_list<std::uint32_t> tables) const {
  const RouteRecord* best = nullptr;
  for (const std::uint32_t table : tables) {
    const RouteRecord* found = longest(query, table);
    if (found != nullptr && query.destination.family() == Family::V6) {
      return found;
    }
    if (found != nullptr &&
        (best == nullptr || found->route.destination.length() > best->route.destination.length())) {
      best = found;
    }
    if (best != nullptr && best->route.destination.length() == address_bits(Family::V4)) {
      break;  // no table has a longer one
    }
  }
  return best;
}

const RouteRecord* RouteTable::longest(const Query& query, std::uint32_t table) const {
  const Family family = query.destination.family();
  const auto lengths = lengths_.find({family, table});
  if (lengths == lengths_.end()) {
    return nullptr;
  }
  for (const std::uint8_t length : lengths->second.in_use) {
    const IpAddress base = IpPrefix::containing(query.destination, length).base();
    const List* const* list = index_.find(index_key(table, length, base));
    const RouteRecord* found = list == nullptr ? nullptr : usable(**list, query);
    if (found != nullptr) {
      return found;
    }
  }
  return nullptr;
}

std::vector<RouteRecord> RouteTable::records() const {
  std::vector<RouteRecord> records;
  for (const auto& [key, list] : routes_) {
    records.insert(records.end(), list.begin(), list.end());
  }
  return records;
}

std::vector<Route> RouteTable::rows() const {
  std::vector<Route> rows;
  for (const auto& [key, list] : routes_) {
    std::transform(list.begin(), list.end(), std::back_inserter(rows), port_route);
  }
  return rows;
}

std::vector<RouteRecord> RouteTable::rows_after(std::optional<Position>& position,
                                                std::size_t max) const {
  std::vector<RouteRecord> rows;
  auto entry = routes_.begin();
  std::size_t skip = 0;
  if (position) {
    entry = routes_.lower_bound(position->key);
    skip = entry != routes_.end() && entry->first == position->key ? position->shown : 0;
  }
  for (; entry != routes_.end() && rows.size() < max; ++entry) {
    const auto& [key, list] = *entry;
    std::size_t shown = std::min(skip, list.size());
    for (; shown < list.size() && rows.size() < max; ++shown) {
      rows.push_back(list[shown]);
    }
    position = Position{.key = key, .shown = shown};
    skip = 0;
  }
  return rows;
}

}  // namespace vxmesh
