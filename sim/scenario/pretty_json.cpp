#include "sim/scenario/pretty_json.h"

#include <boost/json/serialize.hpp>

namespace vxmesh {
namespace {

constexpr std::size_t kColumns = 100;

// `room`: the columns that are left in the line.
void print(const boost::json::value& value, std::size_t depth, std::size_t room, std::string& out) {
  const std::string short_form = boost::json::serialize(value);
  if (short_form.size() <= room || !(value.is_array() || value.is_object())) {
    out += short_form;
    return;
  }
  const std::string indent(2 * (depth + 1), ' ');
  const std::size_t inner_room = kColumns > indent.size() ? kColumns - indent.size() - 1 : 0;
  std::size_t left = value.is_array() ? value.get_array().size() : value.get_object().size();
  out += value.is_array() ? "[\n" : "{\n";
  const auto end_item = [&] { out += --left > 0 ? ",\n" : "\n"; };
  if (value.is_array()) {
    for (const boost::json::value& item : value.get_array()) {
      out += indent;
      print(item, depth + 1, inner_room, out);
      end_item();
    }
  } else {
    for (const auto& [key, item] : value.get_object()) {
      const std::string label = boost::json::serialize(key) + ": ";
      out += indent + label;
      print(item, depth + 1, inner_room > label.size() ? inner_room - label.size() : 0, out);
      end_item();
    }
  }
  out += std::string(2 * depth, ' ') + (value.is_array() ? "]" : "}");
}

}  // namespace

std::string pretty_json(const boost::json::value& value) {
  std::string out;
  print(value, 0, kColumns, out);
  return out + "\n";
}

}  // namespace vxmesh
