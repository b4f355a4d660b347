// What comes out of one run of a sweep, and of all of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/cluster/simulation.h"
#include "sim/cluster/swarm.h"

namespace vxmesh::cli {

struct RunResult {
  Outcome outcome;
  std::map<std::string, std::uint64_t>
      probes;  // marks in the core that were reached, and how often
  Duration real{};
};

// One line of text, from one process to another.
[[nodiscard]] std::string encode(const RunResult& result);
[[nodiscard]] Result<RunResult> decode(const std::string& line);

// Runs it; `twice`: and once more, which must have the same hash.
[[nodiscard]] RunResult run_and_count(const SwarmOptions& options, bool twice);

struct SweepOptions {
  SwarmOptions first;  // later runs have the seeds that follow
  std::optional<std::uint64_t> runs;
  std::optional<Duration> time;  // real; no run begins after it
  unsigned jobs = 1;
  bool stop_at_first = false;

  [[nodiscard]] SwarmOptions of_run(std::uint64_t index) const {
    SwarmOptions options = first;
    options.seed += index;
    return options;
  }
};

// Every 20th run is executed twice.
[[nodiscard]] constexpr bool is_run_twice(std::uint64_t index) {
  return index % 20 == 0;
}

// Contract: results are added in order of their seeds; equal results give an equal sum.
class SweepSum {
 public:
  struct Failure {
    std::uint64_t seed = 0;
    Violation violation;
  };
  struct Run {
    std::uint64_t seed = 0;
    std::optional<std::size_t> failure;  // into failures()
    Duration real{};
  };
  // A kind of thing that every large sweep must have met.
  struct Row {
    std::string name;
    std::uint64_t count = 0;
  };

  explicit SweepSum(FaultMix mix) : mix_(mix) {}

  void add(std::uint64_t seed, const RunResult& result);

  [[nodiscard]] const std::vector<Run>& runs() const { return runs_; }
  [[nodiscard]] const std::vector<Failure>& failures() const { return failures_; }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  // Of all runs together: numbers and the virtual time.
  [[nodiscard]] const Outcome& total() const { return total_; }

  // Kinds of actions that the mix draws: in how many runs it did something.
  [[nodiscard]] std::vector<Row> actions() const;
  // Oracles: how often each judged.
  [[nodiscard]] std::vector<Row> oracles() const;
  // Marks of the core: how often each was reached.
  [[nodiscard]] std::vector<Row> probes() const;

 private:
  FaultMix mix_;
  std::vector<Run> runs_;
  std::vector<Failure> failures_;
  std::uint64_t hash_ = 0;
  Outcome total_;
  std::map<ActionKind, std::uint64_t> runs_with_;
  std::map<std::string, std::uint64_t> probes_;
};

}  // namespace vxmesh::cli
