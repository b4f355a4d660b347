// Nodes out of JSON: a NodeList and a watch stream, parsed as they arrive.
//
// Both parsers take the bytes in pieces of any size, with the same result. Memory: what the caller
// does not take, and one object's few strings; never the text of an object, let alone of a list.
//
// Limits, so that no server can make them grow: nesting of 64, 4 MiB of tokens for an object, 1 KiB
// for a string that is read, 16 PodCIDRs, 64 addresses. An object over one of them is rejected, as
// is one that cannot be typed; only nesting, malformed JSON and a document of another kind end the
// whole parse.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "adapters/kube/api_text.h"
#include "base/result.h"
#include "ports/kubernetes.h"

namespace vxmesh {

// Contract: feed() any number of times, then finish() once. Nodes are taken in between, also after
// an error: those that were complete before it. After an error both give that error again.
class NodeListParser {
 public:
  NodeListParser();
  ~NodeListParser();
  NodeListParser(const NodeListParser&) = delete;
  NodeListParser& operator=(const NodeListParser&) = delete;

  // InvalidInput, with the offset of the byte, if this is not the JSON of a NodeList.
  [[nodiscard]] Result<void> feed(std::string_view bytes);
  // InvalidInput if the document is not complete, no NodeList, or without a resourceVersion.
  [[nodiscard]] Result<ListEnd> finish();
  // The Nodes that were completed since the last call, in the list's order.
  [[nodiscard]] std::vector<NodeOrRejection> take_nodes();

 private:
  class State;
  std::unique_ptr<State> state_;
};

struct WatchNodeEvent {
  WatchEventType type = WatchEventType::Added;
  NodeOrRejection node;
  ResourceVersion resource_version;

  friend bool operator==(const WatchNodeEvent&, const WatchNodeEvent&) = default;
};
struct WatchBookmark {
  ResourceVersion resource_version;  // never empty

  friend bool operator==(const WatchBookmark&, const WatchBookmark&) = default;
};
// An ERROR event; nothing that follows it on the stream means anything.
struct WatchError {
  ApiStatus status;

  friend bool operator==(const WatchError&, const WatchError&) = default;
};
// An event of a type that this version does not know, or a bookmark without a resourceVersion.
struct WatchSkipped {
  std::string type;

  friend bool operator==(const WatchSkipped&, const WatchSkipped&) = default;
};
using WatchItem = std::variant<WatchNodeEvent, WatchBookmark, WatchError, WatchSkipped>;

// Contract: as NodeListParser's. One event is one line.
class WatchStreamParser {
 public:
  WatchStreamParser();
  ~WatchStreamParser();
  WatchStreamParser(const WatchStreamParser&) = delete;
  WatchStreamParser& operator=(const WatchStreamParser&) = delete;

  // InvalidInput, with the offset of the byte, if a line is not the JSON of an event.
  [[nodiscard]] Result<void> feed(std::string_view bytes);
  // InvalidInput if the stream ends within an event; a missing last newline is tolerated.
  [[nodiscard]] Result<void> finish();
  // The events that were completed since the last call, in the stream's order.
  [[nodiscard]] std::vector<WatchItem> take_items();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace vxmesh
