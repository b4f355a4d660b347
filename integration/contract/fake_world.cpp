// The contract on the fake kernel, in virtual time.
#include <cerrno>
#include <map>
#include <utility>

#include "base/check.h"
#include "integration/contract/contract_world.h"
#include "sim/kernel/fake_netlink.h"
#include "sim/kernel/packet_codec.h"
#include "sim/world/fake_clock.h"
#include "sim/world/fake_event_loop.h"

namespace vxmesh {
namespace {

// What a neighbour event takes of a receive buffer, of which the kernel doubles the size
// (socket(7), SO_RCVBUF).
constexpr std::size_t kBytesPerMessage = 840;

class FakeWorld : public ContractWorld {
 public:
  explicit FakeWorld(const ContractWorldOptions& options)
      : netlink_(kernel_, loop_, clock_, 2 * options.receive_buffer / kBytesPerMessage) {
    kernel_.data_plane().set_tap([this](IfIndex device, const EthernetFrame& frame) {
      if (const auto kept = captured_.find(device); kept != captured_.end()) {
        kept->second.push_back(frame);
      }
    });
  }

  Netlink& netlink() override { return netlink_; }

  OpDone request(const rtnl::Request& request) override {
    constexpr PortId kSomebodyElse{2};
    return kernel_.request(request, kSomebodyElse, clock_.monotonic()).done;
  }

  void forward() override { kernel_.set_forwarding(true, clock_.monotonic()); }

  void inject(IfIndex device, const EthernetFrame& frame) override {
    const int error = kernel_.inject(device, encode(frame), clock_.monotonic());
    check(error == 0, "the device takes the frame");
  }
  void capture(IfIndex device) override { captured_.try_emplace(device); }
  std::vector<EthernetFrame> captured(IfIndex device) override {
    return std::exchange(captured_.at(device), {});
  }

  bool send_datagram(const IpAddress& to) override {
    const int error = kernel_.send_datagram(to, clock_.monotonic());
    check(error == 0 || error == EHOSTUNREACH || error == ENETUNREACH,
          "a send fails only for want of a route");
    return error == 0;
  }

  bool run_until(const std::function<bool()>& done) override {
    const MonotonicTime deadline = loop_.now() + std::chrono::seconds(20);
    while (!done()) {
      if (loop_.now() > deadline) {
        return false;
      }
      loop_.run_for(std::chrono::milliseconds(10));
    }
    return true;
  }

  void run_posted() override { loop_.run_until(loop_.now()); }

 private:
  FakeEventLoop loop_;
  FakeClock clock_{loop_};
  NamespaceState kernel_;
  FakeNetlink netlink_;
  std::map<IfIndex, std::vector<EthernetFrame>> captured_;
};

}  // namespace

Result<std::unique_ptr<ContractWorld>> make_contract_world(const ContractWorldOptions& options) {
  return std::make_unique<FakeWorld>(options);
}

}  // namespace vxmesh
