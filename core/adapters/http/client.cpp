#include "adapters/http/client.h"

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "adapters/http/parser.h"

namespace vxmesh {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr std::uint32_t kHeadMax = 64U * 1024U;
constexpr std::size_t kReadSize = 64UL * 1024UL;

// One request, kept alive by the callbacks under way. `handler_` is null once the call is cancelled
// or has ended, and is looked at again after each call of it.
class Exchange final : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(asio::io_context& io, std::unique_ptr<ByteStream> stream, std::string server,
           std::string bytes, HttpResponseHandler& handler)
      : resolver_(io),
        stream_(std::move(stream)),
        server_(std::move(server)),
        bytes_(std::move(bytes)),
        handler_(&handler) {}

  void start(const HttpUrl& url) {
    error_code error;
    const auto address = asio::ip::make_address(url.host, error);
    if (!error) {
      connect({tcp::endpoint(address, url.port)});
      return;
    }
    resolver_.async_resolve(url.host, std::to_string(url.port), tcp::resolver::numeric_service,
                            [self = shared_from_this()](const error_code& failure,
                                                        const tcp::resolver::results_type& found) {
                              std::vector<tcp::endpoint> endpoints;
                              for (const auto& entry : found) {
                                endpoints.push_back(entry.endpoint());
                              }
                              if (self->go_on(failure, "cannot look up its name")) {
                                self->connect(std::move(endpoints));
                              }
                            });
  }

  void cancel() {
    handler_ = nullptr;
    close();
  }

 private:
  void connect(std::vector<tcp::endpoint> endpoints) {
    endpoints_ = std::move(endpoints);
    asio::async_connect(
        stream_->socket(), endpoints_,
        [self = shared_from_this()](const error_code& error, const tcp::endpoint& /*to*/) {
          if (self->go_on(error, "cannot connect")) {
            set_liveness_options(self->stream_->socket());
            self->handshake();
          }
        });
  }

  void handshake() {
    stream_->handshake([self = shared_from_this()](const error_code& error, std::size_t) {
      if (self->go_on(error, "TLS handshake failed")) {
        self->write();
      }
    });
  }

  void write() {
    stream_->write({bytes_.data(), bytes_.size()},
                   [self = shared_from_this()](const error_code& error, std::size_t) {
                     if (self->go_on(error, "cannot send the request")) {
                       self->read();
                     }
                   });
  }

  void read() {
    stream_->read_some({buffer_.data(), buffer_.size()},
                       [self = shared_from_this()](const error_code& error, std::size_t n) {
                         if (error == asio::error::eof) {
                           self->take_end();
                         } else if (self->go_on(error, "the connection was lost")) {
                           self->take(std::string_view(self->buffer_.data(), n));
                         }
                       });
  }

  void take(std::string_view bytes) {
    const auto fed = parser_.feed(bytes);
    deliver();
    if (handler_ == nullptr) {
      return;
    }
    if (!fed) {
      fail_with(fed.error().context);
    } else if (parser_.done()) {
      finish();
    } else {
      read();
    }
  }

  void take_end() {
    if (handler_ == nullptr) {
      return;
    }
    const auto fed = parser_.feed_end();
    if (fed) {
      finish();
    } else {
      fail_with(fed.error().context);
    }
  }

  void deliver() {
    if (!head_delivered_ && parser_.head_done()) {
      head_delivered_ = true;
      handler_->on_head(parser_.response());
    }
    const std::string body = parser_.take_body();
    if (handler_ != nullptr && !body.empty()) {
      handler_->on_body(body);
    }
  }

  void finish() {
    close();
    std::exchange(handler_, nullptr)->on_end();
  }

  void fail_with(const std::string& reason) {
    close();
    std::exchange(handler_, nullptr)->on_error(server_ + ": " + reason);
  }

  // False if there is nobody to go on for: the call was cancelled, or it has failed now.
  bool go_on(const error_code& error, std::string_view what) {
    if (handler_ != nullptr && error) {
      fail_with(std::string(what) + ": " + error.message());
    }
    return handler_ != nullptr;
  }

  void close() {
    error_code ignored;
    resolver_.cancel();
    (void)stream_->socket().close(ignored);
  }

  tcp::resolver resolver_;
  std::unique_ptr<ByteStream> stream_;
  std::string server_;
  std::string bytes_;
  HttpResponseHandler* handler_;
  std::vector<tcp::endpoint> endpoints_;
  HttpParser parser_{HttpParser::Kind::Response, kHeadMax};
  bool head_delivered_ = false;
  std::array<char, kReadSize> buffer_{};
};

class Call final : public HttpCall {
 public:
  explicit Call(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() override { exchange_->cancel(); }

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace

HttpClient::HttpClient(asio::io_context& io, HttpUrl url, TlsContext tls, std::string server_name,
                       bool verify)
    : io_(&io),
      url_(std::move(url)),
      tls_(std::move(tls)),
      server_name_(std::move(server_name)),
      verify_(verify) {}

Result<HttpClient> HttpClient::make(asio::io_context& io, const std::string& base_url,
                                    const TlsClientOptions& options) {
  const auto url = parse_http_url(base_url);
  if (!url) {
    return fail(ErrorCode::InvalidInput,
                "'" + base_url + "' is not a server's URL such as https://10.0.0.1:6443");
  }
  TlsContext tls;
  if (url->tls) {
    auto made = make_client_tls(options);
    if (!made) {
      return tl::unexpected(made.error());
    }
    tls = std::move(*made);
  }
  const std::string& server_name = options.server_name.empty() ? url->host : options.server_name;
  return HttpClient(io, *url, std::move(tls), server_name, !options.insecure_skip_verify);
}

std::unique_ptr<HttpCall> HttpClient::send(const HttpRequest& request,
                                           HttpResponseHandler& handler) {
  HttpRequest prefixed = request;
  prefixed.target = url_.prefix + request.target;
  auto exchange =
      std::make_shared<Exchange>(*io_, make_client_stream(*io_, tls_, server_name_, verify_),
                                 name(), format_request(prefixed, host_header(url_)), handler);
  asio::post(*io_, [exchange, url = url_] { exchange->start(url); });
  return std::make_unique<Call>(std::move(exchange));
}

std::string HttpClient::name() const {
  return std::string(url_.tls ? "https://" : "http://") + host_header(url_);
}

}  // namespace vxmesh
