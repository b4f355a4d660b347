// What every command of vxmesh-sim prints alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "sim/check/violation.h"

namespace vxmesh::cli {

// Of every program of the project.
enum ExitStatus : int { kPass = 0, kFailed = 1, kUsage = 2 };

// A sentence on standard error, in which control characters are escaped; gives the status.
int complain(const std::string& sentence, ExitStatus status);
// Likewise; what was given is wrong, or the machine has failed.
int complain(const Error& error);

// Likewise, of what ends nothing.
void warn(const std::string& sentence);

// "passed" or "failed (safety)"; coloured if standard output is a terminal, and the environment has
// no NO_COLOR (https://no-color.org).
[[nodiscard]] std::string verdict_of(const std::optional<Violation>& violation);

// "12.3": integers only, rounded down; of nothing: 0.
[[nodiscard]] std::string quotient(std::uint64_t part, std::uint64_t whole);
// How many in a second.
[[nodiscard]] std::uint64_t per_second(std::uint64_t count, Duration time);
// How many times faster than real time, as quotient() says it.
[[nodiscard]] std::string ratio(Duration virtual_time, Duration real);
// "1 run", "2 runs".
[[nodiscard]] std::string counted(std::uint64_t count, const std::string& noun);
// "12.345s", also negative.
[[nodiscard]] std::string format_seconds(Duration time);
[[nodiscard]] std::string format_hash(std::uint64_t hash);
// "failed (safety): the rule: the sentence, at 12.345s", the time counted from `begin`. `file`:
// whose lines violations name.
[[nodiscard]] std::string format_violation(const Violation& violation, MonotonicTime begin,
                                           const std::string& file);

// "n1, n2, n3": the first ten of them. Of none: "none".
[[nodiscard]] std::string joined(const std::vector<std::string>& names);

// As a shell reads it back: of a path in a command that is printed.
[[nodiscard]] std::string shell_word(const std::string& text);

// The commit that this program was built from; "-dirty" behind it if not only from that.
[[nodiscard]] std::string commit();

// A line on standard error that is written over and over, if that is a terminal; else nothing.
class ProgressLine {
 public:
  ProgressLine();

  void show(const std::string& text) const;
  // To be called before anything else is written.
  void clear() const;

 private:
  const bool shows_;
};

// Whole files. Errors name them.
[[nodiscard]] Result<std::string> read_file(const std::string& path);
[[nodiscard]] Result<void> write_file(const std::string& path, const std::string& text);

}  // namespace vxmesh::cli
