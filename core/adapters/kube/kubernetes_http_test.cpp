// The Kubernetes port against a server that answers whatever a test says, on loopback.
#include "adapters/kube/kubernetes_http.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/http/server.h"

namespace vxmesh {
namespace {

using namespace std::chrono_literals;

// Fails a test that hangs; nothing waits this long otherwise.
constexpr std::chrono::seconds kPatience{20};

class StillClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime monotonic() const override { return {}; }
  [[nodiscard]] WallTime wall() const override { return {}; }
};

// Collects what a list or a watch gives, in words.
struct Recorder final : public ListHandler, public WatchHandler {
  void note(std::string what) {
    EXPECT_FALSE(in_call) << "called inside the call that started it: " << what;
    seen.push_back(std::move(what));
    if (on_note) {
      on_note();
    }
  }
  static std::string name_of(const NodeOrRejection& node) {
    const auto* const typed = std::get_if<Node>(&node);
    return typed != nullptr ? typed->name : "rejected " + std::get<NodeRejection>(node).name;
  }

  void on_node(const SharedNode& node) override { note(name_of(*node)); }
  void on_end(const ListEnd& end) override {
    over = true;
    note("end " + end.resource_version + " " + end.continue_token);
  }
  void on_open() override { note("open"); }
  void on_event(WatchEventType type, const SharedNode& node,
                const ResourceVersion& resource_version) override {
    const char* const words[] = {"added", "modified", "deleted"};
    note(std::string(words[static_cast<std::size_t>(type)]) + " " + name_of(*node) + " " +
         resource_version);
  }
  void on_bookmark(const ResourceVersion& resource_version) override {
    note("bookmark " + resource_version);
  }
  void on_closed() override {
    over = true;
    note("closed");
  }
  void on_error(const ApiError& got) override {
    over = true;
    error = got;
    note("error");
  }

  std::vector<std::string> seen;
  std::optional<ApiError> error;
  bool over = false;
  bool in_call = false;
  std::function<void()> on_note;
};

using Words = std::vector<std::string>;

std::string node_json(const std::string& name, const std::string& resource_version) {
  return R"({"kind":"Node","metadata":{"name":")" + name + R"(","uid":"u-)" + name +
         R"(","resourceVersion":")" + resource_version + R"("}})";
}

std::string list_json(const std::string& items) {
  return R"({"kind":"NodeList","metadata":{"resourceVersion":"9","continue":"more"},"items":[)" +
         items + "]}";
}

std::string event_json(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}

class KubernetesOverHttp : public testing::Test {
 protected:
  // The server answers each request with what `answer_` does to it, or with `response_`.
  void SetUp() override {
    auto server = HttpServer::listen(
        io_, {}, [this](const HttpRequest& request, const HttpExchangePtr& exchange) {
          requests_.push_back(request);
          if (answer_) {
            answer_(exchange);
          } else {
            exchange->respond(response_);
          }
        });
    ASSERT_TRUE(server) << server.error().context;
    server_ = std::move(*server);
    connect({.server = server_->url() + "/prefix"});
  }

  void connect(const KubernetesAccess& access) {
    auto made = make_kubernetes_http(
        io_, clock_, access,
        {.user_agent = "agent/1",
         .on_skipped_event = [this](std::string_view type) { skipped_.emplace_back(type); }});
    ASSERT_TRUE(made) << made.error().context;
    kubernetes_ = std::move(*made);
  }

  void run_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      io_.restart();
      io_.run_one_for(100ms);
    }
    ASSERT_TRUE(condition());
  }

  Recorder list(const ListRequest& request = {}) {
    Recorder recorder;
    recorder.in_call = true;
    const auto call = kubernetes_->list_nodes(request, recorder);
    recorder.in_call = false;
    run_until([&] { return recorder.over; });
    io_.restart();
    io_.poll();
    return recorder;
  }

  Recorder watch(const WatchRequest& request = {.resource_version = "9", .timeout_s = 60}) {
    Recorder recorder;
    recorder.in_call = true;
    const auto call = kubernetes_->watch_nodes(request, recorder);
    recorder.in_call = false;
    run_until([&] { return recorder.over; });
    io_.restart();
    io_.poll();
    return recorder;
  }

  boost::asio::io_context io_;
  StillClock clock_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<Kubernetes> kubernetes_;
  std::function<void(const HttpExchangePtr&)> answer_;
  HttpResponse response_;
  std::vector<HttpRequest> requests_;
  Words skipped_;
};

TEST_F(KubernetesOverHttp, AListIsAskedForAndRead) {
  response_.body = list_json(node_json("n1", "1") + "," + node_json("", "2"));
  const Recorder got = list({.limit = 2, .continue_token = "", .resource_version = "5 6"});
  EXPECT_EQ(got.seen, (Words{"n1", "rejected ", "end 9 more"}));
  const HttpRequest& request = requests_.at(0);
  EXPECT_EQ(request.target,
            "/prefix/api/v1/nodes?limit=2&resourceVersionMatch=NotOlderThan&resourceVersion=5%206");
  EXPECT_EQ(find_header(request.headers, "Accept"), "application/json");
  EXPECT_EQ(find_header(request.headers, "Accept-Encoding"), "identity");
  EXPECT_EQ(find_header(request.headers, "User-Agent"), "agent/1");
  EXPECT_EQ(find_header(request.headers, "Authorization"), std::nullopt);
}

TEST_F(KubernetesOverHttp, ATokenGoesWithoutAResourceVersion) {
  response_.body = list_json("");
  (void)list({.limit = 500, .continue_token = "a&b=", .resource_version = "5"});
  EXPECT_EQ(requests_.at(0).target, "/prefix/api/v1/nodes?limit=500&continue=a%26b%3D");
}

TEST_F(KubernetesOverHttp, AWatchIsAskedForAndRead) {
  response_.body = event_json("ADDED", node_json("n1", "10")) +
                   event_json("MODIFIED", node_json("n1", "11")) +
                   event_json("DELETED", node_json("n1", "12")) + event_json("RENAMED", "{}") +
                   event_json("BOOKMARK", R"({"metadata":{"resourceVersion":"13"}})");
  EXPECT_EQ(watch().seen, (Words{"open", "added n1 10", "modified n1 11", "deleted n1 12",
                                 "bookmark 13", "closed"}));
  EXPECT_EQ(requests_.at(0).target,
            "/prefix/api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion=9"
            "&timeoutSeconds=60");
  EXPECT_EQ(skipped_, Words{"RENAMED"});
}

TEST_F(KubernetesOverHttp, EventsComeWhileTheWatchIsOpen) {
  HttpExchangePtr kept;
  answer_ = [&](const HttpExchangePtr& exchange) {
    kept = exchange;
    exchange->write(format_chunked_head({}));
  };
  Recorder recorder;
  const auto call = kubernetes_->watch_nodes({.resource_version = "9", .timeout_s = 60}, recorder);
  run_until([&] { return recorder.seen == Words{"open"}; });
  const std::string event = event_json("ADDED", node_json("n1", "10"));
  kept->write(format_chunk(event.substr(0, 20)));
  kept->write(format_chunk(event.substr(20)));
  run_until([&] { return recorder.seen.size() == 2; });
  EXPECT_EQ(recorder.seen.back(), "added n1 10");
  kept->close();
  run_until([&] { return recorder.over; });
  // The stream ends without its last chunk: this is no clean end.
  ASSERT_TRUE(recorder.error);
  EXPECT_EQ(recorder.error->kind, ApiError::Kind::Transport);
}

TEST_F(KubernetesOverHttp, AnErrorEventEndsTheWatch) {
  response_.body = event_json("ADDED", node_json("n1", "10")) +
                   event_json("ERROR", R"({"kind":"Status","code":410,"reason":"Expired",
                   "message":"too old","details":{"retryAfterSeconds":7}})") +
                   event_json("ADDED", node_json("n2", "11"));
  response_.body.erase(response_.body.find("\n                   \"message\""), 1);
  const Recorder got = watch();
  EXPECT_EQ(got.seen, (Words{"open", "added n1 10", "error"}));
  EXPECT_EQ(got.error, (ApiError{.kind = ApiError::Kind::Status,
                                 .status = 410,
                                 .reason = "Expired",
                                 .message = server_->url() + ": ERROR event: too old",
                                 .retry_after = 7s}));
}

TEST_F(KubernetesOverHttp, ARefusalIsAStatus) {
  response_ = {.status = 410,
               .headers = {},
               .body = R"({"kind":"Status","code":410,"reason":"Expired","message":"too old"})"};
  const ApiError wanted{.kind = ApiError::Kind::Status,
                        .status = 410,
                        .reason = "Expired",
                        .message = server_->url() + ": HTTP status 410: too old",
                        .retry_after = {}};
  EXPECT_EQ(list().error, wanted);
  const Recorder got = watch();
  EXPECT_EQ(got.error, wanted);
  EXPECT_EQ(got.seen, Words{"error"});
}

TEST_F(KubernetesOverHttp, AThrottleIsPlainTextWithRetryAfter) {
  response_ = {.status = 429, .headers = {{"retry-after", "3"}}, .body = "Too many requests.\n"};
  EXPECT_EQ(list().error,
            (ApiError{.kind = ApiError::Kind::Status,
                      .status = 429,
                      .reason = "",
                      .message = server_->url() + ": HTTP status 429: Too many requests.\n",
                      .retry_after = 3s}));
  response_.headers = {{"Retry-After", "99999999"}};
  EXPECT_EQ(list().error->retry_after, std::nullopt);
}

TEST_F(KubernetesOverHttp, ARefusalCutShortIsStillARefusal) {
  answer_ = [](const HttpExchangePtr& exchange) {
    exchange->write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nbusy");
    exchange->close();
  };
  const Recorder got = list();
  ASSERT_TRUE(got.error);
  EXPECT_EQ(got.error->status, 503);
}

TEST_F(KubernetesOverHttp, AnEndlessRefusalIsNotRead) {
  answer_ = [](const HttpExchangePtr& exchange) {
    exchange->write("HTTP/1.1 500 Oops\r\n\r\n" + std::string(1'000'000, 'x'));
  };
  const Recorder got = list();
  ASSERT_TRUE(got.error);
  EXPECT_EQ(got.error->status, 500);
}

TEST_F(KubernetesOverHttp, ABodyThatIsCutOrMalformedIsATransportError) {
  const std::string whole = list_json(node_json("n1", "1"));
  const Words bodies = {whole.substr(0, whole.size() - 1), "<html>", ""};
  for (const std::string& body : bodies) {
    response_.body = body;
    const Recorder got = list();
    ASSERT_TRUE(got.error) << body;
    EXPECT_EQ(got.error->kind, ApiError::Kind::Transport);
    EXPECT_TRUE(got.error->message.starts_with(server_->url() + ": ")) << got.error->message;
  }
  response_.body = event_json("ADDED", node_json("n1", "10")) + R"({"type":"ADD)";
  EXPECT_EQ(watch().seen, (Words{"open", "added n1 10", "error"}));
}

TEST_F(KubernetesOverHttp, AnEncodingThatWasNotAskedForIsATransportError) {
  response_ = {.status = 200, .headers = {{"Content-Encoding", "gzip"}}, .body = list_json("")};
  const Recorder got = list();
  ASSERT_TRUE(got.error);
  EXPECT_EQ(got.error->kind, ApiError::Kind::Transport);
}

TEST_F(KubernetesOverHttp, EverySplitOfTheResponseGivesTheSame) {
  const std::string event = event_json("ADDED", node_json("n1", "10"));
  const std::string bytes =
      format_chunked_head({}) + format_chunk(event) +
      format_chunk(event_json("BOOKMARK", R"({"metadata":{"resourceVersion":"13"}})")) +
      std::string(kLastChunk);
  for (std::size_t size = 1; size < bytes.size(); size = size * 2 + 1) {
    answer_ = [&](const HttpExchangePtr& exchange) {
      for (std::size_t at = 0; at < bytes.size(); at += size) {
        exchange->write(bytes.substr(at, size));
      }
      exchange->finish();
    };
    ASSERT_EQ(watch().seen, (Words{"open", "added n1 10", "bookmark 13", "closed"})) << size;
  }
}

TEST_F(KubernetesOverHttp, AHandlerMayDestroyTheCallInAnyCallback) {
  const std::string list_body = list_json(node_json("n1", "1") + "," + node_json("n2", "2"));
  const std::string watch_body = event_json("ADDED", node_json("n1", "10")) +
                                 event_json("BOOKMARK", R"({"metadata":{"resourceVersion":"1"}})") +
                                 event_json("ERROR", R"({"code":410})");
  for (const bool watching : {false, true}) {
    response_.body = watching ? watch_body : list_body;
    for (std::size_t at = 1; at <= (watching ? 4U : 3U); ++at) {
      Recorder recorder;
      std::unique_ptr<ApiCall> call;
      recorder.on_note = [&] {
        if (recorder.seen.size() == at) {
          call.reset();
        }
      };
      if (watching) {
        call = kubernetes_->watch_nodes({.resource_version = "9", .timeout_s = 60}, recorder);
      } else {
        call = kubernetes_->list_nodes({}, recorder);
      }
      run_until([&] { return recorder.seen.size() == at; });
      // Nothing may come after: another whole call goes by meanwhile.
      (void)list();
      EXPECT_EQ(recorder.seen.size(), at) << watching;
      EXPECT_EQ(call, nullptr);
    }
  }
}

TEST_F(KubernetesOverHttp, NobodyThereIsATransportError) {
  server_.reset();
  const Recorder got = list();
  ASSERT_TRUE(got.error);
  EXPECT_EQ(got.error->kind, ApiError::Kind::Transport);
  EXPECT_EQ(got.error->status, 0);
}

// A token file in a directory of its own.
class KubernetesToken : public KubernetesOverHttp {
 protected:
  void SetUp() override {
    KubernetesOverHttp::SetUp();
    std::string name = (std::filesystem::temp_directory_path() / "kube.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    connect({.server = server_->url(), .token_file = (directory_ / "token").string()});
    response_.body = list_json("");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& token) { std::ofstream(directory_ / "token") << token; }
  [[nodiscard]] std::string last_authorization() const {
    return std::string(find_header(requests_.back().headers, "Authorization").value_or(""));
  }

  std::filesystem::path directory_;
};

TEST_F(KubernetesToken, IsSentAndReadAgainAfterA401) {
  write("one\n");
  (void)list();
  EXPECT_EQ(last_authorization(), "Bearer one");
  write("two");
  (void)list();
  EXPECT_EQ(last_authorization(), "Bearer one");
  response_ = {.status = 401, .headers = {}, .body = ""};
  EXPECT_EQ(list().error->status, 401);
  (void)list();
  EXPECT_EQ(last_authorization(), "Bearer two");
}

TEST_F(KubernetesToken, AMissingFileIsATransportErrorThatNamesIt) {
  const Recorder got = list();
  ASSERT_TRUE(got.error);
  EXPECT_EQ(got.error->kind, ApiError::Kind::Transport);
  EXPECT_NE(got.error->message.find((directory_ / "token").string()), std::string::npos);
  EXPECT_TRUE(requests_.empty());
}

TEST(KubernetesAccess, ABadUrlIsRefused) {
  boost::asio::io_context io;
  const StillClock clock;
  EXPECT_FALSE(make_kubernetes_http(io, clock, {.server = "10.0.0.1:6443"}));
}

}  // namespace
}  // namespace vxmesh
