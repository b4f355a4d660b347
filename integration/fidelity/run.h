// A run of the fuzzer: programs are generated on one thread and compared on several.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "integration/fidelity/compare.h"
#include "integration/fidelity/generator.h"

namespace vxmesh::fidelity {

struct RunOptions {
  std::uint64_t programs = 1000;
  std::uint64_t seed = 1;
  std::size_t operations = 20;  // of each program
  unsigned jobs = 2;
  bool timed = false;          // programs in which time passes (timed.h)
  std::size_t most_gaps = 20;  // different ones; then the run ends
};

struct Worlds {
  WorldMaker fake;
  std::function<Result<std::unique_ptr<World>>()> real;
  // The kernel may collect neighbours now (host_is_crowded).
  std::function<bool()> crowded;
};

// Near gc_thresh1, from which on the kernel collects what has failed, whosever it is.
[[nodiscard]] bool host_is_crowded();

// A gap, and the smallest program found that shows it.
struct FoundGap {
  std::uint64_t number = 0;  // of the program that showed it first
  Gap gap;
  Program program;
  bool again = true;  // it showed again when the program was run again
};

struct RunResult {
  Tally tally;
  Coverage coverage;
  AllowanceCounts allowances{};
  std::uint64_t gaps = 0;       // programs that have one
  std::vector<FoundGap> found;  // one of each signature, in the order of their programs
  std::uint64_t late = 0;       // timed programs that this machine was too busy to run
  std::chrono::nanoseconds took{};
};

// Called from time to time with the number of programs that are done, on any thread.
using Progress = std::function<void(std::uint64_t programs, std::uint64_t gaps)>;

// An error is one of making real worlds.
[[nodiscard]] Result<RunResult> run(const RunOptions& options, const Worlds& worlds,
                                    const Progress& progress);

// The same for a program that is there already, timed if time passes in it.
[[nodiscard]] Result<std::optional<FoundGap>> run_one(const Program& program, const Worlds& worlds);

struct FakeSpeed {
  std::uint64_t operations = 0;
  std::chrono::nanoseconds took{};
};

// Generates, then runs the programs again on the fake alone and takes that time, tables and
// notifications included.
[[nodiscard]] RunResult run_fake(const RunOptions& options, const WorldMaker& make_world,
                                 FakeSpeed& speed);

}  // namespace vxmesh::fidelity
