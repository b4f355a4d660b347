#include "integration/fidelity/shapes.h"

#include <string>
#include <utility>

namespace vxmesh::fidelity {
namespace {

using rtnl::Request;

constexpr std::uint16_t kMake = rtnl::kCreate | rtnl::kExcl;
constexpr std::uint16_t kSet = rtnl::kCreate | rtnl::kReplace;

IfIndex index_of(const StateView& state, std::string_view name) {
  const Link* link = state.link(name);
  return link != nullptr ? link->index : IfIndex{2};
}

Move make_vxlan(Family underlay, bool up) {
  return [=](const RequestMaker& maker, const StateView& /*state*/) -> Action {
    rtnl::NewLink request = maker.create_link(rtnl::Kind::Vxlan);
    request.flags = kMake;
    request.name = "vxlan1";
    request.mac = rtnl::LinkLayer(pool::macs()[0]);
    request.vni = 1;
    request.port = 4789;
    request.local = pool::addresses(underlay).back();
    request.remote.reset();
    request.learning = false;
    request.master.reset();
    request.underlay.reset();
    request.mtu = 1450;
    request.up = up ? std::optional(true) : std::nullopt;
    return Request(request);
  };
}

Move make_any_vxlan() {
  return [](const RequestMaker& maker, const StateView& /*state*/) -> Action {
    rtnl::NewLink request = maker.create_link(rtnl::Kind::Vxlan);
    request.flags = kMake;
    return Request(request);
  };
}

Move make_veth(const std::string& name, const std::string& peer, bool up) {
  return [=](const RequestMaker& maker, const StateView& /*state*/) -> Action {
    rtnl::NewLink request = maker.create_link(rtnl::Kind::Veth);
    request.flags = kMake;
    request.name = name;
    request.peer_name = peer;
    request.mac = rtnl::LinkLayer(pool::wire_macs()[0]);
    request.peer_mac = rtnl::LinkLayer(pool::wire_macs()[1]);
    request.mtu.reset();
    request.master.reset();
    request.up = up ? std::optional(true) : std::nullopt;
    return Request(request);
  };
}

Move make_bridge() {
  return [](const RequestMaker& maker, const StateView& /*state*/) -> Action {
    rtnl::NewLink request = maker.create_link(rtnl::Kind::Bridge);
    request.flags = kMake;
    request.name = "br0";
    request.mac = rtnl::LinkLayer(pool::wire_macs()[2]);
    request.mtu.reset();
    request.up = true;
    return Request(request);
  };
}

Move set_up(const std::string& name) {
  return [=](const RequestMaker& /*maker*/, const StateView& state) -> Action {
    return Request(rtnl::NewLink{.device = index_of(state, name), .up = true});
  };
}

Move enslave(const std::string& name, const std::string& master) {
  return [=](const RequestMaker& /*maker*/, const StateView& state) -> Action {
    return Request(
        rtnl::NewLink{.device = index_of(state, name), .master = index_of(state, master)});
  };
}

Move probe_by_app(Family family) {
  return [=](const RequestMaker& /*maker*/, const StateView& state) -> Action {
    return Request(rtnl::SetNeighTable{.family = family,
                                       .device = index_of(state, "vxlan1"),
                                       .app_probes = 1,
                                       .ucast_probes = 0,
                                       .mcast_probes = 0,
                                       .mcast_reprobes = 0});
  };
}

// The base address: with the overlay's mask in IPv4, alone in IPv6 (design.md 1).
Move base_address(Family family) {
  return [=](const RequestMaker& /*maker*/, const StateView& state) -> Action {
    const bool is_v4 = family == Family::V4;
    return Request(rtnl::NewAddr{
        .flags = kSet,
        .device = index_of(state, "vxlan1"),
        .local = pool::addresses(family)[0],
        .length = is_v4 ? std::uint8_t{12} : std::uint8_t{128},
        .address_flags = is_v4 ? kAddressNoPrefixRoute : kAddressNoPrefixRoute | kAddressNoDad});
  };
}

Move plain_address(const std::string& name, Family family) {
  return [=](const RequestMaker& /*maker*/, const StateView& state) -> Action {
    const bool is_v4 = family == Family::V4;
    return Request(rtnl::NewAddr{
        .flags = kSet,
        .device = index_of(state, name),
        .local = pool::addresses(family).back(),
        .length = is_v4 ? std::uint8_t{24} : std::uint8_t{64},
        .address_flags = is_v4 ? std::nullopt : std::optional<std::uint32_t>(kAddressNoDad)});
  };
}

Move overlay_route(Family family) {
  return [=](const RequestMaker& maker, const StateView& state) -> Action {
    rtnl::NewRoute request{.flags = kSet, .route = {}};
    rtnl::RouteFields& route = request.route;
    const std::size_t which = maker.draw().chance(60) ? 0 : maker.draw().chance(60) ? 1 : 2;
    route.destination = pool::prefixes(family)[which].base();
    route.length = pool::prefixes(family)[which].length();
    route.protocol = 187;
    if (which == 2) {
      route.type = static_cast<std::uint8_t>(RouteType::Unreachable);
      route.metric = kRouteMetricLast;
      return Request(request);
    }
    route.device = index_of(state, "vxlan1");
    route.scope = family == Family::V4 ? 253 : 0;
    if (maker.draw().chance(35)) {
      route.scope = 0;
      route.gateway = pool::addresses(family)[1];
      route.route_flags = kNexthopOnlink;
    }
    return Request(request);
  };
}

Move overlay_fdb(Family underlay) {
  return [=](const RequestMaker& maker, const StateView& state) -> Action {
    return Request(rtnl::NewFdb{.flags = kSet,
                                .device = index_of(state, "vxlan1"),
                                .state = kNudPermanent,
                                .ntf = kNtfSelf,
                                .lladdr = rtnl::LinkLayer(pool::macs()[1]),
                                .dst = maker.draw().of(pool::destinations(underlay))});
  };
}

Move overlay_neighbour(Family family) {
  return [=](const RequestMaker& maker, const StateView& state) -> Action {
    return Request(
        rtnl::NewNeigh{.flags = kSet,
                       .device = index_of(state, "vxlan1"),
                       .address = pool::addresses(family)[1 + maker.draw().prng.below(2)],
                       .state = kNudNoarp,
                       .ntf = kNtfExtLearned,
                       .lladdr = rtnl::LinkLayer(pool::macs()[1]),
                       .protocol = 187});
  };
}

void add_node(std::vector<Move>& moves, Prng& prng, Family inner, Family underlay) {
  moves.push_back(make_vxlan(underlay, prng.chance(50, 100)));
  if (prng.chance(60, 100)) {
    moves.push_back(probe_by_app(inner));
  }
  moves.push_back(overlay_fdb(underlay));
  moves.push_back(set_up("vxlan1"));
  moves.push_back(base_address(inner));
  for (std::uint64_t i = prng.between(1, 3); i > 0; --i) {
    moves.push_back(overlay_route(inner));
  }
  moves.push_back(overlay_neighbour(inner));
}

Move capture(const std::string& name) {
  return [=](const RequestMaker& /*maker*/, const StateView& state) -> Action {
    return Capture{.device = index_of(state, name)};
  };
}

// What a VTEP's MAC on the wire is; else the tunnel asks for it.
Move underlay_neighbour(Family family) {
  return [=](const RequestMaker& maker, const StateView& state) -> Action {
    return Request(rtnl::NewNeigh{.flags = kSet,
                                  .device = index_of(state, "veth0"),
                                  .address = maker.draw().of(pool::destinations(family)),
                                  .state = kNudPermanent,
                                  .lladdr = rtnl::LinkLayer(pool::macs()[2])});
  };
}

void add_underlay(std::vector<Move>& moves, Prng& prng, Family family) {
  const bool up = prng.chance(50, 100);
  moves.push_back(make_veth("veth0", "veth1", up));
  moves.push_back(set_up(up ? "veth1" : "veth0"));
  moves.push_back(plain_address("veth0", family));
  if (prng.chance(70, 100)) {
    moves.push_back(capture("veth1"));
  }
  moves.push_back(make_vxlan(family, true));
  moves.push_back(base_address(family));
  if (prng.chance(60, 100)) {
    moves.push_back(overlay_fdb(family));
    moves.push_back(underlay_neighbour(family));
    moves.push_back(overlay_route(family));
    moves.push_back(overlay_neighbour(family));
  }
}

void add_pods(std::vector<Move>& moves, Prng& prng) {
  moves.push_back(make_bridge());
  moves.push_back(make_veth("veth0", "veth1", true));
  moves.push_back(enslave("veth0", "br0"));
  if (prng.chance(70, 100)) {
    moves.push_back(set_up("veth1"));
    moves.push_back(capture("veth1"));
  }
  moves.push_back(make_vxlan(Family::V4, true));
  moves.push_back(prng.chance(60, 100) ? enslave("vxlan1", "br0")
                                       : plain_address("br0", Family::V4));
  moves.push_back(overlay_fdb(Family::V4));
}

}  // namespace

std::vector<Move> draw_shape(Prng& prng) {
  std::vector<Move> moves;
  const std::uint64_t drawn = prng.below(100);
  if (drawn < 30) {
    moves.push_back(make_any_vxlan());
    moves.push_back(set_up("vxlan1"));
  } else if (drawn < 60) {
    add_node(moves, prng, Family::V4, prng.chance(90, 100) ? Family::V4 : Family::V6);
  } else if (drawn < 78) {
    add_node(moves, prng, Family::V6, prng.chance(70, 100) ? Family::V4 : Family::V6);
  } else if (drawn < 86) {
    add_underlay(moves, prng, prng.chance(70, 100) ? Family::V4 : Family::V6);
  } else if (drawn < 91) {
    add_pods(moves, prng);
  }
  std::erase_if(moves, [&](const Move& /*move*/) { return prng.chance(7, 100); });
  return moves;
}

}  // namespace vxmesh::fidelity
