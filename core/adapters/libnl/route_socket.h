// A NETLINK_ROUTE socket: never waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "adapters/libnl/message.h"

struct nl_sock;

namespace vxmesh {

// Contract: bound to the network namespace of the thread that opens it, with extended acks, capped
// acks and strict checking of dump requests. Only messages of the kernel are received.
// Threading: one thread.
class RouteSocket {
 public:
  // `receive_buffer` in bytes; beyond net.core.rmem_max only as far as the process may
  // (SO_RCVBUFFORCE). `groups`: RTNLGRP_*.
  [[nodiscard]] static Result<RouteSocket> open(std::size_t receive_buffer,
                                                std::span<const int> groups = {});

  [[nodiscard]] int descriptor() const;
  // nlmsg_pid of what this socket asks for.
  [[nodiscard]] std::uint32_t port() const;

  // Hands whole messages to the kernel, which has acted on all of them, and answered, when this
  // returns. 0, or the errno with which it took none.
  [[nodiscard]] int send(std::span<const std::uint8_t> bytes) const;

  enum class Status : std::uint8_t {
    Data,
    Nothing,  // nothing is there now
    Overrun,  // the kernel dropped messages, here or earlier; more may be there
    Failed,   // the socket is of no use any more
  };
  struct Received {
    Status status = Status::Nothing;
    std::span<const std::uint8_t> bytes;  // valid until the next call
    int error_number = 0;                 // of Failed
  };
  // One datagram.
  [[nodiscard]] Received receive();

 private:
  struct Free {
    void operator()(nl_sock* socket) const;
  };
  explicit RouteSocket(std::unique_ptr<nl_sock, Free> socket);

  std::unique_ptr<nl_sock, Free> socket_;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace vxmesh
