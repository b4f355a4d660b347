// The fake API server's HTTP front: the real paths for Nodes, and /control/ for tests.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "adapters/http/server.h"
#include "base/result.h"
#include "ports/clock.h"
#include "sim/fakekube/faults.h"
#include "sim/fakekube/node_api.h"
#include "sim/fakekube/response_writer.h"

namespace vxmesh {

struct FakeServerOptions {
  HttpServerOptions http;
  std::uint64_t first_revision = 1000;  // the resourceVersion of the empty store
  // The real server sends one about every 60 s (cacher.go, bookmarkFrequency).
  std::chrono::milliseconds bookmark_interval{60'000};
};

// Contract: serves from the io_context until it is destroyed. Every path and every key of the
// control endpoint is described by vxmesh-fakekube --help. Threading: one thread.
class FakeServer {
 public:
  // `io` and `clock` outlive this. Errors are HttpServer::listen's.
  [[nodiscard]] static Result<std::unique_ptr<FakeServer>> listen(boost::asio::io_context& io,
                                                                  const Clock& clock,
                                                                  const FakeServerOptions& options);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  // http://127.0.0.1:40123
  [[nodiscard]] std::string url() const { return http_->url(); }

 private:
  struct Watch;
  struct Target;

  FakeServer(boost::asio::io_context& io, const Clock& clock, const FakeServerOptions& options);

  void handle(const HttpRequest& request, const HttpExchangePtr& exchange);
  [[nodiscard]] HttpResponse nodes(const HttpRequest& request, const Target& target);
  [[nodiscard]] HttpResponse one_node(const HttpRequest& request, std::string_view path);
  [[nodiscard]] HttpResponse discovery(std::string_view path);
  [[nodiscard]] HttpResponse control(const HttpRequest& request, std::string_view path);
  [[nodiscard]] HttpResponse add_fault(const std::string& body);
  [[nodiscard]] HttpResponse compact(const std::string& body);
  [[nodiscard]] HttpResponse state();

  void list(const Query& query, const HttpExchangePtr& exchange);
  void watch(const Query& query, const HttpExchangePtr& exchange);
  void open_watch(const Query& query, const ResourceVersion& from,
                  const std::shared_ptr<ResponseWriter>& writer, const std::optional<Fault>& fault);
  void arm_timeout(std::uint64_t id, std::chrono::milliseconds timeout);
  void arm_bookmark(const std::shared_ptr<Watch>& watch);
  void pump();
  void pump(Watch& watch);
  void bookmark(Watch& watch);
  void end_watch(std::uint64_t id, const std::string& last_line);
  void hit_open_watches(const Fault& fault);

  boost::asio::io_context* io_;
  std::chrono::milliseconds bookmark_interval_;
  NodeApi api_;
  FaultRules faults_;
  Fault::As expired_as_ = Fault::As::Event;
  std::map<std::uint64_t, std::shared_ptr<Watch>> watches_;
  std::uint64_t next_watch_ = 0;
  std::map<std::string, std::uint64_t> requests_;
  // Declared last: it goes first, and its callbacks with it.
  std::unique_ptr<HttpServer> http_;
};

}  // namespace vxmesh
