// The Kubernetes API, as a port: one list page, one watch stream. Paging, back-off, 410 and relists
// are the caller's (agent/watch_session).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/time.h"
#include "model/node.h"

namespace vxmesh {

// An opaque resourceVersion; compared for equality only, never as a number. Empty: unset.
using ResourceVersion = std::string;

// A Node as typed, or why it could not be typed.
using NodeOrRejection = std::variant<Node, NodeRejection>;
// The same, unchanging and never null: who keeps it shares it, and knows it by the pointer again.
using SharedNode = std::shared_ptr<const NodeOrRejection>;

// Why a call ended before its proper end.
struct ApiError {
  enum class Kind : std::uint8_t {
    Transport,  // no connection, reset, TLS failure, a body cut short or not parseable as a whole
    Status,     // the server answered with an error: HTTP status, or an ERROR event on a watch
  };
  Kind kind = Kind::Transport;
  std::uint16_t status = 0;             // HTTP status, or Status.code of an ERROR event; 0: none
  std::string reason;                   // Status.reason, such as "Expired"; may be empty
  std::string message;                  // for a person; names the server and what went wrong
  std::optional<Duration> retry_after;  // Retry-After if sent and sane (0 s to 1 h)

  friend bool operator==(const ApiError&, const ApiError&) = default;
};

struct ListRequest {
  std::uint32_t limit = 500;
  std::string continue_token;  // empty: the first page
  // Empty: the most recent. Else not older than this, sent with resourceVersionMatch=NotOlderThan
  // (without it a limit makes the server answer exactly that state). Empty with a continue token;
  // "0" is never sent.
  ResourceVersion resource_version;
};
// The end of a page.
struct ListEnd {
  ResourceVersion resource_version;
  std::string continue_token;  // empty: this was the last page
};

// Contract: any number of on_node, then exactly one of on_end and on_error, then nothing.
class ListHandler {
 public:
  virtual ~ListHandler() = default;
  virtual void on_node(const SharedNode& node) = 0;
  virtual void on_end(const ListEnd& end) = 0;
  virtual void on_error(const ApiError& error) = 0;
};

struct WatchRequest {
  ResourceVersion resource_version;  // never empty
  std::uint32_t timeout_s = 0;       // timeoutSeconds: the server ends the stream then
};

enum class WatchEventType : std::uint8_t { Added, Modified, Deleted };

// Contract: on_open once when the server has accepted the watch (HTTP 200); then events and
// bookmarks in the stream's order; then exactly one of on_closed (the server ended the stream
// cleanly) and on_error, then nothing. on_error may come without on_open. Every event carries the
// resourceVersion to resume from; it is empty only if the object did not have one.
class WatchHandler {
 public:
  virtual ~WatchHandler() = default;
  virtual void on_open() = 0;
  virtual void on_event(WatchEventType type, const SharedNode& node,
                        const ResourceVersion& resource_version) = 0;
  virtual void on_bookmark(const ResourceVersion& resource_version) = 0;
  virtual void on_closed() = 0;
  virtual void on_error(const ApiError& error) = 0;
};

// A call under way. Destroying it cancels: its handler is not called again.
class ApiCall {
 public:
  virtual ~ApiCall() = default;
};

// Contract: handlers are called from the event loop, never inside list_nodes or watch_nodes, and
// must outlive the returned call. A handler may destroy the call that is calling it. Threading: one
// thread. Failure: nothing throws; whatever the server sends ends in on_error at worst. A Node that
// cannot be typed is a NodeRejection and does not end the call. Deadlines: none here; watch_session
// has them, on Clock.
class Kubernetes {
 public:
  virtual ~Kubernetes() = default;

  [[nodiscard]] virtual std::unique_ptr<ApiCall> list_nodes(const ListRequest& request,
                                                            ListHandler& handler) = 0;
  [[nodiscard]] virtual std::unique_ptr<ApiCall> watch_nodes(const WatchRequest& request,
                                                             WatchHandler& handler) = 0;
};

}  // namespace vxmesh
