// What the kernel says: answers to requests, and messages to whoever listens.
#pragma once

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "ports/netlink.h"
#include "sim/kernel/record.h"

namespace vxmesh {

// Messages of one call, in the kernel's order.
using KernelMessages = std::vector<Notification>;

// An errno (positive) and the kernel's own extended ack text, if it sends one.
[[nodiscard]] inline OpDone refuse(int error_number, std::string extended_ack = "") {
  return OpDone{.error_number = error_number, .extended_ack = std::move(extended_ack)};
}

[[nodiscard]] inline OpDone accept() {
  return OpDone{};
}

}  // namespace vxmesh
