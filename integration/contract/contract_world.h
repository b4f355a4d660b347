// Where a contract test runs: a network namespace of its own, reached through the Netlink port, and
// what can be done to it from outside the port.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "ports/netlink.h"

namespace vxmesh {

struct ContractWorldOptions {
  std::size_t receive_buffer = std::size_t{8} * 1024 * 1024;  // for events, in bytes
};

// Contract: fresh, with a loopback device (index 1, down) and nothing else. Gone when destroyed.
class ContractWorld {
 public:
  virtual ~ContractWorld() = default;

  [[nodiscard]] virtual Netlink& netlink() = 0;

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
