// A cluster of thousands of Nodes, of which some run agents: what the API's churn costs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"

namespace vxmesh {

struct LargeClusterOptions {
  // Nodes that ever join: each has a /24 of 100.64.0.0/10.
  static constexpr std::uint32_t kMostNodes = 16'000;

  std::uint64_t seed = 1;
  std::uint32_t nodes = 5000;  // at the start
  std::uint32_t agents = 500;  // on the first of them
  // Agents are simulated in groups of so many, one group after another.
  std::uint32_t together = 10;
  Duration lasts = std::chrono::hours(1);
  // Each Node's status is written so often, give or take a tenth.
  Duration status_interval = std::chrono::minutes(5);
  // Once in so long a Node joins, and the next time one leaves.
  Duration change_interval = std::chrono::seconds(1);
  // Of every agent: between full passes over fresh dumps.
  Duration resync_interval = std::chrono::minutes(10);
};

struct LargeClusterOutcome {
  std::string deviation;  // of some kernel from the reference model, at the end; empty: none
  MonotonicTime end;
  std::uint64_t hash = 0;    // of the trace
  std::uint64_t events = 0;  // of the world
  std::uint64_t writes = 0;  // of statuses
  std::uint64_t joins = 0;
  std::uint64_t leaves = 0;
  std::uint64_t deliveries = 0;  // of lists' ends, events and bookmarks to agents
  std::uint64_t operations = 0;  // of agents on their kernels
};

[[nodiscard]] constexpr std::uint32_t group_count(const LargeClusterOptions& options) {
  return (options.agents + options.together - 1) / options.together;
}

// One group of agents, and the API with all Nodes. Contract: unchanged agents on fake kernels and
// the fake API; the other Nodes are objects in the API and nothing else. No pods, no faults, and no
// oracle but the comparison at the end. Equal options give equal outcomes.
//
// Agents meet in nothing but what the API holds, which none of them writes, and that is the same
// for every group: so each does the same in whatever company, and the numbers of all groups add up
// to those of one world with all agents. What a small group touches stays in the processor's
// caches, though, and what 500 agents touch, one after the other at every event, does not.
// Requires: 1 <= agents <= nodes; 1 <= together; group < group_count(options).
[[nodiscard]] LargeClusterOutcome run_large_cluster(const LargeClusterOptions& options,
                                                    std::uint32_t group);
// Of all groups, in order: counts of writes and changes of the API are those of each.
[[nodiscard]] LargeClusterOutcome merged(const std::vector<LargeClusterOutcome>& groups);

}  // namespace vxmesh
