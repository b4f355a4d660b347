// The fake API server as its clients see it: raw requests, and the Kubernetes port.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "adapters/http/client.h"
#include "adapters/kube/kubernetes_http.h"
#include "sim/fakekube/fake_server.h"

namespace vxmesh {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

// Tenths of a second in which nothing happens, before a test fails; none waits this long otherwise.
constexpr int kPatience = 200;

class StillClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime monotonic() const override { return {}; }
  [[nodiscard]] WallTime wall() const override {
    return {.since_epoch = std::chrono::seconds(1787393100)};
  }
};

struct Answer final : public HttpResponseHandler {
  void on_head(const HttpResponseHead& got) override {
    status = got.status;
    headers = got.headers;
  }
  void on_body(std::string_view bytes) override { body += bytes; }
  void on_end() override { over = true; }
  void on_error(const std::string& message) override {
    error = message;
    over = true;
  }

  [[nodiscard]] json::value parsed() const { return json::parse(body); }
  [[nodiscard]] std::string reason() const {
    return json::value_to<std::string>(parsed().at("reason"));
  }

  std::uint16_t status = 0;
  HttpHeaders headers;
  std::string body;
  std::string error;
  bool over = false;
};

// What a list or a watch gave, in words.
struct Recorder final : public ListHandler, public WatchHandler {
  static std::string name_of(const NodeOrRejection& node) {
    const auto* const typed = std::get_if<Node>(&node);
    return typed != nullptr ? typed->name : "rejected " + std::get<NodeRejection>(node).name;
  }
  void on_node(const SharedNode& node) override { seen.push_back(name_of(*node)); }
  void on_end(const ListEnd& got) override { end = got; }
  void on_open() override { seen.emplace_back("open"); }
  void on_event(WatchEventType type, const SharedNode& node,
                const ResourceVersion& resource_version) override {
    const char* const words[] = {"added ", "modified ", "deleted "};
    seen.push_back(words[static_cast<std::size_t>(type)] + name_of(*node) + " " + resource_version);
  }
  void on_bookmark(const ResourceVersion& resource_version) override {
    seen.push_back("bookmark " + resource_version);
  }
  void on_closed() override { seen.emplace_back("closed"); }
  void on_error(const ApiError& got) override { error = got; }

  std::vector<std::string> seen;
  std::optional<ListEnd> end;
  std::optional<ApiError> error;
};

using Words = std::vector<std::string>;

class FakeKube : public testing::Test {
 protected:
  void SetUp() override {
    auto server = FakeServer::listen(io_, clock_, {.http = {.body_max = 1'000'000}});
    ASSERT_TRUE(server) << server.error().context;
    server_ = std::move(*server);
    auto kubernetes = make_kubernetes_http(io_, clock_, {.server = server_->url()});
    ASSERT_TRUE(kubernetes) << kubernetes.error().context;
    kubernetes_ = std::move(*kubernetes);
  }

  void run_until(const std::function<bool()>& condition) {
    for (int idle = 0; !condition() && idle < kPatience;) {
      io_.restart();
      idle += io_.run_one_for(100ms) == 0 ? 1 : 0;
    }
    ASSERT_TRUE(condition());
  }

  Answer request(const std::string& method, const std::string& target,
                 const std::string& body = "") {
    Answer answer;
    auto client = HttpClient::make(io_, server_->url(), {});
    const auto call = client->send({.method = method, .target = target, .body = body}, answer);
    run_until([&] { return answer.over; });
    return answer;
  }

  Answer create(const std::string& name) {
    return request("POST", "/api/v1/nodes", R"({"metadata": {"name": ")" + name + "\"}}");
  }
  void fault(const std::string& body) {
    const Answer answer = request("POST", "/control/faults", body);
    ASSERT_EQ(answer.status, 201) << answer.body;
  }
  json::value state() { return request("GET", "/control/state").parsed(); }
  void run_until_open_watches(std::int64_t count) {
    for (int i = 0; i < 1000 && state().at("open_watches") != count; ++i) {
    }
    ASSERT_EQ(state().at("open_watches"), count);
  }

  Recorder list(const ListRequest& wanted = {}) {
    Recorder recorder;
    const auto call = kubernetes_->list_nodes(wanted, recorder);
    run_until([&] { return recorder.end || recorder.error; });
    return recorder;
  }
  std::unique_ptr<ApiCall> watch(Recorder& recorder, const std::string& from,
                                 std::uint32_t timeout_s = 60) {
    return kubernetes_->watch_nodes({.resource_version = from, .timeout_s = timeout_s}, recorder);
  }

  boost::asio::io_context io_;
  StillClock clock_;
  std::unique_ptr<FakeServer> server_;
  std::unique_ptr<Kubernetes> kubernetes_;
};

TEST_F(FakeKube, ANodeIsCreatedReadReplacedAndDeleted) {
  const Answer created = create("n1");
  EXPECT_EQ(created.status, 201);
  const json::value metadata = created.parsed().at("metadata");
  EXPECT_EQ(metadata.at("resourceVersion"), "1001");
  EXPECT_EQ(metadata.at("creationTimestamp"), "2026-08-22T10:05:00Z");
  EXPECT_EQ(request("GET", "/api/v1/nodes/n1").parsed(), created.parsed());

  const Answer replaced = request(
      "PUT", "/api/v1/nodes/n1",
      R"({"metadata": {"name": "n1", "resourceVersion": "1001"}, "spec": {"podCIDR": "a"}})");
  EXPECT_EQ(replaced.status, 200);
  EXPECT_EQ(replaced.parsed().at("metadata").at("resourceVersion"), "1002");
  EXPECT_EQ(replaced.parsed().at("metadata").at("uid"), metadata.at("uid"));
  EXPECT_EQ(replaced.parsed().at("spec").at("podCIDR"), "a");

  EXPECT_EQ(request("DELETE", "/api/v1/nodes/n1").parsed().at("status"), "Success");
  EXPECT_EQ(request("GET", "/api/v1/nodes/n1").status, 404);
  EXPECT_NE(create("n1").parsed().at("metadata").at("uid"), metadata.at("uid"));
}

TEST_F(FakeKube, TheStatusSubresourceChangesTheStatusOnly) {
  (void)create("n1");
  const Answer answer = request("PUT", "/api/v1/nodes/n1/status",
                                R"({"metadata": {"name": "n1"}, "spec": {"podCIDR": "a"},
                                    "status": {"phase": "b"}})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.parsed().at("status").at("phase"), "b");
  EXPECT_EQ(answer.parsed().as_object().if_contains("spec"), nullptr);
}

TEST_F(FakeKube, RefusalsAreStatusObjectsWithTheRealReason) {
  (void)create("n1");
  const auto refused = [this](const std::string& method, const std::string& target,
                              const std::string& body = "") {
    const Answer answer = request(method, target, body);
    EXPECT_EQ(answer.parsed().at("kind"), "Status");
    EXPECT_EQ(answer.parsed().at("code"), answer.status);
    return std::to_string(answer.status) + " " + answer.reason();
  };
  const std::string nodes = "/api/v1/nodes";
  const std::string n1 = nodes + "/n1";
  EXPECT_EQ(refused("POST", nodes, R"({"metadata": {"name": "n1"}})"), "409 AlreadyExists");
  EXPECT_EQ(refused("POST", nodes, R"({"metadata": {"name": "N1"}})"), "422 Invalid");
  EXPECT_EQ(refused("POST", nodes, R"({"metadata": {"name": "a..b"}})"), "422 Invalid");
  EXPECT_EQ(refused("POST", nodes, "{}"), "422 Invalid");
  EXPECT_EQ(refused("POST", nodes, "{"), "400 BadRequest");
  EXPECT_EQ(refused("POST", nodes, R"({"kind": "Pod"})"), "400 BadRequest");
  EXPECT_EQ(refused("PUT", n1, R"({"metadata": {"name": "n1", "resourceVersion": "7"}})"),
            "409 Conflict");
  EXPECT_EQ(refused("PUT", n1, R"({"metadata": {"name": "n1", "uid": "other"}})"), "409 Conflict");
  EXPECT_EQ(refused("PUT", n1, R"({"metadata": {"name": "n2"}})"), "400 BadRequest");
  EXPECT_EQ(refused("PUT", nodes + "/n2", R"({"metadata": {"name": "n2"}})"), "404 NotFound");
  EXPECT_EQ(refused("DELETE", nodes + "/n2"), "404 NotFound");
  EXPECT_EQ(refused("DELETE", n1, R"({"preconditions": {"uid": "other"}})"), "409 Conflict");
  EXPECT_EQ(refused("DELETE", n1, R"({"preconditions": {"resourceVersion": "7"}})"),
            "409 Conflict");
  EXPECT_EQ(refused("PATCH", n1, "{}"), "405 MethodNotAllowed");
  EXPECT_EQ(refused("GET", "/api/v1/pods"), "404 NotFound");
  EXPECT_EQ(refused("GET", nodes + "?limit=x"), "400 BadRequest");
  EXPECT_EQ(refused("GET", nodes + "?continue=x"), "400 BadRequest");
  EXPECT_EQ(refused("GET", nodes + "?resourceVersion=99999"), "504 Timeout");
  EXPECT_EQ(refused("GET", nodes + "?labelSelector=a"), "400 BadRequest");
  EXPECT_EQ(refused("GET", nodes + "?watch=1&sendInitialEvents=true"), "422 Invalid");
  EXPECT_EQ(refused("GET", nodes + "?watch=1&resourceVersion=x"), "400 BadRequest");
  EXPECT_EQ(request("GET", n1).status, 200);
}

TEST_F(FakeKube, PodCidrsAreWrittenOnce) {
  (void)create("n1");
  const auto put = [this](const std::string& spec) {
    return request("PUT", "/api/v1/nodes/n1",
                   R"({"metadata": {"name": "n1"}, "spec": )" + spec + "}")
        .status;
  };
  EXPECT_EQ(put(R"({"podCIDRs": ["10.0.0.0/24"]})"), 200);
  EXPECT_EQ(put(R"({"podCIDRs": ["10.0.1.0/24"]})"), 422);
  EXPECT_EQ(put(R"({})"), 422);
  EXPECT_EQ(put(R"({"podCIDRs": ["10.0.0.0/24"], "unschedulable": true})"), 200);
}

TEST_F(FakeKube, ListsComeInPagesOfOneState) {
  for (const char* name : {"a", "b", "c"}) {
    (void)create(name);
  }
  const Recorder first = list({.limit = 2});
  EXPECT_EQ(first.seen, (Words{"a", "b"}));
  (void)request("DELETE", "/api/v1/nodes/c");
  const Recorder second = list({.limit = 2, .continue_token = first.end->continue_token});
  EXPECT_EQ(second.seen, Words{"c"});
  EXPECT_EQ(second.end->resource_version, first.end->resource_version);
  EXPECT_EQ(second.end->continue_token, "");
}

TEST_F(FakeKube, APageOfAVersionIsThatVersionUnlessANewerOneWillDo) {
  (void)create("a");
  (void)create("b");
  const auto names = [this](const std::string& query) {
    std::string text;
    const Answer answer = request("GET", "/api/v1/nodes?" + query);
    if (answer.status != 200) {
      return std::to_string(answer.status);
    }
    const json::value page = answer.parsed();
    for (const json::value& item : page.at("items").as_array()) {
      text += item.at("metadata").at("name").as_string().c_str();
    }
    return text;
  };
  EXPECT_EQ(names("limit=5&resourceVersion=1001"), "a");
  EXPECT_EQ(names("limit=5&resourceVersion=1001&resourceVersionMatch=NotOlderThan"), "ab");
  EXPECT_EQ(names("resourceVersion=1001"), "ab");
  EXPECT_EQ(names("limit=5&resourceVersion=0"), "ab");
  EXPECT_EQ(names("limit=5&resourceVersion=9999"), "504");
  EXPECT_EQ(names("limit=5&resourceVersionMatch=NotOlderThan"), "422");
  (void)request("POST", "/control/compact");
  EXPECT_EQ(names("limit=5&resourceVersion=1001"), "410");
  EXPECT_EQ(names("limit=5&resourceVersion=1001&resourceVersionMatch=NotOlderThan"), "ab");
}

TEST_F(FakeKube, AContinueTokenExpires) {
  for (const char* name : {"a", "b", "c"}) {
    (void)create(name);
  }
  const Recorder first = list({.limit = 2});
  (void)create("d");
  (void)request("POST", "/control/compact");
  const Recorder second = list({.limit = 2, .continue_token = first.end->continue_token});
  ASSERT_TRUE(second.error);
  EXPECT_EQ(second.error->status, 410);
  EXPECT_EQ(second.error->reason, "Expired");
}

TEST_F(FakeKube, AWatchGivesWhatHappenedAndWhatHappens) {
  (void)create("a");
  (void)create("b");
  Recorder recorder;
  const auto call = watch(recorder, "1001");
  run_until([&] { return recorder.seen.size() == 2; });
  EXPECT_EQ(recorder.seen, (Words{"open", "added b 1002"}));
  (void)request("PUT", "/api/v1/nodes/a", R"({"metadata": {"name": "a"}, "x": 1})");
  (void)request("DELETE", "/api/v1/nodes/b");
  (void)request("POST", "/control/bookmark");
  run_until([&] { return recorder.seen.size() == 5; });
  EXPECT_EQ(recorder.seen,
            (Words{"open", "added b 1002", "modified a 1003", "deleted b 1004", "bookmark 1004"}));
}

TEST_F(FakeKube, AWatchEndsAtItsTimeoutWithABookmark) {
  Recorder recorder;
  const auto call = watch(recorder, "1000", 1);
  run_until([&] { return recorder.seen.size() == 3 || recorder.error; });
  EXPECT_EQ(recorder.seen, (Words{"open", "bookmark 1000", "closed"}));
  run_until_open_watches(0);
}

TEST_F(FakeKube, AWatchFromNowhereBeginsWithEverything) {
  (void)create("a");
  const Answer answer = request("GET", "/api/v1/nodes?watch=true&timeoutSeconds=1");
  EXPECT_EQ(json::parse(answer.body).at("type"), "ADDED");
}

TEST_F(FakeKube, AnExpiredWatchIsRefusedInEitherForm) {
  (void)create("a");
  (void)request("POST", "/control/compact");
  for (const bool http : {false, true}) {
    if (http) {
      (void)request("POST", "/control/compact", R"({"expired_as": "http"})");
    }
    Recorder recorder;
    const auto call = watch(recorder, "1000");
    run_until([&] { return recorder.error.has_value(); });
    EXPECT_EQ(recorder.error->status, 410);
    EXPECT_EQ(recorder.error->reason, "Expired");
    EXPECT_EQ(recorder.seen, http ? Words{} : Words{"open"});
  }
}

TEST_F(FakeKube, CompactionDoesNotDisturbAnOpenWatch) {
  Recorder recorder;
  const auto call = watch(recorder, "1000");
  run_until_open_watches(1);
  (void)create("a");
  (void)request("POST", "/control/compact");
  (void)create("b");
  run_until([&] { return recorder.seen.size() == 3; });
  EXPECT_EQ(recorder.seen, (Words{"open", "added a 1001", "added b 1002"}));
}

TEST_F(FakeKube, StateCountsNodesWatchesAndRequests) {
  (void)create("a");
  (void)list();
  Recorder recorder;
  {
    const auto call = watch(recorder, "1001");
    run_until_open_watches(1);
    const json::value now = state();
    EXPECT_EQ(now.at("nodes"), 1);
    EXPECT_EQ(now.at("resource_version"), "1001");
    EXPECT_EQ(now.at("requests").at("list"), 1);
    EXPECT_EQ(now.at("requests").at("watch"), 1);
    EXPECT_EQ(now.at("requests").at("create"), 1);
    EXPECT_EQ(now.at("requests").at("delete"), 0);
  }
  run_until_open_watches(0);
}

TEST_F(FakeKube, AFaultHappensAsOftenAsAskedForAndToItsTarget) {
  fault(R"({"kind": "throttle", "target": "list", "skip": 1, "count": 2, "retry_after": "4"})");
  EXPECT_FALSE(list().error);
  for (int i = 0; i < 2; ++i) {
    Recorder other;
    const auto call = watch(other, "1000");
    run_until([&] { return !other.seen.empty() || other.error; });
    EXPECT_EQ(other.seen, Words{"open"});
    const Recorder got = list();
    ASSERT_TRUE(got.error);
    EXPECT_EQ(got.error->status, 429);
    EXPECT_EQ(got.error->retry_after, 4s);
  }
  EXPECT_FALSE(list().error);
  EXPECT_EQ(state().at("faults"), json::array());
}

TEST_F(FakeKube, FaultsOfCountZeroStayUntilTheyAreRemoved) {
  fault(R"({"kind": "error", "status": 503, "reason": "ServiceUnavailable", "count": 0})");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(list().error->reason, "ServiceUnavailable");
  }
  (void)request("DELETE", "/control/faults");
  EXPECT_FALSE(list().error);
}

TEST_F(FakeKube, AListCanBeEmptyGoneDroppedAndSplit) {
  (void)create("a");
  fault(R"({"kind": "empty-list"})");
  EXPECT_EQ(list().seen, Words{});
  fault(R"({"kind": "gone"})");
  EXPECT_EQ(list().error->status, 410);
  fault(R"({"kind": "drop", "after_bytes": 200})");
  fault(R"({"kind": "drop", "after_bytes": 200, "reset": true})");
  fault(R"({"kind": "drop"})");
  for (int i = 0; i < 3; ++i) {
    const Recorder dropped = list();
    ASSERT_TRUE(dropped.error);
    EXPECT_EQ(dropped.error->kind, ApiError::Kind::Transport);
  }
  fault(R"({"kind": "split", "size": 1})");
  fault(R"({"kind": "split", "size": 100, "pause_ms": 1})");
  for (int i = 0; i < 2; ++i) {
    const Recorder split = list();
    EXPECT_EQ(split.seen, Words{"a"});
    EXPECT_TRUE(split.end);
  }
}

TEST_F(FakeKube, AStalledListStaysOpen) {
  (void)create("a");
  fault(R"({"kind": "stall", "target": "list", "after_bytes": 300})");
  Recorder recorder;
  const auto call = kubernetes_->list_nodes({}, recorder);
  Recorder other = list();
  EXPECT_TRUE(other.end);
  EXPECT_FALSE(recorder.end || recorder.error);
}

TEST_F(FakeKube, AWatchCanBeCutAfterSomeEvents) {
  for (const char* name : {"a", "b", "c"}) {
    (void)create(name);
  }
  fault(R"({"kind": "drop", "target": "watch", "after_events": 2})");
  Recorder recorder;
  const auto call = watch(recorder, "1000");
  run_until([&] { return recorder.error.has_value(); });
  EXPECT_EQ(recorder.seen, (Words{"open", "added a 1001", "added b 1002"}));
}

TEST_F(FakeKube, AnOpenWatchCanStallDropAndFail) {
  const auto hit = [this](const std::string& body) {
    Recorder recorder;
    const auto call = watch(recorder, state().at("resource_version").as_string().c_str());
    run_until_open_watches(1);
    fault(body);
    if (body.find("stall") == std::string::npos) {
      run_until([&] { return recorder.error.has_value(); });
    } else {
      (void)request("POST", "/control/bookmark");
      (void)create("unseen");
      EXPECT_EQ(state().at("open_watches"), 1);
    }
    return recorder;
  };
  const Recorder stalled = hit(R"({"kind": "stall", "open": true})");
  EXPECT_EQ(stalled.seen, Words{"open"});
  EXPECT_FALSE(stalled.error);
  run_until_open_watches(0);
  EXPECT_EQ(hit(R"({"kind": "drop", "open": true})").error->kind, ApiError::Kind::Transport);
  EXPECT_EQ(hit(R"({"kind": "drop", "open": true, "reset": true})").error->kind,
            ApiError::Kind::Transport);
  EXPECT_EQ(hit(R"({"kind": "gone", "open": true})").error->status, 410);
  EXPECT_EQ(hit(R"({"kind": "error", "open": true, "status": 500})").error->status, 500);
}

TEST_F(FakeKube, AWatchCanBeGoneAsAnEvent) {
  fault(R"({"kind": "gone", "target": "watch", "as": "event"})");
  Recorder recorder;
  const auto call = watch(recorder, "1000");
  run_until([&] { return recorder.error.has_value(); });
  EXPECT_EQ(recorder.error->status, 410);
  EXPECT_EQ(recorder.seen, Words{"open"});
}

TEST_F(FakeKube, MistypedFaultsAreRefusedWithTheNearestName) {
  const auto message = [this](const std::string& body) {
    const Answer answer = request("POST", "/control/faults", body);
    EXPECT_EQ(answer.status, 400) << body;
    return json::value_to<std::string>(answer.parsed().at("message"));
  };
  EXPECT_EQ(message(R"({"kind": "drop", "aftr_bytes": 3})"),
            "unknown key 'aftr_bytes'; did you mean 'after_bytes'?");
  EXPECT_EQ(message(R"({"kind": "stal"})"),
            "kind must be one of stall, drop, split, gone, throttle, error, empty-list");
  EXPECT_EQ(message(R"({"count": 1})"), "kind is missing");
  EXPECT_EQ(message(R"({"kind": "drop", "count": -1})"),
            "count must be a number from 0 to 2147483647");
  EXPECT_EQ(message(R"({"kind": "drop", "reset": 1})"), "reset must be true or false");
  EXPECT_EQ(message(R"({"kind": "throttle", "retry_after": 1})"), "retry_after must be a string");
  (void)message(R"({"kind": "split", "open": true})");
  (void)message("");
  EXPECT_EQ(request("POST", "/control/compact", R"({"expired_as": "x"})").status, 400);
  EXPECT_EQ(request("POST", "/control/compact", R"({"expird_as": "http"})").status, 400);
  EXPECT_EQ(request("GET", "/control/nothing").status, 404);
  EXPECT_EQ(state().at("faults"), json::array());
}

TEST(Query, IsDecodedAndTheFirstOfTwoCounts) {
  EXPECT_EQ(parse_query("a=1&b=%26+x&a=2&c&"), (Query{{"a", "1"}, {"b", "& x"}, {"c", ""}}));
  EXPECT_EQ(parse_query(""), Query{});
  EXPECT_EQ(parse_query("a=%"), std::nullopt);
}

}  // namespace
}  // namespace vxmesh
