#include "sim/check/connection.h"

namespace vxmesh {
namespace {

Connection dark(std::string why) {
  return {.why = std::move(why)};
}

// What the kernel of the other end does with it once it is out of the tunnel.
Connection received(Connection connection, const Host& at, const IpAddress& to) {
  const Link* device = at.kernel().find_link(at.device());
  if (device == nullptr || !device->up || !device->vxlan) {
    connection.why = at.name() + " has no tunnel that is up";
    return connection;
  }
  connection.at = &at;
  const Delivery onward = at.kernel().deliver(to);
  const bool to_pods = onward.fate == PacketFate::OtherDevice || onward.fate == PacketFate::Local;
  connection.delivered = to_pods;
  connection.why = to_pods ? "" : at.name() + " does not hand it to a pod";
  return connection;
}

}  // namespace

Connection connection(const ClusterView& view, const Host& from, const IpAddress& to,
                      const MacAddress& mac) {
  const NamespaceState& kernel = from.kernel();
  const Delivery first = kernel.deliver(to);
  Connection way;
  switch (first.fate) {
    case PacketFate::Vtep: way.vtep = first.vtep; break;
    case PacketFate::Unresolved: {
      way.unresolved = true;
      const Link* device = first.device ? kernel.find_link(*first.device) : nullptr;
      const std::vector<FdbRemote>* remotes =
          device == nullptr ? nullptr : kernel.find_fdb(device->index, mac);
      if (remotes == nullptr || remotes->empty()) {
        way.why = from.name() + " has no FDB entry for " + format(mac);
        return way;
      }
      way.vtep = remotes->front().dst;
      break;
    }
    case PacketFate::NoFdbEntry: return dark(from.name() + " has no FDB entry for its neighbour");
    case PacketFate::Refused: return dark(from.name() + " refuses it");
    case PacketFate::NoRoute: return dark(from.name() + " has no route");
    case PacketFate::Local:
    case PacketFate::OtherDevice: return dark(from.name() + " does not send it into the tunnel");
  }
  const Link* device = first.device ? kernel.find_link(*first.device) : nullptr;
  if (device == nullptr || !device->up) {
    way.why = from.name() + "'s tunnel is down";
    return way;
  }
  const Host* at = view.host_at(*way.vtep);
  if (at == nullptr) {
    way.why = "nobody is at " + format(*way.vtep);
    return way;
  }
  return received(way, *at, to);
}

}  // namespace vxmesh
