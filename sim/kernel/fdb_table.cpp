#include "sim/kernel/fdb_table.h"

#include <algorithm>

#include "base/check.h"
#include "sim/kernel/kernel_message.h"
#include "sim/kernel/not_modelled.h"

namespace vxmesh {
namespace {

constexpr Duration kAgeInterval = std::chrono::seconds(10);  // FDB_AGE_INTERVAL
constexpr std::uint32_t kDefaultAgeing = 300;                // FDB_AGE_DEFAULT, seconds
constexpr unsigned kPinned = kNudPermanent | kNudNoarp;
constexpr std::size_t kEthernetLength = 6;     // ETH_ALEN
constexpr std::size_t kMaxAddressLength = 32;  // MAX_ADDR_LEN

// VXLAN_FDB_FLUSH_IGNORED_NDM_FLAGS and VXLAN_FDB_FLUSH_ALLOWED_NDM_FLAGS.
constexpr unsigned kNtfOffloaded = 0x20;
constexpr unsigned kFlushIgnored = kNtfMaster | kNtfSelf;
constexpr unsigned kFlushAllowed = kNtfExtLearned | kNtfOffloaded | kNtfRouter;

constexpr MacAddress kZeroMac{};

bool has(unsigned value, unsigned bits) {
  return (value & bits) != 0;
}

bool has_one_destination(const MacAddress& mac) {
  return mac != kZeroMac && (mac.bytes[0] & 1U) == 0;
}

bool is_unspecified(const IpAddress& address) {
  return address.bytes() == IpAddress{}.bytes();
}

std::optional<MacAddress> mac_of(const std::optional<rtnl::LinkLayer>& lladdr) {
  if (!lladdr || lladdr->bytes.size() != kEthernetLength) {
    return std::nullopt;
  }
  MacAddress mac;
  std::copy_n(lladdr->bytes.begin(), mac.bytes.size(), mac.bytes.begin());
  return mac;
}

// The default destination as an entry's remote; absent if there is none.
std::optional<FdbRemote> default_remote(const VxlanConfig& config) {
  if (!config.remote || is_unspecified(*config.remote)) {
    return std::nullopt;
  }
  return FdbRemote{
      .dst = *config.remote, .port = config.port, .vni = config.vni, .underlay = config.underlay};
}

// vxlan_fdb_parse of a request that names a destination.
template <typename Request>
FdbRemote remote_of(const Request& request, const VxlanConfig& config) {
  return FdbRemote{.dst = *request.dst,
                   .port = request.port.value_or(config.port),
                   .vni = request.vni.value_or(config.vni),
                   .underlay = request.underlay};
}

// What rtnl_fdb_add and rtnl_fdb_del refuse before the driver sees the request. The address is
// judged between the two halves of it.
template <typename Request>
OpDone judge_index(const Request& request, const FdbDevice* device) {
  if (request.device == IfIndex{0}) {
    return refuse(EINVAL, "invalid ifindex");
  }
  return device == nullptr ? refuse(ENODEV, "unknown ifindex") : accept();
}

// Whose table the flags mean, once the device is known: accepts if it is the vxlan's.
OpDone judge_table(std::uint8_t ntf, const FdbDevice& device) {
  if (device.bridge_port && (ntf == 0 || has(ntf, kNtfMaster))) {
    not_modelled("FDB of a bridge");
  }
  if (!has(ntf, kNtfSelf)) {
    return refuse(EOPNOTSUPP);
  }
  if (device.kind == FdbDevice::Kind::Bridge) {
    not_modelled("FDB of a bridge");
  }
  return accept();
}

}  // namespace

FdbTable::Device& FdbTable::device(IfIndex index) {
  const auto place = devices_.find(index);
  check(place != devices_.end(), "a vxlan device has an FDB");
  return place->second;
}

const FdbTable::Device& FdbTable::device(IfIndex index) const {
  const auto place = devices_.find(index);
  check(place != devices_.end(), "a vxlan device has an FDB");
  return place->second;
}

// --- Devices ---

void FdbTable::add_device(const VxlanConfig& config, MonotonicTime now, Notifications& told) {
  const auto [place, fresh] = devices_.try_emplace(config.index);
  check(fresh, "an FDB is made once");
  Device& device = place->second;
  device.config = config;
  device.config.ageing = config.ageing == 0 ? kDefaultAgeing : config.ageing;
  if (const std::optional<FdbRemote> remote = default_remote(config)) {
    (void)update(device,
                 {.mac = kZeroMac,
                  .source_vni = config.vni,
                  .state = kNudReachable | kNudPermanent,
                  .nlm_flags = rtnl::kCreate | rtnl::kExcl,
                  .ntf = kNtfSelf,
                  .remote = *remote},
                 now, told);
  }
}

OpDone FdbTable::change_device(const VxlanConfig& config, MonotonicTime now, Notifications& told) {
  Device& device = this->device(config.index);
  const std::optional<FdbRemote> before = default_remote(device.config);
  const std::optional<FdbRemote> after = default_remote(config);
  const bool moves = (before ? before->dst : IpAddress{}) != (after ? after->dst : IpAddress{});
  if (moves && after) {
    OpDone done = update(device,
                         {.mac = kZeroMac,
                          .source_vni = config.vni,
                          .state = kNudReachable | kNudPermanent,
                          .nlm_flags = rtnl::kCreate | rtnl::kAppend,
                          .ntf = kNtfSelf,
                          .remote = *after},
                         now, told);
    if (done != accept()) {
      return done;
    }
  }
  if (moves && before) {
    (void)remove_one(device, kZeroMac, before, told);
  }
  const std::uint32_t ageing = config.ageing == 0 ? kDefaultAgeing : config.ageing;
  const bool ages_otherwise = device.config.ageing != ageing;
  device.config = config;
  device.config.ageing = ageing;
  if (ages_otherwise && device.up) {
    age(device, now, told);
  }
  return accept();
}

void FdbTable::open(IfIndex device, MonotonicTime now) {
  Device& opened = this->device(device);
  opened.up = true;
  opened.timer = now + kAgeInterval;
}

void FdbTable::stop(IfIndex device, Notifications& told) {
  Device& stopped = this->device(device);
  stopped.up = false;
  stopped.timer.reset();
  for (auto place = stopped.entries.begin(); place != stopped.entries.end();) {
    const auto entry = place++;
    // vxlan_fdb_is_default_entry.
    const bool is_default = entry->mac == kZeroMac && entry->source_vni == stopped.config.vni;
    if (!has(entry->state, kPinned) && !is_default) {
      erase(stopped, entry, told);
    }
  }
}

void FdbTable::clear(IfIndex device, Notifications& told) {
  Device& going = this->device(device);
  while (!going.entries.empty()) {
    erase(going, going.entries.begin(), told);
  }
}

void FdbTable::remove_device(IfIndex device, Notifications& told) {
  clear(device, told);
  devices_.erase(device);
}

// --- Requests ---

OpDone FdbTable::write(const rtnl::NewFdb& request, const FdbDevice* device, bool underlay_exists,
                       MonotonicTime now, Notifications& told) {
  if (OpDone verdict = judge_index(request, device); verdict != accept()) {
    return verdict;
  }
  const std::optional<MacAddress> mac = mac_of(request.lladdr);
  if (!mac) {
    return refuse(EINVAL, "invalid address");
  }
  if (device->kind == FdbDevice::Kind::Loopback) {
    return refuse(EINVAL, "FDB add only supported for Ethernet devices");
  }
  if (OpDone verdict = judge_table(request.ntf, *device); verdict != accept()) {
    return verdict;
  }
  if (device->kind != FdbDevice::Kind::Vxlan) {
    not_modelled("FDB of a device that is no vxlan");
  }
  // vxlan_fdb_add.
  Device& target = this->device(request.device);
  if (!has(request.state, kNudPermanent | kNudReachable) || !request.dst) {
    return refuse(EINVAL);
  }
  if (request.underlay && !underlay_exists) {
    return refuse(EADDRNOTAVAIL, "Device not found");
  }
  if (request.dst->family() != target.config.family) {
    return refuse(EAFNOSUPPORT);
  }
  return update(target,
                {.mac = *mac,
                 .source_vni = request.source_vni.value_or(target.config.vni),
                 .state = request.state,
                 .nlm_flags = request.flags,
                 .ntf = request.ntf,
                 .by_user = true,
                 .remote = remote_of(request, target.config)},
                now, told);
}

OpDone FdbTable::remove(const rtnl::DelFdb& request, const FdbDevice* device, bool underlay_exists,
                        Notifications& told) {
  const bool bulk = has(request.flags, rtnl::kBulk);
  if (OpDone verdict = judge_index(request, device); verdict != accept()) {
    return verdict;
  }
  const std::optional<MacAddress> mac = mac_of(request.lladdr);
  if (!bulk && !mac) {
    return refuse(EINVAL, "invalid address");
  }
  if (device->kind == FdbDevice::Kind::Loopback) {
    return refuse(EINVAL, "FDB delete only supported for Ethernet devices");
  }
  if (OpDone verdict = judge_table(request.ntf, *device); verdict != accept()) {
    return verdict;
  }
  if (device->kind != FdbDevice::Kind::Vxlan) {
    return bulk ? refuse(EOPNOTSUPP) : (not_modelled("FDB of a device that is no vxlan"), accept());
  }
  Device& target = this->device(request.device);
  if (bulk) {
    return flush(target, request, told);
  }
  // vxlan_fdb_delete.
  if (request.underlay && !underlay_exists) {
    return refuse(EADDRNOTAVAIL, "Device not found");
  }
  const bool one = request.dst && !is_unspecified(*request.dst);
  return remove_one(target, *mac,
                    one ? std::optional(remote_of(request, target.config)) : std::nullopt, told);
}

FdbAnswer FdbTable::get(const rtnl::GetFdb& request, const FdbDevice* device) const {
  const auto refused = [](int error_number, std::string extended_ack) {
    return FdbAnswer{refuse(error_number, std::move(extended_ack)), std::nullopt};
  };
  // valid_fdb_get_strict.
  if ((request.ntf & ~(kNtfMaster | kNtfSelf)) != 0) {
    return refused(EINVAL, "Invalid flags in header for fdb get request");
  }
  if (request.lladdr && request.lladdr->bytes.size() > kMaxAddressLength) {
    return refused(ERANGE, "Attribute failed policy validation");
  }
  if (!request.lladdr) {
    return refused(EINVAL, "Missing lookup address for fdb get request");
  }
  const std::optional<MacAddress> mac = mac_of(request.lladdr);
  if (!mac) {
    return refused(EINVAL, "Invalid address in fdb get request");
  }
  // rtnl_fdb_get.
  if (device == nullptr) {
    return refused(ENODEV,
                   request.device == IfIndex{0} ? "No device specified" : "Unknown device ifindex");
  }
  const bool of_bridge = request.ntf == 0 || has(request.ntf, kNtfMaster);
  if (of_bridge && !device->bridge_port) {
    return refused(EINVAL, "Device is not a bridge port");
  }
  if (of_bridge || device->kind == FdbDevice::Kind::Bridge) {
    not_modelled("FDB of a bridge");
  }
  if (device->kind != FdbDevice::Kind::Vxlan) {
    return refused(EOPNOTSUPP, "Fdb get operation not supported by device");
  }
  const Device& target = this->device(request.device);
  const auto place = target.by_key.find(Key{*mac, target.config.vni});
  if (place == target.by_key.end()) {
    return refused(ENOENT, "Fdb entry not found");
  }
  const Entry& entry = *place->second;
  return {accept(), record(target, entry, entry.remotes.front())};
}

// --- Entries ---

bool FdbTable::ages(const Entry& entry) {
  return !has(entry.state, kPinned) && !has(entry.flags, kNtfExtLearned);
}

FdbTable::Entry* FdbTable::find_entry(Device& device, const MacAddress& mac) {
  const auto place = device.by_key.find(Key{mac, device.config.vni});
  return place == device.by_key.end() ? nullptr : &*place->second;
}

// vxlan_fdb_update.
OpDone FdbTable::update(Device& device, const Wanted& wanted, MonotonicTime now,
                        Notifications& told) {
  Entry* entry = find_entry(device, wanted.mac);
  if (entry == nullptr) {
    return has(wanted.nlm_flags, rtnl::kCreate) ? make(device, wanted, now, told) : refuse(ENOENT);
  }
  return has(wanted.nlm_flags, rtnl::kExcl) ? refuse(EEXIST)
                                            : update_existing(device, *entry, wanted, told);
}

OpDone FdbTable::update_existing(Device& device, Entry& entry, const Wanted& wanted,
                                 Notifications& told) {
  const auto flags = static_cast<std::uint8_t>(wanted.ntf & ~kNtfUse);
  bool changed = false;
  // What was learned elsewhere does not take over what a user made.
  if (!has(flags, kNtfExtLearned) || !entry.by_user) {
    changed =
        entry.state != wanted.state || entry.flags != flags || entry.by_user != wanted.by_user;
    device.ageing -= ages(entry) ? 1U : 0U;
    entry.state = wanted.state;
    entry.flags = flags;
    device.ageing += ages(entry) ? 1U : 0U;
    entry.by_user = wanted.by_user;
  }
  const bool known =
      std::find(entry.remotes.begin(), entry.remotes.end(), wanted.remote) != entry.remotes.end();
  const bool single = has_one_destination(entry.mac);
  const FdbRemote* shown = &entry.remotes.front();
  if (has(wanted.nlm_flags, rtnl::kReplace)) {
    if (!single) {
      // State and flags stay changed, and nobody is told.
      return refuse(EOPNOTSUPP, "Cannot replace non-unicast fdb entries");
    }
    if (!known) {
      entry.remotes.front() = wanted.remote;
      changed = true;
    }
  }
  if (has(wanted.nlm_flags, rtnl::kAppend) && !single && !known) {
    entry.remotes.push_back(wanted.remote);
    device.stop.reset();
    shown = &entry.remotes.back();
    changed = true;
  }
  if (changed) {
    tell(device, entry, *shown, Notification::Kind::New, told);
  }
  return accept();
}

// vxlan_fdb_update_create.
OpDone FdbTable::make(Device& device, const Wanted& wanted, MonotonicTime now,
                      Notifications& told) {
  if (has(wanted.nlm_flags, rtnl::kReplace) && !has_one_destination(wanted.mac)) {
    return refuse(EOPNOTSUPP);
  }
  if (device.config.limit != 0 && device.entries.size() >= device.config.limit) {
    return refuse(ENOSPC);
  }
  const Key key{wanted.mac, wanted.source_vni};
  if (device.by_key.contains(key)) {
    return refuse(EEXIST);  // an entry that lookups do not find
  }
  device.entries.push_front({.mac = wanted.mac,
                             .source_vni = wanted.source_vni,
                             .state = wanted.state,
                             .flags = static_cast<std::uint8_t>(wanted.ntf & ~kNtfUse),
                             .by_user = wanted.by_user,
                             .used = now,
                             .remotes = {wanted.remote}});
  device.by_key.emplace(key, device.entries.begin());
  device.stop.reset();
  const Entry& entry = device.entries.front();
  device.ageing += ages(entry) ? 1U : 0U;
  tell(device, entry, entry.remotes.front(), Notification::Kind::New, told);
  return accept();
}

// __vxlan_fdb_delete; without `remote` all of them.
OpDone FdbTable::remove_one(Device& device, const MacAddress& mac,
                            const std::optional<FdbRemote>& remote, Notifications& told) {
  const auto place = device.by_key.find(Key{mac, device.config.vni});
  if (place == device.by_key.end()) {
    return refuse(ENOENT);
  }
  Entry& entry = *place->second;
  if (remote) {
    const auto found = std::find(entry.remotes.begin(), entry.remotes.end(), *remote);
    if (found == entry.remotes.end()) {
      return accept();
    }
    if (entry.remotes.size() > 1) {
      entry.remotes.erase(found);
      device.stop.reset();
      tell(device, entry, *remote, Notification::Kind::Deleted, told);
      return accept();
    }
  }
  erase(device, place->second, told);
  return accept();
}

// vxlan_fdb_delete_bulk.
OpDone FdbTable::flush(Device& device, const rtnl::DelFdb& request, Notifications& told) {
  if (request.lladdr || request.underlay) {
    return refuse(EINVAL, "Unsupported attribute");
  }
  const unsigned flags = request.ntf & ~kFlushIgnored;
  if ((flags & ~kFlushAllowed) != 0) {
    return refuse(EINVAL, "Unsupported fdb flush ndm flag bits set");
  }
  if ((request.state & ~kPinned) != 0) {
    return refuse(EINVAL, "Unsupported fdb flush ndm state bits set");
  }
  const unsigned state_mask = request.state_mask.value_or(0);
  const unsigned flags_mask = request.ntf_mask.value_or(0);
  // Zero means that it does not matter.
  const std::uint32_t source_vni = request.source_vni.value_or(0);
  const std::uint32_t vni = request.vni.value_or(0);
  const std::uint16_t port = request.port.value_or(0);
  const bool by_remote = vni != 0 || port != 0 || request.dst;
  for (auto place = device.entries.begin(); place != device.entries.end();) {
    const auto entry = place++;
    if ((state_mask != 0 && (entry->state & state_mask) != request.state) ||
        (flags_mask != 0 && (entry->flags & flags_mask) != flags) ||
        (source_vni != 0 && entry->source_vni != source_vni)) {
      continue;
    }
    bool goes = !by_remote;
    for (std::size_t i = 0; by_remote && i < entry->remotes.size();) {
      const FdbRemote remote = entry->remotes[i];
      if ((vni != 0 && remote.vni != vni) || (port != 0 && remote.port != port) ||
          (request.dst && remote.dst != *request.dst)) {
        ++i;
        continue;
      }
      if (entry->remotes.size() == 1) {
        goes = true;
        break;
      }
      entry->remotes.erase(entry->remotes.begin() + static_cast<std::ptrdiff_t>(i));
      device.stop.reset();
      tell(device, *entry, remote, Notification::Kind::Deleted, told);
    }
    if (goes) {
      erase(device, entry, told);
    }
  }
  return accept();
}

void FdbTable::erase(Device& device, Entries::iterator place, Notifications& told) {
  for (const FdbRemote& remote : place->remotes) {
    tell(device, *place, remote, Notification::Kind::Deleted, told);
  }
  device.ageing -= ages(*place) ? 1U : 0U;
  device.by_key.erase(Key{place->mac, place->source_vni});
  device.stop.reset();
  device.entries.erase(place);
}

// --- Packets ---

const std::vector<FdbRemote>* FdbTable::use(IfIndex device, const MacAddress& mac,
                                            MonotonicTime now) {
  Entry* entry = find_entry(this->device(device), mac);
  if (entry == nullptr) {
    return nullptr;
  }
  entry->used = now;
  return &entry->remotes;
}

const std::vector<FdbRemote>* FdbTable::find(IfIndex device, const MacAddress& mac) const {
  const Device& target = this->device(device);
  const auto place = target.by_key.find(Key{mac, target.config.vni});
  return place == target.by_key.end() ? nullptr : &place->second->remotes;
}

// --- Time ---

// vxlan_cleanup; but what can only find that nothing ages does not look.
void FdbTable::age(Device& device, MonotonicTime now, Notifications& told) {
  MonotonicTime next = now + kAgeInterval;
  for (auto place = device.entries.begin(); device.ageing > 0 && place != device.entries.end();) {
    const auto entry = place++;
    if (!ages(*entry)) {
      continue;
    }
    const MonotonicTime end = entry->used + std::chrono::seconds(device.config.ageing);
    if (end <= now) {
      entry->state = kNudStale;
      erase(device, entry, told);
    } else {
      next = std::min(next, end);
    }
  }
  device.timer = next;
}

void FdbTable::run_timers(MonotonicTime now, Notifications& told) {
  for (;;) {
    Device* due = nullptr;
    for (auto& [index, device] : devices_) {
      if (device.timer && *device.timer <= now && (due == nullptr || *device.timer < *due->timer)) {
        due = &device;
      }
    }
    if (due == nullptr) {
      return;
    }
    age(*due, *due->timer, told);
  }
}

std::optional<MonotonicTime> FdbTable::next_timer() const {
  std::optional<MonotonicTime> next;
  for (const auto& [index, device] : devices_) {
    if (device.timer && (!next || *device.timer < *next)) {
      next = device.timer;
    }
  }
  return next;
}

// --- Reading ---

// vxlan_fdb_info.
FdbRecord FdbTable::record(const Device& device, const Entry& entry, const FdbRemote& remote) {
  FdbRecord record{.entry = {.device = device.config.index,
                             .mac = entry.mac,
                             .dst = remote.dst,
                             .state = entry.state,
                             .flags = entry.flags},
                   .port = std::nullopt,
                   .vni = std::nullopt,
                   .underlay = remote.underlay};
  if (remote.port != 0 && remote.port != device.config.port) {
    record.port = remote.port;
  }
  if (remote.vni != device.config.vni) {
    record.vni = remote.vni;
  }
  return record;
}

void FdbTable::tell(const Device& device, const Entry& entry, const FdbRemote& remote,
                    Notification::Kind kind, Notifications& told) {
  told.push_back({.kind = kind, .record = record(device, entry, remote)});
}

std::vector<FdbRecord> FdbTable::rows_after(IfIndex device, std::size_t skip,
                                            std::size_t max) const {
  const Device& target = this->device(device);
  std::vector<FdbRecord> rows;
  const bool goes_on = target.stop && target.stop->shown <= skip;
  std::size_t shown = goes_on ? target.stop->shown : 0;  // rows before `place`
  auto place = goes_on ? target.stop->place : target.entries.begin();
  for (; place != target.entries.end() && rows.size() < max; ++place) {
    for (const FdbRemote& remote : place->remotes) {
      if (shown++ >= skip && rows.size() < max) {
        rows.push_back(record(target, *place, remote));
      }
    }
  }
  target.stop = Stop{.shown = shown, .place = place};
  return rows;
}

std::vector<FdbRecord> FdbTable::rows(IfIndex device) const {
  return rows_after(device, 0, SIZE_MAX);
}

}  // namespace vxmesh
