#include "sim/kernel/record.h"

namespace vxmesh {
namespace {

std::string device(const std::optional<IfIndex>& index) {
  return index ? "#" + std::to_string(index->value) : "none";
}

struct RecordText {
  std::string operator()(const LinkRecord& record) const {
    std::string text = "link " + format(record.link);
    text += record.link.no_arp ? " noarp" : "";
    text += record.link.master ? " master " + device(record.link.master) : "";
    text += record.lower ? " lower " + device(record.lower) : "";
    if (record.link.vxlan) {
      text += " ttl " + std::to_string(record.ttl) + " tos " + std::to_string(record.tos) +
              " ageing " + std::to_string(record.ageing) + " limit " + std::to_string(record.limit);
      text += record.remote ? " remote " + format(*record.remote) : "";
      text += record.underlay ? " underlay " + device(record.underlay) : "";
    }
    return text;
  }
  std::string operator()(const AddressRecord& record) const {
    std::string text = "address " + format(record.address) + " scope " +
                       std::to_string(record.address.scope) + " flags " +
                       std::to_string(record.flags) + " label " + record.label;
    text += record.broadcast ? " broadcast " + format(*record.broadcast) : "";
    return text + " metric " + std::to_string(record.metric) + " proto " +
           std::to_string(record.protocol);
  }
  std::string operator()(const RouteRecord& record) const {
    return "route " + format(record.route) + " tos " + std::to_string(record.tos) + " flags " +
           std::to_string(record.nexthop_flags);
  }
  std::string operator()(const FdbRecord& record) const {
    std::string text = "FDB entry " + format(record.entry);
    text += record.port ? " port " + std::to_string(*record.port) : "";
    text += record.vni ? " vni " + std::to_string(*record.vni) : "";
    return text + (record.underlay ? " via " + device(record.underlay) : "");
  }
  std::string operator()(const NeighbourRecord& record) const {
    return "neighbour " + format(record.neighbour) + " type " + std::to_string(record.type) +
           " ext_flags " + std::to_string(record.ext_flags) + " probes " +
           std::to_string(record.probes);
  }
};

}  // namespace

std::string format(const Record& record) {
  return std::visit(RecordText{}, record);
}

std::string format(const Notification& notification) {
  std::string text;
  switch (notification.kind) {
    case Notification::Kind::New: text = "new "; break;
    case Notification::Kind::Deleted: text = "deleted "; break;
    case Notification::Kind::Miss: text = "miss of "; break;
  }
  text += format(notification.record) + " [pid " + std::to_string(notification.sender.value);
  text += notification.answers ? " seq" : "";
  return text + " nlmsg_flags " + std::to_string(notification.flags) + "]";
}

}  // namespace vxmesh
