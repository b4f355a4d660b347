#include "sim/cli/bundle.h"

#include <boost/json.hpp>
#include <charconv>
#include <filesystem>

#include "sim/cli/output.h"
#include "sim/cli/violation_json.h"
#include "sim/scenario/pretty_json.h"

namespace vxmesh::cli {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kFormat = 1;

// Files of a bundle. The last is there if the run has been made small.
constexpr const char* kRun = "run.json";
constexpr const char* kScenario = "scenario.yaml";
constexpr const char* kTrace = "trace.txt";
constexpr const char* kStory = "story.txt";

std::string path_of(const std::string& folder, const char* file) {
  return (std::filesystem::path(folder) / file).string();
}

// What shrinking has made of the bundle that was here. Files of other names stay, and their folder.
void remove_derived(const std::string& folder) {
  std::error_code error;  // what stays misleads, but stands in no one's way
  const std::string small = small_folder(folder);
  for (const char* file : {kRun, kScenario, kTrace, kStory}) {
    std::filesystem::remove(path_of(small, file), error);
  }
  std::filesystem::remove(small, error);
  std::filesystem::remove(path_of(folder, kStory), error);
}

json::object options_json(const SimulationOptions& options) {
  return {{"seed", options.seed},
          {"lasts_ns", options.lasts.count()},
          {"quiet_ns", options.quiet.count()},
          {"max_skew_ppm", options.max_skew_ppm},
          {"max_neighbours", options.reconciler.max_neighbours},
          {"resync_interval_ns", options.reconciler.resync_interval.count()},
          {"probes_per_second", options.workload.probes_per_second},
          {"heartbeats_per_second", options.workload.heartbeats_per_second}};
}

// What a damaged file may ask for at most: a year, and more events than any cluster has.
constexpr Duration kLongest = std::chrono::hours(24 * 366);
constexpr std::uint64_t kMostPerSecond = 1'000'000;

// Reads members of one object; the first that is missing or of another type is an error.
class Members {
 public:
  explicit Members(const json::value& value) : object_(value.if_object()) {}

  template <typename Number>
  Number number(const char* key) {
    const auto value = json::try_value_to<Number>(any(key));
    note(value.has_value(), key);
    return value.has_value() ? *value : Number{};
  }
  // Of a value that a run can have; anything else is as bad as none.
  template <typename Number>
  Number number(const char* key, Number least, Number most) {
    const Number value = number<Number>(key);
    note(value >= least && value <= most, key);
    return value;
  }
  Duration duration(const char* key) { return Duration(number<std::int64_t>(key)); }
  Duration duration(const char* key, Duration least) {
    return Duration(number<std::int64_t>(key, least.count(), kLongest.count()));
  }
  std::string text(const char* key) {
    const json::value* found = find(key);
    const json::string* text = found == nullptr ? nullptr : found->if_string();
    note(text != nullptr, key);
    return text == nullptr ? "" : std::string(*text);
  }
  // A member that may be anything; null stands for one that is missing.
  [[nodiscard]] json::value any(const char* key) const {
    const json::value* found = find(key);
    return found == nullptr ? json::value() : *found;
  }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  [[nodiscard]] const json::value* find(const char* key) const {
    return object_ == nullptr ? nullptr : object_->if_contains(key);
  }
  void note(bool right, const char* key) {
    if (!right && wrong_.empty()) {
      wrong_ = key;
    }
  }

  const json::object* object_;
  std::string wrong_;  // the first key
};

SimulationOptions options_of(Members& members) {
  SimulationOptions options;
  options.seed = members.number<std::uint64_t>("seed");
  options.lasts = members.duration("lasts_ns", {});
  options.quiet = members.duration("quiet_ns", {});
  options.max_skew_ppm = members.number<std::int64_t>("max_skew_ppm", 0, 100'000);
  options.reconciler.max_neighbours = members.number<std::size_t>("max_neighbours", 1, 1U << 20U);
  options.reconciler.resync_interval =
      members.duration("resync_interval_ns", std::chrono::seconds(1));
  options.workload.probes_per_second =
      members.number<std::uint64_t>("probes_per_second", 0, kMostPerSecond);
  options.workload.heartbeats_per_second =
      members.number<std::uint64_t>("heartbeats_per_second", 0, kMostPerSecond);
  return options;
}

std::optional<std::uint64_t> parse_hash(const std::string& text) {
  std::uint64_t hash = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, hash, 16);
  return error == std::errc() && stop == end ? std::optional(hash) : std::nullopt;
}

Result<Bundle> bundle_of(const json::value& value, const std::string& path) {
  Bundle bundle;
  Members run(value);
  if (run.number<std::uint64_t>("format") != kFormat) {
    return fail(ErrorCode::InvalidInput,
                path + ": is no run of this format (" + std::to_string(kFormat) + ")");
  }
  bundle.commit = run.text("commit");
  bundle.converged = {run.duration("converged_ns")};
  const auto hash = parse_hash(run.text("hash"));
  const json::value options_value = run.any("options");
  Members options(options_value);
  bundle.run.options = options_of(options);
  const json::value violation_value = run.any("violation");
  Members violation(violation_value);
  if (!violation_value.is_null()) {
    bundle.violation = Violation{.oracle = violation.text("kind"),
                                 .what = violation.text("what"),
                                 .detail = violation.text("detail"),
                                 .time = {violation.duration("time_ns")}};
  }
  for (const Members* members : {&run, &options, &violation}) {
    if (!members->wrong().empty()) {
      return fail(ErrorCode::InvalidInput, path + ": '" + members->wrong() + "' is missing or odd");
    }
  }
  if (!hash) {
    return fail(ErrorCode::InvalidInput, path + ": 'hash' is no number of base 16");
  }
  bundle.hash = *hash;
  return bundle;
}

}  // namespace

Result<void> check_folder(const std::string& folder) {
  std::error_code error;  // what cannot be looked at is found out when it is written
  if (std::filesystem::is_directory(folder, error) && !std::filesystem::is_empty(folder, error) &&
      !error && !std::filesystem::exists(path_of(folder, kRun), error)) {
    return fail(ErrorCode::InvalidInput,
                folder + ": is not empty and no bundle; name another folder");
  }
  return {};
}

Result<void> write_bundle(const std::string& folder, const PlannedRun& run, const Outcome& outcome,
                          const std::string& trace) {
  if (auto usable = check_folder(folder); !usable) {
    return usable;
  }
  remove_derived(folder);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return fail(ErrorCode::Environment, folder + ": cannot be made: " + error.message());
  }
  const json::object object{{"format", kFormat},
                            {"commit", commit()},
                            {"run", run.again},
                            {"options", options_json(run.options)},
                            {"violation", violation_json(outcome.violation)},
                            {"converged_ns", outcome.converged.since_start.count()},
                            {"end_ns", outcome.end.since_start.count()},
                            {"hash", format_hash(outcome.hash)}};
  for (const auto& [file, text] : {std::pair(kRun, pretty_json(object)),
                                   std::pair(kScenario, run.yaml), std::pair(kTrace, trace)}) {
    if (auto written = write_file(path_of(folder, file), text); !written) {
      return written;
    }
  }
  return {};
}

Result<void> write_small_bundle(const std::string& folder, const PlannedRun& run,
                                const Outcome& outcome, const std::string& trace,
                                const std::string& story) {
  auto written = write_bundle(folder, run, outcome, trace);
  return written ? write_file(path_of(folder, kStory), story + "\n") : written;
}

std::string small_folder(const std::string& folder) {
  return path_of(folder, "small");
}

Result<Bundle> read_bundle(const std::string& folder) {
  const std::string path = path_of(folder, kRun);
  const auto text = read_file(path);
  if (!text) {
    return tl::unexpected(text.error());
  }
  json::error_code error;
  const json::value value = json::parse(*text, error);
  if (error) {
    return fail(ErrorCode::InvalidInput, path + ": is no JSON: " + error.message());
  }
  auto bundle = bundle_of(value, path);
  if (!bundle) {
    return bundle;
  }
  auto run = run_of_file(path_of(folder, kScenario), bundle->run.options);
  if (!run) {
    return tl::unexpected(run.error());
  }
  bundle->run = std::move(*run);
  bundle->run.again = "vxmesh-sim replay " + shell_word(folder);
  return bundle;
}

void warn_of_other_commit(const Bundle& bundle) {
  if (bundle.commit != commit()) {
    warn("commit " + bundle.commit + " recorded this run, and this is commit " + commit() +
         ": it may be another run now");
  }
}

}  // namespace vxmesh::cli
