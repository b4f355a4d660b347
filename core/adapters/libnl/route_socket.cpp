#include "adapters/libnl/route_socket.h"

#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace vxmesh {
namespace {

// The kernel fills at most 32 KiB in one step of a dump (netlink_dump); one message is never near.
constexpr std::size_t kReceiveSize = std::size_t{64} * 1024;
// A batch is far smaller; libnl's own default of 32 KiB is not enough for one of link creations.
constexpr int kSendBuffer = 256 * 1024;

bool set_option(int descriptor, int level, int option, int value) {
  return ::setsockopt(descriptor, level, option, &value, sizeof(value)) == 0;
}

tl::unexpected<Error> socket_error(const std::string& what) {
  return tl::unexpected<Error>(
      kernel_error(what, Answer{.error_number = errno, .extended_ack = ""}));
}

Result<void> configure(int descriptor, std::size_t receive_buffer) {
  const int size = static_cast<int>(std::min<std::size_t>(receive_buffer, INT_MAX / 2));
  if (!set_option(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, size) &&
      !set_option(descriptor, SOL_SOCKET, SO_RCVBUF, size)) {
    return socket_error("cannot size a netlink receive buffer");
  }
  if (!set_option(descriptor, SOL_SOCKET, SO_SNDBUF, kSendBuffer)) {
    return socket_error("cannot size a netlink send buffer");
  }
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
    if (!set_option(descriptor, SOL_NETLINK, option, 1)) {
      return socket_error("cannot set netlink socket option " + std::to_string(option));
    }
  }
  return {};
}

}  // namespace

RouteSocket::RouteSocket(std::unique_ptr<nl_sock, Free> socket)
    : socket_(std::move(socket)), buffer_(kReceiveSize) {}

void RouteSocket::Free::operator()(nl_sock* socket) const {
  ::nl_socket_free(socket);
}

Result<RouteSocket> RouteSocket::open(std::size_t receive_buffer, std::span<const int> groups) {
  std::unique_ptr<nl_sock, Free> socket(::nl_socket_alloc());
  if (socket == nullptr) {
    return fail(ErrorCode::Environment, "no memory for a netlink socket");
  }
  if (const int error = ::nl_connect(socket.get(), NETLINK_ROUTE); error < 0) {
    return fail(ErrorCode::Environment,
                std::string("cannot open a netlink socket: ") + ::nl_geterror(error));
  }
  const Result<void> configured = configure(::nl_socket_get_fd(socket.get()), receive_buffer);
  if (!configured) {
    return tl::unexpected<Error>(configured.error());
  }
  for (const int group : groups) {
    if (const int error = ::nl_socket_add_membership(socket.get(), group); error < 0) {
      return fail(ErrorCode::Environment, "cannot join netlink group " + std::to_string(group) +
                                              ": " + ::nl_geterror(error));
    }
  }
  return RouteSocket(std::move(socket));
}

int RouteSocket::descriptor() const {
  return ::nl_socket_get_fd(socket_.get());
}

std::uint32_t RouteSocket::port() const {
  return ::nl_socket_get_local_port(socket_.get());
}

int RouteSocket::send(std::span<const std::uint8_t> bytes) const {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent = -1;
  do {
    sent = ::sendto(descriptor(), bytes.data(), bytes.size(), MSG_DONTWAIT,
                    reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel));
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

RouteSocket::Received RouteSocket::receive() {
  while (true) {
    sockaddr_nl sender{};
    iovec vector{.iov_base = buffer_.data(), .iov_len = buffer_.size()};
    msghdr header{};
    header.msg_name = &sender;
    header.msg_namelen = sizeof(sender);
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    const ssize_t length = ::recvmsg(descriptor(), &header, MSG_DONTWAIT);
    if (length < 0) {
      switch (errno) {
        case EINTR: continue;
        case EAGAIN: return {.status = Status::Nothing, .bytes = {}, .error_number = 0};
        case ENOBUFS: return {.status = Status::Overrun, .bytes = {}, .error_number = 0};
        default: return {.status = Status::Failed, .bytes = {}, .error_number = errno};
      }
    }
    if (sender.nl_pid != 0) {
      continue;  // another process may send to our port; only the kernel is believed
    }
    if ((header.msg_flags & MSG_TRUNC) != 0) {
      return {.status = Status::Overrun, .bytes = {}, .error_number = 0};
    }
    return {.status = Status::Data,
            .bytes = std::span(buffer_).first(static_cast<std::size_t>(length)),
            .error_number = 0};
  }
}

}  // namespace vxmesh
