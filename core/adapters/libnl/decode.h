// What rtnetlink says to us, as our types: pure functions, safe on any bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "adapters/libnl/message.h"
#include "ports/netlink.h"

namespace vxmesh {

// A row of a dump, the object of a single lookup, or a change, by RTM_NEW* and RTM_DEL*.
// nullopt for everything that is not a row of the tables of ports/netlink.h: other message types
// and families, a bridge's view of its ports and its FDB, routes of a cache, malformed messages.
[[nodiscard]] std::optional<KernelChange> decode_change(const Message& message);

// A probe of the kernel's neighbour resolution (neigh_app_ns); nullopt for every other message,
// vxlan's own l2miss and l3miss among them.
[[nodiscard]] std::optional<Miss> decode_miss(const Message& message);

// The device's parameters, if this row of RTM_GETNEIGHTBL is its.
[[nodiscard]] std::optional<NeighbourParameters> decode_neighbour_parameters(const Message& message,
                                                                             Family family,
                                                                             IfIndex device);

// rp_filter of an RTM_NEWLINK; nullopt if the device has no IPv4.
[[nodiscard]] std::optional<std::uint8_t> decode_rp_filter(const Message& message);

}  // namespace vxmesh
