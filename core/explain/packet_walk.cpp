#include "explain/packet_walk.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "explain/route_lookup.h"
#include "explain/writer.h"

namespace vxmesh {
namespace {

// Bytes that a tunnel puts between an inner and an outer IP packet, the outer IP header included:
// Ethernet, VXLAN, UDP, IP.
constexpr std::uint32_t kEncapsulationV4 = 14 + 8 + 8 + 20;
constexpr std::uint32_t kEncapsulationV6 = 14 + 8 + 8 + 40;

bool is_unspecified(const IpAddress& address) {
  return address.bytes() == IpAddress::v6({}).bytes();
}

// NUD_VALID, linux/neighbour.h: what packets are sent to.
bool has_valid_mac(const Neighbour& neighbour) {
  constexpr std::uint16_t kValid =
      kNudPermanent | kNudNoarp | kNudReachable | kNudProbe | kNudStale | kNudDelay;
  return (neighbour.state & kValid) != 0;
}

const Link* link_of(const KernelState& kernel, const std::optional<IfIndex>& device) {
  const auto found = device ? kernel.links.find(*device) : kernel.links.end();
  return found == kernel.links.end() ? nullptr : &found->second;
}

const Link* overlay_link(const HostSnapshot& host) {
  const Link* link = find_link(host.kernel, host.device);
  return link != nullptr && link->vxlan ? link : nullptr;
}

bool holds(const HostSnapshot& host, const IpAddress& address) {
  const Route* route = find_route(host.kernel, address);
  return route != nullptr && route->type == RouteType::Local;
}

// Why the underlay does not reach the address, which must be here on a device that is up: IPv4
// keeps the local routes of one that is down. Empty if it does.
std::string deafness(const HostSnapshot& host, const IpAddress& address) {
  if (!holds(host, address)) {
    return host.node + "'s kernel does not hold " + format(address);
  }
  const Link* device = link_of(host.kernel, find_route(host.kernel, address)->device);
  return device == nullptr || device->up ? "" : host.node + "'s " + device->name + " is down";
}

bool is_in_underlay(const HostSnapshot& host, const IpAddress& address) {
  return std::find(host.underlay.begin(), host.underlay.end(), address) != host.underlay.end();
}

// True if the device leads to other machines, not to pods: it is hardware, or has an address of the
// underlay (a bond, a VLAN, a bridge over hardware).
bool leads_outside(const HostSnapshot& host, const Link& device) {
  return device.kind.empty() ||
         std::any_of(host.kernel.addresses.begin(), host.kernel.addresses.end(),
                     [&](const IfAddress& address) {
                       return address.device == device.index &&
                              is_in_underlay(host, address.address);
                     });
}

Family underlay_family(const VxlanLink& vxlan) {
  return vxlan.local ? vxlan.local->family() : Family::V4;
}

// What leaves a vxlan device for one destination of its FDB.
struct Encapsulated {
  const HostSnapshot& from;
  const Link& device;
  MacAddress mac;  // the inner frame's destination
  IpAddress to;
};

std::string vni_and_port(const VxlanLink& vxlan) {
  return "VNI " + std::to_string(vxlan.vni.value) + " on UDP port " + std::to_string(vxlan.port);
}

// The device that would take the frame at `host`, and if there is none, why.
struct Receiver {
  const Link* device = nullptr;
  std::string problem;
};

Receiver receiver_of(const HostSnapshot& host, const Encapsulated& outer) {
  const VxlanLink& sender = *outer.device.vxlan;
  std::string down;
  for (const auto& [index, link] : host.kernel.links) {
    const bool matches = link.vxlan && !link.vxlan->external && link.vxlan->vni == sender.vni &&
                         link.vxlan->port == sender.port &&
                         underlay_family(*link.vxlan) == outer.to.family();
    if (matches && link.up) {
      return {.device = &link, .problem = {}};
    }
    down = matches ? link.name : down;
  }
  return {.problem = down.empty() ? host.node + " has no vxlan device with " + vni_and_port(sender)
                                  : host.node + "'s " + down + " is down"};
}

std::vector<const FdbEntry*> destinations(const HostSnapshot& host, const Link& device,
                                          const MacAddress& mac) {
  std::vector<const FdbEntry*> entries;
  for (const FdbEntry& entry : host.kernel.fdb) {
    if (entry.device == device.index && entry.mac == mac) {
      entries.push_back(&entry);
    }
  }
  return entries;
}

class Walker {
 public:
  Walker(const WalkedPacket& packet, std::span<const HostSnapshot> hosts) : hosts_(hosts) {
    walk_.packet = packet;
  }

  PacketWalk run() {
    const HostSnapshot* at =
        find_host([&](const HostSnapshot& host) { return host.node == walk_.packet.from_node; });
    check(at != nullptr, "a walk begins at a node that has a snapshot");
    while (at != nullptr) {
      at = pass(*at);
    }
    return std::move(walk_);
  }

 private:
  // Each step returns what the next one needs, or null when it has ended the walk.
  const HostSnapshot* pass(const HostSnapshot& host);
  const HostSnapshot* leave(const HostSnapshot& host, const Link& device);
  const HostSnapshot* cross(const HostSnapshot& host, const Link& device, const Route& route);
  const HostSnapshot* encapsulate(const Encapsulated& outer);
  const HostSnapshot* decapsulate(const HostSnapshot& host, const Encapsulated& outer, bool looped);
  const Route* look_up(const HostSnapshot& host, const IpAddress& to, WalkTable table);
  const Link* egress(const HostSnapshot& host, const Route& route);
  const Neighbour* resolve(const HostSnapshot& host, const Link& device, const IpAddress& to);
  void deliver_here(const HostSnapshot& host);
  bool fits(const HostSnapshot& host, const Link& device);

  void judge_route(const HostSnapshot& host, const Route* route);
  [[nodiscard]] bool leads_to_owner(const MacAddress& mac) const;
  [[nodiscard]] bool leads_to_owner(const IpAddress& underlay) const;
  [[nodiscard]] std::string missing_overlay(const HostSnapshot& host) const;

  template <typename Predicate>
  [[nodiscard]] const HostSnapshot* find_host(Predicate predicate) const {
    const auto found = std::find_if(hosts_.begin(), hosts_.end(), predicate);
    return found == hosts_.end() ? nullptr : &*found;
  }
  [[nodiscard]] bool owns(const HostSnapshot& host) const {
    return std::any_of(host.pod_cidrs.begin(), host.pod_cidrs.end(),
                       [&](const IpPrefix& cidr) { return cidr.contains(destination()); });
  }
  // The first of several that say so; null if none does.
  [[nodiscard]] const HostSnapshot* owner() const {
    return find_host([&](const HostSnapshot& host) { return owns(host); });
  }
  [[nodiscard]] const IpAddress& destination() const { return walk_.packet.destination; }
  [[nodiscard]] std::string address_text() const { return format(destination()); }
  [[nodiscard]] bool has_crossed() const { return passed_.size() > 1; }

  void add_hop(const HostSnapshot& host, WalkTable table, std::string asked) {
    walk_.hops.push_back({.node = host.node,
                          .table = table,
                          .asked = std::move(asked),
                          .found = {},
                          .device = {},
                          .writer = {}});
  }
  template <typename Row>
  void found(const HostSnapshot& host, const Row& row, const std::optional<IfIndex>& device,
             std::string writer) {
    WalkHop& hop = walk_.hops.back();
    const Link* link = link_of(host.kernel, device);
    hop.found = format(row);
    hop.device = link == nullptr ? "" : link->name;
    hop.writer = std::move(writer);
  }
  // The row of the last hop is wrong, which only counts if none before it was.
  void blame(std::string what) {
    if (!walk_.first_wrong) {
      walk_.first_wrong = WrongHop{.hop = walk_.hops.size() - 1,
                                   .what = std::move(what),
                                   .writer = walk_.hops.back().writer};
    }
  }
  void end(WalkVerdict verdict, const HostSnapshot& host, std::string reason) {
    walk_.verdict = verdict;
    walk_.node = host.node;
    walk_.reason = std::move(reason);
  }
  // Returns null, as the step that fails does.
  std::nullptr_t fail(WalkVerdict verdict, const HostSnapshot& host, const std::string& reason) {
    blame(reason);
    end(verdict, host, reason);
    return nullptr;
  }

  std::span<const HostSnapshot> hosts_;
  std::set<std::string> passed_;
  PacketWalk walk_;
};

// --- The overlay's routes ---

const HostSnapshot* Walker::pass(const HostSnapshot& host) {
  if (!passed_.insert(host.node).second) {
    return fail(WalkVerdict::Loop, host, "the packet comes back to " + host.node);
  }
  const Route* route = look_up(host, destination(), WalkTable::Routes);
  judge_route(host, route);
  if (route == nullptr) {
    end(WalkVerdict::NoRoute, host, host.node + " has no route to " + address_text());
    return nullptr;
  }
  if (refuses(*route)) {
    end(WalkVerdict::Refused, host, host.node + " refuses packets to " + address_text());
    return nullptr;
  }
  if (ends_here(*route)) {
    deliver_here(host);
    return nullptr;
  }
  const Link* device = egress(host, *route);
  if (device == nullptr || !fits(host, *device)) {
    return nullptr;
  }
  return device == overlay_link(host) ? cross(host, *device, *route) : leave(host, *device);
}

// Adds the hop; null if there is no route.
const Route* Walker::look_up(const HostSnapshot& host, const IpAddress& to, WalkTable table) {
  add_hop(host, table, format(to));
  const Route* route = find_route(host.kernel, to);
  if (route != nullptr) {
    found(host, *route, route->device, writer_of(*route));
  }
  return route;
}

// What the route must be for the packet to reach its owner. Where no snapshot's PodCIDR holds the
// address nothing is said: its node may be one without a snapshot.
void Walker::judge_route(const HostSnapshot& host, const Route* route) {
  if (owner() == nullptr) {
    return;
  }
  const Link* overlay = overlay_link(host);
  const Link* device = route == nullptr ? nullptr : link_of(host.kernel, route->device);
  const bool into_overlay =
      device != nullptr && device == overlay && route->type == RouteType::Unicast;
  const bool goes_on = route != nullptr && !refuses(*route);
  const std::string pod = address_text() + " belongs to " + (owns(host) ? host : *owner()).node;
  if (owns(host)) {
    if (!goes_on) {
      blame(pod + ", which has no route to it");
    } else if (into_overlay) {
      blame(pod + ", which sends it into the overlay");
    }
  } else if (!into_overlay) {
    const std::string instead = route == nullptr ? "has no route to it"
                                : !goes_on       ? "refuses it"
                                : ends_here(*route)
                                    ? "takes it for its own"
                                    : "sends it out of another device than the overlay's";
    blame(pod + ", but " + host.node + " " + instead + missing_overlay(host));
  }
}

// Why a node may have lost its routes into the overlay.
std::string Walker::missing_overlay(const HostSnapshot& host) const {
  const Link* overlay = overlay_link(host);
  if (overlay == nullptr) {
    return "; it has no vxlan device " + host.device;
  }
  return overlay->up ? "" : "; its " + host.device + " is down";
}

// The device that the route leads out of; null if that ends the walk.
const Link* Walker::egress(const HostSnapshot& host, const Route& route) {
  const Link* device = link_of(host.kernel, route.device);
  if (device == nullptr && !route.device) {
    return fail(WalkVerdict::LeftOverlay, host,
                host.node + "'s route has several next hops, which a snapshot does not hold");
  }
  if (device == nullptr || !device->up) {
    const std::string name =
        device == nullptr ? "#" + std::to_string(route.device->value) : device->name;
    return fail(WalkVerdict::DeviceDown, host,
                host.node + "'s route leads to device " + name +
                    (device == nullptr ? ", which is not there" : ", which is down"));
  }
  return device;
}

bool Walker::fits(const HostSnapshot& host, const Link& device) {
  const std::uint32_t bytes = walk_.packet.bytes.value_or(0);
  if (bytes <= device.mtu) {
    return true;
  }
  fail(WalkVerdict::MtuTooSmall, host,
       "a packet of " + std::to_string(bytes) + " bytes does not fit " + host.node + "'s " +
           device.name + ", whose MTU is " + std::to_string(device.mtu));
  return false;
}

// --- Where it comes out ---

void Walker::deliver_here(const HostSnapshot& host) {
  const bool is_own = owns(host) || is_in_underlay(host, destination());
  const HostSnapshot* other = find_host([&](const HostSnapshot& candidate) {
    return owns(candidate) || is_in_underlay(candidate, destination());
  });
  if (!is_own && other != nullptr) {
    fail(WalkVerdict::WrongNode, host,
         host.node + " takes " + address_text() + " for its own, but it belongs to " + other->node);
    return;
  }
  end(WalkVerdict::Delivered, host, address_text() + " is " + host.node + " itself");
}

// Out of a device that is not the overlay's.
const HostSnapshot* Walker::leave(const HostSnapshot& host, const Link& device) {
  const std::string way = host.node + " sends it out of " + device.name;
  const bool outside = leads_outside(host, device);
  if (owns(host) && !outside) {
    end(WalkVerdict::Delivered, host, way + ", where its pods are");
    return nullptr;
  }
  if ((owner() != nullptr || has_crossed()) && !outside) {
    return fail(WalkVerdict::WrongNode, host,
                way + ", but " +
                    (owner() == nullptr ? "no snapshot's PodCIDR holds " + address_text()
                                        : address_text() + " belongs to " + owner()->node));
  }
  const HostSnapshot* node = find_host(
      [&](const HostSnapshot& candidate) { return is_in_underlay(candidate, destination()); });
  if (outside && node != nullptr && deafness(*node, destination()).empty()) {
    (void)look_up(*node, destination(), WalkTable::Underlay);
    end(WalkVerdict::Delivered, *node, address_text() + " is " + node->node + " itself");
    return nullptr;
  }
  if (owner() != nullptr || has_crossed()) {
    blame(way + ", into the underlay");
  }
  end(WalkVerdict::LeftOverlay, host, way + ", where the walk cannot follow");
  return nullptr;
}

// --- Neighbour and FDB ---

bool Walker::leads_to_owner(const MacAddress& mac) const {
  bool known = false;
  for (const HostSnapshot& host : hosts_) {
    const Link* device = owns(host) ? overlay_link(host) : nullptr;
    known = known || device != nullptr;
    if (device != nullptr && device->mac == mac) {
      return true;
    }
  }
  return !known;
}

bool Walker::leads_to_owner(const IpAddress& underlay) const {
  return owner() == nullptr || find_host([&](const HostSnapshot& host) {
                                 return owns(host) && is_in_underlay(host, underlay);
                               }) != nullptr;
}

// Adds the hop; null if the packet has to wait.
const Neighbour* Walker::resolve(const HostSnapshot& host, const Link& device,
                                 const IpAddress& to) {
  add_hop(host, WalkTable::Neighbours, format(to));
  const auto row = host.kernel.neighbours.find(to);
  const bool there = row != host.kernel.neighbours.end() && row->second.device == device.index;
  if (there) {
    found(host, row->second, row->second.device, writer_of(row->second));
  }
  if (there && has_valid_mac(row->second)) {
    const MacAddress mac = row->second.lladdr.value_or(MacAddress{});
    if (!leads_to_owner(mac)) {
      blame(address_text() + " belongs to " + owner()->node + ", but " + host.node +
            " resolves it to " + format(mac) + ", which is not that node's MAC");
    }
    return &row->second;
  }
  std::string answer = "no snapshot's PodCIDR holds it, so nobody may answer";
  if (const HostSnapshot* node = owner()) {
    const Link* overlay = overlay_link(*node);
    answer = "the agent of " + host.node + " must answer with the MAC of " + node->node +
             (overlay == nullptr ? "" : ", " + format(overlay->mac));
  }
  return fail(WalkVerdict::Unresolved, host,
              host.node + " has no MAC for " + format(to) + ": " + answer);
}

const HostSnapshot* Walker::cross(const HostSnapshot& host, const Link& device,
                                  const Route& route) {
  const Neighbour* neighbour = resolve(host, device, route.gateway.value_or(destination()));
  if (neighbour == nullptr) {
    return nullptr;
  }
  const MacAddress mac = neighbour->lladdr.value_or(MacAddress{});
  add_hop(host, WalkTable::Fdb, format(mac));
  std::vector<const FdbEntry*> entries = destinations(host, device, mac);
  if (entries.empty()) {
    entries = destinations(host, device, MacAddress{});  // where what no entry has is sent
  }
  if (entries.empty()) {
    return fail(WalkVerdict::NoFdbEntry, host,
                host.node + "'s " + device.name + " knows no destination of " + format(mac));
  }
  // Several get a copy each; the one whose device has the MAC takes it.
  const FdbEntry* taken = entries.front();
  for (const FdbEntry* entry : entries) {
    const HostSnapshot* node = find_host([&](const HostSnapshot& candidate) {
      return entry->dst && is_in_underlay(candidate, *entry->dst);
    });
    const Link* overlay = node == nullptr ? nullptr : overlay_link(*node);
    if (overlay != nullptr && overlay->mac == mac) {
      taken = entry;
      break;
    }
  }
  found(host, *taken, taken->device, writer_of(*taken, device));
  if (!taken->dst || is_unspecified(*taken->dst)) {
    return fail(WalkVerdict::DroppedAtEncap, host,
                "the entry names no address that the walk can follow");
  }
  if (!leads_to_owner(*taken->dst)) {
    blame(address_text() + " belongs to " + owner()->node + ", but " + host.node + " sends " +
          format(mac) + " to " + format(*taken->dst) + ", which is not that node's address");
  }
  return encapsulate({.from = host, .device = device, .mac = mac, .to = *taken->dst});
}

// --- The tunnel ---

const HostSnapshot* Walker::encapsulate(const Encapsulated& outer) {
  const HostSnapshot& host = outer.from;
  const std::optional<IpAddress>& local = outer.device.vxlan->local;
  if (underlay_family(*outer.device.vxlan) != outer.to.family()) {
    return fail(WalkVerdict::DroppedAtEncap, host,
                host.node + "'s " + outer.device.name + " is of the other address family");
  }
  const Route* route = look_up(host, outer.to, WalkTable::Underlay);
  if (route == nullptr || refuses(*route)) {
    return fail(route == nullptr ? WalkVerdict::NoRoute : WalkVerdict::Refused, host,
                host.node + " has no way to " + format(outer.to) + " in the underlay");
  }
  // Linux sends no IPv4 packet with the source of somebody else (ip_route_output_key_hash_rcu).
  if (local && local->family() == Family::V4 && !holds(host, *local)) {
    return fail(WalkVerdict::DroppedAtEncap, host,
                "the outer source " + format(*local) + " is no address of " + host.node);
  }
  if (ends_here(*route)) {
    return decapsulate(host, outer, true);  // encap_bypass_if_local: no packet is made
  }
  const Link* device = egress(host, *route);
  if (device == nullptr) {
    return nullptr;
  }
  if (device == &outer.device) {
    return fail(WalkVerdict::DroppedAtEncap, host,
                host.node + "'s route to " + format(outer.to) + " leads into the tunnel itself");
  }
  const std::uint32_t bytes =
      walk_.packet.bytes.value_or(0) +
      (outer.to.family() == Family::V4 ? kEncapsulationV4 : kEncapsulationV6);
  if (walk_.packet.bytes && bytes > device->mtu) {
    blame("the outer packet of " + std::to_string(bytes) + " bytes goes in fragments out of " +
          device->name + ", whose MTU is " + std::to_string(device->mtu));
  }
  const HostSnapshot* node =
      find_host([&](const HostSnapshot& candidate) { return is_in_underlay(candidate, outer.to); });
  if (node == nullptr) {
    return fail(WalkVerdict::DroppedAtDecap, host,
                "no snapshot has the underlay address " + format(outer.to));
  }
  return decapsulate(*node, outer, false);
}

// `looped`: by encap_bypass_if_local, where no MAC counts.
const HostSnapshot* Walker::decapsulate(const HostSnapshot& host, const Encapsulated& outer,
                                        bool looped) {
  add_hop(host, WalkTable::Tunnels, vni_and_port(*outer.device.vxlan) + " to " + format(outer.to));
  if (const std::string problem = deafness(host, outer.to); !looped && !problem.empty()) {
    return fail(WalkVerdict::DroppedAtDecap, host, problem);
  }
  const Receiver receiver = receiver_of(host, outer);
  if (receiver.device == nullptr) {
    return fail(WalkVerdict::DroppedAtDecap, host, receiver.problem);
  }
  const Link& device = *receiver.device;
  found(host, device, device.index, writer_of(device));
  if (!looped && device.mac == outer.device.mac) {
    return fail(WalkVerdict::DroppedAtDecap, host,
                host.node + " has the sender's MAC, and drops what seems to come from itself");
  }
  if (!looped && device.mac != outer.mac) {
    return fail(WalkVerdict::DroppedAtDecap, host,
                "the frame is for " + format(outer.mac) + ", but " + host.node + "'s " +
                    device.name + " has " + format(device.mac));
  }
  const IpAddress& source = walk_.packet.source;
  if (source.family() == Family::V4 && holds(host, source)) {
    return fail(
        WalkVerdict::DroppedAtDecap, host,
        format(source) + " is an address of " + host.node + ", which takes no packets from itself");
  }
  return &host;
}

}  // namespace

PacketWalk walk(const WalkedPacket& packet, std::span<const HostSnapshot> hosts) {
  return Walker(packet, hosts).run();
}

}  // namespace vxmesh
