// RapidCheck generators of valid scenarios.
#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/scenario/releases.h"
#include "sim/scenario/scenario.h"
#include "sim/scenario/text.h"

namespace vxmesh::generate {

inline bool one_in(int n) {
  return *rc::gen::inRange(0, n) == 0;
}

inline Duration time_up_to(std::int64_t most_ms) {
  const auto ms = *rc::gen::inRange<std::int64_t>(0, most_ms);
  return one_in(10) ? Duration{ms} : Duration{std::chrono::milliseconds{ms}};
}

template <typename Map>
std::string key_of(const Map& map) {
  const auto at = *rc::gen::inRange<std::size_t>(0, map.size());
  return std::next(map.begin(), static_cast<std::ptrdiff_t>(at))->first;
}

// Draws a scenario step by step, and keeps what is there so that each step is a valid one.
class ScenarioDraw {
 public:
  Scenario draw() {
    scenario_.name = *rc::gen::element<std::string>("null", "a", "vtep-ip-reuse", "0");
    scenario_.about = *rc::gen::element<std::string>("", "A node's \"name\" \\ comes back: twice.",
                                                     "- {x: y} # \xc3\xa4", " ");
    if (one_in(4)) {
      scenario_.backends = {"lab: \"it\" has: no such card"};
    }
    draw_cluster();
    Duration at{};
    for (int i = *rc::gen::inRange(0, 12); i > 0; --i) {
      at += time_up_to(3000);
      draw_step(at);
    }
    for (int i = *rc::gen::inRange(0, 6); i > 0; --i) {
      scenario_.expectations.push_back(draw_expectation());
    }
    return scenario_;
  }

 private:
  void draw_cluster() {
    ClusterSpec& cluster = scenario_.cluster;
    cluster.overlay = IpPrefix::containing(IpAddress::v4(0x64600000), 12);
    cluster.underlay_mtu = *rc::gen::element(1500U, 9000U, 626U);
    const int nodes = *rc::gen::inRange(1, 6);
    for (int i = 0; i < nodes; ++i) {
      const std::string name = i == 3 ? "null" : "n" + std::to_string(i);
      cluster.nodes.push_back({.name = name, .ip = new_address(), .pod_cidr = new_pod_cidr()});
      nodes_[name] = cluster.nodes.back();
    }
    for (int i = *rc::gen::inRange(0, 6); i > 0; --i) {
      if (const PodSpec pod = new_pod(); add(pod)) {
        cluster.pods.push_back(pod);
      }
    }
  }

  IpAddress new_address() { return IpAddress::v4(0xac140000U + ++count_); }
  IpPrefix new_pod_cidr() {
    const auto length = *rc::gen::element<std::uint8_t>(24, 25, 29);
    return IpPrefix::containing(IpAddress::v4(0x64600000U + 256 * ++count_), length);
  }
  PodSpec new_pod() {
    const std::string node = key_of(nodes_);
    const std::uint32_t base = nodes_.at(node).pod_cidr.base().v4_bits();
    return {.name = "p" + std::to_string(*rc::gen::inRange(0, 8)),
            .node = node,
            .address = IpAddress::v4(base + *rc::gen::inRange(2U, 7U))};
  }
  // Unless the name or the address is taken.
  bool add(const PodSpec& pod) {
    const auto clashes = [&](const auto& other) {
      return other.second.node == pod.node && other.second.address == pod.address;
    };
    if (std::ranges::any_of(pods_, clashes) || !pods_.emplace(pod.name, pod).second) {
      return false;
    }
    all_pods_.insert(pod.name);
    return true;
  }

  void draw_step(Duration at) {
    const auto kind = *rc::gen::inRange<std::size_t>(0, action_rules().size());
    const ActionRule& rule = action_rules().at(kind);
    Step step{.at = at, .action = {.kind = rule.kind}};
    if (rule.lasts == ActionRule::Lasts::Must) {
      step.lasts = time_up_to(5000) + Duration{1};
    }
    if (!rule.amount.empty()) {
      const AmountRule& amount = amount_rule(rule.amount);
      step.action.amount = *rc::gen::inRange(amount.min, amount.max + 1);
    }
    if (!rule.delay.empty()) {
      step.action.delay = time_up_to(60000) * (rule.kind == ActionKind::ClockStep ? -1 : 1);
    }
    if (rule.kind == ActionKind::ApiStatus && one_in(2)) {
      step.action.retry_after = std::chrono::seconds(*rc::gen::inRange(0, 3601));
    }
    if (draw_targets(rule, step.action)) {
      scenario_.steps.push_back(step);
    }
  }

  // False: there is nothing now that it could be done to.
  bool draw_targets(const ActionRule& rule, Action& action) {
    switch (rule.target) {
      case TargetKind::None: return true;
      case TargetKind::NewNode: return draw_new_node(action);
      case TargetKind::Pod: return !pods_.empty() && draw_pod(action);
      case TargetKind::NewPod: return !nodes_.empty() && draw_placed(action, new_pod());
      default: return !nodes_.empty() && draw_nodes(rule, action);
    }
  }

  bool draw_new_node(Action& action) {
    action.targets = {"m" + std::to_string(++count_)};
    if (action.kind == ActionKind::AddNode) {
      action.ip = one_in(3) ? all_nodes().begin()->ip : new_address();
      action.pod_cidr = one_in(3) ? all_nodes().begin()->pod_cidr : new_pod_cidr();
      nodes_[action.targets[0]] = {action.targets[0], *action.ip, *action.pod_cidr};
    }
    return true;
  }

  bool draw_pod(Action& action) {
    const std::string name = key_of(pods_);
    action.targets = {name};
    if (action.kind == ActionKind::DeletePod) {
      pods_.erase(name);
    } else if (action.kind == ActionKind::MovePod) {
      PodSpec pod = new_pod();
      pod.name = name;
      const PodSpec before = pods_.at(name);
      pods_.erase(name);
      if (!draw_placed(action, pod)) {
        pods_[name] = before;
        return false;
      }
    }
    return true;
  }

  bool draw_placed(Action& action, const PodSpec& pod) {
    action.targets = {pod.name};
    action.node = pod.node;
    action.address = pod.address;
    return add(pod);
  }

  bool draw_nodes(const ActionRule& rule, Action& action) {
    std::vector<std::string> names;
    for (const auto& [name, node] : nodes_) {
      if (action.kind != ActionKind::Upgrade || is_recorded(node, action.amount)) {
        names.push_back(name);
      }
    }
    if (rule.target == TargetKind::End || rule.target == TargetKind::Api) {
      names.emplace_back("api");
    }
    const auto least = std::size_t{rule.min_targets};
    const std::size_t most = std::min(std::size_t{rule.max_targets}, names.size());
    if (names.empty() || most < least) {
      return false;
    }
    std::rotate(names.begin(),
                names.begin() + *rc::gen::inRange<std::ptrdiff_t>(0, std::ssize(names)),
                names.end());
    names.resize(*rc::gen::inRange(least, most + 1));
    action.targets = names;
    apply_to_nodes(action);
    return true;
  }

  static bool is_recorded(const NodeSpec& node, std::uint64_t release) {
    const Recording* recording = releases().at(release).recording(node.name);
    return recording != nullptr && recording->node == node;
  }

  void apply_to_nodes(Action& action) {
    const std::string& name = action.targets.front();
    if (action.kind == ActionKind::DeleteNode) {
      nodes_.erase(name);
      std::erase_if(pods_, [&](const auto& pod) { return pod.second.node == name; });
    } else if (action.kind == ActionKind::ChangeNode) {
      action.ip = new_address();
      nodes_[name].ip = *action.ip;
      if (one_in(2)) {
        action.pod_cidr = new_pod_cidr();
        nodes_[name].pod_cidr = *action.pod_cidr;
      }
    }
  }

  [[nodiscard]] const std::vector<NodeSpec>& all_nodes() const { return scenario_.cluster.nodes; }

  std::vector<std::pair<std::string, std::string>> draw_pairs() {
    const std::string first = *all_pods_.begin();
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const std::string& name : all_pods_) {
      if (name != first && (pairs.empty() || one_in(2))) {
        pairs.emplace_back(first, name);
      }
    }
    return pairs;
  }

  Condition draw_condition() {
    const NodeSpec& node = *rc::gen::elementOf(all_nodes());
    const MacAddress mac = vtep_mac(node.pod_cidr, scenario_.cluster.overlay);
    switch (*rc::gen::inRange(0, 7)) {
      case 0: return ExpectFdb{node.name, mac, one_in(2) ? std::optional(node.ip) : std::nullopt};
      case 1:
        return ExpectNeighbour{node.name, node.ip, one_in(2) ? std::optional(mac) : std::nullopt};
      case 2: return ExpectRoute{node.name, node.pod_cidr, one_in(2)};
      case 3: return ExpectReady{node.name, one_in(2)};
      case 4: return ExpectForeignUntouched{};
      case 5:
        return all_pods_.size() < 2 ? Condition{ExpectConverged{}}
                                    : ExpectConnect{draw_pairs(), one_in(2)};
      default: return ExpectConverged{};
    }
  }

  Expectation draw_expectation() {
    if (one_in(2)) {
      return {.when = Expectation::When::Finally, .condition = draw_condition()};
    }
    const Duration from = one_in(2) ? end_of(scenario_) : time_up_to(5000);
    if (one_in(3) && all_pods_.size() >= 2) {
      return {.when = Expectation::When::Always,
              .from = from,
              .max_dark = time_up_to(2000),
              .condition = ExpectConnect{draw_pairs(), false}};
    }
    return {.when = Expectation::When::Within,
            .from = from,
            .within = time_up_to(5000),
            .condition = draw_condition()};
  }

  Scenario scenario_;
  std::uint32_t count_ = 0;  // of addresses, PodCIDRs and names made so far
  std::map<std::string, NodeSpec> nodes_;
  std::map<std::string, PodSpec> pods_;
  std::set<std::string> all_pods_;  // that ever were
};

inline rc::Gen<Scenario> scenario() {
  return rc::gen::exec([] { return ScenarioDraw().draw(); });
}

}  // namespace vxmesh::generate
