// Result<T>: a value, or an Error that says what failed, where, and what to do about it.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace vxmesh {

// An error code exists only where some code reacts to it in its own way.
enum class ErrorCode {
  InvalidInput,  // text, flag, object or message that cannot be what it claims to be
  Environment,   // the kernel, the API server or the file system refused or failed
  Overrun,       // a receive buffer lost messages: redump
  Interrupted,   // a dump was inconsistent (NLM_F_DUMP_INTR): repeat it
  NoPermission,  // a capability or a permission is missing
};

struct Error {
  ErrorCode code = ErrorCode::Environment;
  std::string context;  // one sentence for a person: what, where, what to do

  friend bool operator==(const Error&, const Error&) = default;
};

template <typename T>
using Result = tl::expected<T, Error>;

// Shorthand for returning an error from a function that gives a Result.
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string context) {
  return tl::unexpected<Error>(Error{.code = code, .context = std::move(context)});
}

}  // namespace vxmesh
