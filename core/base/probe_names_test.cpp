// A program of its own: what it does wrong holds for all of its probes.
#include <gtest/gtest.h>

#include "base/probe.h"

namespace vxmesh {
namespace {

void here() {
  PROBE("one-name");
}

void there() {
  PROBE("one-name");
}

TEST(ProbeDeathTest, TwoOfOneNameAreABrokenInvariant) {
  here();
  there();
  EXPECT_DEATH(static_cast<void>(probes()), "no two probes have one name");
}

}  // namespace
}  // namespace vxmesh
