// A program's namespace on the fake kernel.
#include <algorithm>
#include <map>

#include "integration/fidelity/frames.h"
#include "integration/fidelity/world.h"
#include "sim/kernel/namespace_state.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh::fidelity {
namespace {

// What tables() leaves out: the multicast neighbours that IPv6 makes in its own time.
bool is_left_out(const Record& row) {
  const NeighbourRecord* neighbour = std::get_if<NeighbourRecord>(&row);
  return neighbour != nullptr && neighbour->neighbour.address.is_multicast() &&
         neighbour->neighbour.state == kNudNoarp && neighbour->neighbour.protocol == 0;
}

NeighbourTable::ReachableTime reachable_function(ReachableTime reachable) {
  return [reachable](Duration base) {
    switch (reachable) {
      case ReachableTime::Shortest: return base / 2;
      case ReachableTime::Longest: return base + base / 2;
      case ReachableTime::Base: break;
    }
    return base;
  };
}

class FakeWorld final : public World {
 public:
  explicit FakeWorld(ReachableTime reachable)
      : host_(reachable_function(reachable)),
        kernel_(host_),
        subscription_(kernel_.subscribe(
            [this](const Notification& message) { notifications_.push_back(message); })) {
    kernel_.set_dad_delay({});  // as in the real world, which pins what is random
    kernel_.data_plane().set_tap([this](IfIndex device, const EthernetFrame& frame) {
      if (const auto kept = captured_.find(device); kept != captured_.end()) {
        kept->second.push_back({.device = device, .frame = encode(frame)});
      }
    });
  }

  Reply request(const rtnl::Request& request, Writer writer) override {
    KernelReply reply = kernel_.request(request, PortId{static_cast<std::uint32_t>(writer)}, now_);
    return {.done = std::move(reply.done), .row = std::move(reply.row), .batch = {}};
  }

  std::vector<OpDone> batch(std::span<const rtnl::Request> requests, Writer writer) override {
    std::vector<OpDone> answers;
    for (KernelReply& reply :
         kernel_.batch(requests, PortId{static_cast<std::uint32_t>(writer)}, now_)) {
      answers.push_back(std::move(reply.done));
    }
    return answers;
  }

  std::vector<Record> tables() override {
    std::vector<Record> rows = kernel_.dump_all();
    std::erase_if(rows, is_left_out);
    std::sort(rows.begin(), rows.end());
    return rows;
  }

  std::vector<Notification> notifications() override {
    std::vector<Notification> told = std::exchange(notifications_, {});
    for (Notification& message : told) {
      message.since_update = {};
    }
    std::erase_if(told, [](const Notification& message) { return is_left_out(message.record); });
    return told;
  }

  void wait_for_news(Duration /*most*/) override {}  // what a step does is done when it ends

  void advance(Duration time) override {
    now_ = now_ + time;
    kernel_.run_timers(now_);
  }

  void set_forwarding(bool on) override { kernel_.set_forwarding(on, now_); }

  int send_datagram(const IpAddress& to) override { return kernel_.send_datagram(to, now_); }

  int inject(IfIndex device, std::span<const std::uint8_t> frame) override {
    return kernel_.inject(device, frame, now_);
  }
  void capture(IfIndex device) override { captured_.try_emplace(device); }
  std::vector<Captured> captured() override {
    std::vector<Captured> frames;
    for (auto& [device, kept] : captured_) {
      frames.insert(frames.end(), kept.begin(), kept.end());
      kept.clear();
    }
    return comparable(frames);
  }

 private:
  MonotonicTime now_;
  KernelHost host_;
  NamespaceState kernel_;
  std::vector<Notification> notifications_;
  std::map<IfIndex, std::vector<Captured>> captured_;
  NamespaceState::Subscription subscription_;
};

}  // namespace

std::unique_ptr<World> make_fake_world(ReachableTime reachable) {
  return std::make_unique<FakeWorld>(reachable);
}

}  // namespace vxmesh::fidelity
