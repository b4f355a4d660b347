#include "sim/cli/violation_json.h"

#include <boost/json.hpp>
#include <string>

namespace vxmesh::cli {

namespace json = boost::json;

json::value violation_json(const std::optional<Violation>& violation) {
  if (!violation) {
    return nullptr;
  }
  json::object object{{"kind", violation->oracle},
                      {"what", violation->what},
                      {"detail", violation->detail},
                      {"time_ns", violation->time.since_start.count()}};
  if (violation->from) {
    object["from"] = *violation->from;
  }
  if (violation->to) {
    object["to"] = format(*violation->to);
  }
  if (violation->bytes) {
    object["bytes"] = *violation->bytes;
  }
  return object;
}

std::optional<Violation> violation_of(const json::value& value) {
  if (value.is_null()) {
    return std::nullopt;
  }
  const auto text = [&](const char* key) { return std::string(value.at(key).as_string()); };
  Violation violation{.oracle = text("kind"),
                      .what = text("what"),
                      .detail = text("detail"),
                      .time = {Duration(value.at("time_ns").to_number<std::int64_t>())}};
  const json::object& object = value.as_object();
  if (object.contains("from")) {
    violation.from = text("from");
  }
  if (object.contains("to")) {
    violation.to = IpAddress::parse(text("to")).value();
  }
  if (object.contains("bytes")) {
    violation.bytes = object.at("bytes").to_number<std::uint32_t>();
  }
  return violation;
}

}  // namespace vxmesh::cli
