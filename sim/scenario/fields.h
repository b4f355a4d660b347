// What a parser of a YAML tree shares: the first thing found wrong, and maps with known keys only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sim/scenario/yaml_value.h"

namespace vxmesh {

// Keeps the first error. Who reports one goes on with a default value, so that a parser reads from
// top to bottom without a branch behind every value; what it made is thrown away at the end.
class Problem {
 public:
  explicit Problem(std::string file_name) : file_name_(std::move(file_name)) {}

  // `what`: "what is wrong; what would be right".
  void report(std::uint32_t line, const std::string& what);
  [[nodiscard]] const std::optional<Error>& first() const { return first_; }
  [[nodiscard]] bool found() const { return first_.has_value(); }

 private:
  std::string file_name_;
  std::optional<Error> first_;
};

// A map whose keys are taken one by one. What is not a map is a problem, and has no keys.
class Fields {
 public:
  // `what` names the map in errors: "node n1". The references have to outlive this.
  Fields(const YamlValue& value, std::string what, Problem& problem);

  // The value, or null; the key is a known one from now on.
  [[nodiscard]] const YamlValue* take(std::string_view key);
  // As take(); that it is missing is a problem, and gives an empty value.
  [[nodiscard]] const YamlValue& need(std::string_view key, std::string_view such_as);
  // Keys that would be right although nobody takes them, for "did you mean".
  void suggest(std::string_view key) { known_.emplace_back(key); }
  // A key that nobody has taken is a problem.
  void finish();

  [[nodiscard]] std::uint32_t line() const { return value_.line; }

 private:
  const YamlValue& value_;
  std::string what_;
  Problem& problem_;
  std::vector<std::string> known_;
  std::vector<bool> taken_;  // of value_.entries
};

// "; did you mean 'X'?" with the nearest of `known`; if none is near, "; " and `otherwise`.
[[nodiscard]] std::string did_you_mean(std::string_view name, const std::vector<std::string>& known,
                                       std::string_view otherwise);

// The text of a scalar. Anything else is a problem: "`what` must be `such_as`".
[[nodiscard]] std::string text_of(const YamlValue& value, std::string_view what,
                                  std::string_view such_as, Problem& problem);
// One line without control characters, or a problem.
[[nodiscard]] std::string line_of_text(const YamlValue& value, std::string_view what,
                                       Problem& problem);
[[nodiscard]] std::uint64_t number_of(const YamlValue& value, std::string_view what,
                                      std::uint64_t min, std::uint64_t max, Problem& problem);
// The items of a list; a single value is a list of itself, nothing an empty one.
[[nodiscard]] std::vector<const YamlValue*> items_of(const YamlValue& value);

}  // namespace vxmesh
