#include "integration/fidelity/run.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "integration/fidelity/shrink.h"
#include "integration/fidelity/timed.h"
#include "integration/fidelity/unsuited.h"

namespace vxmesh::fidelity {
namespace {

constexpr std::size_t kMostQueued = 64;  // programs that wait for a thread
constexpr std::size_t kMostTrials = 400;
constexpr std::size_t kMostTimedTrials = 100;  // each takes seconds
constexpr std::size_t kBatchesAhead = 8;       // timed programs wait for others as long as they
constexpr int kMostAttempts = 5;               // at a program whose times were not kept
// A bit less than gc_thresh1, as the entries are counted after the kernel has collected some.
constexpr std::size_t kCrowded = 110;
// Within this no timer ends that nobody has made shorter (a second is the shortest).
constexpr Duration kMostOfProgram = std::chrono::milliseconds(900);
constexpr std::size_t kLeastAtOnce = 8;  // by then it is others who keep the machine busy
constexpr Duration kStagger = std::chrono::milliseconds(7);
constexpr Duration kLook = std::chrono::milliseconds(20);
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

// Compares a program in one of the two ways.
using Comparer = std::function<Result<std::optional<Gap>>(const Program&, AllowanceCounts&)>;

// A neighbour that has gone, or was told to be gone, on Linux alone or there earlier: the kernel
// may have collected it.
bool may_be_collected(const Gap& gap) {
  return gap.signature.find("neighbour only in") != std::string::npos ||
         gap.signature.find("deleted neighbour") != std::string::npos;
}

// A gap that the machine may have made rather than the program is looked for again: if it shows
// every time, it is one.
Comparer make_comparer(const Worlds& worlds, Duration patience) {
  return [&worlds, patience](const Program& program,
                             AllowanceCounts& used) -> Result<std::optional<Gap>> {
    std::optional<Gap> gap;
    for (int i = 0; i < kMostAttempts; ++i) {
      const auto start = std::chrono::steady_clock::now();
      const Result<std::unique_ptr<World>> real = worlds.real();
      if (!real) {
        return tl::unexpected(real.error());
      }
      gap = compare(program, *worlds.fake(ReachableTime::Base), **real, used, patience);
      const bool slow = std::chrono::steady_clock::now() - start > kMostOfProgram;
      if (!gap || !(slow || (may_be_collected(*gap) && worlds.crowded()))) {
        break;
      }
    }
    return gap;
  };
}

// Again while this machine is too busy; programs that it stays too busy for are counted.
Comparer make_timed_comparer(const Worlds& worlds, std::atomic<std::uint64_t>& late) {
  return [&worlds, &late](const Program& program,
                          AllowanceCounts& used) -> Result<std::optional<Gap>> {
    for (int i = 0; i < kMostAttempts; ++i) {
      const Result<std::unique_ptr<World>> real = worlds.real();
      if (!real) {
        return tl::unexpected(real.error());
      }
      const std::unique_ptr<World> fake = worlds.fake(ReachableTime::Base);
      TimedComparison comparison(program, *fake, **real, used);
      comparison.set_up();
      TimedOutcome outcome = comparison.run();
      if (!outcome.late) {
        return std::move(outcome.gap);
      }
    }
    ++late;
    return std::nullopt;
  };
}

// What is compared like this, without what is no program.
Trial make_trial(const Worlds& worlds, const Comparer& comparer, bool timed) {
  return [&worlds, comparer, timed](const Program& candidate) -> std::optional<Gap> {
    if (reason_against(candidate, *worlds.fake(ReachableTime::Base)) ||
        (timed && !is_quiet(candidate, worlds.fake))) {
      return std::nullopt;
    }
    AllowanceCounts unused{};
    return comparer(candidate, unused).value_or(std::nullopt);
  };
}

bool shows(const Trial& trial, const Program& program, const std::string& signature) {
  const std::optional<Gap> gap = trial(program);
  return gap && gap->signature == signature;
}

FoundGap found_gap(Shrunk shrunk) {
  return {.gap = std::move(shrunk.gap), .program = std::move(shrunk.program)};
}

// Tries with little patience first: most gaps are not late, and each trial that shows one waits.
FoundGap shrink_gap(const Program& program, const Gap& gap, const Worlds& worlds) {
  const Trial patient = make_trial(worlds, make_comparer(worlds, kPatience), false);
  const Trial quick = make_trial(worlds, make_comparer(worlds, kQuickPatience), false);
  if (!shows(patient, program, gap.signature)) {
    return {.gap = gap, .program = program, .again = false};
  }
  Shrunk shrunk = shrink(program, gap, quick, kMostTrials);
  if (!shows(patient, shrunk.program, gap.signature)) {
    shrunk = shrink(program, gap, patient, kMostTrials);
  }
  return found_gap(std::move(shrunk));
}

FoundGap shrink_timed_gap(const Program& program, const Gap& gap, const Worlds& worlds) {
  std::atomic<std::uint64_t> late = 0;
  const Trial trial = make_trial(worlds, make_timed_comparer(worlds, late), true);
  if (!shows(trial, program, gap.signature)) {
    return {.gap = gap, .program = program, .again = false};
  }
  return found_gap(shrink(program, gap, trial, kMostTimedTrials));
}

// What the comparing threads write together.
class Findings {
 public:
  Findings(const RunOptions& options, const Worlds& worlds, const Progress& progress)
      : options_(options), worlds_(worlds), progress_(progress) {}

  void work(Queue& queue) {
    const Comparer compare_program = make_comparer(worlds_, kPatience);
    AllowanceCounts used{};
    while (const std::optional<Numbered> numbered = queue.take()) {
      const Result<std::optional<Gap>> gap = compare_program(numbered->program, used);
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

  Result<RunResult> result(const Tally& tally, const Coverage& coverage,
                           std::chrono::nanoseconds took) {
    if (error_) {
      return tl::unexpected(*error_);
    }
    std::sort(found_.begin(), found_.end(),
              [](const FoundGap& a, const FoundGap& b) { return a.number < b.number; });
    Tally run = tally;  // fewer than were generated if there were gaps enough
    run.programs = done_;
    return RunResult{.tally = run,
                     .coverage = coverage,
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

// Until nobody keeps rtnl_lock for long: namespaces that are gone are taken down behind our back
// (cleanup_net), nothing tells when that is over, and no program's times can be kept meanwhile.
// Gives up after some seconds; then the programs are late.
void wait_for_kernel(World& world) {
  constexpr IfIndex kNoSuchDevice{99};
  constexpr auto kShort = std::chrono::milliseconds(3);
  constexpr int kEnough = 20;
  constexpr auto kMost = std::chrono::seconds(3);
  const auto start = std::chrono::steady_clock::now();
  int in_a_row = 0;
  while (in_a_row < kEnough && std::chrono::steady_clock::now() - start < kMost) {
    const auto before = std::chrono::steady_clock::now();
    (void)world.request(rtnl::DelLink{.device = kNoSuchDevice}, Writer::First);
    in_a_row = std::chrono::steady_clock::now() - before < kShort ? in_a_row + 1 : 0;
    world.advance(kShort);
  }
}

// Timed programs run in batches: while some set up or take down their devices, the times of others
// cannot be kept.
class TimedRun {
 public:
  TimedRun(const RunOptions& options, const Worlds& worlds, const Progress& progress)
      : options_(options),
        worlds_(worlds),
        progress_(progress),
        generator_(options.seed, options.operations, worlds.fake),
        at_once_(options.jobs) {}

  Result<RunResult> run();

 private:
  struct Waiting {
    Numbered numbered;
    int attempts = 0;
  };
  struct Ended {
    TimedOutcome outcome;
    AllowanceCounts used{};
    std::optional<Error> error;
  };

  // Takes those that last about as long as each other from what waits.
  [[nodiscard]] std::vector<Waiting> take_batch();
  void run_batch(std::vector<Waiting> batch);
  // True if the kernel may have collected neighbours meanwhile, for the sake of others' entries.
  bool compare_all(const std::vector<Waiting>& batch, std::vector<Ended>& ended) const;
  // What became of a program: counted, or run again.
  void take_in(Waiting waiting, Ended ended);
  void shrink_all();

  const RunOptions& options_;
  const Worlds& worlds_;
  const Progress& progress_;
  TimedGenerator generator_;
  std::vector<Waiting> waiting_;
  std::size_t at_once_;  // no more than the machine keeps the times of
  std::uint64_t done_ = 0;
  RunResult result_;
  std::set<std::string> signatures_;
  std::optional<Error> error_;
};

std::vector<TimedRun::Waiting> TimedRun::take_batch() {
  const std::size_t ahead = std::size_t{options_.jobs} * kBatchesAhead;
  while (waiting_.size() < ahead && generator_.tally().programs < options_.programs) {
    const std::uint64_t number = generator_.tally().programs;
    waiting_.push_back({.numbered = {.number = number, .program = generator_.next()}});
  }
  std::stable_sort(waiting_.begin(), waiting_.end(), [](const Waiting& a, const Waiting& b) {
    return duration_of(a.numbered.program) > duration_of(b.numbered.program);
  });
  std::vector<Waiting> batch;
  while (!waiting_.empty() && batch.size() < at_once_) {
    batch.push_back(std::move(waiting_.back()));
    waiting_.pop_back();
  }
  return batch;
}

bool TimedRun::compare_all(const std::vector<Waiting>& batch, std::vector<Ended>& ended) const {
  std::barrier phase(static_cast<std::ptrdiff_t>(batch.size()));
  std::mutex mutex;
  std::condition_variable ended_one;
  std::size_t running = batch.size();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    threads.emplace_back([&, i] {
      const Result<std::unique_ptr<World>> real = worlds_.real();
      const std::unique_ptr<World> fake = worlds_.fake(ReachableTime::Base);
      std::optional<TimedComparison> comparison;
      if (real) {
        comparison.emplace(batch[i].numbered.program, *fake, **real, ended[i].used);
        comparison->set_up();
      } else {
        ended[i].error = real.error();
      }
      phase.arrive_and_wait();
      if (real && i == 0) {
        wait_for_kernel(**real);
      }
      phase.arrive_and_wait();
      if (comparison) {
        // Times are multiples of 100 ms: not all at the same moment.
        (*real)->advance(kStagger * i);
        ended[i].outcome = comparison->run();
      }
      {
        const std::lock_guard lock(mutex);
        --running;
      }
      ended_one.notify_one();
      phase.arrive_and_wait();  // before any world is taken down
    });
  }
  bool crowded = worlds_.crowded();
  std::unique_lock lock(mutex);
  while (!ended_one.wait_for(lock, kLook, [&] { return running == 0; })) {
    crowded |= worlds_.crowded();
  }
  lock.unlock();
  for (std::thread& thread : threads) {
    thread.join();
  }
  return crowded;
}

void TimedRun::take_in(Waiting waiting, Ended ended) {
  error_ = error_ ? error_ : ended.error;
  for (std::size_t i = 0; i < result_.allowances.size(); ++i) {
    result_.allowances[i] += ended.used[i];
  }
  if (ended.outcome.late && ++waiting.attempts < kMostAttempts) {
    waiting_.push_back(std::move(waiting));
    return;
  }
  ++done_;
  result_.late += ended.outcome.late ? 1U : 0U;
  if (!ended.outcome.gap || ended.outcome.late) {
    return;
  }
  ++result_.gaps;
  if (signatures_.insert(ended.outcome.gap->signature).second) {
    result_.found.push_back({.number = waiting.numbered.number,
                             .gap = *std::move(ended.outcome.gap),
                             .program = std::move(waiting.numbered.program)});
  }
}

void TimedRun::run_batch(std::vector<Waiting> batch) {
  std::vector<Ended> ended(batch.size());
  const bool crowded = compare_all(batch, ended);
  std::size_t late = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    late += ended[i].outcome.late ? 1U : 0U;
    const bool doubtful = crowded && ended[i].outcome.gap &&
                          may_be_collected(*ended[i].outcome.gap) &&
                          batch[i].attempts + 1 < kMostAttempts;
    ended[i].outcome.late |= doubtful;
    take_in(std::move(batch[i]), std::move(ended[i]));
  }
  at_once_ = late * 4 > batch.size() ? std::max<std::size_t>(at_once_ / 2, kLeastAtOnce)
                                     : std::min<std::size_t>(at_once_ + 4, options_.jobs);
  progress_(done_, result_.gaps);
}

void TimedRun::shrink_all() {
  std::vector<std::thread> threads;
  for (FoundGap& found : result_.found) {
    threads.emplace_back([&] {
      FoundGap shrunk = shrink_timed_gap(found.program, found.gap, worlds_);
      shrunk.number = found.number;
      found = std::move(shrunk);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

Result<RunResult> TimedRun::run() {
  const auto start = std::chrono::steady_clock::now();
  while (!error_ && signatures_.size() < options_.most_gaps) {
    std::vector<Waiting> batch = take_batch();
    if (batch.empty()) {
      break;
    }
    run_batch(std::move(batch));
  }
  if (error_) {
    return tl::unexpected(*error_);
  }
  shrink_all();
  result_.tally = generator_.tally();
  result_.coverage = generator_.coverage();
  result_.took = std::chrono::steady_clock::now() - start;
  return std::move(result_);
}

template <typename Programs>
RunResult run_on_fake(Programs generator, const RunOptions& options, const WorldMaker& make_world,
                      FakeSpeed& speed) {
  const auto start = std::chrono::steady_clock::now();
  for (std::uint64_t number = 0; number < options.programs; ++number) {
    const Program program = generator.next();
    const auto began = std::chrono::steady_clock::now();
    const std::unique_ptr<World> world = make_world(ReachableTime::Base);
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

}  // namespace

bool host_is_crowded() {
  for (const char* path : {"/proc/net/stat/arp_cache", "/proc/net/stat/ndisc_cache"}) {
    std::ifstream file(path);
    std::string heading;
    std::size_t entries = 0;  // of all namespaces: the first number of every line
    if (std::getline(file, heading) && file >> std::hex >> entries && entries >= kCrowded) {
      return true;
    }
  }
  return false;
}

Result<RunResult> run(const RunOptions& options, const Worlds& worlds, const Progress& progress) {
  if (options.timed) {
    return TimedRun(options, worlds, progress).run();
  }
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
  return findings.result(generator.tally(), generator.coverage(),
                         std::chrono::steady_clock::now() - start);
}

Result<std::optional<FoundGap>> run_one(const Program& program, const Worlds& worlds) {
  if (const auto reason = reason_against(program, *worlds.fake(ReachableTime::Base))) {
    return fail(ErrorCode::InvalidInput, *reason);
  }
  const bool timed = std::any_of(program.begin(), program.end(), [](const Step& step) {
    return std::holds_alternative<Advance>(step.action);
  });
  if (timed && !is_quiet(program, worlds.fake)) {
    return fail(ErrorCode::InvalidInput,
                "each advance, and the program, must end where nothing happens for a while");
  }
  std::atomic<std::uint64_t> late = 0;
  const Comparer compare_program =
      timed ? make_timed_comparer(worlds, late) : make_comparer(worlds, kPatience);
  AllowanceCounts unused{};
  const Result<std::optional<Gap>> gap = compare_program(program, unused);
  if (late != 0) {
    return fail(ErrorCode::Environment, "this machine is too busy to run it in time");
  }
  return gap.map([&](const std::optional<Gap>& found) {
    return found ? std::optional(FoundGap{.gap = *found, .program = program}) : std::nullopt;
  });
}

RunResult run_fake(const RunOptions& options, const WorldMaker& make_world, FakeSpeed& speed) {
  return options.timed ? run_on_fake(TimedGenerator(options.seed, options.operations, make_world),
                                     options, make_world, speed)
                       : run_on_fake(Generator(options.seed, options.operations, make_world),
                                     options, make_world, speed);
}

}  // namespace vxmesh::fidelity
