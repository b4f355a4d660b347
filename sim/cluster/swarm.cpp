#include "sim/cluster/swarm.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "sim/fabric/host.h"
#include "sim/scenario/cast.h"
#include "sim/world/prng.h"

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kMostOfAKind = 3;
// Of quartz in computers, at the worst.
constexpr std::uint64_t kMostSkewPpm = 200;
// An outage in which something is written that the agents then have missed, and the time in which
// they are back and have listed.
constexpr Duration kCutOff = seconds(1);
constexpr Duration kRelist = seconds(10);
// Lists that come within 5 s of the outage meet a cache that is behind what their agents have seen
// of another by more than a server waits: two thirds of this.
constexpr Duration kFarBehind = seconds(20);
// A watch has failed three times by then (WatchSessionOptions::failed_watches_max), behind
// back-offs of up to 2, 4 and 8 s.
constexpr Duration kThreeWatches = seconds(20);
// At least so many operations of a thousand, so that what is tried again is late.
constexpr std::uint64_t kManyRefused = 800;
// Less than the pods of a default cluster that others talk to: some have to go.
constexpr std::size_t kFewNeighbours = 24;
// Node number i has 172.20.0.0 + 10 + i, and 100.96.0.0/24 + i.
constexpr std::uint32_t kFirstIp = 0xac14000a;
constexpr std::uint32_t kFirstPodCidr = 0x64600000;

NodeSpec node_of(std::uint32_t number) {
  return {.name = "n" + std::to_string(number),
          .ip = IpAddress::v4(kFirstIp + number),
          .pod_cidr = IpPrefix::containing(IpAddress::v4(kFirstPodCidr + (number << 8U)), 24)};
}

class Drawing {
 public:
  explicit Drawing(const SwarmOptions& options) : options_(options), prng_(options.seed) {}

  Scenario draw() {
    scenario_.name = "seed-" + std::to_string(options_.seed);
    scenario_.about = "Drawn from a seed.";
    scenario_.cluster.overlay = IpPrefix::containing(IpAddress::v4(kFirstPodCidr), 12);
    for (std::uint32_t i = 1; i <= options_.nodes; ++i) {
      scenario_.cluster.nodes.push_back(node_of(i));
    }
    for (std::uint32_t i = 0; i < options_.pods; ++i) {
      const NodeSpec& node = scenario_.cluster.nodes[i % options_.nodes];
      scenario_.cluster.pods.push_back(
          {.name = "p" + std::to_string(i + 1),
           .node = node.name,
           .address = address_at(node.pod_cidr, 2 + i / options_.nodes)});
    }
    for (const ActionRule& rule : action_rules()) {
      draw_kind(rule);
    }
    std::stable_sort(scenario_.steps.begin(), scenario_.steps.end(),
                     [](const Step& a, const Step& b) { return a.at < b.at; });
    fit_to_cast();
    return scenario_;
  }

 private:
  void draw_kind(const ActionRule& rule) {
    Prng drawn = prng_.split(rule.name);
    const bool wanted = drawn.chance(1, 4);
    const std::uint64_t count = drawn.between(1, kMostOfAKind);
    if (!wanted || !is_drawn(rule.kind, options_.faults)) {
      return;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      Prng one = drawn.split(std::to_string(i));
      Step step{.action = {.kind = rule.kind}};
      step.at =
          milliseconds(one.below(static_cast<std::uint64_t>(options_.lasts / milliseconds(1))));
      if (rule.lasts == ActionRule::Lasts::Must) {
        const bool is_long = one.chance(1, 4);
        const std::uint64_t shortest = is_long ? 5'000 : 100;
        const std::uint64_t longest = is_long ? 60'000 : 5'000;
        step.lasts = milliseconds(one.between(shortest, longest));
      }
      draw_targets(rule, one, step.action);
      draw_numbers(rule, one, step.action);
      draw_specs(one, step);
      if (options_.faults == FaultMix::Swarm && one.chance(1, 2)) {
        draw_company(one, step);
      }
      scenario_.steps.push_back(std::move(step));
    }
  }

  // What makes a fault matter, which by chance would seldom come while it lasts.
  void draw_company(Prng& drawn, Step& step) {
    const Duration soon = milliseconds(drawn.between(1, 100));
    switch (step.action.kind) {
      case ActionKind::LoseEvents:
        step.action.amount = std::max<std::uint64_t>(step.action.amount, 1);
        scenario_.steps.push_back(
            {.at = step.at + soon,
             .action = {.kind = ActionKind::ForeignNeighbour, .targets = step.action.targets}});
        break;
      case ActionKind::LoseAnswers:
      case ActionKind::FailOperations:
        scenario_.steps.push_back({.at = step.at + soon,
                                   .action = {.kind = ActionKind::ChangeNode,
                                              .targets = {some_node(drawn)},
                                              .ip = node_of(next_node_++).ip}});
        break;
      case ActionKind::FailSomeOperations:  // one plan for several nodes
        step.action.amount = std::max(step.action.amount, kManyRefused);
        for (std::uint64_t i = drawn.between(2, 4); i > 0; --i) {
          const NodeSpec fresh = node_of(next_node_++);
          scenario_.steps.push_back({.at = step.at + soon,
                                     .action = {.kind = ActionKind::AddNode,
                                                .targets = {fresh.name},
                                                .ip = fresh.ip,
                                                .pod_cidr = fresh.pod_cidr}});
        }
        break;
      case ActionKind::FailDumps:
      case ActionKind::ForeignPeerRoute:  // which a full pass must leave alone
      case ActionKind::TearDumps:         // in one of them there is one
        step.lasts = std::max<Duration>(*step.lasts, seconds(60));
        break;
      case ActionKind::FailFirewall:
        scenario_.steps.push_back(
            {.at = step.at + soon,
             .action = {.kind = ActionKind::Kill, .targets = step.action.targets}});
        break;
      case ActionKind::ApiStale:  // until then the one is not behind the other
        step.action.delay = std::max(step.action.delay, kFarBehind);
        step.lasts = std::max(*step.lasts, step.action.delay + kRelist);
        draw_relist(step.at + step.action.delay, step.action.targets);
        break;
      case ActionKind::ApiReset:
      case ActionKind::ApiEnd: draw_breaks(drawn, step); break;
      case ActionKind::SpoilNodeObject:  // and agents list, that knew it
        step.lasts = std::max(*step.lasts, kRelist);
        draw_relist(step.at + soon, {"api"});
        break;
      case ActionKind::ApiLateDeletes:
        draw_relist_within(step);
        scenario_.steps.push_back(
            {.at = step.at + *step.lasts - soon,
             .action = {.kind = ActionKind::ReplaceNodeObject, .targets = {some_node(drawn)}}});
        break;
      case ActionKind::ReplaceNodeObject:  // while nobody watches, so that all list the new one
        draw_relist(step.at, {"api"});
        step.at += soon;
        scenario_.steps.push_back(
            {.at = step.at + kRelist,
             .action = {.kind = ActionKind::DeleteNode, .targets = step.action.targets}});
        break;
      default:
        if (rule_of(step.action.kind).category == ActionCategory::Api && step.lasts) {
          draw_relist_within(step);
        }
    }
  }

  // Lists that break off, or watches that do so before the first event, again and again.
  void draw_breaks(Prng& drawn, Step& step) {
    if (drawn.chance(1, 2)) {
      step.action.amount = 0;
      step.lasts = std::max<Duration>(*step.lasts, kThreeWatches);
    } else {
      draw_relist_within(step);
    }
  }

  void draw_relist_within(Step& step) {
    step.lasts = std::max(*step.lasts, kRelist);
    draw_relist(step.at, step.action.targets);
  }

  // Agents that run list only if the history that they watch is gone when they come back.
  void draw_relist(Duration at, const std::vector<std::string>& targets) {
    scenario_.steps.push_back({.at = at,
                               .lasts = kCutOff,
                               .action = {.kind = ActionKind::ApiOutage, .targets = targets}});
    scenario_.steps.push_back(
        {.at = at + kCutOff - milliseconds(1), .action = {.kind = ActionKind::ApiCompact}});
  }

  [[nodiscard]] std::string some_node(Prng& drawn) const {
    return scenario_.cluster.nodes[drawn.below(scenario_.cluster.nodes.size())].name;
  }
  [[nodiscard]] std::string some_pod(Prng& drawn) const {
    return scenario_.cluster.pods[drawn.below(scenario_.cluster.pods.size())].name;
  }

  void draw_targets(const ActionRule& rule, Prng& drawn, Action& action) {
    const std::uint64_t count = drawn.between(rule.min_targets, rule.max_targets);
    const bool api = drawn.chance(1, 3);
    for (std::uint64_t i = 0; i < count; ++i) {
      switch (rule.target) {
        case TargetKind::None: break;
        case TargetKind::Node:
        case TargetKind::Agent: action.targets.push_back(some_node(drawn)); break;
        case TargetKind::NewNode:
          action.targets.push_back(rule.kind == ActionKind::HostileNode
                                       ? "x" + std::to_string(++made_)
                                       : node_of(next_node_++).name);
          break;
        case TargetKind::Pod: action.targets.push_back(some_pod(drawn)); break;
        case TargetKind::NewPod: action.targets.push_back("q" + std::to_string(++made_)); break;
        case TargetKind::End:
          action.targets.push_back(api && i == 1 && is_partition(rule.kind) ? "api"
                                                                            : some_node(drawn));
          break;
        case TargetKind::Api: action.targets.push_back(api ? "api" : some_node(drawn)); break;
      }
    }
    if (action.targets.size() == 2 && action.targets[0] == action.targets[1]) {
      action.targets[1] = action.targets[0] == "n1" ? "n2" : "n1";
    }
  }

  static bool is_partition(ActionKind kind) {
    return kind == ActionKind::Partition || kind == ActionKind::PartitionOneWay;
  }

  static void draw_numbers(const ActionRule& rule, Prng& drawn, Action& action) {
    constexpr std::array kErrnos{ENOBUFS, EBUSY, ENOMEM};
    constexpr std::array kStatuses{429, 500, 503, 401, 403, 410, 504};
    const std::uint64_t number = drawn.next();
    if (rule.amount == "permille") {
      action.amount = 50 + number % 600;
    } else if (rule.amount == "errno") {
      action.amount = static_cast<std::uint64_t>(kErrnos.at(number % kErrnos.size()));
    } else if (rule.amount == "status") {
      action.amount = static_cast<std::uint64_t>(kStatuses.at(number % kStatuses.size()));
    } else if (rule.amount == "bytes") {
      action.amount = 600 + number % 1000;
    } else if (rule.amount == "nodes") {
      action.amount = 1 + number % 11;
    } else if (rule.amount == "kind") {
      action.amount = number % 5;
    } else if (rule.amount == "place" || rule.amount == "moment") {
      action.amount = number % (amount_rule(rule.amount).max + 1);
    } else if (!rule.amount.empty()) {
      action.amount = number % 30;
    }
    if (rule.kind == ActionKind::ApiStatus) {
      // Odd as they come: none, at once, and longer than anybody waits.
      constexpr std::array<std::optional<Duration>, 5> kPatience{
          std::nullopt, Duration{}, seconds(1), seconds(30), seconds(3600)};
      action.retry_after = kPatience.at(drawn.below(kPatience.size()));
    }
    if (rule.kind == ActionKind::ClockStep) {
      action.delay = seconds(static_cast<std::int64_t>(drawn.below(7200)) - 3600);
    } else if (rule.kind == ActionKind::Delay) {
      action.delay = milliseconds(drawn.between(1, 80));
    } else if (!rule.delay.empty()) {
      const bool late = drawn.chance(1, 4);
      const std::uint64_t shortest = late ? 2'000 : 10;
      const std::uint64_t longest = late ? 40'000 : 2'000;
      action.delay = milliseconds(drawn.between(shortest, longest));
    }
  }

  void draw_specs(Prng& drawn, Step& step) {
    Action& action = step.action;
    switch (action.kind) {
      case ActionKind::AddNode: draw_new_node(drawn, step); break;
      case ActionKind::ChangeNode:
        if (drawn.chance(1, 2)) {
          action.ip = node_of(next_node_++).ip;
        } else {
          action.pod_cidr = node_of(next_node_++).pod_cidr;
        }
        break;
      case ActionKind::AddPod:
      case ActionKind::MovePod: {
        const NodeSpec& node = scenario_.cluster.nodes[drawn.below(scenario_.cluster.nodes.size())];
        action.node = node.name;
        break;
      }
      default: break;
    }
  }

  // A new node has addresses of its own, or takes the place of one that goes: with its name, its
  // address, its PodCIDR or all of them.
  void draw_new_node(Prng& drawn, Step& step) {
    const NodeSpec fresh = node_of(next_node_ - 1);
    const NodeSpec& other = scenario_.cluster.nodes[drawn.below(scenario_.cluster.nodes.size())];
    Action& action = step.action;
    action.ip = fresh.ip;
    action.pod_cidr = fresh.pod_cidr;
    const std::uint64_t what = drawn.below(8);  // bits: name, address, PodCIDR
    if (what == 0) {
      return;
    }
    // Only its PodCIDR can be another's while that one is still there.
    const bool add_first = what == 4;
    const Duration apart = milliseconds(drawn.below(3000));
    scenario_.steps.push_back(
        {.at = step.at + (add_first ? apart : Duration{}),
         .action = {.kind = ActionKind::DeleteNode, .targets = {other.name}}});
    step.at += add_first ? Duration{} : apart;
    if ((what & 1U) != 0) {
      action.targets = {other.name};
    }
    if ((what & 2U) != 0) {
      action.ip = other.ip;
    }
    if ((what & 4U) != 0) {
      action.pod_cidr = other.pod_cidr;
    }
  }

  // Steps are drawn apart. In the order in which they happen, a node that is there already is not
  // added, and a pod's address is of the PodCIDR that its node has then.
  void fit_to_cast() {
    Cast cast;
    for (const NodeSpec& node : scenario_.cluster.nodes) {
      cast.node_is({}, node);
    }
    for (const PodSpec& pod : scenario_.cluster.pods) {
      cast.pod_is({}, pod);
    }
    std::vector<Step> drawn = std::move(scenario_.steps);
    scenario_.steps.clear();
    for (Step& step : drawn) {
      if (tell(cast, step.at, step.action)) {
        scenario_.steps.push_back(std::move(step));
      }
    }
  }

  // False: the action makes no sense then.
  static bool tell(Cast& cast, Duration at, Action& action) {
    const std::string name = action.targets.empty() ? "" : action.targets.front();
    switch (action.kind) {
      case ActionKind::AddNode:
        if (cast.node_is_there(name, at)) {
          return false;
        }
        cast.node_is(at, {.name = name, .ip = *action.ip, .pod_cidr = *action.pod_cidr});
        break;
      case ActionKind::ChangeNode:
        if (cast.node_is_there(name, at)) {
          NodeSpec node = *cast.node(name, at);
          node.pod_cidr = action.pod_cidr.value_or(node.pod_cidr);
          cast.node_is(at, node);
        }
        break;
      case ActionKind::DeleteNode: cast.node_leaves(at, name); break;
      case ActionKind::DeletePod: cast.pod_leaves(at, name); break;
      case ActionKind::AddPod:
      case ActionKind::MovePod:
        cast.pod_leaves(at, name);
        action.address = cast.free_address(cast.node(action.node, at)->pod_cidr);
        if (!action.address) {
          return false;
        }
        cast.pod_is(at, {.name = name, .node = action.node, .address = *action.address});
        break;
      default: break;
    }
    return true;
  }

  const SwarmOptions options_;
  Prng prng_;
  Scenario scenario_;
  std::uint32_t next_node_ = 200;
  std::uint32_t made_ = 0;
};

}  // namespace

Scenario draw_scenario(const SwarmOptions& options) {
  return Drawing(options).draw();
}

SimulationOptions draw_options(const SwarmOptions& options) {
  Prng drawn = Prng(options.seed).split("options");
  SimulationOptions drawn_options{.seed = options.seed, .lasts = options.lasts};
  drawn_options.max_skew_ppm = static_cast<std::int64_t>(drawn.below(kMostSkewPpm + 1));
  if (drawn.chance(1, 8)) {
    drawn_options.reconciler.max_neighbours = kFewNeighbours;
  }
  return drawn_options;
}

bool is_drawn(ActionKind kind, FaultMix mix) {
  if (kind == ActionKind::Upgrade) {
    return false;  // what was recorded fits one cluster
  }
  const bool is_churn = rule_of(kind).category == ActionCategory::Cluster;
  return mix == FaultMix::Swarm || (mix == FaultMix::Churn && is_churn);
}

}  // namespace vxmesh
