#include "integration/fidelity/situation.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "integration/fidelity/frame_maker.h"
#include "sim/kernel/field_text.h"

namespace vxmesh::fidelity {
namespace {

using Names = std::vector<std::string_view>;

constexpr std::uint32_t kDefaultMetricV6 = 1024;  // IP6_RT_PRIO_USER
constexpr std::string_view kPlain = "plain";

// By the four bits of kReplace, kExcl, kCreate and kAppend.
constexpr std::array<std::string_view, 16> kFlagNames{
    "no flags",
    "replace",
    "excl",
    "replace|excl",
    "create",
    "create|replace",
    "create|excl",
    "create|replace|excl",
    "append",
    "replace|append",
    "excl|append",
    "replace|excl|append",
    "create|append",
    "create|replace|append",
    "create|excl|append",
    "create|replace|excl|append",
};

std::string_view by_family(const IpAddress& address, std::string_view v4, std::string_view v6) {
  return address.family() == Family::V4 ? v4 : v6;
}

// The names of the optional fields that are present.
template <typename Fields>
void add_present(const Fields& request, Names& aspects) {
  Fields::fields(request, [&](std::string_view name, const auto& member) {
    if constexpr (rtnl::IsOptional<std::decay_t<decltype(member)>>::value) {
      if (member) {
        aspects.push_back(name);
      }
    }
  });
}

// The names of all optional fields.
template <typename Fields>
Names optional_fields() {
  Names names;
  Fields fields;
  Fields::fields(fields, [&](std::string_view name, const auto& member) {
    if constexpr (rtnl::IsOptional<std::decay_t<decltype(member)>>::value) {
      names.push_back(name);
    }
  });
  return names;
}

// --- Links ---

std::string_view link_state(const Link& link) {
  return link.up ? "up" : "down";
}

bool vni_taken(const rtnl::NewLink& request, const StateView& before) {
  return std::any_of(before.links.begin(), before.links.end(), [&](const LinkRecord* record) {
    return record->link.vxlan && request.vni && record->link.vxlan->vni.value == *request.vni &&
           (!request.port || record->link.vxlan->port == *request.port);
  });
}

Situation situation_of_kind(const rtnl::NewLink& request, const StateView& before) {
  const Link* by_index = request.device.value != 0 ? before.link(request.device) : nullptr;
  const Link* by_name = request.name ? before.link(*request.name) : nullptr;
  const Link* link = request.device.value != 0 ? by_index : by_name;
  Situation situation;
  if (link != nullptr) {
    situation.operation = link->kind == "vxlan"    ? "new-link vxlan"
                          : link->kind == "bridge" ? "new-link bridge"
                          : link->kind == "veth"   ? "new-link veth"
                                                   : "new-link other";
    const bool found_by_name = request.device.value == 0 && situation.operation != "new-link other";
    situation.state = found_by_name ? "name taken" : link_state(*link);
    return situation;
  }
  if (request.device.value != 0 || !request.kind) {
    return {.operation = "new-link other", .state = "absent", .aspects = {}};
  }
  switch (*request.kind) {
    case rtnl::Kind::Vxlan:
      return {.operation = "new-link vxlan",
              .state = vni_taken(request, before) ? "vni taken" : "absent",
              .aspects = {}};
    case rtnl::Kind::Bridge:
      return {.operation = "new-link bridge", .state = "absent", .aspects = {}};
    case rtnl::Kind::Veth: break;
  }
  const bool peer_taken = request.peer_name && before.link(*request.peer_name) != nullptr;
  return {
      .operation = "new-link veth", .state = peer_taken ? "peer taken" : "absent", .aspects = {}};
}

Situation judge(const rtnl::NewLink& request, const StateView& before) {
  Situation situation = situation_of_kind(request, before);
  situation.aspects.push_back(flags_aspect(request.flags));
  add_present(request, situation.aspects);
  if (request.up) {
    situation.aspects.push_back(*request.up ? "to up" : "to down");
  }
  return situation;
}

Situation judge(const rtnl::DelLink& request, const StateView& before) {
  const Link* link = request.device.value != 0 ? before.link(request.device)
                     : request.name            ? before.link(*request.name)
                                               : nullptr;
  Situation situation{.operation = "del-link", .state = "absent", .aspects = {}};
  if (link != nullptr) {
    situation.state = link->kind == "vxlan"    ? (link->up ? "vxlan up" : "vxlan down")
                      : link->kind == "bridge" ? (link->up ? "bridge up" : "bridge down")
                      : link->kind == "veth"   ? (link->up ? "veth up" : "veth down")
                                               : "other";
  }
  situation.aspects.push_back(request.device.value != 0 ? "by index" : "by name");
  return situation;
}

// --- Addresses ---

std::string_view address_state(IfIndex device, const IpAddress& local, std::uint8_t length,
                               const StateView& before) {
  const Link* link = before.link(device);
  if (link == nullptr) {
    return "no device";
  }
  if (length > address_bits(local.family())) {
    return "bad length";
  }
  std::string_view found = link->up ? "absent, up" : "absent, down";
  for (const AddressRecord* record : before.addresses) {
    const IfAddress& there = record->address;
    if (there.address.family() != local.family()) {
      continue;
    }
    if (there.address == local && there.device == device) {
      if (there.length == length) {
        return "same";
      }
      found = "other length";
    } else if (found.starts_with("absent") && there.address == local) {
      found = "elsewhere";
    } else if (found.starts_with("absent") && there.device == device && there.length == length &&
               local.family() == Family::V4 &&
               IpPrefix::containing(there.address, length).contains(local)) {
      found = "same subnet";
    }
  }
  return found;
}

Situation judge(const rtnl::NewAddr& request, const StateView& before) {
  Situation situation{.operation = by_family(request.local, "new-addr inet", "new-addr inet6"),
                      .state = address_state(request.device, request.local, request.length, before),
                      .aspects = {flags_aspect(request.flags)}};
  add_present(request, situation.aspects);
  if ((request.address_flags.value_or(0) & kAddressNoPrefixRoute) != 0) {
    situation.aspects.emplace_back("noprefixroute");
  }
  return situation;
}

Situation judge(const rtnl::DelAddr& request, const StateView& before) {
  const auto on_device =
      std::count_if(before.addresses.begin(), before.addresses.end(), [&](const auto* record) {
        return record->address.device == request.device &&
               record->address.address.family() == request.local.family();
      });
  const auto found =
      std::find_if(before.addresses.begin(), before.addresses.end(), [&](const auto* record) {
        return record->address.device == request.device &&
               record->address.address == request.local && record->address.length == request.length;
      });
  std::string_view state = address_state(request.device, request.local, request.length, before);
  if (found != before.addresses.end()) {
    const bool secondary = ((*found)->flags & kAddressSecondary) != 0;
    state = request.local.family() == Family::V4 && secondary ? "secondary"
            : on_device == 1                                  ? "last"
                                                              : "one of several";
  } else if (state != "no device" && state != "other length") {
    state = "absent";
  }
  return {.operation = by_family(request.local, "del-addr inet", "del-addr inet6"),
          .state = state,
          .aspects = {kPlain}};
}

// --- Routes ---

std::uint32_t metric_of(const rtnl::RouteFields& route) {
  const std::uint32_t metric = route.metric.value_or(0);
  return metric == 0 && route.destination.family() == Family::V6 ? kDefaultMetricV6 : metric;
}

bool is_bad_prefix(const rtnl::RouteFields& route) {
  if (route.length > address_bits(route.destination.family())) {
    return true;
  }
  return route.destination.family() == Family::V4 &&
         IpPrefix::containing(route.destination, route.length).base() != route.destination;
}

bool same_nexthop(const rtnl::RouteFields& asked, const Route& there, bool absent_is_any) {
  const auto same = [&](const auto& wanted, const auto& found) {
    return wanted == found || (absent_is_any && !wanted);
  };
  return same(asked.device, there.device) && same(asked.gateway, there.gateway) &&
         ((absent_is_any && asked.type == 0) ||
          asked.type == static_cast<std::uint8_t>(there.type));
}

std::string_view route_state(const rtnl::RouteFields& asked, const StateView& before,
                             bool is_delete) {
  if (asked.device && asked.device->value != 0) {
    const Link* link = before.link(*asked.device);
    if (link == nullptr) {
      return "no device";
    }
    if (!link->up) {
      return "device down";
    }
  }
  if (is_bad_prefix(asked)) {
    return "bad prefix";
  }
  const IpPrefix prefix = IpPrefix::containing(asked.destination, asked.length);
  std::size_t of_prefix = 0;
  std::size_t rivals = 0;
  bool same = false;
  for (const RouteRecord* record : before.routes) {
    const Route& there = record->route;
    if (there.table != asked.table || there.destination != prefix || record->tos != asked.tos) {
      continue;
    }
    ++of_prefix;
    if (there.metric == metric_of(asked) || (is_delete && asked.metric.value_or(0) == 0)) {
      ++rivals;
      same |= same_nexthop(asked, there, is_delete);
    }
  }
  if (rivals == 0) {
    return of_prefix == 0 ? "absent" : "other metric";
  }
  if (rivals == 1) {
    return same ? "same" : "other";
  }
  return same ? "same of several" : "other of several";
}

void add_route_aspects(const rtnl::RouteFields& route, Names& aspects) {
  add_present(route, aspects);
  if ((route.route_flags & kNexthopOnlink) != 0) {
    aspects.emplace_back("onlink");
  }
  if (route.type == static_cast<std::uint8_t>(RouteType::Unreachable) ||
      route.type == static_cast<std::uint8_t>(RouteType::Blackhole)) {
    aspects.emplace_back("refusing");
  }
  if (route.table != kRouteTableMain) {
    aspects.emplace_back("other table");
  }
  if (route.scope != 0) {
    aspects.emplace_back("scope");
  }
  if (route.protocol != 0) {
    aspects.emplace_back("protocol");
  }
}

constexpr std::string_view kRouteAspects[] = {"onlink", "refusing", "other table", "scope",
                                              "protocol"};

Situation judge(const rtnl::NewRoute& request, const StateView& before) {
  Situation situation{
      .operation = by_family(request.route.destination, "new-route inet", "new-route inet6"),
      .state = route_state(request.route, before, false),
      .aspects = {flags_aspect(request.flags)}};
  add_route_aspects(request.route, situation.aspects);
  return situation;
}

Situation judge(const rtnl::DelRoute& request, const StateView& before) {
  Situation situation{
      .operation = by_family(request.route.destination, "del-route inet", "del-route inet6"),
      .state = route_state(request.route, before, true),
      .aspects = {kPlain}};
  add_route_aspects(request.route, situation.aspects);
  return situation;
}

// --- Neighbours ---

// The state alone, by what matters most where several bits are set.
std::string_view state_name(const NeighbourRecord& record) {
  const std::uint16_t state = record.neighbour.state;
  if ((record.neighbour.flags & kNtfExtLearned) != 0) {
    return "learned";
  }
  constexpr std::pair<std::uint16_t, std::string_view> kNames[] = {
      {kNudPermanent, "permanent"},   {kNudNoarp, "noarp"},  {kNudReachable, "reachable"},
      {kNudStale, "stale"},           {kNudDelay, "delay"},  {kNudProbe, "probe"},
      {kNudIncomplete, "incomplete"}, {kNudFailed, "failed"}};
  for (const auto& [bit, name] : kNames) {
    if ((state & bit) != 0) {
      return name;
    }
  }
  return "none";
}

std::string_view neighbour_state(IfIndex device, const IpAddress& address,
                                 const StateView& before) {
  if (before.link(device) == nullptr) {
    return "no device";
  }
  const NeighbourRecord* record = before.neighbour(device, address);
  return record == nullptr ? "absent" : state_name(*record);
}

std::string_view with_lladdr(std::string_view state, bool same) {
  constexpr std::array<std::array<std::string_view, 3>, 3> kNames{
      {{"reachable", "reachable, same", "reachable, other"},
       {"noarp", "noarp, same", "noarp, other"},
       {"permanent", "permanent, same", "permanent, other"}}};
  for (const auto& [plain, same_name, other_name] : kNames) {
    if (plain == state) {
      return same ? same_name : other_name;
    }
  }
  return state;
}

Situation judge(const rtnl::NewNeigh& request, const StateView& before) {
  std::string_view state = neighbour_state(request.device, request.address, before);
  if (const auto* there = before.neighbour(request.device, request.address)) {
    const auto& lladdr = there->neighbour.lladdr;
    state = with_lladdr(state,
                        !request.lladdr || (lladdr && rtnl::LinkLayer(*lladdr) == *request.lladdr));
  }
  Situation situation{.operation = by_family(request.address, "new-neigh inet", "new-neigh inet6"),
                      .state = state,
                      .aspects = {flags_aspect(request.flags)}};
  add_present(request, situation.aspects);
  if (!request.lladdr) {
    situation.aspects.emplace_back("no lladdr");
  }
  if ((request.ntf & kNtfExtLearned) != 0) {
    situation.aspects.emplace_back("ext_learned");
  }
  return situation;
}

Situation judge(const rtnl::DelNeigh& request, const StateView& before) {
  return {.operation = by_family(request.address, "del-neigh inet", "del-neigh inet6"),
          .state = neighbour_state(request.device, request.address, before),
          .aspects = {(request.flags & rtnl::kBulk) != 0 ? "bulk" : kPlain}};
}

Situation judge(const rtnl::GetNeigh& request, const StateView& before) {
  return {.operation = by_family(request.address, "get-neigh inet", "get-neigh inet6"),
          .state = neighbour_state(request.device, request.address, before),
          .aspects = {kPlain}};
}

// --- The FDB ---

// Null: the state is settled without looking at entries, and returned in `state`.
std::optional<MacAddress> fdb_mac(IfIndex device, const std::optional<rtnl::LinkLayer>& lladdr,
                                  const StateView& before, std::string_view& state) {
  const Link* link = before.link(device);
  if (link == nullptr) {
    state = "no device";
  } else if (link->kind != "vxlan") {
    state = "not a vxlan";
  } else if (!lladdr || lladdr->bytes.size() != 6) {
    state = "bad lladdr";
  } else {
    MacAddress mac;
    std::copy(lladdr->bytes.begin(), lladdr->bytes.end(), mac.bytes.begin());
    return mac;
  }
  return std::nullopt;
}

std::string_view unicast_state(const FdbRecord& there, bool same) {
  if ((there.entry.flags & kNtfExtLearned) != 0) {
    return same ? "learned, same" : "learned, other";
  }
  if ((there.entry.state & kNudPermanent) != 0) {
    return same ? "permanent, same" : "permanent, other";
  }
  if ((there.entry.state & kNudNoarp) != 0) {
    return same ? "static, same" : "static, other";
  }
  return same ? "dynamic, same" : "dynamic, other";
}

std::string_view fdb_state(IfIndex device, const std::optional<rtnl::LinkLayer>& lladdr,
                           const std::optional<IpAddress>& dst, const StateView& before) {
  std::string_view state;
  const std::optional<MacAddress> mac = fdb_mac(device, lladdr, before, state);
  if (!mac) {
    return state;
  }
  const bool several_allowed = (mac->bytes[0] & 1U) != 0 || *mac == MacAddress{};
  const std::vector<const FdbRecord*> there = before.fdb_of(device, *mac);
  if (there.empty()) {
    return several_allowed ? "absent, zero or multicast" : "absent";
  }
  const bool same = !dst || std::any_of(there.begin(), there.end(), [&](const FdbRecord* record) {
    return record->entry.dst == dst;
  });
  if (there.size() > 1) {
    return same ? "several, same" : "several, other";
  }
  if (several_allowed) {
    return same ? "one of several, same" : "one of several, other";
  }
  return unicast_state(*there.front(), same);
}

Situation judge(const rtnl::NewFdb& request, const StateView& before) {
  Situation situation{.operation = "new-fdb",
                      .state = fdb_state(request.device, request.lladdr, request.dst, before),
                      .aspects = {flags_aspect(request.flags)}};
  add_present(request, situation.aspects);
  if ((request.ntf & kNtfExtLearned) != 0) {
    situation.aspects.emplace_back("ext_learned");
  }
  if (request.state == kNudReachable) {
    situation.aspects.emplace_back("dynamic");
  }
  return situation;
}

Situation judge(const rtnl::DelFdb& request, const StateView& before) {
  Situation situation{.operation = "del-fdb",
                      .state = fdb_state(request.device, request.lladdr, request.dst, before),
                      .aspects = {kPlain}};
  if ((request.flags & rtnl::kBulk) != 0) {
    const Link* link = before.link(request.device);
    const auto entries = std::count_if(
        before.fdb.begin(), before.fdb.end(),
        [&](const FdbRecord* record) { return record->entry.device == request.device; });
    situation.operation = "flush-fdb";
    situation.state = link == nullptr         ? "no device"
                      : link->kind != "vxlan" ? "not a vxlan"
                      : entries == 0          ? "empty"
                                              : "entries";
  }
  add_present(request, situation.aspects);
  return situation;
}

Situation judge(const rtnl::GetFdb& request, const StateView& before) {
  return {.operation = "get-fdb",
          .state = fdb_state(request.device, request.lladdr, std::nullopt, before),
          .aspects = {kPlain}};
}

// --- Parameters, datagrams ---

Situation judge(const rtnl::SetNeighTable& request, const StateView& before) {
  const Link* link = before.link(request.device);
  Situation situation{
      .operation = request.family == Family::V4 ? "set-neigh-table inet" : "set-neigh-table inet6",
      .state = link == nullptr         ? "no device"
               : link->kind != "vxlan" ? "other"
               : link->up              ? "vxlan up"
                                       : "vxlan down",
      .aspects = {kPlain}};
  add_present(request, situation.aspects);
  return situation;
}

Situation judge(const SendDatagram& action, const StateView& before) {
  Situation situation{.operation = by_family(action.to, "send inet", "send inet6"),
                      .state = "no route",
                      .aspects = {kPlain}};
  if (const RouteRecord* record = before.route_to(action.to)) {
    const Route& route = record->route;
    if (route.type != RouteType::Unicast) {
      situation.state = route.type == RouteType::Local ? "local" : "refused";
    } else if (route.device) {
      situation.state = neighbour_state(*route.device, route.gateway.value_or(action.to), before);
      if (situation.state == "no device") {
        situation.state = "absent";  // a gateway of a family that the device does not speak now
      }
    }
  }
  return situation;
}

// --- Frames ---

// Who the frame says that it comes from, and how.
struct Claim {
  std::string_view operation;
  IpAddress who;
  std::optional<MacAddress> mac;
  std::string_view aspect;
};

std::optional<Claim> claim_of(const ArpPacket& arp, const Link& receiver, const StateView& before) {
  const bool for_us =
      std::any_of(before.addresses.begin(), before.addresses.end(), [&](const auto* record) {
        return record->address.device == receiver.index && record->address.address == arp.target;
      });
  return Claim{.operation = "hear arp",
               .who = arp.sender,
               .mac = arp.sender_mac,
               .aspect = arp.sender == arp.target             ? "gratuitous"
                         : arp.operation == ArpPacket::kReply ? "reply"
                         : for_us                             ? "request for us"
                                                              : "request for others"};
}

std::optional<Claim> claim_of(const IpPacket& packet) {
  const auto* message = std::get_if<NdMessage>(&packet.payload);
  if (message == nullptr) {
    return std::nullopt;
  }
  if (message->kind == NdMessage::Kind::Solicit) {
    return Claim{.operation = "hear solicitation",
                 .who = packet.source,
                 .mac = message->link_layer,
                 .aspect = packet.destination.is_multicast() ? "to a group" : "to us"};
  }
  const bool override_flag = (message->flags & NdMessage::kOverride) != 0;
  const bool solicited = (message->flags & NdMessage::kSolicited) != 0;
  return Claim{.operation = "hear advertisement",
               .who = message->target,
               .mac = message->link_layer,
               .aspect = override_flag && solicited ? "solicited override"
                         : override_flag            ? "override"
                         : solicited                ? "solicited"
                                                    : kPlain};
}

Situation judge(const Inject& action, const StateView& before) {
  const std::optional<Heard> heard = heard_by(action, before);
  const Link* receiver = heard ? before.link(heard->device) : nullptr;
  if (receiver == nullptr) {
    return {};
  }
  const auto* arp = std::get_if<ArpPacket>(&heard->frame.payload);
  const auto* packet = std::get_if<IpPacket>(&heard->frame.payload);
  const std::optional<Claim> claim = arp != nullptr      ? claim_of(*arp, *receiver, before)
                                     : packet != nullptr ? claim_of(*packet)
                                                         : std::nullopt;
  if (!claim) {
    return {};
  }
  std::string_view state = neighbour_state(heard->device, claim->who, before);
  if (const auto* there = before.neighbour(heard->device, claim->who)) {
    state = with_lladdr(state, !claim->mac || there->neighbour.lladdr == claim->mac);
  }
  return {.operation = claim->operation, .state = state, .aspects = {claim->aspect}};
}

template <typename Other>
Situation judge(const Other& /*action*/, const StateView& /*before*/) {
  return {};
}

// --- The table of all operations ---

Names joined(std::initializer_list<Names> parts) {
  Names names;
  for (const Names& part : parts) {
    names.insert(names.end(), part.begin(), part.end());
  }
  return names;
}

Names without(Names names, const Names& unwanted) {
  std::erase_if(names, [&](std::string_view name) {
    return std::find(unwanted.begin(), unwanted.end(), name) != unwanted.end();
  });
  return names;
}

void add_links(std::vector<Operation>& all) {
  const Names flags(kFlagNames.begin(), kFlagNames.end());
  const Names optional = joined({optional_fields<rtnl::NewLink>(), {"to up", "to down"}});
  const Names vxlan_only{"vni",      "port", "local",  "remote", "underlay",
                         "learning", "ttl",  "tos",    "ageing", "limit",
                         "proxy",    "rsc",  "l2miss", "l3miss", "external"};
  const Names veth_only{"peer_name", "peer_mac"};
  all.push_back({"new-link vxlan",
                 {"absent", "name taken", "vni taken", "up", "down"},
                 joined({flags, without(optional, veth_only)})});
  all.push_back({"new-link bridge",
                 {"absent", "name taken", "up", "down"},
                 joined({flags, without(optional, joined({vxlan_only, veth_only}))})});
  all.push_back({"new-link veth",
                 {"absent", "name taken", "peer taken", "up", "down"},
                 joined({flags, without(optional, vxlan_only)})});
  all.push_back({"new-link other",
                 {"absent", "up", "down"},
                 joined({flags, without(optional, joined({vxlan_only, veth_only, {"kind"}}))})});
  all.push_back({"del-link",
                 {"absent", "vxlan up", "vxlan down", "bridge up", "bridge down", "veth up",
                  "veth down", "other"},
                 {"by index", "by name"}});
}

void add_addresses(std::vector<Operation>& all) {
  const Names flags(kFlagNames.begin(), kFlagNames.end());
  const Names states{"no device", "bad length",   "absent, up", "absent, down",
                     "same",      "other length", "elsewhere"};
  const Names optional = joined({optional_fields<rtnl::NewAddr>(), {"noprefixroute"}});
  all.push_back({"new-addr inet", joined({states, {"same subnet"}}), joined({flags, optional})});
  all.push_back(
      {"new-addr inet6", states, joined({flags, without(optional, {"broadcast", "label"})})});
  const Names there{"no device", "absent", "other length", "last", "one of several"};
  all.push_back({"del-addr inet", joined({there, {"secondary"}}), {kPlain}});
  all.push_back({"del-addr inet6", there, {kPlain}});
}

void add_routes(std::vector<Operation>& all) {
  const Names flags(kFlagNames.begin(), kFlagNames.end());
  const Names states{"no device", "device down",     "bad prefix",
                     "absent",    "other metric",    "same",
                     "other",     "same of several", "other of several"};
  const Names aspects = joined({optional_fields<rtnl::RouteFields>(),
                                Names(std::begin(kRouteAspects), std::end(kRouteAspects))});
  all.push_back({"new-route inet", states, joined({flags, aspects})});
  all.push_back({"new-route inet6", states, joined({flags, aspects})});
  all.push_back({"del-route inet", states, joined({{kPlain}, aspects})});
  all.push_back({"del-route inet6", states, joined({{kPlain}, aspects})});
}

void add_neighbours(std::vector<Operation>& all) {
  const Names flags(kFlagNames.begin(), kFlagNames.end());
  const Names common{"no device", "absent", "none",  "incomplete", "failed",
                     "stale",     "delay",  "probe", "learned"};
  const Names plain = joined({common, {"reachable", "noarp", "permanent"}});
  const Names with_address = joined({common,
                                     {"reachable, same", "reachable, other", "noarp, same",
                                      "noarp, other", "permanent, same", "permanent, other"}});
  const Names aspects =
      joined({flags, optional_fields<rtnl::NewNeigh>(), {"no lladdr", "ext_learned"}});
  all.push_back({"new-neigh inet", with_address, aspects});
  all.push_back({"new-neigh inet6", with_address, aspects});
  all.push_back({"del-neigh inet", plain, {kPlain, "bulk"}});
  all.push_back({"del-neigh inet6", plain, {kPlain, "bulk"}});
  all.push_back({"get-neigh inet", plain, {kPlain}});
  all.push_back({"get-neigh inet6", plain, {kPlain}});
  const Names heard = without(with_address, {"no device"});
  all.push_back(
      {"hear arp", heard, {"request for us", "request for others", "reply", "gratuitous"}});
  all.push_back({"hear solicitation", heard, {"to us", "to a group"}});
  all.push_back(
      {"hear advertisement", heard, {kPlain, "solicited", "override", "solicited override"}});
  const Names routed = joined({{"no route", "refused", "local"}, plain});
  all.push_back({"send inet", without(routed, {"no device"}), {kPlain}});
  all.push_back({"send inet6", without(routed, {"no device"}), {kPlain}});
}

void add_fdb(std::vector<Operation>& all) {
  const Names flags(kFlagNames.begin(), kFlagNames.end());
  const Names states{"no device",
                     "not a vxlan",
                     "bad lladdr",
                     "absent",
                     "absent, zero or multicast",
                     "permanent, same",
                     "permanent, other",
                     "static, same",
                     "static, other",
                     "dynamic, same",
                     "dynamic, other",
                     "learned, same",
                     "learned, other",
                     "one of several, same",
                     "one of several, other",
                     "several, same",
                     "several, other"};
  all.push_back({"new-fdb", states,
                 joined({flags, optional_fields<rtnl::NewFdb>(), {"ext_learned", "dynamic"}})});
  // The masks are a flush's alone.
  const Names filters = optional_fields<rtnl::DelFdb>();
  all.push_back(
      {"del-fdb", states, joined({{kPlain}, without(filters, {"state_mask", "ntf_mask"})})});
  all.push_back(
      {"flush-fdb", {"no device", "not a vxlan", "empty", "entries"}, joined({{kPlain}, filters})});
  Names found = states;
  std::erase_if(found, [](std::string_view name) { return name.ends_with(", other"); });
  all.push_back({"get-fdb", found, {kPlain}});
}

}  // namespace

Situation situation_of(const Action& action, const StateView& before) {
  if (const auto* request = std::get_if<rtnl::Request>(&action)) {
    return std::visit([&](const auto& kind) { return judge(kind, before); }, *request);
  }
  return std::visit([&](const auto& kind) { return judge(kind, before); }, action);
}

std::string_view flags_aspect(std::uint16_t flags) {
  return kFlagNames[(unsigned{flags} >> 8U) & 0xfU];
}

const std::vector<Operation>& all_operations() {
  static const std::vector<Operation> kAll = [] {
    std::vector<Operation> all;
    add_links(all);
    add_addresses(all);
    add_routes(all);
    add_neighbours(all);
    add_fdb(all);
    const Names parameters = joined({{kPlain}, optional_fields<rtnl::SetNeighTable>()});
    const Names devices{"no device", "other", "vxlan up", "vxlan down"};
    all.push_back({"set-neigh-table inet", devices, parameters});
    all.push_back({"set-neigh-table inet6", devices, parameters});
    return all;
  }();
  return kAll;
}

}  // namespace vxmesh::fidelity
