// Links: RTM_NEWLINK and RTM_DELLINK, and what a link that comes, goes or changes does to every
// other table (net/core/rtnetlink.c, net/core/dev.c, drivers/net/vxlan, drivers/net/veth.c,
// net/bridge).
#include <algorithm>

#include "base/check.h"
#include "sim/kernel/namespace_state.h"
#include "sim/kernel/not_modelled.h"

namespace vxmesh {
namespace {

constexpr std::uint32_t kMinMtu = 68;              // ETH_MIN_MTU
constexpr std::uint32_t kMaxMtu = 65535;           // ETH_MAX_MTU
constexpr std::uint32_t kMinIpv6Mtu = 1280;        // IPV6_MIN_MTU
constexpr std::uint32_t kEthernetMtu = 1500;       // ETH_DATA_LEN
constexpr std::size_t kMaxNameLength = 15;         // IFNAMSIZ - 1
constexpr std::uint16_t kDefaultVxlanPort = 8472;  // vxlan_port, the module's parameter
constexpr std::uint32_t kDefaultAgeing = 300;      // FDB_AGE_DEFAULT
constexpr std::uint32_t kVxlanHeadroomV4 = 50;     // VXLAN_HEADROOM
constexpr std::uint32_t kVxlanHeadroomV6 = 70;     // VXLAN6_HEADROOM

bool is_unicast(const MacAddress& mac) {
  return mac != MacAddress{} && (mac.bytes[0] & 1U) == 0;
}

MacAddress first_six(const rtnl::LinkLayer& address) {
  MacAddress mac;
  std::copy_n(address.bytes.begin(), mac.bytes.size(), mac.bytes.begin());
  return mac;
}

std::string kind_name(rtnl::Kind kind) {
  switch (kind) {
    case rtnl::Kind::Vxlan: return "vxlan";
    case rtnl::Kind::Bridge: return "bridge";
    case rtnl::Kind::Veth: break;
  }
  return "veth";
}

// IFLA_INFO_DATA is in the message.
bool has_vxlan_data(const rtnl::NewLink& r) {
  return r.vni || r.port || r.local || r.remote || r.underlay || r.learning || r.ttl || r.tos ||
         r.ageing || r.limit || r.proxy || r.rsc || r.l2miss || r.l3miss || r.external;
}

void refuse_what_is_not_modelled(const rtnl::NewLink& request) {
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

// dev_valid_name
bool is_valid_name(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameLength && name != "." && name != ".." &&
         name.find_first_of("/: \t\n\v\f\r") == std::string::npos;
}

// The kernel's is random.
MacAddress made_up_mac(IfIndex device) {
  return {{0x02, 0, 0, 0, static_cast<std::uint8_t>(device.value >> 8U),
           static_cast<std::uint8_t>(device.value)}};
}

// vxlan_validate
OpDone validate_vxlan(const rtnl::NewLink& request) {
  if (request.mac && request.mac->bytes.size() != 6) {
    return refuse(EINVAL, "Provided link layer address is not Ethernet");
  }
  if (request.mac && !is_unicast(first_six(*request.mac))) {
    return refuse(EADDRNOTAVAIL, "Provided Ethernet address is not unicast");
  }
  if (request.mtu && (*request.mtu < kMinMtu || *request.mtu > kMaxMtu)) {
    return refuse(EINVAL, "MTU must be between 68 and 65535");
  }
  if (!has_vxlan_data(request)) {
    return refuse(EINVAL, "Required attributes not provided to perform the operation");
  }
  if (request.vni.value_or(0) > kMaxVni) {
    return refuse(ERANGE, "VXLAN ID must be lower than 16777216");
  }
  return accept();
}

// veth_validate, br_validate
OpDone validate_plain(const rtnl::NewLink& request) {
  if (request.mac && request.mac->bytes.size() != 6) {
    return refuse(EINVAL);
  }
  if (request.mac && !is_unicast(first_six(*request.mac))) {
    return refuse(EADDRNOTAVAIL);
  }
  const bool judges_mtu = request.kind == rtnl::Kind::Veth && request.mtu;
  return judges_mtu && (*request.mtu < kMinMtu || *request.mtu > kMaxMtu) ? refuse(EINVAL)
                                                                          : accept();
}

OpDone validate_mtu(std::uint32_t mtu, bool is_loopback) {
  if (mtu < (is_loopback ? 0 : kMinMtu) || mtu > INT32_MAX) {
    return refuse(EINVAL, "mtu less than device minimum");
  }
  if (!is_loopback && mtu > kMaxMtu) {
    return refuse(EINVAL, "mtu greater than device maximum");
  }
  return accept();
}

std::uint32_t headroom(Family underlay) {
  return underlay == Family::V4 ? kVxlanHeadroomV4 : kVxlanHeadroomV6;
}

bool is_unspecified(const IpAddress& address) {
  return address == IpAddress{} || address == IpAddress::v6({});
}

}  // namespace

// --- Requests ---

// __rtnl_newlink
OpDone NamespaceState::new_link(const rtnl::NewLink& request) {
  refuse_what_is_not_modelled(request);
  if (request.name && request.name->size() > kMaxNameLength) {
    return refuse(ERANGE, "Attribute failed policy validation");
  }
  const LinkRow* found = nullptr;
  if (request.device != IfIndex{}) {
    found = row(request.device);
  } else if (request.name) {
    found = row(*request.name);
  }
  if (OpDone verdict = judge_link(request); verdict != accept()) {
    return verdict;
  }
  if (found != nullptr) {
    if ((request.flags & rtnl::kExcl) != 0) {
      return refuse(EEXIST);
    }
    if ((request.flags & rtnl::kReplace) != 0) {
      return refuse(EOPNOTSUPP);
    }
    changed_link_ = found->link().index;
    return change_link(*row(changed_link_), request);
  }
  if ((request.flags & rtnl::kCreate) == 0) {
    return request.device == IfIndex{} && !request.name && request.group ? change_group(request)
                                                                         : refuse(ENODEV);
  }
  if (!request.kind) {
    return refuse(EOPNOTSUPP, "Unknown device type");
  }
  return create_link(request);
}

// rtnl_group_changelink
OpDone NamespaceState::change_group(const rtnl::NewLink& request) {
  std::vector<IfIndex> members;
  for (const auto& [index, row] : links_) {
    if (row.link().group == *request.group) {
      members.push_back(index);
    }
  }
  for (const IfIndex member : members) {
    rtnl::NewLink one = request;
    one.kind.reset();
    if (OpDone done = change_link(*row(member), one); done != accept()) {
      return done;
    }
  }
  return accept();
}

// rtnl_link_ops->validate
OpDone NamespaceState::judge_link(const rtnl::NewLink& request) const {
  if (!request.kind) {
    return accept();
  }
  return *request.kind == rtnl::Kind::Vxlan ? validate_vxlan(request) : validate_plain(request);
}

OpDone NamespaceState::create_link(const rtnl::NewLink& request) {
  if (request.mac && request.mac->bytes.size() < 6) {
    return refuse(EINVAL);
  }
  if (request.rp_filter) {
    return refuse(EAFNOSUPPORT);  // inet_validate_link_af: no in_device yet
  }
  if (request.mtu) {
    if (OpDone verdict = validate_mtu(*request.mtu, false); verdict != accept()) {
      return verdict;
    }
  }
  LinkRow made;
  Link& link = made.record.link;
  link.index = request.device;
  link.name = request.name.value_or("");
  link.mtu = request.mtu.value_or(kEthernetMtu);
  link.group = request.group.value_or(0);
  link.kind = kind_name(*request.kind);
  if (request.mac) {
    link.mac = first_six(*request.mac);
    made.mac_chosen = true;
  }
  OpDone done;
  switch (*request.kind) {
    case rtnl::Kind::Vxlan: done = create_vxlan(request, std::move(made)); break;
    case rtnl::Kind::Bridge: done = create_bridge(request, std::move(made)); break;
    case rtnl::Kind::Veth: done = create_veth(request, std::move(made)); break;
  }
  if (done != accept()) {
    return done;
  }
  const IfIndex index = last_made_;
  changed_link_ = index;
  LinkRow& row = *this->row(index);
  // rtnl_configure_link: a vxlan has been told of already.
  const bool was_told = *request.kind == rtnl::Kind::Vxlan;
  done = change_flags(row, request, was_told ? FlagsTold::OnChange : FlagsTold::Always);
  if (done == accept() && request.master) {
    done = change_master(row, *request.master);
  }
  if (done != accept()) {
    std::vector<IfIndex> gone{index};
    if (row.record.lower) {
      gone.push_back(*row.record.lower);
    }
    delete_devices(gone);
  }
  return done;
}

// __vxlan_dev_create
OpDone NamespaceState::create_vxlan(const rtnl::NewLink& request, LinkRow made) {
  made.record.link.vxlan = VxlanLink{.port = kDefaultVxlanPort};
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
        lower_mtu > headroom(made.underlay) ? lower_mtu - headroom(made.underlay) : 0, kMinMtu);
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

OpDone NamespaceState::create_bridge(const rtnl::NewLink& request, LinkRow made) {
  (void)request;
  if (OpDone verdict = judge_name(made); verdict != accept()) {
    return verdict;
  }
  insert_link(std::move(made));
  return accept();
}

// veth_newlink: the other end is made first.
OpDone NamespaceState::create_veth(const rtnl::NewLink& request, LinkRow made) {
  LinkRow peer;
  peer.record.link.kind = "veth";
  peer.record.link.mtu = kEthernetMtu;
  peer.record.link.name = request.peer_name.value_or("");
  peer.carrier = made.carrier = false;
  peer.record.lower = IfIndex{};  // until the other end is there
  if (request.peer_name && request.peer_name->size() > kMaxNameLength) {
    return refuse(ERANGE, "Attribute failed policy validation");
  }
  if (request.peer_mac) {
    if (request.peer_mac->bytes.size() != 6) {
      return refuse(EINVAL);
    }
    peer.record.link.mac = first_six(*request.peer_mac);
    if (!is_unicast(peer.record.link.mac)) {
      return refuse(EADDRNOTAVAIL);
    }
    peer.mac_chosen = true;
  }
  if (OpDone verdict = judge_name(peer); verdict != accept()) {
    return verdict;
  }
  LinkRow& other = insert_link(std::move(peer));
  const IfIndex other_index = other.link().index;
  tell_link(other);
  if (OpDone verdict = judge_name(made); verdict != accept()) {
    delete_devices({other_index});
    return verdict;
  }
  LinkRow& row = insert_link(std::move(made));
  row.record.lower = other_index;
  this->row(other_index)->record.lower = row.link().index;
  return accept();
}

// dev_get_valid_name
OpDone NamespaceState::judge_name(LinkRow& made) const {
  Link& link = made.record.link;
  if (link.name.empty()) {
    link.name = free_name(link.kind);
    return accept();
  }
  if (!is_valid_name(link.name)) {
    return refuse(EINVAL);
  }
  return row(link.name) == nullptr ? accept() : refuse(EEXIST);
}

std::string NamespaceState::free_name(const std::string& stem) const {
  unsigned number = 0;
  while (row(stem + std::to_string(number)) != nullptr) {
    ++number;
  }
  return stem + std::to_string(number);
}

// do_setlink: what comes before a refusal stays changed.
OpDone NamespaceState::change_link(LinkRow& row, const rtnl::NewLink& request) {
  if (request.mac && request.mac->bytes.size() < 6) {
    return refuse(EINVAL);
  }
  bool notify = false;
  if (request.kind && (has_vxlan_data(request) || request.peer_name || request.peer_mac)) {
    if (row.link().kind != kind_name(*request.kind) || *request.kind != rtnl::Kind::Vxlan) {
      return refuse(EOPNOTSUPP);
    }
    if (OpDone done = change_vxlan(row, request); done != accept()) {
      return done;
    }
    notify = true;
  }
  const IfIndex index = row.link().index;
  const auto apply = [&]() -> OpDone {
    OpDone done;
    if (request.mac) {
      done = change_mac(row, *request.mac);
    }
    if (done == accept() && request.mtu) {
      done = change_mtu(row, *request.mtu);
    }
    if (done == accept() && request.group) {
      row.record.link.group = *request.group;
      notify = true;
    }
    if (done == accept() && request.device != IfIndex{} && request.name && !request.name->empty()) {
      done = change_name(row, *request.name);
    }
    if (done == accept()) {
      done = change_flags(row, request, FlagsTold::OnChange);
    }
    if (done == accept() && request.master) {
      done = change_master(row, *request.master);
    }
    if (done == accept() && request.rp_filter) {
      row.rp_filter = static_cast<std::uint8_t>(*request.rp_filter);
      notify = true;
    }
    return done;
  };
  OpDone done = apply();
  const LinkRow* still = this->row(index);
  if (notify && still != nullptr && still->link().up) {
    flush_without_carrier(*still);  // netdev_state_change
    tell_link(*still);
  }
  return done;
}

// __dev_change_flags, __dev_notify_flags
OpDone NamespaceState::change_flags(LinkRow& row, const rtnl::NewLink& request, FlagsTold told) {
  const bool was_up = row.link().up;
  const bool no_arp_before = row.link().no_arp;
  row.record.link.no_arp = request.no_arp.value_or(no_arp_before);
  const bool goes_up = request.up.value_or(was_up) && !was_up;
  const bool goes_down = !request.up.value_or(was_up) && was_up;
  if (goes_up) {
    if (OpDone done = open_device(row); done != accept()) {
      return done;
    }
  } else if (goes_down) {
    close_device(row);
  }
  const bool no_arp_changed = row.link().no_arp != no_arp_before;
  if (told == FlagsTold::Always || goes_up || goes_down || no_arp_changed) {
    tell_link(row);
  }
  if (goes_up) {
    notify_up(row);
  } else if (goes_down) {
    notify_down(row);
  }
  if (row.link().up && no_arp_changed) {
    flush_neighbours(row.link().index, Family::V4, NeighbourTable::Flush::All);
    flush_neighbours(row.link().index, Family::V6, NeighbourTable::Flush::All);
    if (row.ipv6_ready && row.carrier && !goes_up && row.link().index != kLoopback) {
      restart_dad(row);
    }
  }

  return accept();
}

// --- vxlan ---

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
  if (OpDone done = fdb_.change_device(vxlan_config(wanted), now_, messages_); done != accept()) {
    return done;
  }
  if (moves) {
    const std::uint32_t lower_mtu = this->row(*wanted.record.underlay)->link().mtu;
    const std::uint32_t most = std::max(
        lower_mtu > headroom(row.underlay) ? lower_mtu - headroom(row.underlay) : 0, kMinMtu);
    wanted.record.link.mtu = std::min(wanted.record.link.mtu, most);
    tell_link(*this->row(*wanted.record.underlay));
    if (row.record.underlay) {
      tell_link(*this->row(*row.record.underlay));
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

// NETDEV_CHANGE
void NamespaceState::carrier_changed(LinkRow& row) {
  if (!row.carrier) {
    plane_.port_disabled(row.link().index);
  }
  if (row.carrier && row.speaks_ipv6 && !row.ipv6_ready) {
    ready_ipv6(row);
  }
  sync_routes(row);
  flush_without_carrier(row);
  tell_link(row);
}

// What arp_netdev_event and ndisc_netdev_event do at every NETDEV_CHANGE.
void NamespaceState::flush_without_carrier(const LinkRow& row) {
  if (!row.carrier) {
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
    if (mtu + headroom(row.underlay) > lower) {
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

// --- Bridges ---

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

// br_del_if
void NamespaceState::leave_bridge(LinkRow& port) {
  LinkRow& bridge = *row(*port.link().master);
  port.record.link.master.reset();
  plane_.port_disabled(port.link().index);
  tell_link(port);
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

// --- Going ---

OpDone NamespaceState::del_link(const rtnl::DelLink& request) {
  if (request.device == IfIndex{} && !request.name) {
    return refuse(EINVAL);
  }
  const LinkRow* found = request.device != IfIndex{} ? row(request.device) : row(*request.name);
  if (found == nullptr) {
    return refuse(ENODEV);
  }
  if (found->link().kind.empty()) {
    return refuse(EOPNOTSUPP);  // hardware and loopback have no operations of their own
  }
  std::vector<IfIndex> devices{found->link().index};
  if (found->record.lower) {
    devices.push_back(*found->record.lower);
  }
  for (const IfIndex port : ports_of(found->link().index)) {
    LinkRow& left = *row(port);
    left.record.link.master.reset();
    tell_link(left);
  }
  delete_devices(devices);
  return accept();
}

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
  take(std::move(effects));
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

// --- Rows ---

NamespaceState::LinkRow* NamespaceState::row(IfIndex device) {
  const auto place = links_.find(device);
  return place == links_.end() ? nullptr : &place->second;
}

const NamespaceState::LinkRow* NamespaceState::row(IfIndex device) const {
  const auto place = links_.find(device);
  return place == links_.end() ? nullptr : &place->second;
}

const NamespaceState::LinkRow* NamespaceState::row(const std::string& name) const {
  const auto place = std::find_if(links_.begin(), links_.end(), [&](const auto& entry) {
    return entry.second.link().name == name;
  });
  return place == links_.end() ? nullptr : &place->second;
}

// register_netdevice
NamespaceState::LinkRow& NamespaceState::insert_link(LinkRow made) {
  Link& link = made.record.link;
  if (link.index == IfIndex{}) {
    while (links_.contains(next_index_)) {
      ++next_index_.value;
    }
    link.index = next_index_;
    ++next_index_.value;
  }
  if (link.mac == MacAddress{} && link.index != kLoopback) {
    link.mac = made_up_mac(link.index);
  }
  last_made_ = link.index;
  LinkRow& row = links_[link.index] = std::move(made);
  host_.neighbours().add_device(id_, row.link().index, Family::V4);
  if (row.link().mtu >= kMinIpv6Mtu) {
    speak_ipv6(row);
  }
  return row;
}

IfIndex NamespaceState::add_link(Link link, MonotonicTime now) {
  check(find_link(link.name) == nullptr, "the name of a new link is free");
  check(!link.vxlan, "a vxlan is made by a request");
  run_timers(now);
  const bool up = std::exchange(link.up, false);
  link.index = {};
  LinkRow made;
  made.record.link = std::move(link);
  LinkRow& row = insert_link(std::move(made));
  const IfIndex index = row.link().index;
  row.carrier = carrier_of(row);
  tell_link(row);
  if (up) {
    (void)open_device(row);
    tell_link(row);
    notify_up(row);
    update_carriers();
  }
  publish();
  return index;
}

// Links are told of as by the kernel itself, whoever asked.
void NamespaceState::tell_link(const LinkRow& row) {
  if (row.unregistering) {
    return;  // rtmsg_ifinfo_event: its RTM_DELLINK is all that is still said
  }
  tell(Notification::Kind::New, row.record);
}

}  // namespace vxmesh
