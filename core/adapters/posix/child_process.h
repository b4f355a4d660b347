// A child process that is given text and answers with text, without blocking the event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace vxmesh {

struct ChildRequest {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH; not empty
  std::string input;              // the whole standard input
  Duration deadline{};            // killed (SIGKILL) when it runs longer; more than zero
  std::size_t max_output = std::size_t{64} * 1024;  // kept of each stream, in bytes; the rest is
                                                    // read and dropped
};

struct ChildExit {
  int status = 0;      // exit status; 128 + the signal if a signal ended it, as shells say it
  std::string output;  // standard output
  std::string errors;  // standard error

  friend bool operator==(const ChildExit&, const ChildExit&) = default;
};

// Contract: `done` runs exactly once, from the io_context, never inside start: with the exit once
// the child has ended and both its streams are closed, or with an error that names the program if
// it could not be started or missed its deadline. The child's environment is ours; it inherits no
// descriptor but the three.
// Ownership: destroying the object kills and reaps a child that still runs; `done` is then not
// called. `done` may destroy the object. Threading: one thread, that of the io_context.
class ChildProcess {
 public:
  using Done = std::function<void(Result<ChildExit>)>;

  [[nodiscard]] static std::unique_ptr<ChildProcess> start(boost::asio::io_context& context,
                                                           ChildRequest request, Done done);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

 private:
  class Run;
  explicit ChildProcess(std::shared_ptr<Run> run);

  std::shared_ptr<Run> run_;
};

}  // namespace vxmesh
