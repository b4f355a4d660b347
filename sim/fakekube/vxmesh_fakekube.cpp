// vxmesh-fakekube: the fake Kubernetes API over HTTP(S). Flags, wiring and signals, nothing else.
#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "adapters/kube/text_file.h"
#include "adapters/posix/clock_posix.h"
#include "base/nearest.h"
#include "sim/fakekube/fake_server.h"

namespace vxmesh {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

constexpr const char* kFooter = R"(
The first line on standard output says where it listens:
  vxmesh-fakekube listening on http://127.0.0.1:40123

The API, as the real server has it (errors are Status objects; a 429 is plain text):
  GET    /api/v1/nodes?limit=500&continue=...&resourceVersion=...
  GET    /api/v1/nodes?watch=true&resourceVersion=...&timeoutSeconds=60&allowWatchBookmarks=true
  POST   /api/v1/nodes
  GET    /api/v1/nodes/NAME
  PUT    /api/v1/nodes/NAME           (with metadata.resourceVersion: only if it still has it)
  PUT    /api/v1/nodes/NAME/status
  DELETE /api/v1/nodes/NAME
  GET    /version /api /api/v1 /apis /healthz
A PUT replaces the status too, and spec and status are not validated, so that tests can have Nodes
that a real server would refuse; podCIDRs that are set cannot be changed, as in the real server.

  curl -X POST $URL/api/v1/nodes -d '{"metadata": {"name": "n1"},
    "spec": {"podCIDRs": ["100.96.1.0/24"]},
    "status": {"addresses": [{"type": "InternalIP", "address": "172.20.0.11"}]}}'

The control endpoint:
  GET    /control/state     nodes, resource_version, open_watches, requests by kind (list, watch,
                            get, create, update, delete, other), faults that are waiting
  POST   /control/faults    one fault, see below
  DELETE /control/faults    removes all that are waiting
  POST   /control/compact   forgets the history: older watches and continue tokens are 410 from now;
                            {"expired_as": "event"} (watches get 200 and an ERROR event, the
                            default) or {"expired_as": "http"}
  POST   /control/bookmark  sends a bookmark on every open watch that wants them

  curl $URL/control/state
  curl -X POST $URL/control/compact -d '{"expired_as": "http"}'

Faults. Keys of every kind, with their defaults: "target": "any" (or "list" or "watch"), "count": 1
(requests that it happens to; 0: all until removed), "skip": 0 (requests that it leaves alone
before), "open": false (true: it happens now, to the watches that are open, instead).

  stall       sends nothing more and keeps the connection open. "after_bytes": 0, "after_events"
    curl -X POST $URL/control/faults -d '{"kind": "stall", "target": "list", "after_bytes": 300}'
    curl -X POST $URL/control/faults -d '{"kind": "stall", "open": true}'
  drop        closes the connection, with "reset": true by RST. "after_bytes": 0, "after_events"
    curl -X POST $URL/control/faults -d '{"kind": "drop", "target": "watch", "after_events": 3}'
    curl -X POST $URL/control/faults -d '{"kind": "drop", "open": true, "reset": true}'
  split       sends pieces of "size": 1 bytes, "pause_ms": 0 apart
    curl -X POST $URL/control/faults -d '{"kind": "split", "size": 7, "count": 0}'
  gone        410 Expired; with "as": "event" a watch gets 200 and an ERROR event
    curl -X POST $URL/control/faults -d '{"kind": "gone", "target": "watch", "as": "event"}'
  throttle    429 with "retry_after": a string, whatever it says; none: no header
    curl -X POST $URL/control/faults -d '{"kind": "throttle", "retry_after": "1", "count": 2}'
  error       "status": 500, "reason": "InternalError", "retry_after", "as" as for gone
    curl -X POST $URL/control/faults -d '{"kind": "error", "status": 503, "count": 3}'
  empty-list  a list without items
    curl -X POST $URL/control/faults -d '{"kind": "empty-list"}'

Exit status: 0 ended by SIGTERM or SIGINT, 1 failed, 2 usage.)";

struct Flags {
  std::string listen = "127.0.0.1:0";
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
  std::uint64_t first_revision = FakeServerOptions().first_revision;
  std::int64_t bookmark_interval_ms = FakeServerOptions().bookmark_interval.count();
};

int report(int status, const std::string& message) {
  std::cerr << "vxmesh-fakekube: " << message << "\n";
  return status;
}

void add_options(CLI::App& app, Flags& flags) {
  app.add_option("--listen", flags.listen, "ADDR:PORT; port 0 is any free one")
      ->capture_default_str();
  auto* const cert = app.add_option("--tls-cert", flags.tls_cert, "PEM file: serve HTTPS");
  app.add_option("--tls-key", flags.tls_key, "PEM file")->needs(cert);
  cert->needs("--tls-key");
  app.add_option("--tls-client-ca", flags.tls_client_ca,
                 "PEM file: clients need a certificate signed by this one")
      ->needs(cert);
  app.add_option("--first-revision", flags.first_revision,
                 "resourceVersion of the empty store; a small one after a restart looks like a "
                 "restored backup")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 62U))
      ->capture_default_str();
  app.add_option("--bookmark-interval-ms", flags.bookmark_interval_ms,
                 "milliseconds between the bookmarks of a watch")
      ->check(CLI::Range(1, 86'400'000))
      ->capture_default_str();
}

// The flags that nobody knows, with the nearest that somebody does.
std::string unknown_arguments(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* const option : app.get_options()) {
    names.push_back(option->get_name());
  }
  std::string text;
  for (const std::string& argument : app.remaining()) {
    const std::string name = argument.substr(0, argument.find('='));
    text += text.empty() ? "" : "; ";
    text += "unknown argument '" + argument + "'";
    text += name.starts_with('-') ? did_you_mean(name, names) : "";
  }
  return text;
}

Result<FakeServerOptions> to_options(const Flags& flags) {
  const auto address = parse_listen_address(flags.listen);
  if (!address) {
    return tl::unexpected(address.error());
  }
  FakeServerOptions options;
  options.first_revision = flags.first_revision;
  options.bookmark_interval = std::chrono::milliseconds(flags.bookmark_interval_ms);
  options.http.address = address->address;
  options.http.port = address->port;
  options.http.connections_max = 4096;
  options.http.body_max = 8UL * 1024UL * 1024UL;
  // Between two requests of a test too.
  options.http.request_deadline = std::chrono::seconds(60);
  if (!flags.tls_cert.empty()) {
    TlsServerOptions& tls = options.http.tls.emplace();
    for (const auto& [path, pem] :
         {std::pair(&flags.tls_cert, &tls.certificate_pem), std::pair(&flags.tls_key, &tls.key_pem),
          std::pair(&flags.tls_client_ca, &tls.client_ca_pem)}) {
      auto text = path->empty() ? Result<std::string>("") : read_text_file(*path);
      if (!text) {
        return tl::unexpected(text.error());
      }
      *pem = std::move(*text);
    }
  }
  return options;
}

int serve(const FakeServerOptions& options) {
  boost::asio::io_context io(1);
  const ClockPosix clock;
  const auto server = FakeServer::listen(io, clock, options);
  if (!server) {
    return report(kFailed, server.error().context);
  }
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&io](const boost::system::error_code&, int) { io.stop(); });
  std::cout << "vxmesh-fakekube listening on " << (*server)->url() << std::endl;
  io.run();
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app("A fake Kubernetes API server: Nodes with real list and watch semantics.",
               "vxmesh-fakekube");
  Flags flags;
  add_options(app, flags);
  app.footer(kFooter);
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return report(kUsage, error.what());
  }
  if (app.remaining_size() > 0) {
    return report(kUsage, unknown_arguments(app));
  }
  const auto options = to_options(flags);
  if (!options) {
    return report(kUsage, options.error().context);
  }
  return serve(*options);
}

}  // namespace
}  // namespace vxmesh

int main(int argc, char** argv) {
  return vxmesh::run(argc, argv);
}
