#include "adapters/kube/document_handler.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "adapters/kube/api_text.h"

namespace vxmesh {
namespace {

constexpr std::size_t kObjectBytesMax = 4UL * 1024UL * 1024UL;
constexpr std::size_t kStringMax = 1024;
// Real continue tokens are some hundred bytes: a revision and a name, in base64.
constexpr std::size_t kListStringMax = 16UL * 1024UL;
// Longer keys than any that we know need not be kept.
constexpr std::size_t kKeyMax = 64;
// A Node has one for each family (core/v1 types.go), and a few addresses of each type.
constexpr std::size_t kPodCidrsMax = 16;
constexpr std::size_t kAddressesMax = 64;

// The key of what has none: the document, and the entries of an array.
constexpr std::string_view kNoKey = "";

Result<std::vector<IpPrefix>> pod_cidrs_of(const RawObject& raw) {
  std::vector<IpPrefix> prefixes;
  const bool plural = !raw.pod_cidrs.empty();
  const std::size_t count = plural ? raw.pod_cidrs.size() : raw.pod_cidr.empty() ? 0 : 1;
  for (std::size_t i = 0; i < count; ++i) {
    const auto prefix = IpPrefix::parse(plural ? raw.pod_cidrs[i] : raw.pod_cidr);
    if (!prefix) {
      const std::string field =
          plural ? "spec.podCIDRs[" + std::to_string(i) + "]" : std::string("spec.podCIDR");
      return fail(ErrorCode::InvalidInput, field + ": " + prefix.error().context);
    }
    prefixes.push_back(*prefix);
  }
  return prefixes;
}

Result<std::vector<NodeAddress>> addresses_of(const RawObject& raw) {
  std::vector<NodeAddress> addresses;
  for (std::size_t i = 0; i < raw.addresses.size(); ++i) {
    const auto& [type, text] = raw.addresses[i];
    if (type != "InternalIP" && type != "ExternalIP") {
      continue;
    }
    const auto address = IpAddress::parse(text);
    if (!address) {
      return fail(ErrorCode::InvalidInput,
                  "status.addresses[" + std::to_string(i) + "]: " + address.error().context);
    }
    addresses.push_back(NodeAddress{
        .type = type == "InternalIP" ? NodeAddressType::InternalIp : NodeAddressType::ExternalIp,
        .address = *address});
  }
  return addresses;
}

// Empty if the object can be typed as far as this goes.
std::string first_problem(const RawObject& raw) {
  if (!raw.problem.empty()) {
    return raw.problem;
  }
  if (!raw.kind.empty() && raw.kind != "Node") {
    return "kind is '" + raw.kind + "', not Node";
  }
  if (raw.name.empty()) {
    return "metadata.name is missing";
  }
  if (raw.uid.empty()) {
    return "metadata.uid is missing";
  }
  if (!raw.created.empty() && !parse_timestamp(raw.created)) {
    return "metadata.creationTimestamp '" + raw.created + "' is not an RFC 3339 time";
  }
  return "";
}

}  // namespace

NodeOrRejection to_node(const RawObject& raw) {
  const auto reject = [&raw](std::string reason) {
    return NodeRejection{.name = raw.name, .uid = raw.uid, .reason = std::move(reason)};
  };
  if (std::string problem = first_problem(raw); !problem.empty()) {
    return reject(std::move(problem));
  }
  auto pod_cidrs = pod_cidrs_of(raw);
  if (!pod_cidrs) {
    return reject(pod_cidrs.error().context);
  }
  auto addresses = addresses_of(raw);
  if (!addresses) {
    return reject(addresses.error().context);
  }
  return Node{.name = raw.name,
              .uid = raw.uid,
              .created_s = parse_timestamp(raw.created).value_or(0),
              .pod_cidrs = std::move(*pod_cidrs),
              .addresses = std::move(*addresses)};
}

// Where a value is that we read, and what it must be.
struct DocumentHandler::Rule {
  std::string_view key;
  std::string_view path;     // as a person would write it
  std::optional<Kind> kind;  // nothing: both
  Place place;
  Shape shape;
  Place inside;  // for containers
};

const DocumentHandler::Rule* DocumentHandler::find_rule(Kind kind, Place place,
                                                        std::string_view key) {
  constexpr auto kList = Kind::NodeList;
  constexpr auto kWatch = Kind::WatchEvent;
  constexpr auto kNone = Place::Other;
  static constexpr Rule kRules[] = {
      {kNoKey, "the document", {}, Place::Outside, Shape::Object, Place::Root},
      {"kind", "kind", kList, Place::Root, Shape::String, kNone},
      {"metadata", "metadata", kList, Place::Root, Shape::Object, Place::ListMetadata},
      {"items", "items", kList, Place::Root, Shape::Array, Place::Items},
      {"resourceVersion", "metadata.resourceVersion", kList, Place::ListMetadata, Shape::String,
       kNone},
      {"continue", "metadata.continue", kList, Place::ListMetadata, Shape::String, kNone},
      {kNoKey, "an item", kList, Place::Items, Shape::Object, Place::Object},
      {"type", "type", kWatch, Place::Root, Shape::String, kNone},
      {"object", "object", kWatch, Place::Root, Shape::Object, Place::Object},
      {"kind", "kind", {}, Place::Object, Shape::String, kNone},
      {"metadata", "metadata", {}, Place::Object, Shape::Object, Place::Metadata},
      {"spec", "spec", {}, Place::Object, Shape::Object, Place::Spec},
      {"status", "status", {}, Place::Object, Shape::Object, Place::Status},
      {"reason", "reason", kWatch, Place::Object, Shape::String, kNone},
      {"message", "message", kWatch, Place::Object, Shape::String, kNone},
      {"code", "code", kWatch, Place::Object, Shape::Integer, kNone},
      {"details", "details", kWatch, Place::Object, Shape::Object, Place::Details},
      {"retryAfterSeconds", "details.retryAfterSeconds", kWatch, Place::Details, Shape::Integer,
       kNone},
      {"name", "metadata.name", {}, Place::Metadata, Shape::String, kNone},
      {"uid", "metadata.uid", {}, Place::Metadata, Shape::String, kNone},
      {"resourceVersion", "metadata.resourceVersion", {}, Place::Metadata, Shape::String, kNone},
      {"creationTimestamp",
       "metadata.creationTimestamp",
       {},
       Place::Metadata,
       Shape::String,
       kNone},
      {"podCIDR", "spec.podCIDR", {}, Place::Spec, Shape::String, kNone},
      {"podCIDRs", "spec.podCIDRs", {}, Place::Spec, Shape::Array, Place::PodCidrs},
      {kNoKey, "an entry of spec.podCIDRs", {}, Place::PodCidrs, Shape::String, kNone},
      {"addresses", "status.addresses", {}, Place::Status, Shape::Array, Place::Addresses},
      {kNoKey, "an entry of status.addresses", {}, Place::Addresses, Shape::Object, Place::Address},
      {"type", "status.addresses[].type", {}, Place::Address, Shape::String, kNone},
      {"address", "status.addresses[].address", {}, Place::Address, Shape::String, kNone},
  };
  if (place == Place::Other) {
    return nullptr;
  }
  const auto* const rule =
      std::find_if(std::begin(kRules), std::end(kRules), [=](const Rule& candidate) {
        return candidate.place == place && candidate.key == key &&
               candidate.kind.value_or(kind) == kind;
      });
  return rule == std::end(kRules) ? nullptr : rule;
}

bool DocumentHandler::on_document_begin(JsonError& /*error*/) {
  return true;
}
bool DocumentHandler::on_document_end(JsonError& /*error*/) {
  return true;
}
bool DocumentHandler::on_object_begin(JsonError& /*error*/) {
  open(Shape::Object);
  return true;
}
bool DocumentHandler::on_object_end(std::size_t /*size*/, JsonError& /*error*/) {
  close();
  return true;
}
bool DocumentHandler::on_array_begin(JsonError& /*error*/) {
  open(Shape::Array);
  return true;
}
bool DocumentHandler::on_array_end(std::size_t /*size*/, JsonError& /*error*/) {
  close();
  return true;
}
bool DocumentHandler::on_key_part(Text text, std::size_t /*size*/, JsonError& /*error*/) {
  count(text.size());
  if (!std::exchange(in_key_, true)) {
    key_.clear();
  }
  if (key_.size() <= kKeyMax) {
    key_.append(text.data(), std::min(text.size(), kKeyMax));
  }
  return true;
}
bool DocumentHandler::on_key(Text text, std::size_t size, JsonError& error) {
  on_key_part(text, size, error);
  in_key_ = false;
  return true;
}
bool DocumentHandler::on_string_part(Text text, std::size_t /*size*/, JsonError& /*error*/) {
  count(text.size());
  if (!std::exchange(in_string_, true)) {
    begin_string();
  }
  append_string(std::string_view(text.data(), text.size()));
  return true;
}
bool DocumentHandler::on_string(Text text, std::size_t size, JsonError& error) {
  on_string_part(text, size, error);
  in_string_ = false;
  target_ = nullptr;
  return true;
}
bool DocumentHandler::on_number_part(Text text, JsonError& /*error*/) {
  count(text.size());
  return true;
}
bool DocumentHandler::on_int64(std::int64_t number, Text text, JsonError& /*error*/) {
  count(text.size());
  scalar(Shape::Integer);
  if (place() == Place::Object && key_ == "code") {
    raw_.code = number;
  } else if (place() == Place::Details && key_ == "retryAfterSeconds") {
    raw_.retry_after_s = number;
  }
  return true;
}
bool DocumentHandler::on_uint64(std::uint64_t /*number*/, Text text, JsonError& /*error*/) {
  // Only numbers above 2^63 come here: none that we read is so large.
  count(text.size());
  scalar(Shape::Scalar);
  return true;
}
bool DocumentHandler::on_double(double /*number*/, Text text, JsonError& /*error*/) {
  count(text.size());
  scalar(Shape::Scalar);
  return true;
}
bool DocumentHandler::on_bool(bool /*value*/, JsonError& /*error*/) {
  count(1);
  scalar(Shape::Scalar);
  return true;
}
bool DocumentHandler::on_null(JsonError& /*error*/) {
  count(1);
  // Null is absence: Go writes it for empty lists and unset times. In an array it is an entry.
  if (place() == Place::Root && key_ == "items") {
    document.items_seen = true;
  }
  if (key_.empty()) {
    scalar(Shape::Scalar);
  }
  return true;
}
bool DocumentHandler::on_comment_part(Text /*text*/, JsonError& /*error*/) {
  return true;
}
bool DocumentHandler::on_comment(Text /*text*/, JsonError& /*error*/) {
  return true;
}

void DocumentHandler::open(Shape shape) {
  count(1);
  const Rule* const rule = find_rule(kind_, place(), key_);
  const bool known = rule != nullptr && rule->shape == shape;
  if (rule != nullptr && !known) {
    complain(std::string(rule->path) + " has the wrong type");
  }
  const Place inside = known ? rule->inside : Place::Other;
  places_.push_back(inside);
  key_.clear();
  switch (inside) {
    case Place::Object: raw_ = RawObject{}; break;
    case Place::Items: document.items_seen = true; break;
    // A key that comes twice: the last one counts, as for Go's decoder.
    case Place::PodCidrs: raw_.pod_cidrs.clear(); break;
    case Place::Addresses: raw_.addresses.clear(); break;
    case Place::Address:
      if (raw_.addresses.size() == kAddressesMax) {
        complain("status.addresses has too many entries");
        places_.back() = Place::Other;
      } else {
        raw_.addresses.emplace_back();
      }
      break;
    default: break;
  }
}

void DocumentHandler::close() {
  if (place() == Place::Object) {
    document.objects.push_back(std::exchange(raw_, RawObject{}));
  }
  places_.pop_back();
  key_.clear();
}

void DocumentHandler::scalar(Shape shape) {
  const Rule* const rule = find_rule(kind_, place(), key_);
  if (rule != nullptr && rule->shape != shape) {
    complain(std::string(rule->path) + " has the wrong type");
  }
}

void DocumentHandler::begin_string() {
  scalar(Shape::String);
  target_ = target();
  if (target_ != nullptr) {
    target_->clear();
  }
}

void DocumentHandler::append_string(std::string_view text) {
  if (target_ == nullptr) {
    return;
  }
  const bool in_list = place() == Place::ListMetadata;
  const std::size_t room = (in_list ? kListStringMax : kStringMax) - target_->size();
  target_->append(text.substr(0, room));
  if (text.size() > room) {
    const Rule* const rule = find_rule(kind_, place(), key_);
    complain(std::string(rule->path) + " is too long");
  }
}

void DocumentHandler::count(std::size_t bytes) {
  const std::size_t before = raw_.token_bytes;
  raw_.token_bytes = before + bytes;
  if (before <= kObjectBytesMax && raw_.token_bytes > kObjectBytesMax && raw_.problem.empty()) {
    raw_.problem = "the object is larger than 4 MiB";
  }
}

std::string* DocumentHandler::target() {
  switch (place()) {
    case Place::Root:
      if (kind_ == Kind::NodeList) {
        return key_ == "kind" ? &document.kind : nullptr;
      }
      return key_ == "type" ? &document.type : nullptr;
    case Place::ListMetadata:
      return key_ == "resourceVersion" ? &document.resource_version
             : key_ == "continue"      ? &document.continue_token
                                       : nullptr;
    default: return target_in_object(raw_);
  }
}

std::string* DocumentHandler::target_in_object(RawObject& raw) {
  const auto pick = [this](std::string_view key, std::string& text) {
    return key_ == key ? &text : nullptr;
  };
  switch (place()) {
    case Place::Object:
      return key_ == "kind"     ? &raw.kind
             : key_ == "reason" ? &raw.reason
                                : pick("message", raw.message);
    case Place::Metadata:
      return key_ == "name"              ? &raw.name
             : key_ == "uid"             ? &raw.uid
             : key_ == "resourceVersion" ? &raw.resource_version
                                         : pick("creationTimestamp", raw.created);
    case Place::Spec: return pick("podCIDR", raw.pod_cidr);
    case Place::PodCidrs:
      if (raw.pod_cidrs.size() == kPodCidrsMax) {
        complain("spec.podCIDRs has too many entries");
        return nullptr;
      }
      return &raw.pod_cidrs.emplace_back();
    case Place::Address:
      return key_ == "type" ? &raw.addresses.back().type
                            : pick("address", raw.addresses.back().address);
    default: return nullptr;
  }
}

void DocumentHandler::complain(std::string_view what) {
  switch (place()) {
    case Place::Outside:
    case Place::Root:
    case Place::ListMetadata:
      if (document.problem.empty()) {
        document.problem = what;
      }
      return;
    case Place::Items:
      // An item that is no object at all is one rejection.
      document.objects.emplace_back();
      document.objects.back().problem = what;
      return;
    default:
      if (raw_.problem.empty()) {
        raw_.problem = what;
      }
      return;
  }
}

}  // namespace vxmesh
