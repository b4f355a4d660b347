#include "sim/fabric/fabric.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/world/digest.h"

namespace vxmesh {

void Fabric::attach(HostNumber end, const MacAddress& mac, Receiver receiver) {
  check(!ends_.contains(end), "an end is attached once");
  check(macs_.emplace(mac, end).second, "every end has a MAC of its own");
  ends_.emplace(end,
                End{.mac = mac, .receiver = std::make_shared<const Receiver>(std::move(receiver))});
}

void Fabric::detach(HostNumber end) {
  const auto place = ends_.find(end);
  if (place != ends_.end()) {
    macs_.erase(place->second.mac);
    ends_.erase(place);
  }
}

void Fabric::send(HostNumber from, const FramePtr& frame) {
  if (!ends_.contains(from)) {
    return;
  }
  if (tap_) {
    tap_(from, *frame);
  }
  const std::uint64_t payload = digest_of(frame);
  if (is_multicast(frame->destination)) {
    for (const auto& [to, end] : ends_) {
      if (to != from) {
        pass(from, to, end, frame, payload);
      }
    }
  } else if (const auto known = macs_.find(frame->destination); known != macs_.end()) {
    pass(from, known->second, ends_.at(known->second), frame, payload);
  }
}

Passage Fabric::judge(HostNumber from, HostNumber to, const EthernetFrame& frame) {
  Passage passage;
  for (const auto& weak : rules_) {
    if (const auto rule = weak.lock()) {
      (*rule)(from, to, frame, passage);
    }
  }
  return passage;
}

void Fabric::pass(HostNumber from, HostNumber to, const End& end, const FramePtr& frame,
                  std::uint64_t payload) {
  const Passage passage = judge(from, to, *frame);
  trace_.record(world_.now(), from, TraceKind::Frame, digest_of(to, payload, passage),
                [&] { return (passage.lost ? "lost: " : "") + format(*frame); });
  if (passage.lost) {
    return;
  }
  for (int copies = passage.twice ? 2 : 1; copies > 0; --copies) {
    world_.timer(
        kLatency + passage.delay,
        [this, to, payload, receiver = std::weak_ptr<const Receiver>(end.receiver), frame] {
          trace_.cover(to, TraceKind::Arrival, payload);
          if (const auto alive = receiver.lock()) {
            (*alive)(frame);
          }
        });
  }
}

Fabric::Guard Fabric::add_rule(Rule rule) {
  std::erase_if(rules_, [](const auto& other) { return other.expired(); });
  auto guard = std::make_shared<const Rule>(std::move(rule));
  rules_.push_back(guard);
  return guard;
}

}  // namespace vxmesh
