// vxmesh-fidelity: random netlink programs on the fake kernel and on the real one, compared.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "base/nearest.h"
#include "integration/fidelity/report.h"
#include "integration/fidelity/run.h"

namespace vxmesh::fidelity {
namespace {

// Exit statuses of every program of the project.
enum ExitStatus : int { kPass = 0, kFailed = 1, kUsage = 2, kMissingCapability = 4 };

// Timed programs mostly sleep. Each has two neighbours or three, and with IPv6 a few multicast
// ones: more programs at a time would come near the 128 at which the kernel collects those of all
// namespaces (gc_thresh1).
constexpr unsigned kTimedJobs = 24;

constexpr std::string_view kExamples = R"(Examples:
  vxmesh-fidelity run --programs 1000 --seed 7
  vxmesh-fidelity run --programs 4000 --seed 7 --cells | grep unseen
  vxmesh-fidelity run --programs 2000 --fake-only
  vxmesh-fidelity run --programs 200 --timed
  vxmesh-fidelity replay integration/fidelity/cases/*.txt

It needs root, or a user namespace in which network namespaces can be made. A gap is shrunk,
printed as ip and bridge commands, and saved as a case that replay runs again.

Exit status: 0 no gap, 1 a gap, 2 usage, nothing ran, or a case that does not parse, 4 a capability
is missing.
)";

int complain(const std::string& sentence, ExitStatus status) {
  std::cerr << "vxmesh-fidelity: " << sentence << "\n";
  return status;
}

int complain(const Error& error) {
  switch (error.code) {
    case ErrorCode::NoPermission: return complain(error.context, kMissingCapability);
    case ErrorCode::InvalidInput: return complain(error.context, kUsage);
    default: return complain(error.context, kFailed);
  }
}

struct CommandLine {
  bool replays = false;
  RunOptions options;
  bool json = false;
  bool cells = false;
  bool fake_only = false;
  std::string save = "fidelity-cases";
  std::vector<std::string> files;
};

// Either what to do, or the exit status if there is nothing more to do.
using ParsedCommandLine = tl::expected<CommandLine, int>;

ParsedCommandLine parse_command_line(int argc, char** argv) {
  CLI::App app{"Compares the fake kernel with the real one on random netlink programs.",
               "vxmesh-fidelity"};
  app.footer(std::string(kExamples));
  app.require_subcommand(1);
  CommandLine line;
  RunOptions& options = line.options;
  CLI::App* run = app.add_subcommand("run", "generate programs and compare");
  run->add_option("--programs", options.programs, "how many")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}));
  run->add_option("--seed", options.seed, "what the programs are drawn from")
      ->capture_default_str();
  run->add_option("--ops", options.operations, "operations of each program")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  const CLI::Option* jobs =
      run->add_option("--jobs", options.jobs, "programs at a time; 24 by default if timed")
          ->capture_default_str()
          ->check(CLI::Range(1, 64));
  run->add_flag("--timed", options.timed, "programs in which time passes, in real time");
  run->add_option("--most-gaps", options.most_gaps, "different gaps after which the run ends")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  run->add_option("--save", line.save, "where cases of gaps are saved")
      ->capture_default_str()
      ->type_name("DIR");
  run->add_flag("--json", line.json, "print one JSON object instead of text");
  run->add_flag("--cells", line.cells, "list the cells of the coverage");
  run->add_flag("--fake-only", line.fake_only, "run the fake alone, and say how fast it is");
  CLI::App* replay = app.add_subcommand("replay", "compare on saved cases");
  replay->add_option("FILE", line.files, "cases")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return tl::unexpected(app.exit(help));
  } catch (const CLI::CallForAllHelp& help) {
    return tl::unexpected(app.exit(help));
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(complain(std::string(error.what()) + "; see --help", kUsage));
  }
  line.replays = replay->parsed();
  if (options.timed && jobs->count() == 0) {
    options.jobs = kTimedJobs;
  }
  return line;
}

// Empty if it could not be written; that is said, and the run goes on.
std::string save_case(const FoundGap& found, const CommandLine& line) {
  const std::filesystem::path path =
      std::filesystem::path(line.save) / case_name(found, line.options.seed);
  std::error_code error;
  std::filesystem::create_directories(line.save, error);
  std::ofstream file(path);
  if (!(file << case_text(found, line.options.seed))) {
    std::cerr << "vxmesh-fidelity: cannot write " << path << ", ignoring\n";
    return {};
  }
  return path.string();
}

// A line that is written over, on a terminal only.
class ProgressLine {
 public:
  explicit ProgressLine(std::uint64_t programs) : programs_(programs), shown_(isatty(2) != 0) {}
  ~ProgressLine() {
    if (shown_) {
      std::cerr << "\r\033[K" << std::flush;
    }
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void update(std::uint64_t done, std::uint64_t gaps) const {
    if (shown_ && done % 16 == 0) {
      std::cerr << "\r" << done << " of " << programs_ << " programs, " << gaps << " with gaps"
                << std::flush;
    }
  }

 private:
  std::uint64_t programs_;
  bool shown_;
};

void print_gap(const FoundGap& found, const std::string& file) {
  const bool colours = isatty(1) != 0;
  const std::string text = describe(found, file);
  const std::size_t end = text.find('\n');
  std::cout << (colours ? "\033[31m" : "") << text.substr(0, end) << (colours ? "\033[0m" : "")
            << text.substr(end);
}

int report_run(const RunResult& result, const CommandLine& line) {
  std::vector<std::string> files;
  for (const FoundGap& found : result.found) {
    files.push_back(save_case(found, line));
  }
  if (line.json) {
    std::cout << json_text(result, files) << "\n";
    return result.gaps == 0 ? kPass : kFailed;
  }
  if (result.gaps != 0) {
    std::cout << "gap: " << result.found.size() << " different in " << result.gaps << " programs\n";
  }
  for (std::size_t i = 0; i < result.found.size(); ++i) {
    print_gap(result.found[i], files[i]);
  }
  if (line.cells) {
    std::cout << format_cells(result.coverage);
  }
  if (result.late != 0) {
    std::cout << result.late
              << " programs say nothing: this machine was too busy to keep their times\n";
  }
  std::cout << summary_line(result) << "\n";
  if (result.late == result.tally.programs) {
    return complain("nothing ran", kUsage);
  }
  return result.gaps == 0 ? kPass : kFailed;
}

int run_programs(const CommandLine& line) {
  if (line.fake_only) {
    FakeSpeed speed;
    const RunResult result = run_fake(line.options, make_fake_world, speed);
    const auto microseconds =
        std::chrono::duration_cast<std::chrono::microseconds>(speed.took).count();
    if (!line.json && microseconds > 0) {
      std::cout << "fake alone: "
                << speed.operations * 1'000'000 / static_cast<std::uint64_t>(microseconds)
                << " operations/s with dumps\n";
    }
    return report_run(result, line);
  }
  const Worlds worlds{.fake = make_fake_world, .real = make_real_world, .crowded = host_is_crowded};
  if (const auto first = worlds.real(); !first) {
    return complain(first.error());
  }
  const Result<RunResult> result = [&] {
    const ProgressLine progress(line.options.programs);
    return run(line.options, worlds,
               [&](std::uint64_t done, std::uint64_t gaps) { progress.update(done, gaps); });
  }();
  return result ? report_run(*result, line) : complain(result.error());
}

Result<Program> read_case(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!(text << file.rdbuf())) {
    return fail(ErrorCode::InvalidInput, path + ": cannot read it");
  }
  return parse_program(text.str()).map_error([&](const Error& error) {
    return Error{.code = error.code, .context = path + ": " + error.context};
  });
}

int replay_cases(const CommandLine& line) {
  std::vector<Program> programs;
  for (const std::string& path : line.files) {
    const Result<Program> program = read_case(path);
    if (!program) {
      return complain(program.error());
    }
    programs.push_back(*program);
  }
  const Worlds worlds{.fake = make_fake_world, .real = make_real_world, .crowded = host_is_crowded};
  std::string text;
  std::size_t gaps = 0;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const Result<std::optional<FoundGap>> found = run_one(programs[i], worlds);
    if (!found) {
      return complain(
          {.code = found.error().code, .context = line.files[i] + ": " + found.error().context});
    }
    if (*found) {
      ++gaps;
      text += line.files[i] + ": " + describe(**found, {});
    }
  }
  if (gaps != 0) {
    std::cout << "gap: in " << gaps << " cases\n" << text;
  }
  std::cout << "replay: cases=" << programs.size() << " gaps=" << gaps << "\n";
  return gaps == 0 ? kPass : kFailed;
}

int main(int argc, char** argv) {
  const ParsedCommandLine line = parse_command_line(argc, argv);
  if (!line) {
    return line.error();
  }
  return line->replays ? replay_cases(*line) : run_programs(*line);
}

}  // namespace
}  // namespace vxmesh::fidelity

int main(int argc, char** argv) {
  return vxmesh::fidelity::main(argc, argv);
}
