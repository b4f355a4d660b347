// A dump on a socket of its own, one receive buffer a step.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "adapters/libnl/route_socket.h"
#include "ports/netlink.h"

namespace vxmesh {

// What a message that arrives during a dump means to it.
enum class DumpMessage : std::uint8_t {
  Row,
  End,
  Stray,  // of another request
};

// An error (of the dump that is named `what`) if the kernel ended it with one, or says that the
// table changed under it.
[[nodiscard]] Result<DumpMessage> classify_dump_message(const Message& message,
                                                        std::uint32_t sequence,
                                                        const std::string& what);

// Makes one of the dump requests that are to run one after the other.
using DumpRequestEncoder = std::function<MessageBytes(std::uint32_t sequence)>;

// Contract: next() reads one datagram and hands its messages to `take`; true when the last request
// is done. After an error every call gives that error again. A socket of its own, because the
// kernel runs one dump a socket, and closing it is the only way to give one up.
class Dump {
 public:
  // `what` names the dump in errors.
  Dump(std::string what, std::vector<DumpRequestEncoder> requests);

  [[nodiscard]] Result<bool> next(const std::function<void(const Message&)>& take);

 private:
  [[nodiscard]] Result<void> send_request();
  // Of the current request.
  [[nodiscard]] std::uint32_t sequence() const { return static_cast<std::uint32_t>(current_ + 1); }
  [[nodiscard]] Result<bool> step(const std::function<void(const Message&)>& take);

  std::string what_;
  std::vector<DumpRequestEncoder> requests_;
  std::optional<RouteSocket> socket_;
  std::size_t current_ = 0;  // request that is running, or the next to send
  bool running_ = false;
  std::optional<Error> error_;
};

// The dump of one of the port's tables.
class DumpCursorLibnl : public DumpCursor {
 public:
  explicit DumpCursorLibnl(const DumpRequest& request);

  [[nodiscard]] Result<Step> next() override;

 private:
  Dump dump_;
};

}  // namespace vxmesh
