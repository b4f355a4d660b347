// Which route a packet takes, by the rows of a dump.
#pragma once

#include "model/kernel_state.h"

namespace vxmesh {

// The route that the kernel takes for `destination`; null if there is none, or the best one is of
// type throw. Routes of the tables local and main count, as without rules of one's own: IPv4 takes
// the longest prefix of both, then local, then the lowest metric (fib_table_lookup); IPv6 asks
// local first (fib6_rule_lookup). In a table the longest prefix comes first, then the lowest
// metric. What a dump's rows do not say does not count: TOS, and the order of routes that are equal
// in all of this, of which the first in the set's order is taken.
[[nodiscard]] const Route* find_route(const KernelState& kernel, const IpAddress& destination);

// True for a route that refuses what takes it: unreachable, prohibit, blackhole.
[[nodiscard]] bool refuses(const Route& route);

// True for a route that ends at this host: local, broadcast, anycast.
[[nodiscard]] bool ends_here(const Route& route);

}  // namespace vxmesh
