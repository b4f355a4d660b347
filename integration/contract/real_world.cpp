// The contract on the kernel that runs this: a private network namespace, nothing of the host's
// touched.
#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "adapters/libnl/message.h"
#include "adapters/libnl/netlink_libnl.h"
#include "adapters/libnl/route_socket.h"
#include "adapters/posix/file_descriptor.h"
#include "base/check.h"
#include "integration/contract/contract_world.h"
#include "integration/fidelity/real_encode.h"
#include "integration/support/datagram.h"
#include "integration/support/packet_socket.h"
#include "integration/support/private_namespace.h"
#include "sim/kernel/packet_choices.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

PacketSocket must(Result<PacketSocket> socket) {
  check(socket.has_value(), "whoever may make a network namespace may open packet sockets in it");
  return std::move(*socket);
}

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
    Result<RouteSocket> requests = RouteSocket::open(std::size_t{256} * 1024);
    if (!requests) {
      return tl::unexpected<Error>(requests.error());
    }
    requests_.emplace(std::move(*requests));
    return {};
  }

  Netlink& netlink() override { return *netlink_; }

  OpDone request(const rtnl::Request& request) override {
    check(requests_->send(fidelity::encode(request, ++sequence_)) == 0,
          "the kernel takes a request");
    while (true) {
      const RouteSocket::Received received = requests_->receive();
      check(received.status == RouteSocket::Status::Data, "rtnetlink answers a request at once");
      std::span<const std::uint8_t> buffer = received.bytes;
      while (const std::optional<Message> message = take_message(buffer)) {
        if (std::optional<Answer> answer = decode_answer(*message);
            answer && message->sequence() == sequence_) {
          return {.error_number = answer->error_number,
                  .extended_ack = std::move(answer->extended_ack)};
        }
      }
    }
  }

  void forward() override {
    for (const char* path :
         {"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"}) {
      const FileDescriptor file(::open(path, O_WRONLY | O_CLOEXEC));
      check(file.is_open() && ::write(file.get(), "1", 1) == 1,
            "a namespace of our own can be made to forward");
    }
  }

  void inject(IfIndex device, const EthernetFrame& frame) override {
    if (!packets_) {
      packets_.emplace(must(PacketSocket::open()));
    }
    check(packets_->send(device, encode(frame)) == 0, "the device takes the frame");
  }
  void capture(IfIndex device) override {
    captures_.insert_or_assign(device, must(PacketSocket::listen(device)));
  }
  std::vector<EthernetFrame> captured(IfIndex device) override {
    std::vector<EthernetFrame> frames;
    while (std::optional<Bytes> bytes = captures_.at(device).receive()) {
      std::optional<EthernetFrame> frame = decode_frame(with_checksums_made(std::move(*bytes)));
      check(frame.has_value(), "a device receives whole frames");
      if (!is_unasked(*frame)) {
        frames.push_back(std::move(*frame));
      }
    }
    return frames;
  }

  bool send_datagram(const IpAddress& to) override {
    const int error = vxmesh::send_datagram(to);
    check(error == 0 || error == EHOSTUNREACH || error == ENETUNREACH,
          "a send fails only for want of a route");
    return error == 0;
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
  std::optional<RouteSocket> requests_;  // somebody else's
  std::uint32_t sequence_ = 0;
  std::optional<PacketSocket> packets_;  // for inject()
  std::map<IfIndex, PacketSocket> captures_;
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
