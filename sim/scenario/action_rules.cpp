#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "sim/scenario/releases.h"
#include "sim/scenario/scenario.h"

namespace vxmesh {
namespace {

using enum ActionKind;
using enum ActionRule::Lasts;
using Category = ActionCategory;
using Target = TargetKind;

std::vector<ActionRule> cluster_rules() {
  return {
      {AddNode, "add-node", Category::Cluster, Target::NewNode, 1, 1, "", "", No,
       "A host comes up, its Node object is made, and its agent starts."},
      {DeleteNode, "delete-node", Category::Cluster, Target::Node, 1, 1, "", "", No,
       "The Node object goes, and the host with all that runs on it."},
      {DeleteNodeObject, "delete-node-object", Category::Cluster, Target::Node, 1, 1, "", "", No,
       "The Node object goes; the host stays as it is."},
      {RestoreNodeObject, "restore-node-object", Category::Cluster, Target::Node, 1, 1, "", "", No,
       "The kubelet registers again: the Node object is back, with another uid."},
      {ReplaceNodeObject, "replace-node-object", Category::Cluster, Target::Node, 1, 1, "", "", No,
       "The Node object is deleted and made again at once, with another uid."},
      {SpoilNodeObject, "spoil-node-object", Category::Cluster, Target::Node, 1, 1, "", "", Must,
       "The Node object cannot be read; it is the same object, and its node goes on."},
      {ChangeNode, "change-node", Category::Cluster, Target::Node, 1, 1, "", "", No,
       "The host gets another address, or the Node another PodCIDR."},
      {SwapAddresses, "swap-addresses", Category::Cluster, Target::Node, 2, 2, "", "", No,
       "Two hosts exchange their addresses."},
      {HostileNode, "hostile-node", Category::Cluster, Target::NewNode, 1, 1, "kind", "", No,
       "A Node object without a host: it claims another's PodCIDR, its own lies outside the "
       "overlay, its address is not unicast or another's, or it cannot be read."},
      {AddPod, "add-pod", Category::Cluster, Target::NewPod, 1, 1, "", "", No, "A pod starts."},
      {DeletePod, "delete-pod", Category::Cluster, Target::Pod, 1, 1, "", "", No, "A pod ends."},
      {MovePod, "move-pod", Category::Cluster, Target::Pod, 1, 1, "", "", No,
       "A pod ends and starts on another node, with an address there."},
      {Scan, "scan", Category::Cluster, Target::Pod, 1, 1, "count", "", No,
       "A pod sends to so many addresses of the overlay that no pod has."},
      {Storm, "storm", Category::Cluster, Target::Pod, 1, 1, "count", "", No,
       "A pod sends so many packets to every other pod at once."},
      {RollingUpgrade, "rolling-upgrade", Category::Cluster, Target::None, 0, 0, "", "by", No,
       "Every agent is ended and started again, one after the other, so far apart."},
  };
}

std::vector<ActionRule> process_rules() {
  return {
      {Kill, "kill", Category::Process, Target::Agent, 1, 1, "", "restart", No,
       "The agent dies, and is started again so much later."},
      {CrashAtOperation, "crash-at-operation", Category::Process, Target::Agent, 1, 1, "count",
       "restart", No,
       "The agent dies behind so many more netlink operations, and is started again so much "
       "later."},
      {CrashAtEvent, "crash-at-event", Category::Process, Target::Agent, 1, 1, "count", "restart",
       No,
       "The agent dies behind so many more events of its loop, and is started again so much "
       "later."},
      {Pause, "pause", Category::Process, Target::Agent, 1, 1, "", "", Must,
       "The agent stands still, as a process that gets no CPU."},
      {ClockStep, "clock-step", Category::Process, Target::Node, 1, 1, "", "by", No,
       "The wall clock of the host jumps."},
      {Upgrade, "upgrade", Category::Process, Target::Agent, 1, 1, "release", "restart", No,
       "The agent dies, in the kernel stands what the agent of that release left there, and the "
       "agent is started so much later."},
  };
}

std::vector<ActionRule> network_rules() {
  return {
      {Partition, "partition", Category::Network, Target::End, 1, 2, "", "", Must,
       "Nothing passes between the two; of one alone, between it and everybody."},
      {PartitionOneWay, "partition-one-way", Category::Network, Target::End, 2, 2, "", "", Must,
       "Nothing passes from the first to the second. Of a connection with the API that is as much "
       "as both ways."},
      {Loss, "loss", Category::Network, Target::Node, 1, 2, "permille", "", Must,
       "So many packets of a thousand are lost."},
      {Delay, "delay", Category::Network, Target::Node, 1, 2, "", "by", Must,
       "Packets take so much longer."},
      {Duplicate, "duplicate", Category::Network, Target::Node, 1, 2, "permille", "", Must,
       "So many packets of a thousand come twice."},
      {Reorder, "reorder", Category::Network, Target::Node, 1, 2, "permille", "", Must,
       "So many packets of a thousand are overtaken by later ones."},
      {MtuBlackHole, "mtu-black-hole", Category::Network, Target::Node, 1, 2, "bytes", "", Must,
       "Packets longer than this are lost without a word."},
  };
}

std::vector<ActionRule> api_rules() {
  return {
      {ApiOutage, "api-outage", Category::Api, Target::Api, 1, 1, "", "", Must,
       "The API server refuses connections and ends those that are open."},
      {ApiStatus, "api-status", Category::Api, Target::Api, 1, 1, "status", "", Must,
       "Every request is answered with this HTTP status."},
      {ApiReset, "api-reset", Category::Api, Target::Api, 1, 1, "count", "", Must,
       "Every answer breaks off behind so many Nodes or events."},
      {ApiStall, "api-stall", Category::Api, Target::Api, 1, 1, "count", "", Must,
       "Every answer stalls behind so many Nodes or events, without an end."},
      {ApiEnd, "api-end", Category::Api, Target::Api, 1, 1, "count", "", Must,
       "Every watch ends in order behind so many events."},
      {ApiCompact, "api-compact", Category::Api, Target::None, 0, 0, "", "", No,
       "The API server forgets its history: who watched from before has to list again."},
      {ApiStale, "api-stale", Category::Api, Target::Api, 1, 1, "", "by", Must,
       "The API servers' watch caches are behind, each by another time and none by more than "
       "this."},
      {ApiSmallPages, "api-small-pages", Category::Api, Target::Api, 1, 1, "nodes", "", Must,
       "Pages of lists have so many Nodes at most, whatever limit is asked for."},
      {ApiPartialLists, "api-partial-lists", Category::Api, Target::Api, 1, 1, "nodes", "", Must,
       "Lists break off behind a page of so many Nodes: the token for the rest has expired."},
      {ApiEmptyList, "api-empty-list", Category::Api, Target::Api, 1, 1, "", "", Must,
       "Lists are complete, and have no Nodes."},
      {ApiLateBookmarks, "api-late-bookmarks", Category::Api, Target::Api, 1, 1, "", "by", Must,
       "Watches that begin bring their bookmarks so much later."},
      {ApiNoBookmarks, "api-no-bookmarks", Category::Api, Target::Api, 1, 1, "", "", Must,
       "Watches that begin bring no bookmarks."},
      {ApiLateDeletes, "api-late-deletes", Category::Api, Target::Api, 1, 1, "", "", Must,
       "Watches bring the Delete of a Node behind the Add of the one that replaces it."},
  };
}

std::vector<ActionRule> kernel_rules() {
  return {
      {LoseEvents, "lose-events", Category::Kernel, Target::Node, 1, 1, "count", "", No,
       "The agent's event socket overflows: so many messages are lost (ENOBUFS)."},
      {LoseAnswers, "lose-answers", Category::Kernel, Target::Node, 1, 1, "count", "", No,
       "The answers to the next so many operations are lost."},
      {FailOperations, "fail-operations", Category::Kernel, Target::Node, 1, 1, "errno", "", Must,
       "The kernel refuses every operation with this errno."},
      {FailSomeOperations, "fail-some-operations", Category::Kernel, Target::Node, 1, 1, "permille",
       "", Must, "The kernel refuses so many operations of a thousand for lack of memory."},
      {InterruptDumps, "interrupt-dumps", Category::Kernel, Target::Node, 1, 1, "", "", Must,
       "Every dump is interrupted by changes under it."},
      {FailDumps, "fail-dumps", Category::Kernel, Target::Node, 1, 1, "", "", Must,
       "Every dump fails for lack of memory."},
      {TearDumps, "tear-dumps", Category::Kernel, Target::Node, 1, 1, "permille", "", Must,
       "Dumps of FDB and neighbours leave out so many rows of a thousand that are there."},
      {ForeignRoute, "foreign-route", Category::Kernel, Target::Node, 1, 1, "", "", No,
       "Somebody adds a route of his own beside ours."},
      {ForeignPeerRoute, "foreign-peer-route", Category::Kernel, Target::Node, 2, 2, "place", "",
       Must,
       "Somebody has a route of his own to the second node's PodCIDR, instead of ours or behind "
       "it."},
      {ForeignFdb, "foreign-fdb", Category::Kernel, Target::Node, 1, 1, "", "", No,
       "Somebody writes an FDB entry to our device."},
      {ForeignNeighbour, "foreign-neighbour", Category::Kernel, Target::Node, 1, 1, "", "", No,
       "Somebody overwrites a neighbour on our device."},
      {ForeignUnderWay, "foreign-under-way", Category::Kernel, Target::Node, 1, 1, "moment", "", No,
       "Somebody writes to our device between two steps of the agent, once it comes there."},
      {DeviceDown, "device-down", Category::Kernel, Target::Node, 1, 1, "", "", No,
       "Somebody sets our device down."},
      {DeviceDeleted, "device-deleted", Category::Kernel, Target::Node, 1, 1, "", "", No,
       "Somebody deletes our device."},
      {DeviceRenamed, "device-renamed", Category::Kernel, Target::Node, 1, 1, "", "", Must,
       "Our device has another name, which somebody gave it and takes back."},
      {DeviceMac, "device-mac", Category::Kernel, Target::Node, 1, 1, "", "", No,
       "Somebody gives our device another MAC."},
      {DeviceMtu, "device-mtu", Category::Kernel, Target::Node, 1, 1, "bytes", "", No,
       "Somebody gives our device another MTU."},
      {DeviceLocal, "device-local", Category::Kernel, Target::Node, 1, 1, "", "", No,
       "Somebody gives our device another local address."},
      {AddressRemoved, "address-removed", Category::Kernel, Target::Node, 1, 1, "", "", No,
       "Somebody removes the address of our device."},
      {ParametersReverted, "parameters-reverted", Category::Kernel, Target::Node, 1, 1, "", "", No,
       "Somebody sets the neighbour parameters of our device to what they are by default."},
      {UnderlayDown, "underlay-down", Category::Kernel, Target::Node, 1, 1, "", "", Must,
       "The host's own network device is down."},
      {UnderlayRenamed, "underlay-renamed", Category::Kernel, Target::Node, 1, 1, "", "", Must,
       "The host's own network device has another name; it is down for a moment both times."},
      {UnderlayMtu, "underlay-mtu", Category::Kernel, Target::Node, 1, 1, "bytes", "", Must,
       "The host's own network device has another MTU, which our device follows."},
      {UnderlayAddressRemoved, "underlay-address-removed", Category::Kernel, Target::Node, 1, 1, "",
       "", Must, "The host's own network device is without its address."},
      {NeighbourTableFull, "neighbour-table-full", Category::Kernel, Target::Node, 1, 1, "", "",
       Must, "The host's neighbour table is full: new entries are refused."},
      {FirewallFlushed, "firewall-flushed", Category::Kernel, Target::Node, 1, 1, "", "", No,
       "Somebody flushes the packet filter."},
      {FailFirewall, "fail-firewall", Category::Kernel, Target::Node, 1, 1, "", "", Must,
       "The kernel refuses every change of the packet filter."},
  };
}

std::vector<ActionRule> all_rules() {
  std::vector<ActionRule> all;
  for (const auto& of_category :
       {cluster_rules(), process_rules(), network_rules(), api_rules(), kernel_rules()}) {
    all.insert(all.end(), of_category.begin(), of_category.end());
  }
  return all;
}

// Its words are the versions.
AmountRule release_rule() {
  AmountRule rule{"release", 0, releases().size() - 1, {}};
  for (std::uint64_t i = 0; i < releases().size(); ++i) {
    rule.words.emplace_back(releases()[i].version, i);
  }
  return rule;
}

}  // namespace

const std::vector<ActionRule>& action_rules() {
  static const std::vector<ActionRule> rules = all_rules();
  return rules;
}

const ActionRule& rule_of(ActionKind kind) {
  const ActionRule& rule = action_rules().at(static_cast<std::size_t>(kind));
  check(rule.kind == kind, "the rules stand in the order of the kinds");
  return rule;
}

const ActionRule* find_action(std::string_view name) {
  const auto found = std::ranges::find(action_rules(), name, &ActionRule::name);
  return found == action_rules().end() ? nullptr : &*found;
}

const std::vector<AmountRule>& amount_rules() {
  static const std::vector<AmountRule> rules{
      {"kind",
       0,
       4,
       {{"pod-cidr-of-another", 0},
        {"outside-overlay", 1},
        {"not-unicast", 2},
        {"address-of-another", 3},
        {"unreadable", 4}}},
      {"place", 0, 1, {{"instead", 0}, {"behind", 1}}},
      {"moment",
       0,
       3,
       {{"links-dumped", 0}, {"fdb-dumped", 1}, {"neighbours-dumped", 2}, {"operation", 3}}},
      release_rule(),
      {"count", 0, 1'000'000, {}},
      {"nodes", 1, 1'000'000, {}},
      {"permille", 1, 1000, {}},
      {"bytes", 68, 65535, {}},  // 68: the least MTU of IPv4 (RFC 791)
      {"status", 400, 599, {}},
      {"errno",
       1,
       4095,
       {{"EPERM", EPERM},
        {"ENOENT", ENOENT},
        {"EAGAIN", EAGAIN},
        {"ENOMEM", ENOMEM},
        {"EBUSY", EBUSY},
        {"EEXIST", EEXIST},
        {"ENODEV", ENODEV},
        {"EINVAL", EINVAL},
        {"ENOSPC", ENOSPC},
        {"EOPNOTSUPP", EOPNOTSUPP},
        {"ENETDOWN", ENETDOWN},
        {"ENOBUFS", ENOBUFS}}},
  };
  return rules;
}

const AmountRule& amount_rule(std::string_view key) {
  const auto found = std::ranges::find(amount_rules(), key, &AmountRule::key);
  check(found != amount_rules().end(), "every amount has a rule");
  return *found;
}

std::string format_amount(const AmountRule& rule, std::uint64_t amount) {
  const auto word =
      std::ranges::find_if(rule.words, [&](const auto& w) { return w.second == amount; });
  return word == rule.words.end() ? std::to_string(amount) : std::string(word->first);
}

}  // namespace vxmesh
