#include "adapters/http/server.h"

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <deque>
#include <map>
#include <utility>

#include "adapters/http/parser.h"
#include "base/check.h"

namespace vxmesh {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

constexpr std::uint32_t kHeadMax = 16U * 1024U;
constexpr std::size_t kReadSize = 16UL * 1024UL;
// Requests that a client sends before it has its answer wait here.
constexpr std::size_t kEarlyMax = 64UL * 1024UL;
// How long a closed connection is still read, so that the peer gets the answer before an RST.
constexpr std::chrono::seconds kLinger{1};
// Between attempts to accept when there are no descriptors left.
constexpr std::chrono::milliseconds kAcceptRetry{100};

}  // namespace

// Accepts connections and knows all of them.
class HttpServer::Acceptor final : public std::enable_shared_from_this<HttpServer::Acceptor> {
 public:
  Acceptor(asio::io_context& io, HttpServerOptions options, TlsContext tls, HttpHandler handler)
      : options_(std::move(options)),
        tls_(std::move(tls)),
        handler_(std::move(handler)),
        acceptor_(io),
        retry_(io) {}

  Result<void> open();
  void accept();
  void stop();
  void forget(std::uint64_t id) { sessions_.erase(id); }
  // Rises with every use, so that the session that has waited longest has the smallest one.
  std::uint64_t next_turn() { return ++turn_; }

  [[nodiscard]] const HttpServerOptions& options() const { return options_; }
  [[nodiscard]] const HttpHandler& handler() const { return handler_; }
  [[nodiscard]] tcp::endpoint endpoint() const { return endpoint_; }

 private:
  void take(tcp::socket socket);
  bool make_room();

  HttpServerOptions options_;
  TlsContext tls_;
  HttpHandler handler_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  tcp::endpoint endpoint_;
  std::map<std::uint64_t, std::shared_ptr<Session>> sessions_;
  std::uint64_t turn_ = 0;
};

// One connection. Requests are taken one after another, the next one only when the answer to the
// one before has gone to the kernel: a peer that does not read cannot make the queue grow.
class HttpServer::Session final : public std::enable_shared_from_this<HttpServer::Session> {
 public:
  Session(std::shared_ptr<Acceptor> acceptor, std::uint64_t id, std::unique_ptr<ByteStream> stream)
      : acceptor_(std::move(acceptor)),
        id_(id),
        waiting_since_(id),
        stream_(std::move(stream)),
        deadline_(stream_->socket().get_executor()) {}

  void start();
  // Ends everything now; the answer under way is told if `tell`.
  void destroy(bool tell);

  [[nodiscard]] bool waiting() const { return phase_ == Phase::Waiting; }
  [[nodiscard]] std::uint64_t waiting_since() const { return waiting_since_; }

 private:
  class Answer;
  enum class Phase : std::uint8_t {
    Waiting,    // for a whole request
    Answering,  // the handler has it
    Finishing,  // the answer is complete but not all written
    Closing,    // as Finishing, and then the connection ends
    Lingering,  // all is written and our side is shut down
    Dead,
  };

  void begin_request();
  void read();
  void take(const error_code& error, std::size_t size);
  void parse(std::string_view bytes);
  void dispatch();
  void refuse(std::uint16_t status, const std::string& why);
  void write(std::string bytes);
  void pump();
  void drained();
  void end_answer(Phase next);
  void linger();
  void arm(std::chrono::steady_clock::duration delay);

  std::shared_ptr<Acceptor> acceptor_;
  std::uint64_t id_;
  std::uint64_t waiting_since_;
  std::unique_ptr<ByteStream> stream_;
  asio::steady_timer deadline_;
  Phase phase_ = Phase::Waiting;
  std::unique_ptr<HttpParser> parser_;
  std::string body_;
  std::string early_;  // read while an answer was under way
  bool continued_ = false;
  bool reading_ = false;
  bool peer_done_ = false;
  bool writing_ = false;
  std::deque<std::string> queue_;
  std::size_t queued_bytes_ = 0;
  std::shared_ptr<Answer> answer_;  // while Answering
  std::array<char, kReadSize> buffer_{};
};

class HttpServer::Session::Answer final : public HttpExchange {
 public:
  explicit Answer(std::shared_ptr<Session> session) : session_(std::move(session)) {}

  void write(std::string bytes) override {
    if (session_ != nullptr && !bytes.empty()) {
      session_->write(std::move(bytes));
    }
  }
  void finish() override { end(Phase::Finishing); }
  void close() override { end(Phase::Closing); }
  void reset() override {
    if (const auto session = session_) {
      error_code ignored;
      (void)session->stream_->socket().set_option(asio::socket_base::linger(true, 0), ignored);
      session->destroy(/*tell=*/true);
    }
  }
  [[nodiscard]] bool open() const override { return session_ != nullptr; }
  [[nodiscard]] std::size_t queued_bytes() const override {
    return session_ == nullptr ? 0 : session_->queued_bytes_;
  }
  void on_closed(std::function<void()> callback) override { callback_ = std::move(callback); }

  // The session is through with this answer.
  void closed(bool tell) {
    const auto session = std::exchange(session_, nullptr);
    auto callback = std::exchange(callback_, nullptr);
    if (tell && callback) {
      asio::post(session->stream_->socket().get_executor(), std::move(callback));
    }
  }

 private:
  void end(Phase next) {
    if (const auto session = session_) {
      session->end_answer(next);
    }
  }

  std::shared_ptr<Session> session_;  // null: not open any more
  std::function<void()> callback_;
};

void HttpServer::Session::start() {
  set_liveness_options(stream_->socket());
  arm(acceptor_->options().request_deadline);
  stream_->handshake([self = shared_from_this()](const error_code& error, std::size_t) {
    if (self->phase_ == Phase::Dead) {
      return;
    }
    if (error) {
      self->destroy(/*tell=*/true);
    } else {
      self->begin_request();
    }
  });
}

void HttpServer::Session::destroy(bool tell) {
  if (phase_ == Phase::Dead) {
    return;
  }
  phase_ = Phase::Dead;
  error_code ignored;
  (void)stream_->socket().close(ignored);
  deadline_.cancel();
  if (const auto answer = std::exchange(answer_, nullptr)) {
    answer->closed(tell);
  }
  acceptor_->forget(id_);
}

void HttpServer::Session::begin_request() {
  phase_ = Phase::Waiting;
  waiting_since_ = acceptor_->next_turn();
  parser_ = std::make_unique<HttpParser>(HttpParser::Kind::Request, kHeadMax);
  body_.clear();
  continued_ = false;
  arm(acceptor_->options().request_deadline);
  const std::string early = std::exchange(early_, {});
  if (!early.empty()) {
    parse(early);
  } else if (peer_done_) {
    destroy(/*tell=*/true);
  } else {
    read();
  }
}

void HttpServer::Session::read() {
  if (reading_ || peer_done_ || phase_ == Phase::Dead) {
    return;
  }
  reading_ = true;
  stream_->read_some({buffer_.data(), buffer_.size()},
                     [self = shared_from_this()](const error_code& error, std::size_t size) {
                       self->reading_ = false;
                       if (self->phase_ != Phase::Dead) {
                         self->take(error, size);
                       }
                     });
}

void HttpServer::Session::take(const error_code& error, std::size_t size) {
  const std::string_view bytes(buffer_.data(), size);
  if (error) {
    // A peer that has only finished sending still gets an answer that is complete.
    peer_done_ = true;
    const bool written_out = phase_ == Phase::Finishing || phase_ == Phase::Closing;
    if (error != asio::error::eof || !written_out) {
      destroy(/*tell=*/true);
    }
  } else if (phase_ == Phase::Waiting) {
    parse(bytes);
  } else if (phase_ == Phase::Lingering || phase_ == Phase::Closing) {
    read();
  } else {
    early_ += bytes;
    if (early_.size() < kEarlyMax) {
      read();
    }
  }
}

void HttpServer::Session::parse(std::string_view bytes) {
  const auto fed = parser_->feed(bytes);
  body_ += parser_->take_body();
  if (!fed) {
    refuse(400, fed.error().context);
  } else if (body_.size() > acceptor_->options().body_max) {
    refuse(413, "the body is too large");
  } else if (parser_->done()) {
    dispatch();
  } else {
    if (!continued_ && parser_->head_done() && find_header(parser_->request().headers, "expect")) {
      continued_ = true;
      write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    if (peer_done_) {
      destroy(/*tell=*/true);
    } else {
      read();
    }
  }
}

void HttpServer::Session::dispatch() {
  deadline_.cancel();
  phase_ = Phase::Answering;
  HttpRequest request = parser_->request();
  request.body = std::exchange(body_, {});
  early_ = parser_->take_rest();
  answer_ = std::make_shared<Answer>(shared_from_this());
  // A read under way is how a client that goes away is noticed.
  read();
  const auto answer = answer_;
  acceptor_->handler()(request, answer);
}

void HttpServer::Session::refuse(std::uint16_t status, const std::string& why) {
  write(format_response(HttpResponse{
      .status = status,
      .headers = {{"Content-Type", "text/plain; charset=utf-8"}, {"Connection", "close"}},
      .body = why + "\n"}));
  end_answer(Phase::Closing);
  read();
}

void HttpServer::Session::write(std::string bytes) {
  queued_bytes_ += bytes.size();
  queue_.push_back(std::move(bytes));
  if (!writing_) {
    pump();
  }
}

void HttpServer::Session::pump() {
  writing_ = true;
  arm(acceptor_->options().write_deadline);
  stream_->write({queue_.front().data(), queue_.front().size()},
                 [self = shared_from_this()](const error_code& error, std::size_t) {
                   self->writing_ = false;
                   if (self->phase_ == Phase::Dead) {
                     return;
                   }
                   self->queued_bytes_ -= self->queue_.front().size();
                   self->queue_.pop_front();
                   if (error) {
                     self->destroy(/*tell=*/true);
                   } else if (!self->queue_.empty()) {
                     self->pump();
                   } else {
                     self->drained();
                   }
                 });
}

void HttpServer::Session::drained() {
  switch (phase_) {
    case Phase::Waiting: arm(acceptor_->options().request_deadline); return;
    case Phase::Finishing: begin_request(); return;
    case Phase::Closing: linger(); return;
    case Phase::Answering: deadline_.cancel(); return;
    case Phase::Lingering:
    case Phase::Dead: return;
  }
}

void HttpServer::Session::end_answer(Phase next) {
  phase_ = next;
  // Handlers answer HEAD with a body like GET's, which a client takes for the next response.
  if (next == Phase::Finishing && (!parser_->keep_alive() || parser_->request().method == "HEAD")) {
    phase_ = Phase::Closing;
  }
  if (const auto answer = std::exchange(answer_, nullptr)) {
    answer->closed(/*tell=*/true);
  }
  if (queue_.empty()) {
    // From the loop, so that many requests in one segment do not nest.
    asio::post(stream_->socket().get_executor(), [self = shared_from_this()] {
      if (self->queue_.empty()) {
        self->drained();
      }
    });
  }
}

void HttpServer::Session::linger() {
  phase_ = Phase::Lingering;
  error_code error;
  (void)stream_->socket().shutdown(tcp::socket::shutdown_send, error);
  if (error || peer_done_) {
    destroy(/*tell=*/true);
    return;
  }
  arm(kLinger);
  read();
}

void HttpServer::Session::arm(std::chrono::steady_clock::duration delay) {
  deadline_.expires_after(delay);
  deadline_.async_wait([weak = weak_from_this()](const error_code& error) {
    const auto self = weak.lock();
    // A callback that was on its way when the deadline moved is not meant any more.
    if (self != nullptr && !error && self->deadline_.expiry() <= std::chrono::steady_clock::now()) {
      self->destroy(/*tell=*/true);
    }
  });
}

Result<void> HttpServer::Acceptor::open() {
  error_code error;
  const auto address = asio::ip::make_address(options_.address, error);
  if (error) {
    return fail(ErrorCode::InvalidInput, "'" + options_.address + "' is not an IP address");
  }
  const tcp::endpoint wanted(address, options_.port);
  (void)acceptor_.open(wanted.protocol(), error);
  if (!error) {
    (void)acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  }
  if (!error) {
    (void)acceptor_.bind(wanted, error);
  }
  if (!error) {
    (void)acceptor_.listen(asio::socket_base::max_listen_connections, error);
  }
  if (!error) {
    endpoint_ = acceptor_.local_endpoint(error);
  }
  if (error) {
    return fail(ErrorCode::Environment, "cannot listen on " + options_.address + " port " +
                                            std::to_string(options_.port) + ": " + error.message());
  }
  return {};
}

void HttpServer::Acceptor::accept() {
  acceptor_.async_accept([self = shared_from_this()](const error_code& error, tcp::socket socket) {
    if (!self->acceptor_.is_open()) {
      return;
    }
    if (!error) {
      self->take(std::move(socket));
      self->accept();
      return;
    }
    self->retry_.expires_after(kAcceptRetry);
    self->retry_.async_wait([self](const error_code& cancelled) {
      if (!cancelled && self->acceptor_.is_open()) {
        self->accept();
      }
    });
  });
}

void HttpServer::Acceptor::take(tcp::socket socket) {
  if (sessions_.size() >= options_.connections_max && !make_room()) {
    return;
  }
  const std::uint64_t id = next_turn();
  auto session = std::make_shared<Session>(shared_from_this(), id,
                                           make_server_stream(std::move(socket), tls_));
  sessions_.emplace(id, session);
  session->start();
}

bool HttpServer::Acceptor::make_room() {
  std::shared_ptr<Session> oldest;
  for (const auto& [id, session] : sessions_) {
    if (session->waiting() &&
        (oldest == nullptr || session->waiting_since() < oldest->waiting_since())) {
      oldest = session;
    }
  }
  if (oldest != nullptr) {
    oldest->destroy(/*tell=*/true);
  }
  return oldest != nullptr;
}

void HttpServer::Acceptor::stop() {
  error_code ignored;
  (void)acceptor_.close(ignored);
  retry_.cancel();
  const auto sessions = std::exchange(sessions_, {});
  for (const auto& [id, session] : sessions) {
    session->destroy(/*tell=*/false);
  }
}

HttpServer::HttpServer(std::shared_ptr<Acceptor> acceptor) : acceptor_(std::move(acceptor)) {}

HttpServer::~HttpServer() {
  acceptor_->stop();
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(asio::io_context& io,
                                                       const HttpServerOptions& options,
                                                       HttpHandler handler) {
  TlsContext tls;
  if (options.tls) {
    auto made = make_server_tls(*options.tls);
    if (!made) {
      return tl::unexpected(made.error());
    }
    tls = std::move(*made);
  }
  auto acceptor = std::make_shared<Acceptor>(io, options, std::move(tls), std::move(handler));
  if (const auto opened = acceptor->open(); !opened) {
    return tl::unexpected(opened.error());
  }
  acceptor->accept();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(acceptor)));
}

std::uint16_t HttpServer::port() const {
  return acceptor_->endpoint().port();
}

std::string HttpServer::url() const {
  const HttpUrl url{.tls = acceptor_->options().tls.has_value(),
                    .host = acceptor_->endpoint().address().to_string(),
                    .port = port(),
                    .prefix = ""};
  return (url.tls ? "https://" : "http://") + host_header(url);
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto refuse = [text] {
    return fail(ErrorCode::InvalidInput,
                "'" + std::string(text) + "' is not ADDRESS:PORT, such as 127.0.0.1:9809");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return refuse();
  }
  std::string_view address = text.substr(0, colon);
  const bool bracketed = address.starts_with('[') && address.ends_with(']');
  if (bracketed) {
    address = address.substr(1, address.size() - 2);
  }
  const std::string_view port_text = text.substr(colon + 1);
  std::uint16_t port = 0;
  const char* const end = port_text.data() + port_text.size();
  const auto [stop, parse_error] = std::from_chars(port_text.data(), end, port);
  error_code error;
  const auto parsed = asio::ip::make_address(std::string(address), error);
  if (error || parsed.is_v6() != bracketed || parse_error != std::errc{} || stop != end) {
    return refuse();
  }
  return ListenAddress{.address = std::string(address), .port = port};
}

}  // namespace vxmesh
