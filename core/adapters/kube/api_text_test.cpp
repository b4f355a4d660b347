#include "adapters/kube/api_text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <string>

namespace vxmesh {
namespace {

using namespace std::chrono_literals;

TEST(Status, IsReadFromAStatusObject) {
  const auto status = parse_status(
      R"({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
          "message": "The provided continue parameter is too old", "reason": "Expired",
          "details": {"retryAfterSeconds": 3}, "code": 410})");
  EXPECT_EQ(status, (ApiStatus{.code = 410,
                               .reason = "Expired",
                               .message = "The provided continue parameter is too old",
                               .retry_after = 3s}));
}

TEST(Status, IsNotReadFromAnythingElse) {
  EXPECT_EQ(parse_status("Too many requests, please try again later.\n"), std::nullopt);
  EXPECT_EQ(parse_status(R"({"kind": "NodeList"})"), std::nullopt);
  EXPECT_EQ(parse_status(R"(["Status"])"), std::nullopt);
  EXPECT_EQ(parse_status(R"({"kind": "Status")"), std::nullopt);
  EXPECT_EQ(parse_status(""), std::nullopt);
}

TEST(Status, WrongTypesInItAreAbsentOnes) {
  EXPECT_EQ(parse_status(R"({"kind": "Status", "code": 70000, "reason": 4, "details": []})"),
            ApiStatus{});
  EXPECT_EQ(parse_status(R"({"kind": "Status", "code": -1, "details": {"retryAfterSeconds": -4}})"),
            ApiStatus{});
}

TEST(RetryAfter, IsIntegerSecondsUpToAnHour) {
  EXPECT_EQ(parse_retry_after("0"), Duration(0));
  EXPECT_EQ(parse_retry_after("1"), Duration(1s));
  EXPECT_EQ(parse_retry_after("3600"), Duration(1h));
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "1.5", "0x10", "3601", "4294967297",
                           "99999999999999999999", "soon", "Fri, 31 Dec 1999 23:59:59 GMT"}) {
    EXPECT_EQ(parse_retry_after(text), std::nullopt) << text;
  }
}

TEST(Timestamp, IsSecondsSince1970) {
  EXPECT_EQ(parse_timestamp("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_timestamp("2026-08-22T10:05:00Z"), 1787393100);
  EXPECT_EQ(parse_timestamp("2026-08-22T12:05:00+02:00"), 1787393100);
  EXPECT_EQ(parse_timestamp("2026-08-22T05:05:00.123456-05:00"), 1787393100);
  EXPECT_EQ(parse_timestamp("2024-02-29T00:00:00Z"), 1709164800);
  EXPECT_EQ(parse_timestamp("1969-12-31T23:59:59Z"), -1);
}

TEST(Timestamp, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "2026-08-22", "2026-08-22T10:05:00", "2026-08-22 10:05:00Z", "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-08-22T24:00:00Z",
        "2026-08-22T10:60:00Z", "2026-08-22T10:05:00.Z", "2026-08-22T10:05:00+0200",
        "2026-08-22T10:05:00+24:00", "2026-08-22T10:05:00ZZ", "20x6-08-22T10:05:00Z"}) {
    EXPECT_EQ(parse_timestamp(text), std::nullopt) << text;
  }
}

RC_GTEST_PROP(TimestampProperty, IsReadAsItIsWritten, ()) {
  // Years 0 to 9999.
  const auto seconds = *rc::gen::inRange<std::int64_t>(-62167219200, 253402300800);
  RC_ASSERT(parse_timestamp(format_timestamp(seconds)) == seconds);
}

}  // namespace
}  // namespace vxmesh
