#include "sim/cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string_view>
#include <system_error>

#include "sim/cli/commit.h"

namespace vxmesh::cli {
namespace {

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

std::string coloured(const char* colour, const std::string& text) {
  static const bool is_wanted = isatty(STDOUT_FILENO) != 0 && !is_set("NO_COLOR");
  return is_wanted ? colour + text + "\033[0m" : text;
}

// A file's name or text must not write on a terminal what it likes.
std::string escaped(const std::string& text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      safe += c == '\n' ? "\\n" : std::string("\\x") + kDigits[byte >> 4U] + kDigits[byte & 15U];
    } else {
      safe += c;
    }
  }
  return safe;
}

// Digits with zeros in front.
std::string padded(std::uint64_t number, std::size_t digits) {
  const std::string text = std::to_string(number);
  return std::string(digits - std::min(digits, text.size()), '0') + text;
}

std::string errno_text() {
  return std::generic_category().message(errno);
}

}  // namespace

int complain(const std::string& sentence, ExitStatus status) {
  std::cerr << "vxmesh-sim: " << escaped(sentence) << "\n";
  return status;
}

void warn(const std::string& sentence) {
  std::cerr << "vxmesh-sim: warning: " << escaped(sentence) << "\n";
}

int complain(const Error& error) {
  return complain(error.context, error.code == ErrorCode::InvalidInput ? kUsage : kFailed);
}

std::string verdict_of(const std::optional<Violation>& violation) {
  return violation ? coloured("\033[31m", "failed (" + violation->oracle + ")")
                   : coloured("\033[32m", "passed");
}

std::string quotient(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) {
    return "0.0";
  }
  const std::uint64_t tenth = part % whole * 10 / whole;
  return std::to_string(part / whole) + "." + std::to_string(tenth);
}

std::uint64_t per_second(std::uint64_t count, Duration time) {
  const auto milliseconds = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
  return milliseconds == 0 ? 0 : count * 1000 / milliseconds;
}

std::string ratio(Duration virtual_time, Duration real) {
  return quotient(static_cast<std::uint64_t>(virtual_time.count()),
                  static_cast<std::uint64_t>(real.count()));
}

std::string counted(std::uint64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string format_seconds(Duration time) {
  const bool negative = time < Duration{};
  const auto milliseconds = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(negative ? -time : time).count());
  return (negative ? "-" : "") + std::to_string(milliseconds / 1000) + "." +
         padded(milliseconds % 1000, 3) + "s";
}

std::string format_hash(std::uint64_t hash) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) {
    text += kDigits[(hash >> static_cast<unsigned>(shift)) & 15U];
  }
  return text;
}

std::string format_violation(const Violation& violation, MonotonicTime begin,
                             const std::string& file) {
  return "failed (" + violation.oracle +
         "): " + (violation.oracle == "expectation" && !file.empty() ? file + ": " : "") +
         violation.what + ": " + violation.detail + ", at " +
         format_seconds(violation.time - begin);
}

std::string joined(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, names.size()); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  return names.empty() ? "none" : text + (names.size() > kMost ? ", ..." : "");
}

std::string shell_word(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) {
    return text;
  }
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' ? "'\\''" : std::string(1, c);
  }
  return quoted + "'";
}

ProgressLine::ProgressLine() : shows_(isatty(STDERR_FILENO) != 0) {}

void ProgressLine::show(const std::string& text) const {
  if (shows_) {
    std::cerr << "\r" << text << "\033[K" << std::flush;
  }
}

void ProgressLine::clear() const {
  if (shows_) {
    std::cerr << "\r\033[K" << std::flush;
  }
}

std::string commit() {
  return kCommit;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  const bool is_empty = file && file.peek() == std::ifstream::traits_type::eof() && !file.bad();
  if (is_empty) {
    return std::string();  // of which operator<< makes a failure
  }
  if (!file || !(text << file.rdbuf())) {
    return fail(ErrorCode::InvalidInput, path + ": cannot be read: " + errno_text());
  }
  return text.str();
}

Result<void> write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  if (!file || !(file << text) || !file.flush()) {
    return fail(ErrorCode::Environment, path + ": cannot be written: " + errno_text());
  }
  return {};
}

}  // namespace vxmesh::cli
