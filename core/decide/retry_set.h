// Targets whose operations failed, each with a back-off of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/backoff.h"
#include "decide/plan.h"

namespace vxmesh {

// Contract: a target that fails is due again after its own back-off (100 ms to 1 min, doubled each
// time, jittered); success forgets it. One target's failures never delay another. A target that
// fails while it waits, because a full pass has tried it ahead of its time, keeps its time: else a
// few passes in a row would make its pause far longer than it has failed for.
class RetrySet {
 public:
  void failed(const OpTarget& target, MonotonicTime now, std::uint64_t random);
  // It was not tried, because the device has failed: due after the first pause, and what it waits
  // for when it fails itself has not grown. A device that goes on failing does not keep it from
  // being tried.
  void held_back(const OpTarget& target, MonotonicTime now, std::uint64_t random);
  void succeeded(const OpTarget& target);

  // Targets whose time has come, the longest due first; they stay in the set until they succeed,
  // and are due again only after failing again.
  [[nodiscard]] std::vector<OpTarget> take_due(MonotonicTime now);
  [[nodiscard]] std::optional<MonotonicTime> next_due() const;
  [[nodiscard]] std::size_t size() const { return targets_.size(); }

 private:
  struct Entry {
    Backoff backoff;
    MonotonicTime due;
  };

  // The entry of the target, if it does not wait already.
  Entry* entry_to_wait(const OpTarget& target, MonotonicTime now);
  void wait(const OpTarget& target, Entry& entry, MonotonicTime until);

  std::map<OpTarget, Entry> targets_;
  std::set<std::pair<MonotonicTime, OpTarget>> queue_;  // the targets that wait for their time
};

}  // namespace vxmesh
