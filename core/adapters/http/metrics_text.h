// Metrics in the Prometheus text exposition format.
#pragma once

#include <string>
#include <vector>

#include "base/metrics.h"

namespace vxmesh {

// The Content-Type that goes with metrics_text.
inline constexpr const char* kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// One HELP and TYPE line for each family and one line for each series, in the order given.
[[nodiscard]] std::string metrics_text(const std::vector<Metrics::Family>& families);

}  // namespace vxmesh
