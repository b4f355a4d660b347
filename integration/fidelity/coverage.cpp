#include "integration/fidelity/coverage.h"

#include <algorithm>
#include <map>
#include <utility>

namespace vxmesh::fidelity {
namespace {

// A pattern of cells that do not count; an empty text matches every text.
struct Exclusion {
  std::string_view operation;
  std::string_view state;
  std::string_view aspect;
  std::string_view reason;
};

constexpr std::string_view kNotModelled = "not modelled: sim/kernel/README.md";
constexpr std::string_view kTold = "the state is told by the lladdr";
constexpr std::string_view kTimed = "PROBE comes after seconds: timed programs";

constexpr Exclusion kExclusions[] = {
    {"new-link vxlan", "", "proxy", kNotModelled},
    {"new-link vxlan", "", "rsc", kNotModelled},
    {"new-link vxlan", "", "l2miss", kNotModelled},
    {"new-link vxlan", "", "l3miss", kNotModelled},
    {"new-link vxlan", "", "external", kNotModelled},
    {"new-neigh", "probe", "", kTimed},
    {"del-neigh", "probe", "", kTimed},
    {"get-neigh", "probe", "", kTimed},
    {"send", "probe", "", kTimed},
    {"hear", "probe", "", kTimed},
    {"new-neigh", "reachable, other", "no lladdr", kTold},
    {"new-neigh", "noarp, other", "no lladdr", kTold},
    {"new-neigh", "permanent, other", "no lladdr", kTold},
};

std::string_view exclusion_of(const Operation& operation, std::string_view state,
                              std::string_view aspect) {
  for (const Exclusion& exclusion : kExclusions) {
    if (operation.name.starts_with(exclusion.operation) &&
        (exclusion.state.empty() || exclusion.state == state) &&
        (exclusion.aspect.empty() || exclusion.aspect == aspect)) {
      return exclusion.reason;
    }
  }
  return {};
}

using Key = std::pair<std::pair<std::string_view, std::string_view>, std::string_view>;

const std::map<Key, std::size_t>& places() {
  static const std::map<Key, std::size_t> kPlaces = [] {
    std::map<Key, std::size_t> made;
    for (std::size_t i = 0; i < all_cells().size(); ++i) {
      const Cell& cell = all_cells()[i];
      made.emplace(Key{{cell.operation, cell.state}, cell.aspect}, i);
    }
    return made;
  }();
  return kPlaces;
}

}  // namespace

const std::vector<Cell>& all_cells() {
  static const std::vector<Cell> kAll = [] {
    std::vector<Cell> cells;
    for (const Operation& operation : all_operations()) {
      for (const std::string_view state : operation.states) {
        for (const std::string_view aspect : operation.aspects) {
          cells.push_back({.operation = operation.name,
                           .state = state,
                           .aspect = aspect,
                           .excluded = exclusion_of(operation, state, aspect)});
        }
      }
    }
    return cells;
  }();
  return kAll;
}

Coverage::Coverage() : seen_(all_cells().size()) {
  for (std::size_t i = 0; i < all_cells().size(); ++i) {
    if (all_cells()[i].excluded.empty()) {
      unseen_.push_back(i);
    }
  }
  counted_ = unseen_.size();
}

void Coverage::mark(const Situation& situation) {
  for (const std::string_view aspect : situation.aspects) {
    const auto place = places().find(Key{{situation.operation, situation.state}, aspect});
    if (place == places().end() || seen_[place->second]) {
      continue;  // an attribute that the operation does not list, such as a bridge's VNI
    }
    seen_[place->second] = true;
    const auto counted = std::lower_bound(unseen_.begin(), unseen_.end(), place->second);
    if (counted != unseen_.end() && *counted == place->second) {
      unseen_.erase(counted);
      ++seen_count_;
    }
  }
}

std::string format_cells(const Coverage& coverage) {
  std::string text;
  for (std::size_t i = 0; i < all_cells().size(); ++i) {
    const Cell& cell = all_cells()[i];
    text += !cell.excluded.empty() ? "excluded " : coverage.seen(i) ? "seen     " : "unseen   ";
    text += std::string(cell.operation) + " / " + std::string(cell.state) + " / " +
            std::string(cell.aspect);
    text += cell.excluded.empty() ? "\n" : ": " + std::string(cell.excluded) + "\n";
  }
  return text;
}

}  // namespace vxmesh::fidelity
