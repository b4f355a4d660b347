// What every command of vxmesh-sim prints alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "sim/check/violation.h"

namespace vxmesh::cli {

// Of every program of the project.
enum ExitStatus : int { kPass = 0, kFailed = 1, kUsage = 2 };

// A sentence on standard error; gives the status.
int complain(const std::string& sentence, ExitStatus status);
// Likewise; what was given is wrong, or the machine has failed.
int complain(const Error& error);

// "passed" or "failed (safety)"; coloured if standard output is a terminal.
[[nodiscard]] std::string verdict_of(const std::optional<Violation>& violation);

// "12.3": integers only, rounded down; of nothing: 0.
[[nodiscard]] std::string quotient(std::uint64_t part, std::uint64_t whole);
// How many in a second.
[[nodiscard]] std::uint64_t per_second(std::uint64_t count, Duration time);
// "12.345s", also negative.
[[nodiscard]] std::string format_seconds(Duration time);
[[nodiscard]] std::string format_hash(std::uint64_t hash);
// "failed (safety): the rule: the sentence, at 12.345s", the time counted from `begin`.
[[nodiscard]] std::string format_violation(const Violation& violation, MonotonicTime begin);

// As a shell reads it back: of a path in a command that is printed.
[[nodiscard]] std::string shell_word(const std::string& text);

// The commit that this program was built from; "-dirty" behind it if not only from that.
[[nodiscard]] std::string commit();

// Whole files. Errors name them.
[[nodiscard]] Result<std::string> read_file(const std::string& path);
[[nodiscard]] Result<void> write_file(const std::string& path, const std::string& text);

}  // namespace vxmesh::cli
