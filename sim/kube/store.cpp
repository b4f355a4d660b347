#include "sim/kube/store.h"

#include <charconv>

namespace vxmesh {

StoreErrorStatus status_of(StoreError error) {
  switch (error) {
    case StoreError::AlreadyExists:
      return {.code = 409, .reason = "AlreadyExists", .message = "object already exists"};
    case StoreError::NotFound:
      return {.code = 404, .reason = "NotFound", .message = "object not found"};
    case StoreError::Conflict:
      return {.code = 409,
              .reason = "Conflict",
              .message =
                  "the object has been modified; please apply your changes to the latest "
                  "version and try again"};
    case StoreError::Expired:
      return {.code = 410, .reason = "Expired", .message = "too old resource version"};
    case StoreError::ResourceVersionTooLarge:
      // The real server's reason is Timeout; its details name the cause ResourceVersionTooLarge.
      return {.code = 504, .reason = "Timeout", .message = "Too large resource version"};
    case StoreError::BadRequest:
      return {.code = 400,
              .reason = "BadRequest",
              .message = "invalid resourceVersion or continue token"};
  }
  check(false, "every store error has a status");
  return {};
}

StoreResult<std::uint64_t> parse_revision(std::string_view text) {
  std::uint64_t revision = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, revision);
  const bool leading_zero = text.size() > 1 && text.front() == '0';
  if (text.empty() || error != std::errc{} || stop != end || leading_zero) {
    return tl::unexpected(StoreError::BadRequest);
  }
  return revision;
}

std::string format(const ContinueToken& token) {
  return std::to_string(token.revision) + ":" + token.after;
}

StoreResult<ContinueToken> parse_continue_token(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) {
    return tl::unexpected(StoreError::BadRequest);
  }
  const auto revision = parse_revision(text.substr(0, colon));
  if (!revision) {
    return tl::unexpected(revision.error());
  }
  return ContinueToken{.revision = *revision, .after = std::string(text.substr(colon + 1))};
}

}  // namespace vxmesh
