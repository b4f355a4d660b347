#include "sim/cluster/shrink.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/cluster/smaller.h"
#include "sim/scenario/parse.h"
#include "sim/scenario/write.h"

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A smaller scenario may fail a little later than it did before.
constexpr Duration kLater = seconds(20);
// Seeds that are tried in place of the one given.
constexpr std::uint64_t kSeeds = 6;
// What reads well, and what is tried for everything longer: the shortest first.
constexpr std::array<Duration, 5> kNiceTimes{milliseconds(100), seconds(1), seconds(3), seconds(10),
                                             seconds(30)};
constexpr std::array<Duration, 3> kNiceUnits{seconds(1), milliseconds(100), milliseconds(10)};
constexpr std::array<std::uint64_t, 4> kNiceAmounts{0, 1, 3, 10};

struct Case {
  Scenario scenario;
  SimulationOptions options;
};

// Equal texts, equal cases: of what shrinking changes.
std::string text_of(const Case& candidate) {
  const SimulationOptions& options = candidate.options;
  std::string text = write_scenario(candidate.scenario);
  for (const std::int64_t number :
       {static_cast<std::int64_t>(options.seed),
        static_cast<std::int64_t>(options.workload.probes_per_second),
        static_cast<std::int64_t>(options.workload.heartbeats_per_second), options.max_skew_ppm,
        options.lasts.count(), options.quiet.count()}) {
    text += std::to_string(number) + " ";
  }
  return text;
}

// Shorter times for this one, the best first.
std::vector<Duration> shorter(Duration time) {
  std::vector<Duration> times;
  std::ranges::copy_if(kNiceTimes, std::back_inserter(times),
                       [&](Duration nice) { return nice < time; });
  for (const Duration unit : kNiceUnits) {
    if (time > unit && time % unit != Duration{}) {
      times.push_back(time - time % unit);
    }
  }
  return times;
}

// Of an expectation the sentence too: else whom it is about could go, and leave nothing to tell.
// And of a run that does not end: only that says which assertion it was.
bool is_same_failure(const Violation& a, const Violation& b) {
  const bool is_by_sentence = a.oracle == "expectation" || a.oracle == "crash";
  return a.signature() == b.signature() && (!is_by_sentence || a.detail == b.detail);
}

class Shrinking {
 public:
  Shrinking(Case start, const Outcome& outcome, const ShrinkBudget& budget, const ShrinkRun& run)
      : best_(std::move(start)), outcome_(outcome), budget_(budget), run_(run) {}

  void shrink() {
    cut_end();
    lessen_traffic();
    bring_together();
    keep_last_steps();
    make_smaller();
    if (calm_options()) {
      make_smaller();
    }
    while (try_seeds()) {
      make_smaller();
    }
    if (try_default_options()) {
      make_smaller();  // what traffic does of itself needs no steps
    }
  }

  [[nodiscard]] const Case& best() const { return best_; }
  [[nodiscard]] const Outcome& outcome() const { return outcome_; }
  [[nodiscard]] std::uint64_t runs() const { return runs_; }
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  void make_smaller() {
    std::uint64_t before = 0;
    do {
      before = found_;
      take_steps();
      take_nodes_and_pods();
      take_expectations();
      shorten();
      lessen_amounts();
      close_gaps();
    } while (found_ != before && !stopped_);
  }

  // Takes the candidate for the best if it fails in the same way.
  bool attempt(const Case& candidate) {
    if (stopped_ || !tried_.insert(text_of(candidate)).second || !is_valid(candidate.scenario)) {
      return false;
    }
    const ClusterSpec& cluster = best_.scenario.cluster;
    stopped_ = runs_ >= budget_.runs ||
               (budget_.goes_on && !budget_.goes_on({.runs = runs_,
                                                     .steps = best_.scenario.steps.size(),
                                                     .nodes = cluster.nodes.size(),
                                                     .pods = cluster.pods.size()}));
    if (stopped_) {
      return false;
    }
    ++runs_;
    const Outcome outcome =
        run_(candidate.scenario, candidate.options, outcome_.violation->time + kLater);
    if (!outcome.violation || !is_same_failure(*outcome.violation, *outcome_.violation)) {
      return false;
    }
    best_ = candidate;
    outcome_ = outcome;
    ++found_;
    return true;
  }
  bool attempt(Scenario scenario) { return attempt({std::move(scenario), best_.options}); }
  bool attempt(const SimulationOptions& options) { return attempt({best_.scenario, options}); }

  // Takes away parts of so many things: halves first, and single ones last.
  template <typename Count, typename Without>
  void take_parts(Count count, Without without) {
    for (std::size_t part = std::max<std::size_t>(count() / 2, 1); part > 0; part /= 2) {
      for (std::size_t begin = 0; begin < count();) {
        if (!attempt(without(begin, std::min(begin + part, count())))) {
          begin += part;
        }
      }
    }
  }

  // --- What makes runs short ---

  void cut_end() {
    const Duration over = outcome_.violation->time - outcome_.converged;
    Case candidate = best_;
    std::erase_if(candidate.scenario.steps, [&](const Step& step) { return step.at > over; });
    candidate.options.lasts = {};
    if (!attempt(candidate)) {
      candidate.options.lasts = std::min(best_.options.lasts, std::max(over, Duration{}));
      attempt(candidate);
    }
  }

  void lessen_traffic() {
    SimulationOptions options = best_.options;
    options.workload = {.probes_per_second = 0, .heartbeats_per_second = 0};
    options.quiet = {};
    if (attempt(options)) {
      return;
    }
    options = best_.options;
    options.workload.heartbeats_per_second = 0;
    attempt(options);
    for (const std::uint64_t probes : {0U, 10U}) {
      options = best_.options;
      options.workload.probes_per_second = std::min(probes, options.workload.probes_per_second);
      if (attempt(options)) {
        break;
      }
    }
    for (const Duration quiet : {seconds(0), seconds(10)}) {
      options = best_.options;
      options.quiet = std::min<Duration>(quiet, options.quiet);
      if (attempt(options)) {
        break;
      }
    }
  }

  void bring_together() {
    for (const Duration gap : kNiceTimes) {
      if (gap >= seconds(1) && attempt(with_gaps_of_at_most(best_.scenario, gap))) {
        break;
      }
    }
  }

  // What went wrong last is what most often matters.
  void keep_last_steps() {
    const std::size_t all = best_.scenario.steps.size();
    for (std::size_t kept = 1; kept < all; kept *= 2) {
      if (attempt(without_steps(best_.scenario, 0, all - kept))) {
        break;
      }
    }
  }

  // --- What there is ---

  void take_steps() {
    take_parts([&] { return best_.scenario.steps.size(); },
               [&](std::size_t begin, std::size_t end) {
                 return without_steps(best_.scenario, begin, end);
               });
  }

  void take_nodes_and_pods() {
    const auto unneeded = [&](const auto& specs) {
      const std::set<std::string> needed = names_needed(best_.scenario);
      std::vector<std::string> names;
      for (const auto& spec : specs) {
        if (!needed.contains(spec.name)) {
          names.push_back(spec.name);
        }
      }
      return names;
    };
    const auto part = [](const std::vector<std::string>& names, std::size_t begin,
                         std::size_t end) {
      return std::set<std::string>(names.begin() + static_cast<std::ptrdiff_t>(begin),
                                   names.begin() + static_cast<std::ptrdiff_t>(end));
    };
    const auto nodes = [&] { return unneeded(best_.scenario.cluster.nodes); };
    take_parts([&] { return nodes().size(); },
               [&](std::size_t begin, std::size_t end) {
                 return without_nodes(best_.scenario, part(nodes(), begin, end));
               });
    const auto pods = [&] { return unneeded(best_.scenario.cluster.pods); };
    take_parts([&] { return pods().size(); },
               [&](std::size_t begin, std::size_t end) {
                 return without_pods(best_.scenario, part(pods(), begin, end));
               });
  }

  void take_expectations() {
    take_parts([&] { return best_.scenario.expectations.size(); },
               [&](std::size_t begin, std::size_t end) {
                 Scenario smaller = best_.scenario;
                 smaller.expectations.erase(
                     smaller.expectations.begin() + static_cast<std::ptrdiff_t>(begin),
                     smaller.expectations.begin() + static_cast<std::ptrdiff_t>(end));
                 return smaller;
               });
  }

  // --- How much of it ---

  template <typename Value, typename Set>
  void lessen(const std::vector<Value>& values, std::size_t step, Set set) {
    for (const Value& value : values) {
      Scenario smaller = best_.scenario;
      set(smaller.steps[step], value);
      if (attempt(std::move(smaller))) {
        break;
      }
    }
  }

  void shorten() {
    for (std::size_t i = 0; i < best_.scenario.steps.size(); ++i) {
      const Step step = best_.scenario.steps[i];
      if (step.lasts) {
        lessen(shorter(*step.lasts), i, [](Step& s, Duration time) { s.lasts = time; });
      }
      lessen(shorter(step.action.delay), i, [](Step& s, Duration time) { s.action.delay = time; });
    }
  }

  void lessen_amounts() {
    for (std::size_t i = 0; i < best_.scenario.steps.size(); ++i) {
      const Action& action = best_.scenario.steps[i].action;
      if (rule_of(action.kind).amount != "count") {
        continue;
      }
      std::vector<std::uint64_t> amounts;
      std::ranges::copy_if(kNiceAmounts, std::back_inserter(amounts),
                           [&](std::uint64_t amount) { return amount < action.amount; });
      lessen(amounts, i, [](Step& s, std::uint64_t amount) { s.action.amount = amount; });
    }
  }

  void close_gaps() {
    for (std::size_t i = 0; i < best_.scenario.steps.size(); ++i) {
      for (const Duration gap : shorter(gap_before(best_.scenario, i))) {
        if (attempt(with_gap(best_.scenario, i, gap))) {
          break;
        }
      }
    }
  }

  bool calm_options() {
    const std::uint64_t before = found_;
    lessen_traffic();
    SimulationOptions options = best_.options;
    options.max_skew_ppm = 0;
    attempt(options);
    return found_ != before;
  }

  // Another interleaving may need fewer steps.
  bool try_seeds() {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      for (std::size_t i = 0; i < best_.scenario.steps.size(); ++i) {
        Case candidate{without_steps(best_.scenario, i, i + 1), best_.options};
        candidate.options.seed = seed;
        if (attempt(candidate)) {
          return true;
        }
      }
    }
    return false;
  }

  bool try_default_options() {
    SimulationOptions options;
    options.reconciler = best_.options.reconciler;
    return attempt(options);
  }

  Case best_;
  Outcome outcome_;
  const ShrinkBudget& budget_;
  const ShrinkRun& run_;
  std::set<std::string> tried_;
  std::uint64_t runs_ = 0;
  std::uint64_t found_ = 0;
  bool stopped_ = false;
};

// As a file of it would be read, if it makes one: lines tell expectations apart then.
Scenario as_written(const Scenario& scenario) {
  const Result<Scenario> read = parse_scenario(write_scenario(scenario), scenario.name);
  return read && *read == scenario ? *read : scenario;
}

}  // namespace

Outcome run_until(const Scenario& scenario, const SimulationOptions& options, MonotonicTime until) {
  return Simulation(scenario, options).run(until);
}

Result<Shrunk> shrink(const Scenario& scenario, const SimulationOptions& options,
                      const Violation& violation, const ShrinkBudget& budget,
                      const ShrinkRun& run) {
  Case start{scenario, options};
  start.options.keep_texts = false;
  const MonotonicTime until = violation.time + kLater;
  const Outcome first = run(start.scenario, start.options, until);
  if (!first.violation || first.violation->signature() != violation.signature()) {
    return fail(ErrorCode::InvalidInput,
                "the run does not fail as said, \"" + violation.signature() + "\", but " +
                    (first.violation ? "\"" + first.violation->signature() + "\"" : "passes") +
                    "; shrink it with the options that it failed with");
  }
  start.scenario = as_written(scenario);
  const bool is_by_line = violation.oracle == "expectation";
  Shrinking shrinking(start, is_by_line ? run(start.scenario, start.options, until) : first, budget,
                      run);
  shrinking.shrink();
  Shrunk shrunk{.scenario = as_written(shrinking.best().scenario),
                .options = shrinking.best().options,
                .runs = shrinking.runs() + (is_by_line ? 3 : 2),
                .finished = !shrinking.stopped()};
  shrunk.violation = run(shrunk.scenario, shrunk.options, until).violation.value();
  return shrunk;
}

}  // namespace vxmesh
