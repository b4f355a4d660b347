#include "model/ownership.h"

namespace vxmesh {

bool is_owned(const Link& link) {
  return link.vxlan.has_value() && link.group == kOwnLinkGroup;
}

bool is_owned(const IfAddress& address, IfIndex own_device) {
  return address.device == own_device && !address.address.is_link_local();
}

bool is_owned(const Route& route, IfIndex own_device) {
  if (!route.device) {
    return route.protocol == kOwnProtocol;
  }
  return *route.device == own_device && route.protocol != kRouteProtocolKernel &&
         route.table != kRouteTableLocal;
}

bool is_owned(const FdbEntry& entry, IfIndex own_device) {
  return entry.device == own_device;
}

bool is_owned(const Neighbour& neighbour, IfIndex own_device) {
  constexpr auto kUnresolved = static_cast<std::uint16_t>(kNudIncomplete | kNudFailed);
  return neighbour.device == own_device && !neighbour.address.is_multicast() &&
         neighbour.state != kNudNone && (neighbour.state & kUnresolved) == 0;
}

}  // namespace vxmesh
