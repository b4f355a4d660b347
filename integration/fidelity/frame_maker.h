// Random frames, as nodes of an overlay and their pods send them, over as few values as requests.
#pragma once

#include <optional>

#include "integration/fidelity/program.h"
#include "integration/fidelity/request_maker.h"
#include "integration/fidelity/state_view.h"
#include "sim/kernel/packet.h"

namespace vxmesh::fidelity {

// What reaches a device: the frame, out of its tunnel if it came through one.
struct Heard {
  IfIndex device;
  EthernetFrame frame;
};
// Where the injected frame is heard as ARP, discovery or IP of one of the devices; nullopt if it
// only leaves, or is nothing that can be told from the tables.
[[nodiscard]] std::optional<Heard> heard_by(const Inject& action, const StateView& state);

// The other end of a veth; null if it has none.
[[nodiscard]] const Link* peer_of(const Link& link, const StateView& state);

class FrameMaker {
 public:
  FrameMaker(const RequestMaker& maker, const StateView& state)
      : draw_(maker.draw()), state_(state) {}

  // Into a device that is up, mostly a veth: a packet socket sends it.
  [[nodiscard]] Inject inject() const;
  // The same, of ARP (inet) or neighbour discovery (inet6), into a veth.
  [[nodiscard]] Inject resolve(Family family) const;

  // Arrives at the device, whatever else does, if its other end sends it: what has not arrived
  // before it does not come. Nullopt if the device is no veth that is up at both ends.
  [[nodiscard]] std::optional<Inject> sentinel(IfIndex device) const;

 private:
  [[nodiscard]] const Link* draw_link(bool veth_only) const;
  // As if sent to `receiver`; to anybody if that is null.
  [[nodiscard]] EthernetFrame inner(const Link* receiver) const;
  [[nodiscard]] EthernetFrame addressed(const Link* receiver, EthernetFrame::Payload payload) const;
  [[nodiscard]] EthernetFrame arp(const Link* receiver) const;
  [[nodiscard]] EthernetFrame discovery(const Link* receiver) const;
  [[nodiscard]] EthernetFrame packet(const Link* receiver) const;
  // In a tunnel to one of our vxlan devices, on the wire to `receiver`; nullopt if there is none.
  [[nodiscard]] std::optional<EthernetFrame> tunnelled(const Link& receiver) const;
  [[nodiscard]] IpAddress own_address(const Link* receiver, Family family) const;

  const Draw& draw_;
  const StateView& state_;
};

}  // namespace vxmesh::fidelity
