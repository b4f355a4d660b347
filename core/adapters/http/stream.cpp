#include "adapters/http/stream.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace vxmesh {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;
using tcp = asio::ip::tcp;

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(tcp::socket socket) : socket_(std::move(socket)) {}

  tcp::socket& socket() override { return socket_; }
  void handshake(Done done) override {
    // Nothing to do: a connected socket can be written at once.
    socket_.async_wait(tcp::socket::wait_write,
                       [done = std::move(done)](const error_code& error) { done(error, 0); });
  }
  void read_some(asio::mutable_buffer buffer, Done done) override {
    socket_.async_read_some(buffer, std::move(done));
  }
  void write(asio::const_buffer buffer, Done done) override {
    asio::async_write(socket_, buffer, std::move(done));
  }

 private:
  tcp::socket socket_;
};

class TlsStream final : public ByteStream {
 public:
  using Ssl = ssl::stream<tcp::socket>;

  TlsStream(tcp::socket socket, const TlsContext& tls, Ssl::handshake_type side)
      : tls_(tls), stream_(std::make_shared<Ssl>(std::move(socket), *tls)), side_(side) {}

  Ssl& ssl() { return *stream_; }

  tcp::socket& socket() override { return stream_->next_layer(); }
  // Asio's TLS operations touch the stream until they complete, so each holds it.
  void handshake(Done done) override {
    stream_->async_handshake(side_, [stream = stream_, done = std::move(done)](
                                        const error_code& error) { done(error, 0); });
  }
  void read_some(asio::mutable_buffer buffer, Done done) override {
    stream_->async_read_some(
        buffer, [stream = stream_, done = std::move(done)](const error_code& error, std::size_t n) {
          done(error, n);
        });
  }
  void write(asio::const_buffer buffer, Done done) override {
    asio::async_write(*stream_, buffer,
                      [stream = stream_, done = std::move(done)](
                          const error_code& error, std::size_t n) { done(error, n); });
  }

 private:
  TlsContext tls_;
  std::shared_ptr<Ssl> stream_;
  Ssl::handshake_type side_;
};

bool is_address(const std::string& name) {
  error_code error;
  (void)asio::ip::make_address(name, error);
  return !error;
}

asio::const_buffer text(const std::string& pem) {
  return {pem.data(), pem.size()};
}

tl::unexpected<Error> bad_pem(std::string_view what, const error_code& error) {
  return fail(ErrorCode::InvalidInput,
              "the " + std::string(what) + " is not usable: " + error.message());
}

Result<void> use_own_certificate(ssl::context& context, const std::string& certificate_pem,
                                 const std::string& key_pem, const std::string& whose) {
  error_code error;
  if (context.use_certificate_chain(text(certificate_pem), error); error) {
    return bad_pem(whose + " certificate", error);
  }
  if (context.use_private_key(text(key_pem), ssl::context::pem, error); error) {
    return bad_pem(whose + " key", error);
  }
  if (SSL_CTX_check_private_key(context.native_handle()) != 1) {
    return fail(ErrorCode::InvalidInput,
                "the " + whose + " key does not belong to the " + whose + " certificate");
  }
  return {};
}

Result<TlsContext> make_context(ssl::context::method method) {
  error_code error;
  auto context = std::make_shared<ssl::context>(method);
  context->set_options(
      ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1, error);
  if (error) {
    return fail(ErrorCode::Environment, "TLS cannot be set up: " + error.message());
  }
  return context;
}

}  // namespace

Result<TlsContext> make_client_tls(const TlsClientOptions& options) {
  auto context = make_context(ssl::context::tls_client);
  if (!context) {
    return context;
  }
  error_code error;
  if (options.insecure_skip_verify) {
    (*context)->set_verify_mode(ssl::verify_none, error);
  } else {
    (*context)->set_verify_mode(ssl::verify_peer, error);
    if (options.ca_pem.empty()) {
      (*context)->set_default_verify_paths(error);
    } else if ((*context)->add_certificate_authority(text(options.ca_pem), error); error) {
      return bad_pem("certificate authority", error);
    }
  }
  if (error) {
    return fail(ErrorCode::Environment, "TLS cannot be set up: " + error.message());
  }
  if (!options.client_certificate_pem.empty() || !options.client_key_pem.empty()) {
    const auto used = use_own_certificate(**context, options.client_certificate_pem,
                                          options.client_key_pem, "client");
    if (!used) {
      return tl::unexpected(used.error());
    }
  }
  return context;
}

Result<TlsContext> make_server_tls(const TlsServerOptions& options) {
  auto context = make_context(ssl::context::tls_server);
  if (!context) {
    return context;
  }
  const auto used =
      use_own_certificate(**context, options.certificate_pem, options.key_pem, "server");
  if (!used) {
    return tl::unexpected(used.error());
  }
  error_code error;
  if (!options.client_ca_pem.empty()) {
    (*context)->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
    if (!error) {
      (*context)->add_certificate_authority(text(options.client_ca_pem), error);
    }
  }
  if (error) {
    return bad_pem("clients' certificate authority", error);
  }
  return context;
}

std::unique_ptr<ByteStream> make_client_stream(asio::io_context& io, const TlsContext& tls,
                                               const std::string& server_name, bool verify) {
  if (tls == nullptr) {
    return std::make_unique<PlainStream>(tcp::socket(io));
  }
  auto stream = std::make_unique<TlsStream>(tcp::socket(io), tls, ssl::stream_base::client);
  if (!is_address(server_name)) {
    // RFC 6066 section 3: server_name carries host names only. It fails only without memory.
    (void)SSL_set_tlsext_host_name(stream->ssl().native_handle(), server_name.c_str());
  }
  if (verify) {
    error_code error;
    stream->ssl().set_verify_callback(ssl::host_name_verification(server_name), error);
  }
  return stream;
}

std::unique_ptr<ByteStream> make_server_stream(tcp::socket socket, const TlsContext& tls) {
  if (tls == nullptr) {
    return std::make_unique<PlainStream>(std::move(socket));
  }
  return std::make_unique<TlsStream>(std::move(socket), tls, ssl::stream_base::server);
}

void set_liveness_options(tcp::socket& socket) {
  const auto set = [&socket](int level, int name, int value) {
    // Tolerated: without them a dead peer is found by the caller's own deadline, only later.
    (void)setsockopt(socket.native_handle(), level, name, &value, sizeof(value));
  };
  constexpr int kUserTimeoutMs = 45'000;
  constexpr int kIdleS = 15;
  constexpr int kIntervalS = 10;
  constexpr int kProbes = 3;
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kIdleS);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kIntervalS);
  set(IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

}  // namespace vxmesh
