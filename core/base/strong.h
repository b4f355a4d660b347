// Strong types: integers that do not mix with other integers.
#pragma once

#include <compare>
#include <cstdint>

namespace vxmesh {

// A named integer. `Tag` makes each use a type of its own; the value is read with `.value`.
template <typename Tag, typename Rep>
struct Strong {
  Rep value{};

  friend constexpr auto operator<=>(const Strong&, const Strong&) = default;
};

}  // namespace vxmesh
