#include "adapters/posix/log_spdlog.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <array>
#include <cstddef>

#include "base/check.h"

namespace vxmesh {
namespace {

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v";
constexpr const char* kJsonPattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})";

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::Debug: return spdlog::level::debug;
    case LogLevel::Info: return spdlog::level::info;
    case LogLevel::Warning: return spdlog::level::warn;
    case LogLevel::Error: break;
  }
  return spdlog::level::err;
}

unsigned byte_at(std::string_view text, std::size_t index) {
  return index < text.size() ? static_cast<unsigned char>(text[index]) : 0U;
}

// The length of the well-formed UTF-8 sequence that `text` begins with; 0 if there is none.
// Table 3-7 of the Unicode standard: the second byte's range depends on the first.
std::size_t utf8_length(std::string_view text) {
  const unsigned first = byte_at(text, 0);
  if (first < 0x80) {
    return 1;
  }
  const std::size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                             : first >= 0xe0 && first <= 0xef ? 3
                             : first >= 0xf0 && first <= 0xf4 ? 4
                                                              : 0;
  const unsigned lowest = first == 0xe0 ? 0xa0U : first == 0xf0 ? 0x90U : 0x80U;
  const unsigned highest = first == 0xed ? 0x9fU : first == 0xf4 ? 0x8fU : 0xbfU;
  for (std::size_t i = 1; i < length; ++i) {
    const unsigned byte = byte_at(text, i);
    if (byte < (i == 1 ? lowest : 0x80U) || byte > (i == 1 ? highest : 0xbfU)) {
      return 0;
    }
  }
  return length;
}

// Appends `text` as JSON writes the inside of a string (RFC 8259, section 7).
void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const auto first = static_cast<unsigned char>(text.front());
    if (length == 0) {
      out += "\xef\xbf\xbd";  // U+FFFD, the replacement character
    } else if (first == '"' || first == '\\') {
      out += '\\';
      out += text.front();
    } else if (first == '\n') {
      out += "\\n";
    } else if (first < 0x20 || first == 0x7f) {
      out += "\\u00";
      out += kHex[first >> 4U];
      out += kHex[first & 0xfU];
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

// A value without quotes where nothing could be misread.
void append_text_value(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || c == '"' || c == '\\' || c == '=' || byte == 0x7f) {
      append_quoted(out, text);
      return;
    }
  }
  out += text.empty() ? "\"\"" : text;
}

std::string text_line(std::string_view event, const LogFields& fields) {
  std::string line;
  append_escaped(line, event);
  for (const auto& [name, value] : fields) {
    line += ' ';
    append_escaped(line, name);
    line += '=';
    append_text_value(line, value);
  }
  return line;
}

// What stands between the level and the closing brace.
std::string json_members(std::string_view event, const LogFields& fields) {
  std::string line = "\"event\":";
  append_quoted(line, event);
  for (const auto& [name, value] : fields) {
    check(name != "time" && name != "level" && name != "event",
          "a log field has a name of its own");
    line += ',';
    append_quoted(line, name);
    line += ':';
    append_quoted(line, value);
  }
  return line;
}

}  // namespace

LogSpdlog::LogSpdlog(LogFormat format, LogLevel level)
    : LogSpdlog(format, level,
                std::make_shared<spdlog::sinks::stderr_color_sink_st>(
                    format == LogFormat::Text ? spdlog::color_mode::automatic
                                              : spdlog::color_mode::never)) {}

LogSpdlog::LogSpdlog(LogFormat format, LogLevel level, const spdlog::sink_ptr& sink)
    : format_(format), logger_(std::make_unique<spdlog::logger>("vxmesh", sink)) {
  logger_->set_level(to_spdlog(level));
  logger_->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      format == LogFormat::Text ? kTextPattern : kJsonPattern, spdlog::pattern_time_type::utc));
  logger_->flush_on(spdlog::level::trace);
}

LogSpdlog::~LogSpdlog() = default;

void LogSpdlog::write(LogLevel level, std::string_view event, const LogFields& fields) {
  const spdlog::level::level_enum native = to_spdlog(level);
  if (logger_->should_log(native)) {
    logger_->log(native, format_ == LogFormat::Text ? text_line(event, fields)
                                                    : json_members(event, fields));
  }
}

}  // namespace vxmesh
