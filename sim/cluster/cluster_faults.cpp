// What goes wrong on the network, at the API and in the kernels of a cluster.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/cluster/cluster.h"
#include "sim/cluster/member.h"

namespace vxmesh {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

// How much later a packet comes that others overtake: some of the segment's latencies.
constexpr Duration kOvertaken = microseconds(1000);

// The action, one of the network, is about packets from one host to the other.
bool is_between(const Action& action, const std::string& from, const std::string& to) {
  const std::vector<std::string>& ends = action.targets;
  if (ends.size() == 1) {
    return ends[0] == from || ends[0] == to;
  }
  const bool back = ends[1] == from && ends[0] == to;
  return (ends[0] == from && ends[1] == to) || (back && action.kind != ActionKind::PartitionOneWay);
}

// MTUs count IP headers and what is behind them.
std::size_t mtu_needed(const EthernetFrame& frame) {
  const auto* packet = std::get_if<IpPacket>(&frame.payload);
  return packet == nullptr ? 0 : size_on_wire(*packet);
}

}  // namespace

// Until it ends, the rule's guard stands in the fault itself.
Fabric::Guard Cluster::network_rule(Fault& fault) {
  return fabric_.add_rule(
      [this, &fault](HostNumber from, HostNumber to, const EthernetFrame& frame, Passage& passage) {
        const Action& action = fault.step.action;
        Prng& prng = fault.prng;
        const auto sender = by_number_.find(from);
        const auto receiver = by_number_.find(to);
        const bool are_there = sender != by_number_.end() && receiver != by_number_.end();
        if (!are_there ||
            !is_between(action, sender->second->host().name(), receiver->second->host().name())) {
          return;
        }
        const Passage before = passage;
        switch (action.kind) {
          case ActionKind::Partition:
          case ActionKind::PartitionOneWay: passage.lost = true; break;
          case ActionKind::Loss: passage.lost |= prng.chance(action.amount, 1000); break;
          case ActionKind::Delay: passage.delay += action.delay; break;
          case ActionKind::Duplicate: passage.twice |= prng.chance(action.amount, 1000); break;
          case ActionKind::Reorder:
            passage.delay += prng.chance(action.amount, 1000) ? kOvertaken : Duration{};
            break;
          case ActionKind::MtuBlackHole: passage.lost |= mtu_needed(frame) > action.amount; break;
          default: check(false, "the action is one of the network");
        }
        if (passage != before) {
          met(fault);
        }
      });
}

const Step* Cluster::network_fault(const std::string& from, const std::string& to,
                                   std::uint32_t bytes) const {
  for (const auto& [id, fault] : faults_) {
    const Action& action = fault.step.action;
    const bool is_black_hole = action.kind == ActionKind::MtuBlackHole;
    const bool loses = action.kind == ActionKind::Partition ||
                       action.kind == ActionKind::PartitionOneWay ||
                       action.kind == ActionKind::Loss || (is_black_hole && bytes > action.amount);
    if (loses && is_between(action, from, to)) {
      return &fault.step;
    }
  }
  return nullptr;
}

// --- The API ---

namespace {

// A partition that has the API at one end, or everything.
bool cuts_off_api(const Action& action, const std::string& host) {
  if (action.kind != ActionKind::Partition && action.kind != ActionKind::PartitionOneWay) {
    return false;
  }
  const auto names = [&](const std::string& name) {
    return std::ranges::find(action.targets, name) != action.targets.end();
  };
  const bool alone = action.targets.size() == 1;
  return alone ? names(host) || names("api") : names(host) && names("api");
}

bool concerns_api_of(const Action& action, const std::string& host) {
  return action.targets.empty() || action.targets[0] == "api" || action.targets[0] == host;
}

}  // namespace

bool Cluster::is_cut_off(const std::string& host) const {
  return std::ranges::any_of(
      faults_, [&](const auto& fault) { return cuts_off_api(fault.second.step.action, host); });
}

// Of the connections that are open.
bool Cluster::interrupt_api(const Step& step, bool begins) {
  bool meets_any = false;
  for (const auto& [name, found] : members_) {
    AgentProcess* process = found->process();
    if (process == nullptr) {
      continue;
    }
    process->kubernetes().cut_off(is_cut_off(name));
    const bool is_outage =
        step.action.kind == ActionKind::ApiOutage && concerns_api_of(step.action, name);
    if (begins && is_outage) {
      process->kubernetes().interrupt(reset_after(0));
    }
    meets_any = meets_any || is_outage || cuts_off_api(step.action, name);
  }
  return meets_any;
}

std::optional<KubernetesFault> Cluster::api_fault(const Host& host, const KubernetesCall& call) {
  for (auto& [id, fault] : faults_) {
    if (auto found = meets(fault, host, call)) {
      met(fault);
      return found;
    }
  }
  return std::nullopt;
}

std::optional<std::uint32_t> Cluster::page_size(const Host& host) {
  std::optional<std::uint32_t> least;
  for (auto& [id, fault] : faults_) {
    const Action& action = fault.step.action;
    const bool has_pages =
        action.kind == ActionKind::ApiSmallPages || action.kind == ActionKind::ApiPartialLists;
    if (has_pages && concerns_api_of(action, host.name())) {
      const auto nodes = static_cast<std::uint32_t>(action.amount);
      least = std::min(least.value_or(nodes), nodes);
      if (action.kind == ActionKind::ApiSmallPages) {
        met(fault);
      }
    }
  }
  return least;
}

std::optional<KubernetesFault> Cluster::meets(const Fault& fault, const Host& host,
                                              const KubernetesCall& call) const {
  const Action& action = fault.step.action;
  if (rule_of(action.kind).category != ActionCategory::Api ||
      !concerns_api_of(action, host.name())) {
    return std::nullopt;
  }
  const bool is_list = std::holds_alternative<ListRequest>(call);
  switch (action.kind) {
    case ActionKind::ApiOutage: return refused();
    case ActionKind::ApiStatus:
      return http_status(static_cast<std::uint16_t>(action.amount), "", action.retry_after);
    case ActionKind::ApiReset: return reset_after(action.amount);
    case ActionKind::ApiStall: return stall_after(action.amount);
    case ActionKind::ApiEnd:
      return is_list ? std::nullopt : std::optional(end_after(action.amount));
    case ActionKind::ApiPartialLists:  // as if the history were forgotten behind each first page
      return is_list && !std::get<ListRequest>(call).continue_token.empty()
                 ? std::optional(http_status(410, "Expired"))
                 : std::nullopt;
    case ActionKind::ApiEmptyList: return is_list ? std::optional(empty_list()) : std::nullopt;
    case ActionKind::ApiLateBookmarks:
      return is_list ? std::nullopt : std::optional(late_bookmarks(action.delay));
    case ActionKind::ApiNoBookmarks: return is_list ? std::nullopt : std::optional(no_bookmarks());
    case ActionKind::ApiLateDeletes: return is_list ? std::nullopt : std::optional(late_deletes());
    default: return std::nullopt;
  }
}

// --- Kernels ---

void Cluster::do_kernel(const Step& step) {
  const Action& action = step.action;
  const auto place = members_.find(action.targets.front());
  if (place == members_.end()) {
    return;
  }
  Member& target = *place->second;
  Host& host = target.host();
  switch (action.kind) {
    case ActionKind::LoseEvents:
      if (AgentProcess* process = target.process()) {
        process->netlink().lose_messages(action.amount);
      }
      break;
    case ActionKind::LoseAnswers: host.kernel_faults().lost_answers += action.amount; break;
    case ActionKind::ForeignRoute:
      host.request(rtnl::NewRoute{.flags = rtnl::kCreate,
                                  .route = {.destination = IpAddress::v4(0xcb007100),
                                            .length = 24,  // 203.0.113.0/24
                                            .protocol = 4,
                                            .scope = kScopeLink,
                                            .device = host.underlay()}});
      break;
    case ActionKind::FirewallFlushed: host.kernel().data_plane().set_firewall({}); break;
    case ActionKind::ForeignUnderWay:
      target.write_at(static_cast<ForeignMoment>(action.amount));
      break;
    default: change_device(host, action);
  }
  touched(target);
}

// Of a routing daemon on the host.
void Cluster::set_peer_route(Host& host, const Action& action, bool on) const {
  constexpr std::uint8_t kBgp = 186;  // RTPROT_BGP (include/uapi/linux/rtnetlink.h)
  constexpr std::uint64_t kInstead = 0;
  constexpr std::uint16_t kInPlace = rtnl::kCreate | rtnl::kReplace;
  constexpr std::uint16_t kBehind = rtnl::kCreate | rtnl::kAppend;
  if (!on) {
    for (const Route& route : host.kernel().routes().rows()) {
      if (route.protocol == kBgp) {
        host.request(rtnl::DelRoute{.route = {.destination = route.destination.base(),
                                              .length = route.destination.length(),
                                              .protocol = kBgp,
                                              .scope = kScopeLink}});
      }
    }
  } else if (const Host* peer = this->host(action.targets.back())) {
    host.request(rtnl::NewRoute{.flags = action.amount == kInstead ? kInPlace : kBehind,
                                .route = {.destination = peer->pod_cidr().base(),
                                          .length = peer->pod_cidr().length(),
                                          .protocol = kBgp,
                                          .scope = kScopeLink,
                                          .device = host.underlay()}});
  }
}

// What has another name holds the VNI and port of ours until it has its own again, or goes: no
// agent may take it away.
void Cluster::rename_device(Host& host, bool on) {
  const std::string other = "vxmesh-away";
  const IfIndex ours = host.device();
  const Link* away = host.kernel().find_link(other);
  const IfIndex device = on ? ours : away == nullptr ? IfIndex{} : away->index;
  const bool is_free = on ? away == nullptr : ours == IfIndex{};
  if (device != IfIndex{} && is_free) {
    host.request(rtnl::NewLink{.device = device, .up = false});
    host.request(rtnl::NewLink{.device = device, .name = on ? other : "vxlan1"});
  }
}

void Cluster::write_under_way(const Host& host, ForeignMoment moment) {
  if (moment == ForeignMoment::LinksDumped) {
    happen({.action = {.kind = ActionKind::DeviceDeleted, .targets = {host.name()}}});
    return;
  }
  for (const ActionKind kind : {ActionKind::ForeignFdb, ActionKind::ForeignNeighbour}) {
    happen({.action = {.kind = kind, .targets = {host.name()}}});
  }
}

void Cluster::change_device(Host& host, const Action& action) {
  const IfIndex device = host.device();
  if (device == IfIndex{}) {
    return;
  }
  Prng drawn =
      prng_.split("kernel/" + host.name() + "@" + std::to_string(now().since_start.count()));
  const auto byte = static_cast<std::uint8_t>(drawn.below(256));
  switch (action.kind) {
    case ActionKind::ForeignFdb:
      host.request(rtnl::NewFdb{.flags = rtnl::kCreate,
                                .device = device,
                                .state = kNudPermanent,
                                .ntf = kNtfSelf,
                                .lladdr = MacAddress{{0x02, 9, 9, 9, 9, byte}},
                                .dst = host.ip()});
      break;
    case ActionKind::ForeignNeighbour:
      for (const Neighbour& row : host.kernel().neighbours(device)) {
        if (row.lladdr) {
          host.request(rtnl::NewNeigh{.flags = rtnl::kReplace,
                                      .device = device,
                                      .address = row.address,
                                      .state = kNudReachable,
                                      .lladdr = MacAddress{{0x02, 9, 9, 9, 8, byte}}});
          break;
        }
      }
      break;
    case ActionKind::DeviceDown: host.request(rtnl::NewLink{.device = device, .up = false}); break;
    case ActionKind::DeviceDeleted: host.request(rtnl::DelLink{.device = device}); break;
    case ActionKind::DeviceMac:
      host.request(rtnl::NewLink{.device = device, .mac = MacAddress{{0x02, 9, 9, 9, 7, byte}}});
      break;
    case ActionKind::DeviceMtu:
      host.request(
          rtnl::NewLink{.device = device, .mtu = static_cast<std::uint32_t>(action.amount)});
      break;
    case ActionKind::DeviceLocal:
      host.request(rtnl::NewLink{
          .device = device, .kind = rtnl::Kind::Vxlan, .local = IpAddress::v4(0xac14fe00U | byte)});
      break;
    case ActionKind::AddressRemoved:
      host.request(rtnl::DelAddr{.device = device,
                                 .local = host.pod_cidr().base(),
                                 .length = options_.spec.overlay.length()});
      break;
    case ActionKind::ParametersReverted:
      host.request(rtnl::SetNeighTable{.family = Family::V4,
                                       .device = device,
                                       .app_probes = 0,
                                       .ucast_probes = 3,
                                       .mcast_probes = 3});
      break;
    default: check(false, "the action is one of a kernel");
  }
}

}  // namespace vxmesh
