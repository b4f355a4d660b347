#include "decide/retry_set.h"

namespace vxmesh {
namespace {

// Only success resets: a target that fails once an hour is not a healthy one.
constexpr BackoffLimits kLimits{.first = std::chrono::milliseconds(100),
                                .cap = std::chrono::minutes(1),
                                .reset_after = Duration::max()};

}  // namespace

void RetrySet::failed(const OpTarget& target, MonotonicTime now, std::uint64_t random) {
  if (Entry* entry = entry_to_wait(target, now)) {
    wait(target, *entry, now + entry->backoff.next(now, random));
  }
}

void RetrySet::held_back(const OpTarget& target, MonotonicTime now, std::uint64_t random) {
  if (Entry* entry = entry_to_wait(target, now)) {
    wait(target, *entry, now + Backoff(kLimits).next(now, random));
  }
}

RetrySet::Entry* RetrySet::entry_to_wait(const OpTarget& target, MonotonicTime now) {
  const auto [row, is_new] = targets_.try_emplace(target, Entry{Backoff(kLimits), {}});
  return is_new || row->second.due <= now ? &row->second : nullptr;
}

void RetrySet::wait(const OpTarget& target, Entry& entry, MonotonicTime until) {
  queue_.erase({entry.due, target});  // tried ahead of whoever would have taken it
  entry.due = until;
  queue_.insert({until, target});
}

void RetrySet::succeeded(const OpTarget& target) {
  const auto entry = targets_.find(target);
  if (entry != targets_.end()) {
    queue_.erase({entry->second.due, target});
    targets_.erase(entry);
  }
}

std::vector<OpTarget> RetrySet::take_due(MonotonicTime now) {
  std::vector<OpTarget> due;
  while (!queue_.empty() && queue_.begin()->first <= now) {
    due.push_back(queue_.begin()->second);
    queue_.erase(queue_.begin());
  }
  return due;
}

std::optional<MonotonicTime> RetrySet::next_due() const {
  return queue_.empty() ? std::nullopt : std::optional(queue_.begin()->first);
}

}  // namespace vxmesh
