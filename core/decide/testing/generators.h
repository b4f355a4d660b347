// RapidCheck generators of Nodes, PodCIDRs and kernel states, small enough to collide often.
#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decide/desired_state.h"
#include "decide/plan.h"
#include "model/ownership.h"

namespace vxmesh {

// What RapidCheck prints of a counterexample; found by argument-dependent lookup.
inline void showValue(const IpAddress& address, std::ostream& out) {
  out << format(address);
}
inline void showValue(const IpPrefix& prefix, std::ostream& out) {
  out << format(prefix);
}
inline void showValue(const Node& node, std::ostream& out) {
  out << node.name << " uid " << node.uid << " created " << node.created_s;
  for (const IpPrefix& pod_cidr : node.pod_cidrs) {
    out << " " << format(pod_cidr);
  }
  for (const NodeAddress& address : node.addresses) {
    out << (address.type == NodeAddressType::InternalIp ? " internal " : " external ")
        << format(address.address);
  }
}
inline void showValue(const ActualState& actual, std::ostream& out) {
  for (const auto& [index, link] : actual.tables.links) {
    out << format(link) << "\n";
  }
  const auto show = [&](const auto& rows) {
    for (const auto& row : rows) {
      out << format(row) << "\n";
    }
  };
  show(actual.tables.addresses);
  show(actual.tables.routes);
  show(actual.tables.fdb);
  for (const auto& [address, neighbour] : actual.tables.neighbours) {
    out << format(neighbour) << "\n";
  }
}

namespace generate {

inline IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}
inline IpPrefix net(std::string_view text) {
  return IpPrefix::parse(text).value();
}

// The cluster of all generators: two overlay CIDRs of each family.
inline const OverlayConfig& config() {
  static const OverlayConfig kConfig{.cidrs = {net("100.96.0.0/12"), net("10.200.0.0/16"),
                                               net("fd00:96::/32"), net("fd00:97::/32")}};
  return kConfig;
}
inline const std::string kSelfName = "n0";

// True `percent` times of a hundred; shrinks to false.
inline bool chance(int percent) {
  return *rc::gen::inRange(0, 100) >= 100 - percent;
}

// An overlay PodCIDR that is usable; of few bases and all lengths, so that they overlap often.
inline rc::Gen<IpPrefix> pod_cidr(Family family) {
  return rc::gen::exec([family] {
    const int block = *rc::gen::inRange(0, 6);
    if (family == Family::V6) {
      const std::string overlay = chance(30) ? "fd00:97:" : "fd00:96:";
      const IpAddress base = ip(overlay + "0:" + std::to_string(block) + "::");
      return IpPrefix::containing(
          base, *rc::gen::weightedElement<std::uint8_t>({{6, 64}, {1, 63}, {1, 62}, {1, 48}}));
    }
    const std::string overlay = chance(20) ? "10.200." : "100.96.";
    const std::string half = chance(25) ? ".128" : ".0";
    return IpPrefix::containing(
        ip(overlay + std::to_string(block) + half),
        *rc::gen::weightedElement<std::uint8_t>({{6, 24}, {2, 25}, {1, 23}, {1, 22}, {1, 28}}));
  });
}

// One that node_cache.h rejects.
inline rc::Gen<IpPrefix> bad_pod_cidr() {
  return rc::gen::element(net("192.168.1.0/24"), net("100.96.0.0/12"), net("100.0.0.0/8"),
                          net("fd00:96::/32"), net("fd00:96:0:1:8000::/65"), net("0.0.0.0/0"));
}

inline rc::Gen<std::vector<IpPrefix>> pod_cidrs() {
  return rc::gen::exec([] {
    std::vector<IpPrefix> cidrs;
    if (chance(85)) {
      cidrs.push_back(*pod_cidr(Family::V4));
    }
    if (chance(35)) {
      cidrs.push_back(*pod_cidr(Family::V6));
    }
    if (chance(5)) {
      cidrs.push_back(*bad_pod_cidr());
    }
    if (chance(5)) {
      cidrs.push_back(*pod_cidr(Family::V4));
    }
    if (chance(20)) {
      std::reverse(cidrs.begin(), cidrs.end());
    }
    return cidrs;
  });
}

// Few addresses, so that Nodes share them; sometimes none, or one that is rejected.
inline rc::Gen<std::vector<NodeAddress>> node_addresses() {
  return rc::gen::exec([] {
    std::vector<NodeAddress> addresses;
    const auto add = [&](NodeAddressType type, const IpAddress& address) {
      addresses.push_back({.type = type, .address = address});
    };
    const auto host = [] { return ip("172.20.0." + std::to_string(*rc::gen::inRange(1, 9))); };
    if (chance(10)) {
      add(NodeAddressType::InternalIp, ip("2001:db8::1"));
    }
    if (chance(10)) {
      add(NodeAddressType::ExternalIp, ip("203.0.113.7"));
    }
    if (chance(5)) {
      add(NodeAddressType::InternalIp,
          *rc::gen::element(ip("224.0.0.1"), ip("100.96.9.9"), ip("127.0.0.1")));
    }
    if (chance(90)) {
      add(NodeAddressType::InternalIp, host());
    }
    return addresses;
  });
}

// One of eight names (kSelfName among them) in one of three lives, few moments of creation.
inline rc::Gen<Node> node() {
  return rc::gen::exec([] {
    const std::string name = "n" + std::to_string(*rc::gen::inRange(0, 8));
    return Node{.name = name,
                .uid = name + "-" + std::to_string(*rc::gen::inRange(0, 3)),
                .created_s = *rc::gen::inRange<std::int64_t>(0, 4),
                .pod_cidrs = *pod_cidrs(),
                .addresses = *node_addresses()};
  });
}

// This node, dual-stack, and in nobody's way; the index of its device when there is one.
inline Self self() {
  return Self{.uid = "self",
              .pod_cidrs = {net("100.96.200.0/24"), net("fd00:96:0:200::/64")},
              .vtep = ip("172.20.0.200"),
              .mac = vtep_mac(net("100.96.200.0/24"), net("100.96.0.0/12")),
              .lost_pod_cidr = false};
}
inline constexpr IfIndex kUnderlay{2};
inline constexpr IfIndex kDevice{7};
inline constexpr std::uint32_t kUnderlayMtu = 1500;

// Who owns what, as the node cache settles it for some Nodes.
inline rc::Gen<std::map<IpPrefix, Owner>> owners() {
  return rc::gen::exec([] {
    NodeCache cache("none", config());
    (void)cache.replace(*rc::gen::container<std::vector<Node>>(node()), {});
    return cache.owners();
  });
}

// The kernel exactly as desired, with our device at kDevice beside an underlay link and lo.
inline ActualState conforming(const DesiredState& desired) {
  ActualState actual;
  KernelState& tables = actual.tables;
  tables.links[IfIndex{1}] = Link{.index = IfIndex{1}, .name = "lo", .mtu = 65536, .up = true};
  tables.links[kUnderlay] =
      Link{.index = kUnderlay, .name = "eth0", .mtu = kUnderlayMtu, .up = true};
  tables.links[kDevice] = desired.device;
  tables.links[kDevice].index = kDevice;
  tables.addresses.insert(
      IfAddress{.device = kUnderlay, .address = ip("172.20.0.200"), .length = 24});
  for (IfAddress address : desired.addresses) {
    address.device = kDevice;
    tables.addresses.insert(address);
  }
  tables.routes = desired.refusals;
  for (const auto& [pod_cidr, peer] : desired.peers) {
    tables.routes.insert(peer_route(pod_cidr, kDevice));
    tables.fdb.insert(peer_fdb(peer, kDevice));
  }
  actual.parameters = desired.parameters;
  actual.rp_filter = desired.rp_filter;
  return actual;
}

// Rows that are foreign, and that no plan may touch or be held up by.
inline void add_foreign_rows(KernelState& tables) {
  tables.routes.insert(Route{.destination = net("0.0.0.0/0"),
                             .protocol = 3,
                             .device = kUnderlay,
                             .gateway = ip("172.20.0.1")});
  tables.routes.insert(Route{.destination = net("100.96.1.0/24"),
                             .metric = 50,
                             .scope = 253,
                             .protocol = kRouteProtocolKernel,
                             .device = kUnderlay});
  tables.routes.insert(Route{.destination = net("100.96.2.0/24"),
                             .metric = 60,
                             .type = RouteType::Unreachable,
                             .protocol = 4});
  tables.routes.insert(Route{.destination = net("fe80::/64"),
                             .metric = 256,
                             .protocol = kRouteProtocolKernel,
                             .device = kDevice});
  tables.addresses.insert(
      IfAddress{.device = kDevice, .address = ip("fe80::1"), .length = 64, .scope = 253});
  tables.neighbours[ip("ff02::1")] = Neighbour{.device = kDevice,
                                               .address = ip("ff02::1"),
                                               .lladdr = MacAddress{{0x33, 0x33, 0, 0, 0, 1}},
                                               .state = kNudNoarp};
  tables.neighbours[ip("100.96.1.99")] =
      Neighbour{.device = kDevice, .address = ip("100.96.1.99"), .state = kNudIncomplete};
}

// An address inside `prefix`.
inline rc::Gen<IpAddress> address_in(const IpPrefix& prefix) {
  return rc::gen::map(rc::gen::inRange(0, 4), [prefix](int choice) {
    std::array<std::uint8_t, 16> bytes = prefix.last().bytes();
    const std::size_t low = prefix.family() == Family::V4 ? 3 : 15;
    bytes[low] = static_cast<std::uint8_t>(bytes[low] - choice);
    const IpAddress address =
        prefix.family() == Family::V6
            ? IpAddress::v6(bytes)
            : IpAddress::v4(prefix.last().v4_bits() - static_cast<std::uint32_t>(choice));
    return choice == 3 ? prefix.base() : address;
  });
}

// A neighbour on our device for an address of a PodCIDR or of none: conforming, or wrong in MAC,
// state, flags or protocol.
inline Neighbour neighbour(const DesiredState& desired) {
  const IpPrefix prefix = desired.peers.empty() || chance(20)
                              ? *pod_cidr(*rc::gen::element(Family::V4, Family::V6))
                              : std::next(desired.peers.begin(), *rc::gen::inRange<std::ptrdiff_t>(
                                                                     0, std::ssize(desired.peers)))
                                    ->first;
  const IpAddress address = *address_in(prefix);
  const auto* peer = find_peer(desired.peers, address);
  Neighbour row = on_demand_neighbour(address, peer == nullptr ? Peer{} : peer->second, kDevice);
  if (chance(10)) {
    row.lladdr = MacAddress{{0x00, 0x53, 100, 96, 99, 0}};
  }
  if (chance(10)) {
    row.state = *rc::gen::element(kNudReachable, kNudStale, kNudPermanent);
  }
  if (chance(10)) {
    row.flags = 0;
  }
  if (chance(10)) {
    row.protocol = 0;
  }
  return row;
}

// A route of ours that nobody wants: on our device, or a refusal with our protocol.
inline Route leftover_route() {
  const IpPrefix destination =
      chance(15) ? *rc::gen::element(net("100.96.0.0/16"), net("192.168.0.0/16"), net("10.0.0.0/8"))
                 : *pod_cidr(*rc::gen::element(Family::V4, Family::V6));
  Route route = peer_route(destination, kDevice);
  if (chance(20)) {
    route.protocol = 3;
  }
  if (chance(20)) {
    route.metric = 77;
  }
  if (chance(15)) {
    route.gateway = destination.base();
    route.onlink = true;
    route.scope = 0;
  }
  if (chance(10)) {
    route.type = RouteType::Unreachable;
    route.scope = 0;
    route.protocol = kOwnProtocol;
    route.device.reset();
  }
  return route;
}

// Leaves out, changes and adds rows on our device. What results a kernel can hold.
inline void disturb_rows(const DesiredState& desired, KernelState& tables) {
  std::erase_if(tables.routes, [](const Route&) { return chance(15); });
  std::erase_if(tables.addresses,
                [](const IfAddress& a) { return a.device == kDevice && chance(15); });
  std::set<FdbEntry> fdb;
  for (FdbEntry entry : tables.fdb) {
    if (chance(15)) {
      continue;
    }
    entry.dst = chance(15) ? ip("172.20.0.99") : entry.dst;
    entry.flags = chance(5) ? kNtfSelf | kNtfExtLearned : entry.flags;
    fdb.insert(entry);
  }
  tables.fdb = std::move(fdb);
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    tables.routes.insert(leftover_route());
    const Neighbour row = neighbour(desired);
    tables.neighbours.insert_or_assign(row.address, row);
  }
  if (chance(20)) {
    const IpPrefix gone = *pod_cidr(Family::V4);
    const MacAddress mac = vtep_mac(gone, *overlay_of(config(), gone));
    if (find_peer(desired, mac) == nullptr) {
      tables.fdb.insert(
          peer_fdb(Peer{.node = "gone", .mac = mac, .vtep = ip("172.20.0.9")}, kDevice));
    }
  }
  if (chance(15)) {
    tables.addresses.insert(IfAddress{
        .device = kDevice,
        .address = *rc::gen::element(ip("100.96.200.1"), ip("192.168.7.1"), ip("100.96.200.0")),
        .length = *rc::gen::element<std::uint8_t>(12, 24, 32),
        .no_prefix_route = true});
  }
}

// The kernel after any history: our device absent, right, wrong in place or incompatible, and rows
// of it missing, wrong or left over; foreign rows beside.
inline rc::Gen<ActualState> actual_state(const DesiredState& desired) {
  return rc::gen::exec([desired] {
    ActualState actual = conforming(desired);
    KernelState& tables = actual.tables;
    if (chance(10)) {
      ActualState empty;
      empty.tables.links = tables.links;
      empty.tables.links.erase(kDevice);
      return empty;
    }
    disturb_rows(desired, tables);
    add_foreign_rows(tables);
    Link& device = tables.links[kDevice];
    device.mtu = chance(10) ? 1400 : device.mtu;
    device.vxlan->learning = chance(10);
    device.vxlan->local = chance(10) ? ip("172.20.0.201") : *device.vxlan->local;
    device.vxlan->port = chance(5) ? 8472 : device.vxlan->port;
    device.mac = chance(5) ? MacAddress{{0x52, 0x54, 0, 0, 0, 1}} : device.mac;
    if (chance(10)) {
      actual.parameters[Family::V4] = NeighbourParameters{};
    }
    if (chance(10)) {
      actual.rp_filter = std::uint8_t{1};
    }
    if (chance(5)) {
      device.up = false;
      // IPv4 routes, neighbours and what is IPv6 do not outlive a device that goes down.
      std::erase_if(tables.routes, [](const Route& r) { return r.device == kDevice; });
      std::erase_if(tables.addresses, [](const IfAddress& a) {
        return a.device == kDevice && a.address.family() == Family::V6;
      });
      tables.neighbours.clear();
    }
    return actual;
  });
}

}  // namespace generate
}  // namespace vxmesh
