// Frames as they are, in and out of a device: AF_PACKET.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "adapters/posix/file_descriptor.h"
#include "base/result.h"
#include "model/link.h"

namespace vxmesh {

// Contract: in the network namespace of the thread that opens it. Never waits, except that closing
// it waits for an RCU grace period (packet_release).
// Threading: one thread.
class PacketSocket {
 public:
  // Sends only. ErrorCode::NoPermission: the process or the kernel has no packet sockets.
  [[nodiscard]] static Result<PacketSocket> open();
  // Keeps what `device` receives from now on. A device that is not there receives nothing.
  [[nodiscard]] static Result<PacketSocket> listen(IfIndex device);

  // The errno, 0 if it was taken.
  [[nodiscard]] int send(IfIndex device, std::span<const std::uint8_t> frame) const;
  // The next frame, if there is one.
  [[nodiscard]] std::optional<std::vector<std::uint8_t>> receive() const;
  // Readable when there is a next frame; for poll.
  [[nodiscard]] int descriptor() const { return socket_.get(); }

 private:
  explicit PacketSocket(FileDescriptor socket) : socket_(std::move(socket)) {}

  FileDescriptor socket_;
};

}  // namespace vxmesh
