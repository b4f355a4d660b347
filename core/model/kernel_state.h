// The part of a network namespace's state that the overlay reads and writes.
#pragma once

#include <map>
#include <set>
#include <string_view>
#include <variant>

#include "model/fdb_entry.h"
#include "model/link.h"
#include "model/neighbour.h"
#include "model/route.h"

namespace vxmesh {

// One row of one table, as a dump or an event carries it.
using KernelObject = std::variant<Link, IfAddress, Route, FdbEntry, Neighbour>;

// A namespace's tables. FDB entries and neighbours are those of one device; links, addresses and
// routes are all that there are (routes: those that model/ownership.h may call ours).
struct KernelState {
  std::map<IfIndex, Link> links;
  std::set<IfAddress> addresses;
  std::set<Route> routes;
  std::set<FdbEntry> fdb;
  std::map<IpAddress, Neighbour> neighbours;

  friend bool operator==(const KernelState&, const KernelState&) = default;
};

// The link with that name, or null.
[[nodiscard]] const Link* find_link(const KernelState& state, std::string_view name);

}  // namespace vxmesh
