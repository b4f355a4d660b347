// Bridges and their ports (net/bridge/br_if.c, br_stp_if.c).
#include <algorithm>

#include "sim/kernel/link_rules.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {
OpDone NamespaceState::create_bridge(const rtnl::NewLink& request, LinkRow made) {
  (void)request;
  if (OpDone verdict = judge_name(made); verdict != accept()) {
    return verdict;
  }
  insert_link(std::move(made));
  return accept();
}

// The newest first, as in the bridge's list.
std::vector<IfIndex> NamespaceState::ports_of(IfIndex bridge) const {
  std::vector<IfIndex> ports;
  for (const auto& [index, row] : links_) {
    if (row.link().master == bridge) {
      ports.push_back(index);
    }
  }
  std::sort(ports.begin(), ports.end(),
            [&](IfIndex a, IfIndex b) { return row(a)->joined > row(b)->joined; });
  return ports;
}

// do_set_master
OpDone NamespaceState::change_master(LinkRow& row, IfIndex master) {
  if (row.link().master == master) {
    return accept();
  }
  if (row.link().master) {
    leave_bridge(row);
  }
  if (master == IfIndex{}) {
    return accept();
  }
  LinkRow* bridge = this->row(master);
  if (bridge == nullptr) {
    return refuse(EINVAL);
  }
  if (bridge->link().kind != "bridge") {
    return refuse(EOPNOTSUPP);
  }
  return join_bridge(row, *bridge);
}

// br_add_if
OpDone NamespaceState::join_bridge(LinkRow& port, LinkRow& bridge) {
  if (port.link().index == kLoopback || !is_unicast(port.link().mac)) {
    return refuse(EINVAL);
  }
  if (port.link().kind == "bridge") {
    return refuse(ELOOP, "Can not enslave a bridge to a bridge");
  }
  if (is_below(bridge.link().index, port.link().index)) {
    return refuse(EBUSY);
  }
  port.record.link.master = bridge.link().index;
  port.joined = next_join_++;
  tell_link(port);
  adjust_bridge_mac(bridge);
  adjust_bridge_mtu(bridge);
  return accept();
}

// br_add_if: link watching has not seen yet that a device which is made by the same request has no
// carrier (its operstate is unknown). So the bridge has one, until that is seen.
void NamespaceState::shake_bridge(const LinkRow& made) {
  LinkRow* bridge = made.link().master ? row(*made.link().master) : nullptr;
  const bool enables = made.link().up && !made.carrier;
  if (bridge != nullptr && enables && bridge->link().up && !bridge->carrier) {
    carrier_changed(*bridge);
  }
}

// del_nbp
void NamespaceState::part_from_bridge(LinkRow& port) {
  tell_link(port);  // nbp_delete_promisc
  port.record.link.master.reset();
  plane_.port_disabled(port.link().index);
  tell_link(port);
}

// br_del_if
void NamespaceState::leave_bridge(LinkRow& port) {
  LinkRow& bridge = *row(*port.link().master);
  part_from_bridge(port);
  adjust_bridge_mtu(bridge);
  adjust_bridge_mac(bridge);
}

// br_mtu_auto_adjust
void NamespaceState::adjust_bridge_mtu(LinkRow& bridge) {
  if (bridge.mtu_chosen) {
    return;
  }
  const std::vector<IfIndex> ports = ports_of(bridge.link().index);
  std::uint32_t least = ports.empty() ? kEthernetMtu : kMaxMtu;
  for (const IfIndex port : ports) {
    least = std::min(least, row(port)->link().mtu);
  }
  (void)change_mtu(bridge, least);
  bridge.mtu_chosen = false;
}

// br_stp_recalculate_bridge_id: the lowest MAC of the ports; without ports none at all.
void NamespaceState::adjust_bridge_mac(LinkRow& bridge) {
  if (bridge.mac_chosen) {
    return;
  }
  const std::vector<IfIndex> ports = ports_of(bridge.link().index);
  MacAddress lowest;
  for (const IfIndex port : ports) {
    const MacAddress& mac = row(port)->link().mac;
    lowest = lowest == MacAddress{} || mac < lowest ? mac : lowest;
  }
  if (lowest == bridge.bridge_id) {
    return;
  }
  bridge.bridge_id = lowest;
  bridge.record.link.mac = lowest;
  mac_changed(bridge);
}

}  // namespace vxmesh
