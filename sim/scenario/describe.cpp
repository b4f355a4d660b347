#include <algorithm>

#include "sim/scenario/scenario.h"

namespace vxmesh {

Duration end_of(const Scenario& scenario) {
  Duration end{};
  for (const Step& step : scenario.steps) {
    end = std::max(end, step.at + step.lasts.value_or(Duration{}) + step.action.delay);
  }
  return end;
}

std::string describe(const Step& step) {
  std::string text(rule_of(step.action.kind).name);
  for (const std::string& target : step.action.targets) {
    text += " " + target;
  }
  return text;
}

}  // namespace vxmesh
