// The commands of vxmesh-sim: what their flags say, and what they do. Each gives an exit status.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/cli/sweep_result.h"
#include "sim/cluster/large_cluster.h"

namespace vxmesh::cli {

struct RunFlags {
  std::string file;  // a scenario; empty: one drawn from swarm.seed
  SwarmOptions swarm;
  SimulationOptions options;  // of a file
  std::string folder;         // of the bundle; empty: only of a run that fails, in kFolder
  bool json = false;
};
[[nodiscard]] int run(const RunFlags& flags);

struct SweepFlags {
  SweepOptions options;
  std::string junit;  // a file; empty: none
  bool json = false;
};
[[nodiscard]] int sweep(const SweepFlags& flags);

// Times of the flags below are those of the scenario: they begin with the first convergence.
struct BundleFlags {
  std::string folder;
  std::optional<Duration> time;
  std::string node;
  std::string table;  // empty: the trace
  std::string pcap;   // a file; empty: none
  std::string from;
  std::string to;
  std::string scenario;
};
[[nodiscard]] int replay(const BundleFlags& flags);
[[nodiscard]] int trace(const BundleFlags& flags);
[[nodiscard]] int explain(const BundleFlags& flags);
[[nodiscard]] int export_scenario(const BundleFlags& flags);

struct ShrinkFlags {
  std::string folder;                        // of a bundle; the small one goes into it
  Duration time = std::chrono::seconds(60);  // real time, after which the best so far counts
};
[[nodiscard]] int shrink_run(const ShrinkFlags& flags);

struct ExhaustiveFlags {
  std::vector<std::string> files;
  std::uint64_t seed = 1;
  unsigned jobs = 1;
  std::string only;  // one injection; empty: all
  bool json = false;
};
[[nodiscard]] int sweep_points(const ExhaustiveFlags& flags);

struct BenchFlags {
  LargeClusterOptions options;
  unsigned jobs = 1;
  bool json = false;
};
[[nodiscard]] int bench(const BenchFlags& flags);

struct CompileFlags {
  std::string file;
  bool json = false;
  bool schema = false;
};
[[nodiscard]] int compile(const CompileFlags& flags);

}  // namespace vxmesh::cli
