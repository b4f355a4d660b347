#include "sim/scenario/write.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "sim/scenario/parse.h"
#include "sim/scenario/testing/generators.h"

namespace vxmesh {
namespace {

RC_GTEST_PROP(Write, WhatIsWrittenIsReadAsAnEqualScenario, ()) {
  const Scenario scenario = *generate::scenario();
  const std::string text = write_scenario(scenario);
  RC_LOG() << text;
  const Result<Scenario> read = parse_scenario(text, "written.yaml");
  RC_ASSERT((read ? "" : read.error().context) == "");
  RC_ASSERT(*read == scenario);
}

RC_GTEST_PROP(Write, WhatIsReadIsWrittenInOneWay, ()) {
  const std::string text = write_scenario(*generate::scenario());
  RC_ASSERT(write_scenario(*parse_scenario(text, "written.yaml")) == text);
}

RC_GTEST_PROP(Write, EveryStepKnowsItsLine, ()) {
  const std::string text = write_scenario(*generate::scenario());
  const Scenario scenario = *parse_scenario(text, "written.yaml");
  std::uint32_t before = 0;
  for (const Step& step : scenario.steps) {
    RC_ASSERT(step.line > before);
    before = step.line;
  }
  for (const Expectation& expectation : scenario.expectations) {
    RC_ASSERT(expectation.line > before);
    before = expectation.line;
  }
}

// Changes, takes out, doubles and swaps pieces of a file.
std::string mutated(std::string text) {
  static const std::string kBytes = "{}[],:-&*!|>'\"%@`#?\n \t~<0aZ\\(\x7f\x01\xff";
  for (int i = *rc::gen::inRange(1, 6); i > 0 && !text.empty(); --i) {
    const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
    const auto length = *rc::gen::inRange<std::size_t>(0, 30);
    const auto to = *rc::gen::inRange<std::size_t>(0, text.size());
    switch (*rc::gen::inRange(0, 4)) {
      case 0: text[at] = *rc::gen::elementOf(kBytes); break;
      case 1: text.erase(at, length); break;
      case 2: text.insert(to, text.substr(at, length)); break;
      default: text.insert(at, std::string(length, *rc::gen::elementOf(kBytes)));
    }
  }
  return text;
}

RC_GTEST_PROP(Parse, AFileWithRandomDamageIsReadOrRefused, ()) {
  const std::string text = mutated(write_scenario(*generate::scenario()));
  RC_LOG() << text;
  const Result<Scenario> read = parse_scenario(text, "damaged.yaml");
  if (!read) {
    RC_ASSERT(read.error().context.starts_with("damaged.yaml:"));
    return;
  }
  // What is read is valid, so it can be written and read again.
  RC_ASSERT(parse_scenario(write_scenario(*read), "written.yaml") == *read);
}

}  // namespace
}  // namespace vxmesh
