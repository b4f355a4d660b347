#include "integration/fidelity/run.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "integration/fidelity/shrink.h"
#include "integration/fidelity/unsuited.h"

namespace vxmesh::fidelity {
namespace {

constexpr std::size_t kMostQueued = 64;  // programs that wait for a thread
constexpr std::size_t kMostTrials = 400;
constexpr Duration kQuickPatience = std::chrono::milliseconds(10);

struct Numbered {
  std::uint64_t number = 0;
  Program program;
};

// Programs from the generator to the threads that compare them.
class Queue {
 public:
  // False if nobody takes any more.
  bool put(Numbered numbered) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.size() < kMostQueued || ended_; });
    if (ended_) {
      return false;
    }
    waiting_.push_back(std::move(numbered));
    changed_.notify_all();
    return true;
  }
  // No more come: what waits is still taken.
  void finish() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
  }
  // What waits is not taken either.
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  std::optional<Numbered> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !waiting_.empty() || finished_ || ended_; });
    if (waiting_.empty() || ended_) {
      return std::nullopt;
    }
    Numbered numbered = std::move(waiting_.front());
    waiting_.pop_front();
    changed_.notify_all();
    return numbered;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Numbered> waiting_;
  bool finished_ = false;
  bool ended_ = false;
};

// What is wrong with the first step that is none for a program; the fake could end the process.
std::optional<std::string> reason_against(const Program& program, World& fake) {
  for (const Step& step : program) {
    const std::vector<Record> tables = fake.tables();
    if (const auto name = unsuited(step.action, StateView(tables))) {
      return "'" + format(step) + "' uses what no case may: " + std::string(*name);
    }
    (void)perform(fake, step);
  }
  return std::nullopt;
}

Result<std::optional<Gap>> compare_once(const Program& program, const Worlds& worlds,
                                        AllowanceCounts& used, Duration patience = kPatience) {
  const Result<std::unique_ptr<World>> real = worlds.real();
  if (!real) {
    return tl::unexpected(real.error());
  }
  return compare(program, *worlds.fake(), **real, used, patience);
}

// A trial that waits as long for what is late; an unsuited program shows nothing.
Trial make_trial(const Worlds& worlds, Duration patience) {
  return [&worlds, patience](const Program& candidate) -> std::optional<Gap> {
    AllowanceCounts unused{};
    if (reason_against(candidate, *worlds.fake())) {
      return std::nullopt;
    }
    return compare_once(candidate, worlds, unused, patience).value_or(std::nullopt);
  };
}

bool shows(const Trial& trial, const Program& program, const std::string& signature) {
  const std::optional<Gap> gap = trial(program);
  return gap && gap->signature == signature;
}

// Tries with little patience first: most gaps are not late, and each trial that shows one waits.
FoundGap shrink_gap(const Program& program, const Gap& gap, const Worlds& worlds) {
  const Trial patient = make_trial(worlds, kPatience);
  const Trial quick = make_trial(worlds, kQuickPatience);
  if (!shows(patient, program, gap.signature)) {
    return {.number = 0, .gap = gap, .program = program, .again = false};
  }
  Shrunk shrunk = shrink(program, gap, quick, kMostTrials);
  if (!shows(patient, shrunk.program, gap.signature)) {
    shrunk = shrink(program, gap, patient, kMostTrials);
  }
  return {.number = 0,
          .gap = std::move(shrunk.gap),
          .program = std::move(shrunk.program),
          .again = true};
}

// What the comparing threads write together.
class Findings {
 public:
  Findings(const RunOptions& options, const Worlds& worlds, const Progress& progress)
      : options_(options), worlds_(worlds), progress_(progress) {}

  void work(Queue& queue) {
    AllowanceCounts used{};
    while (const std::optional<Numbered> numbered = queue.take()) {
      const Result<std::optional<Gap>> gap = compare_once(numbered->program, worlds_, used);
      if (!gap) {
        fail_with(gap.error());
        queue.end();
        break;
      }
      if (*gap && !add(*numbered, **gap)) {
        queue.end();
      }
      finish_one();
    }
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < used.size(); ++i) {
      allowances_[i] += used[i];
    }
  }

  Result<RunResult> result(const Generator& generator, std::chrono::nanoseconds took) {
    if (error_) {
      return tl::unexpected(*error_);
    }
    std::sort(found_.begin(), found_.end(),
              [](const FoundGap& a, const FoundGap& b) { return a.number < b.number; });
    return RunResult{.tally = generator.tally(),
                     .coverage = generator.coverage(),
                     .allowances = allowances_,
                     .gaps = gaps_,
                     .found = std::move(found_),
                     .took = took};
  }

 private:
  // False when there are enough.
  bool add(const Numbered& numbered, const Gap& gap) {
    {
      const std::lock_guard lock(mutex_);
      ++gaps_;
      if (signatures_.size() >= options_.most_gaps) {
        return false;
      }
      if (!signatures_.insert(gap.signature).second) {
        return true;
      }
    }
    FoundGap found = shrink_gap(numbered.program, gap, worlds_);
    found.number = numbered.number;
    const std::lock_guard lock(mutex_);
    found_.push_back(std::move(found));
    return signatures_.size() < options_.most_gaps;
  }

  void fail_with(const Error& error) {
    const std::lock_guard lock(mutex_);
    error_ = error;
  }

  void finish_one() {
    const std::lock_guard lock(mutex_);
    progress_(++done_, gaps_);
  }

  const RunOptions& options_;
  const Worlds& worlds_;
  const Progress& progress_;
  std::mutex mutex_;
  std::uint64_t done_ = 0;
  std::uint64_t gaps_ = 0;
  std::set<std::string> signatures_;
  std::vector<FoundGap> found_;
  AllowanceCounts allowances_{};
  std::optional<Error> error_;
};

}  // namespace

Result<RunResult> run(const RunOptions& options, const Worlds& worlds, const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  Queue queue;
  Findings findings(options, worlds, progress);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < options.jobs; ++i) {
    threads.emplace_back([&] { findings.work(queue); });
  }
  Generator generator(options.seed, options.operations, worlds.fake);
  for (std::uint64_t number = 0; number < options.programs; ++number) {
    if (!queue.put({.number = number, .program = generator.next()})) {
      break;
    }
  }
  queue.finish();
  for (std::thread& thread : threads) {
    thread.join();
  }
  return findings.result(generator, std::chrono::steady_clock::now() - start);
}

Result<std::optional<FoundGap>> run_one(const Program& program, const Worlds& worlds) {
  if (const auto needs = reason_against(program, *worlds.fake())) {
    return fail(ErrorCode::InvalidInput, *needs);
  }
  AllowanceCounts unused{};
  return compare_once(program, worlds, unused).map([&](const std::optional<Gap>& gap) {
    return gap ? std::optional(FoundGap{.gap = *gap, .program = program}) : std::nullopt;
  });
}

RunResult run_fake(const RunOptions& options, const WorldMaker& make_world, FakeSpeed& speed) {
  const auto start = std::chrono::steady_clock::now();
  Generator generator(options.seed, options.operations, make_world);
  for (std::uint64_t number = 0; number < options.programs; ++number) {
    const Program program = generator.next();
    const auto began = std::chrono::steady_clock::now();
    const std::unique_ptr<World> world = make_world();
    for (const Step& step : program) {
      (void)observe(*world, step);
    }
    speed.operations += program.size();
    speed.took += std::chrono::steady_clock::now() - began;
  }
  return {.tally = generator.tally(),
          .coverage = generator.coverage(),
          .took = std::chrono::steady_clock::now() - start};
}

}  // namespace vxmesh::fidelity
