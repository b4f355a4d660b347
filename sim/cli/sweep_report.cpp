#include "sim/cli/sweep_report.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string_view>

#include "sim/cli/output.h"
#include "sim/cli/planned_run.h"
#include "sim/scenario/pretty_json.h"

namespace vxmesh::cli {
namespace {

namespace json = boost::json;

using Row = SweepSum::Row;

// Failures of one kind.
struct Group {
  std::string signature;
  SweepSum::Failure first;
  std::uint64_t count = 0;
};

std::vector<Group> groups_of(const SweepSum& sum) {
  std::vector<Group> groups;
  for (const SweepSum::Failure& failure : sum.failures()) {
    const std::string signature = failure.violation.signature();
    const auto place = std::ranges::find(groups, signature, &Group::signature);
    if (place == groups.end()) {
      groups.push_back({.signature = signature, .first = failure, .count = 1});
    } else {
      ++place->count;
    }
  }
  return groups;
}

std::string again(const SweepSum::Failure& failure, const SweepOptions& options) {
  return "vxmesh-sim run --seed " + std::to_string(failure.seed) + swarm_flags(options.first);
}

// The first run that has failed or, if none has, these runs.
std::string again(const SweepSum& sum, const SweepOptions& options) {
  if (!sum.failures().empty()) {
    return again(sum.failures().front(), options);
  }
  const std::uint64_t runs = sum.runs().empty() ? options.runs.value_or(1) : sum.runs().size();
  return "vxmesh-sim sweep --runs " + std::to_string(runs) + " --seed " +
         std::to_string(options.first.seed) + swarm_flags(options.first);
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

constexpr std::size_t kNameWidth = 48;

std::string rows_text(const char* title, const std::vector<Row>& rows) {
  std::string text = std::string(title) + "\n";
  for (const Row& row : rows) {
    text += "  " + padded(row.name, kNameWidth) + " " + std::to_string(row.count) + "\n";
  }
  return text;
}

std::string shares_text(const char* title, const std::vector<Row>& rows, std::uint64_t runs) {
  std::string text = std::string(title) + "\n";
  for (const Row& row : rows) {
    text += "  " + padded(row.name, kNameWidth) + " " + quotient(row.count * 100, runs) + " %\n";
  }
  return text;
}

json::object rows_json(const std::vector<Row>& rows) {
  json::object object;
  for (const Row& row : rows) {
    object[row.name] = row.count;
  }
  return object;
}

json::array failures_json(const SweepSum& sum, const SweepOptions& options) {
  json::array failures;
  for (const Group& group : groups_of(sum)) {
    failures.push_back(json::object{{"kind", group.first.violation.oracle},
                                    {"what", group.first.violation.what},
                                    {"runs", group.count},
                                    {"seed", group.first.seed},
                                    {"detail", group.first.violation.detail},
                                    {"again", again(group.first, options)}});
  }
  return failures;
}

std::string escaped(std::string_view text) {
  std::string xml;
  for (const char c : text) {
    switch (c) {
      case '&': xml += "&amp;"; break;
      case '<': xml += "&lt;"; break;
      case '>': xml += "&gt;"; break;
      case '"': xml += "&quot;"; break;
      default: xml += static_cast<unsigned char>(c) < 0x20 ? ' ' : c; break;
    }
  }
  return xml;
}

// "12.345": JUnit's times are seconds.
std::string junit_seconds(Duration time) {
  std::string text = format_seconds(time);
  text.pop_back();
  return text;
}

Duration virtual_time(const SweepSum& sum) {
  return sum.total().end.since_start;
}

// API and netlink events; an API event counts once, however many agents are told.
std::uint64_t cluster_events(const SweepSum& sum) {
  return sum.total().api_events + sum.total().kernel_events;
}

}  // namespace

std::vector<std::string> lacking_rows(const SweepSum& sum) {
  std::vector<std::string> lacking;
  const std::uint64_t runs = sum.runs().size();
  if (runs < kRunsForZeroRows) {
    return lacking;
  }
  for (const auto& [table, rows] :
       {std::pair("action", sum.actions()), std::pair("oracle", sum.oracles()),
        std::pair("probe", sum.probes())}) {
    for (const Row& row : rows) {
      if (row.count == 0) {
        lacking.push_back("no run has met " + std::string(table) + " " + row.name);
      }
    }
  }
  for (const Row& row : sum.actions()) {
    const bool is_rare = row.count > 0 && row.count * 100 < runs * kLeastPercent;
    if (runs >= kRunsForShares && is_rare) {
      lacking.push_back("action " + row.name + " did something in " + counted(row.count, "run") +
                        ", less than " + std::to_string(kLeastPercent) + " %");
    }
  }
  return lacking;
}

std::string sweep_table(const SweepSum& sum, const SweepOptions& options) {
  std::string text;
  for (const Group& group : groups_of(sum)) {
    text += "failed (" + group.first.violation.oracle + "): " + group.first.violation.what + ": " +
            counted(group.count, "run") + ", first seed " + std::to_string(group.first.seed) +
            "\n  " + group.first.violation.detail + "\n  again: " + again(group.first, options) +
            "\n";
  }
  text +=
      shares_text("actions: runs in which they did something", sum.actions(), sum.runs().size());
  text += rows_text("oracles: how often they judged", sum.oracles());
  return text + rows_text("probes: how often they were reached", sum.probes());
}

namespace {

// Nothing if it has passed.
std::optional<Violation> sweep_failure(const SweepSum& sum, bool whole) {
  if (!sum.failures().empty()) {
    return sum.failures().front().violation;
  }
  if (!whole || sum.runs().empty()) {
    return Violation{.oracle = whole ? "nothing ran" : "interrupted"};
  }
  return lacking_rows(sum).empty() ? std::nullopt
                                   : std::optional(Violation{.oracle = "lacking rows"});
}

}  // namespace

std::string sweep_line(const SweepSum& sum, const SweepOptions& options, Duration real,
                       bool whole) {
  return "sweep: " + verdict_of(sweep_failure(sum, whole)) +
         " runs=" + std::to_string(sum.runs().size()) +
         " failed=" + std::to_string(sum.failures().size()) +
         " virtual=" + format_seconds(virtual_time(sum)) +
         " ratio=" + ratio(virtual_time(sum), real) +
         " packets/s=" + std::to_string(per_second(sum.total().sent, virtual_time(sum))) +
         " events/s=" + std::to_string(per_second(cluster_events(sum), virtual_time(sum))) +
         " rate=" +
         quotient(sum.runs().size() * 1'000'000'000, static_cast<std::uint64_t>(real.count())) +
         " runs/s hash=" + format_hash(sum.hash()) + " again: " + again(sum, options);
}

std::string sweep_json(const SweepSum& sum, const SweepOptions& options, Duration real,
                       bool whole) {
  const auto failure = sweep_failure(sum, whole);
  json::array lacking;
  for (const std::string& row : lacking_rows(sum)) {
    lacking.emplace_back(row);
  }
  const json::object object{
      {"commit", commit()},
      {"verdict", failure ? "failed (" + failure->oracle + ")" : "passed"},
      {"again", again(sum, options)},
      {"seed", options.first.seed},
      {"nodes", options.first.nodes},
      {"pods", options.first.pods},
      {"for_ns", options.first.lasts.count()},
      {"faults", format(options.first.faults)},
      {"runs", sum.runs().size()},
      {"failed", sum.failures().size()},
      {"failures", failures_json(sum, options)},
      {"virtual_ns", virtual_time(sum).count()},
      {"real_ns", real.count()},
      {"packets", sum.total().sent},
      {"events", cluster_events(sum)},
      {"deliveries", sum.total().served},
      {"hash", format_hash(sum.hash())},
      {"actions", rows_json(sum.actions())},
      {"oracles", rows_json(sum.oracles())},
      {"probes", rows_json(sum.probes())},
      {"lacking_rows", std::move(lacking)},
  };
  return pretty_json(object);
}

std::string sweep_junit(const SweepSum& sum, const SweepOptions& options, Duration real) {
  std::string xml =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"sweep\" tests=\"" +
      std::to_string(sum.runs().size()) + "\" failures=\"" + std::to_string(sum.failures().size()) +
      "\" time=\"" + junit_seconds(real) + "\">\n";
  for (const SweepSum::Run& run : sum.runs()) {
    xml += "  <testcase classname=\"sweep\" name=\"seed " + std::to_string(run.seed) +
           "\" time=\"" + junit_seconds(run.real) + "\"";
    if (run.failure) {
      const SweepSum::Failure& failure = sum.failures()[*run.failure];
      xml += ">\n    <failure type=\"" + escaped(failure.violation.oracle) + "\" message=\"" +
             escaped(failure.violation.what) + "\">" + escaped(failure.violation.detail) +
             "; again: " + escaped(again(failure, options)) + "</failure>\n  </testcase>\n";
    } else {
      xml += "/>\n";
    }
  }
  return xml + "</testsuite>\n";
}

}  // namespace vxmesh::cli
