#include "sim/fakekube/fake_server.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"

namespace vxmesh {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;

constexpr std::string_view kNodesPath = "/api/v1/nodes";
constexpr std::string_view kControlPath = "/control/";
// Without timeoutSeconds the real server picks 30 to 60 minutes (--min-request-timeout 1800).
constexpr std::uint32_t kWatchTimeoutS = 1800;
// A watcher that falls behind this far is cut off, as the real server does.
constexpr std::size_t kWatchQueueMax = 64UL * 1024UL * 1024UL;
constexpr std::string_view kTooOld = "too old resource version";

HttpResponse plain(std::uint16_t status, std::string body) {
  return HttpResponse{.status = status,
                      .headers = {{"Content-Type", "text/plain; charset=utf-8"}},
                      .body = std::move(body)};
}

HttpResponse not_found() {
  return failure_response(404, "NotFound", "the server could not find the requested resource");
}

HttpResponse method_not_allowed(const std::string& method) {
  return failure_response(405, "MethodNotAllowed", "the server does not allow " + method + " here");
}

HttpResponse bad_request(std::string_view message) {
  return failure_response(400, "BadRequest", message);
}

std::string value_of(const Query& query, const std::string& name) {
  const auto found = query.find(name);
  return found == query.end() ? std::string() : found->second;
}

bool flag_of(const Query& query, const std::string& name) {
  const std::string value = value_of(query, name);
  return value == "1" || value == "true" || value == "True";
}

// The Status object that a fault of kind Gone or Error stands for.
json::object status_of(const Fault& fault) {
  return fault.kind == Fault::Kind::Gone
             ? failure_status(410, "Expired", kTooOld)
             : failure_status(fault.status, fault.reason, "fault asked for by a test");
}

// The answer that a fault gives instead of the right one; nothing if it is not of that sort.
std::optional<HttpResponse> answer_of(const Fault& fault) {
  std::optional<HttpResponse> answer;
  if (fault.kind == Fault::Kind::Throttle) {
    // Plain text, as in the real server's tooManyRequests (priority-and-fairness.go).
    answer = plain(429, "Too many requests, please try again later.\n");
  } else if (fault.kind == Fault::Kind::Gone || fault.kind == Fault::Kind::Error) {
    const json::object status = status_of(fault);
    answer =
        json_response(fault.kind == Fault::Kind::Gone ? std::uint16_t{410} : fault.status, status);
  }
  if (answer && fault.retry_after) {
    answer->headers.emplace_back("Retry-After", *fault.retry_after);
  }
  return answer;
}

std::optional<std::uint32_t> timeout_of(const Query& query) {
  const std::string text = value_of(query, "timeoutSeconds");
  std::uint32_t seconds = kWatchTimeoutS;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, seconds);
  if (!text.empty() && (error != std::errc{} || stop != end)) {
    return std::nullopt;
  }
  return seconds == 0 ? kWatchTimeoutS : seconds;
}

}  // namespace

struct FakeServer::Target {
  std::string_view path;
  Query query;
};

struct FakeServer::Watch {
  Watch(asio::io_context& io, std::shared_ptr<ResponseWriter> to, bool wants_bookmarks,
        ResourceVersion from)
      : writer(std::move(to)),
        bookmarks(wants_bookmarks),
        resource_version(std::move(from)),
        timeout(io),
        bookmark_timer(io) {}

  std::shared_ptr<ResponseWriter> writer;
  bool bookmarks;
  ResourceVersion resource_version;  // of the last event sent
  asio::steady_timer timeout;
  asio::steady_timer bookmark_timer;
  std::optional<std::uint64_t> events_left;  // until a stall or drop
  ResponseWriter::Cut events_cut = ResponseWriter::Cut::Stall;
};

FakeServer::FakeServer(asio::io_context& io, const Clock& clock, const FakeServerOptions& options)
    : io_(&io),
      bookmark_interval_(options.bookmark_interval),
      api_(clock, options.first_revision),
      requests_{{"list", 0},   {"watch", 0},  {"get", 0},  {"create", 0},
                {"update", 0}, {"delete", 0}, {"other", 0}} {}

FakeServer::~FakeServer() = default;

Result<std::unique_ptr<FakeServer>> FakeServer::listen(asio::io_context& io, const Clock& clock,
                                                       const FakeServerOptions& options) {
  auto server = std::unique_ptr<FakeServer>(new FakeServer(io, clock, options));
  auto http = HttpServer::listen(
      io, options.http,
      [raw = server.get()](const HttpRequest& request, const HttpExchangePtr& exchange) {
        raw->handle(request, exchange);
      });
  if (!http) {
    return tl::unexpected(http.error());
  }
  server->http_ = std::move(*http);
  return server;
}

void FakeServer::handle(const HttpRequest& request, const HttpExchangePtr& exchange) {
  const std::string_view whole = request.target;
  const std::size_t question = std::min(whole.find('?'), whole.size());
  auto query = parse_query(whole.substr(std::min(question + 1, whole.size())));
  if (!query) {
    exchange->respond(bad_request("the query is not well encoded"));
    return;
  }
  const Target target{.path = whole.substr(0, question), .query = std::move(*query)};
  if (target.path.starts_with(kControlPath)) {
    exchange->respond(control(request, target.path.substr(kControlPath.size())));
  } else if (target.path == kNodesPath && request.method == "GET") {
    const bool watching = flag_of(target.query, "watch");
    ++requests_[watching ? "watch" : "list"];
    if (!value_of(target.query, "fieldSelector").empty() ||
        !value_of(target.query, "labelSelector").empty()) {
      exchange->respond(bad_request("selectors are not supported by vxmesh-fakekube"));
    } else if (watching) {
      watch(target.query, exchange);
    } else {
      list(target.query, exchange);
    }
  } else {
    exchange->respond(nodes(request, target));
    pump();
  }
}

HttpResponse FakeServer::nodes(const HttpRequest& request, const Target& target) {
  if (target.path == kNodesPath) {
    ++requests_[request.method == "POST" ? "create" : "other"];
    return request.method == "POST" ? api_.create(request.body)
                                    : method_not_allowed(request.method);
  }
  if (target.path.starts_with(kNodesPath) && target.path[kNodesPath.size()] == '/') {
    return one_node(request, target.path.substr(kNodesPath.size() + 1));
  }
  ++requests_["other"];
  return request.method == "GET" ? discovery(target.path) : not_found();
}

HttpResponse FakeServer::one_node(const HttpRequest& request, std::string_view path) {
  constexpr std::string_view kStatus = "/status";
  const bool status_only = path.ends_with(kStatus);
  if (status_only) {
    path.remove_suffix(kStatus.size());
  }
  const auto name = url_decode(path);
  if (!name || name->empty() || name->find('/') != std::string::npos) {
    ++requests_["other"];
    return not_found();
  }
  if (request.method == "GET") {
    ++requests_["get"];
    return api_.get(*name);
  }
  if (request.method == "PUT") {
    ++requests_["update"];
    return api_.update(*name, request.body, status_only);
  }
  if (request.method == "DELETE" && !status_only) {
    ++requests_["delete"];
    return api_.remove(*name, request.body);
  }
  ++requests_["other"];
  return method_not_allowed(request.method);
}

HttpResponse FakeServer::discovery(std::string_view path) {
  const auto resource = [](std::string_view name, json::array verbs) {
    return json::object{{"name", name},   {"singularName", "node"}, {"namespaced", false},
                        {"kind", "Node"}, {"shortNames", {"no"}},   {"verbs", std::move(verbs)}};
  };
  if (path == "/version") {
    return json_response(200, {{"major", "1"},
                               {"minor", "31"},
                               {"gitVersion", "v1.31.0-vxmesh-fakekube"},
                               {"platform", "linux/amd64"}});
  }
  if (path == "/api") {
    return json_response(200, {{"kind", "APIVersions"}, {"versions", {"v1"}}});
  }
  if (path == "/apis") {
    return json_response(
        200, {{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", json::array()}});
  }
  if (path == "/api/v1") {
    json::array resources;
    resources.push_back(resource("nodes", {"create", "delete", "get", "list", "update", "watch"}));
    resources.push_back(resource("nodes/status", {"get", "update"}));
    return json_response(
        200,
        {{"kind", "APIResourceList"}, {"groupVersion", "v1"}, {"resources", std::move(resources)}});
  }
  if (path == "/healthz" || path == "/livez" || path == "/readyz") {
    return plain(200, "ok");
  }
  return not_found();
}

HttpResponse FakeServer::control(const HttpRequest& request, std::string_view path) {
  const auto done = [this] {
    return json_response(200, {{"resource_version", api_.store().resource_version()}});
  };
  if (path == "state" && request.method == "GET") {
    return state();
  }
  if (path == "faults" && request.method == "POST") {
    return add_fault(request.body);
  }
  if (path == "faults" && request.method == "DELETE") {
    faults_.clear();
    return done();
  }
  if (path == "compact" && request.method == "POST") {
    return compact(request.body);
  }
  if (path == "bookmark" && request.method == "POST") {
    for (const auto& [id, watch] : watches_) {
      bookmark(*watch);
    }
    return done();
  }
  const bool known = path == "state" || path == "faults" || path == "compact" || path == "bookmark";
  return known ? method_not_allowed(request.method) : not_found();
}

HttpResponse FakeServer::add_fault(const std::string& body) {
  const auto fault = parse_fault(body);
  if (!fault) {
    return bad_request(fault.error().context);
  }
  if (fault->open) {
    hit_open_watches(*fault);
  } else {
    faults_.add(*fault);
  }
  return json_response(201, {{"faults", faults_.describe()}});
}

HttpResponse FakeServer::compact(const std::string& body) {
  json::error_code error;
  const json::value value = json::parse(body.empty() ? "{}" : body, error);
  const json::value* const form =
      !error && value.is_object() ? value.get_object().if_contains("expired_as") : nullptr;
  if (error || !value.is_object() || value.get_object().size() > (form == nullptr ? 0U : 1U)) {
    return bad_request("the body is empty or {\"expired_as\": \"event\" or \"http\"}");
  }
  if (form != nullptr) {
    if (*form != "event" && *form != "http") {
      return bad_request("expired_as must be event or http");
    }
    expired_as_ = *form == "http" ? Fault::As::Http : Fault::As::Event;
  }
  api_.store().compact();
  return json_response(200, {{"resource_version", api_.store().resource_version()}});
}

HttpResponse FakeServer::state() {
  json::object requests;
  for (const auto& [kind, count] : requests_) {
    requests[kind] = count;
  }
  const auto page = api_.store().list(0);
  return json_response(200, {{"nodes", page ? page->objects.size() : 0},
                             {"resource_version", api_.store().resource_version()},
                             {"open_watches", watches_.size()},
                             {"requests", std::move(requests)},
                             {"faults", faults_.describe()}});
}

void FakeServer::list(const Query& query, const HttpExchangePtr& exchange) {
  const auto fault = faults_.take(Fault::Target::List);
  const auto writer = std::make_shared<ResponseWriter>(*io_, exchange, fault);
  const auto answer = fault ? answer_of(*fault) : std::nullopt;
  if (answer) {
    writer->respond(*answer);
  } else if (fault && fault->kind == Fault::Kind::EmptyList) {
    writer->respond(api_.empty_list());
  } else {
    writer->respond(api_.list(query));
  }
}

void FakeServer::watch(const Query& query, const HttpExchangePtr& exchange) {
  const auto fault = faults_.take(Fault::Target::Watch);
  const auto writer = std::make_shared<ResponseWriter>(*io_, exchange, fault);
  const auto refuse_in_stream = [&writer](const json::object& status) {
    writer->write(format_chunked_head(
        HttpResponseHead{.status = 200, .headers = {{"Content-Type", "application/json"}}}));
    writer->write(format_chunk(NodeApi::error_line(status)));
    writer->write(kLastChunk);
    writer->finish();
  };
  if (const auto answer = fault ? answer_of(*fault) : std::nullopt) {
    if (fault->as == Fault::As::Event && fault->kind != Fault::Kind::Throttle) {
      refuse_in_stream(status_of(*fault));
    } else {
      writer->respond(*answer);
    }
    return;
  }
  if (!timeout_of(query)) {
    writer->respond(bad_request("timeoutSeconds is not a number"));
    return;
  }
  if (flag_of(query, "sendInitialEvents")) {
    writer->respond(failure_response(422, "Invalid",
                                     "sendInitialEvents: Forbidden: sendInitialEvents is "
                                     "forbidden for watch unless the WatchList feature gate is "
                                     "enabled"));
    return;
  }
  const ResourceVersion from = value_of(query, "resourceVersion");
  if (!from.empty() && from != "0") {
    const auto events = api_.store().events_since(from, 0);
    if (!events && events.error() == StoreError::Expired && expired_as_ == Fault::As::Event) {
      refuse_in_stream(failure_status(410, "Expired", kTooOld));
      return;
    }
    if (!events) {
      writer->respond(failure_response(events.error()));
      return;
    }
  }
  open_watch(query, from, writer, fault);
}

void FakeServer::open_watch(const Query& query, const ResourceVersion& from,
                            const std::shared_ptr<ResponseWriter>& writer,
                            const std::optional<Fault>& fault) {
  const std::uint64_t id = ++next_watch_;
  const auto watch =
      std::make_shared<Watch>(*io_, writer, flag_of(query, "allowWatchBookmarks"), from);
  if (fault && fault->after_events) {
    watch->events_left = fault->after_events;
    watch->events_cut = ResponseWriter::cut_of(*fault);
  }
  watches_.emplace(id, watch);
  // Held weakly: the call may come when this server, and every watch with it, is gone.
  writer->exchange()->on_closed([this, id, weak = std::weak_ptr<Watch>(watch)] {
    if (!weak.expired()) {
      watches_.erase(id);
    }
  });
  writer->write(format_chunked_head(
      HttpResponseHead{.status = 200, .headers = {{"Content-Type", "application/json"}}}));
  if (from.empty() || from == "0") {
    // "Get state and start at any": what is there comes as if it had just been added.
    const auto page = api_.store().list(0);
    watch->resource_version = page->resource_version;
    for (const auto& object : page->objects) {
      writer->write(format_chunk(
          NodeApi::event_line({.revision = 0, .type = WatchEventType::Added, .object = object})));
    }
  }
  pump(*watch);
  arm_timeout(id, std::chrono::seconds(*timeout_of(query)));
  arm_bookmark(watch);
}

void FakeServer::arm_timeout(std::uint64_t id, std::chrono::milliseconds timeout) {
  const std::shared_ptr<Watch> watch = watches_.at(id);
  watch->timeout.expires_after(timeout);
  watch->timeout.async_wait([this, id, weak = std::weak_ptr<Watch>(watch)](const auto& error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) {
      bookmark(*self);
      end_watch(id, "");
    }
  });
}

void FakeServer::arm_bookmark(const std::shared_ptr<Watch>& watch) {
  watch->bookmark_timer.expires_after(bookmark_interval_);
  watch->bookmark_timer.async_wait([this, weak = std::weak_ptr<Watch>(watch)](const auto& error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) {
      bookmark(*self);
      arm_bookmark(self);
    }
  });
}

void FakeServer::pump() {
  // Writing may end a watch; its on_closed comes later, so the map does not change here.
  for (const auto& [id, watch] : watches_) {
    pump(*watch);
  }
}

void FakeServer::pump(Watch& watch) {
  if (watch.events_left == 0U) {
    watch.writer->cut(watch.events_cut);
  }
  const auto events = api_.store().events_since(watch.resource_version);
  check(events.has_value(), "an open watch is never older than the history");
  for (const auto& event : *events) {
    watch.writer->write(format_chunk(NodeApi::event_line(event)));
    watch.resource_version = event.object->resource_version;
    if (watch.events_left && --*watch.events_left == 0) {
      watch.writer->cut(watch.events_cut);
    }
  }
  if (watch.writer->exchange()->queued_bytes() > kWatchQueueMax) {
    watch.writer->cut(ResponseWriter::Cut::Close);
  }
}

void FakeServer::bookmark(Watch& watch) {
  if (watch.bookmarks) {
    watch.writer->write(format_chunk(NodeApi::bookmark_line(api_.store().resource_version())));
  }
}

void FakeServer::end_watch(std::uint64_t id, const std::string& last_line) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) {
    return;
  }
  const std::shared_ptr<ResponseWriter> writer = found->second->writer;
  watches_.erase(found);
  if (!last_line.empty()) {
    writer->write(format_chunk(last_line));
  }
  writer->write(kLastChunk);
  writer->finish();
}

void FakeServer::hit_open_watches(const Fault& fault) {
  const auto watches = watches_;
  for (const auto& [id, watch] : watches) {
    if (fault.kind == Fault::Kind::Stall || fault.kind == Fault::Kind::Drop) {
      watch->writer->cut(ResponseWriter::cut_of(fault));
    } else {
      end_watch(id, NodeApi::error_line(status_of(fault)));
    }
  }
}

}  // namespace vxmesh
