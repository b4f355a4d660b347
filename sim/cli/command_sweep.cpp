#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/commands.h"
#include "sim/cli/interruption.h"
#include "sim/cli/isolated_run.h"
#include "sim/cli/output.h"
#include "sim/cli/planned_run.h"
#include "sim/cli/sweep_report.h"
#include "sim/cli/worker_pool.h"
#include "sim/scenario/text.h"

namespace vxmesh::cli {
namespace {

using std::chrono::milliseconds;

// Real time that the longest run may take; what takes longer does not end.
constexpr Duration kLimit = std::chrono::minutes(10);

class Sweep {
 public:
  explicit Sweep(const SweepOptions& options)
      : options_(options),
        begin_(clock_.monotonic()),
        sum_(options.first.faults),
        pool_(
            options.jobs, [this](std::uint64_t index) { return work(index); }, kLimit, clock_) {}

  // An error is a failure of the machine.
  Result<void> run() {
    while (interruption() == 0 && (wants_more() || !pool_.is_idle())) {
      while (wants_more() && pool_.has_free()) {
        if (auto started = pool_.start(next_++); !started) {
          return started;
        }
      }
      for (const WorkerPool::Finished& finished : pool_.wait(milliseconds(200))) {
        if (auto taken = take(finished); !taken) {
          return taken;
        }
      }
      add_in_order();
      show();
    }
    clear();
    return {};
  }

  [[nodiscard]] const SweepSum& sum() const { return sum_; }
  [[nodiscard]] Duration real() const { return clock_.monotonic() - begin_; }

 private:
  [[nodiscard]] std::string work(std::uint64_t index) const {
    return encode(run_and_count(options_.of_run(index), is_run_twice(index)));
  }

  [[nodiscard]] bool wants_more() const {
    const bool has_time = !options_.time || real() < *options_.time;
    const bool has_runs = !options_.runs || next_ < *options_.runs;
    return has_time && has_runs && !last_;
  }

  Result<void> take(const WorkerPool::Finished& finished) {
    RunResult result;
    if (finished.death.empty()) {
      auto decoded = decode(finished.line);
      if (!decoded) {
        return tl::unexpected(decoded.error());
      }
      result = std::move(*decoded);
    } else {
      result.outcome.violation = crash(finished.death);
    }
    if (result.outcome.violation && options_.stop_at_first) {
      // Runs of smaller seeds go on: which failure is the first does not depend on who is faster.
      last_ = std::min(last_.value_or(finished.job), finished.job);
      pool_.cancel_after(*last_);
    }
    waiting_.emplace(finished.job, std::move(result));
    return {};
  }

  void add_in_order() {
    for (auto first = waiting_.begin(); first != waiting_.end() && first->first == added_;
         first = waiting_.begin()) {
      if (!last_ || added_ <= *last_) {
        sum_.add(options_.of_run(added_).seed, first->second);
      }
      ++added_;
      waiting_.erase(first);
    }
  }

  void show() const {
    if (shows_) {
      std::cerr << "\r" << sum_.runs().size()
                << (options_.runs ? " of " + std::to_string(*options_.runs) : "") << " runs, "
                << sum_.failures().size() << " failed, "
                << quotient(sum_.runs().size() * 1'000'000'000,
                            static_cast<std::uint64_t>(real().count()))
                << " runs/s\033[K" << std::flush;
    }
  }
  void clear() const {
    if (shows_) {
      std::cerr << "\r\033[K" << std::flush;
    }
  }

  const SweepOptions options_;
  const ClockPosix clock_;
  const MonotonicTime begin_;
  const bool shows_ = isatty(STDERR_FILENO) != 0;
  SweepSum sum_;
  WorkerPool pool_;
  std::uint64_t next_ = 0;
  std::uint64_t added_ = 0;
  std::optional<std::uint64_t> last_;           // no run after this one counts
  std::map<std::uint64_t, RunResult> waiting_;  // for runs before them
};

std::string first_line(const SweepOptions& options) {
  const SwarmOptions& swarm = options.first;
  return "vxmesh-sim: sweep, seed " + std::to_string(swarm.seed) + ", commit " + commit() + ", " +
         (options.runs ? std::to_string(*options.runs) + " runs, " : "") +
         (options.time ? "for " + format_time(*options.time) + ", " : "") +
         std::to_string(options.jobs) + " jobs, " + std::to_string(swarm.nodes) + " nodes, " +
         std::to_string(swarm.pods) + " pods, steps for " + format_time(swarm.lasts) + ", faults " +
         format(swarm.faults);
}

int status_of(const SweepSum& sum) {
  if (!sum.failures().empty()) {
    return kFailed;
  }
  if (sum.runs().empty()) {
    return complain("nothing ran", kUsage);
  }
  const std::vector<std::string> lacking = lacking_rows(sum);
  for (const std::string& row : lacking) {
    (void)complain(row, kUsage);
  }
  return lacking.empty() ? kPass : kUsage;
}

}  // namespace

int sweep(const SweepFlags& flags) {
  take_interruptions();
  if (!flags.junit.empty()) {  // better now than when all has been run
    if (const auto writable = write_file(flags.junit, ""); !writable) {
      return complain(writable.error().context, kUsage);
    }
  }
  if (!flags.json) {
    std::cout << first_line(flags.options) << "\n" << std::flush;
  }
  Sweep sweep(flags.options);
  if (const auto done = sweep.run(); !done) {
    return complain(done.error());
  }
  const SweepSum& sum = sweep.sum();
  const Duration real = sweep.real();
  if (!flags.junit.empty()) {
    if (const auto written = write_file(flags.junit, sweep_junit(sum, flags.options, real));
        !written) {
      return complain(written.error());
    }
  }
  const bool whole = interruption() == 0;
  if (flags.json) {
    std::cout << sweep_json(sum, flags.options, real, whole);
  } else {
    std::cout << sweep_table(sum, flags.options) << sweep_line(sum, flags.options, real, whole)
              << "\n";
  }
  return interruption() != 0 ? interrupted_status() : status_of(sum);
}

}  // namespace vxmesh::cli
