// What the fake kernel does not model (sim/kernel/README.md): using it aborts, so no program may.
#pragma once

#include <optional>
#include <string_view>

#include "integration/fidelity/program.h"
#include "integration/fidelity/state_view.h"

namespace vxmesh::fidelity {

// The name of the part of Tier B that the action would use in this state; nullopt if none.
[[nodiscard]] std::optional<std::string_view> uses_tier_b(const Action& action,
                                                          const StateView& before);

}  // namespace vxmesh::fidelity
