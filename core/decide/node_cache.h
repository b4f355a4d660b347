// The nodes of the cluster as the API says them, and who owns which PodCIDR.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash_map.h"
#include "decide/overlay_config.h"
#include "model/mac_address.h"
#include "model/node.h"

namespace vxmesh {

// The node that owns a PodCIDR.
struct Owner {
  std::string node;
  std::string uid;
  IpAddress vtep;  // its underlay address
  MacAddress mac;  // of its vxlan device: from its IPv4 PodCIDR if it has one, else its IPv6 one

  friend bool operator==(const Owner&, const Owner&) = default;
};

// This node, as far as its Node object is complete.
struct Self {
  std::string uid;
  std::vector<IpPrefix> pod_cidrs;  // at most one of each family, IPv4 first; never empty
  IpAddress vtep;
  MacAddress mac;
  bool lost_pod_cidr = false;  // an older Node owns (part of) our PodCIDRs

  friend bool operator==(const Self&, const Self&) = default;
};

// Why a Node, or a part of it, is not programmed as it stands.
enum class NodeProblemKind : std::uint8_t {
  Waiting,        // no PodCIDR or no address of the underlay's family yet
  Untypable,      // the codec could not read it; what was known of it is kept
  BadPodCidr,     // outside the overlay, the whole overlay, two of a family, or too long to encode
  BadAddress,     // not unicast, or inside the overlay
  Conflict,       // its PodCIDR overlaps that of an older Node, which owns it
  SharedAddress,  // another Node has the same address: both are programmed
};

inline constexpr std::array kNodeProblemKinds{
    NodeProblemKind::Waiting,    NodeProblemKind::Untypable, NodeProblemKind::BadPodCidr,
    NodeProblemKind::BadAddress, NodeProblemKind::Conflict,  NodeProblemKind::SharedAddress};

struct NodeProblem {
  NodeProblemKind kind = NodeProblemKind::Waiting;
  std::string node;
  std::string text;  // one sentence: what is wrong with which value, and who else is concerned

  friend auto operator<=>(const NodeProblem&, const NodeProblem&) = default;
};

[[nodiscard]] std::string format(
    NodeProblemKind kind);  // "waiting", "bad-pod-cidr", ...: metric labels

// What a change of the cache means for the desired state.
struct NodeCacheChange {
  std::set<IpPrefix> prefixes;  // whose owner, or owner's address, changed (came, went, moved)
  bool self = false;            // self() changed

  friend bool operator==(const NodeCacheChange&, const NodeCacheChange&) = default;
};

// Contract: the state is a function of the Nodes it holds and of nothing else: any order of events
// and any relist that lead to the same Nodes give the same owners, problems and self. (The one
// exception is `reject`, which keeps the last typed content of a Node that has become unreadable.)
//   - Nodes are keyed by name; an upsert with another uid replaces the Node of that name.
//   - A remove acts only if the uid is still the one that is held, or that of the unreadable Node
//     that came after it: a relist delivers Add before Delete.
//   - A node's address is its first InternalIP of the underlay's family, else its first ExternalIP.
//   - PodCIDRs: strictly inside one overlay CIDR, at most one of each family; an IPv6 one at most
//     32 bits longer than the overlay, so that its MAC can encode it. A Node with a bad one is not
//     programmed and claims nothing.
//   - Conflicts are settled by Node: in the order of (created_s, uid) a Node is accepted unless one
//     of its PodCIDRs overlaps one of an accepted Node, or its MAC is that of one (IPv6-only Nodes
//     in two overlay CIDRs). The order is the API's, so all agents agree. A Node without a usable
//     address takes part too: an address that comes and goes moves nobody's PodCIDR.
//   - Our own Node takes part like every other.
// Cost: an upsert that changes nothing, as nearly all are, is one look-up by hash and one
// comparison, of pointers if it is what was given last. A change costs O(log n), and the size of
// the group of Nodes that overlap or share its address, normally one.
class NodeCache {
 public:
  NodeCache(std::string self_name, OverlayConfig config);
  // Moved, but not copied: the indexes point to the Nodes.
  NodeCache(NodeCache&&) = default;
  NodeCache& operator=(NodeCache&&) = default;

  // A complete list takes the place of everything. Nodes named in `rejections` keep what was known.
  // None of `nodes` is null.
  [[nodiscard]] NodeCacheChange replace(const std::vector<std::shared_ptr<const Node>>& nodes,
                                        const std::vector<NodeRejection>& rejections);
  [[nodiscard]] NodeCacheChange replace(const std::vector<Node>& nodes,
                                        const std::vector<NodeRejection>& rejections);
  // Keeps `node`, never null, also if it says nothing new.
  [[nodiscard]] NodeCacheChange upsert(std::shared_ptr<const Node> node);
  [[nodiscard]] NodeCacheChange upsert(const Node& node) {
    return upsert(std::make_shared<const Node>(node));
  }
  // Does nothing if is_another(name, uid).
  [[nodiscard]] NodeCacheChange remove(const std::string& name, const std::string& uid);
  // True if the Node of that name is known, and is not the object with this uid: what is told of
  // that one is late, and does not concern it.
  [[nodiscard]] bool is_another(const std::string& name, const std::string& uid) const;
  // The Node of that name became unreadable: reported, its last content stays.
  void reject(const NodeRejection& rejection);

  // PodCIDR -> owner, our own included. No two overlap.
  [[nodiscard]] const std::map<IpPrefix, Owner>& owners() const { return owners_; }
  // Absent while our Node is unknown, or has no usable PodCIDR or address.
  [[nodiscard]] const std::optional<Self>& self() const { return self_; }
  [[nodiscard]] bool contains(const std::string& name) const { return nodes_.contains(name); }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  // In (kind, node) order.
  [[nodiscard]] std::vector<NodeProblem> problems() const;
  // Another number whenever problems() may be another: the events of Nodes without any, which in a
  // cluster that is well are all, leave it as it is.
  [[nodiscard]] std::uint64_t problems_version() const { return problems_version_; }

 private:
  struct Entry {
    std::shared_ptr<const Node> node;   // never null
    std::vector<IpPrefix> claims;       // its PodCIDRs, IPv4 first; empty if missing or bad
    MacAddress mac;                     // of its device; meaningless without claims
    std::optional<IpAddress> vtep;      // its address, if usable
    std::vector<NodeProblem> problems;  // of this Node by itself
    bool accepted = false;
  };
  // Owners that a change takes away, to be compared with those that it gives.
  using Owners = std::map<IpPrefix, Owner>;
  // By name, which is the entry's own.
  using Group = std::map<std::string_view, Entry*>;
  // What accepted Nodes hold.
  struct Holders {
    std::map<IpPrefix, const Entry*> prefixes;  // no two overlap
    std::map<MacAddress, const Entry*> macs;

    void add(const Entry& entry);
    // The one that stands in the way of `entry`; null if none does.
    [[nodiscard]] const Entry* winner_over(const Entry& entry) const;
  };

  // Null if it is not known.
  [[nodiscard]] Entry* find(const std::string& name) const;
  [[nodiscard]] std::unique_ptr<Entry> judge(std::shared_ptr<const Node> node) const;
  void judge_pod_cidrs(Entry& entry) const;
  void judge_address(Entry& entry) const;
  Entry& add(std::shared_ptr<const Node> node);
  void erase(const std::string& name, Owners& before);
  void withdraw(Entry& entry, Owners& before);
  void accept(Entry& entry, Owners& after);
  void add_rivals(const Entry& entry, Group& group) const;
  [[nodiscard]] Group group_of(Group seeds) const;
  [[nodiscard]] NodeCacheChange settle(const Group& group, Owners before);
  [[nodiscard]] std::optional<Self> make_self() const;
  [[nodiscard]] bool has_problem(const Entry& entry) const;
  void report_conflicts(std::vector<NodeProblem>& problems) const;
  void report_shared_addresses(std::vector<NodeProblem>& problems) const;

  std::string self_name_;
  OverlayConfig config_;
  HashMap<std::string, std::unique_ptr<Entry>> nodes_;
  std::map<std::string, NodeRejection> unreadable_;
  std::map<std::string, const Entry*> faulty_;  // those with problems by themselves
  // Who claims what, accepted or not.
  std::multimap<IpPrefix, Entry*> claims_;
  std::map<std::uint8_t, std::size_t> claim_lengths_;  // how many claims are so long
  // Of Nodes without an IPv4 PodCIDR; the MAC of one with it is shared only by who overlaps it.
  std::multimap<MacAddress, Entry*> macs_;
  std::multimap<IpAddress, const Entry*> addresses_;
  Owners owners_;  // of the accepted Nodes that have an address
  std::optional<Self> self_;
  std::uint64_t problems_version_ = 0;
};

}  // namespace vxmesh
