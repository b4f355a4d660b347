// Where a contract test runs: a network namespace of its own, reached through the Netlink port, and
// what can be done to it from outside the port.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "ports/netlink.h"
#include "sim/kernel/packet.h"
#include "sim/kernel/request.h"

namespace vxmesh {

struct ContractWorldOptions {
  std::size_t receive_buffer = std::size_t{8} * 1024 * 1024;  // for events, in bytes
};

// Contract: fresh, with a loopback device (index 1, down) and nothing else. Gone when destroyed.
class ContractWorld {
 public:
  virtual ~ContractWorld() = default;

  [[nodiscard]] virtual Netlink& netlink() = 0;

  // Somebody else's socket sends one message.
  virtual OpDone request(const rtnl::Request& request) = 0;
  // net.ipv4.ip_forward and net.ipv6.conf.all.forwarding, on.
  virtual void forward() = 0;

  // A packet socket on `device` sends the frame, as it is.
  virtual void inject(IfIndex device, const EthernetFrame& frame) = 0;
  // From now on frames that `device` receives are kept for captured().
  virtual void capture(IfIndex device) = 0;
  // Since the last call, in order of arrival, with their checksums made; without what the kernel
  // says in its own time (sim/kernel/packet_choices.h).
  virtual std::vector<EthernetFrame> captured(IfIndex device) = 0;

  // A process in the namespace sends one UDP datagram. False if its send is refused (EHOSTUNREACH,
  // ENETUNREACH).
  virtual bool send_datagram(const IpAddress& to) = 0;

  // Runs the event loop, and lets time pass, until `done`; false if that takes too long.
  virtual bool run_until(const std::function<bool()>& done) = 0;
  // Runs what is posted to the event loop, without letting time pass.
  virtual void run_posted() = 0;
};

// Each program that holds the tests has one. ErrorCode::NoPermission: the tests cannot run here.
[[nodiscard]] Result<std::unique_ptr<ContractWorld>> make_contract_world(
    const ContractWorldOptions& options);

}  // namespace vxmesh
