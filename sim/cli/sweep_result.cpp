#include "sim/cli/sweep_result.h"

#include <boost/json.hpp>
#include <cstdlib>

#include "base/probe.h"
#include "sim/cli/output.h"
#include "sim/cli/planned_run.h"
#include "sim/cli/violation_json.h"
#include "sim/world/prng.h"
#include "sim/world/trace.h"

namespace vxmesh::cli {
namespace {

namespace json = boost::json;

// Those that judge runs without a file; a file's expectations are one more.
constexpr const char* kOracles[] = {"blackout", "foreign", "limit", "liveness", "masquerade",
                                    "misses",   "order",   "prune", "quiet",    "safety"};

using Counter = std::uint64_t Outcome::*;
constexpr std::pair<const char*, Counter> kCounters[] = {
    {"hash", &Outcome::hash},
    {"events", &Outcome::events},
    {"sent", &Outcome::sent},
    {"received", &Outcome::received},
    {"api_events", &Outcome::api_events},
    {"served", &Outcome::served},
    {"kernel_events", &Outcome::kernel_events},
    {"operations", &Outcome::operations},
};

template <typename Map>
json::object counts_json(const Map& counts) {
  json::object object;
  for (const auto& [name, count] : counts) {
    object[name] = count;
  }
  return object;
}

template <typename Counts>
Counts counts_of(const json::value& value) {
  Counts counts;
  for (const json::key_value_pair& pair : value.as_object()) {
    counts[std::string(pair.key())] = json::value_to<std::uint64_t>(pair.value());
  }
  return counts;
}

RunResult result_of(const json::object& object) {
  RunResult result;
  Outcome& outcome = result.outcome;
  for (const auto& [name, counter] : kCounters) {
    outcome.*counter = object.at(name).to_number<std::uint64_t>();
  }
  const auto time = [&](const json::object& from, const char* key) {
    return Duration(from.at(key).to_number<std::int64_t>());
  };
  outcome.end = {time(object, "end_ns")};
  outcome.converged = {time(object, "converged_ns")};
  result.real = time(object, "real_ns");
  outcome.judged = counts_of<decltype(outcome.judged)>(object.at("judged"));
  result.probes = counts_of<decltype(result.probes)>(object.at("probes"));
  for (const auto& [name, count] : object.at("effects").as_object()) {
    if (const ActionRule* rule = find_action(std::string(name))) {
      outcome.effects[rule->kind] = count.to_number<std::uint64_t>();
    }
  }
  outcome.violation = violation_of(object.at("violation"));
  return result;
}

// Puts the heap into another state than it was in before the first execution, so that addresses of
// what the second one makes have another order.
class ShuffledHeap {
 public:
  explicit ShuffledHeap(std::uint64_t seed) {
    constexpr std::size_t kBlocks = 20'000;
    constexpr std::uint64_t kLargest = 512;
    Prng drawn(seed);
    for (std::size_t i = 0; i < kBlocks; ++i) {
      blocks_.emplace_back(drawn.between(16, kLargest), '\0');
    }
    for (std::string& block : blocks_) {
      if (drawn.chance(1, 2)) {
        std::string().swap(block);
      }
    }
  }

 private:
  std::vector<std::string> blocks_;
};

}  // namespace

std::string encode(const RunResult& result) {
  const Outcome& outcome = result.outcome;
  json::object object;
  for (const auto& [name, counter] : kCounters) {
    object[name] = outcome.*counter;
  }
  object["end_ns"] = outcome.end.since_start.count();
  object["converged_ns"] = outcome.converged.since_start.count();
  object["real_ns"] = result.real.count();
  object["judged"] = counts_json(outcome.judged);
  object["probes"] = counts_json(result.probes);
  json::object effects;
  for (const auto& [kind, count] : outcome.effects) {
    effects[rule_of(kind).name] = count;
  }
  object["effects"] = std::move(effects);
  object["violation"] = violation_json(outcome.violation);
  return json::serialize(object);
}

Result<RunResult> decode(const std::string& line) {
  try {
    return result_of(json::parse(line).as_object());
  } catch (const std::exception& error) {
    return fail(ErrorCode::Environment, std::string("a worker says nonsense: ") + error.what());
  }
}

RunResult run_and_count(const SwarmOptions& options, bool twice) {
  const PlannedRun run = run_of_seed(options);
  reset_probes();
  const FinishedRun finished = execute(run.scenario, run.options);
  RunResult result{.outcome = finished.outcome, .real = finished.real};
  for (const Probe& probe : probes()) {
    if (probe.hits != 0) {
      result.probes[std::string(probe.name)] = probe.hits;
    }
  }
  if (twice) {
    const ShuffledHeap shuffled(options.seed);
    const FinishedRun again = execute(run.scenario, run.options);
    if (again.outcome.hash != finished.outcome.hash) {
      result.outcome.violation =
          Violation{.oracle = "nondeterminism",
                    .what = "two executions of one seed differ",
                    .detail = "hashes " + format_hash(finished.outcome.hash) + " and " +
                              format_hash(again.outcome.hash),
                    .time = finished.outcome.end};
    }
  }
  return result;
}

void SweepSum::add(std::uint64_t seed, const RunResult& result) {
  const Outcome& outcome = result.outcome;
  Run run{.seed = seed, .real = result.real};
  if (outcome.violation) {
    run.failure = failures_.size();
    failures_.push_back({.seed = seed, .violation = *outcome.violation});
  }
  runs_.push_back(run);
  hash_ = digest(format_hash(hash_) + format_hash(outcome.hash));
  for (const auto& [name, counter] : kCounters) {
    total_.*counter += outcome.*counter;
  }
  total_.end = total_.end + outcome.end.since_start;
  for (const auto& [kind, count] : outcome.effects) {
    runs_with_[kind] += count == 0 ? 0U : 1U;
  }
  for (const auto& [oracle, count] : outcome.judged) {
    total_.judged[oracle] += count;
  }
  for (const auto& [probe, hits] : result.probes) {
    probes_[probe] += hits;
  }
}

std::vector<SweepSum::Row> SweepSum::actions() const {
  std::vector<Row> rows;
  for (const ActionRule& rule : action_rules()) {
    if (is_drawn(rule.kind, mix_)) {
      const auto place = runs_with_.find(rule.kind);
      rows.push_back(
          {.name = std::string(rule.name), .count = place == runs_with_.end() ? 0 : place->second});
    }
  }
  return rows;
}

std::vector<SweepSum::Row> SweepSum::oracles() const {
  std::map<std::string, std::uint64_t, std::less<>> counts = total_.judged;
  for (const char* oracle : kOracles) {
    counts.emplace(oracle, 0);
  }
  std::vector<Row> rows;
  rows.reserve(counts.size());
  for (const auto& [name, count] : counts) {
    rows.push_back({.name = name, .count = count});
  }
  return rows;
}

std::vector<SweepSum::Row> SweepSum::probes() const {
  std::vector<Row> rows;
  for (const Probe& probe : vxmesh::probes()) {
    const auto place = probes_.find(std::string(probe.name));
    rows.push_back(
        {.name = std::string(probe.name), .count = place == probes_.end() ? 0 : place->second});
  }
  return rows;
}

}  // namespace vxmesh::cli
