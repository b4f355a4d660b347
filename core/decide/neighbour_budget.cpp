#include "decide/neighbour_budget.h"

#include <algorithm>
#include <utility>

#include "base/probe.h"

namespace vxmesh {

std::vector<IpAddress> evictions(const std::map<IpAddress, MonotonicTime>& updated,
                                 std::size_t max) {
  if (updated.size() <= max) {
    return {};
  }
  PROBE("neighbours-evicted");
  std::vector<std::pair<MonotonicTime, IpAddress>> oldest;
  oldest.reserve(updated.size());
  for (const auto& [address, time] : updated) {
    oldest.emplace_back(time, address);
  }
  const auto kept = oldest.end() - static_cast<std::ptrdiff_t>(max - max / 16);
  std::partial_sort(oldest.begin(), kept, oldest.end());
  std::vector<IpAddress> given_up;
  given_up.reserve(static_cast<std::size_t>(kept - oldest.begin()));
  for (auto it = oldest.begin(); it != kept; ++it) {
    given_up.push_back(it->second);
  }
  return given_up;
}

}  // namespace vxmesh
