// Differences between the fake and Linux that are allowed, because Linux leaves them open. Each has
// a name and a fact; each use is counted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vxmesh::fidelity {

enum class Allowance : std::uint8_t {
  LateWork,
  RepeatedLink,
  OwnMulticast,
  DadOrder,
  TimerFirst,
};

struct AllowanceInfo {
  std::string_view name;
  std::string_view fact;  // why Linux may do either
};

inline constexpr std::array<AllowanceInfo, 5> kAllowances{{
    {"late work",
     "IPv6 duplicate address detection and link watching run in workqueues (addrconf_dad_work, "
     "linkwatch_event): what they do may come up to 100 ms after the answer"},
    {"repeated link",
     "a NEWLINK that says what the last one of that link said is sent once or more: linkwatch and "
     "rtnl_configure_link each send one of their own"},
    {"own multicast",
     "a device that speaks IPv6 sends MLD reports and solicitations of its own at random times "
     "(mld_ifc_work, addrconf_dad_work): on a vxlan with an all-zero or multicast FDB entry they "
     "leave through the tunnel, and resolve its destinations or the gateways to them"},
    {"order of work queues",
     "the end of duplicate address detection comes from a work queue of its own (addrconf_wq), and "
     "so before or after what link watching does for the same request; several addresses have "
     "several workers, which wait for the same lock (addrconf_dad_work), and so end in any order"},
    {"timer before the answer",
     "a request that makes a neighbour INCOMPLETE, DELAY or PROBE is told of when the entry's lock "
     "is given up (neigh_update_notify), and its timer is due at once (neigh_add_timer): what the "
     "timer does may be told before, and be what the request's notification says"},
}};

using AllowanceCounts = std::array<std::uint64_t, kAllowances.size()>;

}  // namespace vxmesh::fidelity
