// rtnetlink requests as values: what a message says, field by field, before the kernel judges it.
//
// ports/netlink.h has the few messages that our agent sends. These are all that the fake kernel
// understands, whoever sends them: any combination of flags and attributes, sensible or not. A
// field that is std::nullopt is an attribute that is not in the message.
//
// Every struct lists its fields in `fields`, under the names of the text form (request_text.h); the
// text, its parser, shrinking and coverage all walk that list.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/ip_address.h"
#include "model/link.h"
#include "model/mac_address.h"

namespace vxmesh::rtnl {

// nlmsg_flags of a request that changes something (linux/netlink.h).
enum Nlm : std::uint16_t {
  kReplace = 0x100,
  kExcl = 0x200,
  kCreate = 0x400,
  kAppend = 0x800,
  kBulk = 0x200,  // of a delete
};

// A link-layer address as the message carries it: of any length, though only six bytes are good.
struct LinkLayer {
  std::vector<std::uint8_t> bytes;

  LinkLayer() = default;
  LinkLayer(const MacAddress& mac)  // NOLINT(google-explicit-constructor): a MAC is one
      : bytes(mac.bytes.begin(), mac.bytes.end()) {}

  friend auto operator<=>(const LinkLayer&, const LinkLayer&) = default;
};

// IFLA_INFO_KIND.
enum class Kind : std::uint8_t { Vxlan, Bridge, Veth };

// RTM_NEWLINK.
struct NewLink {
  std::uint16_t flags = 0;  // Nlm
  IfIndex device;           // ifi_index; 0: found by name, or made
  std::optional<std::string> name;
  std::optional<bool> up;        // ifi_change and ifi_flags, IFF_UP
  std::optional<bool> no_arp;    // likewise IFF_NOARP
  std::optional<LinkLayer> mac;  // IFLA_ADDRESS
  std::optional<std::uint32_t> mtu;
  std::optional<std::uint32_t> group;
  std::optional<IfIndex> master;           // 0: leaves its master
  std::optional<std::uint32_t> rp_filter;  // IFLA_AF_SPEC, AF_INET, IFLA_INET_CONF
  std::optional<Kind> kind;
  // IFLA_VXLAN_*
  std::optional<std::uint32_t> vni;
  std::optional<std::uint16_t> port;
  std::optional<IpAddress> local;
  std::optional<IpAddress> remote;  // IFLA_VXLAN_GROUP(6): the default destination
  std::optional<IfIndex> underlay;  // IFLA_VXLAN_LINK
  std::optional<bool> learning;
  std::optional<std::uint8_t> ttl;
  std::optional<std::uint8_t> tos;
  std::optional<std::uint32_t> ageing;  // seconds
  std::optional<std::uint32_t> limit;   // FDB entries; 0 is no limit
  // Not modelled: using one aborts the run by name (README.md).
  std::optional<bool> proxy;
  std::optional<bool> rsc;
  std::optional<bool> l2miss;
  std::optional<bool> l3miss;
  std::optional<bool> external;
  // VETH_INFO_PEER
  std::optional<std::string> peer_name;
  std::optional<LinkLayer> peer_mac;

  friend bool operator==(const NewLink&, const NewLink&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("flags", self.flags);
    visit("dev", self.device);
    visit("name", self.name);
    visit("up", self.up);
    visit("noarp", self.no_arp);
    visit("mac", self.mac);
    visit("mtu", self.mtu);
    visit("group", self.group);
    visit("master", self.master);
    visit("rp_filter", self.rp_filter);
    visit("kind", self.kind);
    visit("vni", self.vni);
    visit("port", self.port);
    visit("local", self.local);
    visit("remote", self.remote);
    visit("underlay", self.underlay);
    visit("learning", self.learning);
    visit("ttl", self.ttl);
    visit("tos", self.tos);
    visit("ageing", self.ageing);
    visit("limit", self.limit);
    visit("proxy", self.proxy);
    visit("rsc", self.rsc);
    visit("l2miss", self.l2miss);
    visit("l3miss", self.l3miss);
    visit("external", self.external);
    visit("peer_name", self.peer_name);
    visit("peer_mac", self.peer_mac);
  }
};

// RTM_DELLINK.
struct DelLink {
  IfIndex device;
  std::optional<std::string> name;

  friend bool operator==(const DelLink&, const DelLink&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("dev", self.device);
    visit("name", self.name);
  }
};

// RTM_NEWADDR; its family is that of `local`.
struct NewAddr {
  std::uint16_t flags = 0;
  IfIndex device;
  IpAddress local;
  std::uint8_t length = 0;
  std::uint8_t scope = 0;
  std::optional<std::uint32_t> address_flags;  // IFA_FLAGS
  std::optional<IpAddress> broadcast;
  std::optional<std::string> label;
  std::optional<std::uint32_t> metric;   // IFA_RT_PRIORITY
  std::optional<std::uint8_t> protocol;  // IFA_PROTO

  friend bool operator==(const NewAddr&, const NewAddr&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("flags", self.flags);
    visit("dev", self.device);
    visit("local", self.local);
    visit("length", self.length);
    visit("scope", self.scope);
    visit("address_flags", self.address_flags);
    visit("broadcast", self.broadcast);
    visit("label", self.label);
    visit("metric", self.metric);
    visit("protocol", self.protocol);
  }
};

// RTM_DELADDR.
struct DelAddr {
  IfIndex device;
  IpAddress local;
  std::uint8_t length = 0;

  friend bool operator==(const DelAddr&, const DelAddr&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("dev", self.device);
    visit("local", self.local);
    visit("length", self.length);
  }
};

// What RTM_NEWROUTE and RTM_DELROUTE say of a route; its family is that of `destination`.
struct RouteFields {
  IpAddress destination;
  std::uint8_t length = 0;
  std::uint8_t tos = 0;
  std::uint32_t table = 254;
  std::uint8_t protocol = 0;
  std::uint8_t scope = 0;
  std::uint8_t type = 1;          // rtm_type
  std::uint32_t route_flags = 0;  // rtm_flags: RTNH_F_ONLINK 4
  std::optional<std::uint32_t> metric;
  std::optional<IfIndex> device;     // RTA_OIF
  std::optional<IpAddress> gateway;  // RTA_GATEWAY, or RTA_VIA where the family is another
  std::optional<IpAddress> preferred_source;

  friend bool operator==(const RouteFields&, const RouteFields&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("destination", self.destination);
    visit("length", self.length);
    visit("tos", self.tos);
    visit("table", self.table);
    visit("protocol", self.protocol);
    visit("scope", self.scope);
    visit("type", self.type);
    visit("route_flags", self.route_flags);
    visit("metric", self.metric);
    visit("dev", self.device);
    visit("gateway", self.gateway);
    visit("prefsrc", self.preferred_source);
  }
};

struct NewRoute {
  std::uint16_t flags = 0;
  RouteFields route;

  friend bool operator==(const NewRoute&, const NewRoute&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("flags", self.flags);
    RouteFields::fields(self.route, visit);
  }
};

struct DelRoute {
  RouteFields route;

  friend bool operator==(const DelRoute&, const DelRoute&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    RouteFields::fields(self.route, visit);
  }
};

// RTM_NEWNEIGH of IPv4 or IPv6; the family is that of `address`.
struct NewNeigh {
  std::uint16_t flags = 0;
  IfIndex device;
  IpAddress address;        // NDA_DST
  std::uint16_t state = 0;  // NUD_*
  std::uint8_t ntf = 0;     // NTF_*
  std::optional<LinkLayer> lladdr;
  std::optional<std::uint8_t> protocol;
  std::optional<std::uint32_t> ext_flags;  // NDA_FLAGS_EXT

  friend bool operator==(const NewNeigh&, const NewNeigh&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("flags", self.flags);
    visit("dev", self.device);
    visit("dst", self.address);
    visit("state", self.state);
    visit("ntf", self.ntf);
    visit("lladdr", self.lladdr);
    visit("protocol", self.protocol);
    visit("ext_flags", self.ext_flags);
  }
};

// RTM_DELNEIGH of IPv4 or IPv6.
struct DelNeigh {
  std::uint16_t flags = 0;  // kBulk
  IfIndex device;
  IpAddress address;

  friend bool operator==(const DelNeigh&, const DelNeigh&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("flags", self.flags);
    visit("dev", self.device);
    visit("dst", self.address);
  }
};

// RTM_NEWNEIGH of AF_BRIDGE.
struct NewFdb {
  std::uint16_t flags = 0;
  IfIndex device;
  std::uint16_t state = 0;
  std::uint8_t ntf = 0;
  std::optional<LinkLayer> lladdr;
  std::optional<IpAddress> dst;
  std::optional<std::uint16_t> port;
  std::optional<std::uint32_t> vni;
  std::optional<IfIndex> underlay;  // NDA_IFINDEX
  std::optional<std::uint32_t> source_vni;

  friend bool operator==(const NewFdb&, const NewFdb&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("flags", self.flags);
    visit("dev", self.device);
    visit("state", self.state);
    visit("ntf", self.ntf);
    visit("lladdr", self.lladdr);
    visit("dst", self.dst);
    visit("port", self.port);
    visit("vni", self.vni);
    visit("underlay", self.underlay);
    visit("source_vni", self.source_vni);
  }
};

// RTM_DELNEIGH of AF_BRIDGE; with kBulk a flush of what the other fields match.
struct DelFdb {
  std::uint16_t flags = 0;
  IfIndex device;
  std::uint16_t state = 0;
  std::uint8_t ntf = 0;
  std::optional<LinkLayer> lladdr;
  std::optional<IpAddress> dst;
  std::optional<std::uint16_t> port;
  std::optional<std::uint32_t> vni;
  std::optional<IfIndex> underlay;
  std::optional<std::uint32_t> source_vni;
  std::optional<std::uint16_t> state_mask;  // NDA_NDM_STATE_MASK
  std::optional<std::uint8_t> ntf_mask;     // NDA_NDM_FLAGS_MASK

  friend bool operator==(const DelFdb&, const DelFdb&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("flags", self.flags);
    visit("dev", self.device);
    visit("state", self.state);
    visit("ntf", self.ntf);
    visit("lladdr", self.lladdr);
    visit("dst", self.dst);
    visit("port", self.port);
    visit("vni", self.vni);
    visit("underlay", self.underlay);
    visit("source_vni", self.source_vni);
    visit("state_mask", self.state_mask);
    visit("ntf_mask", self.ntf_mask);
  }
};

// RTM_SETNEIGHTBL of "arp_cache" or "ndisc_cache": the parameters of one device.
struct SetNeighTable {
  Family family = Family::V4;
  IfIndex device;
  std::optional<std::uint32_t> app_probes;
  std::optional<std::uint32_t> ucast_probes;
  std::optional<std::uint32_t> mcast_probes;
  std::optional<std::uint32_t> mcast_reprobes;
  // Milliseconds.
  std::optional<std::uint64_t> retrans_time;
  std::optional<std::uint64_t> base_reachable_time;
  std::optional<std::uint64_t> delay_probe_time;
  std::optional<std::uint64_t> gc_stale_time;
  std::optional<std::uint64_t> locktime;
  std::optional<std::uint32_t> queue_bytes;  // NDTPA_QUEUE_LENBYTES

  friend bool operator==(const SetNeighTable&, const SetNeighTable&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("family", self.family);
    visit("dev", self.device);
    visit("app_probes", self.app_probes);
    visit("ucast_probes", self.ucast_probes);
    visit("mcast_probes", self.mcast_probes);
    visit("mcast_reprobes", self.mcast_reprobes);
    visit("retrans_time", self.retrans_time);
    visit("base_reachable_time", self.base_reachable_time);
    visit("delay_probe_time", self.delay_probe_time);
    visit("gc_stale_time", self.gc_stale_time);
    visit("locktime", self.locktime);
    visit("queue_bytes", self.queue_bytes);
  }
};

// RTM_GETNEIGH of one neighbour.
struct GetNeigh {
  IfIndex device;
  IpAddress address;

  friend bool operator==(const GetNeigh&, const GetNeigh&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("dev", self.device);
    visit("dst", self.address);
  }
};

// RTM_GETNEIGH of AF_BRIDGE of one MAC.
struct GetFdb {
  IfIndex device;
  std::uint8_t ntf = 0;
  std::optional<LinkLayer> lladdr;

  friend bool operator==(const GetFdb&, const GetFdb&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("dev", self.device);
    visit("ntf", self.ntf);
    visit("lladdr", self.lladdr);
  }
};

// A new kind goes at the end of the list, with its name in request_text.cpp.
using Request = std::variant<NewLink, DelLink, NewAddr, DelAddr, NewRoute, DelRoute, NewNeigh,
                             DelNeigh, NewFdb, DelFdb, SetNeighTable, GetNeigh, GetFdb>;

}  // namespace vxmesh::rtnl
