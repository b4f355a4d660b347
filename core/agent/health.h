// What the agent answers over HTTP to probes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/agent.h"

namespace vxmesh {

struct HealthAnswer {
  std::uint16_t status = 200;
  std::string body;  // one line of text

  friend bool operator==(const HealthAnswer&, const HealthAnswer&) = default;
};

// /healthz: 200 whenever the event loop gets to it, which is what a liveness probe should ask
// (never whether the API is reachable). /readyz: 200 or 503 with the reason. nullopt for every
// other path.
[[nodiscard]] std::optional<HealthAnswer> answer_probe(std::string_view path,
                                                       const Readiness& readiness);

}  // namespace vxmesh
