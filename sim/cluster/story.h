// A run as one would tell it.
#pragma once

#include <string>

#include "sim/cluster/simulation.h"
#include "sim/scenario/scenario.h"

namespace vxmesh {

// Runs the scenario again, to its first violation or its end, and says in sentences: who was there;
// each step; what the API, the agents and the kernels of the hosts that the violation is about did
// to the rows that it is about; the violation; and if it is about packets from one place to
// another, what explain says of them, and which hop is the first wrong one. Times count from when
// the cluster had converged for the first time. Ends without a newline.
// Cost: a run that keeps its trace as text; meant for scenarios that have been made small.
[[nodiscard]] std::string story(const Scenario& scenario, const SimulationOptions& options);
// Likewise, of a run with that outcome, which it told or, if it has aborted, was seen to have.
[[nodiscard]] std::string story(const Scenario& scenario, const SimulationOptions& options,
                                const Outcome& outcome);

}  // namespace vxmesh
