// Links: RTM_NEWLINK and RTM_DELLINK (net/core/rtnetlink.c, drivers/net/veth.c).
#include <algorithm>

#include "base/check.h"
#include "sim/kernel/link_rules.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {
namespace {

std::string kind_name(rtnl::Kind kind) {
  switch (kind) {
    case rtnl::Kind::Vxlan: return "vxlan";
    case rtnl::Kind::Bridge: return "bridge";
    case rtnl::Kind::Veth: break;
  }
  return "veth";
}

// The kernel's is random.
MacAddress made_up_mac(IfIndex device) {
  return {{0x02, 0, 0, 0, static_cast<std::uint8_t>(device.value >> 8U),
           static_cast<std::uint8_t>(device.value)}};
}

}  // namespace

// --- Requests ---

// __rtnl_newlink
OpDone NamespaceState::new_link(const rtnl::NewLink& request) {
  refuse_unmodelled_vxlan(request);
  if (request.name && request.name->size() > kMaxNameLength) {
    return refuse(ERANGE, "Attribute failed policy validation");
  }
  const LinkRow* found = nullptr;
  if (request.device != IfIndex{}) {
    found = row(request.device);
  } else if (request.name) {
    found = row(*request.name);
  }
  if (OpDone verdict = validate_link(request); verdict != accept()) {
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
  if (done == accept()) {
    shake_bridge(row);
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
  if (has_info_data(request)) {
    // Of the kinds that there are only a vxlan can be changed that way; the message names its kind.
    if (request.kind != rtnl::Kind::Vxlan || !row.link().vxlan) {
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
  LinkRow* still = this->row(index);
  if (notify && still != nullptr && still->link().up) {
    state_changed(*still);
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
  if (row.link().up && no_arp_changed) {  // NETDEV_CHANGE
    sync_routes(row);
    flush_neighbours(row.link().index, Family::V4, NeighbourTable::Flush::All);
    flush_neighbours(row.link().index, Family::V6, NeighbourTable::Flush::All);
    if (row.ipv6_ready && row.carrier && row.link().index != kLoopback) {
      restart_dad(row);
    }
  }

  return accept();
}

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
    part_from_bridge(*row(port));
  }
  delete_devices(devices);
  return accept();
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
