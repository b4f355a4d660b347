#include "adapters/kube/kubernetes_http.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <utility>
#include <variant>

#include "adapters/http/client.h"
#include "adapters/kube/api_text.h"
#include "adapters/kube/node_codec.h"
#include "adapters/kube/token_source.h"

namespace vxmesh {
namespace {

// Enough for any Status object; the rest of a longer error body is not read.
constexpr std::size_t kErrorBodyMax = 64UL * 1024UL;
// How much of a body that is no Status object goes into the message.
constexpr std::size_t kExcerptMax = 200;
constexpr std::uint16_t kUnauthorized = 401;

// The part that list and watch share: what is not a 200 becomes an ApiError.
//
// A handler may destroy the call in any callback: `alive_` says so to whoever is still inside.
class Call : public ApiCall, private HttpResponseHandler {
 public:
  Call(std::string server, TokenSource& tokens) : server_(std::move(server)), tokens_(&tokens) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() override { *alive_ = false; }

  void start(HttpClient& client, const HttpRequest& request) {
    http_ = client.send(request, *this);
  }
  void start_failed(boost::asio::io_context& io, const std::string& message) {
    boost::asio::post(io, [this, alive = alive_, message] {
      if (*alive) {
        end_with_error(message);
      }
    });
  }

 protected:
  virtual void on_accepted() {}
  virtual void on_bytes(std::string_view bytes) = 0;
  virtual void on_complete() = 0;
  virtual void on_failed(const ApiError& error) = 0;

  // No callback comes after these two, but the call still exists until its owner destroys it.
  void end_with(const ApiError& error) {
    http_.reset();
    on_failed(error);
  }
  void end_with_error(const std::string& message) {
    end_with(ApiError{.kind = ApiError::Kind::Transport,
                      .status = 0,
                      .reason = "",
                      .message = message,
                      .retry_after = {}});
  }
  void end() { http_.reset(); }

  [[nodiscard]] const std::string& server() const { return server_; }
  [[nodiscard]] std::shared_ptr<const bool> alive() const { return alive_; }
  // True if the response is still being read.
  [[nodiscard]] bool reading() const { return http_ != nullptr; }

 private:
  void on_head(const HttpResponseHead& head) override {
    status_ = head.status;
    if (const auto text = find_header(head.headers, "Retry-After")) {
      retry_after_ = parse_retry_after(*text);
    }
    const auto encoding = find_header(head.headers, "Content-Encoding");
    if (status_ == kUnauthorized) {
      tokens_->refuse();
    }
    if (status_ == 200 && encoding && *encoding != "identity") {
      end_with_error(server_ + ": sent the Content-Encoding '" + std::string(*encoding) +
                     "', which was not asked for");
    } else if (status_ == 200) {
      on_accepted();
    }
  }

  void on_body(std::string_view bytes) override {
    if (status_ == 200) {
      on_bytes(bytes);
      return;
    }
    error_body_ += bytes.substr(0, kErrorBodyMax - error_body_.size());
    if (error_body_.size() == kErrorBodyMax) {
      end_with_status();
    }
  }

  void on_end() override {
    if (status_ == 200) {
      on_complete();
    } else {
      end_with_status();
    }
  }

  void on_error(const std::string& message) override {
    // A refusal is a refusal, even if its text was cut short.
    if (status_ != 0 && status_ != 200) {
      end_with_status();
    } else {
      end_with_error(message);
    }
  }

  void end_with_status() {
    ApiError error{.kind = ApiError::Kind::Status,
                   .status = status_,
                   .reason = "",
                   .message = server_ + ": HTTP status " + std::to_string(status_),
                   .retry_after = retry_after_};
    if (const auto status = parse_status(error_body_)) {
      error.reason = status->reason;
      error.message += ": " + status->message;
      if (!error.retry_after) {
        error.retry_after = status->retry_after;
      }
    } else if (!error_body_.empty()) {
      error.message += ": " + error_body_.substr(0, kExcerptMax);
    }
    end_with(error);
  }

  std::string server_;
  TokenSource* tokens_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<HttpCall> http_;
  std::uint16_t status_ = 0;
  std::optional<Duration> retry_after_;
  std::string error_body_;
};

class ListCall final : public Call {
 public:
  ListCall(std::string server, TokenSource& tokens, ListHandler& handler)
      : Call(std::move(server), tokens), handler_(&handler) {}

 private:
  void on_bytes(std::string_view bytes) override {
    const auto still_here = alive();
    const auto fed = parser_.feed(bytes);
    for (NodeOrRejection& node : parser_.take_nodes()) {
      handler_->on_node(std::make_shared<const NodeOrRejection>(std::move(node)));
      if (!*still_here) {
        return;
      }
    }
    if (!fed) {
      end_with_error(server() + ": " + fed.error().context);
    }
  }

  void on_complete() override {
    const auto list_end = parser_.finish();
    end();
    if (list_end) {
      handler_->on_end(*list_end);
    } else {
      end_with_error(server() + ": " + list_end.error().context);
    }
  }

  void on_failed(const ApiError& error) override { handler_->on_error(error); }

  ListHandler* handler_;
  NodeListParser parser_;
};

class WatchCall final : public Call {
 public:
  WatchCall(std::string server, TokenSource& tokens, WatchHandler& handler,
            const std::function<void(std::string_view)>& on_skipped)
      : Call(std::move(server), tokens), handler_(&handler), on_skipped_(on_skipped) {}

 private:
  void on_accepted() override { handler_->on_open(); }

  void on_bytes(std::string_view bytes) override {
    const auto fed = parser_.feed(bytes);
    if (!deliver()) {
      return;
    }
    if (!fed) {
      end_with_error(server() + ": " + fed.error().context);
    }
  }

  void on_complete() override {
    const auto finished = parser_.finish();
    if (!deliver()) {
      return;
    }
    end();
    if (finished) {
      handler_->on_closed();
    } else {
      end_with_error(server() + ": " + finished.error().context);
    }
  }

  void on_failed(const ApiError& error) override { handler_->on_error(error); }

  // False if the call has ended meanwhile.
  bool deliver() {
    const auto still_here = alive();
    for (WatchItem& item : parser_.take_items()) {
      if (auto* const event = std::get_if<WatchNodeEvent>(&item)) {
        handler_->on_event(event->type,
                           std::make_shared<const NodeOrRejection>(std::move(event->node)),
                           event->resource_version);
      } else if (const auto* const bookmark = std::get_if<WatchBookmark>(&item)) {
        handler_->on_bookmark(bookmark->resource_version);
      } else if (const auto* const skipped = std::get_if<WatchSkipped>(&item)) {
        if (on_skipped_) {
          on_skipped_(skipped->type);
        }
      } else if (const auto* const failure = std::get_if<WatchError>(&item)) {
        const ApiStatus& status = failure->status;
        end_with(ApiError{.kind = ApiError::Kind::Status,
                          .status = status.code,
                          .reason = status.reason,
                          .message = server() + ": ERROR event: " + status.message,
                          .retry_after = status.retry_after});
        return false;
      }
      if (!*still_here) {
        return false;
      }
    }
    return reading();
  }

  WatchHandler* handler_;
  std::function<void(std::string_view)> on_skipped_;
  WatchStreamParser parser_;
};

class KubernetesHttp final : public Kubernetes {
 public:
  KubernetesHttp(boost::asio::io_context& io, const Clock& clock, HttpClient client,
                 const KubernetesAccess& access, KubernetesHttpOptions options)
      : io_(&io),
        client_(std::move(client)),
        static_token_(access.token),
        tokens_(clock, access.token_file),
        options_(std::move(options)) {}

  std::unique_ptr<ApiCall> list_nodes(const ListRequest& request, ListHandler& handler) override {
    std::string query = "limit=" + std::to_string(request.limit);
    if (!request.continue_token.empty()) {
      // The token says which state it belongs to; servers refuse a resourceVersion beside it.
      query += "&continue=" + url_encode(request.continue_token);
    } else if (!request.resource_version.empty()) {
      // Without the match a limit makes the server answer exactly that state, however old.
      query += "&resourceVersionMatch=NotOlderThan&resourceVersion=" +
               url_encode(request.resource_version);
    }
    auto call = std::make_unique<ListCall>(client_.name(), tokens_, handler);
    start(*call, query);
    return call;
  }

  std::unique_ptr<ApiCall> watch_nodes(const WatchRequest& request,
                                       WatchHandler& handler) override {
    const std::string query = "watch=true&allowWatchBookmarks=true&resourceVersion=" +
                              url_encode(request.resource_version) +
                              "&timeoutSeconds=" + std::to_string(request.timeout_s);
    auto call =
        std::make_unique<WatchCall>(client_.name(), tokens_, handler, options_.on_skipped_event);
    start(*call, query);
    return call;
  }

 private:
  void start(Call& call, const std::string& query) {
    const auto token = static_token_.empty() ? tokens_.get() : Result<std::string>(static_token_);
    if (!token) {
      call.start_failed(*io_, token.error().context);
      return;
    }
    HttpRequest request{.method = "GET",
                        .target = "/api/v1/nodes?" + query,
                        .headers = {{"Accept", "application/json"},
                                    {"Accept-Encoding", "identity"},
                                    {"User-Agent", options_.user_agent}},
                        .body = ""};
    if (!token->empty()) {
      request.headers.emplace_back("Authorization", "Bearer " + *token);
    }
    call.start(client_, request);
  }

  boost::asio::io_context* io_;
  HttpClient client_;
  std::string static_token_;
  TokenSource tokens_;
  KubernetesHttpOptions options_;
};

}  // namespace

Result<std::unique_ptr<Kubernetes>> make_kubernetes_http(boost::asio::io_context& io,
                                                         const Clock& clock,
                                                         const KubernetesAccess& access,
                                                         const KubernetesHttpOptions& options) {
  auto client =
      HttpClient::make(io, access.server,
                       TlsClientOptions{.ca_pem = access.ca_pem,
                                        .client_certificate_pem = access.client_certificate_pem,
                                        .client_key_pem = access.client_key_pem,
                                        .server_name = access.tls_server_name,
                                        .insecure_skip_verify = access.insecure_skip_tls_verify});
  if (!client) {
    return tl::unexpected(client.error());
  }
  return std::make_unique<KubernetesHttp>(io, clock, std::move(*client), access, options);
}

}  // namespace vxmesh
