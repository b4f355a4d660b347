// FDB entries of the vxlan device: MAC of a VTEP -> its underlay address.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "model/link.h"

namespace vxmesh {

// An AF_BRIDGE neighbour with NTF_SELF. State and flags are NUD_* and NTF_* (model/neighbour.h).
// The kernel's key on a device that is not `external` is the MAC; multicast and all-zero MACs may
// have several destinations, each an entry here.
struct FdbEntry {
  IfIndex device;
  MacAddress mac;
  std::optional<IpAddress> dst;  // absent for nexthop-group entries
  std::uint16_t state = 0;
  std::uint8_t flags = 0;

  friend auto operator<=>(const FdbEntry&, const FdbEntry&) = default;
};

[[nodiscard]] std::string format(const FdbEntry& entry);

}  // namespace vxmesh
