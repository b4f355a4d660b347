#include "agent/health.h"

namespace vxmesh {

std::optional<HealthAnswer> answer_probe(std::string_view path, const Readiness& readiness) {
  if (path == "/healthz") {
    return HealthAnswer{.status = 200, .body = "ok\n"};
  }
  if (path == "/readyz") {
    if (readiness.ready) {
      return HealthAnswer{.status = 200, .body = "ready: " + readiness.state + "\n"};
    }
    return HealthAnswer{.status = 503,
                        .body = "not ready: " + readiness.state + ": " + readiness.reason + "\n"};
  }
  return std::nullopt;
}

}  // namespace vxmesh
