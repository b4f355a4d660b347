#include "sim/cluster/exhaustive.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/world/prng.h"

namespace vxmesh {
namespace {

std::vector<Injection> all_injections(const InjectionPoints& points) {
  std::vector<Injection> all;
  for (std::size_t kind = 0; kind <= static_cast<std::size_t>(kLastInjectionKind); ++kind) {
    const auto injected = static_cast<InjectionKind>(kind);
    const std::uint64_t count = is_at_operation(injected) ? points.operations : points.events;
    for (std::uint64_t index = 0; index < count; ++index) {
      all.push_back({.kind = injected, .index = index});
    }
  }
  return all;
}

// Every n-th, from a place that the seed decides.
std::vector<Injection> sample(const std::vector<Injection>& all, std::size_t most,
                              std::uint64_t seed) {
  check(most > 0, "something is to be run");
  const std::size_t step = (all.size() + most - 1) / most;
  if (step <= 1) {
    return all;
  }
  std::vector<Injection> some;
  Prng drawn = Prng(seed).split("sweep");
  for (std::size_t i = drawn.below(step); i < all.size(); i += step) {
    some.push_back(all[i]);
  }
  return some;
}

bool is_inside_batch(const SweepPlan& plan, const Injection& injection) {
  return is_at_operation(injection.kind) && plan.points.inside_batches.contains(injection.index);
}

}  // namespace

Scenario without_deadlines(const Scenario& scenario) {
  Scenario judged = scenario;
  std::erase_if(judged.expectations, [](const Expectation& expectation) {
    return expectation.when != Expectation::When::Finally;
  });
  return judged;
}

Outcome run_injected(const Scenario& scenario, const ExhaustiveOptions& options,
                     const std::optional<Injection>& injection, bool keep_texts) {
  Simulation simulation(without_deadlines(scenario), {.seed = options.seed,
                                                      .workload = options.workload,
                                                      .lasts = last_look(scenario),
                                                      .quiet = options.quiet,
                                                      .keep_texts = keep_texts,
                                                      .injection = injection});
  return simulation.run();
}

SweepPlan plan_sweep(Outcome clean, const ExhaustiveOptions& options) {
  const std::vector<Injection> all = all_injections(clean.points);
  return {.violation = std::move(clean.violation),
          .points = std::move(clean.points),
          .all = all.size(),
          .injections = sample(all, options.points_max, options.seed)};
}

SweepReport run_share(const Scenario& scenario, const ExhaustiveOptions& options,
                      const SweepPlan& plan, std::size_t share, std::size_t shares,
                      const SweepProgress& progress) {
  check(share < shares, "a share is one of them");
  SweepReport report{.all = plan.all, .planned = plan.injections.size()};
  const std::size_t of = (plan.injections.size() + shares - 1 - share) / shares;
  for (std::size_t i = share; i < plan.injections.size(); i += shares) {
    const Injection& injection = plan.injections[i];
    Outcome outcome = run_injected(scenario, options, injection);
    check(outcome.injected || outcome.violation, "a run comes to every point of the clean one");
    ++report.run;
    report.inside_batches += is_inside_batch(plan, injection) ? 1U : 0U;
    report.simulated += outcome.end.since_start;
    if (outcome.violation) {
      report.failures.push_back({injection, std::move(*outcome.violation)});
    }
    if (progress) {
      progress(report.run, of);
    }
  }
  return report;
}

SweepReport merged(SweepReport a, const SweepReport& b) {
  a.run += b.run;
  a.inside_batches += b.inside_batches;
  a.simulated += b.simulated;
  a.failures.insert(a.failures.end(), b.failures.begin(), b.failures.end());
  std::ranges::sort(a.failures, {}, &SweepFailure::injection);
  return a;
}

SweepReport sweep_exhaustively(const Scenario& scenario, const ExhaustiveOptions& options,
                               const SweepProgress& progress) {
  const SweepPlan plan = plan_sweep(run_injected(scenario, options, {}), options);
  if (plan.violation) {
    return {.violation = plan.violation};
  }
  return run_share(scenario, options, plan, 0, 1, progress);
}

std::string format(const SweepReport& report, const std::string& file, std::uint64_t seed) {
  const std::string command = "vxmesh-sim run " + file + " --seed " + std::to_string(seed);
  if (report.violation) {
    return "fails without injection: " + report.violation->signature() + ": " +
           report.violation->detail + "\n  " + command;
  }
  const std::size_t good = report.run - report.failures.size();
  std::string text = std::to_string(good) + " of " + std::to_string(report.run) +
                     " injection points" + (report.failures.empty() ? ", all" : "") +
                     " converged (" + std::to_string(report.inside_batches) +
                     " of them inside a batch)";
  if (report.planned < report.all) {
    text += ", sampled from " + std::to_string(report.all);
  }
  for (const SweepFailure& failure : report.failures) {
    text += "\n  " + format(failure.injection) + ": " + failure.violation.signature() + ": " +
            failure.violation.detail + "\n    vxmesh-sim sweep --exhaustive " + file + " --seed " +
            std::to_string(seed) + " --only " + format(failure.injection);
  }
  return text;
}

}  // namespace vxmesh
