// Processes that do one job at a time each.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ports/clock.h"

namespace vxmesh::cli {

// Contract: `work` is run in child processes, made by fork() when there is a job for one: what it
// does to memory stays there. A worker that dies or takes longer than the limit costs its job and
// no other. The children end with this, and with this process, however it ends. One thread. This
// process ignores SIGPIPE from the first pool on.
class WorkerPool {
 public:
  // Gives one line, without its end.
  using Work = std::function<std::string(std::uint64_t job)>;

  // `limit`: real time that a job may take.
  WorkerPool(unsigned workers, Work work, Duration limit, const Clock& clock);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  [[nodiscard]] bool has_free() const;
  [[nodiscard]] bool is_idle() const;
  // Requires: has_free().
  [[nodiscard]] Result<void> start(std::uint64_t job);

  struct Finished {
    std::uint64_t job = 0;
    std::string line;   // empty if the worker died
    std::string death;  // how it died, with the last line that it wrote to standard error
  };
  // Those that have finished; waits for one, a signal, or at most `patience`.
  [[nodiscard]] std::vector<Finished> wait(std::chrono::milliseconds patience);
  // Jobs 0 to `jobs` - 1, as workers are free; `finished` is told of each, as they end. When
  // `goes_on`, which is asked all the time that workers are busy, says no, what has not finished
  // does not. Requires: is_idle().
  [[nodiscard]] Result<void> run_all(std::uint64_t jobs,
                                     const std::function<void(const Finished&)>& finished,
                                     const std::function<bool()>& goes_on);
  // Ends the workers whose jobs come after this one.
  void cancel_after(std::uint64_t job);

 private:
  struct Worker {
    pid_t pid = 0;  // 0: there is none
    int jobs = -1;
    int lines = -1;
    int errors = -1;
    std::optional<std::uint64_t> job;
    MonotonicTime since;
    std::string text;  // read and not yet a line
  };

  [[nodiscard]] Result<void> spawn(Worker& worker);
  [[noreturn]] void serve(int jobs, int lines) const;
  void read_from(Worker& worker, std::vector<Finished>& finished);
  Finished bury(Worker& worker, const std::string& why);
  void end(Worker& worker);

  Work work_;
  Duration limit_;
  const Clock& clock_;
  std::vector<Worker> workers_;
};

// One job, in a process of its own. Nothing if `goes_on`, which is asked all the time that
// it is under way, says no.
[[nodiscard]] Result<std::optional<WorkerPool::Finished>> run_alone(
    const WorkerPool::Work& work, Duration limit, const Clock& clock,
    const std::function<bool()>& goes_on);

}  // namespace vxmesh::cli
