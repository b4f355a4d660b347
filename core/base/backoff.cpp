#include "base/backoff.h"

#include <algorithm>

#include "base/check.h"

namespace vxmesh {

Duration Backoff::next(MonotonicTime now, std::uint64_t random) {
  check(limits_.first > Duration{} && limits_.cap >= limits_.first, "back-off limits are ordered");
  if (delay_ == Duration{} || now - last_end_ >= limits_.reset_after) {
    delay_ = limits_.first;
  } else {
    delay_ = std::min(delay_ * 2, limits_.cap);
  }
  const auto span = static_cast<std::uint64_t>(delay_.count());
  const Duration jittered = delay_ + Duration{static_cast<Duration::rep>(random % span)};
  last_end_ = now + jittered;
  return jittered;
}

}  // namespace vxmesh
