#include "sim/scenario/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace vxmesh {
namespace {

struct Unit {
  std::string_view name;
  Duration length;
};
constexpr std::array kUnits{
    Unit{"h", std::chrono::hours{1}},         Unit{"m", std::chrono::minutes{1}},
    Unit{"s", std::chrono::seconds{1}},       Unit{"ms", std::chrono::milliseconds{1}},
    Unit{"us", std::chrono::microseconds{1}}, Unit{"ns", Duration{1}}};

}  // namespace

Result<Duration> parse_time(std::string_view text, bool signed_time) {
  const bool negative = signed_time && text.starts_with('-');
  const std::string_view digits = text.substr(negative ? 1 : 0);
  std::uint64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  const std::string_view name(stop, static_cast<std::size_t>(end - stop));
  const auto* const unit = std::ranges::find(kUnits, name, &Unit::name);
  if (error != std::errc{} || unit == kUnits.end()) {
    return fail(ErrorCode::InvalidInput, "'" + std::string(text) +
                                             "' is not a time; write a whole number with its "
                                             "unit, such as 500ms, 3s, 2m or 1h");
  }
  if (number > static_cast<std::uint64_t>(kMaxScenarioTime / unit->length)) {
    return fail(ErrorCode::InvalidInput, "'" + std::string(text) + "' is too long; at most " +
                                             format_time(kMaxScenarioTime));
  }
  const Duration time = unit->length * static_cast<std::int64_t>(number);
  return negative ? -time : time;
}

std::string format_time(Duration time) {
  const auto* const unit =
      std::ranges::find_if(kUnits, [&](const Unit& u) { return time % u.length == Duration{}; });
  return time == Duration{} ? "0s" : std::to_string(time / unit->length) + std::string(unit->name);
}

bool is_name(std::string_view text) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= 63 && alphanumeric(text.front()) &&
         alphanumeric(text.back()) &&
         std::ranges::all_of(text, [&](char c) { return alphanumeric(c) || c == '-'; });
}

bool matches_pattern(std::string_view name, std::string_view pattern) {
  // The last star seen takes as little as possible, and one more whenever what follows fails.
  std::size_t at_name = 0;
  std::size_t at_pattern = 0;
  std::size_t star = std::string_view::npos;
  std::size_t taken_to = 0;
  while (at_name < name.size()) {
    if (at_pattern < pattern.size() && pattern[at_pattern] == '*') {
      star = at_pattern++;
      taken_to = at_name;
    } else if (at_pattern < pattern.size() && pattern[at_pattern] == name[at_name]) {
      ++at_pattern;
      ++at_name;
    } else if (star != std::string_view::npos) {
      at_pattern = star + 1;
      at_name = ++taken_to;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at_pattern) == std::string_view::npos;
}

}  // namespace vxmesh
