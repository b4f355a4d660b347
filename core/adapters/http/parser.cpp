// The only file that includes Boost.Beast, and of it only the parser.
#include "adapters/http/parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>
#include <utility>

#include "base/check.h"

namespace vxmesh {

namespace beast = boost::beast;
using boost::system::error_code;

// What both kinds of messages give; Beast's callbacks fill it.
class HttpParser::State {
 public:
  virtual ~State() = default;

  virtual std::size_t put(std::string_view bytes, error_code& error) = 0;
  virtual void put_end(error_code& error) = 0;
  [[nodiscard]] virtual bool started() const = 0;
  [[nodiscard]] virtual bool head_done() const = 0;
  [[nodiscard]] virtual bool done() const = 0;
  [[nodiscard]] virtual bool keep_alive() const = 0;

  std::uint32_t head_max = 0;
  std::string pending;  // fed, but not consumed yet: an incomplete head or chunk head
  HttpRequest request;
  HttpResponseHead response;
  std::string body;
};

template <bool is_request>
class HttpParser::Beast final : public HttpParser::State,
                                private beast::http::basic_parser<is_request> {
 public:
  using Parser = beast::http::basic_parser<is_request>;

  explicit Beast(std::uint32_t limit) {
    head_max = limit;
    Parser::eager(true);
    Parser::header_limit(limit);
    // Bodies are bounded by whoever takes them.
    Parser::body_limit(boost::none);
  }

  std::size_t put(std::string_view bytes, error_code& error) override {
    return Parser::put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  }
  void put_end(error_code& error) override { Parser::put_eof(error); }
  [[nodiscard]] bool started() const override { return Parser::got_some(); }
  [[nodiscard]] bool head_done() const override { return Parser::is_header_done(); }
  [[nodiscard]] bool done() const override { return Parser::is_done(); }
  [[nodiscard]] bool keep_alive() const override { return Parser::keep_alive(); }

 private:
  using Text = beast::string_view;

  HttpHeaders& headers() {
    if constexpr (is_request) {
      return request.headers;
    } else {
      return response.headers;
    }
  }

  void on_request_impl(beast::http::verb /*method*/, Text method_text, Text target, int /*version*/,
                       error_code& /*error*/) override {
    request.method = std::string(method_text);
    request.target = std::string(target);
  }
  void on_response_impl(int code, Text /*reason*/, int /*version*/,
                        error_code& /*error*/) override {
    response.status = static_cast<std::uint16_t>(code);
  }
  void on_field_impl(beast::http::field /*name*/, Text name_text, Text value,
                     error_code& /*error*/) override {
    // Trailers of a chunked body come here too; nobody reads them.
    if (!Parser::is_header_done()) {
      headers().emplace_back(std::string(name_text), std::string(value));
    }
  }
  void on_header_impl(error_code& /*error*/) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/,
                         error_code& /*error*/) override {}
  std::size_t on_body_impl(Text text, error_code& /*error*/) override {
    body.append(text.data(), text.size());
    return text.size();
  }
  void on_chunk_header_impl(std::uint64_t /*size*/, Text /*extensions*/,
                            error_code& /*error*/) override {}
  std::size_t on_chunk_body_impl(std::uint64_t /*remain*/, Text text,
                                 error_code& /*error*/) override {
    body.append(text.data(), text.size());
    return text.size();
  }
  void on_finish_impl(error_code& /*error*/) override {}
};

HttpParser::HttpParser(Kind kind, std::uint32_t head_max) {
  if (kind == Kind::Request) {
    state_ = std::make_unique<Beast<true>>(head_max);
  } else {
    state_ = std::make_unique<Beast<false>>(head_max);
  }
}

HttpParser::~HttpParser() = default;

Result<void> HttpParser::feed(std::string_view bytes) {
  State& state = *state_;
  state.pending += bytes;
  std::size_t consumed = 0;
  while (!state.done() && consumed < state.pending.size()) {
    error_code error;
    const std::size_t n = state.put(std::string_view(state.pending).substr(consumed), error);
    consumed += n;
    if (error == beast::http::error::need_more) {
      break;
    }
    if (error) {
      return fail(ErrorCode::InvalidInput, "malformed HTTP message: " + error.message());
    }
  }
  state.pending.erase(0, consumed);
  if (!state.done() && state.pending.size() > state.head_max) {
    return fail(ErrorCode::InvalidInput, "malformed HTTP message: the head is too large");
  }
  return {};
}

Result<void> HttpParser::feed_end() {
  error_code error = beast::http::error::partial_message;
  if (done()) {
    return {};
  }
  if (state_->started()) {
    state_->put_end(error);
  }
  if (error) {
    return fail(ErrorCode::Environment, "the connection was closed within a message");
  }
  return {};
}

bool HttpParser::head_done() const {
  return state_->head_done();
}

bool HttpParser::done() const {
  return state_->done();
}

bool HttpParser::keep_alive() const {
  return state_->keep_alive();
}

const HttpRequest& HttpParser::request() const {
  check(head_done(), "a head is read only when it is complete");
  return state_->request;
}

const HttpResponseHead& HttpParser::response() const {
  check(head_done(), "a head is read only when it is complete");
  return state_->response;
}

std::string HttpParser::take_body() {
  return std::exchange(state_->body, {});
}

std::string HttpParser::take_rest() {
  return std::exchange(state_->pending, {});
}

}  // namespace vxmesh
