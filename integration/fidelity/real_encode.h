// rtnl::Request as the bytes of an rtnetlink message: pure functions.
#pragma once

#include <cstdint>

#include "adapters/libnl/message.h"
#include "sim/kernel/request.h"

namespace vxmesh::fidelity {

// Exactly the attributes that the request has, in the order of its fields; the kernel is asked to
// acknowledge. Inside IFLA_INFO_DATA numbers mean something else to each kind, so vxlan's are sent
// unless the kind is another, and a peer only with Kind::Veth.
[[nodiscard]] MessageBytes encode(const rtnl::Request& request, std::uint32_t sequence);

// RTM_GETLINK of one device.
[[nodiscard]] MessageBytes encode_get_link(IfIndex device, std::uint32_t sequence);

// Dumps of all rows of every family and device, with headers that pass NETLINK_GET_STRICT_CHK.
[[nodiscard]] MessageBytes encode_link_dump(std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_address_dump(std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_route_dump(std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_fdb_dump(std::uint32_t sequence);
[[nodiscard]] MessageBytes encode_neighbour_dump(std::uint32_t sequence);

}  // namespace vxmesh::fidelity
