#include "adapters/kube/node_codec.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <limits>
#include <utility>

#include "adapters/kube/document_handler.h"
#include "base/check.h"

namespace vxmesh {
namespace {

namespace json = boost::json;

// managedFields nest about 12 deep; the parser's own default of 32 would do as well.
constexpr std::size_t kDepthMax = 64;

using Parser = json::basic_parser<DocumentHandler>;

json::parse_options parser_options() {
  json::parse_options options;
  options.max_depth = kDepthMax;
  return options;
}

Error malformed(std::uint64_t offset, std::string_view reason) {
  return Error{
      .code = ErrorCode::InvalidInput,
      .context = "malformed JSON at byte " + std::to_string(offset) + ": " + std::string(reason)};
}

// What is wrong with a complete list as a list, rather than with its Nodes.
std::optional<Error> wrong_document(const DocumentHandler::Document& document) {
  std::string reason;
  if (!document.problem.empty()) {
    reason = document.problem;
  } else if (document.kind != "NodeList") {
    reason = "its kind is '" + document.kind + "'";
  } else if (!document.items_seen) {
    reason = "it has no items";
  } else if (document.resource_version.empty()) {
    reason = "it has no resourceVersion";
  } else {
    return std::nullopt;
  }
  return Error{.code = ErrorCode::InvalidInput, .context = "not a NodeList: " + reason};
}

ApiStatus to_status(const RawObject& raw) {
  ApiStatus status{
      .code = 0,
      .reason = raw.reason,
      .message = raw.message,
      .retry_after = raw.retry_after_s ? sane_retry_after(*raw.retry_after_s) : std::nullopt};
  const std::int64_t code = raw.code.value_or(0);
  if (code >= 0 && code <= std::numeric_limits<std::uint16_t>::max()) {
    status.code = static_cast<std::uint16_t>(code);
  }
  return status;
}

WatchItem to_item(std::string type, const RawObject& raw) {
  const auto node_event = [&raw](WatchEventType event_type) {
    return WatchNodeEvent{
        .type = event_type, .node = to_node(raw), .resource_version = raw.resource_version};
  };
  if (type == "ADDED") {
    return node_event(WatchEventType::Added);
  }
  if (type == "MODIFIED") {
    return node_event(WatchEventType::Modified);
  }
  if (type == "DELETED") {
    return node_event(WatchEventType::Deleted);
  }
  if (type == "ERROR") {
    return WatchError{.status = to_status(raw)};
  }
  if (type == "BOOKMARK" && !raw.resource_version.empty()) {
    return WatchBookmark{.resource_version = raw.resource_version};
  }
  return WatchSkipped{.type = std::move(type)};
}

}  // namespace

class NodeListParser::State {
 public:
  Parser parser{parser_options(), DocumentHandler::Kind::NodeList};
  std::uint64_t offset = 0;  // of the next byte to be fed
  std::vector<NodeOrRejection> nodes;
  std::optional<Error> error;

  Result<void> feed(std::string_view bytes) {
    if (!error && !bytes.empty()) {
      json::error_code failure;
      const std::size_t used = parser.write_some(true, bytes.data(), bytes.size(), failure);
      DocumentHandler::Document& document = parser.handler().document;
      for (const RawObject& raw : document.objects) {
        nodes.push_back(to_node(raw));
      }
      document.objects.clear();
      if (failure) {
        error = malformed(offset + used, failure.message());
      } else if (used < bytes.size()) {
        error = malformed(offset + used, "data behind the end of the list");
      }
      offset += used;
    }
    return error ? Result<void>(tl::unexpected(*error)) : Result<void>();
  }

  Result<ListEnd> finish() {
    const DocumentHandler::Document& document = parser.handler().document;
    if (!error && !parser.done()) {
      error = malformed(offset, "the list is not complete");
    } else if (!error) {
      error = wrong_document(document);
    }
    if (error) {
      return tl::unexpected(*error);
    }
    return ListEnd{.resource_version = document.resource_version,
                   .continue_token = document.continue_token};
  }
};

NodeListParser::NodeListParser() : state_(std::make_unique<State>()) {}
NodeListParser::~NodeListParser() = default;

Result<void> NodeListParser::feed(std::string_view bytes) {
  return state_->feed(bytes);
}

Result<ListEnd> NodeListParser::finish() {
  return state_->finish();
}

std::vector<NodeOrRejection> NodeListParser::take_nodes() {
  return std::exchange(state_->nodes, {});
}

class WatchStreamParser::State {
 public:
  Parser parser{parser_options(), DocumentHandler::Kind::WatchEvent};
  std::uint64_t offset = 0;
  bool in_line = false;
  std::vector<WatchItem> items;
  std::optional<Error> error;

  Result<void> feed(std::string_view bytes) {
    while (!error && !bytes.empty()) {
      const std::size_t newline = bytes.find('\n');
      feed_line(bytes.substr(0, newline));
      if (!error && newline != std::string_view::npos) {
        end_line();
        ++offset;
      }
      bytes.remove_prefix(newline == std::string_view::npos ? bytes.size() : newline + 1);
    }
    return error ? Result<void>(tl::unexpected(*error)) : Result<void>();
  }

  Result<void> finish() {
    if (!error) {
      end_line();
    }
    return error ? Result<void>(tl::unexpected(*error)) : Result<void>();
  }

 private:
  // A part of a line, without its newline: JSON has none inside of strings.
  void feed_line(std::string_view part) {
    if (!in_line) {
      const std::size_t start = std::min(part.find_first_not_of(" \t\r"), part.size());
      part.remove_prefix(start);
      offset += start;
    }
    if (part.empty()) {
      return;
    }
    in_line = true;
    json::error_code failure;
    const std::size_t used = parser.write_some(true, part.data(), part.size(), failure);
    offset += used;
    if (failure) {
      error = malformed(offset, failure.message());
    } else if (used < part.size()) {
      error = malformed(offset, "data behind the end of an event");
    }
  }

  void end_line() {
    if (!std::exchange(in_line, false)) {
      return;
    }
    DocumentHandler::Document document =
        std::exchange(parser.handler().document, DocumentHandler::Document{});
    if (!parser.done()) {
      error = malformed(offset, "the stream ends within an event");
    } else if (document.type.empty() || !document.problem.empty()) {
      error = malformed(
          offset, "not an event: " + (document.problem.empty() ? std::string("there is no type")
                                                               : document.problem));
    } else {
      RawObject missing;
      missing.problem = "the event has no object";
      items.push_back(to_item(std::move(document.type),
                              document.objects.empty() ? missing : document.objects.back()));
      parser.reset();
    }
  }
};

WatchStreamParser::WatchStreamParser() : state_(std::make_unique<State>()) {}
WatchStreamParser::~WatchStreamParser() = default;

Result<void> WatchStreamParser::feed(std::string_view bytes) {
  return state_->feed(bytes);
}

Result<void> WatchStreamParser::finish() {
  return state_->finish();
}

std::vector<WatchItem> WatchStreamParser::take_items() {
  return std::exchange(state_->items, {});
}

}  // namespace vxmesh
