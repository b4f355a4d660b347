#include "sim/scenario/parse.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "sim/scenario/yaml_value.h"

namespace vxmesh {
namespace {

IpAddress ip(std::string_view text) {
  return *IpAddress::parse(text);
}
IpPrefix net(std::string_view text) {
  return *IpPrefix::parse(text);
}
MacAddress mac(std::string_view text) {
  return *MacAddress::parse(text);
}

// Lines 1 to 5 of a file; `rest` begins in line 6.
std::string file(const std::string& rest) {
  return "scenario: test\n"
         "cluster:\n"
         "  overlay: 100.96.0.0/12\n"
         "  nodes: {n1: {}, n2: {}, n3: {ip: 172.20.0.33, podCIDR: 100.96.33.0/25}}\n"
         "  pods: {a: n1, b: n2, c: {node: n3, count: 3}, d: {node: n1, address: 100.96.1.2}}\n" +
         rest;
}

Scenario parsed(const std::string& text) {
  Result<Scenario> scenario = parse_scenario(text, "test.yaml");
  EXPECT_EQ(scenario ? "" : scenario.error().context, "");
  return scenario.value_or(Scenario{});
}

std::string error_of(const std::string& text) {
  const Result<Scenario> scenario = parse_scenario(text, "f");
  return scenario ? "" : scenario.error().context;
}

TEST(Parse, FillsInAddressesByPosition) {
  const ClusterSpec cluster = parsed(file("")).cluster;
  EXPECT_EQ(cluster.nodes,
            (std::vector<NodeSpec>{{"n1", ip("172.20.0.11"), net("100.96.1.0/24")},
                                   {"n2", ip("172.20.0.12"), net("100.96.2.0/24")},
                                   {"n3", ip("172.20.0.33"), net("100.96.33.0/25")}}));
  // A default is never an address that the file gives to another pod.
  EXPECT_EQ(cluster.pods, (std::vector<PodSpec>{{"a", "n1", ip("100.96.1.3")},
                                                {"b", "n2", ip("100.96.2.2")},
                                                {"c0", "n3", ip("100.96.33.2")},
                                                {"c1", "n3", ip("100.96.33.3")},
                                                {"c2", "n3", ip("100.96.33.4")},
                                                {"d", "n1", ip("100.96.1.2")}}));
}

TEST(Parse, ReferencesMeanWhatIsTrueAtTheirMoment) {
  const Scenario scenario = parsed(file(R"(steps:
  - {expect: {within: 1s, fdb: {node: n1, mac: mac(n4), dst: ip(n4)}}}
  - {at: 1s, delete-node: n2}
  - {at: 2s, add-node: {n4: {ip: ip(n2)}}}
  - {at: 3s, change-node: {n4: {ip: 172.20.0.44}}}
  - {expect: {within: 1s, fdb: {node: n1, mac: mac(n4), dst: ip(n4)}}}
  - {at: 4s, swap-addresses: [n1, n4]}
  - {at: 5s, move-pod: {a: n3}}
expect:
  - {finally: {fdb: {node: n3, mac: mac(n2), dst: ip(n4)}}}
  - {within: 1s, from: 4s, neighbour: {node: n3, address: addr(a), mac: none}}
  - {within: 1s, neighbour: {node: n3, address: addr(a), mac: none}}
)"));
  const auto& expectations = scenario.expectations;
  ASSERT_EQ(scenario.steps.size(), 5);
  ASSERT_EQ(expectations.size(), 5);
  const MacAddress n4 = mac("00:53:64:60:04:00");
  EXPECT_EQ(scenario.steps[1].action.ip, ip("172.20.0.12"));
  EXPECT_EQ(scenario.steps[1].action.pod_cidr, net("100.96.4.0/24"));
  // Before it has joined: as it joins.
  EXPECT_EQ(expectations[0].condition, Condition(ExpectFdb{"n1", n4, ip("172.20.0.12")}));
  EXPECT_EQ(expectations[0].from, Duration{});
  EXPECT_EQ(expectations[1].condition, Condition(ExpectFdb{"n1", n4, ip("172.20.0.44")}));
  EXPECT_EQ(expectations[1].from, std::chrono::seconds(3));
  EXPECT_EQ(expectations[2].condition,
            Condition(ExpectFdb{"n3", mac("00:53:64:60:02:00"), ip("172.20.0.11")}));
  EXPECT_EQ(std::get<ExpectNeighbour>(expectations[3].condition).address, ip("100.96.1.3"));
  EXPECT_EQ(std::get<ExpectNeighbour>(expectations[4].condition).address, ip("100.96.33.5"));
  EXPECT_EQ(expectations[4].from, std::chrono::seconds(5));
}

TEST(Parse, PatternsMeanThePodsThatAreThereAtTheirMoment) {
  const Scenario scenario = parsed(file(R"(steps:
  - {at: 1s, delete-pod: c1}
  - {at: 2s, add-pod: {c9: n2}}
  - {at: 3s, delete-node: n1}
expect:
  - {always: "c* -> b", max-dark: 0s}
  - {within: 1s, connect: ["b -> c*", "c0 -> c2"]}
  - {finally: {connect: "* -> *"}}
)"));
  ASSERT_EQ(scenario.expectations.size(), 3);
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  const auto pairs = [&](std::size_t i) {
    return std::get<ExpectConnect>(scenario.expectations[i].condition).pairs;
  };
  EXPECT_EQ(pairs(0), (Pairs{{"c0", "b"}, {"c1", "b"}, {"c2", "b"}}));
  EXPECT_EQ(pairs(1), (Pairs{{"b", "c0"}, {"b", "c2"}, {"b", "c9"}, {"c0", "c2"}}));
  EXPECT_EQ(pairs(2).size(), 12);  // b, c0, c2 and c9; n1's pods went with it
}

TEST(Parse, PodsGoWithThePodCidrOfTheirNode) {
  const Scenario scenario = parsed(file(R"(steps:
  - {at: 1s, change-node: {n1: {podCIDR: 100.96.99.0/24}}}
  - {at: 2s, add-pod: {e: n1}}
expect:
  - {finally: {connect: "* -> b"}}
)"));
  EXPECT_EQ(scenario.steps[1].action.address, ip("100.96.99.2"));
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(std::get<ExpectConnect>(scenario.expectations[0].condition).pairs,
            (Pairs{{"c0", "b"}, {"c1", "b"}, {"c2", "b"}, {"e", "b"}}));
}

TEST(Parse, NobodySwapsAddressesWithANodeThatIsGone) {
  const Scenario scenario = parsed(file(R"(steps:
  - {at: 1s, delete-node: n2}
  - {at: 2s, swap-addresses: [n1, n2]}
  - {at: 3s, add-node: {n2: {ip: ip(n2)}}}
)"));
  EXPECT_EQ(scenario.steps[2].action.ip, ip("172.20.0.12"));
}

TEST(Parse, StepsAreInOrderOfTimeAndThoseOfOneMomentInOrderOfTheFile) {
  const Scenario scenario = parsed(file(R"(steps:
  - {at: 2s, kill: agent@n1, restart: 500ms}
  - {at: 1s, api-outage: api, for: 1m}
  - {at: 2s, loss: [n1, n2], permille: 100, for: 1h}
  - {at: 1s, hostile-node: evil, kind: not-unicast}
)"));
  ASSERT_EQ(scenario.steps.size(), 4);
  const std::vector<std::uint32_t> lines{scenario.steps[0].line, scenario.steps[1].line,
                                         scenario.steps[2].line, scenario.steps[3].line};
  EXPECT_EQ(lines, (std::vector<std::uint32_t>{8, 10, 7, 9}));
  EXPECT_EQ(scenario.steps[1].action.amount, 2);
  EXPECT_EQ(scenario.steps[2].action.targets, std::vector<std::string>{"n1"});
  EXPECT_EQ(end_of(scenario), std::chrono::seconds(3602));
}

TEST(Parse, FinallyTakesConditionsBesideIt) {
  const Scenario scenario = parsed(file("expect:\n  - {finally: converged, foreign: untouched}\n"));
  ASSERT_EQ(scenario.expectations.size(), 2);
  EXPECT_EQ(scenario.expectations[0].condition, Condition(ExpectConverged{}));
  EXPECT_EQ(scenario.expectations[1].condition, Condition(ExpectForeignUntouched{}));
  EXPECT_EQ(scenario.expectations[1].line, 7);
}

struct BadFile {
  std::string text;
  std::string error;
};

void expect_errors(const std::vector<BadFile>& files) {
  for (const BadFile& bad : files) {
    EXPECT_EQ(error_of(bad.text), bad.error) << bad.text;
  }
}

TEST(ParseErrors, OfTheDocument) {
  std::string bomb = "a: &a [x, x]\n";
  bomb += "b: [*a, *a]\n";
  expect_errors({
      {"", "f:1: nothing in it; begin with 'scenario: NAME'"},
      {"[]", "f:1: a scenario is not a map; write {key: value, ...}"},
      {"a: 1\nb: [",
       "f:2: is no YAML (end of sequence flow not found); look at the indentation, brackets and "
       "quotes before it"},
      {bomb, "f:1: an anchor; write the value itself wherever it is needed"},
      {"a: !!python/object x", "f:1: a tag; leave it out"},
      {"a: 1\n\na: 2", "f:3: 'a' is there twice, the first time in line 1; keep one"},
      {"? [a]\n: b", "f:1: a key that is not text; write 'key: value'"},
      {"a: 1\n---\nb: 2", "f:3: a second document; one file is one scenario"},
      {"a: " + std::string(20, '[') + std::string(20, ']'),
       "f:1: nested too deeply; a scenario has at most 12 levels"},
      {std::string(kMaxYamlBytes + 1, ' '), "f:1: longer than 4194304 bytes; split the scenario"},
  });
}

TEST(ParseErrors, OfTheHead) {
  expect_errors({
      {"cluster: {}", "f:1: a scenario has no 'scenario'; add scenario: NAME"},
      {"scenario: A",
       "f:1: 'A' cannot be the name of a scenario; use lower-case letters, digits "
       "and hyphens inside"},
      {"scenario: a", "f:1: a scenario has no 'cluster'; add cluster: {overlay: ..., nodes: ...}"},
      {file("stepz: []"), "f:6: unknown key 'stepz' in a scenario; did you mean 'steps'?"},
      {file("about: \"x\\ny\""),
       "f:6: about has line breaks or control characters; write it in one line"},
      {file("about: [x]"), "f:6: about must be text"},
      {file("backends: {sim: x, nat: y}"),
       "f:6: unknown key 'nat' in backends; did you mean 'lab'?"},
  });
}

std::string cluster(const std::string& inside) {
  return "scenario: a\ncluster:\n  overlay: 100.96.0.0/12\n" + inside;
}

TEST(ParseErrors, OfTheCluster) {
  expect_errors({
      {"scenario: a\ncluster: {overlay: 100.96.0.1/12}",
       "f:2: overlay is '100.96.0.1/12'; write an IPv4 CIDR with room for PodCIDRs, such as "
       "100.96.0.0/12"},
      {cluster("  mode: gateway\n"), "f:4: gateway mode is not simulated yet; write mode: on-miss"},
      {cluster("  mode: off\n"), "f:4: mode is 'off'; write on-miss"},
      {cluster("  underlay-mtu: 100\n"),
       "f:4: underlay-mtu is '100'; it must be a whole number from 626 to 65535"},
      {cluster(""), "f:3: cluster has no 'nodes'; add nodes: {n1: {}, n2: {}}"},
      {cluster("  nodes: [n1]\n"),
       "f:4: nodes is not a map of names, or has none; write {n1: {}, n2: {}}"},
      {cluster("  nodes:\n    api: {}\n"),
       "f:5: 'api' is the API server's name; name the node otherwise"},
      {cluster("  nodes:\n    n1: {podCidr: 100.96.1.0/24}\n"),
       "f:5: unknown key 'podCidr' in node n1; did you mean 'podCIDR'?"},
      {cluster("  nodes:\n    n1: {ip: 100.100.0.1}\n"),
       "f:5: node address 100.100.0.1 lies in the overlay 100.96.0.0/12; choose one outside"},
      {cluster("  nodes:\n    n1: {ip: 224.0.0.1}\n"),
       "f:5: 224.0.0.1 cannot be a host's address; choose a unicast one"},
      {cluster("  nodes:\n    n1: {ip: 172.21.0.1}\n"),
       "f:5: node address 172.21.0.1 is no host's in 172.20.0.0/16, which all nodes are in; choose "
       "one there"},
      {cluster("  nodes:\n    n1: {ip: 172.20.255.255}\n"),
       "f:5: node address 172.20.255.255 is no host's in 172.20.0.0/16, which all nodes are in; "
       "choose one there"},
      {cluster("  nodes:\n    n1: {ip: fd00::1}\n"),
       "f:5: ip is 'fd00::1'; write an IPv4 address, ip(NODE) or addr(POD)"},
      {cluster("  nodes:\n    n1: {podCIDR: 10.0.0.0/24}\n"),
       "f:5: podCIDR 10.0.0.0/24 is no part of the overlay 100.96.0.0/12; choose one inside"},
      {cluster("  nodes:\n    n1: {podCIDR: 100.96.0.0/30}\n"),
       "f:5: podCIDR 100.96.0.0/30 has no room for pods; at most /29"},
      {cluster("  nodes:\n    n1: {podCIDR: 100.96.1.1/24}\n"),
       "f:5: podCIDR is '100.96.1.1/24'; write a CIDR such as 100.96.3.0/24, or podCIDR(NODE)"},
      {cluster("  nodes:\n    n1: {podCIDR: 100.96.2.128/25}\n    n2: {}\n"),
       "f:6: the PodCIDRs of nodes n1 and n2 overlap: 100.96.2.128/25 and 100.96.2.0/24; give "
       "one another podCIDR"},
      {cluster("  nodes:\n    n1: {ip: 172.20.0.12}\n    n2: {}\n"),
       "f:6: nodes n1 and n2 have the same address 172.20.0.12; give one another ip"},
      {"scenario: a\ncluster:\n  overlay: 100.96.0.0/25\n  nodes: {n1: {}}\n",
       "f:4: the overlay 100.96.0.0/25 has no /24 for node n1; give it a podCIDR"},
  });
}

TEST(ParseErrors, OfPods) {
  const std::string nodes = "  nodes: {n1: {podCIDR: 100.96.1.0/29}}\n  pods:\n    ";
  expect_errors({
      {cluster(nodes + "a: n2\n"), "f:6: there is no node 'n2' by then; did you mean 'n1'?"},
      {cluster(nodes + "a: {count: 2}\n"), "f:6: pod a has no 'node'; add node: n1"},
      {cluster(nodes + "a: {node: n1, count: 0}\n"),
       "f:6: count is '0'; it must be a whole number from 1 to 1000"},
      {cluster(nodes + "a: {node: n1, count: 6}\n"),
       "f:6: the PodCIDR 100.96.1.0/29 of node n1 has no address left; give it a larger one"},
      {cluster(nodes + "a: {node: n1, count: 2, address: 100.96.1.2}\n"),
       "f:6: several pods cannot have one address; leave out address or count"},
      {cluster(nodes + "a: {node: n1, address: 100.96.1.7}\n"),
       "f:6: 100.96.1.7 of pod a is no pod's address in 100.96.1.0/29 of node n1; choose one from "
       "the third to the last but one"},
      {cluster(nodes + "a: {node: n1, address: 100.96.1.2}\n    b: {node: n1, address: addr(a)}\n"),
       "f:7: there is no pod 'a' by then; name it in cluster.pods"},
      {cluster(nodes + "a: {node: n1, address: 100.96.1.2}\n    b: {node: n1, address: "
                       "100.96.1.2}\n"),
       "f:7: pod a of node n1 has the address 100.96.1.2 already; choose another"},
      {cluster(nodes + "c: {node: n1, count: 2}\n    c1: n1\n"),
       "f:7: pod c1 is there already; choose another name"},
  });
}

std::string step(const std::string& inside) {
  return file("steps:\n  - " + inside + "\n");
}

TEST(ParseErrors, OfSteps) {
  expect_errors({
      {file("steps: {at: 1s}"), "f:6: steps is not a list; write '- {at: 1s, ...}' lines"},
      {step("at"), "f:7: a step is not a map; write {at: 1s, delete-node: n2}"},
      {step("{delete-node: n2}"), "f:7: a step has no 'at'; add when, such as at: 1s"},
      {step("{at: 1s}"), "f:7: a step without an action; add one such as delete-node: n2"},
      {step("{at: 1.5s, delete-node: n2}"),
       "f:7: at: '1.5s' is not a time; write a whole number with its unit, such as 500ms, 3s, 2m "
       "or 1h"},
      {step("{at: -1s, delete-node: n2}"),
       "f:7: at: '-1s' is not a time; write a whole number with its unit, such as 500ms, 3s, 2m "
       "or 1h"},
      {step("{at: 101h, delete-node: n2}"), "f:7: at: '101h' is too long; at most 100h"},
      {step("{at: 1s, delete-nod: n2}"),
       "f:7: unknown action 'delete-nod'; did you mean 'delete-node'?"},
      {step("{at: 1s, delete-node: n2, delete-pod: a}"),
       "f:7: two actions in one step, delete-node and delete-pod; write a step for each"},
      {step("{at: 1s, delete-node: n9}"), "f:7: there is no node 'n9' by then; did you mean 'n1'?"},
      {step("{at: 1s, delete-node: [n1, n2]}"),
       "f:7: delete-node names 2 of what it is done to; name 1"},
      {step("{at: 1s, swap-addresses: [n1, n1]}"),
       "f:7: swap-addresses names 'n1' twice; name another"},
      {step("{at: 1s, delete-node: n2, for: 2s}"),
       "f:7: delete-node happens at once; leave out 'for'"},
      {step("{at: 1s, delay: [n1, api], by: 1s, for: 1s}"),
       "f:7: delay is of packets between nodes; of the API's connections write partition or "
       "api-stall"},
      {step("{at: 1s, partition: [n1, api]}"),
       "f:7: partition has no 'for'; add how long, such as for: 2s"},
      {step("{at: 1s, partition: [n1, api], for: 0s}"),
       "f:7: partition lasts no time; write a longer 'for'"},
      {step("{at: 1s, kill: n1, restart: 1s}"), "f:7: 'n1' is no agent; write agent@NODE"},
      {step("{at: 1s, kill: agent@n1}"),
       "f:7: a step with kill has no 'restart'; add restart: 500ms"},
      {step("{at: 1s, kill: agent@n1, restart: 1s, fro: 1s}"),
       "f:7: unknown key 'fro' in a step with kill; did you mean 'for'?"},
      {step("{at: 1s, loss: n1, permille: 1001, for: 1s}"),
       "f:7: permille is '1001'; it must be a whole number from 1 to 1000"},
      {step("{at: 1s, api-status: api, status: 429, retry-after: 61m, for: 1s}"),
       "f:7: retry-after is 61m; it must be whole seconds, and at most 1h"},
      {step("{at: 1s, api-status: api, status: 429, retry-after: 500ms, for: 1s}"),
       "f:7: retry-after is 500ms; it must be whole seconds, and at most 1h"},
      {step("{at: 1s, api-outage: api, retry-after: 1s, for: 1s}"),
       "f:7: unknown key 'retry-after' in a step with api-outage; leave it out"},
      {step("{at: 1s, api-compact: n1}"),
       "f:7: api-compact is done to nothing; write api-compact: {}"},
      {step("{at: 1s, add-node: n2}"), "f:7: node n2 is there already at 1s; delete it first"},
      {step("{at: 1s, add-node: {n4: {}, n5: {}}}"),
       "f:7: add-node is about exactly one; write add-node: {NAME: ...}"},
      {step("{at: 1s, change-node: {n1: {}}}"),
       "f:7: change-node changes nothing; give it another ip or podCIDR"},
      {step("{at: 1s, hostile-node: evil, kind: rude}"),
       "f:7: kind is 'rude'; it must be one of: pod-cidr-of-another, outside-overlay, not-unicast, "
       "address-of-another, unreadable"},
      {step("{at: 1s, upgrade: agent@n2, release: 9.9.9, restart: 1s}"),
       "f:7: release is '9.9.9'; it must be one of: 0.1.0"},
      {step("{at: 1s, upgrade: agent@n3, release: 0.1.0, restart: 1s}"),
       "f:7: release 0.1.0 left nothing on n3 as it is here; it did on n3 at 172.20.0.13 with "
       "100.96.3.0/24"},
      {step("{at: 1s, hostile-node: n1, kind: unreadable}"),
       "f:7: there is a node n1 already; a hostile one needs a name of its own"},
      {step("{at: 1s, add-pod: {a: n2}}"), "f:7: pod a is there already; choose another name"},
      {step("{at: 1s, move-pod: {z: n2}}"), "f:7: there is no pod 'z' by then; did you mean 'a'?"},
      {step("{at: 2s, partition: n4, for: 1s}\n  - {at: 3s, add-node: n4}"),
       "f:7: there is no node 'n4' by then; did you mean 'n1'?"},
  });
}

std::string expectation(const std::string& inside) {
  return file("expect:\n  - " + inside + "\n");
}

TEST(ParseErrors, OfExpectations) {
  expect_errors({
      {expectation("{connect: \"a -> b\"}"),
       "f:7: an expectation needs exactly one of within, always and finally"},
      {expectation("{within: 1s}"),
       "f:7: an expectation of nothing; add a condition such as connect: \"a -> b\""},
      {expectation("{within: 1s, conect: \"a -> b\"}"),
       "f:7: unknown key 'conect' in an expectation; did you mean 'connect'?"},
      {expectation("{within: 1s, connect: \"a b\"}"),
       "f:7: 'a b' is no pair of pods; write pairs such as \"a -> b*\""},
      {expectation("{within: 1s, connect: \"a -> z\"}"),
       "f:7: there is no pod 'z' by then; did you mean 'a'?"},
      {expectation("{within: 1s, connect: \"a -> z*\"}"),
       "f:7: no pod is called 'z*' at that time; name some in cluster.pods"},
      {expectation("{within: 1s, connect: \"a -> a\"}"),
       "f:7: 'a -> a' adds no pair of two pods; name two, and each pair once"},
      {expectation("{within: 1s, connect: []}"),
       "f:7: no pairs of pods; write pairs such as \"a -> b*\""},
      {expectation("{always: \"a -> b\"}"),
       "f:7: an expectation has no 'max-dark'; add max-dark: 500ms"},
      {expectation("{finally: quiet}"),
       "f:7: finally is neither converged nor conditions; write finally: converged"},
      {expectation("{within: 1s, fdb: {node: n1, mac: mac(n2)}}"),
       "f:7: fdb has no 'dst'; add dst: ip(n2), or dst: none"},
      {expectation("{within: 1s, fdb: {node: n1, mac: mac(n7), dst: none}}"),
       "f:7: there is no node 'n7' by then; did you mean 'n1'?"},
      {expectation("{within: 1s, fdb: {node: n1, mac: ip(n2), dst: none}}"),
       "f:7: mac is 'ip(n2)'; write a MAC such as 00:53:64:60:02:00, or mac(NODE)"},
      {expectation("{within: 1s, route: {node: n1, to: podCIDR(n2), present: maybe}}"),
       "f:7: present must be true or false"},
      {expectation("{within: 1s, converged: false}"),
       "f:7: converged must be true; say otherwise what is not"},
      {expectation("{finally: converged, foreign: changed}"), "f:7: foreign must be untouched"},
      {file("steps:\n  - {at: 1s, expect: {within: 1s}}"),
       "f:7: an expectation beside other keys; write a step of its own: {expect: {...}}"},
      {file("steps:\n  - {expect: {within: 1s, from: 1s, ready: n1}}"),
       "f:7: unknown key 'from' in an expectation; leave it out"},
  });
}

RC_GTEST_PROP(Parse, AnyTextIsReadOrRefused, ()) {
  const std::string alphabet = "{}[],:-&*!|>'\"%@`#? \n\tab1";
  const auto text = *rc::gen::container<std::string>(rc::gen::elementOf(alphabet));
  const Result<Scenario> read = parse_scenario(text, "f");
  RC_ASSERT(!read.has_value());
  RC_ASSERT(read.error().context.starts_with("f:"));
}

}  // namespace
}  // namespace vxmesh
