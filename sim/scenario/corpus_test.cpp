// Every scenario file of the tree is a valid one.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include "sim/scenario/parse.h"
#include "sim/scenario/testing/corpus.h"
#include "sim/scenario/write.h"

namespace vxmesh {
namespace {

constexpr std::size_t kLeast = 30;

TEST(Corpus, EveryFileIsAScenarioThatExpectsSomething) {
  std::set<std::string> names;
  for (const std::filesystem::path& path : scenario_files()) {
    const Result<Scenario> scenario = parse_scenario(text_of_file(path), path.string());
    ASSERT_TRUE(scenario) << scenario.error().context;
    EXPECT_TRUE(names.insert(scenario->name).second) << path << ": the name is another's";
    EXPECT_TRUE(path.stem().string().ends_with(scenario->name)) << path << " is not its name";
    EXPECT_TRUE(scenario->about.ends_with('.')) << path << ": about is no sentence";
    EXPECT_FALSE(scenario->steps.empty()) << path;
    const bool settles = std::ranges::any_of(scenario->expectations, [](const Expectation& e) {
      return e.when == Expectation::When::Finally &&
             std::holds_alternative<ExpectConverged>(e.condition);
    });
    EXPECT_TRUE(settles) << path << " does not end converged";
    EXPECT_GE(scenario->expectations.size(), 2) << path;
    EXPECT_EQ(parse_scenario(write_scenario(*scenario), "written"), *scenario) << path;
  }
  EXPECT_GE(names.size(), kLeast);
}

TEST(Corpus, EveryIncidentNamesItsReference) {
  for (const std::filesystem::path& path : scenario_files()) {
    if (path.parent_path().filename() == "incidents") {
      EXPECT_TRUE(text_of_file(path).starts_with("# Incident " + path.stem().string().substr(0, 2)))
          << path << " does not begin with its number and reference";
    }
  }
}

TEST(Corpus, TheExampleOfTheReadmeIsAScenario) {
  const std::string readme = text_of_file(std::string(VXMESH_ROOT) + "/sim/scenario/README.md");
  const std::string begin = "```yaml\n";
  const std::size_t from = readme.find(begin) + begin.size();
  const Result<Scenario> scenario =
      parse_scenario(readme.substr(from, readme.find("```", from) - from), "README.md");
  EXPECT_TRUE(scenario) << scenario.error().context;
}

}  // namespace
}  // namespace vxmesh
