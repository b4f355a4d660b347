// What the kernel answered to a batch of requests, from which each request's result follows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "adapters/libnl/message.h"
#include "ports/netlink.h"

namespace vxmesh {

// Only the last request of a batch asked for an acknowledgement; a failing one always answers. All
// answers come in the order of the requests, so the last one's proves that silence before it was
// success, unless answers were lost.
class BatchAnswers {
 public:
  // Requests `first`, `first` + 1, ... `first` + `count` - 1.
  BatchAnswers(std::uint32_t first, std::size_t count) : first_(first), answers_(count) {}

  // A receive buffer's messages; those of other requests are skipped.
  void take(std::span<const std::uint8_t> buffer);
  // The kernel said that it had to drop answers.
  void lost() { lost_ = true; }

  [[nodiscard]] std::vector<OpResult> results() const;

 private:
  std::uint32_t first_;
  std::vector<std::optional<Answer>> answers_;
  bool lost_ = false;
};

}  // namespace vxmesh
