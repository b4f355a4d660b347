// Small texts of the Kubernetes API: Status objects, Retry-After, timestamps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace vxmesh {

// What this project reads of a meta/v1 Status object.
struct ApiStatus {
  std::uint16_t code = 0;  // 0: not given
  std::string reason;
  std::string message;
  std::optional<Duration> retry_after;  // details.retryAfterSeconds, if sane

  friend bool operator==(const ApiStatus&, const ApiStatus&) = default;
};

// Nothing if `body` is not a Status object as a whole (429 bodies are plain text, for example).
[[nodiscard]] std::optional<ApiStatus> parse_status(std::string_view body);

// 0 s to 1 h; nothing for more and for less, which no server means.
[[nodiscard]] std::optional<Duration> sane_retry_after(std::int64_t seconds);
// A Retry-After header: integer seconds as sane_retry_after takes them. HTTP dates, which API
// servers do not send, signs and other junk give nothing.
[[nodiscard]] std::optional<Duration> parse_retry_after(std::string_view text);

// "2026-08-22T10:05:00Z", with a fraction (cut off) or an offset if there is one -> seconds since
// 1970. Nothing if malformed or if there is no such date.
[[nodiscard]] std::optional<std::int64_t> parse_timestamp(std::string_view text);

// Seconds since 1970, at most year 9999 -> "2026-08-22T10:05:00Z".
[[nodiscard]] std::string format_timestamp(std::int64_t seconds);

}  // namespace vxmesh
