// A namespace's routes: the kernel's order, its idea of "the same route", and its lookup.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "model/route.h"

namespace vxmesh {

// Contract: routes with one table, prefix and metric form a list of which the first one counts.
// IPv4 and IPv6 differ where Linux differs (net/ipv4/fib_trie.c, net/ipv6/ip6_fib.c). Whether
// device and gateway are good is not judged here.
class RouteTable {
 public:
  enum class Outcome : std::uint8_t {
    Added,
    Replaced,
    Unchanged,  // acknowledged, no event
    Exists,     // EEXIST
  };

  // NLM_F_CREATE|NLM_F_REPLACE: takes the place of the first route of its table, prefix and metric,
  // whoever made it.
  Outcome replace(const Route& route);
  // NLM_F_CREATE: goes before the others of its table, prefix and metric.
  Outcome prepend(const Route& route);
  // NLM_F_CREATE|NLM_F_APPEND: goes behind them. So the kernel adds its own.
  Outcome append(const Route& route);
  // RTM_DELROUTE: the first that matches; a metric of 0, no device, no gateway and a preferred
  // source that is absent match every one. Gives what was removed.
  std::optional<Route> remove(const Route& pattern);
  // Gives what was removed, in order.
  std::vector<Route> remove_if(const std::function<bool(const Route&)>& matches);

  // Longest prefix, then smallest metric, then first; null if there is none. IPv4 and IPv6 are
  // apart by the address's family.
  [[nodiscard]] const Route* lookup(std::uint32_t table, const IpAddress& destination) const;

  [[nodiscard]] std::vector<Route> rows() const;

  // What makes two routes rivals.
  struct Key {
    Family family = Family::V4;
    std::uint32_t table = 0;
    IpPrefix destination;
    std::uint32_t metric = 0;

    friend auto operator<=>(const Key&, const Key&) = default;
  };
  // A place in a dump: of the list of `key`, `shown` have been shown, and all lists before it.
  struct Position {
    Key key;
    std::size_t shown = 0;
  };
  // The routes behind `position` (from the start without one), at most `max`; `position` moves on.
  [[nodiscard]] std::vector<Route> rows_after(std::optional<Position>& position,
                                              std::size_t max) const;

 private:
  [[nodiscard]] static Key key_of(const Route& route);

  std::map<Key, std::vector<Route>> routes_;  // no list is empty
};

}  // namespace vxmesh
