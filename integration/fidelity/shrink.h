// The smallest program that still shows a gap.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>

#include "integration/fidelity/compare.h"

namespace vxmesh::fidelity {

// Runs a program in two fresh worlds; its first gap, or nullopt.
using Trial = std::function<std::optional<Gap>(const Program&)>;

struct Shrunk {
  Program program;
  Gap gap;
  std::size_t trials = 0;
};

// Leaves out steps, then attributes and flags, then makes numbers simple, as long as the trial
// still gives a gap of the signature of `gap`. At most `most_trials` trials. The result has a gap
// at its last step.
[[nodiscard]] Shrunk shrink(const Program& program, const Gap& gap, const Trial& trial,
                            std::size_t most_trials);

}  // namespace vxmesh::fidelity
