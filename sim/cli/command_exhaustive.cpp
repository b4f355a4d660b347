// One scenario, again for every point at which something can be injected.
#include <unistd.h>

#include <boost/json.hpp>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/commands.h"
#include "sim/cli/output.h"
#include "sim/cli/planned_run.h"
#include "sim/cli/violation_json.h"
#include "sim/cli/worker_pool.h"
#include "sim/cluster/exhaustive.h"
#include "sim/scenario/pretty_json.h"

namespace vxmesh::cli {
namespace {

namespace json = boost::json;

// Points that a worker runs before it reports: enough for its line to cost nothing.
constexpr std::uint64_t kPointsAJob = 16;
// Real time that one of them may take.
constexpr Duration kLimit = std::chrono::minutes(10);

json::object failure_json(const SweepFailure& failure) {
  return {{"injection", format(failure.injection)},
          {"violation", violation_json(failure.violation)}};
}

std::string encode(const SweepReport& report) {
  json::array failures;
  for (const SweepFailure& failure : report.failures) {
    failures.push_back(failure_json(failure));
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

std::string again(const ExhaustiveFlags& flags) {
  std::string command = " again: vxmesh-sim sweep --exhaustive";
  for (const std::string& file : flags.files) {
    command += " " + shell_word(file);
  }
  command += flags.seed == 1 ? "" : " --seed " + std::to_string(flags.seed);
  return command + (flags.only.empty() ? "" : " --only " + flags.only);
}

// Sweeps of files, as text or as one JSON object.
class Reports {
 public:
  explicit Reports(const ExhaustiveFlags& flags) : flags_(flags) {
    if (!flags_.json) {
      std::cout << "vxmesh-sim: sweep --exhaustive, seed " << flags_.seed << ", commit " << commit()
                << ", files: " << flags_.files.size() << std::endl;
    }
  }

  void take(const std::string& file, const SweepReport& report) {
    points_ += report.run;
    failed_points_ += report.failures.size();
    failed_files_ += report.violation || !report.failures.empty() ? 1U : 0U;
    if (flags_.json) {
      files_.push_back(file_json(file, report));
    } else {
      std::cout << file << ": " << format(report, shell_word(file), flags_.seed) << std::endl;
    }
  }

  // Behind the last of them.
  int finish() const {
    if (flags_.json) {
      std::cout << pretty_json(json::object{{"commit", commit()},
                                            {"seed", flags_.seed},
                                            {"verdict", failed_files_ == 0 ? "passed" : "failed"},
                                            {"files", files_},
                                            {"points", points_},
                                            {"failed_points", failed_points_},
                                            {"failed_files", failed_files_}});
    } else {
      const auto verdict = failed_files_ == 0 ? std::optional<Violation>()
                                              : std::optional(Violation{.oracle = "exhaustive"});
      std::cout << "sweep: " << verdict_of(verdict) << " files=" << flags_.files.size()
                << " points=" << points_ << " failed=" << failed_points_
                << " failed-files=" << failed_files_ << again(flags_) << std::endl;
    }
    return failed_files_ > 0 ? kFailed : kPass;
  }

 private:
  static json::object file_json(const std::string& file, const SweepReport& report) {
    json::array failures;
    for (const SweepFailure& failure : report.failures) {
      failures.push_back(failure_json(failure));
    }
    json::object object{{"file", file},
                        {"points", report.run},
                        {"points_of_all_kinds", report.all},
                        {"inside_batches", report.inside_batches},
                        {"failures", std::move(failures)}};
    if (report.violation) {
      object["without_injection"] = violation_json(*report.violation);
    }
    return object;
  }

  const ExhaustiveFlags& flags_;
  json::array files_;
  std::uint64_t points_ = 0;
  std::uint64_t failed_points_ = 0;
  std::uint64_t failed_files_ = 0;
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
  if (!outcome.injected && !outcome.violation) {
    return complain(
        flags.files.front() + ": has no point " + flags.only + "; the run ends before it", kUsage);
  }
  if (outcome.violation) {
    std::cout << format_violation(*outcome.violation, outcome.converged) << "\n";
  }
  std::cout << "sweep: " << format(*injection) << " " << verdict_of(outcome.violation)
            << " hash=" << format_hash(outcome.hash) << again(flags) << "\n";
  return outcome.violation ? kFailed : kPass;
}

}  // namespace

int sweep_points(const ExhaustiveFlags& flags) {
  if (!flags.only.empty()) {
    return sweep_point(flags);
  }
  std::vector<Scenario> scenarios;  // a mistake in the last file shows at once
  for (const std::string& file : flags.files) {
    auto planned = run_of_file(file, {});
    if (!planned) {
      return complain(planned.error());
    }
    scenarios.push_back(std::move(planned->scenario));
  }
  Reports reports(flags);
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    ExhaustiveSweep sweep(scenarios[i], {.seed = flags.seed}, flags.jobs);
    const auto report = sweep.run();
    if (!report) {
      return complain(report.error());
    }
    reports.take(flags.files[i], *report);
  }
  return reports.finish();
}

}  // namespace vxmesh::cli
