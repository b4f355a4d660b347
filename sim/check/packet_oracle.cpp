#include "sim/check/packet_oracle.h"

#include <algorithm>

namespace vxmesh {
namespace {

// Bytes; 0 if the host's own device is gone.
std::uint32_t underlay_mtu(const Host& host) {
  const Link* link = host.kernel().find_link(host.underlay());
  return link == nullptr ? 0 : link->mtu;
}

}  // namespace

void PacketOracle::on_sent(const Host& host, const PodPacket& packet) {
  const Host* to = packet.number == 0 ? nullptr : view_.host_of_pod(packet.to);
  if (to == nullptr || to == &host) {
    return;
  }
  const MonotonicTime now = view_.now();
  const bool resolved = host.kernel().deliver(packet.to).fate == PacketFate::Vtep;
  if (now <= owed_after(packet, host, *to, resolved)) {
    return;
  }
  sent_.push_back({.packet = packet,
                   .time = now,
                   .from = host.number(),
                   .to = to->number(),
                   .resolved = resolved});
  outstanding_.insert(packet.number);
}

void PacketOracle::on_received(const Host& /*host*/, const PodPacket& packet) {
  outstanding_.erase(packet.number);
}

void PacketOracle::on_settled() {
  const MonotonicTime now = view_.now();
  while (!sent_.empty() && sent_.front().time + kPatience < now) {
    const Sent sent = sent_.front();
    sent_.pop_front();
    if (outstanding_.erase(sent.packet.number) > 0) {
      judge_lost(sent);
    } else {
      verdicts_.judged(sent.resolved ? "blackout" : "misses");
    }
  }
}

// The receiver drops what it has no way back to (rp_filter), so it has to know the sender as well.
MonotonicTime PacketOracle::owed_after(const PodPacket& packet, const Host& from, const Host& to,
                                       bool resolved) const {
  const std::uint32_t mtu = packet.bytes + Host::kTunnelHeaders;
  if (mtu > std::min(underlay_mtu(from), underlay_mtu(to))) {
    return Excuse::kForever;
  }
  const MonotonicTime owed =
      std::max(paths_.owed_between(from, to), excuses_.long_packets(from, to, mtu));
  if (resolved) {
    return owed;
  }
  return view_.agent_runs(from.name()) ? std::max(owed, excuses_.answers(from)) : Excuse::kForever;
}

void PacketOracle::judge_lost(const Sent& sent) {
  const Host* from = view_.host_of_pod(sent.packet.from);
  const Host* to = view_.host_of_pod(sent.packet.to);
  if (from == nullptr || to == nullptr || from->number() != sent.from || to->number() != sent.to) {
    return;  // a pod has ended, or begun anew elsewhere
  }
  if (sent.time > owed_after(sent.packet, *from, *to, sent.resolved)) {
    verdicts_.fail({.oracle = sent.resolved ? "blackout" : "misses",
                    .what = sent.resolved ? "a packet to a resolved pod is lost"
                                          : "a packet to an unresolved pod is lost",
                    .detail = "#" + std::to_string(sent.packet.number) + " from " +
                              format(sent.packet.from) + " on " + from->name() + " to " +
                              format(sent.packet.to) + " on " + to->name() + ", " +
                              std::to_string(sent.packet.bytes) + " bytes, has not come",
                    .time = view_.now(),
                    .from = from->name(),
                    .to = sent.packet.to,
                    .bytes = sent.packet.bytes});
  }
}

// --- On the underlay ---

bool PacketOracle::in_overlay(const IpAddress& address) const {
  return std::ranges::any_of(config_.overlay,
                             [&](const IpPrefix& cidr) { return cidr.contains(address); });
}

void PacketOracle::on_frame(const Host& from, const EthernetFrame& frame) {
  const auto* packet = std::get_if<IpPacket>(&frame.payload);
  if (packet == nullptr) {
    return;
  }
  const auto* datagram = std::get_if<UdpDatagram>(&packet->payload);
  const auto* tunnel = datagram == nullptr ? nullptr : std::get_if<VxlanFrame>(&datagram->payload);
  if (tunnel == nullptr) {
    judge_source(from, *packet, false);
  } else if (const auto* inner = std::get_if<IpPacket>(&tunnel->inner->payload)) {
    judge_source(from, *inner, true);
  }
}

void PacketOracle::judge_source(const Host& from, const IpPacket& packet, bool in_tunnel) {
  // What a host sends on for another was for that one to masquerade.
  const bool passes =
      !in_tunnel && !from.pod_cidr().contains(packet.source) && in_overlay(packet.source);
  if (passes || view_.now() <= excuses_.firewall(from)) {
    return;
  }
  // Into the overlay nothing is masqueraded: where it goes instead is not for us to say.
  const bool led_out = !in_tunnel && in_overlay(packet.destination);
  if (led_out && view_.now() <= excuses_.peer_routes(from)) {
    return;
  }
  if (in_overlay(packet.source) == in_tunnel) {
    verdicts_.judged("masquerade");
    return;
  }
  // Nobody can be masqueraded as a device without its address.
  const bool has_no_address = in_tunnel && view_.now() <= excuses_.tables(from);
  if (has_no_address || view_.now() <= paths_.owed_by(from)) {
    return;
  }
  verdicts_.fail({.oracle = "masquerade",
                  .what = in_tunnel ? "a source outside the overlay goes into the tunnel"
                                    : "a pod's address leaves the overlay",
                  .detail = from.name() + " sends " + format(packet),
                  .time = view_.now()});
}

}  // namespace vxmesh
