// What a device that goes up or down, changes or goes does to every other table (net/core/dev.c and
// the notifiers of net/ipv4, net/ipv6 and net/bridge).
#include <algorithm>

#include "sim/kernel/link_rules.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {
// --- Up and down ---

OpDone NamespaceState::open_device(LinkRow& row) {
  if (row.link().vxlan) {
    // One socket serves all devices of a port and family, unless they differ in what they accept.
    const auto in_the_way = [&](const auto& entry) {
      const Link& other = entry.second.link();
      return other.up && other.vxlan && other.vxlan->port == row.link().vxlan->port &&
             other.vxlan->external != row.link().vxlan->external &&
             entry.second.underlay == row.underlay;
    };
    if (occupied_ports_.contains(row.link().vxlan->port) ||
        std::any_of(links_.begin(), links_.end(), in_the_way)) {
      return refuse(EADDRINUSE);
    }
    fdb_.open(row.link().index, now_);
  }
  row.record.link.up = true;
  return accept();
}

void NamespaceState::close_device(LinkRow& row) {
  if (row.link().vxlan) {
    fdb_.stop(row.link().index, messages_);
  }
  row.record.link.up = false;
  plane_.port_disabled(row.link().index);
}

// NETDEV_UP
void NamespaceState::notify_up(LinkRow& row) {
  const IfIndex device = row.link().index;
  row.carrier = carrier_of(row);
  if (device == kLoopback) {
    const Caller caller = std::exchange(caller_, Caller{});
    (void)insert_ipv4(AddressRecord{.address = {.device = device,
                                                .address = IpAddress::v4(0x7f000001),
                                                .length = 8,
                                                .scope = 254},
                                    .flags = kAddressPermanent,
                                    .label = row.link().name,
                                    .broadcast = {}});
    caller_ = caller;
  }
  for (const std::size_t place : addresses_of(device, Family::V4)) {
    add_ipv4_routes(AddressRow(addresses_[place]));
  }
  restore_ipv6(row);
  if (row.carrier && row.record.lower == std::nullopt) {
    ready_ipv6(row);
  }
}

// NETDEV_DOWN
void NamespaceState::notify_down(LinkRow& row) {
  disable_ipv4(row.link().index, false);
  forget_ipv6(row, false);
}

bool NamespaceState::carrier_of(const LinkRow& row) const {
  if (row.link().kind == "veth") {
    const LinkRow* other = row.record.lower ? this->row(*row.record.lower) : nullptr;
    return row.link().up && other != nullptr && other->link().up;
  }
  if (row.link().kind == "bridge") {
    const std::vector<IfIndex> ports = ports_of(row.link().index);
    if (!row.mac_chosen && row.bridge_id == MacAddress{}) {
      return true;  // br_port_state_selection has not run yet
    }
    return std::any_of(ports.begin(), ports.end(), [&](IfIndex index) {
      const LinkRow& port = *this->row(index);
      return port.link().up && port.carrier;
    });
  }
  return true;
}

// What linkwatch does a moment after the request: carriers follow each other, that of the device
// that a change comes from first.
void NamespaceState::update_carriers() {
  const IfIndex first = std::exchange(changed_link_, IfIndex{});
  bool changed = true;
  const auto update = [&](LinkRow& row) {
    const bool carrier = carrier_of(row);
    if (carrier != row.carrier) {
      row.carrier = carrier;
      changed = true;
      if (row.link().up) {
        carrier_changed(row);
      }
    } else if (carrier && row.link().up && row.link().index != kLoopback) {
      ready_ipv6(row);
    }
  };
  while (changed) {
    changed = false;
    if (LinkRow* row = this->row(first)) {
      update(*row);
    }
    for (auto& [index, row] : links_) {
      update(row);
    }
  }
}

void NamespaceState::carrier_changed(LinkRow& row) {
  if (!row.carrier) {
    plane_.port_disabled(row.link().index);
  }
  state_changed(row);
}

// netdev_state_change: NETDEV_CHANGE, and what listens to it.
void NamespaceState::state_changed(LinkRow& row) {
  if (row.carrier) {
    ready_ipv6(row);
  }
  sync_routes(row);
  flush_without_carrier(row);
  tell_link(row);
}

// What arp_netdev_event and ndisc_netdev_event do at every NETDEV_CHANGE.
void NamespaceState::flush_without_carrier(const LinkRow& row) {
  if (!carrier_of(row)) {
    flush_neighbours(row.link().index, Family::V4, NeighbourTable::Flush::KeepPermanent);
    flush_neighbours(row.link().index, Family::V6, NeighbourTable::Flush::KeepPermanent);
  }
}

// --- MAC, MTU, name ---

OpDone NamespaceState::change_mac(LinkRow& row, const rtnl::LinkLayer& wanted) {
  const MacAddress mac = first_six(wanted);
  if (mac != row.link().mac && !is_unicast(mac)) {
    return refuse(EADDRNOTAVAIL);
  }
  row.record.link.mac = mac;
  row.mac_chosen = true;
  mac_changed(row);
  return accept();
}

// NETDEV_CHANGEADDR: neighbours go, even if the MAC is the same.
void NamespaceState::mac_changed(LinkRow& row) {
  const IfIndex device = row.link().index;
  tell_link(row);
  flush_neighbours(device, Family::V4, NeighbourTable::Flush::All);
  flush_neighbours(device, Family::V6, NeighbourTable::Flush::All);
  if (row.link().master) {
    adjust_bridge_mac(*this->row(*row.link().master));
  }
}

// dev_set_mtu_ext, NETDEV_CHANGEMTU
OpDone NamespaceState::change_mtu(LinkRow& row, std::uint32_t mtu) {
  if (mtu == row.link().mtu) {
    return accept();
  }
  if (OpDone verdict = validate_mtu(mtu, row.link().index == kLoopback); verdict != accept()) {
    return verdict;
  }
  if (row.record.underlay) {
    const std::uint32_t lower = this->row(*row.record.underlay)->link().mtu;
    if (mtu + vxlan_headroom(row.underlay) > lower) {
      return refuse(EINVAL);
    }
  }
  row.record.link.mtu = mtu;
  row.mtu_chosen = true;
  tell_link(row);
  if (mtu < kMinIpv6Mtu) {
    forget_ipv6(row, row.link().index != kLoopback);
  } else if (!row.speaks_ipv6) {
    speak_ipv6(row);
    if (row.link().up && row.carrier) {
      ready_ipv6(row);
    }
  }
  if (row.link().master) {
    adjust_bridge_mtu(*this->row(*row.link().master));
  }
  return accept();
}

// dev_change_name, inetdev_changename
OpDone NamespaceState::change_name(LinkRow& row, const std::string& name) {
  if (name == row.link().name) {
    return accept();
  }
  if (!is_valid_name(name)) {
    return refuse(EINVAL);
  }
  if (this->row(name) != nullptr) {
    return refuse(EEXIST);
  }
  row.record.link.name = name;
  tell_link(row);
  unsigned named = 0;
  for (const std::size_t place : addresses_of(row.link().index, Family::V4)) {
    std::string& label = addresses_[place].record.label;
    const std::string old = std::exchange(label, name);
    if (named++ > 0) {
      const std::size_t colon = old.find(':');
      const std::string tail =
          colon == std::string::npos ? ":" + std::to_string(named) : old.substr(colon);
      label = name.substr(0, std::min(name.size(), kMaxNameLength - tail.size())) + tail;
    }
    tell(Notification::Kind::New, addresses_[place].record);
  }
  return accept();
}

// --- Going ---

// unregister_netdevice_many
void NamespaceState::delete_devices(const std::vector<IfIndex>& devices) {
  for (const IfIndex device : devices) {
    LinkRow& going = *row(device);
    if (going.link().vxlan) {
      fdb_.clear(device, messages_);
    }
    if (going.record.underlay) {
      tell_link(*row(*going.record.underlay));  // NETDEV_CHANGEUPPER
    }
    if (going.record.lower) {
      going.record.lower = IfIndex{};  // the ends of a veth are parted
    }
  }
  std::vector<IfIndex> closed;
  for (const IfIndex device : devices) {
    LinkRow& going = *row(device);
    if (going.link().up) {
      close_device(going);
      closed.push_back(device);
    }
  }
  for (const IfIndex device : closed) {
    tell_link(*row(device));
    notify_down(*row(device));
  }
  for (const IfIndex device : devices) {
    row(device)->unregistering = true;
  }
  for (const IfIndex device : devices) {
    unregister(device);
  }
}

// NETDEV_UNREGISTER and what follows
void NamespaceState::unregister(IfIndex device) {
  LinkRow& going = *row(device);
  for (auto places = addresses_of(device, Family::V4); !places.empty();
       places = addresses_of(device, Family::V4)) {
    delete_ipv4(places.front(), /*device_goes=*/true);
  }
  disable_ipv4(device, true);
  NeighbourEffects effects;
  host_.neighbours().remove_device(id_, device, Family::V4, now_, effects);
  take(effects);
  forget_ipv6(going, true);
  if (going.link().master) {
    leave_bridge(going);
  }
  std::vector<IfIndex> carried;
  for (const auto& [index, row] : links_) {
    if (row.record.underlay == device) {
      carried.push_back(index);
    }
  }
  if (!carried.empty()) {
    delete_devices(carried);
  }
  if (going.link().vxlan) {
    fdb_.remove_device(device, messages_);
  }
  const LinkRecord gone = going.record;
  links_.erase(device);
  tell(Notification::Kind::Deleted, gone);
}

}  // namespace vxmesh
