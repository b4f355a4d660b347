#include "sim/scenario/compile.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "sim/scenario/pretty_json.h"

namespace vxmesh {
namespace {

namespace json = boost::json;

template <typename Value>
json::value text_or_null(const std::optional<Value>& value) {
  return value ? json::value(format(*value)) : json::value(nullptr);
}

json::object backends_json(const std::vector<std::string>& backends) {
  json::object object;
  for (const std::string& backend : backends) {
    const std::size_t colon = backend.find(": ");
    object[backend.substr(0, colon)] = backend.substr(colon + 2);
  }
  return object;
}

json::object cluster_json(const ClusterSpec& cluster) {
  json::array nodes;
  for (const NodeSpec& node : cluster.nodes) {
    nodes.push_back(json::object{{"name", node.name},
                                 {"ip", format(node.ip)},
                                 {"podCIDR", format(node.pod_cidr)},
                                 {"mac", format(vtep_mac(node.pod_cidr, cluster.overlay))}});
  }
  json::array pods;
  for (const PodSpec& pod : cluster.pods) {
    pods.push_back(
        json::object{{"name", pod.name}, {"node", pod.node}, {"address", format(pod.address)}});
  }
  return {{"overlay", format(cluster.overlay)},
          {"underlay_mtu", cluster.underlay_mtu},
          {"nodes", nodes},
          {"pods", pods}};
}

json::object step_json(const Step& step) {
  const Action& action = step.action;
  const ActionRule& rule = rule_of(action.kind);
  json::object object{{"line", step.line},
                      {"at_ns", step.at.count()},
                      {"action", rule.name},
                      {"targets", json::array(action.targets.begin(), action.targets.end())}};
  if (action.ip) {
    object["ip"] = format(*action.ip);
  }
  if (action.pod_cidr) {
    object["podCIDR"] = format(*action.pod_cidr);
  }
  if (!action.node.empty()) {
    object["node"] = action.node;
  }
  if (action.address) {
    object["address"] = format(*action.address);
  }
  if (!rule.amount.empty()) {
    object[rule.amount] = action.amount;
  }
  if (!rule.delay.empty()) {
    object[std::string(rule.delay) + "_ns"] = action.delay.count();
  }
  if (action.retry_after) {
    object["retry_after_ns"] = action.retry_after->count();
  }
  if (step.lasts) {
    object["for_ns"] = step.lasts->count();
  }
  object["story"] = describe(step);
  return object;
}

// A condition's name, as in files, and what it says.
struct ConditionJson {
  json::object& object;

  void operator()(const ExpectFdb& fdb) const {
    object["fdb"] = {{"node", fdb.node}, {"mac", format(fdb.mac)}, {"dst", text_or_null(fdb.dst)}};
  }
  void operator()(const ExpectNeighbour& neighbour) const {
    object["neighbour"] = {{"node", neighbour.node},
                           {"address", format(neighbour.address)},
                           {"mac", text_or_null(neighbour.mac)}};
  }
  void operator()(const ExpectRoute& route) const {
    object["route"] = {
        {"node", route.node}, {"to", format(route.destination)}, {"present", route.present}};
  }
  void operator()(const ExpectConnect& connect) const {
    json::array pairs;
    for (const auto& [from, to] : connect.pairs) {
      pairs.push_back(json::array{from, to});
    }
    object[connect.refused ? "no-connect" : "connect"] = pairs;
  }
  void operator()(const ExpectReady& ready) const {
    object[ready.ready ? "ready" : "not-ready"] = ready.node;
  }
  void operator()(const ExpectConverged& /*converged*/) const { object["converged"] = true; }
  void operator()(const ExpectForeignUntouched& /*foreign*/) const {
    object["foreign"] = "untouched";
  }
};

json::object expectation_json(const Expectation& expectation) {
  json::object object{{"line", expectation.line}};
  switch (expectation.when) {
    case Expectation::When::Within:
      object["when"] = "within";
      object["from_ns"] = expectation.from.count();
      object["within_ns"] = expectation.within.count();
      break;
    case Expectation::When::Always:
      object["when"] = "always";
      object["from_ns"] = expectation.from.count();
      object["max_dark_ns"] = expectation.max_dark.count();
      break;
    case Expectation::When::Finally: object["when"] = "finally"; break;
  }
  std::visit(ConditionJson{object}, expectation.condition);
  return object;
}

}  // namespace

std::string compile_json(const Scenario& scenario) {
  json::array steps;
  for (const Step& step : scenario.steps) {
    steps.push_back(step_json(step));
  }
  json::array expectations;
  for (const Expectation& expectation : scenario.expectations) {
    expectations.push_back(expectation_json(expectation));
  }
  return pretty_json(json::object{{"scenario", scenario.name},
                                  {"about", scenario.about},
                                  {"backends", backends_json(scenario.backends)},
                                  {"cluster", cluster_json(scenario.cluster)},
                                  {"steps", steps},
                                  {"expectations", expectations},
                                  {"end_ns", end_of(scenario).count()}});
}

}  // namespace vxmesh
