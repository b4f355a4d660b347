// Which on-demand neighbours to give up when there are too many. The kernel never reclaims them.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "base/time.h"
#include "model/ip_address.h"

namespace vxmesh {

// Nothing while `updated` has at most `max` entries; else the oldest by time of last write, so many
// that max - max/16 remain, which makes the cost of an eviction constant on average. Equal times go
// by address. Called for one family at a time.
[[nodiscard]] std::vector<IpAddress> evictions(const std::map<IpAddress, MonotonicTime>& updated,
                                               std::size_t max);

}  // namespace vxmesh
