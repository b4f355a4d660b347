#include "adapters/posix/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>

#include "adapters/posix/file_descriptor.h"
#include "base/check.h"

namespace vxmesh {
namespace {

namespace asio = boost::asio;

struct Pipe {
  FileDescriptor read;
  FileDescriptor write;
};

tl::unexpected<Error> system_error(const std::string& what, int error_number) {
  return fail(ErrorCode::Environment, what + ": " + std::strerror(error_number));
}

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return system_error("cannot make a pipe", errno);
  }
  return Pipe{.read = FileDescriptor(ends[0]), .write = FileDescriptor(ends[1])};
}

// The child's standard input as an anonymous file: nothing to feed while it runs, no SIGPIPE if it
// does not read, and no deadlock if it writes first.
Result<FileDescriptor> make_input(std::string_view text) {
  FileDescriptor file(::memfd_create("stdin", MFD_CLOEXEC));
  if (!file.is_open()) {
    return system_error("cannot make a file for standard input", errno);
  }
  while (!text.empty()) {
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0) {
      return system_error("cannot write the standard input", errno);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::lseek(file.get(), 0, SEEK_SET) != 0) {
    return system_error("cannot rewind the standard input", errno);
  }
  return file;
}

// posix_spawnp with the three descriptors, no blocked signals and SIGPIPE as it was born.
Result<pid_t> spawn(const std::vector<std::string>& argv, int input, int output, int errors) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigaddset(&signals, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));  // posix_spawn does not write to it
  }
  arguments.push_back(nullptr);
  pid_t pid = -1;
  const int error =
      posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return system_error("cannot run " + argv.front(), error);
  }
  return pid;
}

}  // namespace

class ChildProcess::Run : public std::enable_shared_from_this<ChildProcess::Run> {
 public:
  Run(asio::io_context& context, ChildRequest request, Done done)
      : context_(context),
        request_(std::move(request)),
        done_(std::move(done)),
        output_{.descriptor = asio::posix::stream_descriptor(context), .buffer = {}, .text = {}},
        errors_{.descriptor = asio::posix::stream_descriptor(context), .buffer = {}, .text = {}},
        exit_watch_(context),
        deadline_(context) {}

  void start() {
    const Result<void> started = launch();
    if (!started) {
      asio::post(context_, [self = shared_from_this(), error = started.error()] {
        self->finish(tl::unexpected<Error>(error));
      });
      return;
    }
    read(output_);
    read(errors_);
    exit_watch_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this()](const boost::system::error_code& error) {
                             if (!error) {
                               self->reap();
                             }
                           });
    deadline_.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(
        std::max(request_.deadline, Duration{1})));
    deadline_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error) {
        self->miss_deadline();
      }
    });
  }

  // Ends the child, if it still runs, without a call to done.
  void abandon() {
    done_ = nullptr;
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);  // cannot hit another process: ours is not reaped yet
      int status = 0;
      while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
      }
      pid_ = -1;
    }
    close();
  }

 private:
  struct Stream {
    asio::posix::stream_descriptor descriptor;
    std::array<char, 4096> buffer;
    std::string text;
  };

  Result<void> launch() {
    Result<FileDescriptor> input = make_input(request_.input);
    Result<Pipe> output = make_pipe();
    Result<Pipe> errors = make_pipe();
    if (!input || !output || !errors) {
      return tl::unexpected<Error>(!input    ? input.error()
                                   : !output ? output.error()
                                             : errors.error());
    }
    const Result<pid_t> pid =
        spawn(request_.argv, input->get(), output->write.get(), errors->write.get());
    if (!pid) {
      return tl::unexpected<Error>(pid.error());
    }
    pid_ = *pid;
    // glibc 2.36 declares pidfd_open for C only.
    FileDescriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!pidfd.is_open()) {
      return system_error("cannot watch " + request_.argv.front(), errno);
    }
    boost::system::error_code error;
    for (auto [descriptor, watcher] :
         {std::pair{&output->read, &output_.descriptor},
          std::pair{&errors->read, &errors_.descriptor}, std::pair{&pidfd, &exit_watch_}}) {
      watcher->assign(descriptor->get(), error);
      if (error) {
        return fail(ErrorCode::Environment,
                    "cannot watch " + request_.argv.front() + ": " + error.message());
      }
      static_cast<void>(descriptor->release());  // the watcher owns it now
    }
    return {};
  }

  void read(Stream& stream) {
    stream.descriptor.async_read_some(
        asio::buffer(stream.buffer),
        [self = shared_from_this(), &stream](const boost::system::error_code& error,
                                             std::size_t length) {
          if (!self->done_) {
            return;
          }
          const std::size_t room = self->request_.max_output - stream.text.size();
          stream.text.append(stream.buffer.data(), std::min(length, room));
          if (error) {  // end of file, or nothing that could be read again
            stream.descriptor.close();
            self->finish_if_over();
          } else {
            self->read(stream);
          }
        });
  }

  void reap() {
    int status = 0;
    if (!done_ || ::waitpid(pid_, &status, WNOHANG) != pid_) {
      return;
    }
    pid_ = -1;
    status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    finish_if_over();
  }

  void miss_deadline() {
    if (done_) {
      const Done done = std::exchange(done_, nullptr);
      abandon();
      done(fail(ErrorCode::Environment,
                request_.argv.front() + " did not end within " +
                    std::to_string(
                        std::chrono::duration_cast<std::chrono::milliseconds>(request_.deadline)
                            .count()) +
                    " ms and was killed"));
    }
  }

  void finish_if_over() {
    if (pid_ < 0 && !output_.descriptor.is_open() && !errors_.descriptor.is_open()) {
      finish(ChildExit{
          .status = status_, .output = std::move(output_.text), .errors = std::move(errors_.text)});
    }
  }

  void finish(Result<ChildExit> result) {
    if (done_) {
      const Done done = std::exchange(done_, nullptr);
      abandon();
      done(std::move(result));
    }
  }

  void close() {
    boost::system::error_code ignored;
    output_.descriptor.close(ignored);
    errors_.descriptor.close(ignored);
    exit_watch_.close(ignored);
    deadline_.cancel();
  }

  asio::io_context& context_;
  ChildRequest request_;
  Done done_;       // empty: it ran, or never will
  pid_t pid_ = -1;  // until reaped
  int status_ = 0;
  Stream output_;
  Stream errors_;
  asio::posix::stream_descriptor exit_watch_;  // a pidfd: readable when the child has ended
  asio::steady_timer deadline_;
};

ChildProcess::ChildProcess(std::shared_ptr<Run> run) : run_(std::move(run)) {}

ChildProcess::~ChildProcess() {
  run_->abandon();
}

std::unique_ptr<ChildProcess> ChildProcess::start(asio::io_context& context, ChildRequest request,
                                                  Done done) {
  check(!request.argv.empty(), "a child process has a program");
  auto run = std::make_shared<Run>(context, std::move(request), std::move(done));
  run->start();
  return std::unique_ptr<ChildProcess>(new ChildProcess(std::move(run)));
}

}  // namespace vxmesh
