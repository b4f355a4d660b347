#include <sys/resource.h>

#include <boost/json/object.hpp>
#include <iostream>

#include "adapters/posix/clock_posix.h"
#include "sim/cli/commands.h"
#include "sim/cli/output.h"
#include "sim/scenario/pretty_json.h"

namespace vxmesh::cli {
namespace {

namespace json = boost::json;

struct Measured {
  LargeClusterOutcome outcome;
  Duration start{};  // real time: until all is programmed for the first time
  Duration churn{};  // real time: from then on, with the comparison at the end
  std::uint64_t rss_mib = 0;
};

Measured measure(const LargeClusterOptions& options) {
  ClockPosix clock;
  const MonotonicTime begin = clock.monotonic();
  MonotonicTime started = begin;
  Measured measured;
  measured.outcome = run_large_cluster(options, [&] { started = clock.monotonic(); });
  measured.start = started - begin;
  measured.churn = clock.monotonic() - started;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  measured.rss_mib = static_cast<std::uint64_t>(usage.ru_maxrss) / 1024;  // of KiB
  return measured;
}

json::object bench_json(const LargeClusterOptions& options, const Measured& measured) {
  const LargeClusterOutcome& outcome = measured.outcome;
  return {{"seed", options.seed},
          {"commit", commit()},
          {"nodes", options.nodes},
          {"agents", options.agents},
          {"resync_ns", options.resync_interval.count()},
          {"verdict", outcome.deviation.empty() ? "passed" : "failed"},
          {"deviation", outcome.deviation},
          {"virtual_ns", options.lasts.count()},
          {"start_ns", measured.start.count()},
          {"real_ns", measured.churn.count()},
          {"deliveries", outcome.deliveries},
          {"status_writes", outcome.writes},
          {"joins", outcome.joins},
          {"leaves", outcome.leaves},
          {"operations", outcome.operations},
          {"events", outcome.events},
          {"rss_mib", measured.rss_mib},
          {"hash", format_hash(outcome.hash)}};
}

}  // namespace

int bench(const BenchFlags& flags) {
  const Measured measured = measure(flags.options);
  const LargeClusterOutcome& outcome = measured.outcome;
  if (flags.json) {
    std::cout << pretty_json(bench_json(flags.options, measured));
  } else {
    std::cout << flags.options.nodes << " nodes, " << flags.options.agents << " agents, start "
              << format_seconds(measured.start) << ", then " << format_seconds(flags.options.lasts)
              << " of virtual time in " << format_seconds(measured.churn) << "\n"
              << "deliveries=" << outcome.deliveries << " status-writes=" << outcome.writes
              << " joins=" << outcome.joins << " leaves=" << outcome.leaves
              << " operations=" << outcome.operations << " rss=" << measured.rss_mib
              << "MiB hash=" << format_hash(outcome.hash) << "\n"
              << (outcome.deviation.empty() ? "every kernel equals the reference model"
                                            : "failed (liveness): " + outcome.deviation)
              << "\n";
  }
  return outcome.deviation.empty() ? kPass : kFailed;
}

}  // namespace vxmesh::cli
