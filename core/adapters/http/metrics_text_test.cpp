#include "adapters/http/metrics_text.h"

#include <gtest/gtest.h>

namespace vxmesh {
namespace {

TEST(MetricsText, IsThePrometheusFormat) {
  Metrics metrics;
  metrics.declare(Metrics::Kind::Counter, "vxmesh_misses_total", "Misses seen.", /*labelled=*/true);
  metrics.declare(Metrics::Kind::Gauge, "vxmesh_nodes", "Nodes known.");
  metrics.add("vxmesh_misses_total", 12345678901, {{"family", "IPv4"}, {"result", "a \"b\"\n"}});
  metrics.set("vxmesh_nodes", -2);
  EXPECT_EQ(metrics_text(metrics.snapshot()),
            "# HELP vxmesh_misses_total Misses seen.\n"
            "# TYPE vxmesh_misses_total counter\n"
            "vxmesh_misses_total{family=\"IPv4\",result=\"a \\\"b\\\"\\n\"} 12345678901\n"
            "# HELP vxmesh_nodes Nodes known.\n"
            "# TYPE vxmesh_nodes gauge\n"
            "vxmesh_nodes -2\n");
}

}  // namespace
}  // namespace vxmesh
