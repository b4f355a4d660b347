// Runs a program on two worlds, step by step, and says where they differ first.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "integration/fidelity/allowances.h"
#include "integration/fidelity/program.h"

namespace vxmesh::fidelity {

// What a step did that can be seen.
struct Observation {
  Reply reply;  // of a request; of a datagram or a frame the errno alone
  std::vector<Record> tables;
  std::vector<Notification> notifications;
  std::vector<Captured> captured;
};

// Runs the step, without looking at what became of it.
[[nodiscard]] Reply perform(World& world, const Step& step);
// Runs the step and looks.
[[nodiscard]] Observation observe(World& world, const Step& step);

// A difference between the fake and the real world.
struct Gap {
  std::size_t step = 0;   // its place in the program
  std::string signature;  // "new-fdb: errno": the action and what differs; for telling gaps apart
  std::string fake;       // what the fake did, for people
  std::string real;
};

// How long Linux's own late work is waited for (allowance "late work").
inline constexpr Duration kPatience = std::chrono::milliseconds(100);

// The first gap; nullopt if there is none. Both worlds are fresh. `used` counts the allowances.
[[nodiscard]] std::optional<Gap> compare(const Program& program, World& fake, World& real,
                                         AllowanceCounts& used, Duration patience = kPatience);

}  // namespace vxmesh::fidelity
