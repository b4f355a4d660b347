#include "sim/scenario/fields.h"

#include <algorithm>
#include <charconv>

#include "base/nearest.h"

namespace vxmesh {

void Problem::report(std::uint32_t line, const std::string& what) {
  if (!first_) {
    first_ = Error{.code = ErrorCode::InvalidInput,
                   .context = file_name_ + ":" + std::to_string(line) + ": " + what};
  }
}

Fields::Fields(const YamlValue& value, std::string what, Problem& problem)
    : value_(value),
      what_(std::move(what)),
      problem_(problem),
      taken_(value.entries.size(), false) {
  if (value.kind != YamlValue::Kind::Map) {
    problem.report(value.line, what_ + " is not a map; write {key: value, ...}");
  }
}

const YamlValue* Fields::take(std::string_view key) {
  known_.emplace_back(key);
  const auto found = std::ranges::find(value_.entries, key, &YamlEntry::key);
  if (found == value_.entries.end()) {
    return nullptr;
  }
  taken_[static_cast<std::size_t>(found - value_.entries.begin())] = true;
  return &found->value;
}

const YamlValue& Fields::need(std::string_view key, std::string_view such_as) {
  static const YamlValue nothing;
  const YamlValue* value = take(key);
  if (value == nullptr) {
    problem_.report(value_.line,
                    what_ + " has no '" + std::string(key) + "'; add " + std::string(such_as));
    return nothing;
  }
  return *value;
}

void Fields::finish() {
  for (std::size_t i = 0; i < taken_.size() && !problem_.found(); ++i) {
    if (!taken_[i]) {
      const YamlEntry& entry = value_.entries[i];
      problem_.report(entry.line, "unknown key '" + entry.key + "' in " + what_ +
                                      did_you_mean(entry.key, known_, "leave it out"));
    }
  }
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known,
                         std::string_view otherwise) {
  // What somebody wrote may be a page; nobody mistypes that much of a name.
  const std::string meant = name.size() > 100 ? "" : did_you_mean(name, known);
  return meant.empty() ? "; " + std::string(otherwise) : meant;
}

std::string text_of(const YamlValue& value, std::string_view what, std::string_view such_as,
                    Problem& problem) {
  if (value.kind != YamlValue::Kind::Scalar) {
    problem.report(value.line, std::string(what) + " must be " + std::string(such_as));
  }
  return value.text;
}

std::string line_of_text(const YamlValue& value, std::string_view what, Problem& problem) {
  std::string text = text_of(value, what, "text", problem);
  const auto is_control = [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; };
  if (std::ranges::any_of(text, is_control)) {
    problem.report(value.line, std::string(what) +
                                   " has line breaks or control characters; write it in one line");
  }
  return text;
}

std::uint64_t number_of(const YamlValue& value, std::string_view what, std::uint64_t min,
                        std::uint64_t max, Problem& problem) {
  const std::string right =
      "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
  const std::string text = text_of(value, what, right, problem);
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || number < min || number > max) {
    problem.report(value.line, std::string(what) + " is '" + text + "'; it must be " + right);
    return min;
  }
  return number;
}

std::vector<const YamlValue*> items_of(const YamlValue& value) {
  std::vector<const YamlValue*> items;
  if (value.kind == YamlValue::Kind::Sequence) {
    for (const YamlValue& item : value.items) {
      items.push_back(&item);
    }
  } else if (value.kind != YamlValue::Kind::Null) {
    items.push_back(&value);
  }
  return items;
}

}  // namespace vxmesh
