#include "sim/kernel/neighbour_table.h"

#include <algorithm>

#include "base/check.h"
#include "sim/kernel/kernel_message.h"
#include "sim/kernel/not_modelled.h"

namespace vxmesh {
namespace {

// NUD_VALID, NUD_CONNECTED and NUD_IN_TIMER (net/neighbour.h).
constexpr unsigned kConnected = kNudPermanent | kNudNoarp | kNudReachable;
constexpr unsigned kValid = kConnected | kNudProbe | kNudStale | kNudDelay;
constexpr unsigned kInTimer = kNudIncomplete | kNudReachable | kNudDelay | kNudProbe;

// HZ/100 jiffies at CONFIG_HZ=250: no timer of an entry is set to less.
constexpr Duration kShortestTimer = std::chrono::milliseconds(8);
constexpr Duration kForcedInterval = std::chrono::seconds(5);    // neigh_alloc, neigh_forced_gc
constexpr Duration kRandomInterval = std::chrono::seconds(300);  // neigh_periodic_work
constexpr std::size_t kMaxAddressLength = 32;                    // MAX_ADDR_LEN
constexpr std::size_t kEthernetLength = 6;                       // ETH_ALEN

// NDA_FLAGS_EXT.
constexpr std::uint32_t kExtManaged = 1;
constexpr std::uint32_t kExtValidated = 4;

bool has(unsigned state, unsigned bits) {
  return (state & bits) != 0;
}

Duration milliseconds(std::uint64_t value) {
  return std::chrono::milliseconds(value);
}

std::optional<MacAddress> mac_of(const std::optional<rtnl::LinkLayer>& lladdr) {
  if (!lladdr) {
    return std::nullopt;
  }
  MacAddress mac;
  std::copy_n(lladdr->bytes.begin(), mac.bytes.size(), mac.bytes.begin());
  return mac;
}

// ip_eth_mc_map and ipv6_eth_mc_map.
MacAddress multicast_mac(const IpAddress& group) {
  const auto& bytes = group.bytes();
  if (group.family() == Family::V4) {
    return {{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(bytes[1] & 0x7fU), bytes[2], bytes[3]}};
  }
  return {{0x33, 0x33, bytes[12], bytes[13], bytes[14], bytes[15]}};
}

// inet_addr_type_dev_table.
RouteType ipv4_type(const NeighbourDevice& device, const IpAddress& address) {
  const std::uint32_t bits = address.v4_bits();
  if (bits == 0 || bits == 0xffffffffU) {
    return RouteType::Broadcast;
  }
  if (address.is_multicast()) {
    return RouteType::Multicast;
  }
  return device.type_of ? device.type_of(address) : RouteType::Unicast;
}

AddressKey index_key(NamespaceId where, IfIndex device, const IpAddress& neighbour) {
  return {.scope = std::uint64_t{where.value} << 32U | device.value, .address = neighbour};
}

template <typename Value>
void assign(Value& value, const std::optional<Value>& wanted) {
  value = wanted.value_or(value);
}

void assign(Duration& value, const std::optional<std::uint64_t>& wanted) {
  value = wanted ? milliseconds(*wanted) : value;
}

}  // namespace

bool is_valid_nud(std::uint16_t state) {
  return has(state, kValid);
}

NeighbourTunables NeighbourTunables::defaults(Family family) {
  NeighbourTunables tunables;
  if (family == Family::V6) {
    tunables.locktime = Duration{};
  }
  return tunables;
}

NeighbourTable::NeighbourTable(ReachableTime reachable_time) : random_(std::move(reachable_time)) {
  for (Cache* cache : {&arp_, &nd_}) {
    // neigh_table_init, at time zero.
    const Duration reachable = this->reachable_time(NeighbourTunables{}.base_reachable_time);
    cache->next_collection = MonotonicTime{reachable};
    cache->last_random = MonotonicTime{reachable * 20};
  }
}

Duration NeighbourTable::reachable_time(Duration base) const {
  return random_ ? random_(base) : base;
}

// --- Devices and their parameters ---

void NeighbourTable::add_device(NamespaceId where, IfIndex device, Family family) {
  const NeighbourTunables tunables = NeighbourTunables::defaults(family);
  const bool fresh =
      parameters_
          .try_emplace(ParametersKey{where, device, family},
                       Parameters{tunables, reachable_time(tunables.base_reachable_time)})
          .second;
  check(fresh, "a device begins to speak a family once");
}

void NeighbourTable::remove_device(NamespaceId where, IfIndex device, Family family,
                                   MonotonicTime now, NeighbourEffects& effects) {
  flush(where, device, family, Flush::All, now, effects);
  parameters_.erase(ParametersKey{where, device, family});
}

OpDone NeighbourTable::set(NamespaceId where, const rtnl::SetNeighTable& request) {
  const auto place = parameters_.find(ParametersKey{where, request.device, request.family});
  if (place == parameters_.end()) {
    return refuse(ENOENT);
  }
  NeighbourTunables& tunables = place->second.tunables;
  assign(tunables.app_probes, request.app_probes);
  assign(tunables.ucast_probes, request.ucast_probes);
  assign(tunables.mcast_probes, request.mcast_probes);
  assign(tunables.mcast_reprobes, request.mcast_reprobes);
  assign(tunables.retrans_time, request.retrans_time);
  assign(tunables.base_reachable_time, request.base_reachable_time);
  assign(tunables.delay_probe_time, request.delay_probe_time);
  assign(tunables.gc_stale_time, request.gc_stale_time);
  assign(tunables.locktime, request.locktime);
  assign(tunables.queue_bytes, request.queue_bytes);
  if (request.base_reachable_time) {
    place->second.reachable_time = reachable_time(tunables.base_reachable_time);
  }
  return accept();
}

const NeighbourTunables* NeighbourTable::tunables(NamespaceId where, IfIndex device,
                                                  Family family) const {
  const auto place = parameters_.find(ParametersKey{where, device, family});
  return place == parameters_.end() ? nullptr : &place->second.tunables;
}

void NeighbourTable::set_thresholds(Family family, const NeighbourThresholds& thresholds) {
  cache(family).thresholds = thresholds;
}

// --- Requests ---

// What neigh_add refuses before it looks for the entry.
OpDone NeighbourTable::judge(const rtnl::NewNeigh& request, const NeighbourDevice* device) const {
  if (request.lladdr && request.lladdr->bytes.size() > kMaxAddressLength) {
    return refuse(ERANGE, "Attribute failed policy validation");
  }
  const std::uint32_t extended = request.ext_flags.value_or(0);
  if ((extended & ~(kExtManaged | kExtValidated)) != 0) {
    return refuse(EINVAL, "reserved bit set");
  }
  if (request.device != IfIndex{0}) {
    if (device == nullptr) {
      return refuse(ENODEV);
    }
    if (request.lladdr && request.lladdr->bytes.size() < kEthernetLength) {
      return refuse(EINVAL, "Invalid link address");
    }
  }
  if (has(request.ntf, kNtfProxy)) {
    not_modelled("neighbours: NTF_PROXY");
  }
  if (device == nullptr) {
    return refuse(EINVAL, "Device not specified");
  }
  if (extended != 0) {
    not_modelled("neighbours: NDA_FLAGS_EXT");
  }
  const Family family = request.address.family();
  if (family == Family::V6 && tunables(device->where, device->index, family) == nullptr) {
    return refuse(EINVAL, "IPv6 is disabled on this device");
  }
  return accept();
}

OpDone NeighbourTable::write(const rtnl::NewNeigh& request, const NeighbourDevice* device,
                             PortId sender, MonotonicTime now, NeighbourEffects& effects) {
  if (OpDone verdict = judge(request, device); verdict != accept()) {
    return verdict;
  }
  Update change{.mac = mac_of(request.lladdr),
                .state = static_cast<std::uint8_t>(request.state),
                .override_mac = true,
                .admin = true,
                .use = has(request.ntf, kNtfUse),
                .ext_learned = has(request.ntf, kNtfExtLearned),
                .override_router = true,
                .router = has(request.ntf, kNtfRouter),
                .sender = sender};
  Entry* entry = find_entry(*device, request.address);
  if (entry == nullptr) {
    if (!has(request.flags, rtnl::kCreate)) {
      return refuse(ENOENT);
    }
    const auto [made, error] =
        create(*device, request.address, static_cast<std::uint8_t>(request.ntf & kNtfExtLearned),
               has(request.state, kNudPermanent) || change.ext_learned, now, effects);
    if (made == nullptr) {
      return refuse(error);
    }
    entry = made;
  } else if (has(request.flags, rtnl::kExcl)) {
    return refuse(EEXIST);
  } else if (!has(request.flags, rtnl::kReplace)) {
    change.override_mac = false;
    change.override_router = false;
  }
  if (request.protocol.value_or(0) != 0) {
    entry->second.protocol = *request.protocol;
  }
  OpDone done = update(*entry, change, now, effects);
  if (done == accept() && change.use) {
    (void)send(*entry, std::nullopt, now, effects);
  }
  return done;
}

OpDone NeighbourTable::remove(const rtnl::DelNeigh& request, const NeighbourDevice* device,
                              PortId sender, MonotonicTime now, NeighbourEffects& effects) {
  if (has(request.flags, rtnl::kBulk)) {
    return refuse(EOPNOTSUPP, "Bulk delete is not supported");
  }
  if (device == nullptr) {
    return refuse(request.device == IfIndex{0} ? EINVAL : ENODEV);
  }
  const auto place = place_of(device->where, device->index, request.address);
  if (!place) {
    return refuse(ENOENT);
  }
  const Update change{.state = kNudFailed, .override_mac = true, .admin = true, .sender = sender};
  OpDone done = update(**place, change, now, effects);
  erase(*place, now, effects);
  return done;
}

NeighbourAnswer NeighbourTable::get(const rtnl::GetNeigh& request, const NeighbourDevice* device,
                                    MonotonicTime now) const {
  if (device == nullptr) {
    return {request.device == IfIndex{0} ? refuse(EINVAL, "No device specified")
                                         : refuse(ENODEV, "Unknown device ifindex"),
            std::nullopt};
  }
  const std::optional<NeighbourReport> row =
      find(device->where, device->index, request.address, now);
  return {row ? accept() : refuse(ENOENT, "Neighbour entry not found"), row};
}

// --- Devices that change ---

void NeighbourTable::flush(NamespaceId where, IfIndex device, Family family, Flush what,
                           MonotonicTime now, NeighbourEffects& effects) {
  // neigh_flush_dev walks the device's own list, to which new entries are added at the head.
  std::map<std::uint64_t, Rows::iterator> going;
  for (auto place = rows_.lower_bound(Key{where, device, IpAddress{}});
       place != rows_.end() && std::get<NamespaceId>(place->first) == where &&
       std::get<IfIndex>(place->first) == device;
       ++place) {
    const Row& row = place->second;
    if (std::get<IpAddress>(place->first).family() == family &&
        (what == Flush::All || !has(row.state, kNudPermanent))) {
      going.emplace(row.sequence, place);
    }
  }
  for (auto entry = going.rbegin(); entry != going.rend(); ++entry) {
    erase(entry->second, now, effects);
  }
}

// --- Entries ---

NeighbourTable::Key NeighbourTable::key_of(const NeighbourDevice& device,
                                           const IpAddress& neighbour) {
  // All of IPv4 is one neighbour on a loopback device (arp_constructor).
  const bool one_for_all = device.loopback && neighbour.family() == Family::V4;
  return Key{device.where, device.index, one_for_all ? IpAddress{} : neighbour};
}

std::optional<NeighbourTable::Rows::iterator> NeighbourTable::place_of(
    NamespaceId where, IfIndex device, const IpAddress& neighbour) const {
  const Rows::iterator* place = index_.find(index_key(where, device, neighbour));
  return place == nullptr ? std::nullopt : std::optional(*place);
}

NeighbourTable::Rows::iterator NeighbourTable::place_of(const Entry& entry) const {
  const auto& [where, device, address] = entry.first;
  return *place_of(where, device, address);
}

NeighbourTable::Entry* NeighbourTable::find_entry(const NeighbourDevice& device,
                                                  const IpAddress& neighbour) {
  const auto place = place_of(device.where, device.index, neighbour);
  if (!place) {
    return nullptr;
  }
  const Rows::iterator row = *place;
  return &*row;
}

// arp_constructor and ndisc_constructor.
void NeighbourTable::construct(Row& row, const NeighbourDevice& device,
                               const IpAddress& neighbour) {
  constexpr MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  if (neighbour.family() == Family::V4) {
    row.type = ipv4_type(device, neighbour);
  } else if (neighbour.is_multicast()) {
    row.type = RouteType::Multicast;
  } else {
    row.type = device.loopback ? RouteType::Local : RouteType::Unicast;
  }
  if (row.type == RouteType::Multicast) {
    // Of devices that are not Ethernet the broadcast address, which loopback has as zero.
    row.mac = device.loopback ? MacAddress{} : multicast_mac(neighbour);
  } else if (device.no_arp || device.loopback) {
    row.mac = device.mac;
  } else if (row.type == RouteType::Broadcast) {
    row.mac = kBroadcast;
  } else {
    return;
  }
  row.state = kNudNoarp;
}

std::pair<NeighbourTable::Entry*, int> NeighbourTable::create(const NeighbourDevice& device,
                                                              const IpAddress& neighbour,
                                                              std::uint8_t flags, bool exempt,
                                                              MonotonicTime now,
                                                              NeighbourEffects& effects) {
  const Family family = neighbour.family();
  Cache& cache = this->cache(family);
  if (!exempt) {
    const std::size_t entries = cache.collectable.size();
    if (entries >= cache.thresholds.hard ||
        (entries >= cache.thresholds.soft && now > cache.last_forced + kForcedInterval)) {
      if (collect_forced(family, now, effects) == 0 && entries >= cache.thresholds.hard) {
        ++cache.counters.table_fulls;
        return {nullptr, ENOBUFS};
      }
    }
  }
  const auto parameters = parameters_.find(ParametersKey{device.where, device.index, family});
  if (parameters == parameters_.end()) {
    return {nullptr, EINVAL};
  }
  const Key key = key_of(device, neighbour);
  if (const auto known = place_of(device.where, device.index, std::get<IpAddress>(key))) {
    return {&**known, 0};
  }
  const auto place = rows_.try_emplace(key).first;
  index_.emplace(index_key(device.where, device.index, std::get<IpAddress>(key)), place);
  Row& row = place->second;
  row.sequence = next_sequence_++;
  row.flags = flags;
  row.parameters = &parameters->second;
  row.updated = now;
  row.used = now;
  row.confirmed = now - 2 * row.parameters->tunables.base_reachable_time;
  construct(row, device, std::get<IpAddress>(key));
  ++cache.counters.entries;
  if (!exempt) {
    row.collectable = next_sequence_++;
    cache.collectable.emplace(*row.collectable, place);
  }
  update_ageing(place);
  return {&*place, 0};
}

void NeighbourTable::erase(Rows::iterator place, MonotonicTime now, NeighbourEffects& effects) {
  Row& row = place->second;
  Cache& cache = this->cache(std::get<IpAddress>(place->first).family());
  stop_timer(row);
  if (row.collectable) {
    cache.collectable.erase(*row.collectable);
  }
  cache.ageing.erase(row.sequence);
  tell(*place, Notification::Kind::Deleted, PortId{}, now, effects);
  lose_queue(*place, /*reported=*/false, effects);
  --cache.counters.entries;
  const auto& [where, device, address] = place->first;
  index_.erase(index_key(where, device, address));
  rows_.erase(place);
}

// neigh_update_gc_list.
void NeighbourTable::update_collectable(Entry& entry) {
  Row& row = entry.second;
  Cache& cache = this->cache(std::get<IpAddress>(entry.first).family());
  const bool exempt = has(row.state, kNudPermanent) || has(row.flags, kNtfExtLearned);
  if (exempt && row.collectable) {
    cache.collectable.erase(*row.collectable);
    row.collectable.reset();
  } else if (!exempt && !row.collectable) {
    row.collectable = next_sequence_++;
    cache.collectable.emplace(*row.collectable, place_of(entry));
  }
  update_ageing(place_of(entry));
}

// Most entries never age: those of an agent are learned from outside.
void NeighbourTable::update_ageing(Rows::iterator place) {
  const Row& row = place->second;
  std::map<std::uint64_t, Rows::iterator>& ageing =
      cache(std::get<IpAddress>(place->first).family()).ageing;
  if (has(row.state, kNudPermanent) || has(row.flags, kNtfExtLearned)) {
    ageing.erase(row.sequence);
  } else {
    ageing.emplace(row.sequence, place);
  }
}

// __neigh_update.
OpDone NeighbourTable::update(Entry& entry, const Update& change, MonotonicTime now,
                              NeighbourEffects& effects) {
  Row& row = entry.second;
  const std::uint8_t old = row.state;
  if (!change.admin && has(old, kNudNoarp | kNudPermanent)) {
    return refuse(EPERM);
  }
  bool told = false;
  bool learned_changed = false;
  if (change.admin && change.ext_learned != has(row.flags, kNtfExtLearned)) {
    row.flags = static_cast<std::uint8_t>(row.flags ^ kNtfExtLearned);
    told = true;
    learned_changed = true;
  }
  OpDone done = accept();
  Update wanted = change;
  if (change.use) {
    wanted.state = static_cast<std::uint8_t>(old & ~kNudPermanent);
    row.state = wanted.state;
  } else if (!has(change.state, kValid)) {
    // Whether it was valid decides, even over a change of flags (`notify = old & NUD_VALID`).
    told = forget(entry, change.state, now, effects);
  } else if (!change.mac && !has(old, kValid)) {
    done = refuse(EINVAL, "No link layer address given");
  } else {
    told = learn(entry, wanted, now, effects) || told;
  }
  if (has(wanted.state ^ old, kNudPermanent) || learned_changed) {
    update_collectable(entry);
  }
  if (told) {
    tell(entry, Notification::Kind::New, change.sender, now, effects);
  }
  return done;
}

// The new state says that the MAC is not known. True if it is told.
bool NeighbourTable::forget(Entry& entry, std::uint8_t state, MonotonicTime now,
                            NeighbourEffects& effects) {
  Row& row = entry.second;
  const std::uint8_t old = row.state;
  stop_timer(row);
  row.state = state;
  if (has(old, kNudIncomplete | kNudProbe) && has(state, kNudFailed)) {
    row.updated = now;
    lose_queue(entry, /*reported=*/state == kNudFailed, effects);
    return true;
  }
  return has(old, kValid);
}

// The new state says that the MAC is known. `change.state` becomes what the state is judged to be.
// True if it is told.
bool NeighbourTable::learn(Entry& entry, Update& change, MonotonicTime now,
                           NeighbourEffects& effects) {
  Row& row = entry.second;
  const std::uint8_t old = row.state;
  const bool was_valid = has(old, kValid);
  bool same_mac = !change.mac || (was_valid && *change.mac == row.mac);
  if (has(change.state, kConnected)) {
    row.confirmed = now;
  }
  if (was_valid && !same_mac && !change.override_mac) {
    change.override_router = false;
    if (!change.weak_override || !has(old, kConnected)) {
      return false;
    }
    same_mac = true;
    change.state = kNudStale;
  } else if (was_valid && same_mac && change.state == kNudStale && !change.admin) {
    change.state = old;
  }
  bool told = false;
  if (change.state != old || !same_mac) {
    row.updated = now;
  }
  if (change.state != old) {
    stop_timer(row);
    if (has(change.state, kNudProbe)) {
      row.probes = 0;
    }
    if (has(change.state, kInTimer)) {
      start_timer(entry, now + (has(change.state, kNudReachable) ? row.parameters->reachable_time
                                                                 : Duration{}));
    }
    row.state = change.state;
    told = true;
  }
  if (!same_mac) {
    row.mac = *change.mac;
    if (!has(change.state, kConnected)) {
      row.confirmed = now - 2 * row.parameters->tunables.base_reachable_time;
    }
    told = true;
  }
  if (!was_valid) {
    release_queue(entry, now, effects);
  }
  if (change.override_router && change.router != has(row.flags, kNtfRouter)) {
    row.flags = static_cast<std::uint8_t>(row.flags ^ kNtfRouter);
    told = true;
  }
  return told;
}

// --- Packets ---

Resolution NeighbourTable::resolve(const NeighbourDevice& device, const IpAddress& neighbour,
                                   QueuedPacket packet, MonotonicTime now,
                                   NeighbourEffects& effects) {
  Entry* entry = find_entry(device, std::get<IpAddress>(key_of(device, neighbour)));
  if (entry == nullptr) {
    const auto [made, error] = create(device, neighbour, 0, device.loopback, now, effects);
    if (made == nullptr) {
      return {.fate = error == ENOBUFS ? Resolution::Fate::NoRoom : Resolution::Fate::NoDevice};
    }
    entry = made;
  }
  Row& row = entry->second;
  Resolution resolution{.fate = Resolution::Fate::Send, .to = row.mac};
  if (has(row.state, kConnected) && row.header_cached) {
    return resolution;  // neigh_hh_output: leaves no trace
  }
  resolution.fate = send(*entry, std::move(packet), now, effects);
  if (resolution.fate == Resolution::Fate::Send) {
    row.header_cached = true;
  } else {
    resolution.to = {};
  }
  return resolution;
}

// neigh_event_send.
Resolution::Fate NeighbourTable::send(Entry& entry, std::optional<QueuedPacket> packet,
                                      MonotonicTime now, NeighbourEffects& effects) {
  Row& row = entry.second;
  const NeighbourTunables& tunables = row.parameters->tunables;
  row.used = now;
  if (has(row.state, kConnected | kNudDelay | kNudProbe)) {
    return Resolution::Fate::Send;
  }
  bool ask = false;
  if (has(row.state, kNudStale)) {
    stop_timer(row);
    row.state = kNudDelay;
    row.updated = now;
    start_timer(entry, now + tunables.delay_probe_time);
  } else if (!has(row.state, kNudIncomplete)) {
    row.updated = now;
    if (tunables.mcast_probes + tunables.app_probes == 0) {
      row.state = kNudFailed;
      return Resolution::Fate::Failed;
    }
    row.probes = tunables.ucast_probes;
    row.state = kNudIncomplete;
    start_timer(entry, now + std::max(tunables.retrans_time, kShortestTimer));
    ask = true;
  }
  const bool waits = row.state == kNudIncomplete;
  if (waits && packet) {
    enqueue(entry, *std::move(packet), effects);
  }
  if (ask) {
    probe(entry, now, effects);
  }
  return waits ? Resolution::Fate::Queued : Resolution::Fate::Send;
}

void NeighbourTable::enqueue(Entry& entry, QueuedPacket packet, NeighbourEffects& effects) {
  Row& row = entry.second;
  while (!row.queue.empty() &&
         row.queue_bytes + packet.truesize > row.parameters->tunables.queue_bytes) {
    row.queue_bytes -= row.queue.front().truesize;
    effects.push_back({std::get<NamespaceId>(entry.first),
                       LostPacket{.device = std::get<IfIndex>(entry.first),
                                  .neighbour = std::get<IpAddress>(entry.first),
                                  .packet = std::move(row.queue.front())}});
    row.queue.pop_front();
    ++cache(std::get<IpAddress>(entry.first).family()).counters.queue_discards;
  }
  row.queue_bytes += packet.truesize;
  row.queue.push_back(std::move(packet));
}

void NeighbourTable::release_queue(Entry& entry, MonotonicTime now, NeighbourEffects& effects) {
  Row& row = entry.second;
  std::list<QueuedPacket> queue = std::move(row.queue);
  row.queue.clear();
  row.queue_bytes = 0;
  for (QueuedPacket& packet : queue) {
    (void)send(entry, std::nullopt, now, effects);  // the entry is used: STALE becomes DELAY
    row.header_cached = true;
    effects.push_back({std::get<NamespaceId>(entry.first),
                       ReleasedPacket{.device = std::get<IfIndex>(entry.first),
                                      .neighbour = std::get<IpAddress>(entry.first),
                                      .to = row.mac,
                                      .packet = std::move(packet)}});
  }
}

void NeighbourTable::lose_queue(Entry& entry, bool reported, NeighbourEffects& effects) {
  Row& row = entry.second;
  for (QueuedPacket& packet : row.queue) {
    effects.push_back({std::get<NamespaceId>(entry.first),
                       LostPacket{.device = std::get<IfIndex>(entry.first),
                                  .neighbour = std::get<IpAddress>(entry.first),
                                  .packet = std::move(packet),
                                  .reported = reported}});
  }
  row.queue.clear();
  row.queue_bytes = 0;
}

// neigh_probe, with arp_solicit or ndisc_solicit.
void NeighbourTable::probe(Entry& entry, MonotonicTime now, NeighbourEffects& effects) {
  Row& row = entry.second;
  const NeighbourTunables& tunables = row.parameters->tunables;
  if (row.probes >= tunables.ucast_probes &&
      row.probes < tunables.ucast_probes + tunables.app_probes) {
    tell(entry, Notification::Kind::Miss, PortId{}, now, effects);
  } else {
    Solicitation solicitation{.device = std::get<IfIndex>(entry.first),
                              .target = std::get<IpAddress>(entry.first)};
    if (row.probes < tunables.ucast_probes) {
      solicitation.to = row.mac;
    }
    if (!row.queue.empty()) {
      solicitation.because_of = row.queue.back().packet;
    }
    effects.push_back({std::get<NamespaceId>(entry.first), std::move(solicitation)});
  }
  ++row.probes;
}

bool NeighbourTable::arp_request_for_us(const NeighbourDevice& device, const IpAddress& sender,
                                        const MacAddress& mac, MonotonicTime now,
                                        NeighbourEffects& effects) {
  // neigh_event_ns.
  Entry* entry = find_entry(device, sender);
  entry = entry != nullptr ? entry : create(device, sender, 0, device.loopback, now, effects).first;
  if (entry != nullptr) {
    (void)update(*entry, {.mac = mac, .state = kNudStale, .override_mac = true}, now, effects);
  }
  return entry != nullptr;
}

void NeighbourTable::arp_other(const NeighbourDevice& device, const IpAddress& sender,
                               const MacAddress& mac, bool confirms, bool gratuitous,
                               MonotonicTime now, NeighbourEffects& effects) {
  Entry* entry = find_entry(device, sender);
  if (entry == nullptr) {
    return;
  }
  const Row& row = entry->second;
  const bool settled = now > row.updated + row.parameters->tunables.locktime;
  (void)update(*entry,
               {.mac = mac,
                .state = static_cast<std::uint8_t>(confirms ? kNudReachable : kNudStale),
                .override_mac = settled || gratuitous},
               now, effects);
}

bool NeighbourTable::nd_solicited(const NeighbourDevice& device, const IpAddress& sender,
                                  const std::optional<MacAddress>& mac, bool multicast,
                                  MonotonicTime now, NeighbourEffects& effects) {
  Entry* entry = find_entry(device, sender);
  if (entry == nullptr && (mac || !multicast)) {
    entry = create(device, sender, 0, device.loopback, now, effects).first;
  }
  if (entry != nullptr) {
    (void)update(*entry,
                 {.mac = mac, .state = kNudStale, .override_mac = true, .weak_override = true}, now,
                 effects);
  }
  return entry != nullptr;
}

void NeighbourTable::nd_advertised(const NeighbourDevice& device, const Advertisement& heard,
                                   MonotonicTime now, NeighbourEffects& effects) {
  Entry* entry = find_entry(device, heard.target);
  if (entry == nullptr || has(entry->second.state, kNudFailed)) {
    return;
  }
  (void)update(*entry,
               {.mac = heard.mac,
                .state = static_cast<std::uint8_t>(heard.solicited ? kNudReachable : kNudStale),
                .override_mac = heard.override_flag,
                .weak_override = true,
                .override_router = true,
                .router = heard.router},
               now, effects);
}

// --- Time ---

void NeighbourTable::start_timer(Entry& entry, MonotonicTime when) {
  Row& row = entry.second;
  row.used = std::max(row.used, row.confirmed);  // neigh_add_timer
  if (row.timer) {
    timers_.erase({*row.timer, row.timer_sequence});
  }
  row.timer = when;
  row.timer_sequence = next_sequence_++;
  timers_.emplace(std::pair{when, row.timer_sequence}, place_of(entry));
}

void NeighbourTable::stop_timer(Row& row) {
  if (row.timer) {
    timers_.erase({*row.timer, row.timer_sequence});
    row.timer.reset();
  }
}

void NeighbourTable::run_timers(MonotonicTime now, NeighbourEffects& effects) {
  for (;;) {
    const MonotonicTime collection = std::min(arp_.next_collection, nd_.next_collection);
    const bool timer_first = !timers_.empty() && timers_.begin()->first.first <= collection;
    const MonotonicTime next = timer_first ? timers_.begin()->first.first : collection;
    if (next > now) {
      return;
    }
    if (timer_first) {
      Entry& entry = *timers_.begin()->second;
      stop_timer(entry.second);
      expire(entry, next, effects);
    } else {
      collect(arp_.next_collection == next ? Family::V4 : Family::V6, next, effects);
    }
  }
}

std::optional<MonotonicTime> NeighbourTable::next_timer() const {
  std::optional<MonotonicTime> next;
  if (!timers_.empty()) {
    next = timers_.begin()->first.first;
  }
  for (const Cache* cache : {&arp_, &nd_}) {
    if (cache->counters.entries >= cache->thresholds.periodic &&
        (!next || cache->next_collection < *next)) {
      next = cache->next_collection;
    }
  }
  return next;
}

// neigh_timer_handler.
void NeighbourTable::expire(Entry& entry, MonotonicTime now, NeighbourEffects& effects) {
  Row& row = entry.second;
  const NeighbourTunables& tunables = row.parameters->tunables;
  if (!has(row.state, kInTimer)) {
    return;
  }
  MonotonicTime next = now + std::max(tunables.retrans_time, kShortestTimer);
  bool told = false;
  if (has(row.state, kNudReachable)) {
    told = expire_reachable(entry, now, next);
  } else if (has(row.state, kNudDelay)) {
    told = expire_delay(entry, now, next);
  }
  const bool probing = has(row.state, kNudIncomplete | kNudProbe);
  const std::uint32_t most =
      tunables.ucast_probes + tunables.app_probes +
      (has(row.state, kNudProbe) ? tunables.mcast_reprobes : tunables.mcast_probes);
  if (probing && row.probes >= most) {
    row.state = kNudFailed;
    row.updated = now;
    lose_queue(entry, /*reported=*/true, effects);
    told = true;
  } else {
    if (has(row.state, kInTimer)) {
      start_timer(entry, std::max(next, now + kShortestTimer));
    }
    if (probing) {
      probe(entry, now, effects);
    }
  }
  if (told) {
    tell(entry, Notification::Kind::New, PortId{}, now, effects);
  }
}

// True if it is told.
bool NeighbourTable::expire_reachable(Entry& entry, MonotonicTime now, MonotonicTime& next) {
  Row& row = entry.second;
  const Duration delay = row.parameters->tunables.delay_probe_time;
  if (now <= row.confirmed + row.parameters->reachable_time) {
    next = row.confirmed + row.parameters->reachable_time;
    return false;
  }
  row.updated = now;
  if (now <= row.used + delay) {
    row.state = kNudDelay;
    next = now + delay;
    return false;
  }
  row.state = kNudStale;
  return true;
}

// True if it is told.
bool NeighbourTable::expire_delay(Entry& entry, MonotonicTime now, MonotonicTime& next) {
  Row& row = entry.second;
  row.updated = now;
  // Linux's timers end a tick late, and so never just in time.
  if (now < row.confirmed + row.parameters->tunables.delay_probe_time) {
    row.state = kNudReachable;
    next = row.confirmed + row.parameters->reachable_time;
  } else {
    row.state = kNudProbe;
    row.probes = 0;
  }
  return true;
}

// neigh_periodic_work.
void NeighbourTable::collect(Family family, MonotonicTime now, NeighbourEffects& effects) {
  Cache& cache = this->cache(family);
  cache.next_collection = now + NeighbourTunables{}.base_reachable_time / 2;
  if (now > cache.last_random + kRandomInterval) {
    cache.last_random = now;
    for (auto& [key, parameters] : parameters_) {
      if (std::get<Family>(key) == family) {
        parameters.reachable_time = reachable_time(parameters.tunables.base_reachable_time);
      }
    }
  }
  if (cache.counters.entries < cache.thresholds.periodic) {
    return;
  }
  for (auto next = cache.ageing.begin(); next != cache.ageing.end();) {
    const Rows::iterator entry = (next++)->second;
    Row& row = entry->second;
    if (has(row.state, kInTimer)) {
      continue;
    }
    row.used = std::max(row.used, row.confirmed);
    if (row.state == kNudFailed || now >= row.used + row.parameters->tunables.gc_stale_time) {
      erase(entry, now, effects);
    }
  }
}

// neigh_forced_gc, without its limit of one millisecond. Returns how many went.
std::size_t NeighbourTable::collect_forced(Family family, MonotonicTime now,
                                           NeighbourEffects& effects) {
  Cache& cache = this->cache(family);
  // The entry that is being made is counted already.
  const std::size_t most = cache.collectable.size() + 1 - cache.thresholds.soft;
  ++cache.counters.forced_collections;
  std::size_t gone = 0;
  for (auto place = cache.collectable.begin(); place != cache.collectable.end();) {
    const Rows::iterator entry = place->second;
    ++place;
    const Row& row = entry->second;
    if (row.timer) {
      continue;  // its timer holds a reference
    }
    if (row.state == kNudFailed || row.state == kNudNoarp ||
        std::get<IpAddress>(entry->first).is_multicast() || now > row.updated + kForcedInterval) {
      erase(entry, now, effects);
      ++gone;
    }
    if (gone >= most) {
      break;
    }
  }
  cache.last_forced = now;
  return gone;
}

// --- Reading ---

NeighbourReport NeighbourTable::report(const Entry& entry, MonotonicTime now) {
  const Row& row = entry.second;
  NeighbourReport report{.record = {.neighbour = {.device = std::get<IfIndex>(entry.first),
                                                  .address = std::get<IpAddress>(entry.first),
                                                  .lladdr = std::nullopt,
                                                  .state = row.state,
                                                  .flags = row.flags,
                                                  .protocol = row.protocol},
                                    .type = static_cast<std::uint8_t>(row.type),
                                    .ext_flags = 0,
                                    .probes = row.probes},
                         .since_update = now - row.updated};
  if (has(row.state, kValid)) {
    report.record.neighbour.lladdr = row.mac;
  }
  return report;
}

void NeighbourTable::tell(const Entry& entry, Notification::Kind kind, PortId sender,
                          MonotonicTime now, NeighbourEffects& effects) {
  const NeighbourReport row = report(entry, now);
  effects.push_back({std::get<NamespaceId>(entry.first),
                     Notification{.kind = kind,
                                  .record = row.record,
                                  .sender = sender,
                                  // neigh_app_ns.
                                  .flags = static_cast<std::uint16_t>(
                                      kind == Notification::Kind::Miss ? 1 /*NLM_F_REQUEST*/ : 0),
                                  .since_update = row.since_update}});
}

std::vector<NeighbourReport> NeighbourTable::rows(NamespaceId where, MonotonicTime now) const {
  std::vector<NeighbourReport> rows;
  for (auto place = rows_.lower_bound(Key{where, IfIndex{}, IpAddress{}});
       place != rows_.end() && std::get<NamespaceId>(place->first) == where; ++place) {
    rows.push_back(report(*place, now));
  }
  return rows;
}

std::vector<NeighbourReport> NeighbourTable::rows_after(NamespaceId where, IfIndex device,
                                                        const std::optional<IpAddress>& after,
                                                        std::size_t max, MonotonicTime now) const {
  std::vector<NeighbourReport> rows;
  for (auto place = after ? rows_.upper_bound(Key{where, device, *after})
                          : rows_.lower_bound(Key{where, device, IpAddress{}});
       place != rows_.end() && rows.size() < max && std::get<NamespaceId>(place->first) == where &&
       std::get<IfIndex>(place->first) == device;
       ++place) {
    rows.push_back(report(*place, now));
  }
  return rows;
}

std::vector<NeighbourReport> NeighbourTable::rows_within(NamespaceId where, IfIndex device,
                                                         const IpPrefix& prefix,
                                                         MonotonicTime now) const {
  const auto end = rows_.upper_bound(Key{where, device, prefix.last()});
  std::vector<NeighbourReport> rows;
  for (auto place = rows_.lower_bound(Key{where, device, prefix.base()}); place != end; ++place) {
    rows.push_back(report(*place, now));
  }
  return rows;
}

std::optional<NeighbourReport> NeighbourTable::find(NamespaceId where, IfIndex device,
                                                    const IpAddress& neighbour,
                                                    MonotonicTime now) const {
  const auto place = place_of(where, device, neighbour);
  return place ? std::optional(report(**place, now)) : std::nullopt;
}

NeighbourCounters NeighbourTable::counters(Family family) const {
  NeighbourCounters counters = cache(family).counters;
  counters.collectable = cache(family).collectable.size();
  return counters;
}

}  // namespace vxmesh
