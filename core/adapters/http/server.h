// An HTTP/1.1 server on an io_context, plain or with TLS, whose handlers may write any bytes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "adapters/http/message.h"
#include "adapters/http/stream.h"
#include "base/result.h"

namespace boost::asio {
class io_context;
}  // namespace boost::asio

namespace vxmesh {

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // an IPv4 or IPv6 address, no name
  std::uint16_t port = 0;             // 0: any free one
  std::optional<TlsServerOptions> tls;
  std::size_t connections_max = 64;
  std::size_t body_max = 1024UL * 1024UL;
  std::chrono::seconds request_deadline{10};  // for a whole request, and between two
  std::chrono::seconds write_deadline{30};    // for a peer that does not read
};

// The answer to one request. Contract: the handler, or what it hands this to, writes a whole
// response (bytes from adapters/http/message.h, or anything else to play a broken server) and then
// calls one of finish, close and reset; until then the client waits. Each write is a segment of its
// own to the kernel. After the end, or when the client has gone, every call does nothing.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  virtual void write(std::string bytes) = 0;
  // The response is complete: the connection takes the next request, if the client wants that.
  virtual void finish() = 0;
  // Ends the connection after what was written (FIN), or at once (RST).
  virtual void close() = 0;
  virtual void reset() = 0;
  // False after finish, close and reset, and when the client has gone.
  [[nodiscard]] virtual bool open() const = 0;
  // What was written but not yet taken by the kernel.
  [[nodiscard]] virtual std::size_t queued_bytes() const = 0;
  // Called once, from the io_context, when the exchange is not open any more.
  virtual void on_closed(std::function<void()> callback) = 0;

  // A whole response.
  void respond(const HttpResponse& response) {
    write(format_response(response));
    finish();
  }
};

using HttpExchangePtr = std::shared_ptr<HttpExchange>;
using HttpHandler =
    std::function<void(const HttpRequest& request, const HttpExchangePtr& exchange)>;

// Contract: the handler is called from the io_context with whole requests. Failure: a malformed or
// too large request is answered with 400 or 413, a slow one is cut off. When there are too many
// connections, the one that has waited longest for its request is closed for the new one, so that
// idle clients cannot lock out others; if all are being answered, the new one is closed. Threading:
// one thread, that of the io_context. Destroying the server closes every connection.
class HttpServer {
 public:
  // Listens from here on. Environment if the address cannot be bound, InvalidInput for bad options.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> listen(boost::asio::io_context& io,
                                                                  const HttpServerOptions& options,
                                                                  HttpHandler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  // scheme://address:port
  [[nodiscard]] std::string url() const;

 private:
  class Acceptor;
  class Session;
  explicit HttpServer(std::shared_ptr<Acceptor> acceptor);

  std::shared_ptr<Acceptor> acceptor_;
};

// Splits "ADDRESS:PORT" and "[ADDRESS]:PORT" and checks both parts.
struct ListenAddress {
  std::string address;
  std::uint16_t port = 0;

  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};
[[nodiscard]] Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace vxmesh
