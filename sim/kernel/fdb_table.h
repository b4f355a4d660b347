// The FDBs of the vxlan devices of a namespace (drivers/net/vxlan/vxlan_core.c).
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "ports/netlink.h"
#include "sim/kernel/record.h"
#include "sim/kernel/request.h"

namespace vxmesh {

// What of a vxlan device its FDB depends on.
struct VxlanConfig {
  IfIndex index;
  std::uint32_t vni = 0;
  std::uint16_t port = 0;
  Family family = Family::V4;       // of the underlay
  std::optional<IpAddress> remote;  // the default destination; absent or unspecified: none
  std::optional<IfIndex> underlay;  // IFLA_VXLAN_LINK
  std::uint32_t ageing = 300;       // seconds; zero is taken as 300 (vxlan_config_validate)
  std::uint32_t limit = 0;          // maxaddress; 0: none

  friend bool operator==(const VxlanConfig&, const VxlanConfig&) = default;
};

// The device that an FDB request names, as rtnetlink sees it.
struct FdbDevice {
  enum class Kind : std::uint8_t { Vxlan, Bridge, Loopback, Other };
  Kind kind = Kind::Vxlan;
  bool bridge_port = false;  // has a bridge as its master
};

struct FdbAnswer {
  OpDone done;
  std::optional<FdbRecord> row;  // if there is one: its first destination
};

// One destination of a MAC.
struct FdbRemote {
  IpAddress dst;
  std::uint16_t port = 0;
  std::uint32_t vni = 0;
  std::optional<IfIndex> underlay;

  friend auto operator<=>(const FdbRemote&, const FdbRemote&) = default;
};

// Contract: a state machine without clock or I/O. Time comes with the calls and never runs
// backwards; before a call at some time the caller calls run_timers() with it. What a change tells
// the listeners is appended to `told`, always as from the kernel itself (pid and seq 0).
// A MAC that is multicast or all zero may have several destinations.
// Ends the run by name: NTF_MASTER or no NTF_* on a port of a bridge, NTF_SELF on a bridge (the
// bridge's own FDB), writes with NTF_SELF on other devices that are no vxlan (their MAC filter).
class FdbTable {
 public:
  using Notifications = std::vector<Notification>;

  // --- Devices ---

  // A vxlan device was made; it is down. With a remote it gets its default entry, all zero. ENOSPC
  // cannot happen: the first entry fits any limit.
  void add_device(const VxlanConfig& config, MonotonicTime now, Notifications& told);
  // Changes to `config`, which keeps index, VNI, port and family. Another remote moves the default
  // entry (ENOSPC: nothing changed); another ageing time on a device that is up looks at all
  // entries at once.
  OpDone change_device(const VxlanConfig& config, MonotonicTime now, Notifications& told);
  // vxlan_open: from now on entries age.
  void open(IfIndex device, MonotonicTime now);
  // vxlan_stop: entries that are neither PERMANENT nor NOARP go, but not the all-zero one.
  void stop(IfIndex device, Notifications& told);
  // vxlan_dellink: all entries go, before the device itself does.
  void clear(IfIndex device, Notifications& told);
  // The device goes, and all entries with it. It was stopped before, if it was up.
  void remove_device(IfIndex device, Notifications& told);

  // --- Requests; `device` is null if the namespace has none with the request's index. ---

  // RTM_NEWNEIGH of AF_BRIDGE. `underlay_exists`: the namespace has a device with the index that is
  // in NDA_IFINDEX, if one is.
  OpDone write(const rtnl::NewFdb& request, const FdbDevice* device, bool underlay_exists,
               MonotonicTime now, Notifications& told);
  // RTM_DELNEIGH of AF_BRIDGE, one MAC, or with NLM_F_BULK what matches.
  OpDone remove(const rtnl::DelFdb& request, const FdbDevice* device, bool underlay_exists,
                Notifications& told);
  // RTM_GETNEIGH of AF_BRIDGE.
  [[nodiscard]] FdbAnswer get(const rtnl::GetFdb& request, const FdbDevice* device) const;

  // --- Packets ---

  // The destinations of a MAC, in order; null if there is none. What falls back on the all-zero
  // MAC is the caller's business. A lookup keeps a dynamic entry young.
  const std::vector<FdbRemote>* use(IfIndex device, const MacAddress& mac, MonotonicTime now);
  // Changes nothing.
  [[nodiscard]] const std::vector<FdbRemote>* find(IfIndex device, const MacAddress& mac) const;

  // --- Time ---

  // Drops what has aged (vxlan_cleanup). Costs nothing for a device of which no entry ages, as
  // those of the overlay do not; else all of its entries are looked at.
  void run_timers(MonotonicTime now, Notifications& told);
  [[nodiscard]] std::optional<MonotonicTime> next_timer() const;

  // --- Reading ---

  // The rows of a device as a dump walks them, newest first, without the first `skip`. The position
  // is a number, so a dump that goes on after entries before it were deleted misses some. Costs the
  // rows that it gives where the last call has stopped, else those that it skips too.
  [[nodiscard]] std::vector<FdbRecord> rows_after(IfIndex device, std::size_t skip,
                                                  std::size_t max) const;
  [[nodiscard]] std::vector<FdbRecord> rows(IfIndex device) const;

 private:
  struct Entry {
    MacAddress mac;
    std::uint32_t source_vni = 0;
    std::uint16_t state = 0;
    std::uint8_t flags = 0;
    bool by_user = false;  // NTF_VXLAN_ADDED_BY_USER
    MonotonicTime used;
    std::vector<FdbRemote> remotes;  // never empty
  };
  using Entries = std::list<Entry>;
  // Lookups are for the device's own VNI: an entry with another source VNI is there to be dumped
  // and flushed, but nothing finds it (vxlan_find_mac_rcu of a device that is not `external`).
  using Key = std::pair<MacAddress, std::uint32_t>;
  // An entry, and the number of rows before it.
  struct Stop {
    std::size_t shown = 0;
    Entries::const_iterator place;
  };
  struct Device {
    VxlanConfig config;
    std::optional<MonotonicTime> timer;  // age_timer
    bool up = false;
    Entries entries;  // newest first
    std::map<Key, Entries::iterator> by_key;
    std::size_t ageing = 0;  // entries that age
    // Of the last rows_after(); absent once there were rows more or fewer since.
    mutable std::optional<Stop> stop;
  };
  // What a write says, once it is parsed.
  struct Wanted {
    MacAddress mac;
    std::uint32_t source_vni = 0;
    std::uint16_t state = 0;
    std::uint16_t nlm_flags = 0;
    std::uint8_t ntf = 0;
    bool by_user = false;
    FdbRemote remote;
  };

  [[nodiscard]] Device& device(IfIndex index);
  [[nodiscard]] const Device& device(IfIndex index) const;
  // Neither PERMANENT, NOARP nor learned elsewhere.
  [[nodiscard]] static bool ages(const Entry& entry);
  static Entry* find_entry(Device& device, const MacAddress& mac);

  static OpDone update(Device& device, const Wanted& wanted, MonotonicTime now,
                       Notifications& told);
  static OpDone update_existing(Device& device, Entry& entry, const Wanted& wanted,
                                Notifications& told);
  static OpDone make(Device& device, const Wanted& wanted, MonotonicTime now, Notifications& told);
  static OpDone remove_one(Device& device, const MacAddress& mac,
                           const std::optional<FdbRemote>& remote, Notifications& told);
  static OpDone flush(Device& device, const rtnl::DelFdb& request, Notifications& told);
  static void erase(Device& device, Entries::iterator place, Notifications& told);
  static void age(Device& device, MonotonicTime now, Notifications& told);

  [[nodiscard]] static FdbRecord record(const Device& device, const Entry& entry,
                                        const FdbRemote& remote);
  static void tell(const Device& device, const Entry& entry, const FdbRemote& remote,
                   Notification::Kind kind, Notifications& told);

  std::map<IfIndex, Device> devices_;
};

}  // namespace vxmesh
