// What we say to rtnetlink, as bytes: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "adapters/libnl/message.h"
#include "ports/netlink.h"

namespace vxmesh {

// The request of one operation. `acknowledge`: the kernel is to answer success too (NLM_F_ACK).
[[nodiscard]] MessageBytes encode(const KernelOp& op, std::uint32_t sequence, bool acknowledge);

// Dumps, with headers that pass NETLINK_GET_STRICT_CHK. Empty tables answer NLMSG_DONE alone.
[[nodiscard]] MessageBytes encode_link_dump(std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_address_dump(Family family, std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_route_dump(Family family, std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_fdb_dump(IfIndex device, std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_neighbour_dump(Family family, IfIndex device,
                                                 std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_neighbour_table_dump(Family family, std::uint32_t sequence);

// Single lookups.
[[nodiscard]] MessageBytes encode_get_link(const std::string& name, std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_get_link(IfIndex device, std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_get_fdb(IfIndex device, const MacAddress& mac,
                                          std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_get_neighbour(IfIndex device, const IpAddress& address,
                                                std::uint32_t sequence);

}  // namespace vxmesh
