#include "sim/kernel/route_table.h"

#include <algorithm>

namespace vxmesh {
namespace {

// fib_table_delete and ip6_route_del: what a request leaves out matches everything.
bool matches(const Route& route, const Route& pattern) {
  constexpr std::uint8_t kScopeNowhere = 255;
  const bool scope = pattern.destination.family() == Family::V6 || pattern.scope == kScopeNowhere ||
                     pattern.scope == route.scope;
  return scope && pattern.type == route.type &&
         (pattern.protocol == 0 || pattern.protocol == route.protocol) &&
         (!pattern.device || pattern.device == route.device) &&
         (!pattern.gateway || pattern.gateway == route.gateway) &&
         (!pattern.preferred_source || pattern.preferred_source == route.preferred_source);
}

}  // namespace

RouteTable::Key RouteTable::key_of(const Route& route) {
  return Key{.family = route.destination.family(),
             .table = route.table,
             .destination = route.destination,
             .metric = route.metric};
}

RouteTable::Outcome RouteTable::replace(const Route& route) {
  std::vector<Route>& list = routes_[key_of(route)];
  if (list.empty()) {
    list.push_back(route);
    return Outcome::Added;
  }
  // IPv4 looks for a duplicate first: as the first of the list there is nothing to do, behind it
  // the request is refused. IPv6 replaces and reports a route by itself.
  if (route.destination.family() == Family::V4) {
    const auto same = std::find(list.begin(), list.end(), route);
    if (same != list.end()) {
      return same == list.begin() ? Outcome::Unchanged : Outcome::Exists;
    }
  }
  list.front() = route;
  return Outcome::Replaced;
}

RouteTable::Outcome RouteTable::prepend(const Route& route) {
  std::vector<Route>& list = routes_[key_of(route)];
  if (std::find(list.begin(), list.end(), route) != list.end()) {
    return Outcome::Exists;
  }
  list.insert(list.begin(), route);
  return Outcome::Added;
}

RouteTable::Outcome RouteTable::append(const Route& route) {
  std::vector<Route>& list = routes_[key_of(route)];
  if (std::find(list.begin(), list.end(), route) != list.end()) {
    return Outcome::Exists;
  }
  list.push_back(route);
  return Outcome::Added;
}

std::optional<Route> RouteTable::remove(const Route& pattern) {
  Key key = key_of(pattern);
  for (auto entry = routes_.lower_bound(key);
       entry != routes_.end() && entry->first.family == key.family &&
       entry->first.table == key.table && entry->first.destination == key.destination &&
       (pattern.metric == 0 || entry->first.metric == pattern.metric);
       ++entry) {
    std::vector<Route>& list = entry->second;
    const auto found = std::find_if(list.begin(), list.end(),
                                    [&](const Route& route) { return matches(route, pattern); });
    if (found != list.end()) {
      const Route removed = *found;
      list.erase(found);
      if (list.empty()) {
        routes_.erase(entry);
      }
      return removed;
    }
  }
  return std::nullopt;
}

std::vector<Route> RouteTable::remove_if(const std::function<bool(const Route&)>& matches) {
  std::vector<Route> removed;
  for (auto entry = routes_.begin(); entry != routes_.end();) {
    std::vector<Route>& list = entry->second;
    std::copy_if(list.begin(), list.end(), std::back_inserter(removed), matches);
    std::erase_if(list, matches);
    entry = list.empty() ? routes_.erase(entry) : std::next(entry);
  }
  return removed;
}

const Route* RouteTable::lookup(std::uint32_t table, const IpAddress& destination) const {
  for (unsigned length = address_bits(destination.family()) + 1U; length-- > 0;) {
    const auto prefix = IpPrefix::containing(destination, static_cast<std::uint8_t>(length));
    const auto entry = routes_.lower_bound(
        Key{.family = destination.family(), .table = table, .destination = prefix, .metric = 0});
    if (entry != routes_.end() && entry->first.family == destination.family() &&
        entry->first.table == table && entry->first.destination == prefix) {
      return &entry->second.front();
    }
  }
  return nullptr;
}

std::vector<Route> RouteTable::rows() const {
  std::vector<Route> rows;
  for (const auto& [key, list] : routes_) {
    rows.insert(rows.end(), list.begin(), list.end());
  }
  return rows;
}

std::vector<Route> RouteTable::rows_after(std::optional<Position>& position,
                                          std::size_t max) const {
  std::vector<Route> rows;
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
