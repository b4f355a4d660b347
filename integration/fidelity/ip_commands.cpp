#include "integration/fidelity/ip_commands.h"

#include <map>
#include <optional>
#include <utility>

#include "sim/kernel/packet_codec.h"
#include "sim/kernel/request_text.h"

namespace vxmesh::fidelity {
namespace {

using rtnl::LinkLayer;

std::string lladdr_text(const LinkLayer& lladdr) {
  return rtnl::value_text("lladdr", lladdr);
}

std::string family_option(Family family) {
  return family == Family::V6 ? "ip -6 " : "ip ";
}

// The verb of iproute2 that sends exactly these flags.
std::optional<std::string> verb_of(std::uint16_t flags, bool routes) {
  switch (flags) {
    case rtnl::kCreate | rtnl::kExcl: return "add";
    case rtnl::kCreate | rtnl::kReplace: return "replace";
    case rtnl::kReplace: return "change";
    case rtnl::kCreate | rtnl::kAppend: return "append";
    case rtnl::kCreate: return routes ? std::optional<std::string>("prepend") : std::nullopt;
    default: return std::nullopt;
  }
}

// One NUD state that the commands have a word for.
std::optional<std::string> nud_word(std::uint16_t state) {
  switch (state) {
    case kNudPermanent: return "permanent";
    case kNudNoarp: return "noarp";
    case kNudReachable: return "reachable";
    case kNudStale: return "stale";
    case kNudNone: return "none";
    case kNudIncomplete: return "incomplete";
    case kNudDelay: return "delay";
    case kNudProbe: return "probe";
    case kNudFailed: return "failed";
    default: return std::nullopt;
  }
}

// Knows the names of devices by index, as the program makes them. Indices of a fresh namespace go
// up by one; a veth's peer is made first (veth_newlink).
class Devices {
 public:
  std::optional<std::string> command(const rtnl::NewLink& request);
  std::optional<std::string> command(const rtnl::DelLink& request) const;
  std::optional<std::string> command(const rtnl::NewAddr& request) const;
  std::optional<std::string> command(const rtnl::DelAddr& request) const;
  std::optional<std::string> command(const rtnl::NewRoute& request) const;
  std::optional<std::string> command(const rtnl::DelRoute& request) const;
  std::optional<std::string> command(const rtnl::NewNeigh& request) const;
  std::optional<std::string> command(const rtnl::DelNeigh& request) const;
  std::optional<std::string> command(const rtnl::NewFdb& request) const;
  std::optional<std::string> command(const rtnl::DelFdb& request) const;
  std::optional<std::string> command(const rtnl::SetNeighTable& request) const;
  std::optional<std::string> command(const rtnl::GetNeigh& request) const;
  std::optional<std::string> command(const rtnl::GetFdb& request) const;

  std::string name(IfIndex device) const {
    const auto found = names_.find(device.value);
    return found != names_.end() ? found->second : "if" + std::to_string(device.value);
  }

 private:
  std::string made_name(const std::optional<std::string>& asked, std::string_view kind) {
    return asked ? *asked : std::string(kind) + std::to_string(unnamed_[std::string(kind)]++);
  }
  std::optional<std::string> create(const rtnl::NewLink& request);
  std::string common_attributes(const rtnl::NewLink& request) const;
  std::string vxlan_attributes(const rtnl::NewLink& request) const;
  std::string route(const rtnl::RouteFields& route) const;

  std::map<std::uint32_t, std::string> names_{{1, "lo"}};
  std::map<std::string, int> unnamed_;
  std::uint32_t next_index_ = 2;
};

std::string Devices::common_attributes(const rtnl::NewLink& request) const {
  std::string text;
  text += request.mac ? " address " + lladdr_text(*request.mac) : "";
  text += request.mtu ? " mtu " + std::to_string(*request.mtu) : "";
  text += request.group ? " group " + std::to_string(*request.group) : "";
  text += request.no_arp ? (*request.no_arp ? " arp off" : " arp on") : "";
  if (request.master) {
    text += request.master->value == 0 ? " nomaster" : " master " + name(*request.master);
  }
  text += request.up ? (*request.up ? " up" : " down") : "";
  return text;
}

std::string Devices::vxlan_attributes(const rtnl::NewLink& request) const {
  std::string text;
  text += request.vni ? " id " + std::to_string(*request.vni) : "";
  text += request.port ? " dstport " + std::to_string(*request.port) : "";
  text += request.local ? " local " + format(*request.local) : "";
  if (request.remote) {
    text += (request.remote->is_multicast() ? " group " : " remote ") + format(*request.remote);
  }
  text += request.underlay ? " dev " + name(*request.underlay) : "";
  text += request.learning ? (*request.learning ? " learning" : " nolearning") : "";
  text += request.ttl ? " ttl " + std::to_string(*request.ttl) : "";
  text += request.tos ? " tos " + std::to_string(*request.tos) : "";
  text += request.ageing ? " ageing " + std::to_string(*request.ageing) : "";
  text += request.limit ? " maxaddress " + std::to_string(*request.limit) : "";
  return text;
}

std::optional<std::string> Devices::create(const rtnl::NewLink& request) {
  const bool says_it = request.flags == (rtnl::kCreate | rtnl::kExcl) && !request.rp_filter;
  const std::string kind = rtnl::value_text("kind", *request.kind);
  std::string peer;
  if (*request.kind == rtnl::Kind::Veth) {
    const std::string peer_name = made_name(request.peer_name, "veth");
    names_[next_index_++] = peer_name;
    peer = " peer name " + peer_name;
    peer += request.peer_mac ? " address " + lladdr_text(*request.peer_mac) : "";
  }
  const std::string own_name = made_name(request.name, kind);
  names_[next_index_++] = own_name;
  if (!says_it) {
    return std::nullopt;
  }
  return "ip link add " + own_name + common_attributes(request) + " type " + kind +
         vxlan_attributes(request) + peer;
}

std::optional<std::string> Devices::command(const rtnl::NewLink& request) {
  const bool is_there = names_.contains(request.device.value);
  if (!is_there && request.device.value == 0 && request.kind &&
      (request.flags & rtnl::kCreate) != 0) {
    return create(request);
  }
  const std::string device =
      request.device.value != 0 ? name(request.device) : request.name.value_or("");
  if (is_there && request.name) {
    names_[request.device.value] = *request.name;
  }
  if (request.flags != 0 || request.peer_name || request.peer_mac) {
    return std::nullopt;
  }
  if (request.rp_filter) {
    return "sysctl -w net.ipv4.conf." + device + ".rp_filter=" + std::to_string(*request.rp_filter);
  }
  std::string text = "ip link set " + device + common_attributes(request);
  text += is_there && request.name ? " name " + *request.name : "";
  if (request.kind) {
    text += " type " + rtnl::value_text("kind", *request.kind) + vxlan_attributes(request);
  }
  return text;
}

std::optional<std::string> Devices::command(const rtnl::DelLink& request) const {
  const std::string device =
      request.device.value != 0 ? name(request.device) : request.name.value_or("");
  return "ip link del " + device;
}

std::optional<std::string> Devices::command(const rtnl::NewAddr& request) const {
  const std::uint32_t flags = request.address_flags.value_or(0);
  const auto verb = verb_of(request.flags, false);
  if (!verb || *verb == "append" || (flags & ~0x602U) != 0) {
    return std::nullopt;
  }
  std::string text = family_option(request.local.family()) + "addr " + *verb + " " +
                     format(request.local) + "/" + std::to_string(request.length) + " dev " +
                     name(request.device);
  text += request.broadcast ? " brd " + format(*request.broadcast) : "";
  text += request.label ? " label " + *request.label : "";
  text += request.metric ? " metric " + std::to_string(*request.metric) : "";
  text += request.protocol ? " proto " + std::to_string(*request.protocol) : "";
  text += request.scope != 0 ? " scope " + std::to_string(request.scope) : "";
  text += (flags & kAddressNoDad) != 0 ? " nodad" : "";
  text += (flags & kAddressNoPrefixRoute) != 0 ? " noprefixroute" : "";
  return text + ((flags & 0x400U) != 0 ? " autojoin" : "");
}

std::optional<std::string> Devices::command(const rtnl::DelAddr& request) const {
  return family_option(request.local.family()) + "addr del " + format(request.local) + "/" +
         std::to_string(request.length) + " dev " + name(request.device);
}

std::string Devices::route(const rtnl::RouteFields& route) const {
  const std::string type = rtnl::value_text("type", std::uint64_t{route.type});
  std::string text = route.type > 1 ? type + " " : "";
  text += format(route.destination) + "/" + std::to_string(route.length);
  text += route.tos != 0 ? " tos " + std::to_string(route.tos) : "";
  if (route.gateway) {
    const bool other_family = route.gateway->family() != route.destination.family();
    text += (other_family ? " via inet6 " : " via ") + format(*route.gateway);
  }
  text += route.device ? " dev " + name(*route.device) : "";
  text += " table " + std::to_string(route.table) + " proto " + std::to_string(route.protocol);
  text += " scope " + std::to_string(route.scope);
  text += route.metric ? " metric " + std::to_string(*route.metric) : "";
  text += route.preferred_source ? " src " + format(*route.preferred_source) : "";
  return text + ((route.route_flags & kNexthopOnlink) != 0 ? " onlink" : "");
}

std::optional<std::string> Devices::command(const rtnl::NewRoute& request) const {
  const auto verb = verb_of(request.flags, true);
  if (!verb) {
    return std::nullopt;
  }
  return family_option(request.route.destination.family()) + "route " + *verb + " " +
         route(request.route);
}

std::optional<std::string> Devices::command(const rtnl::DelRoute& request) const {
  return family_option(request.route.destination.family()) + "route del " + route(request.route);
}

std::optional<std::string> Devices::command(const rtnl::NewNeigh& request) const {
  const auto verb = verb_of(request.flags, false);
  const auto state = nud_word(request.state);
  const std::uint8_t known = kNtfExtLearned | kNtfRouter;
  if (!verb || *verb == "append" || !state || (request.ntf & ~known) != 0 ||
      request.ext_flags.value_or(0) != 0) {
    return std::nullopt;
  }
  std::string text =
      "ip neigh " + *verb + " " + format(request.address) + " dev " + name(request.device);
  text += request.lladdr ? " lladdr " + lladdr_text(*request.lladdr) : "";
  text += " nud " + *state;
  text += request.protocol ? " proto " + std::to_string(*request.protocol) : "";
  text += (request.ntf & kNtfRouter) != 0 ? " router" : "";
  return text + ((request.ntf & kNtfExtLearned) != 0 ? " extern_learn" : "");
}

std::optional<std::string> Devices::command(const rtnl::DelNeigh& request) const {
  if (request.flags != 0) {
    return std::nullopt;
  }
  return "ip neigh del " + format(request.address) + " dev " + name(request.device);
}

std::optional<std::string> Devices::command(const rtnl::NewFdb& request) const {
  const auto verb = verb_of(request.flags, false);
  const std::string state = request.state == kNudPermanent                 ? " permanent"
                            : request.state == (kNudNoarp | kNudReachable) ? " static"
                            : request.state == kNudReachable               ? " dynamic"
                                                                           : "";
  const std::uint8_t known = kNtfSelf | kNtfMaster | kNtfExtLearned | kNtfRouter | 0x40;
  if (!verb || *verb == "change" || state.empty() || (request.ntf & ~known) != 0 ||
      (request.ntf & (kNtfSelf | kNtfMaster)) == 0 || !request.lladdr) {
    return std::nullopt;
  }
  std::string text =
      "bridge fdb " + *verb + " " + lladdr_text(*request.lladdr) + " dev " + name(request.device);
  text += request.dst ? " dst " + format(*request.dst) : "";
  text += request.port ? " port " + std::to_string(*request.port) : "";
  text += request.vni ? " vni " + std::to_string(*request.vni) : "";
  text += request.source_vni ? " src_vni " + std::to_string(*request.source_vni) : "";
  text += request.underlay ? " via " + name(*request.underlay) : "";
  text += (request.ntf & kNtfSelf) != 0 ? " self" : "";
  text += (request.ntf & kNtfMaster) != 0 ? " master" : "";
  text += (request.ntf & kNtfRouter) != 0 ? " router" : "";
  text += (request.ntf & kNtfExtLearned) != 0 ? " extern_learn" : "";
  text += (request.ntf & 0x40U) != 0 ? " sticky" : "";
  return text + state;
}

std::optional<std::string> Devices::command(const rtnl::DelFdb& request) const {
  if (request.flags != 0 || !request.lladdr || request.ntf != kNtfSelf) {
    return std::nullopt;  // iproute2 6.1 cannot flush by these fields
  }
  std::string text =
      "bridge fdb del " + lladdr_text(*request.lladdr) + " dev " + name(request.device);
  text += request.dst ? " dst " + format(*request.dst) : "";
  text += request.port ? " port " + std::to_string(*request.port) : "";
  text += request.vni ? " vni " + std::to_string(*request.vni) : "";
  text += request.source_vni ? " src_vni " + std::to_string(*request.source_vni) : "";
  return text + (request.underlay ? " via " + name(*request.underlay) : "") + " self";
}

std::optional<std::string> Devices::command(const rtnl::SetNeighTable& request) const {
  std::string text = "ip ntable change name ";
  text += request.family == Family::V4 ? "arp_cache" : "ndisc_cache";
  text += " dev " + name(request.device);
  const auto add = [&](std::string_view word, const auto& value) {
    text += value ? " " + std::string(word) + " " + std::to_string(*value) : "";
  };
  add("base_reachable", request.base_reachable_time);
  add("retrans", request.retrans_time);
  add("gc_stale", request.gc_stale_time);
  add("delay_probe", request.delay_probe_time);
  add("app_probes", request.app_probes);
  add("ucast_probes", request.ucast_probes);
  add("mcast_probes", request.mcast_probes);
  add("locktime", request.locktime);
  if (request.mcast_reprobes || request.queue_bytes) {
    return std::nullopt;
  }
  return text;
}

std::optional<std::string> Devices::command(const rtnl::GetNeigh& request) const {
  return "ip neigh get " + format(request.address) + " dev " + name(request.device);
}

std::optional<std::string> Devices::command(const rtnl::GetFdb& request) const {
  if (!request.lladdr || request.ntf != kNtfSelf) {
    return std::nullopt;
  }
  return "bridge fdb get " + lladdr_text(*request.lladdr) + " dev " + name(request.device) +
         " self";
}

struct CommandOf {
  Devices& writer;

  std::optional<std::string> operator()(const rtnl::Request& request) const {
    return std::visit([&](const auto& kind) { return writer.command(kind); }, request);
  }
  std::optional<std::string> operator()(const SendDatagram& action) const {
    return "echo > /dev/udp/" + format(action.to) + "/9";
  }
  std::optional<std::string> operator()(const Advance& action) const {
    const std::string thousandths = std::to_string(1000 + action.milliseconds % 1000).substr(1);
    return "sleep " + std::to_string(action.milliseconds / 1000) + "." + thousandths;
  }
  // ip and bridge send each request alone.
  std::optional<std::string> operator()(const Batch& /*action*/) const { return std::nullopt; }
  std::optional<std::string> operator()(const SetForwarding& action) const {
    const std::string on = action.on ? "1" : "0";
    return "sysctl -w net.ipv4.ip_forward=" + on + " net.ipv6.conf.all.forwarding=" + on;
  }
  std::optional<std::string> operator()(const Capture& action) const {
    return "tcpdump -lnexx -i " + writer.name(action.device) + " &";
  }
  std::optional<std::string> operator()(const Inject& action) const {
    const std::optional<EthernetFrame> frame = decode_frame(action.frame);
    return "# a packet socket sends on " + writer.name(action.device) + ": " +
           (frame ? vxmesh::format(*frame) : "less than a frame");
  }
};

}  // namespace

std::vector<std::string> ip_commands(const Program& program) {
  Devices writer;
  std::vector<std::string> lines;
  for (const Step& step : program) {
    const std::optional<std::string> command = std::visit(CommandOf{writer}, step.action);
    lines.push_back(command ? *command : "# " + format(step));
  }
  return lines;
}

}  // namespace vxmesh::fidelity
