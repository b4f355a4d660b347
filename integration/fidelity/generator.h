// Programs, made one after the other on a world that runs them as they are made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "integration/fidelity/coverage.h"
#include "integration/fidelity/program.h"
#include "integration/fidelity/request_maker.h"
#include "integration/fidelity/shapes.h"
#include "integration/fidelity/steering.h"

namespace vxmesh::fidelity {

// How much of what is generated is worth running.
struct Tally {
  std::uint64_t programs = 0;
  std::uint64_t operations = 0;
  std::uint64_t links = 0;      // requests about links and addresses
  std::uint64_t changes = 0;    // requests that ask for a change
  std::uint64_t effective = 0;  // of those: succeeded, and a table is another
};

// Counts one step; `changed`: a table is another than before.
void count_step(Tally& tally, const Step& step, const Reply& reply, bool changed);

using WorldMaker = std::function<std::unique_ptr<World>(ReachableTime)>;

// Contract: the n-th program is a function of the seed, n, the length and what the world does; so
// are the coverage and the tally then. Each program is tried on a world of its own.
class Generator {
 public:
  Generator(std::uint64_t seed, std::size_t operations, WorldMaker make_world);

  [[nodiscard]] Program next();

  [[nodiscard]] const Coverage& coverage() const { return coverage_; }
  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  Action draw(const RequestMaker& maker, const StateView& state, std::vector<Move>& shape);

  Prng root_;
  std::size_t operations_;
  WorldMaker make_world_;
  std::uint64_t number_ = 0;
  Coverage coverage_;
  Steering steering_;
  Tally tally_;
};

}  // namespace vxmesh::fidelity
