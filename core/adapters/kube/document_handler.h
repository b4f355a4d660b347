// What the JSON parser's callbacks are turned into: the few strings that we read of an API object.
// Private to node_codec.cpp.
#pragma once

#include <boost/json/error.hpp>
#include <boost/json/string_view.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ports/kubernetes.h"

namespace vxmesh {

// The strings of one API object, before they are typed; of a Node and, on an ERROR event, of a
// Status.
struct RawObject {
  struct Address {
    std::string type;
    std::string address;
  };

  std::string kind;
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string created;
  std::string pod_cidr;
  std::vector<std::string> pod_cidrs;
  std::vector<Address> addresses;
  std::string reason;   // of a Status
  std::string message;  // of a Status
  std::optional<std::int64_t> code;
  std::optional<std::int64_t> retry_after_s;

  std::size_t token_bytes = 0;
  std::string problem;  // the first thing that is wrong with it as a Node; empty: nothing
};

[[nodiscard]] NodeOrRejection to_node(const RawObject& raw);

// A handler for boost::json::basic_parser that follows where in the document it is. Every callback
// returns true: what is wrong with an object is noted in it, and never stops the parse.
class DocumentHandler {
 public:
  enum class Kind : std::uint8_t { NodeList, WatchEvent };

  // The parser's own limits are off: ours do not stop the parse.
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  explicit DocumentHandler(Kind kind) : kind_(kind) {}

  // What has been read so far.
  struct Document {
    std::string kind;                // of a list
    std::string type;                // of an event
    std::string resource_version;    // of a list
    std::string continue_token;      // of a list
    bool items_seen = false;         // of a list, also if null
    std::vector<RawObject> objects;  // complete ones, until they are taken
    std::string problem;             // the first thing wrong with the document as such
  };
  Document document;

  using Text = boost::json::string_view;
  using JsonError = boost::json::error_code;

  bool on_document_begin(JsonError& error);
  bool on_document_end(JsonError& error);
  bool on_object_begin(JsonError& error);
  bool on_object_end(std::size_t size, JsonError& error);
  bool on_array_begin(JsonError& error);
  bool on_array_end(std::size_t size, JsonError& error);
  bool on_key_part(Text text, std::size_t size, JsonError& error);
  bool on_key(Text text, std::size_t size, JsonError& error);
  bool on_string_part(Text text, std::size_t size, JsonError& error);
  bool on_string(Text text, std::size_t size, JsonError& error);
  bool on_number_part(Text text, JsonError& error);
  bool on_int64(std::int64_t number, Text text, JsonError& error);
  bool on_uint64(std::uint64_t number, Text text, JsonError& error);
  bool on_double(double number, Text text, JsonError& error);
  bool on_bool(bool value, JsonError& error);
  bool on_null(JsonError& error);
  bool on_comment_part(Text text, JsonError& error);
  bool on_comment(Text text, JsonError& error);

 private:
  // A container that is open, named by what it means to us.
  enum class Place : std::uint8_t {
    Outside,
    Root,
    ListMetadata,
    Items,
    Object,
    Metadata,
    Spec,
    PodCidrs,
    Status,
    Addresses,
    Address,
    Details,
    Other,
  };
  enum class Shape : std::uint8_t { Object, Array, String, Integer, Scalar };

  struct Rule;
  static const Rule* find_rule(Kind kind, Place place, std::string_view key);

  void open(Shape shape);
  void close();
  void scalar(Shape shape);
  void begin_string();
  void append_string(std::string_view text);
  void count(std::size_t bytes);
  // The string that the value at this place goes to; null: nobody reads it.
  std::string* target();
  std::string* target_in_object(RawObject& raw);
  // The value at this place has the wrong type, or is too much of something.
  void complain(std::string_view what);
  [[nodiscard]] Place place() const { return places_.empty() ? Place::Outside : places_.back(); }

  Kind kind_;
  std::vector<Place> places_;
  std::string key_;  // of the value that comes next; empty in an array
  bool in_key_ = false;
  bool in_string_ = false;
  std::string* target_ = nullptr;
  RawObject raw_;
};

}  // namespace vxmesh
