#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/commands.h"
#include "sim/cli/output.h"
#include "sim/cli/worker_pool.h"
#include "sim/scenario/pretty_json.h"

namespace vxmesh::cli {
namespace {

namespace json = boost::json;

// Real time that one group may take.
constexpr Duration kLimit = std::chrono::hours(1);

struct Measured {
  LargeClusterOutcome outcome;
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
  const bool shows = isatty(STDERR_FILENO) != 0;
  const MonotonicTime begin = clock.monotonic();
  const std::uint64_t count = group_count(options);
  std::vector<LargeClusterOutcome> groups(count);
  Measured measured;
  std::string death;
  std::uint64_t done = 0;
  WorkerPool pool(
      jobs,
      [&](std::uint64_t group) {
        return encode(run_large_cluster(options, static_cast<std::uint32_t>(group)));
      },
      kLimit, clock);
  const auto ran = pool.run_all(count, [&](const WorkerPool::Finished& finished) {
    ++done;
    if (shows) {
      std::cerr << "\r" << done << " of " << count << " groups of agents\033[K" << std::flush;
    }
    if (finished.death.empty()) {
      const Measured one = decode(finished.line);
      groups.at(finished.job) = one.outcome;
      measured.rss_mib = std::max(measured.rss_mib, one.rss_mib);
    } else {
      death = finished.death;
    }
  });
  if (shows) {
    std::cerr << "\r\033[K" << std::flush;
  }
  if (!ran) {
    return tl::unexpected(ran.error());
  }
  if (!death.empty()) {
    return fail(ErrorCode::Environment, "a group of agents was not simulated to its end: " + death);
  }
  measured.outcome = merged(groups);
  measured.real = clock.monotonic() - begin;
  return measured;
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
  object["verdict"] = outcome.deviation.empty() ? "passed" : "failed";
  object["virtual_ns"] = flags.options.lasts.count();
  object["real_ns"] = measured.real.count();
  object["rss_mib"] = measured.rss_mib;
  object["hash"] = format_hash(outcome.hash);
  return object;
}

}  // namespace

int bench(const BenchFlags& flags) {
  const auto measured = measure(flags.options, flags.jobs);
  if (!measured) {
    return complain(measured.error());
  }
  const LargeClusterOutcome& outcome = measured->outcome;
  if (flags.json) {
    std::cout << pretty_json(bench_json(flags, *measured));
  } else {
    std::cout << flags.options.nodes << " nodes, " << flags.options.agents << " agents by "
              << flags.options.together << ": the start and " << format_seconds(flags.options.lasts)
              << " of virtual time in " << format_seconds(measured->real) << "\n"
              << "deliveries=" << outcome.deliveries << " status-writes=" << outcome.writes
              << " joins=" << outcome.joins << " leaves=" << outcome.leaves
              << " operations=" << outcome.operations << " rss=" << measured->rss_mib
              << "MiB a process hash=" << format_hash(outcome.hash) << "\n"
              << (outcome.deviation.empty() ? "every kernel equals the reference model"
                                            : "failed (liveness): " + outcome.deviation)
              << "\n";
  }
  return outcome.deviation.empty() ? kPass : kFailed;
}

}  // namespace vxmesh::cli
