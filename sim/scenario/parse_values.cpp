#include "sim/scenario/parse_parts.h"
#include "sim/scenario/text.h"

namespace vxmesh {
namespace {

// "ip(n2)": the word and the name.
struct Reference {
  std::string word;
  std::string name;
};

std::optional<Reference> as_reference(const std::string& text) {
  const std::size_t open = text.find('(');
  if (open == std::string::npos || !text.ends_with(')')) {
    return std::nullopt;
  }
  return Reference{.word = text.substr(0, open),
                   .name = text.substr(open + 1, text.size() - open - 2)};
}

// The node that a reference means, if its word is `word`.
const NodeSpec* referred_node(Reading& reading, const std::string& text, std::string_view word,
                              Duration at, std::uint32_t line) {
  const std::optional<Reference> reference = as_reference(text);
  if (!reference || reference->word != word) {
    return nullptr;
  }
  check_node_name(reading, reference->name, line);
  return reading.cast.node(reference->name, at);
}

const PodSpec* referred_pod(Reading& reading, const std::string& text, Duration at,
                            std::uint32_t line) {
  const std::optional<Reference> reference = as_reference(text);
  if (!reference || reference->word != "addr") {
    return nullptr;
  }
  check_pod_name(reading, reference->name, line);
  return reading.cast.pod(reference->name, at);
}

}  // namespace

Duration read_time(Reading& reading, const YamlValue& value, std::string_view what,
                   bool signed_time) {
  const std::string text = text_of(value, what, "a time such as 500ms or 3s", reading.problem);
  const Result<Duration> time = parse_time(text, signed_time);
  if (!time) {
    reading.problem.report(value.line, std::string(what) + ": " + time.error().context);
  }
  return time.value_or(Duration{});
}

std::string read_new_name(Reading& reading, const std::string& name, std::uint32_t line,
                          std::string_view what) {
  if (!is_name(name)) {
    reading.problem.report(line, "'" + name + "' cannot be the name of a " + std::string(what) +
                                     "; use lower-case letters, digits and hyphens inside");
  } else if (name == "api") {
    reading.problem.report(
        line, "'api' is the API server's name; name the " + std::string(what) + " otherwise");
  }
  return name;
}

void check_node_name(Reading& reading, const std::string& name, std::uint32_t line) {
  if (reading.cast.node(name, Cast::kEnd) == nullptr && !reading.problem.found()) {
    reading.problem.report(
        line, "there is no node '" + name + "' by then" +
                  did_you_mean(name, reading.cast.node_names(), "name it in cluster.nodes"));
  }
}

void check_pod_name(Reading& reading, const std::string& name, std::uint32_t line) {
  if (reading.cast.pod(name, Cast::kEnd) == nullptr && !reading.problem.found()) {
    reading.problem.report(
        line, "there is no pod '" + name + "' by then" +
                  did_you_mean(name, reading.cast.pod_names(), "name it in cluster.pods"));
  }
}

std::string read_node_name(Reading& reading, const YamlValue& value) {
  std::string name = text_of(value, "a node", "a name", reading.problem);
  check_node_name(reading, name, value.line);
  return name;
}

std::string read_pod_name(Reading& reading, const YamlValue& value) {
  std::string name = text_of(value, "a pod", "a name", reading.problem);
  check_pod_name(reading, name, value.line);
  return name;
}

IpAddress read_address(Reading& reading, const YamlValue& value, std::string_view what,
                       Duration at) {
  const std::string text = text_of(value, what, "an address", reading.problem);
  if (const NodeSpec* node = referred_node(reading, text, "ip", at, value.line)) {
    return node->ip;
  }
  if (const PodSpec* pod = referred_pod(reading, text, at, value.line)) {
    return pod->address;
  }
  const Result<IpAddress> address = IpAddress::parse(text);
  if (!address || address->family() != Family::V4) {
    reading.problem.report(value.line, std::string(what) + " is '" + text +
                                           "'; write an IPv4 address, ip(NODE) or addr(POD)");
    return {};
  }
  return *address;
}

IpPrefix read_pod_cidr(Reading& reading, const YamlValue& value, std::string_view what,
                       Duration at) {
  constexpr std::uint8_t kLongest = 29;  // room for a VTEP, a bridge, a pod and a broadcast
  const std::string text = text_of(value, what, "a CIDR", reading.problem);
  if (const NodeSpec* node = referred_node(reading, text, "podCIDR", at, value.line)) {
    return node->pod_cidr;
  }
  const Result<IpPrefix> prefix = IpPrefix::parse(text);
  if (!prefix) {
    reading.problem.report(value.line, std::string(what) + " is '" + text +
                                           "'; write a CIDR such as 100.96.3.0/24, or "
                                           "podCIDR(NODE)");
    return reading.overlay;
  }
  if (!reading.overlay.contains(*prefix) || prefix->length() == reading.overlay.length()) {
    reading.problem.report(value.line, std::string(what) + " " + text +
                                           " is no part of the overlay " + format(reading.overlay) +
                                           "; choose one inside");
    return reading.overlay;
  }
  if (prefix->length() > kLongest) {
    reading.problem.report(value.line, std::string(what) + " " + text +
                                           " has no room for pods; at most /" +
                                           std::to_string(kLongest));
  }
  return *prefix;
}

MacAddress read_mac(Reading& reading, const YamlValue& value, std::string_view what, Duration at) {
  const std::string text = text_of(value, what, "a MAC", reading.problem);
  if (const NodeSpec* node = referred_node(reading, text, "mac", at, value.line)) {
    return vtep_mac(node->pod_cidr, reading.overlay);
  }
  const Result<MacAddress> mac = MacAddress::parse(text);
  if (!mac) {
    reading.problem.report(value.line, std::string(what) + " is '" + text +
                                           "'; write a MAC such as 00:53:64:60:02:00, or "
                                           "mac(NODE)");
  }
  return mac.value_or(MacAddress{});
}

}  // namespace vxmesh
