// Byte streams over TCP, plain or with TLS, behind one interface.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace vxmesh {

// What a client needs to know of TLS; the texts are PEM.
struct TlsClientOptions {
  std::string ca_pem;  // empty: the system's certificate authorities
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string server_name;  // for SNI and verification; empty: the host of the URL
  bool insecure_skip_verify = false;
};

// The texts are PEM; certificate and key are needed.
struct TlsServerOptions {
  std::string certificate_pem;
  std::string key_pem;
  std::string client_ca_pem;  // who signs clients' certificates; empty: clients need none
};

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

// TLS 1.2 or newer. InvalidInput, naming the part, if a PEM text is no such thing.
[[nodiscard]] Result<TlsContext> make_client_tls(const TlsClientOptions& options);
[[nodiscard]] Result<TlsContext> make_server_tls(const TlsServerOptions& options);

// Contract: callbacks come from the io_context, never inside a call, also when the stream has been
// destroyed meanwhile; then with an error. One read and one write may be under way at a time; the
// buffers must live until the callback.
class ByteStream {
 public:
  using Done = std::function<void(const boost::system::error_code&, std::size_t)>;

  virtual ~ByteStream() = default;

  // The TCP socket below, for connecting, options and closing.
  [[nodiscard]] virtual boost::asio::ip::tcp::socket& socket() = 0;
  // Completes as soon as the socket can be written without TLS. The size that `done` gets is 0.
  virtual void handshake(Done done) = 0;
  // At least one byte, or an error.
  virtual void read_some(boost::asio::mutable_buffer buffer, Done done) = 0;
  // All of it, or an error.
  virtual void write(boost::asio::const_buffer buffer, Done done) = 0;
};

// `tls` null: plain TCP. `verify`: the certificate must be for
// `server_name`, a name or an address.
[[nodiscard]] std::unique_ptr<ByteStream> make_client_stream(boost::asio::io_context& io,
                                                             const TlsContext& tls,
                                                             const std::string& server_name,
                                                             bool verify);
[[nodiscard]] std::unique_ptr<ByteStream> make_server_stream(boost::asio::ip::tcp::socket socket,
                                                             const TlsContext& tls);

// Finds a dead peer in 45 s: keepalive after 15 s idle, 3 probes 10 s apart, and the same for
// unacknowledged data (TCP_USER_TIMEOUT; without it Linux waits about 15 minutes). Also no Nagle.
void set_liveness_options(boost::asio::ip::tcp::socket& socket);

}  // namespace vxmesh
