// Text forms of the kernel's rows, close to what ip and bridge print.
#include <string_view>
#include <utility>

#include "model/fdb_entry.h"
#include "model/kernel_state.h"
#include "model/link.h"
#include "model/neighbour.h"
#include "model/route.h"

namespace vxmesh {
namespace {

std::string device_text(IfIndex device) {
  return " dev #" + std::to_string(device.value);
}

std::string format_type(RouteType type) {
  switch (type) {
    case RouteType::Unicast: return "";
    case RouteType::Local: return "local ";
    case RouteType::Broadcast: return "broadcast ";
    case RouteType::Anycast: return "anycast ";
    case RouteType::Multicast: return "multicast ";
    case RouteType::Blackhole: return "blackhole ";
    case RouteType::Unreachable: return "unreachable ";
    case RouteType::Prohibit: return "prohibit ";
    case RouteType::Throw: return "throw ";
    case RouteType::Other: break;
  }
  return "other ";
}

}  // namespace

std::string format(const Link& link) {
  std::string text = link.name + " #" + std::to_string(link.index.value) + " " + format(link.mac) +
                     " mtu " + std::to_string(link.mtu) + (link.up ? " up" : " down");
  if (link.vxlan) {
    text += " vxlan id " + std::to_string(link.vxlan->vni.value) + " dstport " +
            std::to_string(link.vxlan->port);
    text += link.vxlan->local ? " local " + format(*link.vxlan->local) : "";
    text += link.vxlan->learning ? "" : " nolearning";
  } else if (!link.kind.empty()) {
    text += " " + link.kind;
  }
  return text + " group " + std::to_string(link.group);
}

std::string format(const IfAddress& address) {
  return format(address.address) + "/" + std::to_string(address.length) +
         device_text(address.device) + (address.no_prefix_route ? " noprefixroute" : "");
}

std::string format(const Route& route) {
  std::string text = format_type(route.type) + format(route.destination);
  text += route.gateway ? " via " + format(*route.gateway) : "";
  text += route.device ? device_text(*route.device) : "";
  text += " table " + std::to_string(route.table) + " proto " + std::to_string(route.protocol) +
          " scope " + std::to_string(route.scope) + " metric " + std::to_string(route.metric);
  text += route.preferred_source ? " src " + format(*route.preferred_source) : "";
  return text + (route.onlink ? " onlink" : "");
}

std::string format(const FdbEntry& entry) {
  return format(entry.mac) + device_text(entry.device) +
         (entry.dst ? " dst " + format(*entry.dst) : "") + " state " + format_nud(entry.state) +
         " flags " + std::to_string(entry.flags);
}

std::string format_nud(std::uint16_t state) {
  constexpr std::pair<Nud, std::string_view> kNames[] = {
      {kNudIncomplete, "INCOMPLETE"}, {kNudReachable, "REACHABLE"}, {kNudStale, "STALE"},
      {kNudDelay, "DELAY"},           {kNudProbe, "PROBE"},         {kNudFailed, "FAILED"},
      {kNudNoarp, "NOARP"},           {kNudPermanent, "PERMANENT"}};
  std::string text;
  for (const auto& [bit, name] : kNames) {
    if ((state & bit) != 0) {
      text += (text.empty() ? "" : "|") + std::string(name);
    }
  }
  return text.empty() ? "NONE" : text;
}

std::string format(const Neighbour& neighbour) {
  return format(neighbour.address) + device_text(neighbour.device) +
         (neighbour.lladdr ? " lladdr " + format(*neighbour.lladdr) : "") + " " +
         format_nud(neighbour.state) + " flags " + std::to_string(neighbour.flags) + " proto " +
         std::to_string(neighbour.protocol);
}

const Link* find_link(const KernelState& state, std::string_view name) {
  for (const auto& [index, link] : state.links) {
    if (link.name == name) {
      return &link;
    }
  }
  return nullptr;
}

}  // namespace vxmesh
