#include "sim/scenario/write.h"

#include <algorithm>
#include <utility>

#include "sim/scenario/text.h"

namespace vxmesh {
namespace {

// In double quotes; the text has no control characters.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + '"';
}

// A name, which YAML may take for nothing at all.
std::string name_text(const std::string& name) {
  return name == "null" ? quoted(name) : name;
}

// "{a: 1, b: 2}", put together key by key.
class FlowMap {
 public:
  FlowMap& add(std::string_view key, const std::string& value) {
    text_ += (text_.empty() ? "" : ", ") + std::string(key) + ": " + value;
    return *this;
  }
  [[nodiscard]] std::string text() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

std::string flow_list(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) {
    text += (text.empty() ? "" : ", ") + item;
  }
  return items.size() == 1 ? text : "[" + text + "]";
}

std::string node_text(const std::optional<IpAddress>& ip, const std::optional<IpPrefix>& pod_cidr) {
  FlowMap map;
  if (ip) {
    map.add("ip", format(*ip));
  }
  if (pod_cidr) {
    map.add("podCIDR", format(*pod_cidr));
  }
  return map.text();
}

std::string pod_text(const std::string& node, const IpAddress& address) {
  return FlowMap().add("node", name_text(node)).add("address", format(address)).text();
}

std::string cluster_text(const ClusterSpec& cluster) {
  std::string text = "cluster:\n  overlay: " + format(cluster.overlay) +
                     "\n  underlay-mtu: " + std::to_string(cluster.underlay_mtu) + "\n  nodes:\n";
  for (const NodeSpec& node : cluster.nodes) {
    text += "    " + name_text(node.name) + ": " + node_text(node.ip, node.pod_cidr) + "\n";
  }
  if (!cluster.pods.empty()) {
    text += "  pods:\n";
  }
  for (const PodSpec& pod : cluster.pods) {
    text += "    " + name_text(pod.name) + ": " + pod_text(pod.node, pod.address) + "\n";
  }
  return text;
}

std::string target_text(TargetKind kind, const std::string& target) {
  const bool is_agent = kind == TargetKind::Agent || (kind == TargetKind::Api && target != "api");
  return is_agent ? "agent@" + target : name_text(target);
}

// What stands behind an action's name.
std::string done_to(const Action& action) {
  const std::string name = action.targets.empty() ? "" : name_text(action.targets.front());
  switch (action.kind) {
    case ActionKind::AddNode:
    case ActionKind::ChangeNode:
      return FlowMap().add(name, node_text(action.ip, action.pod_cidr)).text();
    case ActionKind::AddPod:
    case ActionKind::MovePod:
      return FlowMap().add(name, pod_text(action.node, *action.address)).text();
    default: break;
  }
  const TargetKind kind = rule_of(action.kind).target;
  if (kind == TargetKind::None) {
    return "{}";
  }
  std::vector<std::string> targets;
  for (const std::string& target : action.targets) {
    targets.push_back(target_text(kind, target));
  }
  return flow_list(targets);
}

std::string step_text(const Step& step) {
  const ActionRule& rule = rule_of(step.action.kind);
  FlowMap map;
  map.add("at", format_time(step.at)).add(rule.name, done_to(step.action));
  if (!rule.amount.empty()) {
    map.add(rule.amount, format_amount(amount_rule(rule.amount), step.action.amount));
  }
  if (!rule.delay.empty()) {
    map.add(rule.delay, format_time(step.action.delay));
  }
  if (step.action.retry_after) {
    map.add("retry-after", format_time(*step.action.retry_after));
  }
  if (step.lasts) {
    map.add("for", format_time(*step.lasts));
  }
  return map.text();
}

std::string pairs_text(const ExpectConnect& connect) {
  std::vector<std::string> pairs;
  for (const auto& [from, to] : connect.pairs) {
    std::string pair = from;
    pair.append(" -> ").append(to);
    pairs.push_back(quoted(pair));
  }
  return flow_list(pairs);
}

// The key and the value of a condition.
struct ConditionText {
  FlowMap& map;

  void operator()(const ExpectFdb& fdb) {
    map.add("fdb", FlowMap()
                       .add("node", name_text(fdb.node))
                       .add("mac", quoted(format(fdb.mac)))
                       .add("dst", fdb.dst ? format(*fdb.dst) : "none")
                       .text());
  }
  void operator()(const ExpectNeighbour& neighbour) {
    map.add("neighbour", FlowMap()
                             .add("node", name_text(neighbour.node))
                             .add("address", format(neighbour.address))
                             .add("mac", neighbour.mac ? quoted(format(*neighbour.mac)) : "none")
                             .text());
  }
  void operator()(const ExpectRoute& route) {
    map.add("route", FlowMap()
                         .add("node", name_text(route.node))
                         .add("to", format(route.destination))
                         .add("present", route.present ? "true" : "false")
                         .text());
  }
  void operator()(const ExpectConnect& connect) {
    map.add(connect.refused ? "no-connect" : "connect", pairs_text(connect));
  }
  void operator()(const ExpectReady& ready) {
    map.add(ready.ready ? "ready" : "not-ready", name_text(ready.node));
  }
  void operator()(const ExpectConverged& /*converged*/) { map.add("converged", "true"); }
  void operator()(const ExpectForeignUntouched& /*foreign*/) { map.add("foreign", "untouched"); }
};

std::string expectation_text(const Expectation& expectation, Duration end) {
  FlowMap map;
  switch (expectation.when) {
    case Expectation::When::Always:
      map.add("always", pairs_text(std::get<ExpectConnect>(expectation.condition)))
          .add("max-dark", format_time(expectation.max_dark));
      break;
    case Expectation::When::Within:
      map.add("within", format_time(expectation.within));
      std::visit(ConditionText{map}, expectation.condition);
      break;
    case Expectation::When::Finally:
      if (std::holds_alternative<ExpectConverged>(expectation.condition)) {
        return map.add("finally", "converged").text();
      }
      FlowMap inner;
      std::visit(ConditionText{inner}, expectation.condition);
      return map.add("finally", inner.text()).text();
  }
  const bool within = expectation.when == Expectation::When::Within;
  if (expectation.from != (within ? end : Duration{})) {
    map.add("from", format_time(expectation.from));
  }
  return map.text();
}

std::string head_text(const Scenario& scenario) {
  std::string text = "scenario: " + name_text(scenario.name) + "\n";
  if (!scenario.about.empty()) {
    text += "about: " + quoted(scenario.about) + "\n";
  }
  if (!scenario.backends.empty()) {
    text += "backends:\n";
  }
  for (const std::string& backend : scenario.backends) {
    const std::size_t colon = backend.find(": ");
    text += "  " + backend.substr(0, colon) + ": " + quoted(backend.substr(colon + 2)) + "\n";
  }
  return text;
}

}  // namespace

std::string write_scenario(const Scenario& scenario) {
  std::string text = head_text(scenario) + cluster_text(scenario.cluster);
  if (!scenario.steps.empty()) {
    text += "steps:\n";
  }
  for (const Step& step : scenario.steps) {
    text += "  - " + step_text(step) + "\n";
  }
  if (!scenario.expectations.empty()) {
    text += "expect:\n";
  }
  const Duration end = end_of(scenario);
  for (const Expectation& expectation : scenario.expectations) {
    text += "  - " + expectation_text(expectation, end) + "\n";
  }
  return text;
}

}  // namespace vxmesh
