// What the kernel says: answers to requests, and messages to whoever listens.
#pragma once

#include <cerrno>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ports/netlink.h"

namespace vxmesh {

// One message to a multicast group, as one process's sockets see it: in one order.
using KernelMessage = std::variant<KernelChange, Miss>;
using KernelMessages = std::vector<KernelMessage>;

inline void report(KernelMessages& messages, KernelChange::Kind kind, const KernelObject& object,
                   Duration since_update = {}) {
  messages.emplace_back(KernelChange{
      .kind = kind, .report = KernelReport{.object = object, .since_update = since_update}});
}

// An errno (positive) and the kernel's own extended ack text, if it sends one.
[[nodiscard]] inline OpDone refuse(int error_number, std::string extended_ack = "") {
  return OpDone{.error_number = error_number, .extended_ack = std::move(extended_ack)};
}

[[nodiscard]] inline OpDone accept() {
  return OpDone{};
}

}  // namespace vxmesh
