#include "decide/node_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "decide/testing/generators.h"

namespace vxmesh {
namespace {

using generate::ip;
using generate::net;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// --- A naive reference: everything afresh, every pair compared ---

using Nodes = std::map<std::string, Node>;

std::optional<IpAddress> reference_address(const Node& node) {
  for (const NodeAddressType type : {NodeAddressType::InternalIp, NodeAddressType::ExternalIp}) {
    for (const NodeAddress& candidate : node.addresses) {
      if (candidate.type != type || candidate.address.family() != Family::V4) {
        continue;
      }
      bool inside = false;
      for (const IpPrefix& overlay : generate::config().cidrs) {
        inside = inside || overlay.contains(candidate.address);
      }
      return candidate.address.is_host_unicast() && !inside ? std::optional(candidate.address)
                                                            : std::nullopt;
    }
  }
  return std::nullopt;
}

// Its PodCIDRs, IPv4 first, if all of them are usable.
std::vector<IpPrefix> reference_claims(const Node& node) {
  std::vector<IpPrefix> claims = node.pod_cidrs;
  std::sort(claims.begin(), claims.end());
  for (std::size_t i = 0; i < claims.size(); ++i) {
    bool usable = i == 0 || claims[i - 1].family() != claims[i].family();
    bool inside = false;
    for (const IpPrefix& overlay : generate::config().cidrs) {
      inside = inside || (overlay.contains(claims[i]) && overlay != claims[i] &&
                          (overlay.family() == Family::V4 || claims[i].length() <= 64));
    }
    usable = usable && inside;
    if (!usable) {
      return {};
    }
  }
  return claims;
}

MacAddress reference_mac(const std::vector<IpPrefix>& claims) {
  for (const IpPrefix& overlay : generate::config().cidrs) {
    if (overlay.contains(claims.front())) {
      return vtep_mac(claims.front(), overlay);
    }
  }
  return {};
}

struct Reference {
  std::map<IpPrefix, Owner> owners;
  std::optional<Self> self;
};

Reference reference_of(const Nodes& nodes) {
  std::vector<Node> by_age;
  for (const auto& [name, node] : nodes) {
    by_age.push_back(node);
  }
  std::sort(by_age.begin(), by_age.end(), [](const Node& a, const Node& b) {
    return std::tie(a.created_s, a.uid) < std::tie(b.created_s, b.uid);
  });
  Reference reference;
  std::vector<std::vector<IpPrefix>> accepted;
  for (const Node& node : by_age) {
    const std::vector<IpPrefix> claims = reference_claims(node);
    const std::optional<IpAddress> address = reference_address(node);
    if (claims.empty()) {
      continue;
    }
    bool free = true;
    for (const std::vector<IpPrefix>& others : accepted) {
      free = free && reference_mac(others) != reference_mac(claims);
      for (const IpPrefix& other : others) {
        free = free && std::none_of(claims.begin(), claims.end(),
                                    [&](const IpPrefix& claim) { return claim.overlaps(other); });
      }
    }
    if (free) {
      accepted.push_back(claims);
      for (const IpPrefix& claim : claims) {
        if (address) {
          reference.owners[claim] = {
              .node = node.name, .uid = node.uid, .vtep = *address, .mac = reference_mac(claims)};
        }
      }
    }
    if (node.name == generate::kSelfName && address) {
      reference.self = Self{.uid = node.uid,
                            .pod_cidrs = claims,
                            .vtep = *address,
                            .mac = reference_mac(claims),
                            .lost_pod_cidr = !free};
    }
  }
  return reference;
}

std::set<IpPrefix> changed_prefixes(const std::map<IpPrefix, Owner>& before,
                                    const std::map<IpPrefix, Owner>& after) {
  std::set<IpPrefix> changed;
  for (const auto* side : {&before, &after}) {
    for (const auto& [prefix, owner] : *side) {
      const auto a = before.find(prefix);
      const auto b = after.find(prefix);
      if (a == before.end() || b == after.end() || a->second != b->second) {
        changed.insert(prefix);
      }
    }
  }
  return changed;
}

NodeCache make_cache() {
  return NodeCache(generate::kSelfName, generate::config());
}

std::vector<Node> values(const Nodes& nodes) {
  std::vector<Node> list;
  for (const auto& [name, node] : nodes) {
    list.push_back(node);
  }
  return list;
}

// One random event, on the cache and on the Nodes that should result.
NodeCacheChange random_event(NodeCache& cache, Nodes& nodes) {
  const int kind = *rc::gen::inRange(0, 10);
  if (kind == 0) {
    nodes.clear();
    for (const Node& node : *rc::gen::container<std::vector<Node>>(generate::node())) {
      nodes[node.name] = node;
    }
    return cache.replace(values(nodes), {});
  }
  const Node node = *generate::node();
  if (kind <= 3) {
    const auto known = nodes.find(node.name);
    if (known != nodes.end() && known->second.uid == node.uid) {
      nodes.erase(known);
    }
    return cache.remove(node.name, node.uid);
  }
  nodes[node.name] = node;
  return cache.upsert(node);
}

RC_GTEST_PROP(NodeCacheProperty, EveryEventLeavesTheStateOfItsNodesAndReportsTheChange, ()) {
  NodeCache cache = make_cache();
  Nodes nodes;
  for (int step = *rc::gen::inRange(1, 30); step > 0; --step) {
    const std::map<IpPrefix, Owner> owners_before = cache.owners();
    const std::optional<Self> self_before = cache.self();
    const std::vector<NodeProblem> problems_before = cache.problems();
    const std::uint64_t version_before = cache.problems_version();
    const NodeCacheChange change = random_event(cache, nodes);
    const Reference reference = reference_of(nodes);
    RC_ASSERT(cache.owners() == reference.owners);
    RC_ASSERT(cache.self() == reference.self);
    RC_ASSERT(cache.size() == nodes.size());
    RC_ASSERT(change.prefixes == changed_prefixes(owners_before, cache.owners()));
    RC_ASSERT(change.self == (self_before != cache.self()));
    RC_ASSERT(cache.problems_version() != version_before || cache.problems() == problems_before);
  }
}

RC_GTEST_PROP(NodeCacheProperty, OrderOfEventsDoesNotMatter, ()) {
  Nodes nodes;
  for (const Node& node : *rc::gen::container<std::vector<Node>>(generate::node())) {
    nodes[node.name] = node;
  }
  NodeCache listed = make_cache();
  (void)listed.replace(values(nodes), {});

  NodeCache watched = make_cache();
  for (const Node& node : *rc::gen::container<std::vector<Node>>(generate::node())) {
    (void)watched.upsert(node);
    if (!nodes.contains(node.name)) {
      (void)watched.remove(node.name, node.uid);
    }
  }
  std::vector<Node> shuffled = values(nodes);
  for (std::size_t i = shuffled.size(); i > 1; --i) {
    std::swap(shuffled[i - 1], shuffled[*rc::gen::inRange<std::size_t>(0, i)]);
  }
  for (const Node& node : shuffled) {
    (void)watched.upsert(node);
  }
  RC_ASSERT(watched.owners() == listed.owners());
  RC_ASSERT(watched.self() == listed.self());
  RC_ASSERT(watched.problems() == listed.problems());
  RC_ASSERT(watched.replace(shuffled, {}) == NodeCacheChange{});
}

RC_GTEST_PROP(NodeCacheProperty, NoTwoOwnersOverlapOrShareAMac, ()) {
  NodeCache cache = make_cache();
  (void)cache.replace(*rc::gen::container<std::vector<Node>>(generate::node()), {});
  for (const auto& [a, owner_a] : cache.owners()) {
    for (const auto& [b, owner_b] : cache.owners()) {
      RC_ASSERT(a == b || !a.overlaps(b));
      RC_ASSERT((owner_a.node == owner_b.node) == (owner_a.mac == owner_b.mac));
    }
  }
}

// --- Cases by hand ---

Node make_node(const std::string& name, const std::vector<std::string>& pod_cidrs,
               const std::string& address, std::int64_t created_s = 0) {
  Node node{.name = name, .uid = name + "-uid", .created_s = created_s};
  for (const std::string& cidr : pod_cidrs) {
    node.pod_cidrs.push_back(net(cidr));
  }
  if (!address.empty()) {
    node.addresses.push_back({.type = NodeAddressType::InternalIp, .address = ip(address)});
  }
  return node;
}

std::vector<std::pair<NodeProblemKind, std::string>> problem_kinds(const NodeCache& cache) {
  std::vector<std::pair<NodeProblemKind, std::string>> kinds;
  for (const NodeProblem& problem : cache.problems()) {
    kinds.emplace_back(problem.kind, problem.node);
  }
  return kinds;
}

TEST(NodeCache, AddedNodeOwnsItsPodCidrs) {
  NodeCache cache = make_cache();
  const NodeCacheChange change =
      cache.upsert(make_node("n2", {"fd00:96:0:2::/64", "100.96.2.0/24"}, "172.20.0.2"));
  EXPECT_THAT(change.prefixes, ElementsAre(net("100.96.2.0/24"), net("fd00:96:0:2::/64")));
  EXPECT_FALSE(change.self);
  const Owner owner{.node = "n2",
                    .uid = "n2-uid",
                    .vtep = ip("172.20.0.2"),
                    .mac = MacAddress::parse("00:53:64:60:02:00").value()};
  EXPECT_EQ(cache.owners().at(net("100.96.2.0/24")), owner);
  EXPECT_EQ(cache.owners().at(net("fd00:96:0:2::/64")), owner);
  EXPECT_THAT(cache.problems(), IsEmpty());
}

TEST(NodeCache, HeartbeatChangesNothing) {
  NodeCache cache = make_cache();
  const Node node = make_node("n2", {"100.96.2.0/24"}, "172.20.0.2");
  (void)cache.upsert(node);
  const std::uint64_t version = cache.problems_version();
  EXPECT_EQ(cache.upsert(node), NodeCacheChange{});
  EXPECT_EQ(cache.problems_version(), version);
}

TEST(NodeCache, NodesWithoutProblemsComeAndGoWithoutAReport) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("a", {"100.96.1.0/24"}, "172.20.0.1"));
  const std::uint64_t version = cache.problems_version();
  (void)cache.upsert(make_node("b", {"100.96.2.0/24"}, "172.20.0.2"));
  (void)cache.upsert(make_node("b", {"100.96.3.0/24"}, "172.20.0.3"));
  (void)cache.remove("b", "b-uid");
  EXPECT_EQ(cache.problems_version(), version);
}

TEST(NodeCache, ChangedAddressOfADualStackNodeReportsBothPrefixes) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("n2", {"100.96.2.0/24", "fd00:96:0:2::/64"}, "172.20.0.2"));
  const NodeCacheChange change =
      cache.upsert(make_node("n2", {"100.96.2.0/24", "fd00:96:0:2::/64"}, "172.20.0.3"));
  EXPECT_THAT(change.prefixes, SizeIs(2));
  EXPECT_EQ(cache.owners().at(net("fd00:96:0:2::/64")).vtep, ip("172.20.0.3"));
}

TEST(NodeCache, LateDeleteOfAFormerLifeLeavesTheProblemOfTheNextOne) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("n2", {"100.96.2.0/24"}, "172.20.0.2"));
  cache.reject({.name = "n2", .uid = "second", .reason = "status.addresses is not an array"});
  EXPECT_THAT(cache.remove("n2", "n2-uid").prefixes, SizeIs(1));
  EXPECT_THAT(cache.problems(), SizeIs(1));
  (void)cache.remove("n2", "second");
  EXPECT_THAT(cache.problems(), IsEmpty());
}

TEST(NodeCache, LateDeleteOfAFormerLifeIsIgnored) {
  NodeCache cache = make_cache();
  Node reborn = make_node("n2", {"100.96.2.0/24"}, "172.20.0.2");
  (void)cache.upsert(reborn);
  reborn.uid = "second";
  EXPECT_THAT(cache.upsert(reborn).prefixes, ElementsAre(net("100.96.2.0/24")));
  EXPECT_EQ(cache.remove("n2", "n2-uid"), NodeCacheChange{});
  EXPECT_EQ(cache.owners().at(net("100.96.2.0/24")).uid, "second");
  EXPECT_THAT(cache.remove("n2", "second").prefixes, SizeIs(1));
  EXPECT_THAT(cache.owners(), IsEmpty());
}

TEST(NodeCache, OldestOfThoseThatOverlapWinsAndTheNextInheritsWhenItGoes) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("young", {"100.96.2.0/24"}, "172.20.0.2", 20));
  const NodeCacheChange lost = cache.upsert(make_node("old", {"100.96.2.0/23"}, "172.20.0.3", 10));
  EXPECT_THAT(lost.prefixes, ElementsAre(net("100.96.2.0/23"), net("100.96.2.0/24")));
  ASSERT_THAT(cache.owners(), SizeIs(1));
  EXPECT_EQ(cache.owners().begin()->second.node, "old");
  EXPECT_THAT(problem_kinds(cache), ElementsAre(std::pair(NodeProblemKind::Conflict, "young")));
  EXPECT_NE(cache.problems()[0].text.find("'old'"), std::string::npos);

  (void)cache.remove("old", "old-uid");
  ASSERT_THAT(cache.owners(), SizeIs(1));
  EXPECT_EQ(cache.owners().begin()->second.node, "young");
  EXPECT_THAT(cache.problems(), IsEmpty());
}

TEST(NodeCache, LoserOfAConflictBlocksNobody) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("a", {"100.96.2.0/25"}, "172.20.0.2", 1));
  (void)cache.upsert(make_node("b", {"100.96.2.0/24"}, "172.20.0.3", 2));
  (void)cache.upsert(make_node("c", {"100.96.2.128/25"}, "172.20.0.4", 3));
  std::vector<std::string> owners;
  for (const auto& [prefix, owner] : cache.owners()) {
    owners.push_back(owner.node);
  }
  EXPECT_THAT(owners, ElementsAre("a", "c"));
}

TEST(NodeCache, RemovingTheLoserOfAConflictChangesNothing) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("winner", {"100.96.2.0/24"}, "172.20.0.2", 1));
  (void)cache.upsert(make_node("loser", {"100.96.2.0/24"}, "172.20.0.3", 2));
  EXPECT_EQ(cache.remove("loser", "loser-uid"), NodeCacheChange{});
  EXPECT_EQ(cache.owners().at(net("100.96.2.0/24")).node, "winner");
}

TEST(NodeCache, Ipv6NodesOfTwoOverlaysThatEncodeToOneMacConflict) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("a", {"fd00:96:0:2::/64"}, "172.20.0.2", 1));
  EXPECT_EQ(cache.upsert(make_node("b", {"fd00:97:0:2::/64"}, "172.20.0.3", 2)), NodeCacheChange{});
  EXPECT_THAT(problem_kinds(cache), ElementsAre(std::pair(NodeProblemKind::Conflict, "b")));
}

TEST(NodeCache, NodeWithoutAnAddressKeepsItsPodCidrFromYoungerOnes) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("old", {"100.96.2.0/24"}, "", 1));
  (void)cache.upsert(make_node("young", {"100.96.2.0/24"}, "172.20.0.3", 2));
  EXPECT_THAT(cache.owners(), IsEmpty());
  EXPECT_THAT(problem_kinds(cache), ElementsAre(std::pair(NodeProblemKind::Waiting, "old"),
                                                std::pair(NodeProblemKind::Conflict, "young")));
}

TEST(NodeCache, UnusablePodCidrsAndAddressesAreReportedAndProgrammedNowhere) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("outside", {"192.168.0.0/24"}, "172.20.0.1"));
  (void)cache.upsert(make_node("whole", {"100.96.0.0/12"}, "172.20.0.2"));
  (void)cache.upsert(make_node("twice", {"100.96.1.0/24", "100.96.2.0/24"}, "172.20.0.3"));
  (void)cache.upsert(make_node("long", {"fd00:96:0:1:8000::/65"}, "172.20.0.4"));
  (void)cache.upsert(make_node("half", {"100.96.3.0/24", "2001:db8::/64"}, "172.20.0.5"));
  EXPECT_THAT(problem_kinds(cache), ElementsAre(std::pair(NodeProblemKind::BadPodCidr, "half"),
                                                std::pair(NodeProblemKind::BadPodCidr, "long"),
                                                std::pair(NodeProblemKind::BadPodCidr, "outside"),
                                                std::pair(NodeProblemKind::BadPodCidr, "twice"),
                                                std::pair(NodeProblemKind::BadPodCidr, "whole")));
  EXPECT_THAT(cache.owners(), IsEmpty());

  cache = make_cache();
  (void)cache.upsert(make_node("multicast", {"100.96.1.0/24"}, "224.0.0.1"));
  (void)cache.upsert(make_node("overlaid", {"100.96.2.0/24"}, "100.96.7.7"));
  (void)cache.upsert(make_node("fresh", {}, "172.20.0.5"));
  EXPECT_THAT(problem_kinds(cache),
              ElementsAre(std::pair(NodeProblemKind::Waiting, "fresh"),
                          std::pair(NodeProblemKind::BadAddress, "multicast"),
                          std::pair(NodeProblemKind::BadAddress, "overlaid")));
  EXPECT_THAT(cache.owners(), IsEmpty());
}

TEST(NodeCache, SharedAddressIsReportedForBothAndBothAreProgrammed) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("n2", {"100.96.2.0/24"}, "172.20.0.2"));
  (void)cache.upsert(make_node("n3", {"100.96.3.0/24"}, "172.20.0.2"));
  EXPECT_THAT(cache.owners(), SizeIs(2));
  EXPECT_THAT(problem_kinds(cache), ElementsAre(std::pair(NodeProblemKind::SharedAddress, "n2"),
                                                std::pair(NodeProblemKind::SharedAddress, "n3")));
}

TEST(NodeCache, AddressIsTheFirstInternalOneOfTheUnderlayThenAnExternalOne) {
  NodeCache cache = make_cache();
  Node node = make_node("n2", {"100.96.2.0/24"}, "");
  node.addresses = {{NodeAddressType::ExternalIp, ip("203.0.113.1")},
                    {NodeAddressType::InternalIp, ip("2001:db8::1")},
                    {NodeAddressType::InternalIp, ip("172.20.0.10")},
                    {NodeAddressType::InternalIp, ip("172.20.0.9")}};
  (void)cache.upsert(node);
  EXPECT_EQ(cache.owners().begin()->second.vtep, ip("172.20.0.10"));
  node.addresses.resize(2);
  (void)cache.upsert(node);
  EXPECT_EQ(cache.owners().begin()->second.vtep, ip("203.0.113.1"));
}

TEST(NodeCache, SelfFollowsItsNodeAndKnowsThatItLostItsPodCidr) {
  NodeCache cache = make_cache();
  EXPECT_FALSE(cache.upsert(make_node("n0", {}, "172.20.0.1", 5)).self);
  EXPECT_EQ(cache.self(), std::nullopt);
  EXPECT_TRUE(cache.contains("n0"));
  EXPECT_TRUE(cache.upsert(make_node("n0", {"100.96.1.0/24"}, "172.20.0.1", 5)).self);
  EXPECT_EQ(cache.self(), (Self{.uid = "n0-uid",
                                .pod_cidrs = {net("100.96.1.0/24")},
                                .vtep = ip("172.20.0.1"),
                                .mac = MacAddress::parse("00:53:64:60:01:00").value(),
                                .lost_pod_cidr = false}));
  EXPECT_TRUE(cache.upsert(make_node("older", {"100.96.1.0/24"}, "172.20.0.2", 4)).self);
  ASSERT_TRUE(cache.self());
  EXPECT_TRUE(cache.self()->lost_pod_cidr);
  EXPECT_EQ(cache.owners().at(net("100.96.1.0/24")).node, "older");
  EXPECT_TRUE(cache.remove("n0", "n0-uid").self);
  EXPECT_FALSE(cache.contains("n0"));
}

TEST(NodeCache, UnreadableNodeKeepsItsLastContentUntilItIsReadableOrGone) {
  const NodeRejection rejection{.name = "n2", .uid = "n2-uid", .reason = "spec.podCIDRs: bad"};
  const NodeProblem problem{
      .kind = NodeProblemKind::Untypable, .node = "n2", .text = rejection.reason};
  const Node node = make_node("n2", {"100.96.2.0/24"}, "172.20.0.2");
  NodeCache cache = make_cache();
  (void)cache.upsert(node);
  cache.reject(rejection);
  EXPECT_THAT(cache.problems(), ElementsAre(problem));
  EXPECT_THAT(cache.owners(), SizeIs(1));
  EXPECT_EQ(cache.upsert(node), NodeCacheChange{});
  EXPECT_THAT(cache.problems(), IsEmpty());

  EXPECT_EQ(cache.replace(std::vector<Node>{}, {rejection}), NodeCacheChange{})
      << "a list keeps it as well";
  EXPECT_THAT(cache.owners(), SizeIs(1));
  EXPECT_THAT(cache.problems(), ElementsAre(problem));
  EXPECT_THAT(cache.remove("n2", "n2-uid").prefixes, SizeIs(1));
  EXPECT_THAT(cache.problems(), IsEmpty());

  cache.reject(rejection);
  (void)cache.replace(std::vector<Node>{}, {});
  EXPECT_THAT(cache.problems(), IsEmpty()) << "a list without it ends it";
}

TEST(NodeCache, DeleteOfAnUnreadableSuccessorRemovesWhatWasKept) {
  NodeCache cache = make_cache();
  (void)cache.upsert(make_node("n2", {"100.96.2.0/24"}, "172.20.0.2"));
  cache.reject({.name = "n2", .uid = "second", .reason = "bad"});
  EXPECT_EQ(cache.remove("n2", "third"), NodeCacheChange{});
  EXPECT_THAT(cache.remove("n2", "second").prefixes, ElementsAre(net("100.96.2.0/24")));
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_THAT(cache.problems(), IsEmpty());
}

TEST(NodeCache, UnreadableNodeThatWasNeverKnownGoesWithItsDelete) {
  NodeCache cache = make_cache();
  cache.reject({.name = "n2", .uid = "n2-uid", .reason = "bad"});
  EXPECT_THAT(cache.problems(), SizeIs(1));
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_EQ(cache.remove("n2", "n2-uid"), NodeCacheChange{});
  EXPECT_THAT(cache.problems(), IsEmpty());
}

TEST(NodeCache, HoldsALargeCluster) {
  constexpr std::uint32_t kCount = 15'000;
  NodeCache cache = make_cache();
  std::vector<Node> nodes;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    nodes.push_back(
        make_node("node-" + std::to_string(i), {}, format(IpAddress::v4(0xac140000U + i + 1))));
    nodes.back().pod_cidrs.push_back(IpPrefix::containing(IpAddress::v4(0x64600000U + i * 64), 26));
  }
  EXPECT_THAT(cache.replace(nodes, {}).prefixes, SizeIs(kCount));
  for (std::size_t i = 0; i < nodes.size(); i += 20) {
    const Node& node = nodes[i];
    EXPECT_THAT(cache.remove(node.name, node.uid).prefixes, SizeIs(1));
    EXPECT_THAT(cache.upsert(node).prefixes, SizeIs(1));
  }
  EXPECT_THAT(cache.owners(), SizeIs(kCount));
  EXPECT_THAT(cache.problems(), IsEmpty());
}

TEST(NodeProblem, KindsAreMetricLabels) {
  EXPECT_EQ(format(NodeProblemKind::Waiting), "waiting");
  EXPECT_EQ(format(NodeProblemKind::Untypable), "untypable");
  EXPECT_EQ(format(NodeProblemKind::BadPodCidr), "bad-pod-cidr");
  EXPECT_EQ(format(NodeProblemKind::BadAddress), "bad-address");
  EXPECT_EQ(format(NodeProblemKind::Conflict), "conflict");
  EXPECT_EQ(format(NodeProblemKind::SharedAddress), "shared-address");
}

}  // namespace
}  // namespace vxmesh
