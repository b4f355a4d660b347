// Actions that no program may have: what the fake kernel does not model (sim/kernel/README.md),
// where using it ends the process, and what two kernels never agree on.
#pragma once

#include <optional>
#include <string_view>

#include "integration/fidelity/program.h"
#include "integration/fidelity/state_view.h"

namespace vxmesh::fidelity {

// Why the action, in this state, is none for a program; nullopt if it may be in one.
[[nodiscard]] std::optional<std::string_view> unsuited(const Action& action,
                                                       const StateView& before);

}  // namespace vxmesh::fidelity
