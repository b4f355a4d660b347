#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "sim/scenario/parse_parts.h"
#include "sim/scenario/text.h"

namespace vxmesh {
namespace {

constexpr std::size_t kMaxPairs = 1'000'000;

using PodPair = std::pair<std::string, std::string>;

// A condition is read as of a moment: what its references and patterns stand for then.
using ReadCondition = Condition (*)(Reading&, const YamlValue&, Duration);

bool is_none(const YamlValue& value) {
  return value.kind == YamlValue::Kind::Scalar && value.text == "none";
}

Condition read_fdb(Reading& reading, const YamlValue& value, Duration moment) {
  ExpectFdb fdb;
  Fields fields(value, "fdb", reading.problem);
  fdb.node = read_node_name(reading, fields.need("node", "node: n1"));
  fdb.mac = read_mac(reading, fields.need("mac", "mac: mac(n2)"), "mac", moment);
  const YamlValue& dst = fields.need("dst", "dst: ip(n2), or dst: none");
  if (!is_none(dst)) {
    fdb.dst = read_address(reading, dst, "dst", moment);
  }
  fields.finish();
  return fdb;
}

Condition read_neighbour(Reading& reading, const YamlValue& value, Duration moment) {
  ExpectNeighbour neighbour;
  Fields fields(value, "neighbour", reading.problem);
  neighbour.node = read_node_name(reading, fields.need("node", "node: n1"));
  neighbour.address =
      read_address(reading, fields.need("address", "address: addr(a)"), "address", moment);
  const YamlValue& mac = fields.need("mac", "mac: mac(n2), or mac: none");
  if (!is_none(mac)) {
    neighbour.mac = read_mac(reading, mac, "mac", moment);
  }
  fields.finish();
  return neighbour;
}

bool read_bool(Reading& reading, const YamlValue& value, std::string_view what) {
  if (value.text != "true" && value.text != "false") {
    reading.problem.report(value.line, std::string(what) + " must be true or false");
  }
  return value.text == "true";
}

Condition read_route(Reading& reading, const YamlValue& value, Duration moment) {
  ExpectRoute route;
  Fields fields(value, "route", reading.problem);
  route.node = read_node_name(reading, fields.need("node", "node: n1"));
  route.destination = read_pod_cidr(reading, fields.need("to", "to: podCIDR(n2)"), "to", moment);
  if (const YamlValue* present = fields.take("present")) {
    route.present = read_bool(reading, *present, "present");
  }
  fields.finish();
  return route;
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  const std::size_t last = text.find_last_not_of(' ');
  return first == std::string_view::npos ? "" : std::string(text.substr(first, last - first + 1));
}

// The pods that a pattern means at that moment; a plain name means its pod at any.
std::vector<std::string> pods_of(Reading& reading, const std::string& pattern, std::uint32_t line,
                                 const std::vector<std::string>& there) {
  if (pattern.find('*') == std::string::npos) {
    check_pod_name(reading, pattern, line);
    return {pattern};
  }
  std::vector<std::string> names;
  std::ranges::copy_if(there, std::back_inserter(names),
                       [&](const std::string& name) { return matches_pattern(name, pattern); });
  if (names.empty()) {
    reading.problem.report(
        line, "no pod is called '" + pattern + "' at that time" +
                  did_you_mean(pattern, reading.cast.pod_names(), "name some in cluster.pods"));
  }
  return names;
}

void read_pairs(Reading& reading, const YamlValue& value, const std::vector<std::string>& there,
                std::vector<PodPair>& pairs, std::set<PodPair>& seen) {
  const std::string such_as = "pairs such as \"a -> b*\"";
  const std::string text = text_of(value, "connect", such_as, reading.problem);
  const std::size_t arrow = text.find("->");
  if (arrow == std::string::npos) {
    reading.problem.report(value.line, "'" + text + "' is no pair of pods; write " + such_as);
    return;
  }
  const std::size_t before = pairs.size();
  const auto from = pods_of(reading, trimmed(text.substr(0, arrow)), value.line, there);
  const auto to = pods_of(reading, trimmed(text.substr(arrow + 2)), value.line, there);
  if (from.size() * to.size() > kMaxPairs - reading.pairs) {
    reading.problem.report(value.line, "more than " + std::to_string(kMaxPairs) +
                                           " pairs of pods in the file; write narrower patterns");
    return;
  }
  reading.pairs += from.size() * to.size();
  for (const std::string& a : from) {
    for (const std::string& b : to) {
      if (a != b && seen.emplace(a, b).second) {
        pairs.emplace_back(a, b);
      }
    }
  }
  if (pairs.size() == before) {
    reading.problem.report(value.line,
                           "'" + text + "' adds no pair of two pods; name two, and each pair once");
  }
}

Condition read_connect(Reading& reading, const YamlValue& value, Duration moment) {
  ExpectConnect connect;
  std::set<PodPair> seen;
  const std::vector<std::string> there = reading.cast.pods_there(moment);
  for (const YamlValue* item : items_of(value)) {
    read_pairs(reading, *item, there, connect.pairs, seen);
  }
  if (connect.pairs.empty()) {
    reading.problem.report(value.line, "no pairs of pods; write pairs such as \"a -> b*\"");
  }
  return connect;
}

Condition read_no_connect(Reading& reading, const YamlValue& value, Duration moment) {
  Condition condition = read_connect(reading, value, moment);
  std::get<ExpectConnect>(condition).refused = true;
  return condition;
}

Condition read_ready(Reading& reading, const YamlValue& value, Duration /*moment*/) {
  return ExpectReady{.node = read_node_name(reading, value), .ready = true};
}

Condition read_not_ready(Reading& reading, const YamlValue& value, Duration /*moment*/) {
  return ExpectReady{.node = read_node_name(reading, value), .ready = false};
}

Condition read_converged(Reading& reading, const YamlValue& value, Duration /*moment*/) {
  if (value.text != "true") {
    reading.problem.report(value.line, "converged must be true; say otherwise what is not");
  }
  return ExpectConverged{};
}

Condition read_foreign(Reading& reading, const YamlValue& value, Duration /*moment*/) {
  if (value.text != "untouched") {
    reading.problem.report(value.line, "foreign must be untouched");
  }
  return ExpectForeignUntouched{};
}

struct ConditionRule {
  std::string_view key;
  ReadCondition read;
};
constexpr ConditionRule kConditions[] = {
    {"fdb", read_fdb},
    {"neighbour", read_neighbour},
    {"route", read_route},
    {"connect", read_connect},
    {"no-connect", read_no_connect},
    {"ready", read_ready},
    {"not-ready", read_not_ready},
    {"converged", read_converged},
    {"foreign", read_foreign},
};

// Every condition of `value`, in the order of the file, as `like` with another condition.
void read_conditions(Reading& reading, const YamlValue& value, Fields& fields, Duration moment,
                     Expectation like, std::vector<Expectation>& expectations) {
  for (const ConditionRule& rule : kConditions) {
    fields.suggest(rule.key);
  }
  for (const YamlEntry& entry : value.entries) {
    const auto* const rule = std::ranges::find(kConditions, entry.key, &ConditionRule::key);
    if (rule != std::end(kConditions)) {
      (void)fields.take(entry.key);
      like.condition = rule->read(reading, entry.value, moment);
      like.line = entry.line;
      expectations.push_back(like);
    }
  }
}

void read_finally(Reading& reading, const YamlValue& value, Fields& fields,
                  const YamlValue& finally, std::vector<Expectation>& expectations) {
  const Expectation like{.when = Expectation::When::Finally};
  if (finally.kind == YamlValue::Kind::Map) {
    Fields inner(finally, "finally", reading.problem);
    read_conditions(reading, finally, inner, Cast::kEnd, like, expectations);
    inner.finish();
  } else if (finally.text == "converged") {
    expectations.push_back({.when = like.when, .condition = ExpectConverged{}, .line = value.line});
  } else {
    reading.problem.report(finally.line,
                           "finally is neither converged nor conditions; write finally: converged");
  }
  read_conditions(reading, value, fields, Cast::kEnd, like, expectations);
}

}  // namespace

void read_expectation(Reading& reading, const YamlValue& value, std::optional<Duration> from,
                      Duration end, std::vector<Expectation>& expectations) {
  Fields fields(value, "an expectation", reading.problem);
  const std::size_t before = expectations.size();
  const YamlValue* within = fields.take("within");
  const YamlValue* always = fields.take("always");
  const YamlValue* finally = fields.take("finally");
  if ((within != nullptr) + (always != nullptr) + (finally != nullptr) != 1) {
    reading.problem.report(value.line,
                           "an expectation needs exactly one of within, always and finally");
    return;
  }
  const bool may_start = !from && finally == nullptr;
  const YamlValue* start = may_start ? fields.take("from") : nullptr;
  Expectation like{.line = value.line};
  like.from = from.value_or(within != nullptr ? end : Duration{});
  like.from = start != nullptr ? read_time(reading, *start, "from") : like.from;
  if (finally != nullptr) {
    read_finally(reading, value, fields, *finally, expectations);
  } else if (within != nullptr) {
    like.when = Expectation::When::Within;
    like.within = read_time(reading, *within, "within");
    read_conditions(reading, value, fields, like.from, like, expectations);
  } else {
    like.when = Expectation::When::Always;
    like.max_dark = read_time(reading, fields.need("max-dark", "max-dark: 500ms"), "max-dark");
    like.condition = read_connect(reading, *always, like.from);
    expectations.push_back(like);
  }
  fields.finish();
  if (expectations.size() == before) {
    reading.problem.report(value.line,
                           "an expectation of nothing; add a condition such as "
                           "connect: \"a -> b\"");
  }
}

}  // namespace vxmesh
