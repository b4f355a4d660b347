// Scenarios made smaller, one way at a time. Whether one still shows what it showed is for whoever
// runs it to find out; whether it still makes sense says is_valid().
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "sim/scenario/scenario.h"

namespace vxmesh {

// The parser reads what write_scenario() makes of it as the same.
[[nodiscard]] bool is_valid(const Scenario& scenario);

// The nodes and pods that steps and expectations name, or that named pods run on.
[[nodiscard]] std::set<std::string> names_needed(const Scenario& scenario);

// Without the steps from `begin` to before `end`, and those that name whom they would have brought.
[[nodiscard]] Scenario without_steps(const Scenario& scenario, std::size_t begin, std::size_t end);
// Without the nodes of these names, and their pods. Steps are kept.
[[nodiscard]] Scenario without_nodes(const Scenario& scenario, const std::set<std::string>& names);
[[nodiscard]] Scenario without_pods(const Scenario& scenario, const std::set<std::string>& names);

// How long after the step before it, or after the beginning, a step happens.
[[nodiscard]] Duration gap_before(const Scenario& scenario, std::size_t step);
// That step so much later than the one before it, and everything behind at its distance from it.
// Requires: not later than it was.
[[nodiscard]] Scenario with_gap(const Scenario& scenario, std::size_t step, Duration gap);
// No step longer than this after the one before it.
[[nodiscard]] Scenario with_gaps_of_at_most(const Scenario& scenario, Duration gap);

}  // namespace vxmesh
