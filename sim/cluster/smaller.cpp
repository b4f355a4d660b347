#include "sim/cluster/smaller.h"

#include <algorithm>
#include <iterator>

#include "sim/scenario/parse.h"
#include "sim/scenario/write.h"

namespace vxmesh {
namespace {

struct Names {
  std::set<std::string> nodes;
  std::set<std::string> pods;
};

// Whoever is there at the start, or comes.
Names everybody(const Scenario& scenario) {
  Names names;
  for (const NodeSpec& node : scenario.cluster.nodes) {
    names.nodes.insert(node.name);
  }
  for (const PodSpec& pod : scenario.cluster.pods) {
    names.pods.insert(pod.name);
  }
  for (const Step& step : scenario.steps) {
    const TargetKind target = rule_of(step.action.kind).target;
    if (target == TargetKind::NewNode || target == TargetKind::NewPod) {
      (target == TargetKind::NewNode ? names.nodes : names.pods)
          .insert(step.action.targets.begin(), step.action.targets.end());
    }
  }
  return names;
}

bool names_a_stranger(const Step& step, const Names& names) {
  const TargetKind kind = rule_of(step.action.kind).target;
  const bool of_pods = kind == TargetKind::Pod || kind == TargetKind::NewPod;
  const bool may_be_api = kind == TargetKind::End || kind == TargetKind::Api;
  const std::set<std::string>& known = of_pods ? names.pods : names.nodes;
  return (!step.action.node.empty() && !names.nodes.contains(step.action.node)) ||
         std::ranges::any_of(step.action.targets, [&](const std::string& target) {
           return !known.contains(target) && !(may_be_api && target == "api");
         });
}

struct NamesOf {
  std::set<std::string>& names;

  void operator()(const ExpectConnect& connect) const {
    for (const auto& [from, to] : connect.pairs) {
      names.insert({from, to});
    }
  }
  void operator()(const ExpectConverged&) const {}
  void operator()(const ExpectForeignUntouched&) const {}
  template <typename OfNode>
  void operator()(const OfNode& condition) const {
    names.insert(condition.node);
  }
};

}  // namespace

bool is_valid(const Scenario& scenario) {
  const Result<Scenario> read = parse_scenario(write_scenario(scenario), "a smaller scenario");
  return read && *read == scenario;
}

std::set<std::string> names_needed(const Scenario& scenario) {
  std::set<std::string> names;
  for (const Step& step : scenario.steps) {
    names.insert(step.action.targets.begin(), step.action.targets.end());
    names.insert(step.action.node);
  }
  for (const Expectation& expectation : scenario.expectations) {
    std::visit(NamesOf{names}, expectation.condition);
  }
  for (const PodSpec& pod : scenario.cluster.pods) {
    if (names.contains(pod.name)) {
      names.insert(pod.node);
    }
  }
  return names;
}

Scenario without_steps(const Scenario& scenario, std::size_t begin, std::size_t end) {
  Scenario smaller = scenario;
  smaller.steps.erase(smaller.steps.begin() + static_cast<std::ptrdiff_t>(begin),
                      smaller.steps.begin() + static_cast<std::ptrdiff_t>(end));
  std::size_t before = 0;
  do {
    before = smaller.steps.size();
    const Names names = everybody(smaller);
    std::erase_if(smaller.steps, [&](const Step& step) { return names_a_stranger(step, names); });
  } while (smaller.steps.size() != before);
  return smaller;
}

Scenario without_nodes(const Scenario& scenario, const std::set<std::string>& names) {
  Scenario smaller = scenario;
  std::erase_if(smaller.cluster.nodes,
                [&](const NodeSpec& node) { return names.contains(node.name); });
  std::erase_if(smaller.cluster.pods, [&](const PodSpec& pod) { return names.contains(pod.node); });
  return smaller;
}

Scenario without_pods(const Scenario& scenario, const std::set<std::string>& names) {
  Scenario smaller = scenario;
  std::erase_if(smaller.cluster.pods, [&](const PodSpec& pod) { return names.contains(pod.name); });
  return smaller;
}

Duration gap_before(const Scenario& scenario, std::size_t step) {
  return scenario.steps[step].at - (step == 0 ? Duration{} : scenario.steps[step - 1].at);
}

Scenario with_gap(const Scenario& scenario, std::size_t step, Duration gap) {
  const Duration at = scenario.steps[step].at;
  const Duration less = gap_before(scenario, step) - gap;
  Scenario smaller = scenario;
  for (std::size_t i = step; i < smaller.steps.size(); ++i) {
    smaller.steps[i].at -= less;
  }
  // What counts from between the two counts from between them still, or from the latter.
  for (Expectation& expectation : smaller.expectations) {
    expectation.from =
        expectation.from >= at ? expectation.from - less : std::min(expectation.from, at - less);
  }
  return smaller;
}

Scenario with_gaps_of_at_most(const Scenario& scenario, Duration gap) {
  Scenario smaller = scenario;
  for (std::size_t i = 0; i < smaller.steps.size(); ++i) {
    smaller = with_gap(smaller, i, std::min(gap, gap_before(smaller, i)));
  }
  return smaller;
}

}  // namespace vxmesh
