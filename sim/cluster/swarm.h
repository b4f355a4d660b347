// Scenarios drawn from a seed.
#pragma once

#include <cstdint>
#include <string>

#include "sim/cluster/simulation.h"
#include "sim/scenario/scenario.h"

namespace vxmesh {

enum class FaultMix : std::uint8_t {
  None,   // nothing happens
  Churn,  // nodes and pods come, go and change
  Swarm,  // each kind of action is in one run out of four, so that each run has another mix
};

struct SwarmOptions {
  std::uint64_t seed = 1;
  std::uint32_t nodes = 12;  // at the start
  std::uint32_t pods = 36;
  Duration lasts = std::chrono::minutes(8);  // within which the steps happen
  FaultMix faults = FaultMix::Swarm;
};

// Contract: equal options give equal scenarios, valid ones. Steps are drawn one kind at a time,
// each from a generator of its own, so that a kind more or less changes nothing of the others but
// the names and addresses of what they add.
[[nodiscard]] Scenario draw_scenario(const SwarmOptions& options);

// How that scenario is run: mostly as an agent is by default, sometimes with a small budget of
// neighbours, and with clocks that differ more or less. Equal options give equal ones.
[[nodiscard]] SimulationOptions draw_options(const SwarmOptions& options);

// Whether draw_scenario() ever draws that kind.
[[nodiscard]] bool is_drawn(ActionKind kind, FaultMix mix);

}  // namespace vxmesh
