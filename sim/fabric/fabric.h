// The underlay: one Ethernet segment that carries frames between hosts, with rules for what goes
// wrong on it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/kernel/data_plane.h"
#include "sim/world/fake_event_loop.h"
#include "sim/world/trace.h"

namespace vxmesh {

// What becomes of one frame on its way to one end.
struct Passage {
  bool lost = false;
  Duration delay{};  // in addition to the latency
  bool twice = false;

  friend bool operator==(const Passage&, const Passage&) = default;
};

// Contract: a switch that knows whose MAC is whose. Frames between two ends keep their order unless
// a rule delays some. A rule sees every frame on its way to every end, and ends with its guard. The
// world outlives this.
class Fabric {
 public:
  static constexpr Duration kLatency = std::chrono::microseconds(100);

  using Receiver = std::function<void(FramePtr)>;
  // Changes `passage`. `from` and `to` are ends of the segment.
  using Rule = std::function<void(HostNumber from, HostNumber to, const EthernetFrame& frame,
                                  Passage& passage)>;
  using Guard = std::shared_ptr<const void>;
  // Sees every frame as it is sent.
  using Tap = std::function<void(HostNumber from, const EthernetFrame& frame)>;

  Fabric(FakeEventLoop& world, Trace& trace) : world_(world), trace_(trace) {}
  Fabric(const Fabric&) = delete;
  Fabric& operator=(const Fabric&) = delete;

  void attach(HostNumber end, const MacAddress& mac, Receiver receiver);
  // What is under way to it is lost.
  void detach(HostNumber end);

  void send(HostNumber from, const FramePtr& frame);

  [[nodiscard]] Guard add_rule(Rule rule);
  // What a frame from one end to the other would meet, the draws of rules included.
  [[nodiscard]] Passage judge(HostNumber from, HostNumber to, const EthernetFrame& frame);
  void set_tap(Tap tap) { tap_ = std::move(tap); }

 private:
  struct End {
    MacAddress mac;
    std::shared_ptr<const Receiver> receiver;
  };

  // `payload` stands for the frame in the trace.
  void pass(HostNumber from, HostNumber to, const End& end, const FramePtr& frame,
            std::uint64_t payload);

  FakeEventLoop& world_;
  Trace& trace_;
  std::map<HostNumber, End> ends_;
  std::map<MacAddress, HostNumber> macs_;
  std::vector<std::weak_ptr<const Rule>> rules_;
  Tap tap_;
};

}  // namespace vxmesh
