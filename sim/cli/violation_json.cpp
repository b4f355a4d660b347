#include "sim/cli/violation_json.h"

#include <boost/json.hpp>
#include <string>

namespace vxmesh::cli {

namespace json = boost::json;

json::value violation_json(const std::optional<Violation>& violation) {
  if (!violation) {
    return nullptr;
  }
  return json::object{{"kind", violation->oracle},
                      {"what", violation->what},
                      {"detail", violation->detail},
                      {"time_ns", violation->time.since_start.count()}};
}

std::optional<Violation> violation_of(const json::value& value) {
  if (value.is_null()) {
    return std::nullopt;
  }
  const auto text = [&](const char* key) { return std::string(value.at(key).as_string()); };
  return Violation{.oracle = text("kind"),
                   .what = text("what"),
                   .detail = text("detail"),
                   .time = {Duration(value.at("time_ns").to_number<std::int64_t>())}};
}

}  // namespace vxmesh::cli
