#include "sim/cli/worker_pool.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace vxmesh::cli {
namespace {

// Of run_all(): a worker that has taken too long is found out by then.
constexpr std::chrono::milliseconds kPatience{200};

void close_one(int& descriptor) {
  if (descriptor >= 0) {
    close(descriptor);
  }
  descriptor = -1;
}

std::string errno_text() {
  return std::generic_category().message(errno);
}

// The last line that is not empty of what was written to the file.
std::string last_line(int file) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (off_t at = 0;;) {
    const ssize_t got = pread(file, buffer.data(), buffer.size(), at);
    if (got <= 0) {
      break;
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
    at += got;
  }
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  const std::size_t newline = text.rfind('\n');
  return newline == std::string::npos ? text : text.substr(newline + 1);
}

bool write_all(int to, const void* bytes, std::size_t size) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t wrote = write(to, at, size);
    if (wrote < 0 && errno != EINTR) {
      return false;
    }
    at += std::max<ssize_t>(wrote, 0);
    size -= static_cast<std::size_t>(std::max<ssize_t>(wrote, 0));
  }
  return true;
}

}  // namespace

WorkerPool::WorkerPool(unsigned workers, Work work, Duration limit, const Clock& clock)
    : work_(std::move(work)), limit_(limit), clock_(clock), workers_(workers) {
  std::signal(SIGPIPE, SIG_IGN);  // a worker that is gone says so by its other pipe
}

WorkerPool::~WorkerPool() {
  for (Worker& worker : workers_) {
    end(worker);
  }
}

bool WorkerPool::has_free() const {
  return std::ranges::any_of(workers_, [](const Worker& worker) { return !worker.job; });
}

bool WorkerPool::is_idle() const {
  return std::ranges::none_of(workers_,
                              [](const Worker& worker) { return worker.job.has_value(); });
}

Result<void> WorkerPool::start(std::uint64_t job) {
  const auto free =
      std::ranges::find_if(workers_, [](const Worker& worker) { return !worker.job; });
  check(free != workers_.end(), "a job is started only if somebody is free");
  if (free->pid == 0) {
    if (auto spawned = spawn(*free); !spawned) {
      return spawned;
    }
  }
  free->job = job;
  free->since = clock_.monotonic();
  // If it has died, wait() finds that out.
  (void)write_all(free->jobs, &job, sizeof job);
  return {};
}

Result<void> WorkerPool::spawn(Worker& worker) {
  int jobs[2] = {-1, -1};
  int lines[2] = {-1, -1};
  worker.errors = memfd_create("vxmesh-sim-errors", 0);
  if (worker.errors < 0 || pipe(jobs) != 0 || pipe(lines) != 0) {
    return fail(ErrorCode::Environment, "cannot make pipes for a worker: " + errno_text());
  }
  std::cout << std::flush;
  const pid_t parent = getpid();
  worker.pid = fork();
  if (worker.pid < 0) {
    worker.pid = 0;
    return fail(ErrorCode::Environment, "cannot make a worker: " + errno_text());
  }
  if (worker.pid == 0) {
    std::signal(SIGINT, SIG_IGN);  // the parent ends it, also when a terminal tells both
    std::signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(1);
    }
    dup2(worker.errors, STDERR_FILENO);
    for (Worker& other : workers_) {
      close_one(other.jobs);
      close_one(other.lines);
    }
    close(jobs[1]);
    close(lines[0]);
    serve(jobs[0], lines[1]);
  }
  close(jobs[0]);
  close(lines[1]);
  worker.jobs = jobs[1];
  worker.lines = lines[0];
  return {};
}

void WorkerPool::serve(int jobs, int lines) const {
  std::uint64_t job = 0;
  while (read(jobs, &job, sizeof job) == static_cast<ssize_t>(sizeof job)) {
    const std::string line = work_(job) + "\n";
    if (!write_all(lines, line.data(), line.size())) {
      break;
    }
  }
  _exit(0);
}

std::vector<WorkerPool::Finished> WorkerPool::wait(std::chrono::milliseconds patience) {
  std::vector<pollfd> waited;
  for (const Worker& worker : workers_) {
    waited.push_back({.fd = worker.job ? worker.lines : -1, .events = POLLIN, .revents = 0});
  }
  std::vector<Finished> finished;
  if (poll(waited.data(), waited.size(), static_cast<int>(patience.count())) > 0) {
    for (std::size_t i = 0; i < waited.size(); ++i) {
      if (waited[i].revents != 0) {
        read_from(workers_[i], finished);
      }
    }
  }
  for (Worker& worker : workers_) {
    if (worker.job && clock_.monotonic() - worker.since > limit_) {
      finished.push_back(bury(worker, "it takes too long"));
    }
  }
  return finished;
}

void WorkerPool::read_from(Worker& worker, std::vector<Finished>& finished) {
  std::array<char, 65536> buffer{};
  const ssize_t got = read(worker.lines, buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) {
    return;
  }
  if (got <= 0) {
    finished.push_back(bury(worker, ""));
    return;
  }
  worker.text.append(buffer.data(), static_cast<std::size_t>(got));
  if (worker.text.back() == '\n') {
    worker.text.pop_back();
    finished.push_back({.job = *worker.job, .line = std::exchange(worker.text, "")});
    worker.job.reset();
  }
}

// Gives its job back as one that failed.
WorkerPool::Finished WorkerPool::bury(Worker& worker, const std::string& why) {
  if (!why.empty()) {
    kill(worker.pid, SIGKILL);
  }
  int status = 0;
  while (waitpid(worker.pid, &status, 0) < 0 && errno == EINTR) {
  }
  worker.pid = 0;
  const std::string how = WIFSIGNALED(status)
                              ? std::string("signal ") + strsignal(WTERMSIG(status))
                              : "exit status " + std::to_string(WEXITSTATUS(status));
  const std::string said = last_line(worker.errors);
  Finished finished{.job = *worker.job,
                    .death = (why.empty() ? how : why) + (said.empty() ? "" : ": " + said)};
  end(worker);
  return finished;
}

Result<void> WorkerPool::run_all(std::uint64_t jobs,
                                 const std::function<void(const Finished&)>& finished,
                                 const std::function<bool()>& goes_on) {
  std::uint64_t next = 0;
  while (next < jobs || !is_idle()) {
    while (next < jobs && has_free()) {
      if (const auto started = start(next++); !started) {
        return tl::unexpected(started.error());
      }
    }
    if (!goes_on()) {
      break;
    }
    for (const Finished& one : wait(kPatience)) {
      finished(one);
    }
  }
  return {};
}

void WorkerPool::cancel_after(std::uint64_t job) {
  for (Worker& worker : workers_) {
    if (worker.job && *worker.job > job) {
      end(worker);
    }
  }
}

Result<std::optional<WorkerPool::Finished>> run_alone(const WorkerPool::Work& work, Duration limit,
                                                      const Clock& clock,
                                                      const std::function<bool()>& goes_on) {
  WorkerPool pool(1, work, limit, clock);
  std::optional<WorkerPool::Finished> done;
  const auto ran = pool.run_all(
      1, [&](const WorkerPool::Finished& finished) { done = finished; }, goes_on);
  return ran.map([&] { return done; });
}

void WorkerPool::end(Worker& worker) {
  if (worker.pid != 0) {
    kill(worker.pid, SIGKILL);
    while (waitpid(worker.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  close_one(worker.jobs);
  close_one(worker.lines);
  close_one(worker.errors);
  worker = Worker{};
}

}  // namespace vxmesh::cli
