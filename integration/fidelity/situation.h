// What an action meets: the operation it is, the state of the entry that it addresses, and what it
// says beyond that (flags, attributes). The three coordinates of a coverage cell.
#pragma once

#include <string_view>
#include <vector>

#include "integration/fidelity/program.h"
#include "integration/fidelity/state_view.h"

namespace vxmesh::fidelity {

struct Situation {
  std::string_view operation;  // empty: not counted (advance, capture, ...)
  std::string_view state;
  std::vector<std::string_view> aspects;  // never empty
};

// The situation of `action` in the tables before it. All texts are literals.
[[nodiscard]] Situation situation_of(const Action& action, const StateView& before);

// One kind of operation: every state and every aspect that it can have.
struct Operation {
  std::string_view name;
  std::vector<std::string_view> states;
  std::vector<std::string_view> aspects;
};

// All of them, made from the requests' own lists of fields.
[[nodiscard]] const std::vector<Operation>& all_operations();

// "create|excl" and so on: the name of a combination of NLM flags, as an aspect.
[[nodiscard]] std::string_view flags_aspect(std::uint16_t flags);

}  // namespace vxmesh::fidelity
