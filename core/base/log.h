// Structured logs. Libraries (decide, adapters) return errors; only agent and main log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vxmesh {

enum class LogLevel : std::uint8_t { Debug, Info, Warning, Error };

// A field's value is text; numbers are formatted by the caller.
using LogFields = std::vector<std::pair<std::string_view, std::string>>;

// Where log records go. Implementations: adapters/posix/log_spdlog.h; the simulator's trace.
class Log {
 public:
  virtual ~Log() = default;

  // `event` is a short constant sentence; everything that varies is a field.
  virtual void write(LogLevel level, std::string_view event, const LogFields& fields) = 0;

  void debug(std::string_view event, const LogFields& fields = {}) {
    write(LogLevel::Debug, event, fields);
  }
  void info(std::string_view event, const LogFields& fields = {}) {
    write(LogLevel::Info, event, fields);
  }
  void warning(std::string_view event, const LogFields& fields = {}) {
    write(LogLevel::Warning, event, fields);
  }
  void error(std::string_view event, const LogFields& fields = {}) {
    write(LogLevel::Error, event, fields);
  }
};

}  // namespace vxmesh
