#include "adapters/libnl/netlink_libnl.h"

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <limits>
#include <utility>

#include "adapters/libnl/batch_answers.h"
#include "adapters/libnl/decode.h"
#include "adapters/libnl/dump.h"
#include "adapters/libnl/encode.h"
#include "adapters/libnl/event_queue.h"
#include "adapters/libnl/route_socket.h"
#include "base/check.h"

namespace vxmesh {
namespace {

namespace asio = boost::asio;
using Status = RouteSocket::Status;

// A full batch of refusals takes about 128 KiB of buffers.
constexpr std::size_t kRequestReceiveBuffer = std::size_t{1024} * 1024;
// Events read before the loop gets its turn again.
constexpr int kMaxReads = 4096;

constexpr std::array<int, 6> kEventGroups{RTNLGRP_LINK,        RTNLGRP_NEIGH,
                                          RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                          RTNLGRP_IPV4_ROUTE,  RTNLGRP_IPV6_ROUTE};

}  // namespace

// Batches and single lookups.
class NetlinkLibnl::Requests {
 public:
  explicit Requests(RouteSocket socket) : socket_(std::move(socket)) {}

  std::vector<OpResult> apply(std::span<const KernelOp> ops) {
    const std::uint32_t first = reserve_sequence(static_cast<std::uint32_t>(ops.size()));
    MessageBytes batch;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const bool is_last = i + 1 == ops.size();
      const MessageBytes request = encode(ops[i], first + static_cast<std::uint32_t>(i), is_last);
      batch.insert(batch.end(), request.begin(), request.end());
    }
    if (const int error = socket_.send(batch); error != 0) {
      return std::vector<OpResult>(ops.size(), OpDone{.error_number = error, .extended_ack = ""});
    }
    BatchAnswers answers(first, ops.size());
    for_each_datagram([&](const RouteSocket::Received& received) {
      if (received.status == Status::Data) {
        answers.take(received.bytes);
      } else {
        answers.lost();
      }
    });
    return answers.results();
  }

  // The object that the kernel gives; nullopt if it answers ENOENT or ENODEV. `read` turns the
  // message into it.
  template <typename Object, typename Encode, typename Read>
  Result<std::optional<Object>> get(const std::string& what, const Encode& encode,
                                    const Read& read) {
    const std::uint32_t sequence = reserve_sequence(1);
    if (const int error = socket_.send(encode(sequence)); error != 0) {
      return tl::unexpected<Error>(kernel_error(what, {.error_number = error, .extended_ack = ""}));
    }
    std::optional<Object> object;
    std::optional<Answer> answer;
    for_each_datagram([&](const RouteSocket::Received& received) {
      std::span<const std::uint8_t> buffer = received.bytes;
      while (const std::optional<Message> message = take_message(buffer)) {
        if (message->sequence() == sequence) {
          answer = decode_answer(*message);
          if (!answer) {
            object = read(*message);
          }
        }
      }
    });
    if (object) {
      return object;
    }
    if (!answer) {
      return fail(ErrorCode::Overrun, what + ": the kernel's answer was lost or not understood");
    }
    if (answer->error_number == ENOENT || answer->error_number == ENODEV) {
      return std::optional<Object>();
    }
    return tl::unexpected<Error>(kernel_error(what, *answer));
  }

 private:
  // Numbers of requests that no other answer carries; never 0, which is that of events.
  std::uint32_t reserve_sequence(std::uint32_t count) {
    if (std::numeric_limits<std::uint32_t>::max() - next_ < count) {
      next_ = 1;
    }
    return std::exchange(next_, next_ + count);
  }

  // Everything that is there to read, which is every answer there will be.
  template <typename Take>
  void for_each_datagram(const Take& take) {
    while (true) {
      const RouteSocket::Received received = socket_.receive();
      if (received.status == Status::Nothing) {
        return;
      }
      take(received);
      if (received.status == Status::Failed) {
        return;
      }
    }
  }

  RouteSocket socket_;
  std::uint32_t next_ = 1;
};

// The event socket. Kept alive by handlers that are still to run, which find it closed.
class NetlinkLibnl::Events : public std::enable_shared_from_this<NetlinkLibnl::Events> {
 public:
  Events(asio::io_context& context, RouteSocket socket, const Options& options)
      : context_(context),
        socket_(std::move(socket)),
        watch_(context),
        queue_(options.max_events, options.max_misses) {}

  Result<void> start() {
    boost::system::error_code error;
    watch_.assign(socket_.descriptor(), error);
    if (error) {
      return fail(ErrorCode::Environment, "cannot watch a netlink socket: " + error.message());
    }
    wait();
    return {};
  }

  void close() {
    wake_ = nullptr;
    if (watch_.is_open()) {
      static_cast<void>(watch_.release());  // libnl closes the descriptor
    }
  }

  void set_listener(std::function<void()> wake) {
    wake_ = std::move(wake);
    post_wake();
  }

  std::vector<Miss> take_misses(std::size_t max) {
    const bool news = read();
    std::vector<Miss> taken = queue_.take_misses(max);
    if (news) {
      post_wake();
    }
    return taken;
  }

  std::vector<KernelEvent> take_events(std::size_t max) {
    const bool news = read();
    std::vector<KernelEvent> taken = queue_.take_events(max);
    if (news) {
      post_wake();
    }
    return taken;
  }

 private:
  void wait() {
    watch_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [self = shared_from_this()](const boost::system::error_code& error) {
                        if (!error && self->watch_.is_open()) {
                          if (self->read()) {
                            self->post_wake();
                          }
                          if (!self->failed_) {
                            self->wait();
                          }
                        }
                      });
  }

  // Moves what the socket has to the queue; true if there was anything.
  bool read() {
    int reads = 0;
    while (reads < kMaxReads && !failed_) {
      const RouteSocket::Received received = socket_.receive();
      if (received.status == Status::Nothing) {
        break;
      }
      ++reads;
      if (received.status == Status::Data) {
        std::span<const std::uint8_t> buffer = received.bytes;
        while (const std::optional<Message> message = take_message(buffer)) {
          queue_.push(*message);
        }
      } else {
        failed_ = received.status == Status::Failed;
        queue_.push_overrun();
      }
    }
    return reads > 0;
  }

  // One wake at a time is on its way while there is something to take.
  void post_wake() {
    if (queue_.empty() || wake_pending_ || !wake_) {
      return;
    }
    wake_pending_ = true;
    asio::post(context_, [self = shared_from_this()] {
      self->wake_pending_ = false;
      if (self->wake_) {
        const std::function<void()> wake = self->wake_;  // it may set another
        wake();
      }
    });
  }

  asio::io_context& context_;
  RouteSocket socket_;
  asio::posix::stream_descriptor watch_;
  EventQueue queue_;
  std::function<void()> wake_;
  bool wake_pending_ = false;
  bool failed_ = false;
};

NetlinkLibnl::NetlinkLibnl(std::unique_ptr<Requests> requests, std::shared_ptr<Events> events)
    : requests_(std::move(requests)), events_(std::move(events)) {}

NetlinkLibnl::~NetlinkLibnl() {
  events_->close();
}

Result<std::unique_ptr<NetlinkLibnl>> NetlinkLibnl::open(asio::io_context& context,
                                                         const Options& options) {
  Result<RouteSocket> events = RouteSocket::open(options.receive_buffer, kEventGroups);
  if (!events) {
    return tl::unexpected<Error>(events.error());
  }
  Result<RouteSocket> requests = RouteSocket::open(kRequestReceiveBuffer);
  if (!requests) {
    return tl::unexpected<Error>(requests.error());
  }
  auto event_source = std::make_shared<Events>(context, std::move(*events), options);
  if (const Result<void> started = event_source->start(); !started) {
    return tl::unexpected<Error>(started.error());
  }
  return std::unique_ptr<NetlinkLibnl>(
      new NetlinkLibnl(std::make_unique<Requests>(std::move(*requests)), std::move(event_source)));
}

std::vector<OpResult> NetlinkLibnl::apply(std::span<const KernelOp> ops) {
  check(ops.size() <= kMaxBatch, "a batch is bounded");
  return ops.empty() ? std::vector<OpResult>() : requests_->apply(ops);
}

std::unique_ptr<DumpCursor> NetlinkLibnl::dump(const DumpRequest& request) {
  return std::make_unique<DumpCursorLibnl>(request);
}

namespace {

// The row of a lookup's answer, if it is of that type.
template <typename Object>
std::optional<Object> row_of(const Message& message) {
  const std::optional<KernelChange> row = decode_change(message);
  const Object* object = row ? std::get_if<Object>(&row->report.object) : nullptr;
  return object != nullptr ? std::optional(*object) : std::nullopt;
}

std::string number(IfIndex device) {
  return "#" + std::to_string(device.value);
}

}  // namespace

Result<std::optional<Link>> NetlinkLibnl::get_link(const std::string& name) {
  return requests_->get<Link>(
      "lookup of link " + name,
      [&](std::uint32_t sequence) { return encode_get_link(name, sequence); }, row_of<Link>);
}

Result<std::optional<FdbEntry>> NetlinkLibnl::get_fdb(IfIndex device, const MacAddress& mac) {
  return requests_->get<FdbEntry>(
      "lookup of FDB entry " + format(mac) + " on " + number(device),
      [&](std::uint32_t sequence) { return encode_get_fdb(device, mac, sequence); },
      row_of<FdbEntry>);
}

Result<std::optional<Neighbour>> NetlinkLibnl::get_neighbour(IfIndex device,
                                                             const IpAddress& address) {
  return requests_->get<Neighbour>(
      "lookup of neighbour " + format(address) + " on " + number(device),
      [&](std::uint32_t sequence) { return encode_get_neighbour(device, address, sequence); },
      row_of<Neighbour>);
}

Result<NeighbourParameters> NetlinkLibnl::get_neighbour_parameters(IfIndex device, Family family) {
  const std::string what =
      "lookup of " + format(family) + " neighbour parameters of " + number(device);
  Dump dump(what, {[family](std::uint32_t sequence) {
              return encode_neighbour_table_dump(family, sequence);
            }});
  std::optional<NeighbourParameters> found;
  while (true) {
    const Result<bool> finished = dump.next([&](const Message& message) {
      if (const auto row = decode_neighbour_parameters(message, family, device)) {
        found = row;
      }
    });
    if (!finished) {
      return tl::unexpected<Error>(finished.error());
    }
    if (*finished) {
      break;
    }
  }
  if (!found) {
    return fail(ErrorCode::Environment, what + ": the kernel has none");
  }
  return *found;
}

Result<std::uint8_t> NetlinkLibnl::get_rp_filter(IfIndex device) {
  const std::string what = "lookup of rp_filter of " + number(device);
  const Result<std::optional<std::uint8_t>> found = requests_->get<std::uint8_t>(
      what, [&](std::uint32_t sequence) { return encode_get_link(device, sequence); },
      decode_rp_filter);
  if (!found) {
    return tl::unexpected<Error>(found.error());
  }
  if (!*found) {
    return fail(ErrorCode::Environment, what + ": there is no such device");
  }
  return **found;
}

std::vector<Miss> NetlinkLibnl::take_misses(std::size_t max) {
  return events_->take_misses(max);
}

std::vector<KernelEvent> NetlinkLibnl::take_events(std::size_t max) {
  return events_->take_events(max);
}

void NetlinkLibnl::set_listener(std::function<void()> wake) {
  events_->set_listener(std::move(wake));
}

}  // namespace vxmesh
