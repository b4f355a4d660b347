// A network namespace of the kernel, in memory: what it holds, what it refuses, what it tells.
//
// It answers as Linux 6.x does, with the same errnos, extended ack texts and notifications, to
// whatever the agent or anybody else may ask of it. sim/kernel/README.md says what is modelled,
// what aborts, and where it differs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sim/kernel/data_plane.h"
#include "sim/kernel/fdb_table.h"
#include "sim/kernel/kernel_host.h"
#include "sim/kernel/kernel_message.h"
#include "sim/kernel/request.h"
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

// What a request is answered with.
struct KernelReply {
  OpDone done;
  std::optional<Record> row;  // of a GET that found something

  friend bool operator==(const KernelReply&, const KernelReply&) = default;
};

// Contract: a state machine without clock, randomness or I/O; equal calls give equal states and
// messages. Time comes with the calls and never runs backwards. Messages reach the listeners after
// the call's change is complete, in the kernel's order.
class NamespaceState {
 public:
  // The loopback link, down and without addresses, as in every new namespace.
  static constexpr IfIndex kLoopback{1};
  // Whose requests execute() sends; nlmsg_pid of what they cause.
  static constexpr PortId kAgent{1};

  // On a host of its own, or on one that it shares and that outlives it.
  NamespaceState();
  explicit NamespaceState(KernelHost& host);
  ~NamespaceState();
  NamespaceState(const NamespaceState&) = delete;
  NamespaceState& operator=(const NamespaceState&) = delete;

  // --- Requests ---

  // One rtnetlink message of the socket `sender`.
  KernelReply request(const rtnl::Request& request, PortId sender, MonotonicTime now);
  // Several of them in one datagram: every one is answered, in order, and one that fails keeps none
  // behind it from being done (netlink_rcv_skb).
  std::vector<KernelReply> batch(std::span<const rtnl::Request> requests, PortId sender,
                                 MonotonicTime now);
  // One operation of our agent, as ports/netlink.h says it on the wire.
  OpDone execute(const KernelOp& op, MonotonicTime now);

  // What others do beside the overlay. A link of any kind but vxlan, as it stands; its index is
  // chosen here, its name must be free. Hardware (an empty kind) has a carrier.
  IfIndex add_link(Link link, MonotonicTime now);
  // IFLA_ADDRESS on an existing link.
  OpDone set_mac(IfIndex device, const MacAddress& mac, MonotonicTime now);
  // RTM_NEWROUTE, CREATE: comes before its rivals.
  OpDone add_route(const Route& route, MonotonicTime now);
  // RTM_NEWNEIGH, AF_BRIDGE, CREATE|APPEND.
  OpDone append_fdb(const FdbEntry& entry, MonotonicTime now);
  // A socket of somebody else takes the port: a vxlan that wants it cannot go up.
  void occupy_udp_port(std::uint16_t port) { occupied_ports_.insert(port); }
  // How long duplicate address detection waits before it begins. Linux draws it between zero and
  // net.ipv6.conf.*.router_solicitation_delay (1 s); by default it is the middle.
  void set_dad_delay(Duration delay) { dad_delay_ = delay; }
  // net.ipv4.ip_forward and net.ipv6.conf.all.forwarding.
  void set_forwarding(bool on, MonotonicTime now);

  // --- Packets and time ---

  // What becomes of frames and packets, and who sees them: data_plane.h.
  int inject(IfIndex device, std::span<const std::uint8_t> frame, MonotonicTime now);
  void receive(IfIndex device, FramePtr frame, MonotonicTime now);
  int send_datagram(const IpAddress& to, MonotonicTime now);
  [[nodiscard]] DataPlane& data_plane() { return plane_; }
  // A packet leaves, from this namespace or forwarded: it makes neighbour entries and misses.
  Delivery send_packet(const IpAddress& destination, MonotonicTime now);
  // What would become of it; changes nothing.
  [[nodiscard]] Delivery deliver(const IpAddress& destination) const;

  // Does what is due up to `now`.
  void run_timers(MonotonicTime now);
  [[nodiscard]] std::optional<MonotonicTime> next_timer() const;

  // --- Reading ---

  [[nodiscard]] const Link* find_link(const std::string& name) const;
  [[nodiscard]] const Link* find_link(IfIndex device) const;
  [[nodiscard]] std::vector<Link> links_after(IfIndex device, std::size_t max) const;
  [[nodiscard]] std::vector<IfAddress> addresses() const;
  [[nodiscard]] const RouteTable& routes() const { return routes_; }
  // Entries of a vxlan device, newest first; of any other there are none.
  [[nodiscard]] std::vector<FdbEntry> fdb(IfIndex device) const;
  // As a dump goes on that has shown `skip` of them (FdbTable::rows_after).
  [[nodiscard]] std::vector<FdbEntry> fdb_after(IfIndex device, std::size_t skip,
                                                std::size_t max) const;
  // The destinations of a MAC; null if there is none.
  [[nodiscard]] const std::vector<FdbRemote>* find_fdb(IfIndex device, const MacAddress& mac) const;
  // Of all devices, of one, or of one and a prefix; in order of device and address, IPv4 first.
  [[nodiscard]] std::vector<Neighbour> neighbours() const;
  [[nodiscard]] std::vector<Neighbour> neighbours(IfIndex device) const;
  [[nodiscard]] std::vector<Neighbour> neighbours(IfIndex device, const IpPrefix& prefix) const;
  [[nodiscard]] std::optional<Neighbour> find_neighbour(IfIndex device,
                                                        const IpAddress& address) const;
  // As a dump shows them: those of the device after `after`, at most `max`.
  [[nodiscard]] std::vector<NeighbourReport> neighbours_after(IfIndex device,
                                                              const std::optional<IpAddress>& after,
                                                              std::size_t max) const;
  // Absent if there is no such device, or it does not speak the family.
  [[nodiscard]] std::optional<NeighbourParameters> parameters(IfIndex device, Family family) const;
  [[nodiscard]] std::optional<std::uint8_t> rp_filter(IfIndex device) const;

  // Every row of every table as the kernel would dump it, in no particular order.
  [[nodiscard]] std::vector<Record> dump_all() const;
  // What our agent reads of all tables; FDB entries and neighbours are those of `device`,
  // kernel-made ones included.
  [[nodiscard]] KernelState tables(IfIndex device) const;

  // --- Listening ---

  // Unsubscribes when it is destroyed, before the namespace or after it.
  using Subscription = std::shared_ptr<const void>;
  using Listener = std::function<void(const Notification&)>;
  // The listener must not change the namespace.
  [[nodiscard]] Subscription subscribe(Listener listener);

 private:
  struct LinkRow {
    LinkRecord record;
    Family underlay = Family::V4;  // of a vxlan: what its outer packets are
    bool carrier = true;           // as link watching last saw it
    bool mac_chosen = false;       // NET_ADDR_SET: a bridge does not take its ports' MAC any more
    bool mtu_chosen = false;       // BROPT_MTU_SET_BY_USER
    MacAddress bridge_id;          // of a bridge: the MAC that it took of its ports
    bool speaks_ipv6 = false;      // has an inet6_dev
    bool ipv6_ready = false;       // IF_READY
    bool detects_duplicates = false;  // accept_dad
    bool unregistering = false;       // not NETREG_REGISTERED any more
    std::uint64_t joined = 0;         // its bridge: when, in order
    std::uint8_t rp_filter = 0;

    [[nodiscard]] const Link& link() const { return record.link; }
  };
  struct AddressRow {
    AddressRecord record;
    std::optional<MonotonicTime> dad_done;  // when duplicate address detection ends
    bool dad_pending = false;               // begins when the device is ready
    std::uint64_t dad_number = 0;           // the order in which they began
    bool in_group = false;                  // its solicited-node multicast address is heard

    [[nodiscard]] const IfAddress& address() const { return record.address; }
    [[nodiscard]] bool has(std::uint32_t flag) const { return (record.flags & flag) != 0; }
  };
  // By reference, so that `host` can be asked of `own` in the same call.
  NamespaceState(std::unique_ptr<KernelHost>&& own, KernelHost* host);
  explicit NamespaceState(std::unique_ptr<KernelHost> own);

  // The request under way: whose it is, and so what its notifications carry.
  struct Caller {
    PortId port;
    bool is_request = false;
  };
  struct Handler;
  class Tables;

  // --- Links (namespace_links.cpp, _vxlan.cpp, _bridges.cpp, _devices.cpp) ---
  OpDone new_link(const rtnl::NewLink& request);
  OpDone change_group(const rtnl::NewLink& request);
  OpDone create_link(const rtnl::NewLink& request);
  static void refuse_unmodelled_vxlan(const rtnl::NewLink& request);
  OpDone create_vxlan(const rtnl::NewLink& request, LinkRow row);
  OpDone create_veth(const rtnl::NewLink& request, LinkRow row);
  OpDone create_bridge(const rtnl::NewLink& request, LinkRow row);
  OpDone change_link(LinkRow& row, const rtnl::NewLink& request);
  OpDone change_vxlan(LinkRow& row, const rtnl::NewLink& request);
  OpDone configure_vxlan(LinkRow& row, const rtnl::NewLink& request) const;
  OpDone judge_vxlan(const LinkRow& wanted) const;
  enum class FlagsTold : bool { OnChange, Always };
  OpDone change_flags(LinkRow& row, const rtnl::NewLink& request, FlagsTold told);
  OpDone del_link(const rtnl::DelLink& request);
  void delete_devices(const std::vector<IfIndex>& devices);
  void unregister(IfIndex device);
  OpDone open_device(LinkRow& row);
  void close_device(LinkRow& row);
  void notify_up(LinkRow& row);
  void notify_down(LinkRow& row);
  OpDone change_mac(LinkRow& row, const rtnl::LinkLayer& wanted);
  void mac_changed(LinkRow& row);
  OpDone change_mtu(LinkRow& row, std::uint32_t mtu);
  OpDone change_name(LinkRow& row, const std::string& name);
  OpDone change_master(LinkRow& row, IfIndex master);
  OpDone join_bridge(LinkRow& port, LinkRow& bridge);
  void shake_bridge(const LinkRow& made);
  void leave_bridge(LinkRow& port);
  void part_from_bridge(LinkRow& port);
  void adjust_bridge_mtu(LinkRow& bridge);
  void adjust_bridge_mac(LinkRow& bridge);
  OpDone judge_name(LinkRow& made) const;
  void update_carriers();
  void carrier_changed(LinkRow& row);
  void state_changed(LinkRow& row);
  void flush_without_carrier(const LinkRow& row);
  [[nodiscard]] bool carrier_of(const LinkRow& row) const;
  [[nodiscard]] bool is_below(IfIndex lower, IfIndex upper) const;
  [[nodiscard]] std::string free_name(const std::string& stem) const;
  [[nodiscard]] std::vector<IfIndex> ports_of(IfIndex bridge) const;
  LinkRow* row(IfIndex device);
  [[nodiscard]] const LinkRow* row(IfIndex device) const;
  [[nodiscard]] const LinkRow* row(const std::string& name) const;
  LinkRow& insert_link(LinkRow row);
  [[nodiscard]] VxlanConfig vxlan_config(const LinkRow& row) const;
  void tell_link(const LinkRow& row);

  // --- Addresses (namespace_ipv4.cpp, namespace_ipv6.cpp) ---
  OpDone new_addr(const rtnl::NewAddr& request);
  OpDone del_addr(const rtnl::DelAddr& request);
  OpDone new_ipv4(const rtnl::NewAddr& request);
  OpDone replace_ipv4(AddressRow& row, const rtnl::NewAddr& request);
  OpDone insert_ipv4(AddressRecord record);
  void delete_ipv4(std::size_t place, bool device_goes);
  void disable_ipv4(IfIndex device, bool force);
  void add_ipv4_routes(const AddressRow& row);
  void remove_ipv4_routes(const AddressRow& row, bool device_goes);
  // What stays though an address goes: the route to the address, to its explicit broadcast address,
  // to the highest and to the lowest address of its subnet.
  struct NeededRoutes {
    bool local = false;
    bool broadcast = false;
    bool last = false;
    bool first = false;
  };
  [[nodiscard]] NeededRoutes still_needed(const AddressRow& row, const AddressRow& prim) const;
  [[nodiscard]] const AddressRow* shares_routes(const AddressRow& other, const AddressRow& prim,
                                                bool same_preferred) const;
  void add_ipv4_route(RouteType type, const IpPrefix& destination, const AddressRow& row,
                      std::uint32_t metric);
  void remove_ipv4_route(RouteType type, const IpPrefix& destination, const AddressRow& row,
                         std::uint32_t metric);
  void modify_prefix_metric(const AddressRow& row, std::uint32_t metric);
  [[nodiscard]] const AddressRow* primary_of(const AddressRow& row) const;
  OpDone new_ipv6(const rtnl::NewAddr& request);
  OpDone insert_ipv6(const rtnl::NewAddr& request, std::uint32_t flags);
  void modify_ipv6(AddressRow& row, const rtnl::NewAddr& request, std::uint32_t flags);
  OpDone del_ipv6(const rtnl::DelAddr& request);
  void speak_ipv6(LinkRow& row);
  void forget_ipv6(LinkRow& row, bool unregister);
  void ready_ipv6(LinkRow& row);
  void restore_ipv6(LinkRow& row);
  void add_multicast_route(const LinkRow& row);
  void add_link_local(LinkRow& row);
  void start_dad(AddressRow& row);
  void restart_dad(const LinkRow& row);
  void dad_completed(AddressRow& row);
  void run_dad();
  [[nodiscard]] std::vector<AddressRow>::iterator first_dad();
  [[nodiscard]] std::optional<MonotonicTime> next_dad() const;
  void add_prefix_route(const AddressRow& row);
  [[nodiscard]] std::optional<RouteRecord> find_prefix_route(const AddressRow& row) const;
  void remove_prefix_route(const AddressRow& row);
  [[nodiscard]] bool shares_prefix(const AddressRow& row) const;
  void add_host_route(const AddressRow& row);
  void remove_local_route(RouteType type, const IpAddress& address, IfIndex device);
  void change_anycast(const AddressRow& row, bool join);
  [[nodiscard]] std::vector<std::size_t> addresses_of(IfIndex device, Family family) const;
  void tell_address(Notification::Kind kind, const AddressRow& row);

  // --- Routes (namespace_routes.cpp) ---
  OpDone new_route(const rtnl::NewRoute& request);
  OpDone new_ipv4_route(const rtnl::NewRoute& request);
  OpDone new_ipv6_route(const rtnl::NewRoute& request);
  OpDone judge_ipv4_route(const rtnl::RouteFields& fields, RouteRecord& record) const;
  OpDone judge_ipv4_gateway(const rtnl::RouteFields& fields, RouteRecord& record) const;
  OpDone judge_ipv6_nexthop(const rtnl::RouteFields& fields, RouteRecord& record) const;
  OpDone judge_ipv6_gateway(const rtnl::RouteFields& fields, RouteRecord& record) const;
  [[nodiscard]] bool suits_onlink(const IpAddress& gateway,
                                  const std::optional<IfIndex>& device) const;
  OpDone del_route(const rtnl::DelRoute& request);
  [[nodiscard]] bool finds_null_entry(const rtnl::RouteFields& pattern) const;
  OpDone insert_route(const RouteRecord& wanted, std::uint16_t flags);
  void insert_kernel_route(const RouteRecord& wanted, std::uint16_t flags);
  enum class Tell : bool { No, Yes };
  void flush_routes(const std::function<bool(const RouteRecord&)>& goes, Tell tell);
  void tell_route(Notification::Kind kind, const RouteRecord& record, std::uint16_t flags = 0,
                  bool answers_request = false);
  [[nodiscard]] RouteRecord with_carrier(RouteRecord record) const;
  void sync_routes(const LinkRow& row);
  [[nodiscard]] static RouteRecord shown(RouteRecord record);
  [[nodiscard]] RouteType address_type(const IpAddress& address) const;
  [[nodiscard]] bool is_local(const IpAddress& address) const;
  [[nodiscard]] const RouteRecord* route_to(const IpAddress& destination) const;
  [[nodiscard]] const AddressRow* find_ipv6(const IpAddress& address, std::optional<IfIndex> device,
                                            bool tentative_counts) const;

  // --- Neighbours and FDB (namespace_neighbours.cpp) ---
  OpDone new_neigh(const rtnl::NewNeigh& request);
  OpDone del_neigh(const rtnl::DelNeigh& request);
  OpDone new_fdb(const rtnl::NewFdb& request);
  OpDone del_fdb(const rtnl::DelFdb& request);
  KernelReply get_neigh(const rtnl::GetNeigh& request) const;
  KernelReply get_fdb(const rtnl::GetFdb& request) const;
  [[nodiscard]] bool is_vxlan(IfIndex device) const;
  [[nodiscard]] std::optional<NeighbourDevice> neighbour_device(IfIndex device) const;
  [[nodiscard]] std::optional<FdbDevice> fdb_device(IfIndex device) const;
  void flush_neighbours(IfIndex device, Family family, NeighbourTable::Flush what);
  void take(const NeighbourEffects& effects);
  void take(const NeighbourEffect& effect);

  // --- Packets (namespace_packets.cpp) ---
  std::unique_ptr<NetworkTables> make_tables();

  void tell(Notification::Kind kind, Record record);
  void publish();

  std::unique_ptr<KernelHost> own_host_;
  KernelHost& host_;
  NamespaceId id_;
  MonotonicTime now_;
  Caller caller_;
  bool forwarding_ = false;
  Duration dad_delay_ = std::chrono::milliseconds(500);
  IfIndex next_index_{2};
  IfIndex last_made_;
  IfIndex changed_link_;  // by the request under way: its carrier is looked at first
  std::uint64_t next_join_ = 1;
  std::uint64_t next_dad_number_ = 1;
  std::map<IfIndex, LinkRow> links_;
  std::vector<AddressRow> addresses_;  // each device's in the kernel's order
  std::map<std::pair<IfIndex, IpAddress>, unsigned> anycast_users_;  // ifacaddr6, aca_users
  RouteTable routes_;
  std::set<std::pair<Family, std::uint32_t>> route_tables_;  // made by a write; they stay
  bool had_custom_local_routes_ = false;                     // likewise
  FdbTable fdb_;
  std::set<std::uint16_t> occupied_ports_;
  std::unique_ptr<NetworkTables> tables_ = make_tables();
  DataPlane plane_{*tables_};

  KernelMessages messages_;  // of the call under way
  std::vector<std::weak_ptr<const Listener>> listeners_;
};

}  // namespace vxmesh
