// An HTTP/1.1 client on an io_context: one connection per request, bodies as they arrive.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "adapters/http/message.h"
#include "adapters/http/stream.h"
#include "base/result.h"

namespace boost::asio {
class io_context;
}  // namespace boost::asio

namespace vxmesh {

// Contract: on_head at most once; then any number of on_body, with at least one byte each; then
// exactly one of on_end (the response is complete) and on_error (one sentence for a person; may
// come without on_head), then nothing.
class HttpResponseHandler {
 public:
  virtual ~HttpResponseHandler() = default;
  virtual void on_head(const HttpResponseHead& head) = 0;
  virtual void on_body(std::string_view bytes) = 0;
  virtual void on_end() = 0;
  virtual void on_error(const std::string& message) = 0;
};

// A request under way. Destroying it cancels: its handler is not called again.
class HttpCall {
 public:
  virtual ~HttpCall() = default;
};

// Contract: handlers are called from the io_context, never inside send, and must outlive the
// returned call. A handler may destroy the call that is calling it. Each request resolves the host
// anew and has a connection of its own, so that a stalled watch never blocks another request; a
// host that is an address is not looked up, other names are (in a thread that Asio keeps for it).
// Memory: a head of at most 64 KiB and one read of 64 KiB; bodies are never gathered. Liveness: TCP
// finds a dead peer in 45 s; there are no other deadlines. Redirects are not followed. Threading:
// one thread, that of the io_context.
class HttpClient {
 public:
  // `base_url` as parse_http_url takes it; request targets go behind its prefix. InvalidInput for a
  // bad URL or bad PEM texts; TLS options are for https only and otherwise ignored.
  [[nodiscard]] static Result<HttpClient> make(boost::asio::io_context& io,
                                               const std::string& base_url,
                                               const TlsClientOptions& options);

  [[nodiscard]] std::unique_ptr<HttpCall> send(const HttpRequest& request,
                                               HttpResponseHandler& handler);

  // scheme://host:port, for messages.
  [[nodiscard]] std::string name() const;

 private:
  HttpClient(boost::asio::io_context& io, HttpUrl url, TlsContext tls, std::string server_name,
             bool verify);

  boost::asio::io_context* io_;
  HttpUrl url_;
  TlsContext tls_;  // null: plain HTTP
  std::string server_name_;
  bool verify_ = true;
};

}  // namespace vxmesh
