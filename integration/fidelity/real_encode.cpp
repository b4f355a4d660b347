#include "integration/fidelity/real_encode.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/veth.h>
#include <sys/socket.h>

#include <string_view>
#include <variant>

#include "adapters/libnl/neighbour_table.h"

namespace vxmesh::fidelity {
namespace {

using rtnl::Kind;
using rtnl::LinkLayer;

constexpr std::uint32_t kUp = IFF_UP;
constexpr std::uint32_t kNoArp = IFF_NOARP;

int signed_index(IfIndex device) {
  return static_cast<int>(device.value);
}

// Puts an attribute if the request has it.
class Optionals {
 public:
  explicit Optionals(MessageWriter& message) : message_(message) {}

  void u8(int type, const std::optional<std::uint8_t>& value) {
    if (value) {
      message_.put_u8(type, *value);
    }
  }
  void flag(int type, const std::optional<bool>& value) {
    if (value) {
      message_.put_u8(type, *value ? 1 : 0);
    }
  }
  void u16(int type, const std::optional<std::uint16_t>& value) {
    if (value) {
      message_.put_u16(type, *value);
    }
  }
  void big_endian_u16(int type, const std::optional<std::uint16_t>& value) {
    if (value) {
      message_.put_big_endian_u16(type, *value);
    }
  }
  void u32(int type, const std::optional<std::uint32_t>& value) {
    if (value) {
      message_.put_u32(type, *value);
    }
  }
  void u64(int type, const std::optional<std::uint64_t>& value) {
    if (value) {
      message_.put_u64(type, *value);
    }
  }
  void device(int type, const std::optional<IfIndex>& value) {
    if (value) {
      message_.put_u32(type, value->value);
    }
  }
  void address(int type, const std::optional<IpAddress>& value) {
    if (value) {
      message_.put_address(type, *value);
    }
  }
  void address(int type_v4, int type_v6, const std::optional<IpAddress>& value) {
    if (value) {
      message_.put_address(value->family() == Family::V4 ? type_v4 : type_v6, *value);
    }
  }
  void link_layer(int type, const std::optional<LinkLayer>& value) {
    if (value) {
      message_.put_bytes(type, value->bytes);
    }
  }
  void text(int type, const std::optional<std::string>& value) {
    if (value) {
      message_.put_text(type, *value);
    }
  }

 private:
  MessageWriter& message_;
};

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::Vxlan: return "vxlan";
    case Kind::Bridge: return "bridge";
    case Kind::Veth: break;
  }
  return "veth";
}

void put_vxlan(MessageWriter& message, const rtnl::NewLink& request) {
  Optionals put(message);
  put.u32(IFLA_VXLAN_ID, request.vni);
  put.big_endian_u16(IFLA_VXLAN_PORT, request.port);
  put.address(IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6, request.local);
  put.address(IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6, request.remote);
  put.device(IFLA_VXLAN_LINK, request.underlay);
  put.flag(IFLA_VXLAN_LEARNING, request.learning);
  put.u8(IFLA_VXLAN_TTL, request.ttl);
  put.u8(IFLA_VXLAN_TOS, request.tos);
  put.u32(IFLA_VXLAN_AGEING, request.ageing);
  put.u32(IFLA_VXLAN_LIMIT, request.limit);
  put.flag(IFLA_VXLAN_PROXY, request.proxy);
  put.flag(IFLA_VXLAN_RSC, request.rsc);
  put.flag(IFLA_VXLAN_L2MISS, request.l2miss);
  put.flag(IFLA_VXLAN_L3MISS, request.l3miss);
  put.flag(IFLA_VXLAN_COLLECT_METADATA, request.external);
}

void put_peer(MessageWriter& message, const rtnl::NewLink& request) {
  if (!request.peer_name && !request.peer_mac) {
    return;
  }
  message.put_nested(VETH_INFO_PEER, [&] {
    message.put_header(ifinfomsg{});
    Optionals put(message);
    put.text(IFLA_IFNAME, request.peer_name);
    put.link_layer(IFLA_ADDRESS, request.peer_mac);
  });
}

ifinfomsg link_header(const rtnl::NewLink& request) {
  ifinfomsg header{};
  header.ifi_index = signed_index(request.device);
  if (request.up) {
    header.ifi_change |= kUp;
    header.ifi_flags |= *request.up ? kUp : 0U;
  }
  if (request.no_arp) {
    header.ifi_change |= kNoArp;
    header.ifi_flags |= *request.no_arp ? kNoArp : 0U;
  }
  return header;
}

ndmsg neighbour_header(std::uint8_t family, IfIndex device) {
  ndmsg header{};
  header.ndm_family = family;
  header.ndm_ifindex = signed_index(device);
  return header;
}

MessageBytes encode_route(std::uint16_t type, std::uint16_t flags, const rtnl::RouteFields& route,
                          std::uint32_t sequence) {
  MessageWriter message(type, flags);
  rtmsg header{};
  header.rtm_family = address_family(route.destination.family());
  header.rtm_dst_len = route.length;
  header.rtm_tos = route.tos;
  header.rtm_table = RT_TABLE_UNSPEC;  // RTA_TABLE has room for all
  header.rtm_protocol = route.protocol;
  header.rtm_scope = route.scope;
  header.rtm_type = route.type;
  header.rtm_flags = route.route_flags;
  message.put_header(header);
  Optionals put(message);
  message.put_address(RTA_DST, route.destination);
  message.put_u32(RTA_TABLE, route.table);
  put.u32(RTA_PRIORITY, route.metric);
  put.device(RTA_OIF, route.device);
  if (route.gateway) {
    message.put_gateway(route.destination.family(), *route.gateway);
  }
  put.address(RTA_PREFSRC, route.preferred_source);
  return message.finish(sequence);
}

// What NewFdb and DelFdb have in common.
template <typename Fdb>
void put_fdb(MessageWriter& message, const Fdb& request) {
  ndmsg header = neighbour_header(AF_BRIDGE, request.device);
  header.ndm_state = request.state;
  header.ndm_flags = request.ntf;
  message.put_header(header);
  Optionals put(message);
  put.link_layer(NDA_LLADDR, request.lladdr);
  put.address(NDA_DST, request.dst);
  put.big_endian_u16(NDA_PORT, request.port);
  put.u32(NDA_VNI, request.vni);
  put.device(NDA_IFINDEX, request.underlay);
  put.u32(NDA_SRC_VNI, request.source_vni);
}

ifaddrmsg address_header(IfIndex device, const IpAddress& local, std::uint8_t length) {
  ifaddrmsg header{};
  header.ifa_family = address_family(local.family());
  header.ifa_prefixlen = length;
  header.ifa_index = device.value;
  return header;
}

// One overload for each kind of request.
struct Encoder {
  std::uint32_t sequence = 0;

  [[nodiscard]] static std::uint16_t acknowledged(std::uint16_t flags = 0) {
    return static_cast<std::uint16_t>(NLM_F_ACK | flags);
  }

  MessageBytes operator()(const rtnl::NewLink& request) const {
    MessageWriter message(RTM_NEWLINK, acknowledged(request.flags));
    message.put_header(link_header(request));
    Optionals put(message);
    put.text(IFLA_IFNAME, request.name);
    put.link_layer(IFLA_ADDRESS, request.mac);
    put.u32(IFLA_MTU, request.mtu);
    put.u32(IFLA_GROUP, request.group);
    put.device(IFLA_MASTER, request.master);
    if (request.rp_filter) {
      message.put_nested(IFLA_AF_SPEC, [&] {
        message.put_nested(AF_INET, [&] {
          message.put_nested(IFLA_INET_CONF,
                             [&] { message.put_u32(IPV4_DEVCONF_RP_FILTER, *request.rp_filter); });
        });
      });
    }
    // libnl takes back a nested attribute that stayed empty.
    message.put_nested(IFLA_LINKINFO, [&] {
      if (request.kind) {
        message.put_text(IFLA_INFO_KIND, kind_name(*request.kind));
      }
      message.put_nested(IFLA_INFO_DATA, [&] {
        if (request.kind == Kind::Veth) {
          put_peer(message, request);
        } else if (request.kind != Kind::Bridge) {
          put_vxlan(message, request);
        }
      });
    });
    return message.finish(sequence);
  }
  MessageBytes operator()(const rtnl::DelLink& request) const {
    MessageWriter message(RTM_DELLINK, acknowledged());
    ifinfomsg header{};
    header.ifi_index = signed_index(request.device);
    message.put_header(header);
    Optionals(message).text(IFLA_IFNAME, request.name);
    return message.finish(sequence);
  }
  MessageBytes operator()(const rtnl::NewAddr& request) const {
    MessageWriter message(RTM_NEWADDR, acknowledged(request.flags));
    ifaddrmsg header = address_header(request.device, request.local, request.length);
    header.ifa_scope = request.scope;
    message.put_header(header);
    message.put_address(IFA_LOCAL, request.local);
    message.put_address(IFA_ADDRESS, request.local);
    Optionals put(message);
    put.u32(IFA_FLAGS, request.address_flags);
    put.address(IFA_BROADCAST, request.broadcast);
    put.text(IFA_LABEL, request.label);
    put.u32(IFA_RT_PRIORITY, request.metric);
    put.u8(IFA_PROTO, request.protocol);
    return message.finish(sequence);
  }
  MessageBytes operator()(const rtnl::DelAddr& request) const {
    MessageWriter message(RTM_DELADDR, acknowledged());
    message.put_header(address_header(request.device, request.local, request.length));
    message.put_address(IFA_LOCAL, request.local);
    message.put_address(IFA_ADDRESS, request.local);
    return message.finish(sequence);
  }
  MessageBytes operator()(const rtnl::NewRoute& request) const {
    return encode_route(RTM_NEWROUTE, acknowledged(request.flags), request.route, sequence);
  }
  MessageBytes operator()(const rtnl::DelRoute& request) const {
    return encode_route(RTM_DELROUTE, acknowledged(), request.route, sequence);
  }
  MessageBytes operator()(const rtnl::NewNeigh& request) const {
    MessageWriter message(RTM_NEWNEIGH, acknowledged(request.flags));
    ndmsg header = neighbour_header(address_family(request.address.family()), request.device);
    header.ndm_state = request.state;
    header.ndm_flags = request.ntf;
    message.put_header(header);
    message.put_address(NDA_DST, request.address);
    Optionals put(message);
    put.link_layer(NDA_LLADDR, request.lladdr);
    put.u8(NDA_PROTOCOL, request.protocol);
    put.u32(NDA_FLAGS_EXT, request.ext_flags);
    return message.finish(sequence);
  }
  MessageBytes operator()(const rtnl::DelNeigh& request) const {
    MessageWriter message(RTM_DELNEIGH, acknowledged(request.flags));
    message.put_header(neighbour_header(address_family(request.address.family()), request.device));
    message.put_address(NDA_DST, request.address);
    return message.finish(sequence);
  }
  MessageBytes operator()(const rtnl::NewFdb& request) const {
    MessageWriter message(RTM_NEWNEIGH, acknowledged(request.flags));
    put_fdb(message, request);
    return message.finish(sequence);
  }
  MessageBytes operator()(const rtnl::DelFdb& request) const {
    MessageWriter message(RTM_DELNEIGH, acknowledged(request.flags));
    put_fdb(message, request);
    Optionals put(message);
    put.u16(NDA_NDM_STATE_MASK, request.state_mask);
    put.u8(NDA_NDM_FLAGS_MASK, request.ntf_mask);
    return message.finish(sequence);
  }
  MessageBytes operator()(const rtnl::SetNeighTable& request) const {
    MessageWriter message(RTM_SETNEIGHTBL, acknowledged());
    ndtmsg header{};
    header.ndtm_family = address_family(request.family);
    message.put_header(header);
    message.put_text(NDTA_NAME, neighbour_table_name(request.family));
    message.put_nested(NDTA_PARMS, [&] {
      Optionals put(message);
      message.put_u32(NDTPA_IFINDEX, request.device.value);
      put.u32(NDTPA_APP_PROBES, request.app_probes);
      put.u32(NDTPA_UCAST_PROBES, request.ucast_probes);
      put.u32(NDTPA_MCAST_PROBES, request.mcast_probes);
      put.u32(NDTPA_MCAST_REPROBES, request.mcast_reprobes);
      put.u64(NDTPA_RETRANS_TIME, request.retrans_time);
      put.u64(NDTPA_BASE_REACHABLE_TIME, request.base_reachable_time);
      put.u64(NDTPA_DELAY_PROBE_TIME, request.delay_probe_time);
      put.u64(NDTPA_GC_STALETIME, request.gc_stale_time);
      put.u64(NDTPA_LOCKTIME, request.locktime);
      put.u32(NDTPA_QUEUE_LENBYTES, request.queue_bytes);
    });
    return message.finish(sequence);
  }
  MessageBytes operator()(const rtnl::GetNeigh& request) const {
    MessageWriter message(RTM_GETNEIGH, acknowledged());
    message.put_header(neighbour_header(address_family(request.address.family()), request.device));
    message.put_address(NDA_DST, request.address);
    return message.finish(sequence);
  }
  MessageBytes operator()(const rtnl::GetFdb& request) const {
    MessageWriter message(RTM_GETNEIGH, acknowledged());
    ndmsg header = neighbour_header(AF_BRIDGE, request.device);
    header.ndm_flags = request.ntf;
    message.put_header(header);
    Optionals(message).link_layer(NDA_LLADDR, request.lladdr);
    return message.finish(sequence);
  }
};

template <typename Header>
MessageBytes encode_dump(std::uint16_t type, const Header& header, std::uint32_t sequence) {
  MessageWriter message(type, NLM_F_DUMP);
  message.put_header(header);
  return message.finish(sequence);
}

MessageBytes encode_link_question(IfIndex device, std::uint16_t flags, std::uint32_t sequence) {
  MessageWriter message(RTM_GETLINK, flags);
  ifinfomsg header{};
  header.ifi_index = signed_index(device);
  message.put_header(header);
  message.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return message.finish(sequence);
}

}  // namespace

MessageBytes encode(const rtnl::Request& request, std::uint32_t sequence) {
  return std::visit(Encoder{.sequence = sequence}, request);
}

MessageBytes encode_get_link(IfIndex device, std::uint32_t sequence) {
  return encode_link_question(device, 0, sequence);
}

MessageBytes encode_link_dump(std::uint32_t sequence) {
  return encode_link_question(IfIndex{}, NLM_F_DUMP, sequence);
}

MessageBytes encode_address_dump(std::uint32_t sequence) {
  return encode_dump(RTM_GETADDR, ifaddrmsg{}, sequence);
}

MessageBytes encode_route_dump(std::uint32_t sequence) {
  return encode_dump(RTM_GETROUTE, rtmsg{}, sequence);
}

MessageBytes encode_fdb_dump(std::uint32_t sequence) {
  return encode_dump(RTM_GETNEIGH, neighbour_header(AF_BRIDGE, IfIndex{}), sequence);
}

MessageBytes encode_neighbour_dump(std::uint32_t sequence) {
  return encode_dump(RTM_GETNEIGH, ndmsg{}, sequence);
}

}  // namespace vxmesh::fidelity
