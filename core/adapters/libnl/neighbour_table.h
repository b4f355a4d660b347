// Names of the kernel's neighbour tables.
#pragma once

#include "model/ip_address.h"

namespace vxmesh {

// NDTA_NAME: arp_tbl and nd_tbl in net/ipv4/arp.c and net/ipv6/ndisc.c.
[[nodiscard]] constexpr const char* neighbour_table_name(Family family) {
  return family == Family::V4 ? "arp_cache" : "ndisc_cache";
}

}  // namespace vxmesh
