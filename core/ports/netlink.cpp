#include "ports/netlink.h"

namespace vxmesh {
namespace {

std::string number(std::uint32_t value) {
  return std::to_string(value);
}

struct OpText {
  std::string operator()(const CreateVxlan& op) const { return "create link " + format(op.link); }
  std::string operator()(const ChangeLink& op) const {
    std::string text = "change link #" + number(op.device.value);
    text += op.up ? (*op.up ? " up" : " down") : "";
    text += op.mtu ? " mtu " + number(*op.mtu) : "";
    text += op.vxlan_local ? " local " + format(*op.vxlan_local) : "";
    text += op.vxlan_learning ? (*op.vxlan_learning ? " learning" : " nolearning") : "";
    return text + (op.rp_filter ? " rp_filter " + number(*op.rp_filter) : "");
  }
  std::string operator()(const DeleteLink& op) const {
    return "delete link #" + number(op.device.value);
  }
  std::string operator()(const SetNeighbourParameters& op) const {
    const NeighbourParameters& p = op.parameters;
    return "set " + format(op.family) + " neighbour parameters of #" + number(op.device.value) +
           " app_solicit " + number(p.app_solicit) + " ucast_solicit " + number(p.ucast_solicit) +
           " mcast_solicit " + number(p.mcast_solicit) + " mcast_resolicit " +
           number(p.mcast_resolicit);
  }
  std::string operator()(const ReplaceAddress& op) const {
    return "replace address " + format(op.address);
  }
  std::string operator()(const DeleteAddress& op) const {
    return "delete address " + format(op.address);
  }
  std::string operator()(const ReplaceRoute& op) const {
    return "replace route " + format(op.route);
  }
  std::string operator()(const DeleteRoute& op) const { return "delete route " + format(op.route); }
  std::string operator()(const ReplaceFdb& op) const {
    return "replace FDB entry " + format(op.entry);
  }
  std::string operator()(const DeleteFdb& op) const {
    return "delete FDB entry " + format(op.mac) + " dev #" + number(op.device.value);
  }
  std::string operator()(const ReplaceNeighbour& op) const {
    return "replace neighbour " + format(op.neighbour);
  }
  std::string operator()(const DeleteNeighbour& op) const {
    return "delete neighbour " + format(op.address) + " dev #" + number(op.device.value);
  }
};

}  // namespace

std::string format(const KernelOp& op) {
  return std::visit(OpText{}, op);
}

std::string format(Table table) {
  switch (table) {
    case Table::Links: return "links";
    case Table::Addresses: return "addresses";
    case Table::Routes: return "routes";
    case Table::Fdb: return "FDB";
    case Table::Neighbours: break;
  }
  return "neighbours";
}

}  // namespace vxmesh
