#include "sim/fakekube/node_api.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <cstdio>
#include <utility>
#include <variant>

#include "adapters/kube/api_text.h"

namespace vxmesh {
namespace {

namespace json = boost::json;

// A request's object, or the answer that refuses it.
using ObjectOrRefusal = std::variant<json::object, HttpResponse>;

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) {
    return {};
  }
  return {value->get_string().data(), value->get_string().size()};
}

json::object& member_object(json::object& object, std::string_view key) {
  json::value& value = object[key];
  return value.is_object() ? value.get_object() : value.emplace_object();
}

json::object list_object(json::array items, const ResourceVersion& resource_version,
                         const std::string& continue_token, std::uint64_t remaining) {
  json::object metadata{{"resourceVersion", resource_version}};
  if (!continue_token.empty()) {
    metadata["continue"] = continue_token;
    metadata["remainingItemCount"] = remaining;
  }
  return {{"kind", "NodeList"},
          {"apiVersion", "v1"},
          {"metadata", std::move(metadata)},
          {"items", std::move(items)}};
}

json::object render(const NodeApi::NodeStore::Object& object) {
  json::object node = *object.payload;
  member_object(node, "metadata")["resourceVersion"] = object.resource_version;
  return node;
}

json::object named_failure(StoreError error, const std::string& name) {
  const StoreErrorStatus status = status_of(error);
  json::object object = failure_status(status.code, status.reason,
                                       "nodes \"" + name + "\": " + std::string(status.message));
  object["details"] = {{"name", name}, {"kind", "nodes"}};
  return object;
}

HttpResponse named_refusal(StoreError error, const std::string& name) {
  return json_response(status_of(error).code, named_failure(error, name));
}

// RFC 1123 subdomain, as apimachinery's IsDNS1123Subdomain has it.
bool is_node_name(std::string_view name) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > 253) {
    return false;
  }
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool edge = i == 0 || i + 1 == name.size() || name[i - 1] == '.' || name[i + 1] == '.';
    if (!alphanumeric(name[i]) && (edge || (name[i] != '-' && name[i] != '.'))) {
      return false;
    }
  }
  return true;
}

ObjectOrRefusal parse_node(const std::string& body) {
  json::error_code error;
  json::value value = json::parse(body, error);
  if (error || !value.is_object()) {
    return failure_response(400, "BadRequest", "the body is not a JSON object: " + error.message());
  }
  json::object node = std::move(value.get_object());
  const std::string kind = text_of(node, "kind");
  if (!kind.empty() && kind != "Node") {
    return failure_response(400, "BadRequest", "the object is a " + kind + ", not a Node");
  }
  return node;
}

bool same_pod_cidrs(const json::object& before, const json::object& after) {
  const auto cidrs = [](const json::object& node, std::string_view key) {
    const json::value* const spec = node.if_contains("spec");
    const json::value* const value =
        spec != nullptr && spec->is_object() ? spec->get_object().if_contains(key) : nullptr;
    return value == nullptr ? json::value() : *value;
  };
  const auto same = [&](std::string_view key) {
    const json::value old = cidrs(before, key);
    return old.is_null() || old == cidrs(after, key);
  };
  return same("podCIDR") && same("podCIDRs");
}

std::string uid_of(std::uint64_t number) {
  char text[40];
  (void)std::snprintf(text, sizeof(text), "00000000-0000-4000-8000-%012llx",
                      static_cast<unsigned long long>(number));
  return text;
}

std::optional<std::uint32_t> parse_limit(const Query& query) {
  const auto parameter = query.find("limit");
  if (parameter == query.end() || parameter->second.empty()) {
    return 0;
  }
  std::uint32_t limit = 0;
  const std::string& text = parameter->second;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  return error == std::errc{} && stop == text.data() + text.size() ? std::optional(limit)
                                                                   : std::nullopt;
}

std::string parameter(const Query& query, const std::string& name) {
  const auto found = query.find(name);
  return found == query.end() ? std::string() : found->second;
}

// The state that a list must be of: a page of a resourceVersion is of exactly that one if
// resourceVersionMatch does not say otherwise ("Semantics for get and list" in the API concepts).
std::optional<std::uint64_t> exact_revision(std::uint32_t limit, const std::string& match,
                                            const ResourceVersion& resource_version) {
  if (limit == 0 || !match.empty() || resource_version == "0") {
    return std::nullopt;
  }
  const auto revision = parse_revision(resource_version);
  return revision ? std::optional(*revision) : std::nullopt;
}

}  // namespace

std::optional<Query> parse_query(std::string_view text) {
  Query query;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto name = url_decode(pair.substr(0, equals));
    const auto value = url_decode(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value) {
      return std::nullopt;
    }
    query.emplace(*name, *value);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return query;
}

HttpResponse json_response(std::uint16_t status, const json::object& body) {
  return HttpResponse{.status = status,
                      .headers = {{"Content-Type", "application/json"}},
                      .body = json::serialize(body) + "\n"};
}

json::object failure_status(std::uint16_t code, std::string_view reason, std::string_view message) {
  return {{"kind", "Status"},    {"apiVersion", "v1"}, {"metadata", json::object()},
          {"status", "Failure"}, {"message", message}, {"reason", reason},
          {"code", code}};
}

HttpResponse failure_response(std::uint16_t code, std::string_view reason,
                              std::string_view message) {
  return json_response(code, failure_status(code, reason, message));
}

HttpResponse failure_response(StoreError error) {
  const StoreErrorStatus status = status_of(error);
  return failure_response(status.code, status.reason, status.message);
}

HttpResponse NodeApi::list(const Query& query) const {
  const auto limit = parse_limit(query);
  if (!limit) {
    return failure_response(400, "BadRequest", "limit is not a number");
  }
  const std::string match = parameter(query, "resourceVersionMatch");
  std::string resource_version = parameter(query, "resourceVersion");
  std::string token = parameter(query, "continue");
  if (!match.empty() && (match != "NotOlderThan" || resource_version.empty() || !token.empty())) {
    return failure_response(422, "Invalid",
                            "resourceVersionMatch: only NotOlderThan with a resourceVersion");
  }
  const auto exact = exact_revision(*limit, match, resource_version);
  if (exact && token.empty() && *exact <= std::stoull(store_.resource_version())) {
    // Every name is behind this one: they begin with a letter or a digit.
    token = format(ContinueToken{.revision = *exact, .after = "!"});
    resource_version.clear();
  }
  const auto page = store_.list(*limit, token, resource_version);
  if (!page) {
    return failure_response(page.error());
  }
  json::array items;
  items.reserve(page->objects.size());
  for (const auto& object : page->objects) {
    items.push_back(render(*object));
  }
  return json_response(200, list_object(std::move(items), page->resource_version,
                                        page->continue_token, store_.remaining(*page)));
}

HttpResponse NodeApi::empty_list() const {
  return json_response(200, list_object({}, store_.resource_version(), "", 0));
}

HttpResponse NodeApi::get(const std::string& name) const {
  const auto object = store_.get(name);
  return object ? json_response(200, render(**object)) : named_refusal(object.error(), name);
}

HttpResponse NodeApi::create(const std::string& body) {
  ObjectOrRefusal parsed = parse_node(body);
  if (auto* const refusal = std::get_if<HttpResponse>(&parsed)) {
    return std::move(*refusal);
  }
  auto& node = std::get<json::object>(parsed);
  json::object& metadata = member_object(node, "metadata");
  const std::string name = text_of(metadata, "name");
  if (!is_node_name(name)) {
    return failure_response(422, "Invalid",
                            "Node \"" + name +
                                "\" is invalid: metadata.name: a lowercase RFC "
                                "1123 subdomain is required");
  }
  if (!text_of(metadata, "resourceVersion").empty()) {
    return failure_response(400, "BadRequest",
                            "resourceVersion should not be set on objects to be created");
  }
  const std::int64_t now_s = clock_->wall().since_epoch / std::chrono::seconds(1);
  metadata.erase("resourceVersion");
  // The next revision is this object's first, so that no two ever share a uid.
  metadata["uid"] = uid_of(std::stoull(store_.resource_version()) + 1);
  metadata["creationTimestamp"] = format_timestamp(now_s);
  node["kind"] = "Node";
  node["apiVersion"] = "v1";
  const auto object = store_.create(name, std::move(node));
  return object ? json_response(201, render(**object)) : named_refusal(object.error(), name);
}

HttpResponse NodeApi::update(const std::string& name, const std::string& body, bool status_only) {
  ObjectOrRefusal parsed = parse_node(body);
  if (auto* const refusal = std::get_if<HttpResponse>(&parsed)) {
    return std::move(*refusal);
  }
  const auto before = store_.get(name);
  if (!before) {
    return named_refusal(before.error(), name);
  }
  auto& node = std::get<json::object>(parsed);
  json::object& metadata = member_object(node, "metadata");
  if (text_of(metadata, "name") != name) {
    return failure_response(400, "BadRequest",
                            "the name of the object (" + text_of(metadata, "name") +
                                ") does not match the name on the URL (" + name + ")");
  }
  json::object payload = *(*before)->payload;
  const std::string version = text_of(metadata, "resourceVersion");
  const std::string uid = text_of(metadata, "uid");
  json::object& old_metadata = member_object(payload, "metadata");
  if (!uid.empty() && uid != text_of(old_metadata, "uid")) {
    return named_refusal(StoreError::Conflict, name);
  }
  if (status_only) {
    payload["status"] = node["status"];
  } else if (!same_pod_cidrs(payload, node)) {
    return failure_response(422, "Invalid",
                            "Node \"" + name +
                                "\" is invalid: spec.podCIDRs: Forbidden: node "
                                "updates may not change podCIDR except from \"\" to valid");
  } else {
    metadata.erase("resourceVersion");
    metadata["uid"] = old_metadata["uid"];
    metadata["creationTimestamp"] = old_metadata["creationTimestamp"];
    node["kind"] = "Node";
    node["apiVersion"] = "v1";
    payload = std::move(node);
  }
  const auto object = store_.update(name, std::move(payload),
                                    version.empty() ? std::nullopt : std::optional(version));
  return object ? json_response(200, render(**object)) : named_refusal(object.error(), name);
}

HttpResponse NodeApi::remove(const std::string& name, const std::string& body) {
  std::optional<ResourceVersion> expected_version;
  std::string expected_uid;
  json::error_code error;
  const json::value options = json::parse(body.empty() ? "{}" : body, error);
  if (error || !options.is_object()) {
    return failure_response(400, "BadRequest", "the body is not a DeleteOptions object");
  }
  const json::value* const preconditions = options.get_object().if_contains("preconditions");
  if (preconditions != nullptr && preconditions->is_object()) {
    const std::string version = text_of(preconditions->get_object(), "resourceVersion");
    expected_version = version.empty() ? std::nullopt : std::optional(version);
    expected_uid = text_of(preconditions->get_object(), "uid");
  }
  const auto before = store_.get(name);
  if (before && !expected_uid.empty()) {
    json::object payload = *(*before)->payload;
    if (text_of(member_object(payload, "metadata"), "uid") != expected_uid) {
      return named_refusal(StoreError::Conflict, name);
    }
  }
  const auto object = store_.remove(name, expected_version);
  if (!object) {
    return named_refusal(object.error(), name);
  }
  return json_response(200, {{"kind", "Status"},
                             {"apiVersion", "v1"},
                             {"metadata", json::object()},
                             {"status", "Success"},
                             {"details", {{"name", name}, {"kind", "nodes"}}}});
}

std::string NodeApi::event_line(const NodeStore::Event& event) {
  const std::string_view type = event.type == WatchEventType::Added      ? "ADDED"
                                : event.type == WatchEventType::Modified ? "MODIFIED"
                                                                         : "DELETED";
  return json::serialize(json::object{{"type", type}, {"object", render(*event.object)}}) + "\n";
}

std::string NodeApi::bookmark_line(const ResourceVersion& resource_version) {
  return json::serialize(json::object{
             {"type", "BOOKMARK"},
             {"object",
              {{"kind", "Node"},
               {"apiVersion", "v1"},
               {"metadata",
                {{"resourceVersion", resource_version}, {"creationTimestamp", nullptr}}}}}}) +
         "\n";
}

std::string NodeApi::error_line(const json::object& status) {
  return json::serialize(json::object{{"type", "ERROR"}, {"object", status}}) + "\n";
}

}  // namespace vxmesh
