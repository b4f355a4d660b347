#include "adapters/libnl/event_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "adapters/libnl/decode.h"

namespace vxmesh {
namespace {

template <typename Item>
std::vector<Item> take_front(std::deque<Item>& queue, std::size_t max) {
  const auto end = queue.begin() + static_cast<std::ptrdiff_t>(std::min(max, queue.size()));
  std::vector<Item> taken(std::make_move_iterator(queue.begin()), std::make_move_iterator(end));
  queue.erase(queue.begin(), end);
  return taken;
}

}  // namespace

void EventQueue::push(const Message& message) {
  if (const std::optional<Miss> miss = decode_miss(message)) {
    if (misses_.size() < max_misses_) {
      misses_.push_back(*miss);
    } else {
      push_overrun();
    }
  } else if (std::optional<KernelChange> change = decode_change(message)) {
    if (events_.size() < max_events_) {
      events_.emplace_back(std::move(*change));
    } else {
      push_overrun();
    }
  }
}

void EventQueue::push_overrun() {
  // One more at the end says nothing new.
  if (events_.empty() || !std::holds_alternative<Overrun>(events_.back())) {
    events_.emplace_back(Overrun{});
  }
}

std::vector<Miss> EventQueue::take_misses(std::size_t max) {
  return take_front(misses_, max);
}

std::vector<KernelEvent> EventQueue::take_events(std::size_t max) {
  return take_front(events_, max);
}

}  // namespace vxmesh
