#include "integration/support/datagram.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "adapters/posix/file_descriptor.h"
#include "base/check.h"

namespace vxmesh {

int send_datagram(const IpAddress& to) {
  constexpr std::uint16_t kDiscardPort = 9;
  const bool is_v4 = to.family() == Family::V4;
  const FileDescriptor socket(::socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  check(socket.is_open(), "a UDP socket can be made");
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(kDiscardPort);
  std::memcpy(&v4.sin_addr, to.bytes().data(), sizeof(v4.sin_addr));
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(kDiscardPort);
  std::memcpy(&v6.sin6_addr, to.bytes().data(), sizeof(v6.sin6_addr));
  const auto* address =
      is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  const socklen_t size = is_v4 ? sizeof(v4) : sizeof(v6);
  return ::sendto(socket.get(), "x", 1, MSG_DONTWAIT, address, size) < 0 ? errno : 0;
}

}  // namespace vxmesh
