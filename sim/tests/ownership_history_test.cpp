// The history against the reference model computed afresh for every revision.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "decide/testing/generators.h"
#include "sim/check/ownership_history.h"

namespace vxmesh {
namespace {

using generate::chance;
using generate::ip;
using generate::net;

ReferenceConfig config() {
  return ReferenceConfig{.overlay = generate::config().cidrs};
}

// What happens to one Node.
struct Change {
  std::string name;
  std::optional<NodeOrRejection> now;
};

void showValue(const Change& change, std::ostream& out) {
  out << change.name << ": ";
  if (!change.now) {
    out << "deleted";
  } else if (const Node* node = std::get_if<Node>(&*change.now)) {
    showValue(*node, out);
  } else {
    out << "unreadable, uid '" << std::get<NodeRejection>(*change.now).uid << "'";
  }
  out << "\n";
}

rc::Gen<Change> change() {
  return rc::gen::exec([] {
    const Node node = *generate::node();
    Change change{.name = node.name, .now = NodeOrRejection(node)};
    if (chance(20)) {
      change.now.reset();
    } else if (chance(25)) {
      const std::string uid = chance(30) ? "" : node.uid;
      change.now = NodeRejection{.name = node.name, .uid = uid, .reason = "odd"};
    }
    return change;
  });
}

// What the API holds, and what agents may remember of those that are unreadable.
struct Api {
  ApiNodes nodes;
  std::map<std::string, Node> last;

  void apply(const Change& change) {
    if (!change.now) {
      nodes.erase(change.name);
      last.erase(change.name);
      return;
    }
    nodes.insert_or_assign(change.name, *change.now);
    if (const Node* node = std::get_if<Node>(&*change.now)) {
      last.insert_or_assign(change.name, *node);
      return;
    }
    const std::string& uid = std::get<NodeRejection>(*change.now).uid;
    if (!uid.empty() && last.contains(change.name) && last.at(change.name).uid != uid) {
      last.erase(change.name);
    }
  }

  [[nodiscard]] Holdings holdings() const {
    std::vector<Node> remembered;
    for (const auto& [name, node] : last) {
      remembered.push_back(node);
    }
    return reference_holdings(config(), nodes, remembered);
  }
};

// A history, and what it should know: the holdings at each revision, several changes to some.
struct Told {
  OwnershipHistory history{config()};
  std::map<std::uint64_t, Holdings> truth;

  explicit Told(const std::vector<Change>& changes, bool with_record = false) {
    Api api;
    std::uint64_t revision = 10;
    truth[0] = {};
    for (const Change& change : changes) {
      revision += static_cast<std::uint64_t>(*rc::gen::inRange(0, 3));
      api.apply(change);
      if (with_record) {
        history.record(revision, api.nodes);
      } else {
        history.changed(revision, change.name, change.now ? &*change.now : nullptr);
      }
      truth[revision] = api.holdings();
    }
  }

  [[nodiscard]] const Holdings& at(std::uint64_t revision) const {
    return std::prev(truth.upper_bound(revision))->second;
  }
  [[nodiscard]] std::vector<Holder> holders(const IpPrefix& pod_cidr,
                                            std::uint64_t revision) const {
    const auto found = at(revision).find(pod_cidr);
    return found == at(revision).end() ? std::vector<Holder>{} : found->second;
  }
  [[nodiscard]] std::vector<Holder> holders(const IpAddress& address,
                                            std::uint64_t revision) const {
    std::vector<Holder> all;
    for (const auto& [pod_cidr, some] : at(revision)) {
      if (pod_cidr.contains(address)) {
        all.insert(all.end(), some.begin(), some.end());
      }
    }
    return all;
  }
  [[nodiscard]] std::uint64_t newest() const {
    return std::max<std::uint64_t>(truth.rbegin()->first, 10);
  }
  [[nodiscard]] std::set<IpPrefix> pod_cidrs() const {
    std::set<IpPrefix> all{net("100.96.100.0/24")};
    for (const auto& [revision, holdings] : truth) {
      for (const auto& [pod_cidr, holders] : holdings) {
        all.insert(pod_cidr);
      }
    }
    return all;
  }

  // All that anybody ever held a PodCIDR at, and one that nobody did.
  [[nodiscard]] std::set<IpAddress> vteps() const {
    std::set<IpAddress> all{ip("172.20.99.99")};
    for (const auto& [revision, holdings] : truth) {
      for (const auto& [pod_cidr, holders] : holdings) {
        for (const Holder& holder : holders) {
          all.insert(holder.owner.vtep);
        }
      }
    }
    return all;
  }

  void compare_from(std::uint64_t oldest) const {
    for (const IpPrefix& pod_cidr : pod_cidrs()) {
      const IpAddress address = pod_cidr.last();
      std::set<IpAddress> past;
      for (std::uint64_t revision = newest() + 1; revision >= oldest; --revision) {
        const std::vector<Holder> expected = holders(pod_cidr, revision);
        RC_ASSERT(history.holders(pod_cidr, revision) == expected);
        std::vector<Holder> around = holders(address, revision);
        RC_ASSERT(history.holders(address, revision) == around);
        bool certain = false;
        for (const Holder& holder : around) {
          past.insert(holder.owner.vtep);
          certain = certain || holder.certain;
        }
        for (const IpAddress& vtep : vteps()) {
          RC_ASSERT(history.was_at(address, vtep, revision) == past.contains(vtep));
        }
        RC_ASSERT(history.owner(address, revision).has_value() == certain);
      }
    }
  }
};

RC_GTEST_PROP(OwnershipHistory, KnowsEveryRevision, (bool with_record)) {
  const Told told(*rc::gen::container<std::vector<Change>>(change()), with_record);
  told.compare_from(9);
}

RC_GTEST_PROP(OwnershipHistory, LastChangeIsTheNewestRevisionThatDiffers, ()) {
  const Told told(*rc::gen::container<std::vector<Change>>(change()));
  for (const IpPrefix& pod_cidr : told.pod_cidrs()) {
    std::optional<std::uint64_t> expected;
    for (std::uint64_t revision = 10; revision <= told.newest(); ++revision) {
      if (told.holders(pod_cidr, revision) != told.holders(pod_cidr, revision - 1)) {
        expected = revision;
      }
    }
    RC_ASSERT(told.history.last_change(pod_cidr) == expected);
  }
}

RC_GTEST_PROP(OwnershipHistory, ForgetsWhatIsOldAndNothingElse, ()) {
  Told told(*rc::gen::container<std::vector<Change>>(change()));
  const std::uint64_t oldest = *rc::gen::inRange<std::uint64_t>(9, told.newest() + 2);
  told.history.forget_before(*rc::gen::inRange<std::uint64_t>(9, oldest + 1));
  told.history.forget_before(oldest);
  told.compare_from(oldest);
  std::size_t held = 0;
  for (const IpPrefix& pod_cidr : told.pod_cidrs()) {
    held += told.holders(pod_cidr, told.newest()).empty() ? 0U : 1U;
  }
  told.history.forget_before(told.newest());
  RC_ASSERT(told.history.entries() == held);
}

Node node_of(const std::string& name, const char* address) {
  return Node{.name = name,
              .uid = name,
              .pod_cidrs = {net("100.96.2.0/24")},
              .addresses = {{.address = ip(address)}}};
}

TEST(OwnershipHistory, ANodeThatMovesAndGoes) {
  OwnershipHistory history(config());
  const NodeOrRejection before = node_of("n2", "172.20.0.2");
  const NodeOrRejection after = node_of("n2", "172.20.0.3");
  history.changed(5, "n2", &before);
  history.changed(8, "n2", &after);
  EXPECT_EQ(history.owner(ip("100.96.2.7"), 4), std::nullopt);
  EXPECT_EQ(history.owner(ip("100.96.2.7"), 7)->vtep, ip("172.20.0.2"));
  EXPECT_EQ(history.owner(net("100.96.2.0/24"), 9)->vtep, ip("172.20.0.3"));
  EXPECT_TRUE(history.was_at(ip("100.96.2.7"), ip("172.20.0.2"), 5));
  EXPECT_TRUE(history.was_at(ip("100.96.2.7"), ip("172.20.0.3"), 5));
  EXPECT_FALSE(history.was_at(ip("100.96.2.7"), ip("172.20.0.2"), 8));
  history.changed(9, "n2", nullptr);
  EXPECT_FALSE(history.was_at(ip("100.96.2.7"), ip("172.20.0.3"), 9));
  EXPECT_EQ(history.last_change(net("100.96.2.0/24")), 9U);
  EXPECT_EQ(history.latest(), 9U);
}

// Rivals by their MAC alone: nothing of their PodCIDRs overlaps.
TEST(OwnershipHistory, AnEqualMacWaitsForTheOlderNodeToGo) {
  OwnershipHistory history(config());
  Node old = node_of("old", "172.20.0.2");
  old.pod_cidrs = {net("fd00:96:0:1::/64")};
  Node young = node_of("young", "172.20.0.3");
  young.pod_cidrs = {net("fd00:97:0:1::/64")};
  young.created_s = old.created_s + 1;
  const NodeOrRejection first = young;
  const NodeOrRejection second = old;
  history.changed(1, "young", &first);
  history.changed(2, "old", &second);
  history.changed(3, "old", nullptr);
  EXPECT_TRUE(history.owner(young.pod_cidrs[0], 1).has_value());
  EXPECT_FALSE(history.owner(young.pod_cidrs[0], 2).has_value());
  EXPECT_TRUE(history.owner(young.pod_cidrs[0], 3).has_value());
}

}  // namespace
}  // namespace vxmesh
