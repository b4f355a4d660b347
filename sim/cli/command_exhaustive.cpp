// One scenario, again for every point at which something can be injected.
#include <unistd.h>

#include <boost/json.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/commands.h"
#include "sim/cli/output.h"
#include "sim/cli/planned_run.h"
#include "sim/cli/violation_json.h"
#include "sim/cli/worker_pool.h"
#include "sim/cluster/exhaustive.h"

namespace vxmesh::cli {
namespace {

namespace json = boost::json;

// Points that a worker runs before it reports: enough for its line to cost nothing.
constexpr std::uint64_t kPointsAJob = 16;
// Real time that one of them may take.
constexpr Duration kLimit = std::chrono::minutes(10);

std::string encode(const SweepReport& report) {
  json::array failures;
  for (const SweepFailure& failure : report.failures) {
    failures.push_back(json::object{{"injection", format(failure.injection)},
                                    {"violation", violation_json(failure.violation)}});
  }
  return json::serialize(json::object{{"run", report.run},
                                      {"inside_batches", report.inside_batches},
                                      {"failures", std::move(failures)}});
}

// Requires: encode() has written it.
SweepReport decode(const std::string& line) {
  const json::value read = json::parse(line);
  const json::object& object = read.as_object();
  SweepReport report{.run = object.at("run").to_number<std::size_t>(),
                     .inside_batches = object.at("inside_batches").to_number<std::size_t>()};
  for (const json::value& failure : object.at("failures").as_array()) {
    report.failures.push_back(
        {.injection = parse_injection(std::string(failure.at("injection").as_string())).value(),
         .violation = violation_of(failure.at("violation")).value()});
  }
  return report;
}

class ExhaustiveSweep {
 public:
  ExhaustiveSweep(const Scenario& scenario, const ExhaustiveOptions& options, unsigned jobs)
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
    const std::uint64_t jobs = plan_.violation ? 0 : shares_;
    const auto done = pool_.run_all(jobs, [&](const WorkerPool::Finished& finished) {
      take(finished, sum);
      show(sum);
    });
    if (shows_) {
      std::cerr << "\r\033[K" << std::flush;
    }
    return done.map([&] { return sum; });
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
    sum = merged(std::move(sum), decode(finished.line));
  }

  void show(const SweepReport& sum) const {
    if (shows_) {
      std::cerr << "\r" << sum.run << " of " << sum.planned << " points, " << sum.failures.size()
                << " failed\033[K" << std::flush;
    }
  }

  const Scenario scenario_;
  const ExhaustiveOptions options_;
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
    const auto report = sweep.run();
    if (!report) {
      return complain(report.error());
    }
    std::cout << file << ": " << format(*report, file, flags.seed) << std::endl;
    failed = failed || report->violation || !report->failures.empty();
  }
  return failed ? kFailed : kPass;
}

}  // namespace vxmesh::cli
