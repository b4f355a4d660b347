#include "adapters/kube/api_text.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <limits>

namespace vxmesh {
namespace {

namespace json = boost::json;

constexpr std::int64_t kRetryAfterMaxS = 3600;

// All of `text` as decimal digits; at most nine of them.
std::optional<int> parse_digits(std::string_view text) {
  if (text.empty() || text.size() > 9) {
    return std::nullopt;
  }
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    value = value * 10 + (c - '0');
  }
  return value;
}

// "Z", "+02:00" or "-02:00" -> seconds east of UTC.
std::optional<std::int64_t> parse_offset(std::string_view text) {
  if (text == "Z") {
    return 0;
  }
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') {
    return std::nullopt;
  }
  const auto hours = parse_digits(text.substr(1, 2));
  const auto minutes = parse_digits(text.substr(4, 2));
  if (!hours || !minutes || *hours > 23 || *minutes > 59) {
    return std::nullopt;
  }
  const std::int64_t seconds = *hours * 3600 + *minutes * 60;
  return text[0] == '-' ? -seconds : seconds;
}

std::string text_member(const json::object& object, std::string_view name) {
  const json::value* const value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) {
    return {};
  }
  const json::string& text = value->get_string();
  return {text.data(), text.size()};
}

std::optional<std::int64_t> int_member(const json::object& object, std::string_view name) {
  const json::value* const value = object.if_contains(name);
  return value != nullptr && value->is_int64() ? std::optional(value->get_int64()) : std::nullopt;
}

}  // namespace

std::optional<ApiStatus> parse_status(std::string_view body) {
  json::error_code error;
  const json::value value = json::parse(body, error);
  if (error || !value.is_object() || text_member(value.get_object(), "kind") != "Status") {
    return std::nullopt;
  }
  const json::object& object = value.get_object();
  ApiStatus status{.code = 0,
                   .reason = text_member(object, "reason"),
                   .message = text_member(object, "message"),
                   .retry_after = {}};
  const auto code = int_member(object, "code");
  if (code && *code >= 0 && *code <= std::numeric_limits<std::uint16_t>::max()) {
    status.code = static_cast<std::uint16_t>(*code);
  }
  const json::value* const details = object.if_contains("details");
  if (details != nullptr && details->is_object()) {
    const auto seconds = int_member(details->get_object(), "retryAfterSeconds");
    status.retry_after = seconds ? sane_retry_after(*seconds) : std::nullopt;
  }
  return status;
}

std::optional<Duration> sane_retry_after(std::int64_t seconds) {
  if (seconds < 0 || seconds > kRetryAfterMaxS) {
    return std::nullopt;
  }
  return std::chrono::seconds(seconds);
}

std::optional<Duration> parse_retry_after(std::string_view text) {
  const auto seconds = parse_digits(text);
  return seconds ? sane_retry_after(*seconds) : std::nullopt;
}

std::optional<std::int64_t> parse_timestamp(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  if (text.size() <= kShape.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kShape[i] == 'd' ? !digit : text[i] != kShape[i]) {
      return std::nullopt;
    }
  }
  const auto number = [text](std::size_t at, std::size_t size) {
    return *parse_digits(text.substr(at, size));
  };
  const std::chrono::year_month_day date{std::chrono::year(number(0, 4)),
                                         std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                         std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  const int hour = number(11, 2);
  const int minute = number(14, 2);
  const int second = number(17, 2);
  std::string_view rest = text.substr(kShape.size());
  if (rest.starts_with('.')) {
    const std::size_t end = rest.find_first_not_of("0123456789", 1);
    rest = end == std::string_view::npos || end == 1 ? std::string_view() : rest.substr(end);
  }
  const auto offset = parse_offset(rest);
  // RFC 3339 allows the leap second :60.
  if (!date.ok() || hour > 23 || minute > 59 || second > 60 || !offset) {
    return std::nullopt;
  }
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return days * 86400 + hour * 3600 + minute * 60 + second - *offset;
}

std::string format_timestamp(std::int64_t seconds) {
  const std::chrono::sys_seconds time{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  char text[48];
  (void)std::snprintf(text, sizeof(text), "%04d-%02u-%02uT%02d:%02d:%02dZ",
                      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                      static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                      static_cast<int>(clock.minutes().count()),
                      static_cast<int>(clock.seconds().count()));
  return text;
}

}  // namespace vxmesh
