#include "sim/cli/isolated_run.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <new>
#include <system_error>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/output.h"
#include "sim/cli/sweep_result.h"
#include "sim/cli/worker_pool.h"

namespace vxmesh::cli {
namespace {

// A run may last as long as it likes: whoever has started it alone can see how far it is.
constexpr Duration kLimit = Duration::max();

// How far a run is: written by its process, read by this one.
class SharedProgress {
 public:
  SharedProgress()
      : page_(mmap(nullptr, sizeof(Times), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                   0)) {
    if (is_there()) {
      times_ = new (page_) Times;
    }
  }
  ~SharedProgress() {
    if (is_there()) {
      munmap(page_, sizeof(Times));
    }
  }
  SharedProgress(const SharedProgress&) = delete;
  SharedProgress& operator=(const SharedProgress&) = delete;

  [[nodiscard]] bool is_there() const { return page_ != MAP_FAILED; }

  void tell(MonotonicTime now, MonotonicTime converged) const {
    times_->converged_ns = converged.since_start.count();
    times_->now_ns = now.since_start.count();
  }
  [[nodiscard]] MonotonicTime now() const { return {Duration(times_->now_ns.load())}; }
  [[nodiscard]] MonotonicTime converged() const { return {Duration(times_->converged_ns.load())}; }

 private:
  struct Times {
    std::atomic<std::int64_t> now_ns{0};
    std::atomic<std::int64_t> converged_ns{0};
  };
  static_assert(std::atomic<std::int64_t>::is_always_lock_free, "processes share no locks");

  void* page_;
  Times* times_ = nullptr;
};

FinishedRun crashed(const SharedProgress& progress, const std::string& death, Duration real) {
  FinishedRun finished{.outcome = {.violation = crash(death),
                                   .converged = progress.converged(),
                                   .end = progress.now()},
                       .real = real};
  finished.outcome.violation->time = finished.outcome.end;
  return finished;
}

Result<FinishedRun> finished_run(const WorkerPool::Finished& done, const SharedProgress& progress,
                                 Duration real) {
  if (!done.death.empty()) {
    return crashed(progress, done.death, real);
  }
  return decode(done.line).map([](RunResult result) {
    return FinishedRun{.outcome = std::move(result.outcome), .real = result.real};
  });
}

}  // namespace

Violation crash(const std::string& death) {
  return {.oracle = "crash", .what = "the run does not end", .detail = death};
}

bool is_crash(const std::optional<Violation>& violation) {
  return violation && violation->oracle == crash("").oracle;
}

Result<FinishedRun> execute_isolated(const Scenario& scenario, const SimulationOptions& options,
                                     std::optional<MonotonicTime> until, bool shows_progress) {
  const SharedProgress progress;
  if (!progress.is_there()) {
    return fail(ErrorCode::Environment,
                "cannot share memory with a worker: " + std::generic_category().message(errno));
  }
  const ClockPosix clock;
  const MonotonicTime begin = clock.monotonic();
  const auto work = [&](std::uint64_t /*job*/) {
    const FinishedRun finished =
        execute(scenario, options, until,
                [&](MonotonicTime now, MonotonicTime converged) { progress.tell(now, converged); });
    return encode(RunResult{.outcome = finished.outcome, .probes = {}, .real = finished.real});
  };
  const ProgressLine shown;
  const auto done = run_alone(work, kLimit, clock, [&] {
    const Duration simulated = progress.now().since_start;
    if (shows_progress) {
      shown.show(format_seconds(simulated) + " of virtual time, " +
                 ratio(simulated, clock.monotonic() - begin) + " times real time");
    }
    return true;
  });
  shown.clear();
  if (!done) {
    return tl::unexpected(done.error());
  }
  return finished_run(done->value(), progress, clock.monotonic() - begin);
}

}  // namespace vxmesh::cli
