#include "sim/scenario/parse.h"

#include <utility>

#include "sim/scenario/parse_parts.h"

namespace vxmesh {
namespace {

std::vector<std::string> read_backends(Reading& reading, const YamlValue& value) {
  std::vector<std::string> backends;
  Fields fields(value, "backends", reading.problem);
  for (const std::string_view world : {"sim", "lab"}) {
    if (const YamlValue* why = fields.take(world)) {
      backends.push_back(std::string(world) + ": " +
                         line_of_text(*why, "the reason", reading.problem));
    }
  }
  fields.finish();
  return backends;
}

void read_head(Reading& reading, Fields& fields, Scenario& scenario) {
  const YamlValue& name = fields.need("scenario", "scenario: NAME");
  scenario.name = read_new_name(reading, text_of(name, "scenario", "a name", reading.problem),
                                name.line, "scenario");
  if (const YamlValue* about = fields.take("about")) {
    scenario.about = line_of_text(*about, "about", reading.problem);
  }
  if (const YamlValue* backends = fields.take("backends")) {
    scenario.backends = read_backends(reading, *backends);
  }
}

void read_expectations(Reading& reading, const YamlValue* value,
                       const std::vector<StepExpectation>& in_steps, Scenario& scenario) {
  const Duration end = end_of(scenario);
  for (const StepExpectation& expectation : in_steps) {
    read_expectation(reading, *expectation.value, expectation.from, end, scenario.expectations);
  }
  if (value == nullptr) {
    return;
  }
  if (value->kind != YamlValue::Kind::Sequence) {
    reading.problem.report(value->line, "expect is not a list; write '- {within: 2s, ...}' lines");
  }
  for (const YamlValue& item : value->items) {
    read_expectation(reading, item, std::nullopt, end, scenario.expectations);
  }
}

}  // namespace

Result<Scenario> parse_scenario(std::string_view yaml, const std::string& file_name) {
  const Result<YamlValue> root = read_yaml(yaml, file_name);
  if (!root) {
    return tl::unexpected(root.error());
  }
  Reading reading{.problem = Problem(file_name)};
  Scenario scenario;
  Fields fields(*root, "a scenario", reading.problem);
  read_head(reading, fields, scenario);
  const YamlValue& cluster = fields.need("cluster", "cluster: {overlay: ..., nodes: ...}");
  const YamlValue* steps = fields.take("steps");
  const YamlValue* expectations = fields.take("expect");
  fields.finish();
  if (!reading.problem.first()) {
    scenario.cluster = read_cluster(reading, cluster);
  }
  // What happens makes no sense in a cluster that does not, and so on.
  std::vector<StepExpectation> in_steps;
  if (!reading.problem.first() && steps != nullptr) {
    scenario.steps = read_steps(reading, *steps, in_steps);
  }
  if (!reading.problem.first()) {
    read_expectations(reading, expectations, in_steps, scenario);
  }
  if (reading.problem.first()) {
    return tl::unexpected(*reading.problem.first());
  }
  return scenario;
}

}  // namespace vxmesh
