// vxmesh-sim: clusters in virtual time. Flags, and nothing else; what commands do is in command_*.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/nearest.h"
#include "sim/cli/commands.h"
#include "sim/cli/output.h"
#include "sim/scenario/text.h"

namespace vxmesh::cli {
namespace {

constexpr const char* kFooter = R"(Examples:
  vxmesh-sim run sim/scenario/corpus/address-reuse.yaml
  vxmesh-sim sweep --runs 60 --jobs 2 --seed 1
  vxmesh-sim shrink sim-failures/seed-7

"vxmesh-sim COMMAND --help" has the flags of a command, and examples.

A run is a function of its scenario, its seed and the commit. One that fails says why, and leaves a
bundle: a folder that replay, shrink, trace, explain and export take. Times in traces, and those
that flags name, begin when the cluster has converged for the first time, as in scenario files.

Exit status: 0 pass, 1 failed, 2 usage or nothing ran (of a sweep of 100 runs or more also: an
action, oracle or probe that no run has met; of 500 or more: an action that did something in less
than 5 % of them), 128 and the signal's number of a sweep or bench that was told to end.
)";

constexpr const char* kRunExamples = R"(Examples:
  vxmesh-sim run sim/scenario/corpus/address-reuse.yaml
  vxmesh-sim run sim/scenario/corpus/torn-dumps.yaml --seed 3 --dir bundle
  vxmesh-sim run --seed 7 --nodes 12 --pods 36 --for 8m --faults swarm
)";

constexpr const char* kSweepExamples = R"(Examples:
  vxmesh-sim sweep --runs 60 --jobs 2 --seed 1
  vxmesh-sim sweep --time 10m --nodes 3 --pods 6 --for 1m --stop-at-first --junit sweep.xml
  vxmesh-sim sweep --exhaustive sim/scenario/corpus/*.yaml --jobs 2
  vxmesh-sim sweep --exhaustive sim/scenario/corpus/join.yaml --only crash@17

Of a sweep of 100 runs or more the exit status is 2 if no run has met an action, oracle or probe.
)";

constexpr const char* kReplayExamples = R"(Examples:
  vxmesh-sim replay sim-failures/seed-7
  vxmesh-sim replay sim-failures/seed-7 --until 12s
)";

constexpr const char* kTraceExamples = R"(Examples:
  vxmesh-sim trace sim-failures/seed-7 --at 12s
  vxmesh-sim trace sim-failures/seed-7 --at 12s --node n1 fdb
  vxmesh-sim trace sim-failures/seed-7 --pcap frames.pcapng

Times count from when the cluster had converged for the first time; what was before has negative
ones in the trace, and is not in FILE.
)";

constexpr const char* kExplainExamples = R"(Examples:
  vxmesh-sim explain sim-failures/seed-7 p1 p2
  vxmesh-sim explain sim-failures/seed-7 p1 p2 --at 12s
)";

constexpr const char* kShrinkExamples = R"(Examples:
  vxmesh-sim shrink sim-failures/seed-7
  vxmesh-sim shrink sim-failures/seed-7 --time 5m
)";

constexpr const char* kExportExamples = R"(Examples:
  vxmesh-sim export sim-failures/seed-7 --scenario seed-7.yaml
)";

constexpr const char* kBenchExamples = R"(Examples:
  vxmesh-sim bench --jobs 2
  vxmesh-sim bench --nodes 1000 --agents 100 --for 10m --json
)";

constexpr const char* kCompileExamples = R"(Examples:
  vxmesh-sim compile scenario.yaml
  vxmesh-sim compile --json sim/scenario/corpus/join.yaml
  vxmesh-sim compile --schema
)";

using Action = std::function<int()>;

// A time as scenarios write it.
void add_time(CLI::App& app, const std::string& name, const std::string& about,
              const std::function<void(Duration)>& set) {
  app.add_option_function<std::string>(
         name,
         [set, name](const std::string& text) {
           const auto time = parse_time(text);
           if (!time) {
             throw CLI::ValidationError(name, time.error().context);
           }
           set(*time);
         },
         about)
      ->type_name("TIME");
}

CLI::App* add_command(CLI::App& app, const char* name, const char* about, const char* examples) {
  CLI::App* added = app.add_subcommand(name, about);
  added->footer(examples);
  return added;
}

// CLI11 takes what is too large for the largest number, and what is negative for one that is large.
void whole_number(CLI::Option* option) {
  option->check(CLI::Validator(
      [](const std::string& text) {
        std::uint64_t number = 0;
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, number);
        return error == std::errc() && stop == end ? ""
                                                   : "'" + text + "' is no number from 0 to 2^64-1";
      },
      ""));
  option->type_name("NUMBER");
}

// The help has the bounds in the place of a type.
void bounded(CLI::Option* option, std::uint64_t least, std::uint64_t most) {
  option->check(CLI::Range(least, most).description(""))
      ->type_name("[" + std::to_string(least) + "-" + std::to_string(most) + "]");
}

const std::map<std::string, FaultMix> kMixes{
    {"none", FaultMix::None}, {"churn", FaultMix::Churn}, {"swarm", FaultMix::Swarm}};

// What draw_scenario() has names and addresses for.
constexpr std::uint32_t kMostNodes = 190;
constexpr std::uint32_t kMostPodsOfNode = 98;

void add_swarm(CLI::App& app, SwarmOptions& options) {
  bounded(app.add_option("--nodes", options.nodes, "nodes at the start")->capture_default_str(), 2,
          kMostNodes);
  bounded(app.add_option("--pods", options.pods, "pods at the start")->capture_default_str(), 2,
          std::uint64_t{kMostNodes} * kMostPodsOfNode);
  app.add_option_function<std::string>(
         "--faults",
         [&options](const std::string& word) {
           const auto mix = kMixes.find(word);
           if (mix == kMixes.end()) {
             throw CLI::ValidationError("--faults",
                                        "no mix '" + word + "'; there are none, churn and swarm");
           }
           options.faults = mix->second;
         },
         "none, churn (nodes and pods come and go) or\nswarm (each kind in a quarter of the runs)")
      ->type_name("MIX")
      ->default_str("swarm");
}

void check_swarm(const SwarmOptions& options) {
  if (options.pods > options.nodes * kMostPodsOfNode) {
    throw CLI::ValidationError("--pods", std::to_string(options.pods) + " are more than " +
                                             std::to_string(kMostPodsOfNode) + " for each of " +
                                             std::to_string(options.nodes) + " nodes");
  }
  if (options.lasts < std::chrono::milliseconds(1)) {
    throw CLI::ValidationError("--for", "is too short");
  }
}

void add_run(CLI::App& app, Action& action) {
  CLI::App* run =
      add_command(app, "run", "run one scenario: of a file, or drawn from a seed", kRunExamples);
  const auto flags = std::make_shared<RunFlags>();
  CLI::Option* file = run->add_option("FILE", flags->file, "a scenario (YAML)");
  CLI::Option* seed = run->add_option("--seed", flags->swarm.seed,
                                      "without FILE: what the run is drawn from;\n"
                                      "with it: what its clocks and the order of events are (1)");
  whole_number(seed);
  add_swarm(*run, flags->swarm);
  for (const char* name : {"--nodes", "--pods", "--faults"}) {
    run->get_option(name)->excludes(file);
  }
  add_time(*run, "--for",
           "steps happen within this time (8m);\nwith FILE: the run lasts so long at least",
           [flags](Duration time) { flags->swarm.lasts = flags->options.lasts = time; });
  bounded(run->add_option("--max-neighbours", flags->options.reconciler.max_neighbours,
                          "of each agent, of a FILE")
              ->needs(file),
          1, 1 << 20);
  bounded(
      run->add_option("--max-skew-ppm", flags->options.max_skew_ppm, "of hosts' clocks, of a FILE")
          ->needs(file),
      0, 100'000);
  run->add_option("--dir", flags->folder,
                  "where the bundle goes; without: sim-failures/NAME, if the run fails")
      ->type_name("DIR");
  run->add_flag("--json", flags->json, "print one JSON object instead of text");
  run->final_callback([&action, flags, seed] {
    if (flags->file.empty() && seed->count() == 0) {
      throw CLI::RequiredError("FILE or --seed");
    }
    check_swarm(flags->swarm);
    flags->options.seed = seed->count() == 0 ? flags->options.seed : flags->swarm.seed;
    action = [flags] { return cli::run(*flags); };
  });
}

void add_sweep(CLI::App& app, Action& action) {
  CLI::App* sweep =
      add_command(app, "sweep", "run many seeds, each another scenario", kSweepExamples);
  const auto flags = std::make_shared<SweepFlags>();
  SweepOptions& options = flags->options;
  CLI::Option* runs = sweep->add_option_function<std::uint64_t>(
      "--runs", [flags](std::uint64_t count) { flags->options.runs = count; }, "how many");
  bounded(runs, 1, 1'000'000'000);
  add_time(*sweep, "--time", "no run begins after so long, in real time",
           [flags](Duration time) { flags->options.time = time; });
  bounded(sweep->add_option("--jobs", options.jobs, "processes")->capture_default_str(), 1, 256);
  whole_number(sweep->add_option("--seed", options.first.seed, "of the first run; others follow")
                   ->capture_default_str());
  add_swarm(*sweep, options.first);
  add_time(*sweep, "--for", "steps happen within this time (8m)",
           [flags](Duration time) { flags->options.first.lasts = time; });
  sweep->add_option("--junit", flags->junit, "write a JUnit report")->type_name("FILE");
  sweep->add_flag("--stop-at-first", options.stop_at_first, "end with the first run that fails");
  sweep->add_flag("--json", flags->json, "print one JSON object instead of text");
  const auto points = std::make_shared<ExhaustiveFlags>();
  CLI::Option* exhaustive =
      sweep
          ->add_option(
              "--exhaustive", points->files,
              "instead: each FILE again, with a fault at every\nnetlink operation and watch event")
          ->type_name("FILE");
  for (const char* name : {"--runs", "--time", "--nodes", "--pods", "--faults", "--for", "--junit",
                           "--stop-at-first"}) {
    exhaustive->excludes(sweep->get_option(name));
  }
  sweep->add_option("--only", points->only, "with --exhaustive: one point, such as crash@17")
      ->type_name("POINT")
      ->needs(exhaustive)
      ->excludes(sweep->get_option("--json"));
  sweep->final_callback([&action, flags, points] {
    if (!points->files.empty()) {
      points->seed = flags->options.first.seed;
      points->jobs = flags->options.jobs;
      points->json = flags->json;
      action = [points] { return sweep_points(*points); };
      return;
    }
    if (!flags->options.runs && !flags->options.time) {
      throw CLI::RequiredError("--runs, --time or --exhaustive");
    }
    if (flags->options.runs.value_or(1) - 1 >
        std::numeric_limits<std::uint64_t>::max() - flags->options.first.seed) {
      throw CLI::ValidationError("--seed", "is too large for so many runs");
    }
    check_swarm(flags->options.first);
    action = [flags] { return cli::sweep(*flags); };
  });
}

CLI::App* add_bundle_command(CLI::App& app, Action& action, const char* name, const char* about,
                             const char* examples, const std::shared_ptr<BundleFlags>& flags,
                             int (*command)(const BundleFlags&)) {
  CLI::App* added = add_command(app, name, about, examples);
  added->add_option("DIR", flags->folder, "a bundle")->required();
  added->final_callback(
      [&action, flags, command] { action = [flags, command] { return command(*flags); }; });
  return added;
}

void add_bundle_commands(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<BundleFlags>();
  const auto set_time = [flags](Duration time) { flags->time = time; };
  CLI::App* replayed =
      add_bundle_command(app, action, "replay", "run it again, and compare with what is recorded",
                         kReplayExamples, flags, replay);
  add_time(*replayed, "--until", "only so far", set_time);

  CLI::App* traced =
      add_bundle_command(app, action, "trace", "what happened, or a node's table at a moment",
                         kTraceExamples, flags, trace);
  add_time(*traced, "--at", "only what was until then; without: to the end", set_time);
  CLI::Option* node = traced->add_option("--node", flags->node, "of this node only");
  CLI::Option* table =
      traced->add_option("TABLE", flags->table, "fdb, neigh, routes or links, as it was then")
          ->check(CLI::IsMember({"fdb", "neigh", "routes", "links"}))
          ->needs(node);
  traced
      ->add_option("--pcap", flags->pcap,
                   "instead: write the frames on the underlay (pcapng), from time 0 on")
      ->type_name("FILE")
      ->excludes(node)
      ->excludes(table);

  CLI::App* explained =
      add_bundle_command(app, action, "explain", "what becomes of a packet at the end of the run",
                         kExplainExamples, flags, explain);
  explained->add_option("A", flags->from, "a pod that sends")->required();
  explained->add_option("B", flags->to, "a pod that it sends to")->required();
  add_time(*explained, "--at", "at this moment instead", set_time);

  CLI::App* shrunk =
      add_command(app, "shrink", "find a small scenario that fails as it does", kShrinkExamples);
  const auto shrinking = std::make_shared<ShrinkFlags>();
  shrunk->add_option("DIR", shrinking->folder, "a bundle of a run that has failed")->required();
  add_time(*shrunk, "--time", "real time that it may take (60s)",
           [shrinking](Duration time) { shrinking->time = time; });
  shrunk->final_callback(
      [&action, shrinking] { action = [shrinking] { return shrink_run(*shrinking); }; });

  CLI::App* exported = add_bundle_command(app, action, "export", "write its scenario as a file",
                                          kExportExamples, flags, export_scenario);
  exported->add_option("--scenario", flags->scenario, "the file")->required()->type_name("FILE");
}

void add_bench(CLI::App& app, Action& action) {
  CLI::App* bench = add_command(
      app, "bench", "how fast a large cluster is simulated, of which some nodes run agents",
      kBenchExamples);
  const auto flags = std::make_shared<BenchFlags>();
  LargeClusterOptions& options = flags->options;
  constexpr std::uint64_t kMost = LargeClusterOptions::kMostNodes / 2;
  const auto add_count = [&](const char* name, auto& count, std::uint64_t least, std::uint64_t most,
                             const char* about) {
    bounded(bench->add_option(name, count, about)->capture_default_str(), least, most);
  };
  add_count("--nodes", options.nodes, 2, kMost, "at the start; the others join and leave");
  add_count("--agents", options.agents, 1, kMost, "on the first nodes");
  add_count("--together", options.together, 1, kMost,
            "so many agents in one world; the API is the same in all");
  add_count("--jobs", flags->jobs, 1, 256, "processes");
  whole_number(bench->add_option("--seed", options.seed, "what times and nodes are drawn from")
                   ->capture_default_str());
  add_time(*bench, "--for", "virtual time, without the start (1h)",
           [flags](Duration time) { flags->options.lasts = time; });
  add_time(*bench, "--resync", "between full passes of each agent (10m)",
           [flags](Duration time) { flags->options.resync_interval = time; });
  bench->add_flag("--json", flags->json, "print one JSON object instead of text");
  bench->final_callback([&action, flags] {
    if (flags->options.agents > flags->options.nodes) {
      throw CLI::ValidationError("--agents", "there are fewer nodes");
    }
    if (flags->options.lasts < std::chrono::seconds(1) ||
        flags->options.lasts > std::chrono::hours(4)) {
      throw CLI::ValidationError("--for", "is from 1s to 4h");
    }
    if (flags->options.resync_interval < std::chrono::seconds(1)) {
      throw CLI::ValidationError("--resync", "is at least 1s");
    }
    action = [flags] { return cli::bench(*flags); };
  });
}

void add_compile(CLI::App& app, Action& action) {
  CLI::App* compiled =
      add_command(app, "compile", "check a scenario file, and resolve it", kCompileExamples);
  const auto flags = std::make_shared<CompileFlags>();
  CLI::Option* file = compiled->add_option("FILE", flags->file, "a scenario (YAML)");
  CLI::Option* json =
      compiled->add_flag("--json", flags->json, "print it as JSON, with all references resolved");
  compiled->add_flag("--schema", flags->schema, "print the JSON schema of scenario files instead")
      ->excludes(file)
      ->excludes(json);
  compiled->final_callback([&action, flags] {
    if (flags->file.empty() && !flags->schema) {
      throw CLI::RequiredError("FILE or --schema");
    }
    action = [flags] { return cli::compile(*flags); };
  });
}

// Empty if `word` is a command, a flag or nothing.
std::string unknown_command(const CLI::App& app, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* const command : app.get_subcommands({})) {
    names.push_back(command->get_name());
  }
  if (word.empty() || word.front() == '-' || std::ranges::find(names, word) != names.end()) {
    return "";
  }
  return "no command '" + word + "'" + did_you_mean(word, names) + "; see --help";
}

int main(int argc, char** argv) {
  CLI::App app("Simulates whole clusters in virtual time: production agents, fake kernels, faults.",
               "vxmesh-sim");
  app.footer(kFooter);
  app.get_formatter()->label("Excludes", "without");
  app.require_subcommand(1);
  app.set_version_flag("--version", "vxmesh-sim, commit " + commit());
  Action action;
  for (const auto add : {add_run, add_sweep, add_bundle_commands, add_bench, add_compile}) {
    add(app, action);
  }
  if (const std::string unknown = unknown_command(app, argc > 1 ? argv[1] : ""); !unknown.empty()) {
    return complain(unknown, kUsage);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + "; see --help", kUsage);
  }
  const int status = action();
  if (!std::cout.flush()) {
    return complain("standard output: cannot be written", kFailed);
  }
  return status;
}

}  // namespace
}  // namespace vxmesh::cli

int main(int argc, char** argv) {
  return vxmesh::cli::main(argc, argv);
}
