// A network namespace of the kernel, in memory: what it holds, what it refuses, what it tells.
//
// It answers as Linux 6.x does, with the same errnos and extended ack texts, in what the overlay
// does and what may come in its way. Where it is simpler than Linux:
//   - Neighbours do not age: REACHABLE and STALE stay as they are, and nothing is garbage
//   collected.
//   - Packets that wait for resolution are not kept, only the entry that they made.
//   - ARP and ND never answer: a neighbour gets its MAC from RTM_NEWNEIGH alone.
//   - Routes with several nexthops, nexthop objects, rules and tables other than main and local
//   take no part in the lookup.
//   - A change of a link is reported only if it changed something.
//   - IPv6 multicast neighbours and anycast routes are not made.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/kernel/fdb_table.h"
#include "sim/kernel/kernel_message.h"
#include "sim/kernel/neighbour_table.h"
#include "sim/kernel/route_table.h"

namespace vxmesh {

// What became of a packet.
enum class PacketFate : std::uint8_t {
  Vtep,         // encapsulated to `vtep`
  Unresolved,   // routed into a vxlan, but the neighbour has no MAC
  NoFdbEntry,   // dropped by the vxlan: the MAC has no destination
  Local,        // for an address of this namespace, or a broadcast
  OtherDevice,  // routed to a device that is not a vxlan
  Refused,      // unreachable or blackhole route
  NoRoute,
};

struct Delivery {
  PacketFate fate = PacketFate::NoRoute;
  std::optional<IfIndex> device;
  std::optional<MacAddress> mac;  // of the neighbour
  std::optional<IpAddress> vtep;

  friend bool operator==(const Delivery&, const Delivery&) = default;
};

// Contract: a state machine without clock, randomness or I/O; equal calls give equal states and
// messages. Time comes with the calls and never runs backwards. Messages reach the listeners after
// the call's change is complete, in the kernel's order.
class NamespaceState {
 public:
  // The loopback link, down and without addresses, as in every new namespace.
  static constexpr IfIndex kLoopback{1};

  NamespaceState();
  NamespaceState(const NamespaceState&) = delete;
  NamespaceState& operator=(const NamespaceState&) = delete;

  // --- Requests ---

  // One request, as ports/netlink.h says it on the wire.
  OpDone execute(const KernelOp& op, MonotonicTime now);

  // What others do beside the overlay. A link of any kind but vxlan, as it stands; its index is
  // chosen here, its name must be free.
  IfIndex add_link(Link link, MonotonicTime now);
  // IFLA_ADDRESS on an existing link.
  OpDone set_mac(IfIndex device, const MacAddress& mac, MonotonicTime now);
  // RTM_NEWROUTE, CREATE: comes before its rivals.
  OpDone add_route(const Route& route, MonotonicTime now);
  // RTM_NEWNEIGH, AF_BRIDGE, CREATE|APPEND.
  OpDone append_fdb(const FdbEntry& entry, MonotonicTime now);
  // A socket of somebody else takes the port: a vxlan that wants it cannot go up.
  void occupy_udp_port(std::uint16_t port) { occupied_ports_.insert(port); }

  // --- Packets and time ---

  // A packet leaves, from this namespace or forwarded: it makes neighbour entries and misses.
  Delivery send_packet(const IpAddress& destination, MonotonicTime now);
  // What would become of it; changes nothing.
  [[nodiscard]] Delivery deliver(const IpAddress& destination) const;

  // Does what is due up to `now`.
  void run_timers(MonotonicTime now);
  [[nodiscard]] std::optional<MonotonicTime> next_timer() const { return neighbours_.next_timer(); }

  // --- Reading ---

  [[nodiscard]] const Link* find_link(const std::string& name) const;
  [[nodiscard]] const Link* find_link(IfIndex device) const;
  [[nodiscard]] std::vector<Link> links_after(IfIndex device, std::size_t max) const;
  [[nodiscard]] std::vector<IfAddress> addresses() const;
  [[nodiscard]] const RouteTable& routes() const { return routes_; }
  [[nodiscard]] const FdbTable& fdb() const { return fdb_; }
  [[nodiscard]] const NeighbourTable& neighbours() const { return neighbours_; }
  // Null if there is no such device, or it does not speak the family.
  [[nodiscard]] const NeighbourParameters* parameters(IfIndex device, Family family) const;
  [[nodiscard]] std::optional<std::uint8_t> rp_filter(IfIndex device) const;

  // All tables; FDB entries and neighbours are those of `device`, kernel-made ones included.
  [[nodiscard]] KernelState tables(IfIndex device) const;

  // --- Listening ---

  // Unsubscribes when it is destroyed, before the namespace or after it.
  using Subscription = std::shared_ptr<const void>;
  using Listener = std::function<void(const KernelMessage&)>;
  // The listener must not change the namespace.
  [[nodiscard]] Subscription subscribe(Listener listener);

 private:
  struct LinkRow {
    Link link;
    std::map<Family, NeighbourParameters> parameters;
    std::uint8_t rp_filter = 0;
  };
  struct AddressRow {
    IfAddress address;
    bool secondary = false;  // IFA_F_SECONDARY: goes with the first address of its subnet
  };
  struct Executor;

  // Requests.
  OpDone create_vxlan(const Link& wanted);
  OpDone change_link(const ChangeLink& op);
  OpDone change_vxlan(LinkRow& row, const ChangeLink& op);
  OpDone delete_link(IfIndex device);
  OpDone set_parameters(const SetNeighbourParameters& op);
  OpDone replace_address(const IfAddress& address);
  OpDone delete_address(const IfAddress& address);
  OpDone write_route(Route route, RouteTable::Outcome (RouteTable::*write)(const Route&));
  OpDone delete_route(const Route& route);
  OpDone write_fdb(const FdbEntry& entry, bool replace);
  OpDone delete_fdb(const DeleteFdb& op);
  OpDone replace_neighbour(const Neighbour& neighbour);
  OpDone delete_neighbour(const DeleteNeighbour& op);

  // Links.
  LinkRow* row(IfIndex device);
  [[nodiscard]] const LinkRow* row(IfIndex device) const;
  LinkRow& insert_link(Link link);
  [[nodiscard]] OpDone judge_vxlan(const Link& wanted) const;
  OpDone bring_up(LinkRow& row);
  void bring_down(LinkRow& row);
  OpDone set_mtu(LinkRow& row, std::uint32_t mtu);
  void forget_ipv6(const LinkRow& row);
  void tell(KernelChange::Kind kind, const KernelObject& object);

  // Addresses and the routes that they bring.
  void insert_address(const IfAddress& address, bool secondary);
  void remove_address(std::size_t place);
  void remove_ipv6_addresses(IfIndex device);
  void add_link_local(const LinkRow& row);
  void add_routes_of(const AddressRow& row);
  void remove_routes_of(const AddressRow& row);
  void add_kernel_route(const Route& route);
  [[nodiscard]] bool is_local(const IpAddress& address) const;

  // Routes.
  [[nodiscard]] OpDone judge_route(const Route& route) const;
  [[nodiscard]] OpDone judge_gateway(const Route& route, const Link& link) const;
  void flush_routes(const std::function<bool(const Route&)>& goes, bool tell_it);
  [[nodiscard]] const Route* route_to(const IpAddress& destination) const;

  void publish();

  MonotonicTime now_;
  IfIndex next_index_{2};
  std::map<IfIndex, LinkRow> links_;
  std::vector<AddressRow> addresses_;  // in the order in which they came
  RouteTable routes_;
  std::set<std::pair<Family, std::uint32_t>> route_tables_;  // made by a write; they stay
  FdbTable fdb_;
  NeighbourTable neighbours_;
  std::set<std::uint16_t> occupied_ports_;

  KernelMessages messages_;  // of the call under way
  std::vector<std::weak_ptr<const Listener>> listeners_;
};

}  // namespace vxmesh
