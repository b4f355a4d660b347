// A cluster of thousands of Nodes, of which some run agents: what the API's churn costs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/time.h"

namespace vxmesh {

struct LargeClusterOptions {
  // Nodes that ever join: each has a /24 of 100.64.0.0/10.
  static constexpr std::uint32_t kMostNodes = 16'000;

  std::uint64_t seed = 1;
  std::uint32_t nodes = 5000;  // at the start
  std::uint32_t agents = 500;  // at most as many as nodes
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

// Contract: unchanged agents on fake kernels and the fake API; the other Nodes are objects in the
// API and nothing else. No pods, no faults, and no oracle but the comparison at the end. Equal
// options give equal outcomes. `started` is called when the agents have programmed all that was
// there at the start, and the time that `lasts` begins.
[[nodiscard]] LargeClusterOutcome run_large_cluster(const LargeClusterOptions& options,
                                                    const std::function<void()>& started);

}  // namespace vxmesh
