// The contract on the kernel that runs this: a private network namespace, nothing of the host's
// touched.
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "adapters/libnl/netlink_libnl.h"
#include "adapters/posix/file_descriptor.h"
#include "base/check.h"
#include "integration/contract/contract_world.h"
#include "integration/support/private_namespace.h"

namespace vxmesh {
namespace {

class RealWorld : public ContractWorld {
 public:
  explicit RealWorld(PrivateNamespace network) : network_(std::move(network)) {}

  Result<void> open(const ContractWorldOptions& options) {
    Result<std::unique_ptr<NetlinkLibnl>> netlink =
        NetlinkLibnl::open(context_, {.receive_buffer = options.receive_buffer});
    if (!netlink) {
      return tl::unexpected<Error>(netlink.error());
    }
    netlink_ = std::move(*netlink);
    return {};
  }

  Netlink& netlink() override { return *netlink_; }

  bool send_datagram(const IpAddress& to) override {
    const bool is_v4 = to.family() == Family::V4;
    const FileDescriptor socket(::socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    check(socket.is_open(), "a UDP socket can be made");
    constexpr std::uint16_t kDiscardPort = 9;
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(kDiscardPort);
    std::memcpy(&v4.sin_addr, to.bytes().data(), sizeof(v4.sin_addr));
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(kDiscardPort);
    std::memcpy(&v6.sin6_addr, to.bytes().data(), sizeof(v6.sin6_addr));
    const auto* address =
        is_v4 ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6);
    const socklen_t size = is_v4 ? sizeof(v4) : sizeof(v6);
    if (::sendto(socket.get(), "x", 1, MSG_DONTWAIT, address, size) == 1) {
      return true;
    }
    check(errno == EHOSTUNREACH || errno == ENETUNREACH, "a send fails only for want of a route");
    return false;
  }

  bool run_until(const std::function<bool()>& done) override {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) {
        return false;
      }
      context_.restart();
      context_.run_one_for(std::chrono::milliseconds(10));
    }
    return true;
  }

  void run_posted() override {
    context_.restart();
    context_.poll();
  }

 private:
  PrivateNamespace network_;  // left last
  boost::asio::io_context context_{1};
  std::unique_ptr<NetlinkLibnl> netlink_;
};

}  // namespace

Result<std::unique_ptr<ContractWorld>> make_contract_world(const ContractWorldOptions& options) {
  Result<PrivateNamespace> network = PrivateNamespace::enter();
  if (!network) {
    return tl::unexpected<Error>(network.error());
  }
  hold_neighbour_lock();
  auto world = std::make_unique<RealWorld>(std::move(*network));
  if (const Result<void> opened = world->open(options); !opened) {
    return tl::unexpected<Error>(opened.error());
  }
  return world;
}

}  // namespace vxmesh
