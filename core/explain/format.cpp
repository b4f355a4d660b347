// Walks as text.
#include <algorithm>

#include "explain/packet_walk.h"

namespace vxmesh {
namespace {

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string format_hop(const WalkHop& hop, std::size_t number, std::size_t node_width) {
  std::string line = padded(std::to_string(number), 2) + "  " + padded(hop.node, node_width) +
                     "  " + padded(format(hop.table), 10) + "  " + hop.asked + " -> " +
                     (hop.found.empty() ? "nothing" : hop.found);
  if (!hop.found.empty()) {
    line += " (" + (hop.device.empty() ? "" : hop.device + ", ") + hop.writer + ")";
  }
  return line;
}

}  // namespace

std::string format(WalkVerdict verdict) {
  switch (verdict) {
    case WalkVerdict::Delivered: return "delivered";
    case WalkVerdict::WrongNode: return "delivered to the wrong node";
    case WalkVerdict::LeftOverlay: return "left the overlay";
    case WalkVerdict::Unresolved: return "unresolved";
    case WalkVerdict::Refused: return "refused";
    case WalkVerdict::NoRoute: return "no route";
    case WalkVerdict::NoFdbEntry: return "no FDB entry";
    case WalkVerdict::DroppedAtEncap: return "dropped at encapsulation";
    case WalkVerdict::DroppedAtDecap: return "dropped at decapsulation";
    case WalkVerdict::DeviceDown: return "device down";
    case WalkVerdict::MtuTooSmall: return "MTU too small";
    case WalkVerdict::Loop: break;
  }
  return "loop";
}

std::string format(WalkTable table) {
  switch (table) {
    case WalkTable::Routes: return "route";
    case WalkTable::Neighbours: return "neighbour";
    case WalkTable::Fdb: return "fdb";
    case WalkTable::Underlay: return "underlay";
    case WalkTable::Tunnels: break;
  }
  return "tunnel";
}

std::string format(const PacketWalk& walk) {
  const WalkedPacket& packet = walk.packet;
  std::string text = format(packet.source) + " (" + packet.from_node + ") > " +
                     format(packet.destination) +
                     (packet.bytes ? ", " + std::to_string(*packet.bytes) + " bytes" : "") + "\n";
  std::size_t node_width = 0;
  for (const WalkHop& hop : walk.hops) {
    node_width = std::max(node_width, hop.node.size());
  }
  std::size_t number = 0;
  for (const WalkHop& hop : walk.hops) {
    text += format_hop(hop, ++number, node_width) + "\n";
  }
  if (walk.first_wrong) {
    const WrongHop& wrong = *walk.first_wrong;
    text += "first wrong: hop " + std::to_string(wrong.hop + 1) + ", " + wrong.what +
            (wrong.writer.empty() ? "" : " (written by: " + wrong.writer + ")") + "\n";
  }
  return text + format(walk.verdict) + " at " + walk.node + ": " + walk.reason;
}

}  // namespace vxmesh
