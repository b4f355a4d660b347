#include "sim/kernel/op_requests.h"

#include "base/check.h"
#include "sim/kernel/record.h"

namespace vxmesh {
namespace {

constexpr std::uint16_t kReplaceOrCreate = rtnl::kCreate | rtnl::kReplace;

std::uint32_t address_flags(const IfAddress& address) {
  return (address.no_prefix_route ? kAddressNoPrefixRoute : 0U) |
         (address.address.family() == Family::V6 ? kAddressNoDad : 0U);
}

rtnl::RouteFields fields(const Route& route) {
  return {.destination = route.destination.base(),
          .length = route.destination.length(),
          .tos = 0,
          .table = route.table,
          .protocol = route.protocol,
          .scope = route.scope,
          .type = static_cast<std::uint8_t>(route.type),
          .route_flags = route.onlink ? kNexthopOnlink : 0U,
          .metric = route.metric,
          .device = route.device,
          .gateway = route.gateway,
          .preferred_source = route.preferred_source};
}

struct ToRequest {
  rtnl::Request operator()(const CreateVxlan& op) const {
    const Link& link = op.link;
    check(link.vxlan.has_value(), "a vxlan link carries its vxlan parameters");
    rtnl::NewLink request{.flags = rtnl::kCreate | rtnl::kExcl};
    request.name = link.name;
    request.no_arp = link.no_arp ? std::optional(true) : std::nullopt;
    request.mac = link.mac;
    request.mtu = link.mtu;
    request.group = link.group;
    request.master = link.master;
    request.kind = rtnl::Kind::Vxlan;
    request.vni = link.vxlan->vni.value;
    request.port = link.vxlan->port;
    request.local = link.vxlan->local;
    request.learning = link.vxlan->learning;
    request.external = link.vxlan->external ? std::optional(true) : std::nullopt;
    return request;
  }
  rtnl::Request operator()(const ChangeLink& op) const {
    rtnl::NewLink request{.device = op.device};
    request.up = op.up;
    request.mtu = op.mtu;
    request.rp_filter = op.rp_filter;
    if (op.vxlan_local || op.vxlan_learning) {
      request.kind = rtnl::Kind::Vxlan;
      request.local = op.vxlan_local;
      request.learning = op.vxlan_learning;
    }
    return request;
  }
  rtnl::Request operator()(const DeleteLink& op) const {
    return rtnl::DelLink{.device = op.device};
  }
  rtnl::Request operator()(const SetNeighbourParameters& op) const {
    return rtnl::SetNeighTable{.family = op.family,
                               .device = op.device,
                               .app_probes = op.parameters.app_solicit,
                               .ucast_probes = op.parameters.ucast_solicit,
                               .mcast_probes = op.parameters.mcast_solicit,
                               .mcast_reprobes = op.parameters.mcast_resolicit};
  }
  rtnl::Request operator()(const ReplaceAddress& op) const {
    return rtnl::NewAddr{.flags = kReplaceOrCreate,
                         .device = op.address.device,
                         .local = op.address.address,
                         .length = op.address.length,
                         .scope = op.address.scope,
                         .address_flags = address_flags(op.address)};
  }
  rtnl::Request operator()(const DeleteAddress& op) const {
    return rtnl::DelAddr{
        .device = op.address.device, .local = op.address.address, .length = op.address.length};
  }
  rtnl::Request operator()(const ReplaceRoute& op) const {
    return rtnl::NewRoute{.flags = kReplaceOrCreate, .route = fields(op.route)};
  }
  rtnl::Request operator()(const DeleteRoute& op) const {
    Route route = op.route;
    route.device = deleted_device(route);
    return rtnl::DelRoute{.route = fields(route)};
  }
  rtnl::Request operator()(const ReplaceFdb& op) const {
    return rtnl::NewFdb{.flags = kReplaceOrCreate,
                        .device = op.entry.device,
                        .state = op.entry.state,
                        .ntf = static_cast<std::uint8_t>(op.entry.flags | kNtfSelf),
                        .lladdr = op.entry.mac,
                        .dst = op.entry.dst};
  }
  rtnl::Request operator()(const DeleteFdb& op) const {
    return rtnl::DelFdb{.device = op.device, .ntf = kNtfSelf, .lladdr = op.mac};
  }
  rtnl::Request operator()(const ReplaceNeighbour& op) const {
    const Neighbour& neighbour = op.neighbour;
    rtnl::NewNeigh request{.flags = kReplaceOrCreate,
                           .device = neighbour.device,
                           .address = neighbour.address,
                           .state = neighbour.state,
                           .ntf = neighbour.flags};
    if (neighbour.lladdr) {
      request.lladdr = *neighbour.lladdr;
    }
    if (neighbour.protocol != 0) {
      request.protocol = neighbour.protocol;
    }
    return request;
  }
  rtnl::Request operator()(const DeleteNeighbour& op) const {
    return rtnl::DelNeigh{.device = op.device, .address = op.address};
  }
};

}  // namespace

rtnl::Request to_request(const KernelOp& op) {
  return std::visit(ToRequest{}, op);
}

}  // namespace vxmesh
