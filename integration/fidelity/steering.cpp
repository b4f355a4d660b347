#include "integration/fidelity/steering.h"

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "integration/fidelity/frame_maker.h"
#include "integration/fidelity/unsuited.h"
#include "sim/kernel/field_text.h"

namespace vxmesh::fidelity {
namespace {

using rtnl::Request;

constexpr int kDraws = 40;  // of an action that shall meet a cell
constexpr int kGoals = 6;   // cells that are tried before one is prepared for
constexpr IfIndex kNoSuchDevice{99};
constexpr IfIndex kLoopback{1};

Family family_of(std::string_view operation) {
  const bool is_v6 = operation.ends_with("inet6") || operation == "hear solicitation" ||
                     operation == "hear advertisement";
  return is_v6 ? Family::V6 : Family::V4;
}

// An action of the cell's operation, whatever it meets.
Action draw_action(std::string_view operation, std::string_view state, const RequestMaker& maker,
                   const StateView& view) {
  const Family family = family_of(operation);
  if (operation.starts_with("new-link")) {
    const bool creates = state == "absent" || state.ends_with("taken");
    if (!creates || operation == "new-link other") {
      return Request(maker.change_link());
    }
    return Request(maker.create_link(operation == "new-link vxlan"    ? rtnl::Kind::Vxlan
                                     : operation == "new-link bridge" ? rtnl::Kind::Bridge
                                                                      : rtnl::Kind::Veth));
  }
  if (operation == "del-link") {
    return Request(maker.del_link());
  }
  if (operation.starts_with("new-addr")) {
    return Request(maker.new_addr(family));
  }
  if (operation.starts_with("del-addr")) {
    return Request(maker.del_addr(family));
  }
  if (operation.starts_with("new-route")) {
    return Request(maker.new_route(family));
  }
  if (operation.starts_with("del-route")) {
    return Request(maker.del_route(family));
  }
  if (operation.starts_with("new-neigh")) {
    return Request(maker.new_neigh(family));
  }
  if (operation.starts_with("del-neigh")) {
    return Request(maker.del_neigh(family));
  }
  if (operation.starts_with("get-neigh")) {
    return Request(maker.get_neigh(family));
  }
  if (operation == "new-fdb") {
    return Request(maker.new_fdb());
  }
  if (operation == "get-fdb") {
    return Request(maker.get_fdb());
  }
  if (operation.ends_with("-fdb")) {
    rtnl::DelFdb request = maker.del_fdb();
    request.flags = operation == "flush-fdb" ? std::uint16_t{rtnl::kBulk} : std::uint16_t{0};
    return Request(request);
  }
  if (operation.starts_with("send")) {
    return maker.send(family);
  }
  if (operation.starts_with("hear")) {
    return FrameMaker(maker, view).resolve(family);
  }
  return Request(maker.set_neigh_table(family));
}

// --- Saying what the cell's aspect says ---

std::uint64_t some_number(std::string_view field, const Draw& draw) {
  struct Numbers {
    std::string_view field;
    std::uint64_t one;
    std::uint64_t other;
  };
  constexpr Numbers kNumbers[] = {{"mtu", 1400, 1000},
                                  {"group", pool::kGroup, 5},
                                  {"rp_filter", 0, 2},
                                  {"vni", 1, 2},
                                  {"port", 4789, 8472},
                                  {"ttl", 64, 0},
                                  {"tos", 16, 0},
                                  {"ageing", 600, 300},
                                  {"limit", 2, 0},
                                  {"metric", 1, 0},
                                  {"protocol", 187, 4},
                                  {"ext_flags", 0, 2},
                                  {"address_flags", 0x200, 2},
                                  {"state_mask", 0x80, 0x40},
                                  {"ntf_mask", 0x10, 0x80},
                                  {"source_vni", 1, 1},
                                  {"app_probes", 1, 0},
                                  {"ucast_probes", 3, 0},
                                  {"mcast_probes", 3, 0},
                                  {"mcast_reprobes", 1, 0},
                                  {"queue_bytes", 65536, 131072}};
  for (const Numbers& numbers : kNumbers) {
    if (numbers.field == field) {
      return draw.chance(60) ? numbers.one : numbers.other;
    }
  }
  return draw.chance(60) ? 60000 : 30000;  // the neighbour tables' times, in milliseconds
}

template <typename Value>
void draw_value(std::string_view field, std::optional<Value>& value, const RequestMaker& maker) {
  const Draw& draw = maker.draw();
  if constexpr (std::is_same_v<Value, bool>) {
    value = draw.chance(50);
  } else if constexpr (std::is_same_v<Value, IfIndex>) {
    value = maker.device(field == "master" ? "bridge" : "");
  } else if constexpr (std::is_same_v<Value, IpAddress>) {
    const Family family = draw.chance(60) ? Family::V4 : Family::V6;
    value =
        draw.chance(60) ? draw.of(pool::addresses(family)) : draw.of(pool::destinations(family));
  } else if constexpr (std::is_same_v<Value, rtnl::LinkLayer>) {
    value = rtnl::LinkLayer(draw.of(pool::macs()));
  } else if constexpr (std::is_same_v<Value, std::string>) {
    value = field == "label" ? "vxlan1:a" : std::string(draw.of(pool::kVethNames));
  } else if constexpr (std::is_same_v<Value, rtnl::Kind>) {
    value = maker.kind();
  } else {
    value = static_cast<Value>(some_number(field, draw));
  }
}

template <typename Fields>
void add_field(Fields& request, std::string_view field, const RequestMaker& maker) {
  Fields::fields(request, [&](std::string_view name, auto& member) {
    if constexpr (rtnl::IsOptional<std::decay_t<decltype(member)>>::value) {
      if (name == field && !member) {
        draw_value(name, member, maker);
      }
    }
  });
}

std::optional<std::uint16_t> flags_of(std::string_view aspect) {
  for (unsigned bits = 0; bits < 16; ++bits) {
    const auto flags = static_cast<std::uint16_t>(bits << 8U);
    if (flags_aspect(flags) == aspect) {
      return flags;
    }
  }
  return std::nullopt;
}

struct SayAspect {
  std::string_view aspect;
  const RequestMaker& maker;

  void operator()(rtnl::NewLink& request) const {
    if (aspect == "to up" || aspect == "to down") {
      request.up = aspect == "to up";
    }
    say(request);
    // Attributes of a kind are nothing without the kind.
    const bool is_vxlan = request.vni || request.port || request.local || request.remote ||
                          request.underlay || request.learning || request.ttl || request.tos ||
                          request.ageing || request.limit;
    if (is_vxlan && !request.kind) {
      request.kind = rtnl::Kind::Vxlan;
    } else if ((request.peer_name || request.peer_mac) && !request.kind) {
      request.kind = rtnl::Kind::Veth;
    }
    // The kernel would draw what is not said (unsuited.h).
    if (request.kind && (request.flags & rtnl::kCreate) != 0 && !request.mac) {
      request.mac = rtnl::LinkLayer(maker.draw().of(pool::macs()));
    }
    if (request.kind == rtnl::Kind::Veth && !request.peer_mac) {
      request.peer_mac = rtnl::LinkLayer(maker.draw().of(pool::macs()));
    }
  }
  void operator()(rtnl::NewAddr& request) const {
    if (aspect == "noprefixroute") {
      request.address_flags = request.address_flags.value_or(0) | kAddressNoPrefixRoute;
    }
    say(request);
  }
  void operator()(rtnl::NewRoute& request) const {
    say_route(request.route);
    if (const auto flags = flags_of(aspect)) {
      request.flags = *flags;
    }
  }
  void operator()(rtnl::DelRoute& request) const { say_route(request.route); }
  void operator()(rtnl::NewNeigh& request) const {
    if (aspect == "no lladdr") {
      request.lladdr.reset();
    } else if (aspect == "ext_learned") {
      request.ntf |= kNtfExtLearned;
    }
    say(request);
  }
  void operator()(rtnl::DelNeigh& request) const {
    request.flags = aspect == "bulk" ? std::uint16_t{rtnl::kBulk} : std::uint16_t{0};
  }
  void operator()(rtnl::NewFdb& request) const {
    if (aspect == "ext_learned") {
      request.ntf |= kNtfExtLearned;
    } else if (aspect == "dynamic") {
      request.state = kNudReachable;
    }
    say(request);
  }
  template <typename Other>
  void operator()(Other& request) const {
    add_field(request, aspect, maker);
  }

 private:
  template <typename New>
  void say(New& request) const {
    add_field(request, aspect, maker);
    if (const auto flags = flags_of(aspect)) {
      request.flags = *flags;
    }
  }

  void say_route(rtnl::RouteFields& route) const {
    if (aspect == "onlink") {
      route.route_flags = kNexthopOnlink;
    } else if (aspect == "refusing") {
      route.type = static_cast<std::uint8_t>(RouteType::Unreachable);
    } else if (aspect == "other table") {
      route.table = 100;
    } else if (aspect == "scope") {
      route.scope = 253;
    } else if (aspect == "protocol") {
      route.protocol = 187;
    }
    add_field(route, aspect, maker);
  }
};

// --- Addressing what the cell's state says ---

// States that are wrong requests rather than entries; maker draws these too rarely.
struct SayState {
  std::string_view state;

  template <typename Fields>
  void operator()(Fields& request) const {
    if constexpr (requires { request.route; }) {
      if (state == "no device") {
        request.route.device = kNoSuchDevice;
      } else if (state == "bad prefix") {
        request.route.length = 129;
      }
    } else if constexpr (requires { request.device; }) {
      if (state == "no device") {
        request.device = kNoSuchDevice;
      } else if (state == "not a vxlan") {
        request.device = kLoopback;
      }
    }
    if constexpr (requires {
                    request.local.family();
                    request.length;
                  }) {
      if (state == "bad length") {
        request.length = 129;
      }
    }
    if constexpr (requires { request.lladdr->bytes; }) {
      if (state == "bad lladdr") {
        request.lladdr.emplace().bytes = {0x00, 0x53, 0x64, 0x60};
      }
    }
    if constexpr (std::is_same_v<Fields, rtnl::NewLink> || std::is_same_v<Fields, rtnl::DelLink>) {
      if (state == "absent" && request.device.value != 0) {
        request.device = kNoSuchDevice;
      }
    }
  }
};

bool meets(const Action& action, const Cell& cell, const StateView& state) {
  const Situation situation = situation_of(action, state);
  return situation.operation == cell.operation && situation.state == cell.state &&
         std::find(situation.aspects.begin(), situation.aspects.end(), cell.aspect) !=
             situation.aspects.end() &&
         !unsuited(action, state);
}

std::optional<Action> try_cell(const Cell& cell, const RequestMaker& maker,
                               const StateView& state) {
  for (int i = 0; i < kDraws; ++i) {
    Action action = draw_action(cell.operation, cell.state, maker, state);
    if (auto* request = std::get_if<Request>(&action)) {
      if (cell.operation == "new-link other" || cell.state == "other" || cell.state == "up" ||
          cell.state == "down") {
        if (auto* link = std::get_if<rtnl::NewLink>(request);
            link != nullptr && cell.operation == "new-link other") {
          link->device = kLoopback;
        }
      }
      std::visit(SayState{cell.state}, *request);
      std::visit(SayAspect{cell.aspect, maker}, *request);
    }
    if (meets(action, cell, state)) {
      return action;
    }
  }
  return std::nullopt;
}

// --- Making what the cell's state needs ---

const Link* find_kind(const StateView& state, std::string_view kind) {
  for (const LinkRecord* record : state.links) {
    if (record->link.kind == kind) {
      return &record->link;
    }
  }
  return nullptr;
}

// A device of the kind that is up, or down; nullopt if there is one.
std::optional<Action> prepare_link(rtnl::Kind kind, bool up, const RequestMaker& maker,
                                   const StateView& state) {
  const std::string name = rtnl::value_text("kind", kind);
  const Link* there = find_kind(state, name);
  if (there == nullptr) {
    rtnl::NewLink request = maker.create_link(kind);
    request.flags = rtnl::kCreate | rtnl::kExcl;
    request.up = up;
    return Request(request);
  }
  if (there->up != up) {
    return Request(rtnl::NewLink{.device = there->index, .up = up});
  }
  return std::nullopt;
}

std::uint16_t nud_of(std::string_view state) {
  constexpr std::pair<std::string_view, std::uint16_t> kNames[] = {
      {"permanent", kNudPermanent},          {"noarp", kNudNoarp},
      {"reachable", kNudReachable},          {"stale", kNudStale},
      {"incomplete", kNudIncomplete},        {"failed", kNudFailed},
      {"static", kNudNoarp | kNudReachable}, {"dynamic", kNudReachable}};
  for (const auto& [name, bits] : kNames) {
    if (state.starts_with(name)) {
      return bits;
    }
  }
  return kNudPermanent;
}

Action prepare_neighbour(std::string_view state_name, Family family, const RequestMaker& maker) {
  rtnl::NewNeigh request = maker.new_neigh(family);
  request.flags = rtnl::kCreate | rtnl::kReplace;
  request.address = maker.draw().of(pool::addresses(family));
  request.state = nud_of(state_name);
  request.ntf = state_name.starts_with("learned") ? kNtfExtLearned : 0;
  request.lladdr = rtnl::LinkLayer(maker.draw().of(pool::macs()));
  request.ext_flags.reset();
  if (state_name == "none") {
    request.lladdr.reset();  // refused, but the entry stays (neigh_add, neigh_update)
    request.state = kNudReachable;
  }
  return Request(request);
}

// STALE becomes DELAY by a datagram that is sent there.
Action prepare_delay(Family family, const RequestMaker& maker, const StateView& state,
                     const Link& device) {
  const bool has_source =
      std::any_of(state.addresses.begin(), state.addresses.end(), [&](const auto* record) {
        return record->address.address.family() == family && record->address.scope == 0 &&
               (record->flags & kAddressTentative) == 0;
      });
  if (!has_source) {
    return Request(rtnl::NewAddr{.flags = rtnl::kCreate | rtnl::kReplace,
                                 .device = device.index,
                                 .local = pool::addresses(family)[0],
                                 .length = address_bits(family),
                                 .address_flags = kAddressNoPrefixRoute | kAddressNoDad});
  }
  const IpAddress& peer = pool::addresses(family)[2];
  const RouteRecord* route = state.route_to(peer);
  if (route == nullptr || route->route.device != device.index || route->route.gateway) {
    return Request(rtnl::NewRoute{
        .flags = rtnl::kCreate | rtnl::kReplace,
        .route = {.destination = peer,
                  .length = address_bits(family),
                  .scope = family == Family::V4 ? std::uint8_t{253} : std::uint8_t{0},
                  .device = device.index}});
  }
  const NeighbourRecord* there = state.neighbour(device.index, peer);
  if (there != nullptr && there->neighbour.state == kNudStale) {
    return SendDatagram{.to = peer};
  }
  return Request(rtnl::NewNeigh{.flags = rtnl::kCreate | rtnl::kReplace,
                                .device = device.index,
                                .address = peer,
                                .state = kNudStale,
                                .lladdr = rtnl::LinkLayer(maker.draw().of(pool::macs()))});
}

Action prepare_fdb(std::string_view state_name, const RequestMaker& maker) {
  rtnl::NewFdb request = maker.new_fdb();
  const bool several = state_name.find("several") != std::string_view::npos;
  request.flags = rtnl::kCreate | (several ? rtnl::kAppend : rtnl::kReplace);
  request.state = nud_of(state_name);
  request.ntf = state_name.starts_with("learned") ? kNtfSelf | kNtfExtLearned : kNtfSelf;
  request.port.reset();
  request.vni.reset();
  request.underlay.reset();
  request.lladdr = several ? MacAddress{} : maker.draw().of(pool::macs());
  return Request(request);
}

Action prepare_route(Family family, const RequestMaker& maker) {
  rtnl::NewRoute request = maker.new_route(family);
  request.flags = rtnl::kCreate;
  return Request(request);
}

// A veth pair that is up, an address on one of its ends, and a neighbour in the state behind it.
Action prepare_hearing(std::string_view state_name, Family family, const RequestMaker& maker,
                       const StateView& state) {
  for (const LinkRecord* record : state.links) {
    const Link& link = record->link;
    const Link* peer = peer_of(link, state);
    if (peer == nullptr || link.master || peer->master) {
      continue;
    }
    if (!link.up || !peer->up) {
      return Request(rtnl::NewLink{.device = link.up ? peer->index : link.index, .up = true});
    }
    const bool has_own =
        std::any_of(state.addresses.begin(), state.addresses.end(), [&](const auto* there) {
          return there->address.device == link.index && there->address.scope == 0 &&
                 there->address.address.family() == family;
        });
    if (!has_own) {
      return Request(rtnl::NewAddr{.flags = rtnl::kCreate | rtnl::kReplace,
                                   .device = link.index,
                                   .local = pool::addresses(family).back(),
                                   .length = address_bits(family),
                                   .address_flags = kAddressNoPrefixRoute | kAddressNoDad});
    }
    if (state_name == "delay") {
      return prepare_delay(family, maker, state, link);
    }
    Action action = prepare_neighbour(state_name, family, maker);
    auto& request = std::get<rtnl::NewNeigh>(std::get<Request>(action));
    request.device = link.index;
    return action;
  }
  return Request(maker.create_link(rtnl::Kind::Veth));
}

// One step towards the cell's state.
Action prepare(const Cell& cell, const RequestMaker& maker, const StateView& state) {
  const std::string_view operation = cell.operation;
  const Family family = family_of(operation);
  const auto is = [&](std::string_view start) { return operation.starts_with(start); };
  if (is("hear")) {
    return prepare_hearing(cell.state, family, maker, state);
  }
  const rtnl::Kind kind =
      operation == "new-link bridge" || cell.state.starts_with("bridge") ? rtnl::Kind::Bridge
      : operation == "new-link veth" || cell.state.starts_with("veth")   ? rtnl::Kind::Veth
                                                                         : rtnl::Kind::Vxlan;
  const bool up = !cell.state.ends_with("down");
  if (const auto link = prepare_link(kind, up, maker, state)) {
    return *link;
  }
  if (is("new-addr") || is("del-addr")) {
    rtnl::NewAddr request = maker.new_addr(family);
    request.flags = rtnl::kCreate | rtnl::kReplace;
    return Request(request);
  }
  if (is("new-route") || is("del-route") || cell.state == "refused" || cell.state == "local") {
    return prepare_route(family, maker);
  }
  if (cell.state == "delay") {
    for (const LinkRecord* record : state.links) {
      if (record->link.kind == "vxlan" && record->link.up) {
        return prepare_delay(family, maker, state, record->link);
      }
    }
  }
  if (is("send") && maker.draw().chance(40)) {
    const IfIndex device = maker.device("vxlan");
    return Request(rtnl::NewRoute{
        .flags = rtnl::kCreate | rtnl::kReplace,
        .route = {.destination = pool::prefixes(family)[0].base(),
                  .length = pool::prefixes(family)[0].length(),
                  .scope = family == Family::V4 ? std::uint8_t{253} : std::uint8_t{0},
                  .device = device}});
  }
  if (is("new-neigh") || is("del-neigh") || is("get-neigh") || is("send")) {
    return prepare_neighbour(cell.state, family, maker);
  }
  if (operation.ends_with("fdb")) {
    return prepare_fdb(cell.state, maker);
  }
  return Request(maker.change_link());
}

}  // namespace

Steering::Steering() : failures_(all_cells().size()) {}

std::optional<Action> Steering::next(const Coverage& coverage, const RequestMaker& maker,
                                     const StateView& state) {
  if (goal_ && coverage.seen(*goal_)) {
    goal_.reset();
  }
  const std::vector<std::size_t>& unseen = coverage.unseen();
  for (int i = 0; i < kGoals && !unseen.empty(); ++i) {
    const std::size_t cell = goal_.value_or(maker.draw().of(unseen));
    if (std::optional<Action> action = try_cell(all_cells()[cell], maker, state)) {
      goal_.reset();
      return action;
    }
    if (goal_) {
      break;
    }
    if (i == kGoals - 1 && maker.draw().prng.chance(1, 1 + failures_[cell])) {
      goal_ = cell;
      preparations_ = 0;
    }
  }
  if (goal_ && ++preparations_ > kMaxPreparations) {
    ++failures_[*goal_];
    goal_.reset();
  }
  return goal_ ? std::optional(prepare(all_cells()[*goal_], maker, state)) : std::nullopt;
}

}  // namespace vxmesh::fidelity
