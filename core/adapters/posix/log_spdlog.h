// Log records on standard error, through spdlog.
#pragma once

#include <spdlog/common.h>

#include <cstdint>
#include <memory>

#include "base/log.h"

namespace spdlog {
class logger;
}  // namespace spdlog

namespace vxmesh {

enum class LogFormat : std::uint8_t {
  Text,  // 2026-01-02T03:04:05.678Z info node added name=n1 reason="two words"
  Json,  // {"time":"...","level":"info","event":"node added","name":"n1","reason":"two words"}
};

// Contract: one line a record, whatever is in it: control characters are escaped, and bytes that
// are not UTF-8 become U+FFFD, so every Json line is valid. Times are UTC. A field may not be named
// time, level or event. Records below `level` are dropped. Failure: a record that cannot be written
// is lost; nothing throws.
class LogSpdlog : public Log {
 public:
  // Standard error, in colour if it is a terminal and the format is Text.
  LogSpdlog(LogFormat format, LogLevel level);
  // Another sink, for tests.
  LogSpdlog(LogFormat format, LogLevel level, const spdlog::sink_ptr& sink);

  ~LogSpdlog() override;

  void write(LogLevel level, std::string_view event, const LogFields& fields) override;

 private:
  LogFormat format_;
  std::unique_ptr<spdlog::logger> logger_;
};

}  // namespace vxmesh
