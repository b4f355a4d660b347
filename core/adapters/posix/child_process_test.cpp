#include "adapters/posix/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <optional>

namespace vxmesh {
namespace {

using namespace std::chrono_literals;

struct Outcome {
  int calls = 0;
  std::optional<Result<ChildExit>> result;
};

Outcome run(ChildRequest request) {
  boost::asio::io_context context;
  Outcome outcome;
  const auto child =
      ChildProcess::start(context, std::move(request), [&outcome](Result<ChildExit> result) {
        ++outcome.calls;
        outcome.result = std::move(result);
      });
  EXPECT_EQ(outcome.calls, 0) << "done ran inside start";
  context.run();
  EXPECT_EQ(outcome.calls, 1);
  return outcome;
}

TEST(ChildProcess, GivesInputAndCollectsBothStreamsAndTheStatus) {
  const Outcome outcome = run({.argv = {"sh", "-c", "cat; echo complaint >&2; exit 3"},
                               .input = "the text",
                               .deadline = 60s});
  EXPECT_EQ(outcome.result->value(),
            (ChildExit{.status = 3, .output = "the text", .errors = "complaint\n"}));
}

TEST(ChildProcess, InputCanBeReadByNameAndIsNotLimitedByAPipe) {
  const std::string large(1'000'000, 'x');
  const Outcome outcome =
      run({.argv = {"sh", "-c", "wc -c < /dev/stdin"}, .input = large, .deadline = 60s});
  EXPECT_EQ(outcome.result->value().output, "1000000\n");
}

TEST(ChildProcess, AChildThatDoesNotReadIsNoError) {
  const Outcome outcome =
      run({.argv = {"true"}, .input = std::string(1'000'000, 'x'), .deadline = 60s});
  EXPECT_EQ(outcome.result->value(), (ChildExit{}));
}

TEST(ChildProcess, KeepsNoMoreOutputThanAllowed) {
  const Outcome outcome = run({.argv = {"sh", "-c", "yes | head -c 300000; echo end >&2"},
                               .input = "",
                               .deadline = 60s,
                               .max_output = 5000});
  EXPECT_EQ(outcome.result->value().output.size(), 5000U);
  EXPECT_EQ(outcome.result->value().errors, "end\n");
  EXPECT_EQ(outcome.result->value().status, 0) << "the rest was not read";
}

TEST(ChildProcess, AProgramThatIsMissingIsAnErrorThatNamesIt) {
  const Outcome outcome = run({.argv = {"vxmesh-no-such-program"}, .input = "", .deadline = 60s});
  ASSERT_FALSE(outcome.result->has_value());
  EXPECT_EQ(outcome.result->error().context,
            "cannot run vxmesh-no-such-program: No such file or directory");
}

TEST(ChildProcess, ASignalIsReportedAsShellsDo) {
  const Outcome outcome =
      run({.argv = {"sh", "-c", "kill -TERM $$"}, .input = "", .deadline = 60s});
  EXPECT_EQ(outcome.result->value().status, 128 + SIGTERM);
}

// True if this process has no children, alive or unreaped.
bool no_children_left() {
  return ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
}

TEST(ChildProcess, ADeadlineKillsAndReaps) {
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome =
      run({.argv = {"sh", "-c", "exec sleep 600"}, .input = "", .deadline = 50ms});
  ASSERT_FALSE(outcome.result->has_value());
  EXPECT_EQ(outcome.result->error().context, "sh did not end within 50 ms and was killed");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 60s);
  EXPECT_TRUE(no_children_left());
}

// A grandchild that keeps the streams open must not hold the answer back for ever.
TEST(ChildProcess, ADeadlineAlsoEndsTheWaitForStreams) {
  const Outcome outcome =
      run({.argv = {"sh", "-c", "sleep 2 & exit 0"}, .input = "", .deadline = 200ms});
  EXPECT_FALSE(outcome.result->has_value());
}

TEST(ChildProcess, DestroyingItKillsTheChildAndKeepsDoneFromRunning) {
  boost::asio::io_context context;
  int calls = 0;
  auto child =
      ChildProcess::start(context, {.argv = {"sleep", "600"}, .input = "", .deadline = 600s},
                          [&calls](const Result<ChildExit>&) { ++calls; });
  child.reset();
  EXPECT_TRUE(no_children_left());
  context.run();
  EXPECT_EQ(calls, 0);
}

TEST(ChildProcess, DoneMayDestroyIt) {
  boost::asio::io_context context;
  std::unique_ptr<ChildProcess> child;
  int calls = 0;
  child = ChildProcess::start(context, {.argv = {"true"}, .input = "", .deadline = 60s},
                              [&](const Result<ChildExit>&) {
                                ++calls;
                                child.reset();
                              });
  context.run();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace vxmesh
