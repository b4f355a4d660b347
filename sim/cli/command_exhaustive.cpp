// One scenario, again for every point at which something can be injected.
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/commands.h"
#include "sim/cli/output.h"
#include "sim/cli/planned_run.h"
#include "sim/cli/worker_pool.h"
#include "sim/cluster/exhaustive.h"

namespace vxmesh::cli {
namespace {

using std::chrono::milliseconds;
using Exhaustive = vxmesh::SweepOptions;

// Points that a worker runs before it reports: enough for its line to cost nothing.
constexpr std::uint64_t kPointsAJob = 16;
// Real time that one of them may take.
constexpr Duration kLimit = std::chrono::minutes(10);

std::string encode(const SweepReport& report) {
  std::string line = std::to_string(report.run) + " " + std::to_string(report.inside_batches);
  for (const SweepFailure& failure : report.failures) {
    // Between tabs, because sentences have spaces and neither has tabs nor line breaks.
    line += "\t" + format(failure.injection) + "\t" + failure.violation.oracle + "\t" +
            failure.violation.what + "\t" + failure.violation.detail;
  }
  return line;
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t tab = line.find('\t'); tab != std::string::npos; tab = line.find('\t', begin)) {
    parts.push_back(line.substr(begin, tab - begin));
    begin = tab + 1;
  }
  parts.push_back(line.substr(begin));
  return parts;
}

// Requires: encode() has written it.
SweepReport decode(const std::string& line) {
  const std::vector<std::string> parts = split(line);
  SweepReport report;
  const std::size_t space = parts.front().find(' ');
  report.run = std::stoull(parts.front().substr(0, space));
  report.inside_batches = std::stoull(parts.front().substr(space + 1));
  for (std::size_t i = 1; i + 3 < parts.size(); i += 4) {
    report.failures.push_back(
        {.injection = parse_injection(parts[i]).value(),
         .violation = {.oracle = parts[i + 1], .what = parts[i + 2], .detail = parts[i + 3]}});
  }
  return report;
}

class ExhaustiveSweep {
 public:
  ExhaustiveSweep(const Scenario& scenario, const Exhaustive& options, unsigned jobs)
      : scenario_(scenario),
        options_(options),
        plan_(plan_sweep(scenario, options)),
        shares_((plan_.injections.size() + kPointsAJob - 1) / kPointsAJob),
        pool_(
            jobs,
            [this](std::uint64_t share) {
              return encode(run_share(scenario_, options_, plan_, share, shares_));
            },
            kLimit, clock_) {}

  Result<SweepReport> run() {
    SweepReport sum{
        .violation = plan_.violation, .all = plan_.all, .planned = plan_.injections.size()};
    std::uint64_t next = 0;
    while (!plan_.violation && (next < shares_ || !pool_.is_idle())) {
      while (next < shares_ && pool_.has_free()) {
        if (const auto started = pool_.start(next++); !started) {
          return tl::unexpected(started.error());
        }
      }
      for (const WorkerPool::Finished& finished : pool_.wait(milliseconds(200))) {
        take(finished, sum);
        show(sum);
      }
    }
    if (shows_) {
      std::cerr << "\r\033[K" << std::flush;
    }
    return sum;
  }

 private:
  void take(const WorkerPool::Finished& finished, SweepReport& sum) const {
    if (!finished.death.empty()) {
      ++sum.run;  // one of the share; nobody knows which
      sum.failures.push_back(
          {.injection = plan_.injections.at(finished.job),
           .violation = {
               .oracle = "crash", .what = "the run does not end", .detail = finished.death}});
      return;
    }
    const SweepReport part = decode(finished.line);
    sum.run += part.run;
    sum.inside_batches += part.inside_batches;
    sum.failures.insert(sum.failures.end(), part.failures.begin(), part.failures.end());
  }

  void show(const SweepReport& sum) const {
    if (shows_) {
      std::cerr << "\r" << sum.run << " of " << sum.planned << " points, " << sum.failures.size()
                << " failed\033[K" << std::flush;
    }
  }

  const Scenario scenario_;
  const Exhaustive options_;
  const SweepPlan plan_;
  const std::uint64_t shares_;
  const ClockPosix clock_;
  const bool shows_ = isatty(STDERR_FILENO) != 0;
  WorkerPool pool_;
};

// One of them alone.
int sweep_point(const ExhaustiveFlags& flags) {
  const auto injection = parse_injection(flags.only);
  if (!injection || flags.files.size() != 1) {
    return complain("--only names one point of one FILE, such as crash@17", kUsage);
  }
  const auto planned = run_of_file(flags.files.front(), {});
  if (!planned) {
    return complain(planned.error());
  }
  const Outcome outcome = run_injected(planned->scenario, {.seed = flags.seed}, injection);
  if (outcome.violation) {
    std::cout << format_violation(*outcome.violation, outcome.converged) << "\n";
  }
  std::cout << "sweep: " << format(*injection) << " " << verdict_of(outcome.violation)
            << " hash=" << format_hash(outcome.hash) << "\n";
  return outcome.violation ? kFailed : kPass;
}

}  // namespace

int sweep_points(const ExhaustiveFlags& flags) {
  if (!flags.only.empty()) {
    return sweep_point(flags);
  }
  bool failed = false;
  for (const std::string& file : flags.files) {
    const auto planned = run_of_file(file, {});
    if (!planned) {
      return complain(planned.error());
    }
    ExhaustiveSweep sweep(planned->scenario, {.seed = flags.seed}, flags.jobs);
    auto report = sweep.run();
    if (!report) {
      return complain(report.error());
    }
    std::ranges::sort(report->failures, {},
                      [](const SweepFailure& failure) { return failure.injection; });
    std::cout << file << ": " << format(*report, file, flags.seed) << std::endl;
    failed = failed || report->violation || !report->failures.empty();
  }
  return failed ? kFailed : kPass;
}

}  // namespace vxmesh::cli
