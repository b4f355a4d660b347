#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "sim/scenario/compile.h"
#include "sim/scenario/pretty_json.h"

namespace vxmesh {
namespace {

namespace json = boost::json;

json::object reference(std::string_view definition) {
  return {{"$ref", "#/$defs/" + std::string(definition)}};
}

json::object pattern(std::string_view regular_expression) {
  return {{"type", "string"}, {"pattern", regular_expression}};
}

// A map with these keys and no others.
json::object closed(const json::object& properties, const json::array& required) {
  return {{"type", "object"},
          {"properties", properties},
          {"required", required},
          {"additionalProperties", false}};
}

// One of it, or a list.
json::object one_or_more(const json::object& item) {
  return {{"anyOf", json::array{item, {{"type", "array"}, {"items", item}, {"minItems", 1}}}}};
}

// A name, or one name with what is said of it.
json::object named(const json::object& said) {
  return {{"anyOf", json::array{reference("name"),
                                {{"type", "object"},
                                 {"additionalProperties", said},
                                 {"minProperties", 1},
                                 {"maxProperties", 1}}}}};
}

json::object targets(const ActionRule& rule, const json::object& target) {
  if (rule.max_targets == 1) {
    return target;
  }
  json::object list{{"type", "array"},
                    {"items", target},
                    {"minItems", rule.min_targets},
                    {"maxItems", rule.max_targets}};
  return rule.min_targets > 1 ? list : json::object{{"anyOf", json::array{target, list}}};
}

json::object done_to(const ActionRule& rule) {
  switch (rule.kind) {
    case ActionKind::AddNode:
    case ActionKind::ChangeNode: return named(reference("node"));
    case ActionKind::AddPod:
    case ActionKind::MovePod: return named(reference("place"));
    default: break;
  }
  switch (rule.target) {
    case TargetKind::None: return {{"type", json::array{"null", "object"}}, {"maxProperties", 0}};
    case TargetKind::Agent: return targets(rule, reference("agent"));
    case TargetKind::Api:
      return targets(rule, {{"anyOf", json::array{{{"const", "api"}}, reference("agent")}}});
    default: return targets(rule, reference("name"));
  }
}

json::object amount(const AmountRule& rule) {
  json::object number{{"type", "integer"}, {"minimum", rule.min}, {"maximum", rule.max}};
  if (rule.words.empty()) {
    return number;
  }
  json::array words;
  for (const auto& [word, value] : rule.words) {
    words.push_back(json::value(word));
  }
  return {{"anyOf", json::array{number, {{"enum", words}}}}};
}

json::object action(const ActionRule& rule) {
  json::object properties{{"at", reference("time")}, {rule.name, done_to(rule)}};
  json::array required{"at", json::value(rule.name)};
  if (!rule.amount.empty()) {
    properties[rule.amount] = amount(amount_rule(rule.amount));
    required.push_back(json::value(rule.amount));
  }
  if (!rule.delay.empty()) {
    properties[rule.delay] = reference(rule.kind == ActionKind::ClockStep ? "signed-time" : "time");
    required.push_back(json::value(rule.delay));
  }
  if (rule.kind == ActionKind::ApiStatus) {
    properties["retry-after"] = reference("time");
  }
  if (rule.lasts != ActionRule::Lasts::No) {
    properties["for"] = reference("time");
  }
  if (rule.lasts == ActionRule::Lasts::Must) {
    required.push_back("for");
  }
  json::object step = closed(properties, required);
  step["description"] = rule.about;
  return step;
}

json::object step() {
  json::array steps{closed({{"expect", reference("expectation")}}, {"expect"})};
  for (const ActionRule& rule : action_rules()) {
    steps.push_back(action(rule));
  }
  return {{"oneOf", steps}};
}

json::object conditions() {
  const json::object name = reference("name");
  const json::object value{{"type", "string"}};
  return {{"fdb", closed({{"node", name}, {"mac", value}, {"dst", value}}, {"node", "mac", "dst"})},
          {"neighbour", closed({{"node", name}, {"address", value}, {"mac", value}},
                               {"node", "address", "mac"})},
          {"route", closed({{"node", name}, {"to", value}, {"present", {{"type", "boolean"}}}},
                           {"node", "to"})},
          {"connect", reference("pairs")},
          {"no-connect", reference("pairs")},
          {"ready", name},
          {"not-ready", name},
          {"converged", {{"const", true}}},
          {"foreign", {{"const", "untouched"}}}};
}

json::object expectation() {
  json::object within = conditions();
  within["within"] = reference("time");
  within["from"] = reference("time");
  json::object finally = conditions();
  finally["finally"] = {{"anyOf", json::array{{{"const", "converged"}}, closed(conditions(), {})}}};
  return {{"oneOf", json::array{closed(within, {"within"}),
                                closed({{"always", reference("pairs")},
                                        {"max-dark", reference("time")},
                                        {"from", reference("time")}},
                                       {"always", "max-dark"}),
                                closed(finally, {"finally"})}}};
}

json::object definitions() {
  const json::object value{{"type", "string"}};
  const json::object name = reference("name");
  json::object node = closed({{"ip", value}, {"podCIDR", value}}, {});
  node["type"] = json::array{"object", "null"};
  const json::object place{
      {"anyOf", json::array{name, closed({{"node", name}, {"address", value}}, {"node"})}}};
  const json::object count{{"type", "integer"}, {"minimum", 1}, {"maximum", 1000}};
  return {{"time", pattern("^[0-9]+(h|m|s|ms|us|ns)$")},
          {"signed-time", pattern("^-?[0-9]+(h|m|s|ms|us|ns)$")},
          {"name", pattern("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")},
          {"agent", pattern("^agent@[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")},
          {"pairs", one_or_more(pattern("^ *[-a-z0-9*]+ *-> *[-a-z0-9*]+ *$"))},
          {"node", node},
          {"place", place},
          {"pod",
           {{"anyOf",
             json::array{place, closed({{"node", name}, {"count", count}}, {"node", "count"})}}}},
          {"step", step()},
          {"expectation", expectation()}};
}

json::object cluster() {
  return closed(
      {{"overlay", {{"type", "string"}}},
       {"mode", {{"const", "on-miss"}}},
       {"underlay-mtu", {{"type", "integer"}, {"minimum", 626}, {"maximum", 65535}}},
       {"nodes",
        {{"type", "object"}, {"additionalProperties", reference("node")}, {"minProperties", 1}}},
       {"pods", {{"type", "object"}, {"additionalProperties", reference("pod")}}}},
      {"overlay", "nodes"});
}

}  // namespace

std::string schema_json() {
  const json::object text{{"type", "string"}};
  json::object schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                      {"title", "vxmesh scenario"}};
  const json::object file =
      closed({{"scenario", reference("name")},
              {"about", text},
              {"backends", closed({{"sim", text}, {"lab", text}}, {})},
              {"cluster", cluster()},
              {"steps", {{"type", "array"}, {"items", reference("step")}}},
              {"expect", {{"type", "array"}, {"items", reference("expectation")}}}},
             {"scenario", "cluster"});
  schema.insert(file.begin(), file.end());
  schema["$defs"] = definitions();
  return pretty_json(schema);
}

}  // namespace vxmesh
