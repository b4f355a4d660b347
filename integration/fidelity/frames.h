// Captured frames, so that those of the fake and those of Linux can be compared.
#pragma once

#include <vector>

#include "integration/fidelity/world.h"

namespace vxmesh::fidelity {

// Checksums that Linux left to the device are made, what it chooses freely is replaced by what the
// fake chooses, and what it says in its own time is left out (sim/kernel/packet_choices.h).
[[nodiscard]] std::vector<Captured> comparable(const std::vector<Captured>& frames);

}  // namespace vxmesh::fidelity
