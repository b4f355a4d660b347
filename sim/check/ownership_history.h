// Who owned which PodCIDR at which revision of the API.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/check/reference_model.h"

namespace vxmesh {

// Contract: fed with every change of a Node, in order of revision; several may share one. A Node
// that becomes unreadable goes on holding what it held, but not for certain, as long as its uid is
// the same (or cannot be read either). Questions are about revisions from the last forget_before()
// on; before the first change nobody holds anything.
// Cost: a change that says nothing new about PodCIDRs and addresses, O(log n); else O(log n) and
// the size of the group of Nodes that stand in each other's way. Memory: that of the changes since
// forget_before(), and one entry a PodCIDR.
class OwnershipHistory {
 public:
  explicit OwnershipHistory(ReferenceConfig config) : config_(std::move(config)) {}

  // The Node of that name as the API has it from `revision` on; null: deleted.
  void changed(std::uint64_t revision, const std::string& name, const NodeOrRejection* now);
  // All Nodes as they are at `revision`: changed() for each one that differs.
  void record(std::uint64_t revision, const ApiNodes& nodes);

  // Who owned it for certain.
  [[nodiscard]] std::optional<ReferenceOwner> owner(const IpAddress& address,
                                                    std::uint64_t revision) const;
  [[nodiscard]] std::optional<ReferenceOwner> owner(const IpPrefix& pod_cidr,
                                                    std::uint64_t revision) const;
  // Who held it, for certain or perhaps.
  [[nodiscard]] std::vector<Holder> holders(const IpAddress& address, std::uint64_t revision) const;
  [[nodiscard]] std::vector<Holder> holders(const IpPrefix& pod_cidr, std::uint64_t revision) const;
  // Whether somebody at that VTEP held, or may have held, a PodCIDR around `address` at any
  // revision from that one to latest().
  [[nodiscard]] bool was_at(const IpAddress& address, const IpAddress& vtep,
                            std::uint64_t from_revision) const;
  // Whether the Node of that name held something then, and not for certain. O(n) of all PodCIDRs.
  [[nodiscard]] bool is_uncertain(const std::string& node, std::uint64_t revision) const;
  // The newest revision that changed who holds exactly that PodCIDR, or at which address; absent if
  // nobody ever did, or if it was given up so long ago that it is forgotten.
  [[nodiscard]] std::optional<std::uint64_t> last_change(const IpPrefix& pod_cidr) const;
  // The PodCIDRs of which a revision in (after, upto] changed who holds them, or at which address.
  [[nodiscard]] std::set<IpPrefix> changed_between(std::uint64_t after, std::uint64_t upto) const;
  [[nodiscard]] std::uint64_t latest() const { return latest_; }

  // Nobody will ask about revisions before that one any more.
  void forget_before(std::uint64_t revision);
  // Entries in memory, of all PodCIDRs.
  [[nodiscard]] std::size_t entries() const;

 private:
  struct Known {
    Node node;
    bool readable = true;
  };
  struct Entry {
    std::uint64_t revision = 0;  // from which on it holds
    std::vector<Holder> holders;
  };
  using Names = std::set<std::string>;

  [[nodiscard]] bool take(const std::string& name, const NodeOrRejection* now);
  void resettle(std::uint64_t revision, const std::string& name, std::optional<Claim> claim);
  void add_claim(const Claim& claim);
  void erase_claim(const Claim& claim);
  void add_rivals(const Claim& claim, Names& names) const;
  [[nodiscard]] Names group_of(Names seeds) const;
  void write(std::uint64_t revision, const IpPrefix& pod_cidr, std::vector<Holder> holders);
  [[nodiscard]] std::vector<IpPrefix> prefixes_around(const IpAddress& address) const;

  ReferenceConfig config_;
  std::map<std::string, Known> known_;
  std::map<std::string, Claim> claims_;  // of those of `known_` that make one
  std::map<IpPrefix, Names> by_prefix_;  // who claims it
  std::map<MacAddress, Names> by_mac_;
  std::map<IpPrefix, std::vector<Entry>> entries_;          // each in order of revision
  std::deque<std::pair<std::uint64_t, IpPrefix>> written_;  // what write() did, in order
  std::map<Family, std::set<std::uint8_t>> lengths_;        // of all PodCIDRs ever held
  std::uint64_t latest_ = 0;
  std::uint64_t oldest_ = 0;  // that may be asked about
};

}  // namespace vxmesh
