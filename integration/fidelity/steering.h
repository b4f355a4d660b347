// Makes the actions that unseen cells of the coverage need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "integration/fidelity/coverage.h"
#include "integration/fidelity/request_maker.h"

namespace vxmesh::fidelity {

// Contract: draws an unseen cell, and until an action can exercise it, or some steps have passed in
// vain, makes the entries that the cell is about. The oftener it was in vain, the rarer it is
// tried.
class Steering {
 public:
  Steering();

  // Another program begins: what was being worked on is gone.
  void restart() { goal_.reset(); }

  // An action on the way to an unseen cell; nullopt if it knows of none.
  [[nodiscard]] std::optional<Action> next(const Coverage& coverage, const RequestMaker& maker,
                                           const StateView& state);

  // A goal is being worked on.
  [[nodiscard]] bool busy() const { return goal_.has_value(); }

 private:
  static constexpr int kMaxPreparations = 7;

  std::vector<std::uint32_t> failures_;  // by cell
  std::optional<std::size_t> goal_;
  int preparations_ = 0;
};

}  // namespace vxmesh::fidelity
