// One scenario, again for every point at which something can be injected.

#include <boost/json.hpp>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/commands.h"
#include "sim/cli/interruption.h"
#include "sim/cli/isolated_run.h"
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

// Of one run: what a plan is made of, and what is told of one point.
std::string encode(const Outcome& outcome) {
  json::array inside_batches;
  for (const std::uint64_t index : outcome.points.inside_batches) {
    inside_batches.push_back(index);
  }
  return json::serialize(json::object{{"violation", violation_json(outcome.violation)},
                                      {"converged_ns", outcome.converged.since_start.count()},
                                      {"hash", outcome.hash},
                                      {"injected", outcome.injected},
                                      {"operations", outcome.points.operations},
                                      {"events", outcome.points.events},
                                      {"inside_batches", std::move(inside_batches)}});
}

// Requires: encode() has written it.
Outcome decode_outcome(const std::string& line) {
  const json::value read = json::parse(line);
  const json::object& object = read.as_object();
  Outcome outcome{.violation = violation_of(object.at("violation")),
                  .converged = {Duration(object.at("converged_ns").to_number<std::int64_t>())},
                  .hash = object.at("hash").to_number<std::uint64_t>(),
                  .points = {.operations = object.at("operations").to_number<std::uint64_t>(),
                             .events = object.at("events").to_number<std::uint64_t>()},
                  .injected = object.at("injected").as_bool()};
  for (const json::value& index : object.at("inside_batches").as_array()) {
    outcome.points.inside_batches.insert(index.to_number<std::uint64_t>());
  }
  return outcome;
}

// run_injected() in a process of its own; that it aborts is a violation like others. Nothing if
// this process is told to end.
Result<std::optional<Outcome>> run_isolated(const Scenario& scenario,
                                            const ExhaustiveOptions& options,
                                            const std::optional<Injection>& injection) {
  const ClockPosix clock;
  const ProgressLine progress;
  const auto done = run_alone(
      [&](std::uint64_t /*job*/) { return encode(run_injected(scenario, options, injection)); },
      kLimit, clock,
      [&] {
        progress.show(injection ? format(*injection) : "without injection");
        return interruption() == 0;
      });
  progress.clear();
  if (!done) {
    return tl::unexpected(done.error());
  }
  if (!*done) {
    return std::optional<Outcome>();
  }
  return (*done)->death.empty() ? decode_outcome((*done)->line)
                                : Outcome{.violation = crash((*done)->death)};
}

class ExhaustiveSweep {
 public:
  // `clean`: what came out without injection.
  ExhaustiveSweep(const Scenario& scenario, const ExhaustiveOptions& options, Outcome clean,
                  unsigned jobs)
      : scenario_(scenario),
        options_(options),
        plan_(plan_sweep(std::move(clean), options)),
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
    const auto done = pool_.run_all(
        jobs,
        [&](const WorkerPool::Finished& finished) {
          take(finished, sum);
          progress_.show(std::to_string(sum.run) + " of " + counted(sum.planned, "point") + ", " +
                         std::to_string(sum.failures.size()) + " failed");
        },
        [] { return interruption() == 0; });
    progress_.clear();
    return done.map([&] { return sum; });
  }

 private:
  void take(const WorkerPool::Finished& finished, SweepReport& sum) const {
    if (!finished.death.empty()) {
      ++sum.run;  // one of the share; nobody knows which
      sum.failures.push_back(
          {.injection = plan_.injections.at(finished.job), .violation = crash(finished.death)});
      return;
    }
    sum = merged(std::move(sum), decode(finished.line));
  }

  const Scenario scenario_;
  const ExhaustiveOptions options_;
  const SweepPlan plan_;
  const std::uint64_t shares_;
  const ClockPosix clock_;
  const ProgressLine progress_;
  WorkerPool pool_;
};

std::string again(const ExhaustiveFlags& flags) {
  std::string command = "vxmesh-sim sweep --exhaustive";
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
    ++reported_;
    points_ += report.run;
    failed_points_ += report.failures.size();
    failed_files_ += report.violation || !report.failures.empty() ? 1U : 0U;
    if (flags_.json) {
      files_.push_back(file_json(file, report));
    } else {
      std::cout << file << ": " << format(report, shell_word(file), flags_.seed)
                << (interruption() == 0
                        ? ""
                        : "\n  interrupted: there are " + counted(report.planned, "point"))
                << std::endl;
    }
  }

  // Behind the last of them, or those that there was time for.
  int finish() const {
    const auto verdict = failure();
    const Duration real = clock_.monotonic() - begin_;
    if (flags_.json) {
      std::cout << pretty_json(
          json::object{{"commit", commit()},
                       {"seed", flags_.seed},
                       {"verdict", verdict ? "failed (" + verdict->oracle + ")" : "passed"},
                       {"again", again(flags_)},
                       {"files", files_},
                       {"points", points_},
                       {"failed_points", failed_points_},
                       {"failed_files", failed_files_},
                       {"real_ns", real.count()}});
    } else {
      std::cout << "sweep: " << verdict_of(verdict) << " files=" << reported_
                << " points=" << points_ << " failed=" << failed_points_
                << " failed-files=" << failed_files_ << " rate="
                << quotient(points_ * 1'000'000'000, static_cast<std::uint64_t>(real.count()))
                << " points/s again: " << again(flags_) << std::endl;
    }
    if (interruption() != 0) {
      return interrupted_status();
    }
    return failed_files_ > 0 ? kFailed : kPass;
  }

 private:
  [[nodiscard]] std::optional<Violation> failure() const {
    if (failed_files_ == 0 && interruption() == 0) {
      return std::nullopt;
    }
    return Violation{.oracle = failed_files_ > 0 ? "exhaustive" : "interrupted"};
  }
  static json::object file_json(const std::string& file, const SweepReport& report) {
    json::array failures;
    for (const SweepFailure& failure : report.failures) {
      failures.push_back(failure_json(failure));
    }
    json::object object{{"file", file},
                        {"points", report.run},
                        {"points_planned", report.planned},
                        {"points_of_all_kinds", report.all},
                        {"inside_batches", report.inside_batches},
                        {"failures", std::move(failures)}};
    if (report.violation) {
      object["without_injection"] = violation_json(*report.violation);
    }
    return object;
  }

  const ExhaustiveFlags& flags_;
  const ClockPosix clock_;
  const MonotonicTime begin_ = clock_.monotonic();
  json::array files_;
  std::uint64_t reported_ = 0;
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
  const auto run = run_isolated(planned->scenario, {.seed = flags.seed}, injection);
  if (!run) {
    return complain(run.error());
  }
  const Outcome& outcome = run->value();  // a signal ends this command
  if (!outcome.injected && !outcome.violation) {
    return complain(
        flags.files.front() + ": has no point " + flags.only + "; the run ends before it", kUsage);
  }
  if (outcome.violation) {
    std::cout << format_violation(*outcome.violation, outcome.converged, flags.files.front())
              << "\n";
  }
  std::cout << "sweep: " << format(*injection) << " " << verdict_of(outcome.violation)
            << " hash=" << format_hash(outcome.hash) << " again: " << again(flags) << "\n";
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
  take_interruptions();
  Reports reports(flags);
  for (std::size_t i = 0; i < scenarios.size() && interruption() == 0; ++i) {
    const ExhaustiveOptions options{.seed = flags.seed};
    auto clean = run_isolated(scenarios[i], options, {});
    if (!clean) {
      return complain(clean.error());
    }
    if (!*clean) {
      break;
    }
    ExhaustiveSweep sweep(scenarios[i], options, std::move(**clean), flags.jobs);
    const auto report = sweep.run();
    if (!report) {
      return complain(report.error());
    }
    reports.take(flags.files[i], *report);
  }
  return reports.finish();
}

}  // namespace vxmesh::cli
