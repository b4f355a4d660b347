// The neighbours of a host, of both families and of all its namespaces (net/core/neighbour.c,
// net/ipv4/arp.c, net/ipv6/ndisc.c).
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "base/hash_map.h"
#include "ports/netlink.h"
#include "sim/kernel/address_key.h"
#include "sim/kernel/neighbour_effects.h"
#include "sim/kernel/request.h"

namespace vxmesh {

// What RTM_SETNEIGHTBL sets for a device and a family (struct neigh_parms).
struct NeighbourTunables {
  std::uint32_t app_probes = 0;
  std::uint32_t ucast_probes = 3;
  std::uint32_t mcast_probes = 3;
  std::uint32_t mcast_reprobes = 0;
  Duration retrans_time = std::chrono::seconds(1);
  Duration base_reachable_time = std::chrono::seconds(30);
  Duration delay_probe_time = std::chrono::seconds(5);
  Duration gc_stale_time = std::chrono::seconds(60);
  Duration locktime = std::chrono::seconds(1);  // IPv6: zero
  std::uint32_t queue_bytes = 212992;           // SK_WMEM_MAX

  // arp_tbl.parms, nd_tbl.parms.
  [[nodiscard]] static NeighbourTunables defaults(Family family);

  friend bool operator==(const NeighbourTunables&, const NeighbourTunables&) = default;
};

// The device that a call is about, as it is at that moment.
struct NeighbourDevice {
  NamespaceId where;
  IfIndex index;
  MacAddress mac;
  bool no_arp = false;    // IFF_NOARP
  bool loopback = false;  // IFF_LOOPBACK
  // inet_addr_type_dev_table: the type of an IPv4 address as seen from the device. The table asks
  // only when an entry is made; absent: everything is unicast but multicast.
  std::function<RouteType(const IpAddress&)> type_of;
};

// gc_thresh1..3 of one family.
struct NeighbourThresholds {
  std::size_t periodic = 128;  // gc_thresh1: with fewer entries nothing is collected
  std::size_t soft = 512;      // gc_thresh2
  std::size_t hard = 1024;     // gc_thresh3
};

// /proc/net/stat/arp_cache and ndisc_cache, what there is to compare.
struct NeighbourCounters {
  std::size_t entries = 0;
  std::size_t collectable = 0;  // gc_entries: neither PERMANENT nor EXT_LEARNED
  std::uint64_t table_fulls = 0;
  std::uint64_t forced_collections = 0;
  std::uint64_t queue_discards = 0;  // unres_discards
};

// A row as a dump or an answer carries it.
struct NeighbourReport {
  NeighbourRecord record;
  Duration since_update{};  // NDA_CACHEINFO ndm_updated

  friend bool operator==(const NeighbourReport&, const NeighbourReport&) = default;
};

struct NeighbourAnswer {
  OpDone done;
  std::optional<NeighbourReport> row;  // if there is one
};

// What becomes of a packet that is handed to a neighbour.
struct Resolution {
  enum class Fate : std::uint8_t {
    Send,     // to `to`
    Queued,   // comes back as ReleasedPacket or LostPacket
    Failed,   // there is no one to ask: dropped, and nobody is told
    NoRoom,   // no entry could be made (ENOBUFS): dropped
    NoDevice  // the device does not speak the family (EINVAL): dropped
  };
  Fate fate = Fate::Failed;
  MacAddress to;

  friend bool operator==(const Resolution&, const Resolution&) = default;
};

// Contract: a state machine without clock, randomness or I/O. Time comes with the calls and never
// runs backwards; before a call at some time the caller calls run_timers() with it. Equal calls
// give equal states and effects. What a call makes happen is appended to `effects`, in order; a
// collection that one namespace causes may tell another.
// A device is known by namespace and index. It speaks a family between add_device() and
// remove_device() (inetdev_init, ipv6_add_dev; an IPv6 one ends as well when its MTU falls below
// 1280). Whether it is up is not asked: entries can be written while it is down.
// NTF_PROXY and NDA_FLAGS_EXT (MANAGED, EXT_VALIDATED) end the run by name; NTF_USE is modelled.
class NeighbourTable {
 public:
  // How long a neighbour stays reachable, from base_reachable_time: Linux takes a random value
  // between half and one and a half of it. By default the value is the base.
  using ReachableTime = std::function<Duration(Duration base)>;

  explicit NeighbourTable(ReachableTime reachable_time = {});
  NeighbourTable(const NeighbourTable&) = delete;
  NeighbourTable& operator=(const NeighbourTable&) = delete;

  // --- Devices and their parameters ---

  void add_device(NamespaceId where, IfIndex device, Family family);
  // The family's entries go with it (as flush() does it).
  void remove_device(NamespaceId where, IfIndex device, Family family, MonotonicTime now,
                     NeighbourEffects& effects);
  // RTM_SETNEIGHTBL: ENOENT if the device does not speak the family.
  OpDone set(NamespaceId where, const rtnl::SetNeighTable& request);
  // Null if the device does not speak the family.
  [[nodiscard]] const NeighbourTunables* tunables(NamespaceId where, IfIndex device,
                                                  Family family) const;
  // net.ipv4.neigh.default.gc_thresh*: of the host.
  void set_thresholds(Family family, const NeighbourThresholds& thresholds);

  // --- Requests; `device` is null if the namespace has none with the request's index. ---

  // RTM_NEWNEIGH. `sender` is the socket that asks: what it causes carries it.
  OpDone write(const rtnl::NewNeigh& request, const NeighbourDevice* device, PortId sender,
               MonotonicTime now, NeighbourEffects& effects);
  // RTM_DELNEIGH.
  OpDone remove(const rtnl::DelNeigh& request, const NeighbourDevice* device, PortId sender,
                MonotonicTime now, NeighbourEffects& effects);
  // RTM_GETNEIGH of one.
  [[nodiscard]] NeighbourAnswer get(const rtnl::GetNeigh& request, const NeighbourDevice* device,
                                    MonotonicTime now) const;

  // --- Devices that change ---

  // What happens to a family's entries of a device, newest first.
  enum class Flush : std::uint8_t {
    All,           // admin down, another MAC (or the same again), IFF_NOARP, the last IPv4 address
    KeepPermanent  // carrier loss (neigh_carrier_down)
  };
  void flush(NamespaceId where, IfIndex device, Family family, Flush what, MonotonicTime now,
             NeighbourEffects& effects);

  // --- Packets ---

  // A packet is to go to `neighbour` (neigh_resolve_output): makes an entry, and asks who it is,
  // unless that is known.
  Resolution resolve(const NeighbourDevice& device, const IpAddress& neighbour, QueuedPacket packet,
                     MonotonicTime now, NeighbourEffects& effects);

  // ARP, as arp_process judges it; the caller has judged what is not the table's business.
  // A request for an address of ours: its sender becomes known. False if there was no room: then
  // no reply is sent.
  bool arp_request_for_us(const NeighbourDevice& device, const IpAddress& sender,
                          const MacAddress& mac, MonotonicTime now, NeighbourEffects& effects);
  // Any other ARP packet: `confirms` if it is a reply that was sent to our own MAC. An unknown
  // sender stays unknown. `gratuitous` (arp_is_garp) does not wait for locktime.
  void arp_other(const NeighbourDevice& device, const IpAddress& sender, const MacAddress& mac,
                 bool confirms, bool gratuitous, MonotonicTime now, NeighbourEffects& effects);

  // A neighbour solicitation for an address of ours (ndisc_recv_ns). `multicast`: it came to a
  // group. False if the sender is not known now: then no advertisement is sent.
  bool nd_solicited(const NeighbourDevice& device, const IpAddress& sender,
                    const std::optional<MacAddress>& mac, bool multicast, MonotonicTime now,
                    NeighbourEffects& effects);
  // A neighbour advertisement (ndisc_recv_na), its flags as they are in the message.
  struct Advertisement {
    IpAddress target;
    std::optional<MacAddress> mac;
    bool solicited = false;
    bool override_flag = false;
    bool router = false;
  };
  void nd_advertised(const NeighbourDevice& device, const Advertisement& heard, MonotonicTime now,
                     NeighbourEffects& effects);

  // --- Time ---

  // Does what is due up to `now`, in order.
  void run_timers(MonotonicTime now, NeighbourEffects& effects);
  // When run_timers() has something to do next, as things stand.
  [[nodiscard]] std::optional<MonotonicTime> next_timer() const;

  // --- Reading ---

  // In order of device and address; IPv4 first.
  [[nodiscard]] std::vector<NeighbourReport> rows(NamespaceId where, MonotonicTime now) const;
  // Those of a device that come after `after` (from the first if it is absent), at most `max`.
  [[nodiscard]] std::vector<NeighbourReport> rows_after(NamespaceId where, IfIndex device,
                                                        const std::optional<IpAddress>& after,
                                                        std::size_t max, MonotonicTime now) const;
  // Those of a device and a prefix.
  [[nodiscard]] std::vector<NeighbourReport> rows_within(NamespaceId where, IfIndex device,
                                                         const IpPrefix& prefix,
                                                         MonotonicTime now) const;
  [[nodiscard]] std::optional<NeighbourReport> find(NamespaceId where, IfIndex device,
                                                    const IpAddress& neighbour,
                                                    MonotonicTime now) const;
  [[nodiscard]] NeighbourCounters counters(Family family) const;

 private:
  struct Parameters {
    NeighbourTunables tunables;
    Duration reachable_time{};
  };
  using ParametersKey = std::tuple<NamespaceId, IfIndex, Family>;

  // struct neighbour.
  struct Row {
    std::uint64_t sequence = 0;  // of its making
    std::uint8_t state = kNudNone;
    std::uint8_t flags = 0;  // NTF_EXT_LEARNED, NTF_ROUTER
    MacAddress mac;          // stays when the state says that it is not known
    RouteType type = RouteType::Unicast;
    std::uint8_t protocol = 0;
    std::uint32_t probes = 0;
    MonotonicTime updated;
    MonotonicTime confirmed;
    MonotonicTime used;
    const Parameters* parameters = nullptr;
    bool header_cached = false;                // hh_len: packets no longer pass resolve's slow path
    std::optional<MonotonicTime> timer;        // with timer_sequence a key of timers_
    std::uint64_t timer_sequence = 0;          // equal times keep the order in which they were set
    std::optional<std::uint64_t> collectable;  // a key of Cache::collectable
    std::list<QueuedPacket> queue;             // nearly always empty, and then nothing is allocated
    std::uint64_t queue_bytes = 0;
  };
  using Key = std::tuple<NamespaceId, IfIndex, IpAddress>;
  using Rows = std::map<Key, Row>;
  using Entry = Rows::value_type;

  // struct neigh_table: what a family's entries share.
  struct Cache {
    NeighbourThresholds thresholds;
    NeighbourCounters counters;
    std::map<std::uint64_t, Rows::iterator> collectable;  // gc_list
    std::map<std::uint64_t, Rows::iterator> ageing;       // by sequence: what collect() looks at
    MonotonicTime last_forced;                            // last_flush
    MonotonicTime last_random;                            // last_rand
    MonotonicTime next_collection;                        // of neigh_periodic_work
  };

  // What __neigh_update is asked for.
  struct Update {
    std::optional<MacAddress> mac;
    std::uint8_t state = kNudNone;
    bool override_mac = false;
    bool weak_override = false;
    bool admin = false;
    bool use = false;
    bool ext_learned = false;      // admin
    bool override_router = false;  // `router` counts
    bool router = false;
    PortId sender;
  };

  [[nodiscard]] Cache& cache(Family family) { return family == Family::V4 ? arp_ : nd_; }
  [[nodiscard]] const Cache& cache(Family family) const {
    return family == Family::V4 ? arp_ : nd_;
  }
  [[nodiscard]] Duration reachable_time(Duration base) const;
  [[nodiscard]] OpDone judge(const rtnl::NewNeigh& request, const NeighbourDevice* device) const;

  // Entries.
  [[nodiscard]] std::optional<Rows::iterator> place_of(NamespaceId where, IfIndex device,
                                                       const IpAddress& neighbour) const;
  [[nodiscard]] Rows::iterator place_of(const Entry& entry) const;
  [[nodiscard]] static Key key_of(const NeighbourDevice& device, const IpAddress& neighbour);
  // Null and the errno if no entry could be made.
  std::pair<Entry*, int> create(const NeighbourDevice& device, const IpAddress& neighbour,
                                std::uint8_t flags, bool exempt, MonotonicTime now,
                                NeighbourEffects& effects);
  Entry* find_entry(const NeighbourDevice& device, const IpAddress& neighbour);
  static void construct(Row& row, const NeighbourDevice& device, const IpAddress& neighbour);
  void erase(Rows::iterator place, MonotonicTime now, NeighbourEffects& effects);
  OpDone update(Entry& entry, const Update& change, MonotonicTime now, NeighbourEffects& effects);
  bool forget(Entry& entry, std::uint8_t state, MonotonicTime now, NeighbourEffects& effects);
  bool learn(Entry& entry, Update& change, MonotonicTime now, NeighbourEffects& effects);
  void update_collectable(Entry& entry);
  void update_ageing(Rows::iterator place);

  // Packets.
  Resolution::Fate send(Entry& entry, std::optional<QueuedPacket> packet, MonotonicTime now,
                        NeighbourEffects& effects);
  void enqueue(Entry& entry, QueuedPacket packet, NeighbourEffects& effects);
  void release_queue(Entry& entry, MonotonicTime now, NeighbourEffects& effects);
  static void lose_queue(Entry& entry, bool reported, NeighbourEffects& effects);
  static void probe(Entry& entry, MonotonicTime now, NeighbourEffects& effects);

  // Time.
  void start_timer(Entry& entry, MonotonicTime when);
  void stop_timer(Row& row);
  void expire(Entry& entry, MonotonicTime now, NeighbourEffects& effects);
  bool expire_reachable(Entry& entry, MonotonicTime now, MonotonicTime& next);
  bool expire_delay(Entry& entry, MonotonicTime now, MonotonicTime& next);
  void collect(Family family, MonotonicTime now, NeighbourEffects& effects);
  std::size_t collect_forced(Family family, MonotonicTime now, NeighbourEffects& effects);

  [[nodiscard]] static NeighbourReport report(const Entry& entry, MonotonicTime now);
  static void tell(const Entry& entry, Notification::Kind kind, PortId sender, MonotonicTime now,
                   NeighbourEffects& effects);

  ReachableTime random_;
  std::map<ParametersKey, Parameters> parameters_;
  Rows rows_;
  HashMap<AddressKey, Rows::iterator> index_;  // of rows_
  std::map<std::pair<MonotonicTime, std::uint64_t>, Rows::iterator> timers_;
  std::uint64_t next_sequence_ = 1;
  Cache arp_;
  Cache nd_;
};

// True if packets can be sent with what the state says (NUD_VALID).
[[nodiscard]] bool is_valid_nud(std::uint16_t state);

}  // namespace vxmesh
