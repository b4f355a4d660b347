#include <algorithm>

#include "sim/scenario/scenario.h"
#include "sim/scenario/text.h"

namespace vxmesh {
namespace {

// "n1 and n3", "n1".
std::string both(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : " and ") + name;
  }
  return text;
}

// "between n1 and n3", "between n1 and everybody".
std::string between(const std::vector<std::string>& names) {
  return "between " + both(names) + (names.size() == 1 ? " and everybody" : "");
}

// "n1's agent" of an action on agents.
std::string agent(const Action& action) {
  return both(action.targets) + "'s agent";
}

// "for all agents", "for n1's agent", of an action on the API.
std::string for_whom(const Action& action) {
  return action.targets == std::vector<std::string>{"api"} ? "for all agents"
                                                           : "for " + agent(action);
}

// "ip 172.20.0.12 and PodCIDR 100.96.2.0/24", what of it there is.
std::string node_values(const Action& action) {
  std::string text = action.ip ? "address " + format(*action.ip) : "";
  if (action.pod_cidr) {
    text += (text.empty() ? "PodCIDR " : " and PodCIDR ") + format(*action.pod_cidr);
  }
  return text;
}

std::string pod_values(const Action& action) {
  return action.node + (action.address ? " with address " + format(*action.address) : "");
}

std::string restarts(const Action& action) {
  return ", and is started again " + format_time(action.delay) + " later";
}

std::string cluster_text(const Action& action, const std::string& names,
                         const std::string& amount) {
  switch (action.kind) {
    case ActionKind::AddNode: return names + " joins with " + node_values(action);
    case ActionKind::DeleteNode: return names + " leaves, host and Node object";
    case ActionKind::DeleteNodeObject: return names + "'s Node object is deleted";
    case ActionKind::RestoreNodeObject: return names + "'s Node object is made again";
    case ActionKind::ReplaceNodeObject:
      return names + "'s Node object is replaced by one with another uid";
    case ActionKind::SpoilNodeObject: return names + "'s Node object cannot be read";
    case ActionKind::ChangeNode: return names + " changes to " + node_values(action);
    case ActionKind::SwapAddresses: return names + " exchange their addresses";
    case ActionKind::HostileNode:
      return "a Node object " + names + " without a host appears (" + amount + ")";
    case ActionKind::AddPod: return "pod " + names + " starts on " + pod_values(action);
    case ActionKind::DeletePod: return "pod " + names + " ends";
    case ActionKind::MovePod: return "pod " + names + " moves to " + pod_values(action);
    case ActionKind::Scan:
      return "pod " + names + " sends to " + amount + " addresses that no pod has";
    case ActionKind::Storm:
      return "pod " + names + " sends " + amount + " packets to every other pod";
    default:
      return "all agents are restarted one after the other, " + format_time(action.delay) +
             " apart";
  }
}

std::string process_text(const Action& action, const std::string& amount) {
  switch (action.kind) {
    case ActionKind::Kill: return agent(action) + " is killed" + restarts(action);
    case ActionKind::CrashAtOperation:
      return agent(action) + " dies behind " + amount + " more netlink operations" +
             restarts(action);
    case ActionKind::CrashAtEvent:
      return agent(action) + " dies behind " + amount + " more events" + restarts(action);
    case ActionKind::Pause: return agent(action) + " gets no CPU";
    case ActionKind::Upgrade:
      return agent(action) + " is one of release " + amount + ", is ended" + restarts(action);
    default: return both(action.targets) + "'s wall clock jumps by " + format_time(action.delay);
  }
}

std::string network_text(const Action& action, const std::string& amount) {
  const std::vector<std::string>& ends = action.targets;
  switch (action.kind) {
    case ActionKind::Partition: return "nothing passes " + between(ends);
    case ActionKind::PartitionOneWay:
      return "nothing passes from " + ends.front() + " to " + ends.back();
    case ActionKind::Loss: return amount + " of 1000 packets " + between(ends) + " are lost";
    case ActionKind::Delay:
      return "packets " + between(ends) + " take " + format_time(action.delay) + " longer";
    case ActionKind::Duplicate: return amount + " of 1000 packets " + between(ends) + " come twice";
    case ActionKind::Reorder:
      return amount + " of 1000 packets " + between(ends) + " are overtaken";
    default: return "packets longer than " + amount + " bytes " + between(ends) + " are lost";
  }
}

std::string api_text(const Action& action, const std::string& amount) {
  switch (action.kind) {
    case ActionKind::ApiOutage: return "the API server is down " + for_whom(action);
    case ActionKind::ApiStatus: {
      const std::string patience =
          action.retry_after ? " with Retry-After " + format_time(*action.retry_after) : "";
      return "the API server answers " + amount + patience + " " + for_whom(action);
    }
    case ActionKind::ApiReset:
      return "the API server's answers break off behind " + amount + " items " + for_whom(action);
    case ActionKind::ApiStall:
      return "the API server's answers stall behind " + amount + " items " + for_whom(action);
    case ActionKind::ApiEnd:
      return "the API server's watches end behind " + amount + " events " + for_whom(action);
    case ActionKind::ApiCompact: return "the API server forgets its history";
    case ActionKind::ApiStale:
      return "the API server is " + format_time(action.delay) + " behind " + for_whom(action);
    case ActionKind::ApiSmallPages:
      return "the API server's pages have " + amount + " Nodes at most " + for_whom(action);
    case ActionKind::ApiPartialLists:
      return "the API server's lists break off behind " + amount + " Nodes " + for_whom(action);
    case ActionKind::ApiEmptyList: return "the API server lists no Nodes " + for_whom(action);
    case ActionKind::ApiLateBookmarks:
      return "the API server's bookmarks come " + format_time(action.delay) + " late " +
             for_whom(action);
    case ActionKind::ApiLateDeletes:
      return "the API server's watches bring Deletes behind Adds " + for_whom(action);
    default: return "the API server sends no bookmarks " + for_whom(action);
  }
}

// Of our device, after "somebody on n1 ".
std::string drift_text(ActionKind kind, const std::string& amount) {
  switch (kind) {
    case ActionKind::ForeignRoute: return "adds a route of his own";
    case ActionKind::ForeignFdb: return "writes an FDB entry to our device";
    case ActionKind::ForeignNeighbour: return "overwrites a neighbour on our device";
    case ActionKind::DeviceDown: return "sets our device down";
    case ActionKind::DeviceDeleted: return "deletes our device";
    case ActionKind::DeviceRenamed: return "renames our device";
    case ActionKind::DeviceMac: return "gives our device another MAC";
    case ActionKind::DeviceMtu: return "gives our device an MTU of " + amount;
    case ActionKind::DeviceLocal: return "gives our device another local address";
    case ActionKind::AddressRemoved: return "removes the address of our device";
    case ActionKind::ParametersReverted:
      return "sets our device's neighbour parameters to their defaults";
    default: return "flushes the packet filter";
  }
}

std::string kernel_text(const Action& action, const std::string& node, const std::string& amount) {
  switch (action.kind) {
    case ActionKind::LoseEvents:
      return "the event socket of " + node + "'s agent overflows and loses " + amount + " messages";
    case ActionKind::LoseAnswers:
      return "the answers to the next " + amount + " operations of " + node + "'s agent are lost";
    case ActionKind::FailOperations:
      return node + "'s kernel refuses every operation (" + amount + ")";
    case ActionKind::FailSomeOperations:
      return node + "'s kernel refuses " + amount + " operations of 1000";
    case ActionKind::InterruptDumps: return "every dump of " + node + "'s kernel is interrupted";
    case ActionKind::FailDumps: return "every dump of " + node + "'s kernel fails";
    case ActionKind::TearDumps:
      return "dumps of " + node + "'s kernel leave out " + amount + " rows of 1000";
    case ActionKind::ForeignPeerRoute:
      return "somebody on " + action.targets.front() + " has a route to " + action.targets.back() +
             "'s PodCIDR " + (amount == "instead" ? "instead of" : "behind") + " ours";
    case ActionKind::ForeignUnderWay:
      return "somebody on " + node + " writes to our device at the agent's next step (" + amount +
             ")";
    case ActionKind::FailFirewall: return node + "'s kernel refuses changes of the packet filter";
    case ActionKind::UnderlayDown: return node + "'s network device is down";
    case ActionKind::UnderlayRenamed: return node + "'s network device has another name";
    case ActionKind::UnderlayMtu: return node + "'s network device has an MTU of " + amount;
    case ActionKind::UnderlayAddressRemoved: return node + "'s network device has no address";
    case ActionKind::NeighbourTableFull: return node + "'s neighbour table is full";
    default: return "somebody on " + node + " " + drift_text(action.kind, amount);
  }
}

std::string action_text(const Action& action) {
  const ActionRule& rule = rule_of(action.kind);
  const std::string names = both(action.targets);
  const std::string amount =
      rule.amount.empty() ? "" : format_amount(amount_rule(rule.amount), action.amount);
  switch (rule.category) {
    case ActionCategory::Cluster: return cluster_text(action, names, amount);
    case ActionCategory::Process: return process_text(action, amount);
    case ActionCategory::Network: return network_text(action, amount);
    case ActionCategory::Api: return api_text(action, amount);
    case ActionCategory::Kernel: break;
  }
  return kernel_text(action, names, amount);
}

}  // namespace

Duration end_of(const Scenario& scenario) {
  // Every node's agent once, those that join later included.
  const auto joins = [](const Step& step) { return step.action.kind == ActionKind::AddNode; };
  const auto agents = static_cast<std::int64_t>(scenario.cluster.nodes.size()) +
                      std::ranges::count_if(scenario.steps, joins);
  Duration end{};
  for (const Step& step : scenario.steps) {
    Duration over = step.at + step.lasts.value_or(Duration{});
    if (rule_of(step.action.kind).delay == "restart") {
      over += step.action.delay;
    } else if (step.action.kind == ActionKind::RollingUpgrade) {
      over += step.action.delay * agents;
    }
    end = std::max(end, over);
  }
  return end;
}

Duration last_look(const Scenario& scenario) {
  Duration last = end_of(scenario);
  for (const Expectation& expectation : scenario.expectations) {
    if (expectation.when == Expectation::When::Within) {
      last = std::max(last, expectation.from + expectation.within);
    }
  }
  return last;
}

std::string describe(const Step& step) {
  return action_text(step.action) + (step.lasts ? " for " + format_time(*step.lasts) : "");
}

}  // namespace vxmesh
