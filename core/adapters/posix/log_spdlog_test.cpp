#include "adapters/posix/log_spdlog.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <boost/json/parse.hpp>
#include <regex>
#include <sstream>

namespace vxmesh {
namespace {

std::string written(LogFormat format, LogLevel threshold, LogLevel level, std::string_view event,
                    const LogFields& fields) {
  std::ostringstream out;
  LogSpdlog log(format, threshold, std::make_shared<spdlog::sinks::ostream_sink_st>(out));
  log.write(level, event, fields);
  return out.str();
}

std::string text(std::string_view event, const LogFields& fields) {
  return written(LogFormat::Text, LogLevel::Info, LogLevel::Info, event, fields);
}

boost::json::object json(std::string_view event, const LogFields& fields) {
  return boost::json::parse(written(LogFormat::Json, LogLevel::Info, LogLevel::Info, event, fields))
      .as_object();
}

TEST(LogSpdlog, TextIsOneReadableLine) {
  const std::string line = text("node added", {{"name", "n1"},
                                               {"reason", "two words"},
                                               {"empty", ""},
                                               {"place", "Zürich"},
                                               {"odd", "a\"b\nc\x1b[31m"}});
  EXPECT_TRUE(std::regex_match(
      line, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info node added name=n1 )"
                       R"(reason="two words" empty="" place=Zürich )"
                       R"(odd="a\\"b\\nc\\u001b\[31m"\n)")))
      << line;
}

TEST(LogSpdlog, JsonCarriesEveryFieldAsItWas) {
  const boost::json::object line =
      json("node added", {{"name", "n1"}, {"odd", "a\"b\\c\nd\te"}, {"place", "Zürich"}});
  EXPECT_EQ(line.at("level").as_string(), "info");
  EXPECT_EQ(line.at("event").as_string(), "node added");
  EXPECT_EQ(line.at("name").as_string(), "n1");
  EXPECT_EQ(line.at("odd").as_string(), "a\"b\\c\nd\te");
  EXPECT_EQ(line.at("place").as_string(), "Zürich");
  EXPECT_EQ(line.at("time").as_string().size(), std::string("2026-01-02T03:04:05.678Z").size());
}

TEST(LogSpdlog, RecordsBelowTheLevelAreDropped) {
  for (const LogFormat format : {LogFormat::Text, LogFormat::Json}) {
    EXPECT_EQ(written(format, LogLevel::Warning, LogLevel::Info, "quiet", {}), "");
    EXPECT_NE(written(format, LogLevel::Warning, LogLevel::Warning, "loud", {}), "");
  }
}

TEST(LogSpdlog, PatternSignsInTextStayText) {
  EXPECT_NE(text("100 %v {} %$", {{"a", "{0}"}}).find("info 100 %v {} %$ a={0}\n"),
            std::string::npos);
}

TEST(LogSpdlog, MalformedUtf8BecomesReplacementCharacters) {
  const std::string replacement = "\xef\xbf\xbd";
  EXPECT_EQ(json("e", {{"k",
                        "a\xff"
                        "b"}})
                .at("k")
                .as_string(),
            "a" + replacement + "b");
  // An overlong slash, a surrogate, a sequence cut short.
  EXPECT_EQ(json("e", {{"k", "\xc0\xaf"}}).at("k").as_string(), replacement + replacement);
  EXPECT_EQ(json("e", {{"k", "\xed\xa0\x80"}}).at("k").as_string(),
            replacement + replacement + replacement);
  EXPECT_EQ(json("e", {{"k", "\xe2\x82"}}).at("k").as_string(), replacement + replacement);
}

RC_GTEST_PROP(LogSpdlog, AnyBytesGiveOneValidLineWithoutControlCharacters,
              (const std::string& event, const std::string& value)) {
  const LogFields fields{{"k", value}};
  for (const LogFormat format : {LogFormat::Text, LogFormat::Json}) {
    const std::string line = written(format, LogLevel::Info, LogLevel::Error, event, fields);
    for (std::size_t i = 0; i + 1 < line.size(); ++i) {
      RC_ASSERT(static_cast<unsigned char>(line[i]) >= 0x20U && line[i] != 0x7f);
    }
    RC_ASSERT(line.back() == '\n');
    if (format == LogFormat::Json) {
      RC_ASSERT(boost::json::parse(line).as_object().contains("k"));
    }
  }
}

}  // namespace
}  // namespace vxmesh
