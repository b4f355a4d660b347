// An incremental HTTP/1.1 parser without I/O: bytes in, a head and body bytes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "adapters/http/message.h"
#include "base/result.h"

namespace vxmesh {

// Contract: feed() takes the bytes of one message in pieces of any size; after each call the caller
// takes the body bytes that have arrived. Memory is bounded by the head limit, one piece and what
// the caller does not take. After an error the parser is of no further use.
class HttpParser {
 public:
  enum class Kind : std::uint8_t { Request, Response };

  // `head_max` in bytes, for the start line and the headers together; a chunk's own head and
  // trailers count against it too.
  HttpParser(Kind kind, std::uint32_t head_max);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // InvalidInput if the message cannot be HTTP/1.1 or its head is too large.
  [[nodiscard]] Result<void> feed(std::string_view bytes);
  // The peer has closed: the end of a body without a length, else an error.
  [[nodiscard]] Result<void> feed_end();

  // True from the moment the whole head is there.
  [[nodiscard]] bool head_done() const;
  // True when the message is complete.
  [[nodiscard]] bool done() const;
  // True if the sender allows another message on this connection; once the head is there.
  [[nodiscard]] bool keep_alive() const;

  // Of a request, without its body; once the head is there.
  [[nodiscard]] const HttpRequest& request() const;
  // Of a response; once the head is there.
  [[nodiscard]] const HttpResponseHead& response() const;
  // The body bytes that have arrived since the last call.
  [[nodiscard]] std::string take_body();
  // What was fed behind the end of the message.
  [[nodiscard]] std::string take_rest();

 private:
  class State;
  template <bool is_request>
  class Beast;
  std::unique_ptr<State> state_;
};

}  // namespace vxmesh
