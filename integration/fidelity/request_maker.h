// Random actions over deliberately few values, so that they meet what is there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "integration/fidelity/program.h"
#include "integration/fidelity/state_view.h"
#include "sim/world/prng.h"

namespace vxmesh::fidelity {

// Draws from a generator.
struct Draw {
  Prng& prng;

  // True `percent` times of a hundred.
  [[nodiscard]] bool chance(std::uint64_t percent) const { return prng.chance(percent, 100); }
  template <typename Range>
  [[nodiscard]] const auto& of(const Range& values) const {
    return values[prng.below(std::size(values))];
  }
};

// The values that addresses, prefixes and MACs are drawn from; texts, as they stand in a case.
namespace pool {
[[nodiscard]] std::span<const IpAddress> addresses(Family family);     // ours and a peer's
[[nodiscard]] std::span<const IpAddress> destinations(Family family);  // VTEPs
[[nodiscard]] std::span<const IpPrefix> prefixes(Family family);
[[nodiscard]] std::span<const MacAddress> macs();       // of vxlan devices, FDB entries, neighbours
[[nodiscard]] std::span<const MacAddress> wire_macs();  // of bridges and veths
inline constexpr std::string_view kVxlanNames[] = {"vxlan1", "vxlan2", "vx-other"};
inline constexpr std::string_view kBridgeNames[] = {"br0", "br1"};
inline constexpr std::string_view kVethNames[] = {"veth0", "veth1", "veth2", "veth3"};
inline constexpr std::uint32_t kGroup = 0x76786d;  // of our own device
}  // namespace pool

// Contract: each function makes one action of its kind. Most make sense in the state, some are
// wrong in one way or another; unsuited.h says which are to be drawn again.
class RequestMaker {
 public:
  RequestMaker(Prng& prng, const StateView& state) : draw_{prng}, state_(state) {}

  [[nodiscard]] rtnl::NewLink create_link(rtnl::Kind kind) const;
  [[nodiscard]] rtnl::NewLink change_link() const;
  [[nodiscard]] rtnl::DelLink del_link() const;
  [[nodiscard]] rtnl::NewAddr new_addr(Family family) const;
  [[nodiscard]] rtnl::DelAddr del_addr(Family family) const;
  [[nodiscard]] rtnl::NewRoute new_route(Family family) const;
  [[nodiscard]] rtnl::DelRoute del_route(Family family) const;
  [[nodiscard]] rtnl::NewNeigh new_neigh(Family family) const;
  [[nodiscard]] rtnl::DelNeigh del_neigh(Family family) const;
  [[nodiscard]] rtnl::NewFdb new_fdb() const;
  [[nodiscard]] rtnl::DelFdb del_fdb() const;
  [[nodiscard]] rtnl::SetNeighTable set_neigh_table(Family family) const;
  [[nodiscard]] rtnl::GetNeigh get_neigh(Family family) const;
  [[nodiscard]] rtnl::GetFdb get_fdb() const;
  [[nodiscard]] SendDatagram send(Family family) const;

  // Any kind of link, mostly vxlan; a bridge costs the most to make and to delete.
  [[nodiscard]] rtnl::Kind kind() const;
  [[nodiscard]] Family family() const;
  [[nodiscard]] const Draw& draw() const { return draw_; }

  // A device of that kind (any but the loopback if empty), sometimes another or none.
  [[nodiscard]] IfIndex device(std::string_view kind = {}) const;

 private:
  [[nodiscard]] std::uint16_t new_flags() const;
  [[nodiscard]] rtnl::LinkLayer mac() const;
  [[nodiscard]] rtnl::LinkLayer mac_for(std::string_view kind) const;
  [[nodiscard]] rtnl::LinkLayer fdb_mac() const;
  void add_vxlan_attributes(rtnl::NewLink& request) const;
  void change_one(rtnl::NewLink& request, const Link& link) const;
  void change_vxlan(rtnl::NewLink& request) const;
  void change_route(rtnl::RouteFields& route) const;
  void add_nexthop(rtnl::RouteFields& route) const;
  [[nodiscard]] std::optional<rtnl::RouteFields> present_route(Family family) const;

  Draw draw_;
  const StateView& state_;
};

}  // namespace vxmesh::fidelity
