#include "integration/fidelity/report.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <sstream>

#include "integration/fidelity/ip_commands.h"

namespace vxmesh::fidelity {
namespace {

std::uint64_t percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : part * 100 / whole;
}

std::uint64_t rate(const RunResult& result) {
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(result.took).count();
  return milliseconds == 0
             ? 0
             : result.tally.programs * 1000 / static_cast<std::uint64_t>(milliseconds);
}

std::uint64_t allowances_used(const RunResult& result) {
  return static_cast<std::uint64_t>(std::count_if(result.allowances.begin(),
                                                  result.allowances.end(),
                                                  [](std::uint64_t count) { return count != 0; }));
}

// Each line of `text` behind `prefix`.
std::string indented(const std::string& text, std::string_view prefix) {
  std::istringstream lines(text);
  std::string line;
  std::string all;
  while (std::getline(lines, line)) {
    all += std::string(prefix) + line + "\n";
  }
  return all;
}

std::string differences(const FoundGap& found, std::string_view prefix) {
  std::string text(prefix);
  text += "step " + std::to_string(found.gap.step + 1) + " of " +
          std::to_string(found.program.size()) + ": " + format(found.program.at(found.gap.step)) +
          "\n";
  text += std::string(prefix) + "fake:\n" + indented(found.gap.fake, std::string(prefix) + "  ");
  text += std::string(prefix) + "real:\n" + indented(found.gap.real, std::string(prefix) + "  ");
  return text;
}

}  // namespace

std::string summary_line(const RunResult& result) {
  const Tally& tally = result.tally;
  std::ostringstream line;
  line << "fidelity: programs=" << tally.programs << " ops=" << tally.operations
       << " effective=" << percent(tally.effective, tally.changes)
       << "% links=" << percent(tally.links, tally.operations) << "% gaps=" << result.gaps
       << " coverage=" << result.coverage.percent() << "% cells=" << result.coverage.counted()
       << " allowances=" << allowances_used(result) << " rate=" << rate(result) << "/s";
  return line.str();
}

std::string describe(const FoundGap& found, const std::string& case_file) {
  std::string text = "gap in program " + std::to_string(found.number) + ": " + found.gap.signature +
                     "\n" + differences(found, "  ");
  text += found.again ? "" : "  it did not show again; the program is not shrunk\n";
  text += "  commands:\n";
  for (const std::string& command : ip_commands(found.program)) {
    text += "    " + command + "\n";
  }
  return text + (case_file.empty() ? "" : "  again: vxmesh-fidelity replay " + case_file + "\n");
}

std::string case_text(const FoundGap& found, std::uint64_t seed) {
  return "# " + found.gap.signature + "; found with seed " + std::to_string(seed) + ", program " +
         std::to_string(found.number) + "\n" + differences(found, "# ") + format(found.program);
}

std::string case_name(const FoundGap& found, std::uint64_t seed) {
  std::string name;
  for (const char c : found.gap.signature) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain) {
      name += c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  return name + "-" + std::to_string(seed) + "-" + std::to_string(found.number) + ".txt";
}

std::string json_text(const RunResult& result, const std::vector<std::string>& case_files) {
  boost::json::object object{
      {"programs", result.tally.programs},
      {"ops", result.tally.operations},
      {"effective", percent(result.tally.effective, result.tally.changes)},
      {"links", percent(result.tally.links, result.tally.operations)},
      {"gaps", result.gaps},
      {"coverage", result.coverage.percent()},
      {"cells", result.coverage.counted()},
      {"allowances", allowances_used(result)},
      {"rate", rate(result)},
      {"late", result.late},
  };
  boost::json::object uses;
  for (std::size_t i = 0; i < kAllowances.size(); ++i) {
    uses[kAllowances[i].name] = result.allowances[i];
  }
  object["allowance_uses"] = std::move(uses);
  boost::json::array found;
  for (std::size_t i = 0; i < result.found.size(); ++i) {
    const FoundGap& gap = result.found[i];
    boost::json::array commands;
    for (const std::string& command : ip_commands(gap.program)) {
      commands.emplace_back(command);
    }
    found.push_back(boost::json::object{
        {"kind", "gap"},
        {"signature", gap.gap.signature},
        {"program", gap.number},
        {"step", gap.gap.step + 1},
        {"action", format(gap.program.at(gap.gap.step))},
        {"fake", gap.gap.fake},
        {"real", gap.gap.real},
        {"again", gap.again},
        {"operations", gap.program.size()},
        {"steps", format(gap.program)},
        {"commands", std::move(commands)},
        {"file", i < case_files.size() ? case_files[i] : std::string()},
    });
  }
  object["found"] = std::move(found);
  return boost::json::serialize(object);
}

}  // namespace vxmesh::fidelity
