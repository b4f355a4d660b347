#include "adapters/libnl/encode.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <sys/socket.h>

#include <variant>

#include "adapters/libnl/neighbour_table.h"
#include "base/check.h"

namespace vxmesh {
namespace {

constexpr unsigned kUp = IFF_UP;
constexpr unsigned kNoArp = IFF_NOARP;
constexpr std::uint16_t kReplace = NLM_F_CREATE | NLM_F_REPLACE;

int signed_index(IfIndex device) {
  return static_cast<int>(device.value);
}

void put_local(MessageWriter& message, const IpAddress& local) {
  message.put_address(local.family() == Family::V4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, local);
}

void put_vxlan(MessageWriter& message, const VxlanLink& vxlan) {
  message.put_text(IFLA_INFO_KIND, "vxlan");
  message.put_nested(IFLA_INFO_DATA, [&] {
    message.put_u32(IFLA_VXLAN_ID, vxlan.vni.value);
    message.put_big_endian_u16(IFLA_VXLAN_PORT, vxlan.port);
    message.put_u8(IFLA_VXLAN_LEARNING, vxlan.learning ? 1 : 0);
    if (vxlan.local) {
      put_local(message, *vxlan.local);
    }
    if (vxlan.external) {
      message.put_u8(IFLA_VXLAN_COLLECT_METADATA, 1);
    }
  });
}

MessageBytes encode_change(const ChangeLink& op, std::uint16_t flags, std::uint32_t sequence) {
  MessageWriter message(RTM_NEWLINK, flags);  // RTM_SETLINK ignores IFLA_LINKINFO
  ifinfomsg header{};
  header.ifi_index = signed_index(op.device);
  if (op.up) {
    header.ifi_change = kUp;
    header.ifi_flags = *op.up ? kUp : 0;
  }
  message.put_header(header);
  if (op.mtu) {
    message.put_u32(IFLA_MTU, *op.mtu);
  }
  if (op.vxlan_local || op.vxlan_learning) {
    message.put_nested(IFLA_LINKINFO, [&] {
      message.put_text(IFLA_INFO_KIND, "vxlan");
      message.put_nested(IFLA_INFO_DATA, [&] {
        if (op.vxlan_local) {
          put_local(message, *op.vxlan_local);
        }
        if (op.vxlan_learning) {
          message.put_u8(IFLA_VXLAN_LEARNING, *op.vxlan_learning ? 1 : 0);
        }
      });
    });
  }
  if (op.rp_filter) {
    message.put_nested(IFLA_AF_SPEC, [&] {
      message.put_nested(AF_INET, [&] {
        message.put_nested(IFLA_INET_CONF,
                           [&] { message.put_u32(IPV4_DEVCONF_RP_FILTER, *op.rp_filter); });
      });
    });
  }
  return message.finish(sequence);
}

MessageBytes encode_address(std::uint16_t type, const IfAddress& address, std::uint16_t flags,
                            std::uint32_t sequence) {
  MessageWriter message(type, flags);
  ifaddrmsg header{};
  header.ifa_family = address_family(address.address.family());
  header.ifa_prefixlen = address.length;
  header.ifa_scope = address.scope;
  header.ifa_index = address.device.value;
  message.put_header(header);
  message.put_address(IFA_LOCAL, address.address);
  message.put_address(IFA_ADDRESS, address.address);
  std::uint32_t address_flags = address.no_prefix_route ? IFA_F_NOPREFIXROUTE : 0U;
  if (address.address.family() == Family::V6) {
    address_flags |= IFA_F_NODAD;  // else it is tentative, and unusable, for a second or two
  }
  message.put_u32(IFA_FLAGS, address_flags);  // NOPREFIXROUTE does not fit the header's 8 bits
  return message.finish(sequence);
}

MessageBytes encode_route(std::uint16_t type, const Route& route, std::uint16_t flags,
                          std::uint32_t sequence) {
  MessageWriter message(type, flags);
  rtmsg header{};
  header.rtm_family = address_family(route.destination.family());
  header.rtm_dst_len = route.destination.length();
  header.rtm_table = RT_TABLE_UNSPEC;  // RTA_TABLE has room for all
  header.rtm_protocol = route.protocol;
  header.rtm_scope = route.scope;
  header.rtm_type = static_cast<std::uint8_t>(route.type);
  header.rtm_flags = route.onlink ? RTNH_F_ONLINK : 0U;
  message.put_header(header);
  message.put_address(RTA_DST, route.destination.base());
  message.put_u32(RTA_TABLE, route.table);
  message.put_u32(RTA_PRIORITY, route.metric);
  if (route.device) {
    message.put_u32(RTA_OIF, route.device->value);
  }
  if (route.gateway) {
    message.put_gateway(route.destination.family(), *route.gateway);
  }
  if (route.preferred_source) {
    message.put_address(RTA_PREFSRC, *route.preferred_source);
  }
  return message.finish(sequence);
}

ndmsg neighbour_header(std::uint8_t family, IfIndex device) {
  ndmsg header{};
  header.ndm_family = family;
  header.ndm_ifindex = signed_index(device);
  return header;
}

// One overload for each operation.
struct OpEncoder {
  std::uint32_t sequence = 0;
  std::uint16_t acknowledge = 0;  // NLM_F_ACK or 0

  [[nodiscard]] std::uint16_t flags(std::uint16_t more = 0) const {
    return static_cast<std::uint16_t>(acknowledge | more);
  }

  MessageBytes operator()(const CreateVxlan& op) const {
    check(op.link.vxlan.has_value(), "a vxlan to create has a vxlan's parameters");
    MessageWriter message(RTM_NEWLINK, flags(NLM_F_CREATE | NLM_F_EXCL));
    ifinfomsg header{};
    header.ifi_change = op.link.no_arp ? kNoArp : 0;
    header.ifi_flags = header.ifi_change;
    message.put_header(header);
    message.put_text(IFLA_IFNAME, op.link.name);
    message.put_mac(IFLA_ADDRESS, op.link.mac);
    message.put_u32(IFLA_MTU, op.link.mtu);
    message.put_u32(IFLA_GROUP, op.link.group);
    if (op.link.master) {
      message.put_u32(IFLA_MASTER, op.link.master->value);
    }
    message.put_nested(IFLA_LINKINFO, [&] { put_vxlan(message, *op.link.vxlan); });
    return message.finish(sequence);
  }
  MessageBytes operator()(const ChangeLink& op) const {
    return encode_change(op, flags(), sequence);
  }
  MessageBytes operator()(const DeleteLink& op) const {
    MessageWriter message(RTM_DELLINK, flags());
    ifinfomsg header{};
    header.ifi_index = signed_index(op.device);
    message.put_header(header);
    return message.finish(sequence);
  }
  MessageBytes operator()(const SetNeighbourParameters& op) const {
    MessageWriter message(RTM_SETNEIGHTBL, flags());
    ndtmsg header{};
    header.ndtm_family = address_family(op.family);
    message.put_header(header);
    message.put_text(NDTA_NAME, neighbour_table_name(op.family));
    message.put_nested(NDTA_PARMS, [&] {
      message.put_u32(NDTPA_IFINDEX, op.device.value);
      message.put_u32(NDTPA_APP_PROBES, op.parameters.app_solicit);
      message.put_u32(NDTPA_UCAST_PROBES, op.parameters.ucast_solicit);
      message.put_u32(NDTPA_MCAST_PROBES, op.parameters.mcast_solicit);
      message.put_u32(NDTPA_MCAST_REPROBES, op.parameters.mcast_resolicit);
    });
    return message.finish(sequence);
  }
  MessageBytes operator()(const ReplaceAddress& op) const {
    return encode_address(RTM_NEWADDR, op.address, flags(kReplace), sequence);
  }
  MessageBytes operator()(const DeleteAddress& op) const {
    return encode_address(RTM_DELADDR, op.address, flags(), sequence);
  }
  MessageBytes operator()(const ReplaceRoute& op) const {
    return encode_route(RTM_NEWROUTE, op.route, flags(kReplace), sequence);
  }
  MessageBytes operator()(const DeleteRoute& op) const {
    Route route = op.route;
    route.device = deleted_device(route);
    return encode_route(RTM_DELROUTE, route, flags(), sequence);
  }
  MessageBytes operator()(const ReplaceFdb& op) const {
    MessageWriter message(RTM_NEWNEIGH, flags(kReplace));
    ndmsg header = neighbour_header(AF_BRIDGE, op.entry.device);
    header.ndm_state = op.entry.state;
    header.ndm_flags = op.entry.flags | NTF_SELF;
    message.put_header(header);
    message.put_mac(NDA_LLADDR, op.entry.mac);
    if (op.entry.dst) {
      message.put_address(NDA_DST, *op.entry.dst);
    }
    return message.finish(sequence);
  }
  MessageBytes operator()(const DeleteFdb& op) const {
    MessageWriter message(RTM_DELNEIGH, flags());
    ndmsg header = neighbour_header(AF_BRIDGE, op.device);
    header.ndm_flags = NTF_SELF;
    message.put_header(header);
    message.put_mac(NDA_LLADDR, op.mac);
    return message.finish(sequence);
  }
  MessageBytes operator()(const ReplaceNeighbour& op) const {
    MessageWriter message(RTM_NEWNEIGH, flags(kReplace));
    const Neighbour& neighbour = op.neighbour;
    ndmsg header = neighbour_header(address_family(neighbour.address.family()), neighbour.device);
    header.ndm_state = neighbour.state;
    header.ndm_flags = neighbour.flags;
    message.put_header(header);
    message.put_address(NDA_DST, neighbour.address);
    if (neighbour.lladdr) {
      message.put_mac(NDA_LLADDR, *neighbour.lladdr);
    }
    if (neighbour.protocol != 0) {
      message.put_u8(NDA_PROTOCOL, neighbour.protocol);
    }
    return message.finish(sequence);
  }
  MessageBytes operator()(const DeleteNeighbour& op) const {
    MessageWriter message(RTM_DELNEIGH, flags());
    message.put_header(neighbour_header(address_family(op.address.family()), op.device));
    message.put_address(NDA_DST, op.address);
    return message.finish(sequence);
  }
};

}  // namespace

MessageBytes encode(const KernelOp& op, std::uint32_t sequence, bool acknowledge) {
  const auto flag = static_cast<std::uint16_t>(acknowledge ? NLM_F_ACK : 0);
  return std::visit(OpEncoder{.sequence = sequence, .acknowledge = flag}, op);
}

MessageBytes encode_link_dump(std::uint32_t sequence) {
  MessageWriter message(RTM_GETLINK, NLM_F_DUMP);
  message.put_header(ifinfomsg{});
  message.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return message.finish(sequence);
}

MessageBytes encode_address_dump(Family family, std::uint32_t sequence) {
  MessageWriter message(RTM_GETADDR, NLM_F_DUMP);
  ifaddrmsg header{};
  header.ifa_family = address_family(family);
  message.put_header(header);
  return message.finish(sequence);
}

MessageBytes encode_route_dump(Family family, std::uint32_t sequence) {
  MessageWriter message(RTM_GETROUTE, NLM_F_DUMP);
  rtmsg header{};
  header.rtm_family = address_family(family);
  message.put_header(header);
  return message.finish(sequence);
}

MessageBytes encode_fdb_dump(IfIndex device, std::uint32_t sequence) {
  MessageWriter message(RTM_GETNEIGH, NLM_F_DUMP);
  message.put_header(neighbour_header(AF_BRIDGE, device));
  return message.finish(sequence);
}

MessageBytes encode_neighbour_dump(Family family, IfIndex device, std::uint32_t sequence) {
  MessageWriter message(RTM_GETNEIGH, NLM_F_DUMP);
  // The device in the header is refused here (neigh_valid_dump_req), unlike in an FDB dump.
  message.put_header(neighbour_header(address_family(family), IfIndex{}));
  message.put_u32(NDA_IFINDEX, device.value);
  return message.finish(sequence);
}

MessageBytes encode_neighbour_table_dump(Family family, std::uint32_t sequence) {
  MessageWriter message(RTM_GETNEIGHTBL, NLM_F_DUMP);
  ndtmsg header{};
  header.ndtm_family = address_family(family);
  message.put_header(header);
  return message.finish(sequence);
}

MessageBytes encode_get_link(const std::string& name, std::uint32_t sequence) {
  MessageWriter message(RTM_GETLINK, 0);
  message.put_header(ifinfomsg{});
  message.put_text(IFLA_IFNAME, name);
  message.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return message.finish(sequence);
}

MessageBytes encode_get_link(IfIndex device, std::uint32_t sequence) {
  MessageWriter message(RTM_GETLINK, 0);
  ifinfomsg header{};
  header.ifi_index = signed_index(device);
  message.put_header(header);
  message.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return message.finish(sequence);
}

MessageBytes encode_get_fdb(IfIndex device, const MacAddress& mac, std::uint32_t sequence) {
  MessageWriter message(RTM_GETNEIGH, 0);
  ndmsg header = neighbour_header(AF_BRIDGE, device);
  header.ndm_flags = NTF_SELF;
  message.put_header(header);
  message.put_mac(NDA_LLADDR, mac);
  return message.finish(sequence);
}

MessageBytes encode_get_neighbour(IfIndex device, const IpAddress& address,
                                  std::uint32_t sequence) {
  MessageWriter message(RTM_GETNEIGH, 0);
  message.put_header(neighbour_header(address_family(address.family()), device));
  message.put_address(NDA_DST, address);
  return message.finish(sequence);
}

}  // namespace vxmesh
