#include "integration/fidelity/real_decode.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <sys/socket.h>

#include <chrono>
#include <utility>

namespace vxmesh::fidelity {
namespace {

std::optional<IpAddress> address_of_either(const Attributes& attributes, int type_v4, int type_v6) {
  const std::optional<IpAddress> v4 = attributes.address(type_v4, Family::V4);
  return v4 ? v4 : attributes.address(type_v6, Family::V6);
}

void decode_vxlan(const Attributes& data, LinkRecord& record) {
  record.link.vxlan =
      VxlanLink{.vni = Vni{data.u32(IFLA_VXLAN_ID).value_or(0)},
                .port = data.big_endian_u16(IFLA_VXLAN_PORT).value_or(0),
                .local = address_of_either(data, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6),
                .learning = data.u8(IFLA_VXLAN_LEARNING).value_or(0) != 0,
                .external = data.u8(IFLA_VXLAN_COLLECT_METADATA).value_or(0) != 0};
  record.ttl = data.u8(IFLA_VXLAN_TTL).value_or(0);
  record.tos = data.u8(IFLA_VXLAN_TOS).value_or(0);
  record.ageing = data.u32(IFLA_VXLAN_AGEING).value_or(0);
  record.limit = data.u32(IFLA_VXLAN_LIMIT).value_or(0);
  record.remote = address_of_either(data, IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6);
  record.underlay = data.device(IFLA_VXLAN_LINK);
}

std::optional<Record> decode_link(const Message& message) {
  const std::optional<ifinfomsg> header = message.header<ifinfomsg>();
  // AF_BRIDGE: a bridge speaks of its port.
  if (!header || header->ifi_family != AF_UNSPEC || header->ifi_index <= 0) {
    return std::nullopt;
  }
  const Attributes attributes = message.attributes<ifinfomsg>();
  if (attributes.bytes(IFLA_WIRELESS)) {
    return std::nullopt;
  }
  const Attributes info = attributes.nested(IFLA_LINKINFO);
  LinkRecord record{.link = {.index = IfIndex{static_cast<std::uint32_t>(header->ifi_index)},
                             .name = attributes.text(IFLA_IFNAME).value_or(""),
                             .mac = attributes.mac(IFLA_ADDRESS).value_or(MacAddress{}),
                             .mtu = attributes.u32(IFLA_MTU).value_or(0),
                             .up = (header->ifi_flags & IFF_UP) != 0,
                             .no_arp = (header->ifi_flags & IFF_NOARP) != 0,
                             .group = attributes.u32(IFLA_GROUP).value_or(0),
                             .kind = info.text(IFLA_INFO_KIND).value_or(""),
                             .master = attributes.device(IFLA_MASTER)},
                    .lower = attributes.device(IFLA_LINK)};
  if (record.link.kind == "vxlan") {
    decode_vxlan(info.nested(IFLA_INFO_DATA), record);
  }
  return record;
}

std::optional<Record> decode_address(const Message& message) {
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
  if (!address) {
    return std::nullopt;
  }
  const std::uint32_t flags = attributes.u32(IFA_FLAGS).value_or(header->ifa_flags);
  return AddressRecord{.address = {.device = IfIndex{header->ifa_index},
                                   .address = *address,
                                   .length = header->ifa_prefixlen,
                                   .no_prefix_route = (flags & IFA_F_NOPREFIXROUTE) != 0,
                                   .scope = header->ifa_scope},
                       .flags = flags,
                       .label = attributes.text(IFA_LABEL).value_or(""),
                       .broadcast = attributes.address(IFA_BROADCAST, *family),
                       .metric = attributes.u32(IFA_RT_PRIORITY).value_or(0),
                       .protocol = attributes.u8(IFA_PROTO).value_or(0)};
}

RouteType to_route_type(std::uint8_t type) {
  return type >= RTN_UNICAST && type <= RTN_THROW ? static_cast<RouteType>(type) : RouteType::Other;
}

std::optional<Record> decode_route(const Message& message) {
  const std::optional<rtmsg> header = message.header<rtmsg>();
  const std::optional<Family> family = header ? to_family(header->rtm_family) : std::nullopt;
  if (!family || (header->rtm_flags & RTM_F_CLONED) != 0) {
    return std::nullopt;
  }
  const Attributes attributes = message.attributes<rtmsg>();
  const IpAddress any = *family == Family::V4 ? IpAddress() : IpAddress::v6({});
  const Result<IpPrefix> destination =
      IpPrefix::make(attributes.address(RTA_DST, *family).value_or(any), header->rtm_dst_len);
  if (!destination) {
    return std::nullopt;
  }
  RouteRecord record{.route = {.destination = *destination,
                               .metric = attributes.u32(RTA_PRIORITY).value_or(0),
                               .table = attributes.u32(RTA_TABLE).value_or(header->rtm_table),
                               .type = to_route_type(header->rtm_type),
                               .scope = header->rtm_scope,
                               .protocol = header->rtm_protocol,
                               .device = attributes.device(RTA_OIF),
                               .gateway = attributes.gateway(*family),
                               .onlink = (header->rtm_flags & RTNH_F_ONLINK) != 0,
                               .preferred_source = attributes.address(RTA_PREFSRC, *family)},
                     .tos = header->rtm_tos,
                     .nexthop_flags = header->rtm_flags & 0xffU};  // above are RTM_F_*
  return record;
}

std::optional<Record> decode_fdb(const ndmsg& header, const Attributes& attributes) {
  const std::optional<MacAddress> mac = attributes.mac(NDA_LLADDR);
  if (!mac || (header.ndm_flags & NTF_SELF) == 0) {
    return std::nullopt;
  }
  return FdbRecord{.entry = {.device = IfIndex{static_cast<std::uint32_t>(header.ndm_ifindex)},
                             .mac = *mac,
                             .dst = address_of_either(attributes, NDA_DST, NDA_DST),
                             .state = header.ndm_state,
                             .flags = header.ndm_flags},
                   .port = attributes.big_endian_u16(NDA_PORT),
                   .vni = attributes.u32(NDA_VNI),
                   .underlay = attributes.device(NDA_IFINDEX)};
}

std::optional<Record> decode_neighbour(const Message& message) {
  const std::optional<ndmsg> header = message.header<ndmsg>();
  if (!header || header->ndm_ifindex <= 0) {
    return std::nullopt;
  }
  const Attributes attributes = message.attributes<ndmsg>();
  if (header->ndm_family == AF_BRIDGE) {
    return decode_fdb(*header, attributes);
  }
  const std::optional<Family> family = to_family(header->ndm_family);
  const std::optional<IpAddress> address =
      family ? attributes.address(NDA_DST, *family) : std::nullopt;
  if (!address) {
    return std::nullopt;
  }
  const std::uint8_t protocol = attributes.u8(NDA_PROTOCOL).value_or(0);
  if (header->ndm_state == NUD_NOARP && protocol == 0 && address->is_multicast()) {
    return std::nullopt;
  }
  return NeighbourRecord{
      .neighbour = {.device = IfIndex{static_cast<std::uint32_t>(header->ndm_ifindex)},
                    .address = *address,
                    .lladdr = attributes.mac(NDA_LLADDR),
                    .state = header->ndm_state,
                    .flags = header->ndm_flags,
                    .protocol = protocol},
      .type = header->ndm_type,
      .ext_flags = attributes.u32(NDA_FLAGS_EXT).value_or(0),
      .probes = attributes.u32(NDA_PROBES).value_or(0)};
}

bool is_neighbour_probe(const Message& message) {
  return message.type() == RTM_GETNEIGH && (message.flags() & NLM_F_REQUEST) != 0 &&
         message.attributes<ndmsg>().bytes(NDA_PROBES).has_value();
}

std::optional<Notification::Kind> kind_of(const Message& message) {
  switch (message.type()) {
    case RTM_NEWLINK:
    case RTM_NEWADDR:
    case RTM_NEWROUTE:
    case RTM_NEWNEIGH: return Notification::Kind::New;
    case RTM_DELLINK:
    case RTM_DELADDR:
    case RTM_DELROUTE:
    case RTM_DELNEIGH: return Notification::Kind::Deleted;
    default: break;
  }
  return is_neighbour_probe(message) ? std::optional(Notification::Kind::Miss) : std::nullopt;
}

}  // namespace

std::optional<Record> decode_record(const Message& message) {
  switch (message.type()) {
    case RTM_NEWLINK:
    case RTM_DELLINK: return decode_link(message);
    case RTM_NEWADDR:
    case RTM_DELADDR: return decode_address(message);
    case RTM_NEWROUTE:
    case RTM_DELROUTE: return decode_route(message);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: return decode_neighbour(message);
    default: return std::nullopt;
  }
}

std::optional<Notification> decode_notification(const Message& message) {
  const std::optional<Notification::Kind> kind = kind_of(message);
  std::optional<Record> record;
  if (kind) {
    record = *kind == Notification::Kind::Miss ? decode_neighbour(message) : decode_record(message);
  }
  if (!record) {
    return std::nullopt;
  }
  return Notification{.kind = *kind,
                      .record = std::move(*record),
                      .sender = PortId{message.port()},
                      .answers = message.sequence() != 0,
                      .flags = message.flags()};
}

}  // namespace vxmesh::fidelity
