#include "base/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vxmesh {
namespace {

constexpr int kFirstLine = __LINE__;
int halved(int number) {
  if (number < 0) {
    PROBE("negative");
    return -halved(-number);
  }
  PROBE_IF(number % 2 != 0, "cut-off");
  return number / 2;
}

void never_called_with_true(bool reached) {
  if (reached) {
    PROBE("a-place-never-reached");
  }
}

class ProbeTest : public testing::Test {
 protected:
  void SetUp() override { reset_probes(); }
  void TearDown() override { reset_probes(); }
};

std::vector<std::string> hits() {
  std::vector<std::string> hits;
  for (const Probe& probe : probes()) {
    hits.push_back(std::string(probe.name) + " " + std::to_string(probe.hits));
  }
  return hits;
}

TEST_F(ProbeTest, AreKnownBeforeTheyAreReachedInNameOrder) {
  EXPECT_THAT(hits(), testing::ElementsAre("a-place-never-reached 0", "cut-off 0", "negative 0"));
}

TEST_F(ProbeTest, SayWhereTheyStand) {
  const std::vector<Probe> all = probes();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].line, kFirstLine + 6);
  EXPECT_EQ(all[2].line, kFirstLine + 3);
  EXPECT_TRUE(all[2].file.ends_with("core/base/probe_test.cpp")) << all[2].file;
}

TEST_F(ProbeTest, CountHits) {
  never_called_with_true(false);
  EXPECT_EQ(halved(-5), -2);
  EXPECT_EQ(halved(-4), -2);
  EXPECT_EQ(halved(2), 1);
  EXPECT_THAT(hits(), testing::ElementsAre("a-place-never-reached 0", "cut-off 1", "negative 2"));
  reset_probes();
  EXPECT_THAT(hits(), testing::ElementsAre("a-place-never-reached 0", "cut-off 0", "negative 0"));
}

}  // namespace
}  // namespace vxmesh
