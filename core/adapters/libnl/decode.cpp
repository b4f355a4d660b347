#include "adapters/libnl/decode.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <sys/socket.h>

#include <chrono>
#include <utility>

#include "adapters/libnl/neighbour_table.h"

namespace vxmesh {
namespace {

VxlanLink decode_vxlan(const Attributes& data) {
  VxlanLink vxlan;
  vxlan.vni = Vni{data.u32(IFLA_VXLAN_ID).value_or(0)};
  vxlan.port = data.big_endian_u16(IFLA_VXLAN_PORT).value_or(0);
  vxlan.local = data.address(IFLA_VXLAN_LOCAL, Family::V4);
  if (!vxlan.local) {
    vxlan.local = data.address(IFLA_VXLAN_LOCAL6, Family::V6);
  }
  vxlan.learning = data.u8(IFLA_VXLAN_LEARNING).value_or(0) != 0;
  vxlan.external = data.u8(IFLA_VXLAN_COLLECT_METADATA).value_or(0) != 0;
  return vxlan;
}

std::optional<KernelReport> decode_link(const Message& message) {
  const std::optional<ifinfomsg> header = message.header<ifinfomsg>();
  // AF_BRIDGE: a bridge speaks of its port; its RTM_DELLINK is a port that left, not a link.
  if (!header || header->ifi_family != AF_UNSPEC || header->ifi_index <= 0) {
    return std::nullopt;
  }
  const Attributes attributes = message.attributes<ifinfomsg>();
  const Attributes info = attributes.nested(IFLA_LINKINFO);
  Link link;
  link.index = IfIndex{static_cast<std::uint32_t>(header->ifi_index)};
  link.name = attributes.text(IFLA_IFNAME).value_or("");
  link.mac = attributes.mac(IFLA_ADDRESS).value_or(MacAddress{});
  link.mtu = attributes.u32(IFLA_MTU).value_or(0);
  link.up = (header->ifi_flags & IFF_UP) != 0;
  link.no_arp = (header->ifi_flags & IFF_NOARP) != 0;
  link.group = attributes.u32(IFLA_GROUP).value_or(0);
  link.kind = info.text(IFLA_INFO_KIND).value_or("");
  link.master = attributes.device(IFLA_MASTER);
  if (link.name.empty()) {
    return std::nullopt;
  }
  if (link.kind == "vxlan") {
    link.vxlan = decode_vxlan(info.nested(IFLA_INFO_DATA));
  }
  return KernelReport{.object = std::move(link)};
}

std::optional<KernelReport> decode_address(const Message& message) {
  const std::optional<ifaddrmsg> header = message.header<ifaddrmsg>();
  const std::optional<Family> family = header ? to_family(header->ifa_family) : std::nullopt;
  if (!family) {
    return std::nullopt;
  }
  const Attributes attributes = message.attributes<ifaddrmsg>();
  // IFA_ADDRESS is the peer's on a point-to-point link; IPv6 says IFA_LOCAL only there.
  std::optional<IpAddress> address = attributes.address(IFA_LOCAL, *family);
  if (!address) {
    address = attributes.address(IFA_ADDRESS, *family);
  }
  if (!address || header->ifa_prefixlen > address_bits(*family)) {
    return std::nullopt;
  }
  const std::uint32_t flags = attributes.u32(IFA_FLAGS).value_or(header->ifa_flags);
  return KernelReport{.object = IfAddress{.device = IfIndex{header->ifa_index},
                                          .address = *address,
                                          .length = header->ifa_prefixlen,
                                          .no_prefix_route = (flags & IFA_F_NOPREFIXROUTE) != 0,
                                          .scope = header->ifa_scope}};
}

RouteType to_route_type(std::uint8_t type) {
  return type >= RTN_UNICAST && type <= RTN_UNREACHABLE ? static_cast<RouteType>(type)
                                                        : RouteType::Other;
}

std::optional<KernelReport> decode_route(const Message& message) {
  const std::optional<rtmsg> header = message.header<rtmsg>();
  const std::optional<Family> family = header ? to_family(header->rtm_family) : std::nullopt;
  if (!family || (header->rtm_flags & RTM_F_CLONED) != 0) {
    return std::nullopt;
  }
  const Attributes attributes = message.attributes<rtmsg>();
  std::optional<IpAddress> base = attributes.address(RTA_DST, *family);
  if (!base && header->rtm_dst_len == 0) {
    base = *family == Family::V4 ? IpAddress() : IpAddress::v6({});
  }
  if (!base) {
    return std::nullopt;
  }
  const Result<IpPrefix> destination = IpPrefix::make(*base, header->rtm_dst_len);
  if (!destination) {
    return std::nullopt;
  }
  Route route{.destination = *destination,
              .metric = attributes.u32(RTA_PRIORITY).value_or(0),
              .table = attributes.u32(RTA_TABLE).value_or(header->rtm_table),
              .type = to_route_type(header->rtm_type),
              .scope = header->rtm_scope,
              .protocol = header->rtm_protocol,
              .device = attributes.device(RTA_OIF),
              .gateway = attributes.gateway(*family),
              .onlink = (header->rtm_flags & RTNH_F_ONLINK) != 0,
              .preferred_source = attributes.address(RTA_PREFSRC, *family)};
  if (route.type == RouteType::Unreachable || route.type == RouteType::Blackhole) {
    route.device.reset();  // IPv6 says the loopback device, which is nobody's choice
  }
  return KernelReport{.object = route};
}

std::optional<KernelReport> decode_fdb(const ndmsg& header, const Attributes& attributes) {
  const std::optional<MacAddress> mac = attributes.mac(NDA_LLADDR);
  // Without NTF_SELF it is an entry of the bridge that the device is a port of.
  if (!mac || header.ndm_ifindex <= 0 || (header.ndm_flags & NTF_SELF) == 0) {
    return std::nullopt;
  }
  FdbEntry entry{.device = IfIndex{static_cast<std::uint32_t>(header.ndm_ifindex)},
                 .mac = *mac,
                 .dst = attributes.address(NDA_DST, Family::V4),
                 .state = header.ndm_state,
                 .flags = header.ndm_flags};
  if (!entry.dst) {
    entry.dst = attributes.address(NDA_DST, Family::V6);
  }
  return KernelReport{.object = entry};
}

// How long ago the entry was written: nda_cacheinfo counts in 1/USER_HZ, which is 1/100 s
// everywhere.
Duration decode_since_update(const Attributes& attributes) {
  const auto bytes = attributes.bytes(NDA_CACHEINFO);
  nda_cacheinfo info{};
  if (!bytes || bytes->size() < sizeof(info)) {
    return Duration{};
  }
  std::memcpy(&info, bytes->data(), sizeof(info));
  return std::chrono::milliseconds(10) * std::int64_t{info.ndm_updated};
}

std::optional<KernelReport> decode_neighbour(const Message& message) {
  const std::optional<ndmsg> header = message.header<ndmsg>();
  if (!header) {
    return std::nullopt;
  }
  const Attributes attributes = message.attributes<ndmsg>();
  if (header->ndm_family == AF_BRIDGE) {
    return decode_fdb(*header, attributes);
  }
  const std::optional<Family> family = to_family(header->ndm_family);
  const std::optional<IpAddress> address =
      family ? attributes.address(NDA_DST, *family) : std::nullopt;
  if (!address || header->ndm_ifindex <= 0) {
    return std::nullopt;
  }
  return KernelReport{
      .object = Neighbour{.device = IfIndex{static_cast<std::uint32_t>(header->ndm_ifindex)},
                          .address = *address,
                          .lladdr = attributes.mac(NDA_LLADDR),
                          .state = header->ndm_state,
                          .flags = header->ndm_flags,
                          .protocol = attributes.u8(NDA_PROTOCOL).value_or(0)},
      .since_update = decode_since_update(attributes)};
}

std::optional<KernelChange> as_change(KernelChange::Kind kind, std::optional<KernelReport> report) {
  if (!report) {
    return std::nullopt;
  }
  return KernelChange{.kind = kind, .report = std::move(*report)};
}

}  // namespace

std::optional<KernelChange> decode_change(const Message& message) {
  using Kind = KernelChange::Kind;
  switch (message.type()) {
    case RTM_NEWLINK: return as_change(Kind::New, decode_link(message));
    case RTM_DELLINK: return as_change(Kind::Deleted, decode_link(message));
    case RTM_NEWADDR: return as_change(Kind::New, decode_address(message));
    case RTM_DELADDR: return as_change(Kind::Deleted, decode_address(message));
    case RTM_NEWROUTE: return as_change(Kind::New, decode_route(message));
    case RTM_DELROUTE: return as_change(Kind::Deleted, decode_route(message));
    case RTM_NEWNEIGH: return as_change(Kind::New, decode_neighbour(message));
    case RTM_DELNEIGH: return as_change(Kind::Deleted, decode_neighbour(message));
    default: return std::nullopt;
  }
}

std::optional<Miss> decode_miss(const Message& message) {
  const std::optional<ndmsg> header = message.header<ndmsg>();
  // vxlan's l2miss and l3miss have the same type, but no flags, and are NUD_STALE.
  if (message.type() != RTM_GETNEIGH || message.flags() != NLM_F_REQUEST || !header ||
      (header->ndm_state & (NUD_INCOMPLETE | NUD_PROBE)) == 0 || header->ndm_ifindex <= 0) {
    return std::nullopt;
  }
  const std::optional<Family> family = to_family(header->ndm_family);
  const std::optional<IpAddress> address =
      family ? message.attributes<ndmsg>().address(NDA_DST, *family) : std::nullopt;
  if (!address) {
    return std::nullopt;
  }
  return Miss{.device = IfIndex{static_cast<std::uint32_t>(header->ndm_ifindex)},
              .address = *address};
}

std::optional<NeighbourParameters> decode_neighbour_parameters(const Message& message,
                                                               Family family, IfIndex device) {
  if (message.type() != RTM_NEWNEIGHTBL) {
    return std::nullopt;
  }
  const Attributes attributes = message.attributes<ndtmsg>();
  const Attributes parameters = attributes.nested(NDTA_PARMS);
  if (attributes.text(NDTA_NAME) != neighbour_table_name(family) ||
      parameters.u32(NDTPA_IFINDEX) != device.value) {
    return std::nullopt;
  }
  return NeighbourParameters{.app_solicit = parameters.u32(NDTPA_APP_PROBES).value_or(0),
                             .ucast_solicit = parameters.u32(NDTPA_UCAST_PROBES).value_or(0),
                             .mcast_solicit = parameters.u32(NDTPA_MCAST_PROBES).value_or(0),
                             .mcast_resolicit = parameters.u32(NDTPA_MCAST_REPROBES).value_or(0)};
}

std::optional<std::uint8_t> decode_rp_filter(const Message& message) {
  if (message.type() != RTM_NEWLINK) {
    return std::nullopt;
  }
  const auto conf =
      message.attributes<ifinfomsg>().nested(IFLA_AF_SPEC).nested(AF_INET).bytes(IFLA_INET_CONF);
  // An array of 32-bit numbers; IPV4_DEVCONF_* count from 1 (inet_fill_link_af).
  constexpr std::size_t kOffset = (IPV4_DEVCONF_RP_FILTER - 1) * sizeof(std::uint32_t);
  std::uint32_t value = 0;
  if (!conf || conf->size() < kOffset + sizeof(value)) {
    return std::nullopt;
  }
  std::memcpy(&value, conf->data() + kOffset, sizeof(value));
  return static_cast<std::uint8_t>(value);
}

}  // namespace vxmesh
