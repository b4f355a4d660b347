// Neighbours and FDB entries: where requests, devices and packets meet the two tables.
#include "sim/kernel/namespace_state.h"

namespace vxmesh {
namespace {

std::vector<Neighbour> neighbours_of(const std::vector<NeighbourReport>& reports) {
  std::vector<Neighbour> neighbours;
  neighbours.reserve(reports.size());
  for (const NeighbourReport& report : reports) {
    neighbours.push_back(report.record.neighbour);
  }
  return neighbours;
}

}  // namespace

std::optional<NeighbourDevice> NamespaceState::neighbour_device(IfIndex device) const {
  const LinkRow* link = row(device);
  if (link == nullptr) {
    return std::nullopt;
  }
  return NeighbourDevice{
      .where = id_,
      .index = device,
      .mac = link->link().mac,
      .no_arp = link->link().no_arp,
      .loopback = device == kLoopback,
      .type_of = [this](const IpAddress& address) { return address_type(address); }};
}

std::optional<FdbDevice> NamespaceState::fdb_device(IfIndex device) const {
  const LinkRow* link = row(device);
  if (link == nullptr) {
    return std::nullopt;
  }
  FdbDevice shown{.kind = FdbDevice::Kind::Other, .bridge_port = link->link().master.has_value()};
  if (device == kLoopback) {
    shown.kind = FdbDevice::Kind::Loopback;
  } else if (link->link().vxlan) {
    shown.kind = FdbDevice::Kind::Vxlan;
  } else if (link->link().kind == "bridge") {
    shown.kind = FdbDevice::Kind::Bridge;
  }
  return shown;
}

// --- Requests ---

OpDone NamespaceState::new_neigh(const rtnl::NewNeigh& request) {
  const std::optional<NeighbourDevice> device = neighbour_device(request.device);
  NeighbourEffects effects;
  OpDone done =
      host_.neighbours().write(request, device ? &*device : nullptr, caller_.port, now_, effects);
  take(effects);
  return done;
}

OpDone NamespaceState::del_neigh(const rtnl::DelNeigh& request) {
  const std::optional<NeighbourDevice> device = neighbour_device(request.device);
  NeighbourEffects effects;
  OpDone done =
      host_.neighbours().remove(request, device ? &*device : nullptr, caller_.port, now_, effects);
  take(effects);
  return done;
}

KernelReply NamespaceState::get_neigh(const rtnl::GetNeigh& request) const {
  const std::optional<NeighbourDevice> device = neighbour_device(request.device);
  NeighbourAnswer answer = host_.neighbours().get(request, device ? &*device : nullptr, now_);
  return {.done = std::move(answer.done),
          .row = answer.row ? std::optional<Record>(answer.row->record) : std::nullopt};
}

OpDone NamespaceState::new_fdb(const rtnl::NewFdb& request) {
  const std::optional<FdbDevice> device = fdb_device(request.device);
  const bool underlay_exists = request.underlay && row(*request.underlay) != nullptr;
  return fdb_.write(request, device ? &*device : nullptr, underlay_exists, now_, messages_);
}

OpDone NamespaceState::del_fdb(const rtnl::DelFdb& request) {
  const std::optional<FdbDevice> device = fdb_device(request.device);
  const bool underlay_exists = request.underlay && row(*request.underlay) != nullptr;
  return fdb_.remove(request, device ? &*device : nullptr, underlay_exists, messages_);
}

KernelReply NamespaceState::get_fdb(const rtnl::GetFdb& request) const {
  const std::optional<FdbDevice> device = fdb_device(request.device);
  FdbAnswer answer = fdb_.get(request, device ? &*device : nullptr);
  return {.done = std::move(answer.done),
          .row = answer.row ? std::optional<Record>(*answer.row) : std::nullopt};
}

OpDone NamespaceState::append_fdb(const FdbEntry& entry, MonotonicTime now) {
  return request(rtnl::NewFdb{.flags = rtnl::kCreate | rtnl::kAppend,
                              .device = entry.device,
                              .state = entry.state,
                              .ntf = static_cast<std::uint8_t>(entry.flags | kNtfSelf),
                              .lladdr = entry.mac,
                              .dst = entry.dst},
                 PortId{2}, now)
      .done;
}

// --- Effects ---

void NamespaceState::flush_neighbours(IfIndex device, Family family, NeighbourTable::Flush what) {
  NeighbourEffects effects;
  host_.neighbours().flush(id_, device, family, what, now_, effects);
  take(effects);
}

// What the table did, for whichever namespace of the host it did it.
void NamespaceState::take(const NeighbourEffects& effects) {
  for (const NeighbourEffect& effect : effects) {
    if (effect.where == id_) {
      take(effect);
    } else if (NamespaceState* other = host_.find(effect.where)) {
      other->take(effect);
      other->publish();
    }
  }
}

void NamespaceState::take(const NeighbourEffect& effect) {
  if (const Notification* told = std::get_if<Notification>(&effect.what)) {
    messages_.push_back(*told);
  } else if (const auto* solicitation = std::get_if<Solicitation>(&effect.what)) {
    plane_.act(*solicitation, now_);
  } else if (const auto* released = std::get_if<ReleasedPacket>(&effect.what)) {
    plane_.act(*released, now_);
  } else if (const auto* lost = std::get_if<LostPacket>(&effect.what)) {
    plane_.act(*lost, now_);
  }
}

// --- Packets ---

Delivery NamespaceState::deliver(const IpAddress& destination) const {
  if (is_local(destination)) {
    return {.fate = PacketFate::Local};
  }
  const RouteRecord* record = route_to(destination);
  if (record == nullptr) {
    return {.fate = PacketFate::NoRoute};
  }
  const Route& route = record->route;
  if (route.type != RouteType::Unicast || drops_in_secret(*record)) {
    return {.fate = PacketFate::Refused};
  }
  Delivery delivery{.fate = PacketFate::OtherDevice, .device = route.device, .mac = {}, .vtep = {}};
  const Link* link = route.device ? find_link(*route.device) : nullptr;
  if (link == nullptr || !link->vxlan) {
    return delivery;
  }
  const std::optional<Neighbour> neighbour =
      find_neighbour(link->index, next_hop(*record, destination));
  if (!neighbour || !is_valid_nud(neighbour->state)) {
    delivery.fate = PacketFate::Unresolved;
    return delivery;
  }
  delivery.mac = neighbour->lladdr;
  const std::vector<FdbRemote>* remotes =
      delivery.mac ? fdb_.find(link->index, *delivery.mac) : nullptr;
  remotes = remotes != nullptr ? remotes : fdb_.find(link->index, MacAddress{});
  delivery.fate = remotes == nullptr ? PacketFate::NoFdbEntry : PacketFate::Vtep;
  delivery.vtep = remotes == nullptr ? std::nullopt : std::optional(remotes->front().dst);
  return delivery;
}

Delivery NamespaceState::send_packet(const IpAddress& destination, MonotonicTime now) {
  run_timers(now);
  const Delivery delivery = deliver(destination);
  if (delivery.device && *delivery.device != kLoopback) {
    const IpAddress neighbour = next_hop(*route_to(destination), destination);
    NeighbourEffects effects;
    (void)host_.neighbours().resolve(*neighbour_device(*delivery.device), neighbour, {}, now_,
                                     effects);
    take(effects);
  }
  publish();
  return delivery;
}

// --- Reading ---

bool NamespaceState::is_vxlan(IfIndex device) const {
  const LinkRow* link = row(device);
  return link != nullptr && link->link().vxlan.has_value();
}

std::vector<FdbEntry> NamespaceState::fdb(IfIndex device) const {
  return fdb_after(device, 0, SIZE_MAX);
}

std::vector<FdbEntry> NamespaceState::fdb_after(IfIndex device, std::size_t skip,
                                                std::size_t max) const {
  std::vector<FdbEntry> entries;
  if (is_vxlan(device)) {
    for (const FdbRecord& record : fdb_.rows_after(device, skip, max)) {
      entries.push_back(record.entry);
    }
  }
  return entries;
}

const std::vector<FdbRemote>* NamespaceState::find_fdb(IfIndex device,
                                                       const MacAddress& mac) const {
  return is_vxlan(device) ? fdb_.find(device, mac) : nullptr;
}

std::vector<Neighbour> NamespaceState::neighbours() const {
  return neighbours_of(host_.neighbours().rows(id_, now_));
}

std::vector<Neighbour> NamespaceState::neighbours(IfIndex device) const {
  return neighbours_of(neighbours_after(device, std::nullopt, SIZE_MAX));
}

std::vector<Neighbour> NamespaceState::neighbours(IfIndex device, const IpPrefix& prefix) const {
  return neighbours_of(host_.neighbours().rows_within(id_, device, prefix, now_));
}

std::vector<NeighbourReport> NamespaceState::neighbours_after(IfIndex device,
                                                              const std::optional<IpAddress>& after,
                                                              std::size_t max) const {
  return host_.neighbours().rows_after(id_, device, after, max, now_);
}

std::optional<Neighbour> NamespaceState::find_neighbour(IfIndex device,
                                                        const IpAddress& address) const {
  const std::optional<NeighbourReport> found = host_.neighbours().find(id_, device, address, now_);
  return found ? std::optional(found->record.neighbour) : std::nullopt;
}

std::optional<NeighbourParameters> NamespaceState::parameters(IfIndex device, Family family) const {
  const NeighbourTunables* tunables = host_.neighbours().tunables(id_, device, family);
  if (tunables == nullptr) {
    return std::nullopt;
  }
  return NeighbourParameters{.app_solicit = tunables->app_probes,
                             .ucast_solicit = tunables->ucast_probes,
                             .mcast_solicit = tunables->mcast_probes,
                             .mcast_resolicit = tunables->mcast_reprobes};
}

}  // namespace vxmesh
