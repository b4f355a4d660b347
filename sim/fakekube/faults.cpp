#include "sim/fakekube/faults.h"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <limits>
#include <span>
#include <utility>

#include "base/nearest.h"

namespace vxmesh {
namespace {

namespace json = boost::json;

template <typename T>
struct Name {
  std::string_view text;
  T value;
};

constexpr Name<Fault::Kind> kKinds[] = {
    {"stall", Fault::Kind::Stall},         {"drop", Fault::Kind::Drop},
    {"split", Fault::Kind::Split},         {"gone", Fault::Kind::Gone},
    {"throttle", Fault::Kind::Throttle},   {"error", Fault::Kind::Error},
    {"empty-list", Fault::Kind::EmptyList}};
constexpr Name<Fault::Target> kTargets[] = {
    {"any", Fault::Target::Any}, {"list", Fault::Target::List}, {"watch", Fault::Target::Watch}};
constexpr Name<Fault::As> kForms[] = {{"http", Fault::As::Http}, {"event", Fault::As::Event}};

// Reads the keys of one fault; the first thing wrong is kept and everything after it ignored.
class FaultReader {
 public:
  explicit FaultReader(const json::object& object) : object_(&object) {}

  template <typename T, std::size_t n>
  void choice(const char* key, const Name<T> (&names)[n], T& value) {
    const json::value* const found = take(key);
    if (found == nullptr) {
      return;
    }
    const auto* const name =
        std::find_if(std::begin(names), std::end(names), [found](const Name<T>& candidate) {
          return found->is_string() &&
                 candidate.text ==
                     std::string_view(found->get_string().data(), found->get_string().size());
        });
    if (name != std::end(names)) {
      value = name->value;
      return;
    }
    std::string list;
    for (const Name<T>& candidate : names) {
      list += (list.empty() ? "" : ", ") + std::string(candidate.text);
    }
    refuse(std::string(key) + " must be one of " + list);
  }

  void flag(const char* key, bool& value) {
    if (const json::value* const found = take(key)) {
      if (found->is_bool()) {
        value = found->get_bool();
      } else {
        refuse(std::string(key) + " must be true or false");
      }
    }
  }

  std::optional<std::uint64_t> number(const char* key, std::uint64_t least, std::uint64_t most) {
    const json::value* const found = take(key);
    if (found == nullptr) {
      return std::nullopt;
    }
    if (found->is_int64() && found->get_int64() >= 0) {
      const auto value = static_cast<std::uint64_t>(found->get_int64());
      if (value >= least && value <= most) {
        return value;
      }
    }
    refuse(std::string(key) + " must be a number from " + std::to_string(least) + " to " +
           std::to_string(most));
    return std::nullopt;
  }

  std::optional<std::string> text(const char* key) {
    const json::value* const found = take(key);
    if (found != nullptr && found->is_string()) {
      return std::string(found->get_string().data(), found->get_string().size());
    }
    if (found != nullptr) {
      refuse(std::string(key) + " must be a string");
    }
    return std::nullopt;
  }

  // Empty if every key was known and good.
  std::string problem() {
    for (const auto& member : *object_) {
      const std::string key(member.key().data(), member.key().size());
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        refuse("unknown key '" + key + "'" + did_you_mean(key, known_));
      }
    }
    return problem_;
  }

 private:
  const json::value* take(const char* key) {
    known_.emplace_back(key);
    return object_->if_contains(key);
  }
  void refuse(std::string why) {
    if (problem_.empty()) {
      problem_ = std::move(why);
    }
  }

  const json::object* object_;
  std::vector<std::string> known_;
  std::string problem_;
};

std::string_view name_of(Fault::Kind kind) {
  const auto* const name = std::find_if(std::begin(kKinds), std::end(kKinds),
                                        [kind](const auto& entry) { return entry.value == kind; });
  return name->text;
}

std::string_view name_of(Fault::Target target) {
  const auto* const name =
      std::find_if(std::begin(kTargets), std::end(kTargets),
                   [target](const auto& entry) { return entry.value == target; });
  return name->text;
}

}  // namespace

Result<Fault> parse_fault(std::string_view text) {
  json::error_code error;
  const json::value value = json::parse(text, error);
  if (error || !value.is_object()) {
    return fail(ErrorCode::InvalidInput, "the body is not a JSON object: " + error.message());
  }
  if (!value.get_object().contains("kind")) {
    return fail(ErrorCode::InvalidInput, "kind is missing");
  }
  constexpr std::uint64_t kMax = std::numeric_limits<std::int32_t>::max();
  Fault fault;
  FaultReader reader(value.get_object());
  reader.choice("kind", kKinds, fault.kind);
  reader.choice("target", kTargets, fault.target);
  reader.choice("as", kForms, fault.as);
  reader.flag("open", fault.open);
  reader.flag("reset", fault.reset);
  fault.count = reader.number("count", 0, kMax).value_or(fault.count);
  fault.skip = reader.number("skip", 0, kMax).value_or(fault.skip);
  fault.after_bytes = reader.number("after_bytes", 0, kMax).value_or(fault.after_bytes);
  fault.after_events = reader.number("after_events", 0, kMax);
  fault.size = reader.number("size", 1, kMax).value_or(fault.size);
  fault.pause_ms = std::chrono::milliseconds(reader.number("pause_ms", 0, kMax).value_or(0));
  fault.status = static_cast<std::uint16_t>(reader.number("status", 300, 599).value_or(500));
  fault.reason = reader.text("reason").value_or(fault.reason);
  fault.retry_after = reader.text("retry_after");
  if (std::string problem = reader.problem(); !problem.empty()) {
    return fail(ErrorCode::InvalidInput, std::move(problem));
  }
  const bool bytes_free = fault.kind == Fault::Kind::Throttle || fault.kind == Fault::Kind::Split ||
                          fault.kind == Fault::Kind::EmptyList;
  if (fault.open && (bytes_free || fault.target == Fault::Target::List)) {
    return fail(ErrorCode::InvalidInput,
                "open goes with stall, drop, gone and error of watches only");
  }
  return fault;
}

std::optional<Fault> FaultRules::take(Fault::Target target) {
  for (auto rule = rules_.begin(); rule != rules_.end(); ++rule) {
    const bool list_only = rule->kind == Fault::Kind::EmptyList;
    if ((rule->target != Fault::Target::Any && rule->target != target) ||
        (list_only && target != Fault::Target::List)) {
      continue;
    }
    if (rule->skip > 0) {
      --rule->skip;
      continue;
    }
    const Fault fault = *rule;
    if (rule->count == 1) {
      rules_.erase(rule);
    } else if (rule->count > 1) {
      --rule->count;
    }
    return fault;
  }
  return std::nullopt;
}

json::array FaultRules::describe() const {
  json::array array;
  for (const Fault& rule : rules_) {
    array.push_back(json::object{{"kind", name_of(rule.kind)},
                                 {"target", name_of(rule.target)},
                                 {"count", rule.count},
                                 {"skip", rule.skip}});
  }
  return array;
}

}  // namespace vxmesh
