#include "sim/scenario/compile.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <boost/json/parse.hpp>
#include <fstream>
#include <sstream>

#include "sim/scenario/parse.h"
#include "sim/scenario/testing/generators.h"
#include "sim/scenario/write.h"

namespace vxmesh {
namespace {

std::string text_of_file(const std::string& path) {
  std::ifstream stream(std::string(VXMESH_ROOT) + "/" + path);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

TEST(Compile, SaysEverythingWithLines) {
  const Result<Scenario> scenario = parse_scenario(R"(scenario: reuse
about: One.
backends: {lab: no such card}
cluster:
  overlay: 100.96.0.0/12
  nodes: {n1: {}, n2: {}}
  pods: {a: n1, b: n2}
steps:
  - {at: 1s, delete-node: n2}
  - {at: 2s, add-node: {n4: {ip: ip(n2)}}}
  - {at: 3s, loss: [n1, n4], permille: 5, for: 2s}
  - {at: 6s, kill: agent@n1, restart: 500ms}
expect:
  - {within: 2s, fdb: {node: n1, mac: mac(n2), dst: none}}
  - {always: "a -> b", max-dark: 500ms}
  - {finally: converged}
)",
                                                   "f");
  ASSERT_TRUE(scenario) << scenario.error().context;
  EXPECT_EQ(boost::json::parse(compile_json(*scenario)), boost::json::parse(R"({
    "scenario": "reuse", "about": "One.", "backends": {"lab": "no such card"},
    "cluster": {"overlay": "100.96.0.0/12", "underlay_mtu": 1500,
      "nodes": [{"name": "n1", "ip": "172.20.0.11", "podCIDR": "100.96.1.0/24",
                 "mac": "00:53:64:60:01:00"},
                {"name": "n2", "ip": "172.20.0.12", "podCIDR": "100.96.2.0/24",
                 "mac": "00:53:64:60:02:00"}],
      "pods": [{"name": "a", "node": "n1", "address": "100.96.1.2"},
               {"name": "b", "node": "n2", "address": "100.96.2.2"}]},
    "steps": [
      {"line": 9, "at_ns": 1000000000, "action": "delete-node", "targets": ["n2"],
       "story": "n2 leaves, host and Node object"},
      {"line": 10, "at_ns": 2000000000, "action": "add-node", "targets": ["n4"],
       "ip": "172.20.0.12", "podCIDR": "100.96.3.0/24",
       "story": "n4 joins with address 172.20.0.12 and PodCIDR 100.96.3.0/24"},
      {"line": 11, "at_ns": 3000000000, "action": "loss", "targets": ["n1", "n4"],
       "permille": 5, "for_ns": 2000000000,
       "story": "5 of 1000 packets between n1 and n4 are lost for 2s"},
      {"line": 12, "at_ns": 6000000000, "action": "kill", "targets": ["n1"],
       "restart_ns": 500000000,
       "story": "n1's agent is killed, and is started again 500ms later"}],
    "expectations": [
      {"line": 14, "when": "within", "from_ns": 6500000000, "within_ns": 2000000000,
       "fdb": {"node": "n1", "mac": "00:53:64:60:02:00", "dst": null}},
      {"line": 15, "when": "always", "from_ns": 0, "max_dark_ns": 500000000,
       "connect": [["a", "b"]]},
      {"line": 16, "when": "finally", "converged": true}],
    "end_ns": 6500000000})"));
}

RC_GTEST_PROP(Compile, GivesJsonOfEveryScenario, ()) {
  const Scenario scenario = *generate::scenario();
  const boost::json::value compiled = boost::json::parse(compile_json(scenario));
  const boost::json::array& steps = compiled.at("steps").as_array();
  RC_ASSERT(steps.size() == scenario.steps.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& wait = scenario.steps[i].action.retry_after;
    const boost::json::value* written = steps[i].as_object().if_contains("retry_after_ns");
    RC_ASSERT((written != nullptr) == wait.has_value());
    if (wait) {
      RC_ASSERT(*written == wait->count());
    }
  }
  RC_ASSERT(compiled.at("expectations").as_array().size() == scenario.expectations.size());
}

TEST(Schema, TheFileIsCurrent) {
  // When the language has changed: write schema_json() to the file again.
  EXPECT_EQ(text_of_file("sim/scenario/scenario.schema.json"), schema_json());
}

// One row for each action, as the README's table has it.
std::string readme_row(const ActionRule& rule) {
  static const std::vector<std::string> targets{
      "", "node", "new node", "agent@node", "pod", "new pod", "node or api", "api or agent@node"};
  std::string who = targets.at(static_cast<std::size_t>(rule.target));
  if (rule.max_targets > 1) {
    who += rule.min_targets == rule.max_targets ? ", two" : ", one or two";
  }
  std::string keys;
  const auto add = [&](std::string_view key) {
    if (!key.empty()) {
      keys += (keys.empty() ? "`" : ", `") + std::string(key) + "`";
    }
  };
  add(rule.amount);
  add(rule.delay);
  add(rule.lasts == ActionRule::Lasts::No ? "" : "for");
  return "| `" + std::string(rule.name) + "` | " + who + " | " + keys + " | " +
         std::string(rule.about) + " |\n";
}

TEST(Readme, ListsEveryActionAsItIs) {
  const std::string readme = text_of_file("sim/scenario/README.md");
  std::string table;
  for (const ActionRule& rule : action_rules()) {
    table += readme_row(rule);
  }
  EXPECT_NE(readme.find(table), std::string::npos) << "the table has to be\n" << table;
}

}  // namespace
}  // namespace vxmesh
