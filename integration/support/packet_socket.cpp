#include "integration/support/packet_socket.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace vxmesh {
namespace {

// The largest frame of a device of the largest MTU there is.
constexpr std::size_t kMaxFrame = std::size_t{64} * 1024 + ETH_HLEN;
constexpr int kReceiveBuffer = 1024 * 1024;

tl::unexpected<Error> packet_error(ErrorCode code, const std::string& what) {
  return fail(code, what + ": " + std::strerror(errno));
}

sockaddr_ll device_address(IfIndex device, std::uint16_t protocol) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = static_cast<int>(device.value);
  return address;
}

}  // namespace

Result<PacketSocket> PacketSocket::open() {
  // Protocol 0: it receives nothing.
  FileDescriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) {
    return packet_error(ErrorCode::NoPermission,
                        "cannot open a packet socket (AF_PACKET, CAP_NET_RAW)");
  }
  return PacketSocket(std::move(socket));
}

Result<PacketSocket> PacketSocket::listen(IfIndex device) {
  Result<PacketSocket> opened = open();
  if (!opened) {
    return opened;
  }
  const int descriptor = opened->socket_.get();
  const int on = 1;
  if (::setsockopt(descriptor, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0) {
    return packet_error(ErrorCode::Environment,
                        "cannot leave out what a device sends (PACKET_IGNORE_OUTGOING)");
  }
  static_cast<void>(::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer,
                                 sizeof(kReceiveBuffer)));
  const sockaddr_ll address = device_address(device, ETH_P_ALL);
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
      errno != ENODEV) {
    return packet_error(ErrorCode::Environment, "cannot bind a packet socket");
  }
  return opened;
}

int PacketSocket::send(IfIndex device, std::span<const std::uint8_t> frame) const {
  const sockaddr_ll address = device_address(device, 0);  // the frame says its protocol
  const ssize_t sent = ::sendto(socket_.get(), frame.data(), frame.size(), MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  return sent < 0 ? errno : 0;
}

std::optional<std::vector<std::uint8_t>> PacketSocket::receive() const {
  thread_local std::vector<std::uint8_t> buffer(kMaxFrame);
  while (true) {
    const ssize_t length = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (length >= 0) {
      return std::vector<std::uint8_t>(buffer.begin(), buffer.begin() + length);
    }
    // ENETDOWN is said once when the device is, or goes, down; frames that came before are kept.
    if (errno != EINTR && errno != ENETDOWN) {
      return std::nullopt;
    }
  }
}

}  // namespace vxmesh
