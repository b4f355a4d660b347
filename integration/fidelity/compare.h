// Runs a program on two worlds, step by step, and says where they differ first.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
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

// The first difference of what was seen of the same step, if there is one; its place is not said.
[[nodiscard]] std::optional<Gap> gap_between(const Observation& fake, const Observation& real,
                                             std::string_view action, AllowanceCounts& used);

// One world of a comparison: what is seen of it is made comparable, by the allowances.
class Side {
 public:
  // Links that are there before the program count as told of. The world outlives this.
  explicit Side(World& world);

  Observation run(const Step& step, AllowanceCounts& used);
  // Until the world has something new to see, at most so long.
  void wait_for_news(Duration most) { world_.wait_for_news(most); }
  // The tables anew; what came since is added to what was told.
  void look_again(Observation& observation, AllowanceCounts& used);

 private:
  void normalise(Observation& observation, AllowanceCounts& used);

  World& world_;
  std::map<IfIndex, Notification> links_;  // the last one told of each
  std::set<IpAddress> flooded_;
};

// How long Linux's own late work is waited for (allowance "late work").
inline constexpr Duration kPatience = std::chrono::milliseconds(100);

// The first gap; nullopt if there is none. Both worlds are fresh. `used` counts the allowances.
[[nodiscard]] std::optional<Gap> compare(const Program& program, World& fake, World& real,
                                         AllowanceCounts& used, Duration patience = kPatience);

}  // namespace vxmesh::fidelity
