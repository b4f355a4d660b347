// The contract on the fake kernel, in virtual time.
#include "integration/contract/contract_world.h"
#include "sim/kernel/fake_netlink.h"
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
      : netlink_(kernel_, loop_, clock_, 2 * options.receive_buffer / kBytesPerMessage) {}

  Netlink& netlink() override { return netlink_; }

  bool send_datagram(const IpAddress& to) override {
    const PacketFate fate = kernel_.send_packet(to, clock_.monotonic()).fate;
    return fate != PacketFate::Refused && fate != PacketFate::NoRoute;
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
};

}  // namespace

Result<std::unique_ptr<ContractWorld>> make_contract_world(const ContractWorldOptions& options) {
  return std::make_unique<FakeWorld>(options);
}

}  // namespace vxmesh
