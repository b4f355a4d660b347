#include <sys/resource.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/commands.h"
#include "sim/cli/interruption.h"
#include "sim/cli/output.h"
#include "sim/cli/worker_pool.h"
#include "sim/scenario/pretty_json.h"
#include "sim/scenario/text.h"

namespace vxmesh::cli {
namespace {

namespace json = boost::json;

// Real time that one group may take.
constexpr Duration kLimit = std::chrono::hours(1);

struct Measured {
  LargeClusterOutcome outcome;
  std::uint64_t groups = 0;  // that were simulated
  std::uint64_t planned = 0;
  Duration real{};
  std::uint64_t rss_mib = 0;  // of the largest process
};

std::uint64_t peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) / 1024;  // of KiB
}

json::object numbers(const LargeClusterOutcome& outcome) {
  return {{"deviation", outcome.deviation},   {"end_ns", outcome.end.since_start.count()},
          {"events", outcome.events},         {"status_writes", outcome.writes},
          {"joins", outcome.joins},           {"leaves", outcome.leaves},
          {"deliveries", outcome.deliveries}, {"operations", outcome.operations}};
}

// One line of text, from one process to another.
std::string encode(const LargeClusterOutcome& outcome) {
  json::object object = numbers(outcome);
  object["hash"] = outcome.hash;
  object["rss_mib"] = peak_rss_mib();
  return json::serialize(object);
}

// Requires: encode() has written it.
Measured decode(const std::string& line) {
  const json::value read = json::parse(line);
  const json::object& object = read.as_object();
  const auto number = [&](const char* key) { return object.at(key).to_number<std::uint64_t>(); };
  return {.outcome = {.deviation = std::string(object.at("deviation").as_string()),
                      .end = MonotonicTime{Duration(object.at("end_ns").to_number<std::int64_t>())},
                      .hash = number("hash"),
                      .events = number("events"),
                      .writes = number("status_writes"),
                      .joins = number("joins"),
                      .leaves = number("leaves"),
                      .deliveries = number("deliveries"),
                      .operations = number("operations")},
          .rss_mib = number("rss_mib")};
}

Result<Measured> measure(const LargeClusterOptions& options, unsigned jobs) {
  const ClockPosix clock;
  const ProgressLine progress;
  const MonotonicTime begin = clock.monotonic();
  std::vector<LargeClusterOutcome> groups;
  Measured measured{.planned = group_count(options)};
  std::map<std::uint64_t, LargeClusterOutcome> done;  // in order of their numbers
  std::string death;
  WorkerPool pool(
      jobs,
      [&](std::uint64_t group) {
        return encode(run_large_cluster(options, static_cast<std::uint32_t>(group)));
      },
      kLimit, clock);
  const auto ran = pool.run_all(
      measured.planned,
      [&](const WorkerPool::Finished& finished) {
        if (!finished.death.empty()) {
          death = finished.death;
          return;
        }
        const Measured one = decode(finished.line);
        done.emplace(finished.job, one.outcome);
        measured.rss_mib = std::max(measured.rss_mib, one.rss_mib);
        progress.show(std::to_string(done.size()) + " of " + counted(measured.planned, "group") +
                      " of agents");
      },
      [] { return interruption() == 0; });
  progress.clear();
  if (!ran) {
    return tl::unexpected(ran.error());
  }
  if (!death.empty()) {
    return fail(ErrorCode::Environment, "a group of agents was not simulated to its end: " + death);
  }
  groups.reserve(done.size());
  for (const auto& [number, outcome] : done) {
    groups.push_back(outcome);
  }
  measured.groups = groups.size();
  measured.outcome = merged(groups);
  measured.real = clock.monotonic() - begin;
  return measured;
}

// What it is that has not passed; nothing if it has.
std::optional<Violation> bench_failure(const Measured& measured) {
  if (!measured.outcome.deviation.empty()) {
    return Violation{.oracle = "liveness"};
  }
  return measured.groups < measured.planned ? std::optional(Violation{.oracle = "interrupted"})
                                            : std::nullopt;
}

std::string bench_flags(const BenchFlags& flags) {
  const BenchFlags usual;
  const LargeClusterOptions& options = flags.options;
  std::string text;
  const auto add = [&](const char* name, const auto& value, const auto& value_if_left_out,
                       const std::string& written) {
    text += value == value_if_left_out ? "" : std::string(" ") + name + " " + written;
  };
  add("--seed", options.seed, usual.options.seed, std::to_string(options.seed));
  add("--nodes", options.nodes, usual.options.nodes, std::to_string(options.nodes));
  add("--agents", options.agents, usual.options.agents, std::to_string(options.agents));
  add("--together", options.together, usual.options.together, std::to_string(options.together));
  add("--for", options.lasts, usual.options.lasts, format_time(options.lasts));
  add("--resync", options.resync_interval, usual.options.resync_interval,
      format_time(options.resync_interval));
  add("--jobs", flags.jobs, usual.jobs, std::to_string(flags.jobs));
  return text;
}

std::string first_line(const BenchFlags& flags) {
  const LargeClusterOptions& options = flags.options;
  return "vxmesh-sim: bench, seed " + std::to_string(options.seed) + ", commit " + commit() + ", " +
         counted(options.nodes, "node") + ", " + counted(options.agents, "agent") + " by " +
         std::to_string(options.together) + ", for " + format_time(options.lasts) + ", resync " +
         format_time(options.resync_interval) + ", " + counted(flags.jobs, "job");
}

// Behind all: the verdict, figures of all groups together, and the command again.
std::string last_line(const BenchFlags& flags, const Measured& measured) {
  const LargeClusterOutcome& outcome = measured.outcome;
  const Duration simulated = flags.options.lasts * static_cast<std::int64_t>(measured.groups);
  return "bench: " + verdict_of(bench_failure(measured)) +
         " groups=" + std::to_string(measured.groups) + " virtual=" + format_seconds(simulated) +
         " ratio=" + ratio(simulated, measured.real) +
         " events/s=" + std::to_string(per_second(outcome.events, measured.real)) +
         " hash=" + format_hash(outcome.hash) + " again: vxmesh-sim bench" + bench_flags(flags);
}

json::object bench_json(const BenchFlags& flags, const Measured& measured) {
  const LargeClusterOutcome& outcome = measured.outcome;
  json::object object = numbers(outcome);
  object["seed"] = flags.options.seed;
  object["commit"] = commit();
  object["nodes"] = flags.options.nodes;
  object["agents"] = flags.options.agents;
  object["together"] = flags.options.together;
  object["jobs"] = flags.jobs;
  object["resync_ns"] = flags.options.resync_interval.count();
  const auto failure = bench_failure(measured);
  object["verdict"] = failure ? "failed (" + failure->oracle + ")" : "passed";
  object["again"] = "vxmesh-sim bench" + bench_flags(flags);
  object["groups"] = measured.groups;
  object["groups_planned"] = measured.planned;
  object["virtual_ns"] = flags.options.lasts.count();
  object["real_ns"] = measured.real.count();
  object["rss_mib"] = measured.rss_mib;
  object["hash"] = format_hash(outcome.hash);
  return object;
}

}  // namespace

int bench(const BenchFlags& flags) {
  take_interruptions();
  if (!flags.json) {
    std::cout << first_line(flags) << "\n" << std::flush;
  }
  const auto measured = measure(flags.options, flags.jobs);
  if (!measured) {
    return complain(measured.error());
  }
  const LargeClusterOutcome& outcome = measured->outcome;
  if (flags.json) {
    std::cout << pretty_json(bench_json(flags, *measured));
  } else {
    std::cout << "the start and " << format_seconds(flags.options.lasts) << " of virtual time in "
              << format_seconds(measured->real) << "\n"
              << "deliveries=" << outcome.deliveries << " status-writes=" << outcome.writes
              << " joins=" << outcome.joins << " leaves=" << outcome.leaves
              << " operations=" << outcome.operations << " rss=" << measured->rss_mib
              << "MiB a process\n"
              << (outcome.deviation.empty() ? "every kernel equals the reference model"
                                            : "not as the API says: " + outcome.deviation)
              << "\n"
              << last_line(flags, *measured) << "\n";
  }
  if (measured->groups < measured->planned) {
    return interrupted_status();
  }
  return outcome.deviation.empty() ? kPass : kFailed;
}

}  // namespace vxmesh::cli
