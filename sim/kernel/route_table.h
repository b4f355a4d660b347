// A namespace's routes: the kernel's order, its idea of "the same route", and its lookup.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <vector>

#include "base/hash_map.h"
#include "sim/kernel/address_key.h"
#include "sim/kernel/record.h"
#include "sim/kernel/request.h"

namespace vxmesh {

// Contract: routes of one table and prefix form a list, in which the first that can be used counts.
// IPv4 (net/ipv4/fib_trie.c) keeps it by TOS, then metric, and puts a new route before or behind
// its rivals as the request says; IPv6 (net/ipv6/ip6_fib.c) keeps it by metric and puts it behind
// them. Whether device and gateway are good is not judged here.
// Cost: a lookup O(number of prefix lengths in use), everything about one list O(log n).
class RouteTable {
 public:
  RouteTable() = default;
  RouteTable(const RouteTable&) = delete;
  RouteTable& operator=(const RouteTable&) = delete;

  // Whose list a route stands in.
  struct Key {
    Family family = Family::V4;
    std::uint32_t table = 0;
    IpPrefix destination;

    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Written {
    int error_number = 0;
    std::string extended_ack;
    bool changed = false;  // an event is due, with `event_flags` in its nlmsg_flags
    std::uint16_t event_flags = 0;
  };

  // RTM_NEWROUTE with those flags (rtnl::Nlm); the kernel's own IPv4 routes come with
  // CREATE|APPEND, its IPv6 ones with CREATE.
  Written insert(const RouteRecord& route, std::uint16_t flags);
  // RTM_DELROUTE: the first that matches what the request says. What was removed.
  std::optional<RouteRecord> remove(const rtnl::RouteFields& pattern);
  // What was removed, in order.
  std::vector<RouteRecord> remove_if(const std::function<bool(const RouteRecord&)>& matches);
  // Removes the first route that is equal.
  void remove_one(const RouteRecord& route);
  // Changes routes where they stand, without a word.
  void edit(const std::function<void(RouteRecord&)>& change);

  struct Query {
    IpAddress destination;
    std::optional<IfIndex> device;  // only routes out of it
    std::uint8_t min_scope = 0;     // IPv4: only routes of this scope or a narrower one
  };
  // Longest prefix, then first; null if there is none. In IPv4 the tables local and main are one
  // trie as long as nobody adds rules: the longest prefix of both counts, then local. IPv6 asks
  // `tables` one after the other.
  [[nodiscard]] const RouteRecord* lookup(const Query& query,
                                          std::initializer_list<std::uint32_t> tables) const;

  // The first of a list that `matches`.
  [[nodiscard]] std::optional<RouteRecord> find_first(
      const Key& key, const std::function<bool(const RouteRecord&)>& matches) const;

  [[nodiscard]] std::vector<RouteRecord> records() const;
  [[nodiscard]] std::vector<Route> rows() const;

  // A place in a dump: of the list of `key`, `shown` have been shown, and all lists before it.
  struct Position {
    Key key;
    std::size_t shown = 0;
  };
  // The routes behind `position` (from the start without one), at most `max`; `position` moves on.
  [[nodiscard]] std::vector<RouteRecord> rows_after(std::optional<Position>& position,
                                                    std::size_t max) const;

 private:
  using List = std::vector<RouteRecord>;

  [[nodiscard]] static Key key_of(const RouteRecord& route);

  Written insert_v4(List& list, const RouteRecord& route, std::uint16_t flags);
  Written insert_v6(List& list, const RouteRecord& route, std::uint16_t flags);
  Written replace_v6(List& list, const RouteRecord& route, std::uint16_t flags);
  [[nodiscard]] bool has_node_v6(const Key& key) const;
  [[nodiscard]] static const RouteRecord* usable(const List& list, const Query& query);

  // Of a family's table.
  struct Lengths {
    std::array<std::size_t, 129> lists{};  // how many there are of each prefix length
    std::vector<std::uint8_t> in_use;      // those with any, longest first
  };
  void note_list(const Key& key, const List& list);
  void forget_list(const Key& key);
  [[nodiscard]] const RouteRecord* longest(const Query& query, std::uint32_t table) const;

  std::map<Key, List> routes_;  // no list is empty
  std::map<std::pair<Family, std::uint32_t>, Lengths> lengths_;
  HashMap<AddressKey, const List*> index_;  // of routes_
};

// Where packets to `destination` go that take the route: its gateway, or the address itself.
[[nodiscard]] IpAddress next_hop(const RouteRecord& route, const IpAddress& destination);

// True of a route to ourselves, on the way out: anycast ones that somebody else than the kernel
// made (without RTF_ANYCAST) are unicast ones.
[[nodiscard]] constexpr bool leads_to_us(const RouteRecord& route) {
  return route.route.type == RouteType::Local ||
         (route.route.type == RouteType::Anycast && route.is_of_address);
}

// True of an IPv6 route out of the loopback to others than us: what matches it is dropped, though
// neither its type nor an errno says so (fib6_is_reject).
[[nodiscard]] bool drops_in_secret(const RouteRecord& route);

// What the port says of a route: IPv6 gives unreachable routes the loopback device, which is
// nobody's choice.
[[nodiscard]] Route port_route(const RouteRecord& record);

}  // namespace vxmesh
