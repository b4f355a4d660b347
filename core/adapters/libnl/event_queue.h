// Changes and misses that were read and not yet taken, in bounded queues.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "adapters/libnl/message.h"
#include "ports/netlink.h"

namespace vxmesh {

// Contract: what does not fit is dropped and leaves one Overrun in its place, in the queue of
// events, also for a miss (a redump finds what it asked for). Overrun never fails to fit.
class EventQueue {
 public:
  EventQueue(std::size_t max_events, std::size_t max_misses)
      : max_events_(max_events), max_misses_(max_misses) {}

  // Messages that are neither a change nor a miss are skipped.
  void push(const Message& message);
  void push_overrun();

  [[nodiscard]] std::vector<Miss> take_misses(std::size_t max);
  [[nodiscard]] std::vector<KernelEvent> take_events(std::size_t max);
  [[nodiscard]] bool empty() const { return events_.empty() && misses_.empty(); }

 private:
  std::size_t max_events_;
  std::size_t max_misses_;
  std::deque<KernelEvent> events_;
  std::deque<Miss> misses_;
};

}  // namespace vxmesh
