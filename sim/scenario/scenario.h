// A scenario as a value: a cluster, what happens to it, and what is expected of it.
//
// The same value is read from a YAML file, drawn from a seed, and made smaller when a run has
// failed; whoever runs it knows no difference.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.h"
#include "model/ip_address.h"
#include "model/ip_prefix.h"
#include "model/mac_address.h"

namespace vxmesh {

// A node as it is when it joins.
struct NodeSpec {
  std::string name;
  IpAddress ip;  // on the underlay: its InternalIP and VTEP
  IpPrefix pod_cidr;

  friend auto operator<=>(const NodeSpec&, const NodeSpec&) = default;
};

struct PodSpec {
  std::string name;
  std::string node;
  IpAddress address;  // in the node's PodCIDR

  friend auto operator<=>(const PodSpec&, const PodSpec&) = default;
};

struct ClusterSpec {
  IpPrefix overlay;  // IPv4, as the underlay
  std::uint32_t underlay_mtu = 1500;
  std::vector<NodeSpec> nodes;
  std::vector<PodSpec> pods;

  friend bool operator==(const ClusterSpec&, const ClusterSpec&) = default;
};

// What can happen. action_rules() has the name of each in a file, what it says and what it needs.
enum class ActionKind : std::uint8_t {
  // Cluster
  AddNode,
  DeleteNode,
  DeleteNodeObject,
  RestoreNodeObject,
  ReplaceNodeObject,
  SpoilNodeObject,
  ChangeNode,
  SwapAddresses,
  HostileNode,
  AddPod,
  DeletePod,
  MovePod,
  Scan,
  Storm,
  RollingUpgrade,
  // Processes
  Kill,
  CrashAtOperation,
  CrashAtEvent,
  Pause,
  ClockStep,
  Upgrade,
  // Network
  Partition,
  PartitionOneWay,
  Loss,
  Delay,
  Duplicate,
  Reorder,
  MtuBlackHole,
  // API
  ApiOutage,
  ApiStatus,
  ApiReset,
  ApiStall,
  ApiEnd,
  ApiCompact,
  ApiStale,
  ApiSmallPages,
  ApiPartialLists,
  ApiEmptyList,
  ApiLateBookmarks,
  ApiNoBookmarks,
  ApiLateDeletes,
  // Kernel
  LoseEvents,
  LoseAnswers,
  FailOperations,
  FailSomeOperations,
  InterruptDumps,
  FailDumps,
  TearDumps,
  ForeignRoute,
  ForeignPeerRoute,
  ForeignFdb,
  ForeignNeighbour,
  ForeignUnderWay,
  DeviceDown,
  DeviceDeleted,
  DeviceRenamed,
  DeviceMac,
  DeviceMtu,
  DeviceLocal,
  AddressRemoved,
  ParametersReverted,
  UnderlayDown,
  UnderlayRenamed,
  UnderlayMtu,
  UnderlayAddressRemoved,
  NeighbourTableFull,
  FirewallFlushed,
  FailFirewall,
};

enum class ActionCategory : std::uint8_t { Cluster, Process, Network, Api, Kernel };

// What the names behind an action's name are.
enum class TargetKind : std::uint8_t {
  None,
  Node,     // n1
  NewNode,  // a node of the file that is not there at the start, or any new name
  Agent,    // agent@n1; the name kept is n1
  Pod,      // a pod
  NewPod,
  End,  // a node, or "api": an end of the network
  Api,  // "api" for all agents, or agent@n1 for one; the name kept is "api" or n1
};

// How an action is written. Every row of a file's step is checked against it.
struct ActionRule {
  ActionKind kind;
  std::string_view name;  // in files: "delete-node"
  ActionCategory category;
  TargetKind target;
  std::uint8_t min_targets;
  std::uint8_t max_targets;
  std::string_view amount;  // the key of its number ("permille", "count"); empty: it has none
  std::string_view delay;   // the key of its second time ("restart", "by"); empty: none
  enum class Lasts : std::uint8_t { No, May, Must } lasts;  // `for`
  std::string_view about;  // one sentence, for the schema and for stories
};
// One for each kind, in their order.
[[nodiscard]] const std::vector<ActionRule>& action_rules();
[[nodiscard]] const ActionRule& rule_of(ActionKind kind);
// The rule with this name in files; null: there is none.
[[nodiscard]] const ActionRule* find_action(std::string_view name);

// What the number of an action may be: the same for all actions that have the key.
struct AmountRule {
  std::string_view key;  // ActionRule::amount
  std::uint64_t min;
  std::uint64_t max;
  // Files may also write these words for it.
  std::vector<std::pair<std::string_view, std::uint64_t>> words;
};
[[nodiscard]] const std::vector<AmountRule>& amount_rules();
[[nodiscard]] const AmountRule& amount_rule(std::string_view key);
// Its word if it has one, and else the number.
[[nodiscard]] std::string format_amount(const AmountRule& rule, std::uint64_t amount);

// Where in the agent's work a foreign writer comes (ForeignUnderWay): the number of the word. At
// the first one our device goes, at the others it gets an FDB entry and a neighbour.
enum class ForeignMoment : std::uint8_t { LinksDumped, FdbDumped, NeighboursDumped, Operation };

struct Action {
  ActionKind kind = ActionKind::AddNode;
  std::vector<std::string> targets;
  // AddNode, ChangeNode; of a node that changes, only what does.
  std::optional<IpAddress> ip;
  std::optional<IpPrefix> pod_cidr;
  // AddPod, MovePod: where it runs from then on, and its address there.
  std::string node;
  std::optional<IpAddress> address;
  std::uint64_t amount = 0;
  Duration delay{};
  // ApiStatus: the Retry-After of the answers; absent: they have none.
  std::optional<Duration> retry_after;

  friend bool operator==(const Action&, const Action&) = default;
};

struct Step {
  Duration at{};  // since the cluster has converged for the first time
  std::optional<Duration> lasts;
  Action action;
  std::uint32_t line = 0;  // in its file; 0: it is in none

  // Where it stands is no part of what it says.
  friend bool operator==(const Step& a, const Step& b) {
    return a.at == b.at && a.lasts == b.lasts && a.action == b.action;
  }
};

// --- What is expected ---

// The FDB of `node` has exactly this destination for the MAC; without `dst`: no entry.
struct ExpectFdb {
  std::string node;
  MacAddress mac;
  std::optional<IpAddress> dst;
  friend bool operator==(const ExpectFdb&, const ExpectFdb&) = default;
};
// `node` has an on-demand neighbour for the address with this MAC; without `mac`: none.
struct ExpectNeighbour {
  std::string node;
  IpAddress address;
  std::optional<MacAddress> mac;
  friend bool operator==(const ExpectNeighbour&, const ExpectNeighbour&) = default;
};
// `node` routes the PodCIDR into the tunnel, or does not.
struct ExpectRoute {
  std::string node;
  IpPrefix destination;
  bool present = true;
  friend bool operator==(const ExpectRoute&, const ExpectRoute&) = default;
};
// Each pair of pods reaches each other, there and back.
struct ExpectConnect {
  std::vector<std::pair<std::string, std::string>> pairs;
  bool refused = false;  // `no-connect`: none of them does
  friend bool operator==(const ExpectConnect&, const ExpectConnect&) = default;
};
// The agent of `node` says that it is ready, or not.
struct ExpectReady {
  std::string node;
  bool ready = true;
  friend bool operator==(const ExpectReady&, const ExpectReady&) = default;
};
// Every kernel is what the API content asks for and every pair of pods delivers.
struct ExpectConverged {
  friend bool operator==(const ExpectConverged&, const ExpectConverged&) = default;
};
// What is not ours is what it was.
struct ExpectForeignUntouched {
  friend bool operator==(const ExpectForeignUntouched&, const ExpectForeignUntouched&) = default;
};

using Condition = std::variant<ExpectFdb, ExpectNeighbour, ExpectRoute, ExpectConnect, ExpectReady,
                               ExpectConverged, ExpectForeignUntouched>;

struct Expectation {
  enum class When : std::uint8_t {
    Within,   // holds at some moment from `from` to `from` + `within`
    Always,   // of ExpectConnect: never dark for longer than `max_dark`
    Finally,  // at the end
  };
  When when = When::Finally;
  Duration from{};  // when the step before it happens; since the first convergence
  Duration within{};
  Duration max_dark{};
  Condition condition;
  std::uint32_t line = 0;

  friend bool operator==(const Expectation& a, const Expectation& b) {
    return a.when == b.when && a.from == b.from && a.within == b.within &&
           a.max_dark == b.max_dark && a.condition == b.condition;
  }
};

struct Scenario {
  std::string name;
  std::string about;
  // Why a world does not run it ("sim: ..." or "lab: ..."); usually empty.
  std::vector<std::string> backends;
  ClusterSpec cluster;
  std::vector<Step> steps;  // in order of time
  std::vector<Expectation> expectations;

  friend bool operator==(const Scenario&, const Scenario&) = default;
};

// When the last step is over; since the first convergence.
[[nodiscard]] Duration end_of(const Scenario& scenario);

// When it has also looked at everything that it expects within some time.
[[nodiscard]] Duration last_look(const Scenario& scenario);

// One sentence of what happens: "n2's Node object is deleted", for stories.
[[nodiscard]] std::string describe(const Step& step);

}  // namespace vxmesh
