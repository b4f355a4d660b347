#include "sim/scenario/text.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <regex>

#include "sim/scenario/scenario.h"

namespace vxmesh {
namespace {

RC_GTEST_PROP(Text, ATimeIsReadAsItIsWritten, ()) {
  const auto unit = *rc::gen::element<std::int64_t>(1, 1000, 1'000'000, 1'000'000'000,
                                                    60'000'000'000, 3'600'000'000'000);
  const Duration time{*rc::gen::inRange<std::int64_t>(-100, 101) * unit};
  RC_ASSERT(parse_time(format_time(time), true) == time);
  RC_ASSERT(parse_time(format_time(time)).has_value() == (time >= Duration{}));
}

RC_GTEST_PROP(Text, APatternMatchesAsTheRegularExpressionDoes, ()) {
  // Short ones, which often match, and do not cost the regular expression exponential time.
  const auto word = [](const rc::Gen<char>& letter) {
    return rc::gen::resize(4, rc::gen::container<std::string>(letter));
  };
  const std::string name = *word(rc::gen::element('a', 'b'));
  const std::string pattern = *word(rc::gen::element('a', 'b', '*'));
  const std::regex stars(std::regex_replace(pattern, std::regex("\\*+"), ".*"));
  RC_ASSERT(matches_pattern(name, pattern) == std::regex_match(name, stars));
}

TEST(ActionRules, StandInTheOrderOfTheKindsAndHaveNamesOfTheirOwn) {
  for (const ActionRule& rule : action_rules()) {
    EXPECT_EQ(&rule_of(rule.kind), &rule);
    EXPECT_EQ(find_action(rule.name), &rule);
    EXPECT_TRUE(rule.about.ends_with('.')) << rule.name;
    if (!rule.amount.empty()) {
      EXPECT_LE(amount_rule(rule.amount).min, amount_rule(rule.amount).max);
    }
  }
  EXPECT_EQ(action_rules().back().kind, ActionKind::FailFirewall);
}

TEST(Describe, SaysWhatHappensInOneSentence) {
  using enum ActionKind;
  const auto said = [](Action action, std::optional<Duration> lasts = {}) {
    return describe({.lasts = lasts, .action = std::move(action)});
  };
  const std::chrono::seconds two(2);
  EXPECT_EQ(said({.kind = DeleteNodeObject, .targets = {"n2"}}), "n2's Node object is deleted");
  EXPECT_EQ(said({.kind = Partition, .targets = {"n1"}}, two),
            "nothing passes between n1 and everybody for 2s");
  EXPECT_EQ(said({.kind = Kill, .targets = {"n1"}, .delay = two}),
            "n1's agent is killed, and is started again 2s later");
  EXPECT_EQ(said({.kind = Upgrade, .targets = {"n1"}, .delay = two}),
            "n1's agent is one of release 0.1.0, is ended, and is started again 2s later");
  EXPECT_EQ(said({.kind = ApiStatus, .targets = {"api"}, .amount = 503}, two),
            "the API server answers 503 for all agents for 2s");
  EXPECT_EQ(said({.kind = ApiStatus, .targets = {"n1"}, .amount = 429, .retry_after = two}, two),
            "the API server answers 429 with Retry-After 2s for n1's agent for 2s");
  EXPECT_EQ(said({.kind = FailOperations, .targets = {"n1"}, .amount = 12}, two),
            "n1's kernel refuses every operation (ENOMEM) for 2s");
}

}  // namespace
}  // namespace vxmesh
