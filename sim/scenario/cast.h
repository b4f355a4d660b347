// Who is there when: the nodes and pods of a scenario over its time, and what their names stand
// for.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "model/ip_address.h"
#include "model/ip_prefix.h"
#include "sim/scenario/scenario.h"

namespace vxmesh {

// Filled in order of time. A moment includes all that is written for it.
class Cast {
 public:
  static constexpr Duration kEnd = Duration::max();

  // With another PodCIDR than before, its pods go.
  void node_is(Duration at, const NodeSpec& node);
  // The host goes, and its pods with it.
  void node_leaves(Duration at, const std::string& name);
  void pod_is(Duration at, const PodSpec& pod);
  void pod_leaves(Duration at, const std::string& name);

  // As it is at `at`; if it is gone, as it was last; if it is still to come, as it will be first.
  // Null: there never is such a one.
  [[nodiscard]] const NodeSpec* node(std::string_view name, Duration at) const;
  [[nodiscard]] const PodSpec* pod(std::string_view name, Duration at) const;
  [[nodiscard]] std::vector<std::string> pods_there(Duration at) const;
  // The pod that has the address on the node now, at the last moment told; null: none has.
  [[nodiscard]] const PodSpec* pod_with(const std::string& node, const IpAddress& address) const;
  [[nodiscard]] bool node_is_there(std::string_view name, Duration at) const;
  [[nodiscard]] bool pod_is_there(std::string_view name, Duration at) const;

  [[nodiscard]] std::vector<std::string> node_names() const;
  [[nodiscard]] std::vector<std::string> pod_names() const;

  // The lowest address of the PodCIDR, from the third on, that no pod has had yet; none: it is
  // full.
  [[nodiscard]] std::optional<IpAddress> free_address(const IpPrefix& pod_cidr);

 private:
  template <typename Spec>
  struct Moment {
    Duration at;
    std::optional<Spec> spec;  // absent: it is gone from here on
  };
  template <typename Spec>
  using Lives = std::map<std::string, std::vector<Moment<Spec>>, std::less<>>;

  template <typename Spec>
  static const Spec* spec_at(const Lives<Spec>& lives, std::string_view name, Duration at);
  // Behind the last moment that is not after `at`.
  template <typename Spec>
  static auto after(const std::vector<Moment<Spec>>& life, Duration at);
  template <typename Spec>
  static const Spec* there_at(const std::vector<Moment<Spec>>& life, Duration at);

  void pods_leave(Duration at, const std::string& node);

  Lives<NodeSpec> nodes_;
  Lives<PodSpec> pods_;
  std::set<IpAddress> used_;  // by a pod, ever
  // The pods that are there now, at the last moment told.
  std::map<std::pair<std::string, IpAddress>, std::string> by_address_;
  std::map<IpPrefix, std::uint32_t> next_offset_;
};

// Addresses of a PodCIDR that pods may have: neither its VTEP's and its bridge's, which are the
// first two, nor the last, which is the bridge's broadcast address.
[[nodiscard]] bool is_pod_address(const IpPrefix& pod_cidr, const IpAddress& address);

}  // namespace vxmesh
