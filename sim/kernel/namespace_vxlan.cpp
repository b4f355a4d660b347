// vxlan links (drivers/net/vxlan/vxlan_core.c).
#include <algorithm>

#include "sim/kernel/link_rules.h"
#include "sim/kernel/namespace_state.h"
#include "sim/kernel/not_modelled.h"

namespace vxmesh {
namespace {

constexpr std::uint32_t kDefaultAgeing = 300;  // FDB_AGE_DEFAULT

bool is_unspecified(const IpAddress& address) {
  return address == IpAddress{} || address == IpAddress::v6({});
}

}  // namespace

void NamespaceState::refuse_unmodelled_vxlan(const rtnl::NewLink& request) {
  const std::pair<const std::optional<bool>*, std::string_view> kFlags[] = {
      {&request.proxy, "vxlan proxy"},
      {&request.rsc, "vxlan rsc"},
      {&request.l2miss, "vxlan l2miss"},
      {&request.l3miss, "vxlan l3miss"}};
  for (const auto& [flag, name] : kFlags) {
    if (flag->value_or(false)) {
      not_modelled(name);
    }
  }
}

// __vxlan_dev_create
OpDone NamespaceState::create_vxlan(const rtnl::NewLink& request, LinkRow made) {
  made.record.link.vxlan = VxlanLink{.port = kLinuxVxlanPort};
  made.record.ageing = kDefaultAgeing;
  if (OpDone verdict = configure_vxlan(made, request); verdict != accept()) {
    return verdict;
  }
  if (OpDone verdict = judge_vxlan(made); verdict != accept()) {
    return verdict;
  }
  if (made.record.underlay) {
    const std::uint32_t lower_mtu = row(*made.record.underlay)->link().mtu;
    const std::uint32_t most = std::max(
        lower_mtu > vxlan_headroom(made.underlay) ? lower_mtu - vxlan_headroom(made.underlay) : 0,
        kMinMtu);
    made.record.link.mtu = request.mtu ? std::min(*request.mtu, most) : most;
  }
  if (OpDone verdict = judge_name(made); verdict != accept()) {
    return verdict;
  }
  LinkRow& row = insert_link(std::move(made));
  if (row.record.underlay) {
    tell_link(*this->row(*row.record.underlay));  // NETDEV_CHANGEUPPER
  }
  tell_link(row);
  fdb_.add_device(vxlan_config(row), now_, messages_);
  return accept();
}

VxlanConfig NamespaceState::vxlan_config(const LinkRow& row) const {
  const LinkRecord& record = row.record;
  return VxlanConfig{.index = record.link.index,
                     .vni = record.link.vxlan->vni.value,
                     .port = record.link.vxlan->port,
                     .family = row.underlay,
                     .remote = record.remote,
                     .underlay = record.underlay,
                     .ageing = record.ageing,
                     .limit = record.limit};
}

// vxlan_nl2conf, and the families that vxlan_config_validate makes of it.
OpDone NamespaceState::configure_vxlan(LinkRow& made, const rtnl::NewLink& request) const {
  VxlanLink& vxlan = *made.record.link.vxlan;
  vxlan.vni = Vni{request.vni.value_or(vxlan.vni.value)};
  vxlan.port = request.port.value_or(0) != 0 ? *request.port : vxlan.port;
  vxlan.learning = request.learning.value_or(vxlan.learning);
  vxlan.external = request.external.value_or(vxlan.external);
  made.record.ttl = request.ttl.value_or(made.record.ttl);
  made.record.tos = request.tos.value_or(made.record.tos);
  made.record.limit = request.limit.value_or(made.record.limit);
  if (request.ageing) {
    made.record.ageing = *request.ageing == 0 ? kDefaultAgeing : *request.ageing;
  }
  if (request.underlay && *request.underlay != IfIndex{}) {
    made.record.underlay = request.underlay;
  }
  if (request.local && request.remote && request.local->family() != request.remote->family()) {
    return refuse(EINVAL, "Local and remote address must be from the same family");
  }
  if (request.local || request.remote) {
    made.underlay = request.local ? request.local->family() : request.remote->family();
  }
  const auto specified = [](const IpAddress& address) {
    return is_unspecified(address) ? std::nullopt : std::optional(address);
  };
  if (request.local) {
    vxlan.local = specified(*request.local);
  }
  if (request.remote) {
    made.record.remote = specified(*request.remote);
  }
  return accept();
}

// vxlan_config_validate
OpDone NamespaceState::judge_vxlan(const LinkRow& wanted) const {
  const VxlanLink& vxlan = *wanted.link().vxlan;
  const std::optional<IpAddress>& remote = wanted.record.remote;
  if (vxlan.local && vxlan.local->is_multicast()) {
    return refuse(EINVAL, "Local address cannot be multicast");
  }
  const bool local_scope =
      wanted.underlay == Family::V6 && vxlan.local && vxlan.local->is_link_local();
  if (wanted.underlay == Family::V6 && !vxlan.external) {
    const bool remote_scope = remote && remote->is_link_local();
    if ((local_scope && remote && !remote_scope) || (!local_scope && remote_scope)) {
      return refuse(EINVAL, "Invalid combination of local and remote address scopes");
    }
  }
  if (wanted.record.underlay) {
    if (row(*wanted.record.underlay) == nullptr) {
      return refuse(ENODEV, "Invalid local interface, device not found");
    }
  } else if (remote && remote->is_multicast()) {
    return refuse(EINVAL, "Local interface required for multicast remote destination");
  } else if (local_scope) {
    return refuse(EINVAL, "Local interface required for link-local local/remote addresses");
  }
  for (const auto& [index, row] : links_) {
    const std::optional<VxlanLink>& other = row.link().vxlan;
    if (index != wanted.link().index && other && other->vni == vxlan.vni &&
        other->port == vxlan.port && other->external == vxlan.external &&
        row.underlay == wanted.underlay) {
      return refuse(EEXIST, "A VXLAN device with the specified VNI already exists");
    }
  }
  return accept();
}

namespace {

// vxlan_nl2conf: what cannot change, in the order in which it is found out.
OpDone judge_vxlan_change(const LinkRecord& record, Family underlay, const rtnl::NewLink& request) {
  if (request.vni && *request.vni != record.link.vxlan->vni.value) {
    return refuse(EOPNOTSUPP, "Cannot change VNI");
  }
  if (request.remote && request.remote->family() != underlay) {
    return refuse(EOPNOTSUPP, "New group address family does not match old group");
  }
  if (request.local && request.local->family() != underlay) {
    return refuse(EOPNOTSUPP, "New local address family does not match old");
  }
  if (request.limit) {
    return refuse(EOPNOTSUPP, "Cannot change limit");
  }
  if (request.port) {
    return refuse(EOPNOTSUPP, "Cannot change port");
  }
  return request.mtu ? refuse(EOPNOTSUPP, "Cannot change mtu") : accept();
}

}  // namespace

// vxlan_changelink
OpDone NamespaceState::change_vxlan(LinkRow& row, const rtnl::NewLink& request) {
  if (OpDone verdict = judge_vxlan_change(row.record, row.underlay, request); verdict != accept()) {
    return verdict;
  }
  if (request.external && *request.external != row.link().vxlan->external) {
    not_modelled("a change of a vxlan's external flag");
  }
  LinkRow wanted = row;
  if (OpDone verdict = configure_vxlan(wanted, request); verdict != accept()) {
    return verdict;
  }
  if (OpDone verdict = judge_vxlan(wanted); verdict != accept()) {
    return verdict;
  }
  const bool moves = wanted.record.underlay != row.record.underlay;
  if (moves && is_below(row.link().index, *wanted.record.underlay)) {
    return refuse(EBUSY);
  }
  if (moves) {
    tell_link(*this->row(*wanted.record.underlay));  // netdev_adjacent_change_prepare
  }
  if (OpDone done = fdb_.change_device(vxlan_config(wanted), now_, messages_); done != accept()) {
    if (moves) {
      tell_link(*this->row(*wanted.record.underlay));  // netdev_adjacent_change_abort
    }
    return done;
  }
  if (moves) {
    const std::uint32_t lower_mtu = this->row(*wanted.record.underlay)->link().mtu;
    const std::uint32_t most = std::max(
        lower_mtu > vxlan_headroom(row.underlay) ? lower_mtu - vxlan_headroom(row.underlay) : 0,
        kMinMtu);
    wanted.record.link.mtu = std::min(wanted.record.link.mtu, most);
    if (row.record.underlay) {
      tell_link(*this->row(*row.record.underlay));  // netdev_adjacent_change_commit
    }
  }
  row = wanted;
  return accept();
}

// True if `lower` carries `upper`, or is it: a device must not come to stand on itself.
bool NamespaceState::is_below(IfIndex lower, IfIndex upper) const {
  if (lower == upper) {
    return true;
  }
  const LinkRow* above = row(upper);
  if (above == nullptr) {
    return false;
  }
  if (above->record.underlay && is_below(lower, *above->record.underlay)) {
    return true;
  }
  const std::vector<IfIndex> ports = ports_of(upper);
  return std::any_of(ports.begin(), ports.end(),
                     [&](IfIndex port) { return is_below(lower, port); });
}

}  // namespace vxmesh
