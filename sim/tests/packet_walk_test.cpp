// The packet walk (explain/packet_walk.h) against what fake kernels do with real frames.
#include "explain/packet_walk.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "model/ownership.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {

// --- What a case is made of: small numbers, so that it shrinks to something readable. ---

struct Change {
  int kind = 0;
  int node = 0;
  int a = 0;
  int b = 0;
  int c = 0;
};
struct Case {
  Family underlay = Family::V4;
  Family inner = Family::V4;
  std::vector<Change> changes;
  int from = 0;
  int to = 0;  // a node, or behind the last one: nobody
  int pod = 5;
  int payload = 1;  // bytes that the probe carries
};

std::ostream& operator<<(std::ostream& out, const Change& change) {
  return out << "{" << change.kind << " at " << change.node << ": " << change.a << ", " << change.b
             << ", " << change.c << "}";
}
std::ostream& operator<<(std::ostream& out, const Case& value) {
  out << format(value.inner) << " over " << format(value.underlay) << ", from " << value.from
      << " to " << value.to << " pod " << value.pod << ", " << value.payload << " bytes, changes ";
  for (const Change& change : value.changes) {
    out << change << " ";
  }
  return out;
}

namespace {

constexpr MonotonicTime kNow{std::chrono::seconds(1)};
constexpr int kNodes = 3;
constexpr int kKnownPod = 5;    // whose neighbour everybody has
constexpr int kUnknownPod = 6;  // which nobody has talked to
constexpr int kSender = 7;      // the pod that sends
constexpr std::uint16_t kProbePort = 9;

IpAddress address(const std::string& text) {
  return IpAddress::parse(text).value();
}
std::string number(int value) {
  return std::to_string(value);
}
IpPrefix pods_of(int node, Family family) {
  return IpPrefix::parse(family == Family::V4 ? "100.96." + number(node) + ".0/24"
                                              : "fd60:0:0:" + number(node) + "::/64")
      .value();
}
IpAddress pod_of(int node, int pod, Family family) {
  return address(family == Family::V4 ? "100.96." + number(node) + "." + number(pod)
                                      : "fd60:0:0:" + number(node) + "::" + number(pod));
}
// Behind the last node: an address that nobody has.
IpAddress underlay_of(int node, Family family) {
  return address(family == Family::V4 ? "172.20.0." + number(10 + node) : "fd20::1" + number(node));
}
IpPrefix host_prefix(const IpAddress& address) {
  return IpPrefix::containing(address, address_bits(address.family()));
}
MacAddress tunnel_mac(int node) {
  return MacAddress{{0x00, 0x53, 100, 96, static_cast<std::uint8_t>(node), 0}};
}
MacAddress made_mac(std::uint8_t kind, int node) {
  return MacAddress{{0x02, kind, 0, 0, 0, static_cast<std::uint8_t>(node)}};
}
constexpr MacAddress kPodMac{{0x02, 0xdd, 0, 0, 0, 1}};     // of every pod
constexpr MacAddress kRouterMac{{0x02, 0xee, 0, 0, 0, 1}};  // of who takes what leaks
constexpr Family kFamilies[] = {Family::V4, Family::V6};

// --- The cluster ---

struct Machine {
  NamespaceState kernel;
  IfIndex eth;
  IfIndex bridge;
  IfIndex port;

  OpDone run(const KernelOp& op) { return kernel.execute(op, kNow); }
  [[nodiscard]] IfIndex overlay() const {
    const Link* link = kernel.find_link("vxlan1");
    return link == nullptr ? IfIndex{0} : link->index;
  }
};

Route peer_route(const IpPrefix& destination, IfIndex device) {
  const bool v4 = destination.family() == Family::V4;
  return Route{.destination = destination,
               .metric = v4 ? 0U : 1024U,
               .scope = v4 ? kScopeLink : std::uint8_t{0},
               .protocol = kOwnProtocol,
               .device = device};
}

Neighbour neighbour(IfIndex device, const IpAddress& address, const MacAddress& mac,
                    std::uint8_t protocol = kOwnProtocol) {
  return Neighbour{.device = device,
                   .address = address,
                   .lladdr = mac,
                   .state = kNudNoarp,
                   .flags = kNtfExtLearned,
                   .protocol = protocol};
}

IpPacket probe(const Case& value) {
  return IpPacket{
      .source = pod_of(value.from, kSender, value.inner),
      .destination = pod_of(value.to, value.pod, value.inner),
      .dont_fragment = value.inner == Family::V4,
      .payload = UdpDatagram{.source_port = 40000,
                             .destination_port = kProbePort,
                             .payload = Bytes(static_cast<std::size_t>(value.payload), 'x')}};
}

// Where a probe was seen: out of a device to pods, or out of the underlay's without a tunnel.
struct Sighting {
  int node = 0;
  bool at_pods = false;
};

class Cluster {
 public:
  explicit Cluster(const Case& value) : family_(value.underlay) {
    for (int node = 0; node < kNodes; ++node) {
      machines_.push_back(std::make_unique<Machine>());
      add_devices(node);
      add_overlay(node);
      listen(node);
    }
  }

  Machine& machine(int node) { return *machines_[static_cast<std::size_t>(node)]; }

  // A frame of a pod, to its bridge; all that comes of it has happened on return.
  void send(const Case& value) {
    sightings.clear();
    passed.clear();
    const IpPacket packet = probe(value);
    destination_ = packet.destination;
    Machine& sender = machine(value.from);
    sender.kernel.data_plane().receive(
        sender.port,
        std::make_shared<const EthernetFrame>(
            EthernetFrame{.destination = sender.kernel.find_link(sender.bridge)->mac,
                          .source = kPodMac,
                          .payload = packet}),
        kNow);
    while (!wire_.empty()) {
      const auto [to, frame] = wire_.front();
      wire_.pop_front();
      Machine& receiver = machine(to);
      receiver.kernel.data_plane().receive(receiver.eth, frame, kNow);
    }
  }

  [[nodiscard]] std::vector<HostSnapshot> snapshots() const {
    std::vector<HostSnapshot> hosts;
    for (int node = 0; node < kNodes; ++node) {
      const Machine& machine = *machines_[static_cast<std::size_t>(node)];
      hosts.push_back({.node = number(node),
                       .pod_cidrs = {pods_of(node, Family::V4), pods_of(node, Family::V6)},
                       .underlay = {underlay_of(node, family_)},
                       .device = "vxlan1",
                       .kernel = machine.kernel.tables(machine.overlay())});
    }
    return hosts;
  }

  void create_overlay(int node, std::uint32_t vni, std::uint16_t port, const MacAddress& mac) {
    Machine& machine = this->machine(node);
    (void)machine.run(CreateVxlan{{.name = "vxlan1",
                                   .mac = mac,
                                   .mtu = 1400,
                                   .group = kOwnLinkGroup,
                                   .kind = "vxlan",
                                   .vxlan = VxlanLink{.vni = Vni{vni},
                                                      .port = port,
                                                      .local = underlay_of(node, family_),
                                                      .learning = false}}});
    for (const Family family : kFamilies) {
      (void)machine.run(SetNeighbourParameters{
          .device = machine.overlay(),
          .family = family,
          .parameters = {.app_solicit = 3, .ucast_solicit = 0, .mcast_solicit = 0}});
    }
  }

  // The neighbours on other devices than the overlay's, of which snapshots say nothing: all that
  // there may be, after whatever has flushed them.
  void add_other_neighbours(int node) {
    Machine& machine = this->machine(node);
    for (int peer = 0; peer < kNodes; ++peer) {
      (void)machine.run(
          ReplaceNeighbour{neighbour(machine.eth, underlay_of(peer, family_), made_mac(1, peer))});
    }
    for (int owner = 0; owner <= kNodes; ++owner) {
      for (const int pod : {kKnownPod, kUnknownPod}) {
        for (const Family family : kFamilies) {
          const IpAddress at = pod_of(owner, pod, family);
          (void)machine.run(ReplaceNeighbour{neighbour(machine.bridge, at, kPodMac)});
          (void)machine.run(ReplaceNeighbour{neighbour(machine.eth, at, kRouterMac)});
        }
      }
    }
  }

  // What was seen of the last probe, in order.
  std::vector<Sighting> sightings;
  // The nodes whose tunnel took it, in order.
  std::vector<int> passed;

 private:
  void add_devices(int node) {
    Machine& machine = this->machine(node);
    NamespaceState& kernel = machine.kernel;
    (void)machine.run(ChangeLink{.device = NamespaceState::kLoopback, .up = true});
    machine.eth = kernel.add_link(
        Link{.name = "eth0", .mac = made_mac(1, node), .mtu = 1500, .up = true}, kNow);
    machine.bridge = kernel.add_link(
        Link{.name = "cbr0", .mac = made_mac(2, node), .mtu = 1500, .up = true, .kind = "bridge"},
        kNow);
    machine.port = kernel.add_link(Link{.name = "pods",
                                        .mac = made_mac(3, node),
                                        .mtu = 1500,
                                        .up = true,
                                        .master = machine.bridge},
                                   kNow);
    kernel.set_forwarding(true, kNow);
    (void)machine.run(
        ReplaceAddress{{.device = machine.eth,
                        .address = underlay_of(node, family_),
                        .length = static_cast<std::uint8_t>(family_ == Family::V4 ? 24 : 64)}});
    for (const Family family : kFamilies) {
      (void)machine.run(ReplaceAddress{{.device = machine.bridge,
                                        .address = pod_of(node, 1, family),
                                        .length = pods_of(node, family).length()}});
    }
  }

  void add_overlay(int node) {
    Machine& machine = this->machine(node);
    create_overlay(node, 1, kVxlanPort, tunnel_mac(node));
    const IfIndex device = machine.overlay();
    (void)machine.run(ChangeLink{.device = device, .up = true});
    for (const Family family : kFamilies) {
      const bool v4 = family == Family::V4;
      (void)machine.run(ReplaceAddress{{.device = device,
                                        .address = pods_of(node, family).base(),
                                        .length = static_cast<std::uint8_t>(v4 ? 12 : 128),
                                        .no_prefix_route = true}});
      (void)machine.run(
          ReplaceRoute{{.destination = IpPrefix::parse(v4 ? "100.96.0.0/12" : "fd60::/48").value(),
                        .metric = kRouteMetricLast,
                        .type = RouteType::Unreachable,
                        .protocol = kOwnProtocol}});
      for (int peer = 0; peer < kNodes; ++peer) {
        if (peer != node) {
          (void)machine.run(ReplaceRoute{peer_route(pods_of(peer, family), device)});
          (void)machine.run(ReplaceNeighbour{
              neighbour(device, pod_of(peer, kKnownPod, family), tunnel_mac(peer))});
        }
      }
    }
    for (int peer = 0; peer < kNodes; ++peer) {
      if (peer != node) {
        (void)machine.run(ReplaceFdb{{.device = device,
                                      .mac = tunnel_mac(peer),
                                      .dst = underlay_of(peer, family_),
                                      .state = kNudPermanent}});
      }
    }
  }

  [[nodiscard]] bool is_probe(const EthernetFrame& frame) const {
    const auto* packet = std::get_if<IpPacket>(&frame.payload);
    const auto* datagram = packet == nullptr ? nullptr : std::get_if<UdpDatagram>(&packet->payload);
    return datagram != nullptr && datagram->destination_port == kProbePort &&
           packet->destination == destination_;
  }

  void listen(int node) {
    Machine& machine = this->machine(node);
    machine.kernel.data_plane().set_wire(
        [this, node, &machine](IfIndex device, const FramePtr& frame) {
          if (is_probe(*frame)) {
            sightings.push_back({.node = node, .at_pods = device == machine.port});
          }
          for (int peer = 0; device == machine.eth && peer < kNodes; ++peer) {
            if (peer != node && frame->destination == made_mac(1, peer)) {
              wire_.emplace_back(peer, frame);
            }
          }
        });
    machine.kernel.data_plane().set_tap(
        [this, node, &machine](IfIndex device, const EthernetFrame& frame) {
          const Link* overlay = machine.kernel.find_link("vxlan1");
          if (overlay != nullptr && overlay->index == device && is_probe(frame) &&
              frame.destination == overlay->mac) {
            passed.push_back(node);
          }
        });
  }

  Family family_;
  IpAddress destination_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::deque<std::pair<int, FramePtr>> wire_;
};

// --- What may have happened to the tables ---

enum Kind : int {
  kFdbWrong,
  kFdbGone,
  kNeighbourWrong,
  kNeighbourGone,
  kRouteOut,      // of a PodCIDR, out of any device
  kRouteRefuses,  // of a PodCIDR
  kRouteGone,
  kPodRoute,  // of one pod, out of any device
  kPodIsLocal,
  kSenderIsLocal,
  kGateway,
  kTunnelDown,
  kTunnelGone,
  kTunnelOther,  // another VNI, port or MAC
  kTunnelMac,
  kUnderlayDown,
  kUnderlayAddressGone,
  kUnderlayRoute,
  kFdbDefault,
  kMtu,
  kKinds,
};

void change_neighbours(Cluster& cluster, const Case& value, const Change& change) {
  Machine& machine = cluster.machine(change.node);
  const IfIndex device = machine.overlay();
  const IpAddress underlay = underlay_of(change.b, value.underlay);
  const IpAddress pod = pod_of(change.a, kKnownPod, value.inner);
  switch (change.kind) {
    case kFdbWrong:
      (void)machine.run(ReplaceFdb{{.device = device,
                                    .mac = tunnel_mac(change.a),
                                    .dst = underlay,
                                    .state = kNudPermanent}});
      break;
    case kFdbGone: (void)machine.run(DeleteFdb{device, tunnel_mac(change.a)}); break;
    case kFdbDefault:
      (void)machine.kernel.append_fdb(
          {.device = device, .dst = underlay, .state = kNudPermanent, .flags = kNtfSelf}, kNow);
      break;
    case kNeighbourWrong:
      (void)machine.run(ReplaceNeighbour{neighbour(device, pod, tunnel_mac(change.b), 4)});
      break;
    case kNeighbourGone: (void)machine.run(DeleteNeighbour{device, pod}); break;
    default: break;
  }
}

void change_routes(Cluster& cluster, const Case& value, const Change& change) {
  Machine& machine = cluster.machine(change.node);
  const std::array<IfIndex, 3> devices{machine.overlay(), machine.bridge, machine.eth};
  constexpr std::array<RouteType, 4> kRefusals{RouteType::Unreachable, RouteType::Blackhole,
                                               RouteType::Prohibit, RouteType::Throw};
  const IfIndex device = devices[static_cast<std::size_t>(change.c) % devices.size()];
  const IpPrefix pods = pods_of(change.a, value.inner);
  Route route = peer_route(pods, device);
  route.metric += change.b == 0 ? 0U : 7U;
  switch (change.kind) {
    case kRouteOut: (void)machine.run(ReplaceRoute{route}); break;
    case kRouteRefuses:
      route.device.reset();
      route.scope = 0;
      route.type = kRefusals[static_cast<std::size_t>(change.c) % kRefusals.size()];
      (void)machine.run(ReplaceRoute{route});
      break;
    case kRouteGone: (void)machine.run(DeleteRoute{peer_route(pods, machine.overlay())}); break;
    case kPodRoute:
      (void)machine.run(
          ReplaceRoute{peer_route(host_prefix(pod_of(change.a, kKnownPod, value.inner)), device)});
      break;
    case kGateway: {
      const IpAddress gateway = pods_of(change.b, value.inner).base();
      route = peer_route(pods, machine.overlay());
      route.scope = 0;
      route.gateway = gateway;
      route.onlink = true;
      // A gateway that is our own address is none (explain/packet_walk.h).
      if (change.b != change.node) {
        (void)machine.run(
            ReplaceNeighbour{neighbour(machine.overlay(), gateway, tunnel_mac(change.b))});
        (void)machine.run(ReplaceRoute{route});
      }
      break;
    }
    case kUnderlayRoute:
      route = peer_route(host_prefix(underlay_of(change.a, value.underlay)), machine.overlay());
      if (change.c == 0) {
        route.device.reset();
        route.scope = 0;
        route.type = RouteType::Unreachable;
      }
      (void)machine.run(ReplaceRoute{route});
      break;
    default: break;
  }
}

void change_devices(Cluster& cluster, const Case& value, const Change& change) {
  Machine& machine = cluster.machine(change.node);
  const auto own_address = [&](int pod) {
    (void)machine.run(ReplaceAddress{{.device = machine.bridge,
                                      .address = pod_of(change.a, pod, value.inner),
                                      .length = address_bits(value.inner)}});
  };
  switch (change.kind) {
    case kPodIsLocal: own_address(kKnownPod); break;
    case kSenderIsLocal:
      if (change.node != change.a) {  // else the pod's own node would not take its packets
        own_address(kSender);
      }
      break;
    case kTunnelDown:
      (void)machine.run(ChangeLink{.device = machine.overlay(), .up = false});
      break;
    case kTunnelGone: (void)machine.run(DeleteLink{machine.overlay()}); break;
    case kTunnelOther:
      (void)machine.run(DeleteLink{machine.overlay()});
      cluster.create_overlay(change.node, change.c == 0 ? 2 : 1,
                             change.c == 1 ? std::uint16_t{8472} : kVxlanPort,
                             tunnel_mac(change.c == 2 ? change.a : change.node));
      (void)machine.run(ChangeLink{.device = machine.overlay(), .up = true});
      break;
    case kTunnelMac:
      (void)machine.kernel.set_mac(machine.overlay(), tunnel_mac(change.a), kNow);
      // It has flushed the neighbours; this one comes back.
      (void)machine.run(ReplaceNeighbour{neighbour(
          machine.overlay(), pod_of(value.to, kKnownPod, value.inner), tunnel_mac(value.to))});
      break;
    case kMtu:
      (void)machine.run(
          ChangeLink{.device = change.c == 0 ? machine.bridge : machine.overlay(), .mtu = 1300});
      break;
    case kUnderlayDown: (void)machine.run(ChangeLink{.device = machine.eth, .up = false}); break;
    case kUnderlayAddressGone:
      (void)machine.run(DeleteAddress{
          {.device = machine.eth,
           .address = underlay_of(change.node, value.underlay),
           .length = static_cast<std::uint8_t>(value.underlay == Family::V4 ? 24 : 64)}});
      break;
    default: break;
  }
}

void make_all(Cluster& cluster, const Case& value) {
  for (const Change& change : value.changes) {
    change_neighbours(cluster, value, change);
    change_routes(cluster, value, change);
    change_devices(cluster, value, change);
  }
  for (int node = 0; node < kNodes; ++node) {
    cluster.add_other_neighbours(node);
  }
}

// RapidCheck begins with a small part of a range; here all of it counts from the start.
int below(int bound) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, bound));
}

// Half of the changes are on the packet's way, so that they matter.
Change any_change(const Case& value) {
  const int receiver = value.to % kNodes;
  return {.kind = below(kKinds),
          .node = *rc::gen::element(value.from, receiver, below(kNodes)),
          .a = *rc::gen::element(value.to, below(kNodes + 1)),
          .b = below(kNodes + 1),
          .c = below(4)};
}

Case any_case(int changes) {
  Case value{.underlay = *rc::gen::element(Family::V4, Family::V6),
             .inner = *rc::gen::element(Family::V4, Family::V6),
             .changes = {},
             .from = below(kNodes),
             .to = below(kNodes + 1),
             .pod = *rc::gen::element(kKnownPod, kKnownPod, kUnknownPod),
             .payload = *rc::gen::element(1, 1310)};
  for (int i = 0; i < changes; ++i) {
    value.changes.push_back(any_change(value));
  }
  return value;
}

// --- Judging a walk by what happened ---

bool has_default(const Case& value) {
  return std::any_of(value.changes.begin(), value.changes.end(),
                     [](const Change& change) { return change.kind == kFdbDefault; });
}

// The nodes that the walk's packet crossed the overlay to.
std::vector<int> crossed(const PacketWalk& walk) {
  std::vector<int> nodes;
  for (const WalkHop& hop : walk.hops) {
    if (hop.table == WalkTable::Routes) {
      nodes.push_back(std::stoi(hop.node));
    }
  }
  nodes.erase(nodes.begin());
  return nodes;
}

// What the last node's kernel must say, where the packet got as far as its tables.
void judge_fate(const PacketWalk& walk, const Delivery& delivery) {
  const bool in_underlay = walk.hops.back().table == WalkTable::Underlay;
  switch (walk.verdict) {
    case WalkVerdict::Unresolved: RC_ASSERT(delivery.fate == PacketFate::Unresolved); break;
    case WalkVerdict::NoFdbEntry: RC_ASSERT(delivery.fate == PacketFate::NoFdbEntry); break;
    case WalkVerdict::Refused:
      RC_ASSERT(delivery.fate == (in_underlay ? PacketFate::Vtep : PacketFate::Refused));
      break;
    case WalkVerdict::NoRoute:  // the fake says of a route of type throw that it refuses
      RC_ASSERT(delivery.fate == (in_underlay ? PacketFate::Vtep : PacketFate::NoRoute) ||
                (!in_underlay && delivery.fate == PacketFate::Refused));
      break;
    case WalkVerdict::DroppedAtEncap: RC_ASSERT(delivery.fate == PacketFate::Vtep); break;
    default: break;
  }
}

void judge(const Case& value, const PacketWalk& walk, Cluster& cluster) {
  const int node = std::stoi(walk.node);
  const IpAddress& destination = walk.packet.destination;
  const Delivery delivery = cluster.machine(node).kernel.deliver(destination);
  const bool comes_out = walk.verdict == WalkVerdict::Delivered ||
                         walk.verdict == WalkVerdict::WrongNode ||
                         walk.verdict == WalkVerdict::LeftOverlay;
  if (comes_out && delivery.fate == PacketFate::Local) {
    RC_ASSERT(cluster.sightings.empty());
    RC_ASSERT(walk.verdict != WalkVerdict::LeftOverlay);
  } else if (comes_out) {
    // A device that leads to pods cannot be told from others where the pod belongs to nobody.
    const bool either = walk.verdict == WalkVerdict::LeftOverlay && value.to == kNodes;
    const bool at_pods = walk.verdict != WalkVerdict::LeftOverlay;
    RC_ASSERT(
        std::any_of(cluster.sightings.begin(), cluster.sightings.end(), [&](const Sighting& seen) {
          return seen.node == node && (either || seen.at_pods == at_pods);
        }));
  } else {
    RC_ASSERT(cluster.sightings.empty());
    judge_fate(walk, delivery);
  }
  // An address of nobody's PodCIDR may still be one of a node itself.
  RC_ASSERT(walk.verdict != WalkVerdict::Delivered || node == value.to || value.to == kNodes);
  RC_ASSERT(walk.verdict != WalkVerdict::WrongNode || node != value.to);
  if (has_default(value) || walk.verdict == WalkVerdict::Loop) {
    return;  // copies go several ways, or one goes round until its TTL ends
  }
  // A packet that seems to come from the receiver itself has crossed before it is dropped.
  std::vector<int> nodes = cluster.passed;
  const std::vector<int> said = crossed(walk);
  if (walk.verdict == WalkVerdict::DroppedAtDecap && nodes.size() == said.size() + 1) {
    RC_ASSERT(nodes.back() == node);
    nodes.pop_back();
  }
  RC_ASSERT(nodes == said);
}

PacketWalk walked(const Cluster& cluster, const Case& value) {
  const IpPacket packet = probe(value);
  PacketWalk walk = vxmesh::walk({.from_node = number(value.from),
                                  .source = packet.source,
                                  .destination = packet.destination,
                                  .bytes = static_cast<std::uint32_t>(size_on_wire(packet))},
                                 cluster.snapshots());
  RC_LOG() << format(walk) << "\n";
  return walk;
}

// From everywhere to everywhere, one after the other: what one leaves behind the next one finds.
RC_GTEST_PROP(PacketWalk, EndsWhereTheFrameDoes, ()) {
  Case value = *rc::gen::exec([] { return any_case(below(6)); });
  Cluster cluster(value);
  make_all(cluster, value);
  for (value.from = 0; value.from < kNodes; ++value.from) {
    for (value.to = 0; value.to <= kNodes; ++value.to) {
      const PacketWalk walk = walked(cluster, value);
      cluster.send(value);
      judge(value, walk, cluster);
    }
  }
}

RC_GTEST_PROP(PacketWalk, FindsNothingWrongInWhatAgentsWrote, ()) {
  const Case value = *rc::gen::exec([] { return any_case(0); });
  const PacketWalk walk = walked(Cluster(value), value);
  const bool is_known = value.from == value.to || value.pod == kKnownPod;
  RC_ASSERT(walk.verdict == (value.to == kNodes ? WalkVerdict::Refused
                             : is_known         ? WalkVerdict::Delivered
                                                : WalkVerdict::Unresolved));
  RC_ASSERT(walk.first_wrong.has_value() == (walk.verdict == WalkVerdict::Unresolved));
}

// The one node that was changed is the one where the first wrong row is found, and there is one
// whenever the packet does not reach its pod.
RC_GTEST_PROP(PacketWalk, BlamesWhereTheChangeIs, ()) {
  const Case value = *rc::gen::exec([] {
    Case made = any_case(1);
    made.pod = kKnownPod;
    return made;
  });
  const Change& change = value.changes.front();
  // Who is wrong when a device and the others differ about its MAC, tables alone do not say.
  RC_PRE(value.to != kNodes && change.kind != kTunnelMac && change.kind != kTunnelOther);
  Cluster cluster(value);
  make_all(cluster, value);
  const PacketWalk walk = walked(cluster, value);
  RC_ASSERT(walk.verdict == WalkVerdict::Delivered || walk.first_wrong.has_value());
  if (walk.first_wrong) {
    RC_ASSERT(walk.hops[walk.first_wrong->hop].node == number(change.node));
  }
}

}  // namespace
}  // namespace vxmesh
