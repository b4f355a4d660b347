// Which cells of (operation x state of the entry x flags or attribute) a run has exercised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "integration/fidelity/situation.h"

namespace vxmesh::fidelity {

struct Cell {
  std::string_view operation;
  std::string_view state;
  std::string_view aspect;
  std::string_view excluded;  // why nothing can or may exercise it; empty: it counts
};

// All cells; the same in every run. Excluded are what the fake does not model, what cannot be, and
// what needs more time than a program has.
[[nodiscard]] const std::vector<Cell>& all_cells();

// Contract: counts cells of all_cells() by their place in it.
class Coverage {
 public:
  Coverage();

  void mark(const Situation& situation);

  [[nodiscard]] bool seen(std::size_t cell) const { return seen_[cell]; }
  [[nodiscard]] std::size_t counted() const { return counted_; }  // cells that are not excluded
  [[nodiscard]] std::size_t seen_count() const { return seen_count_; }
  // Rounded down, so that 100 means all.
  [[nodiscard]] std::size_t percent() const { return seen_count_ * 100 / counted_; }
  // Cells that count and were not seen, in order.
  [[nodiscard]] const std::vector<std::size_t>& unseen() const { return unseen_; }

 private:
  std::vector<bool> seen_;
  std::vector<std::size_t> unseen_;
  std::size_t counted_ = 0;
  std::size_t seen_count_ = 0;
};

// One line a cell: "seen new-fdb / absent / create|excl"; for excluded ones the reason behind it.
[[nodiscard]] std::string format_cells(const Coverage& coverage);

}  // namespace vxmesh::fidelity
