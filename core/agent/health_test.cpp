#include "agent/health.h"

#include <gtest/gtest.h>

namespace vxmesh {
namespace {

TEST(HealthTest, LivenessNeverDependsOnReadiness) {
  const Readiness degraded{.ready = false, .state = "degraded", .reason = "why"};
  EXPECT_EQ(answer_probe("/healthz", degraded), (HealthAnswer{.status = 200, .body = "ok\n"}));
  EXPECT_EQ(answer_probe("/readyz", degraded),
            (HealthAnswer{.status = 503, .body = "not ready: degraded: why\n"}));
}

TEST(HealthTest, ReadyAndUnknownPaths) {
  const Readiness ready{.ready = true, .state = "synced", .reason = {}};
  EXPECT_EQ(answer_probe("/readyz", ready),
            (HealthAnswer{.status = 200, .body = "ready: synced\n"}));
  EXPECT_EQ(answer_probe("/", ready), std::nullopt);
}

}  // namespace
}  // namespace vxmesh
