// The firewall policy on packets, as the rules that adapters/nftables makes of it would judge them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ports/firewall.h"
#include "sim/kernel/packet.h"

namespace vxmesh {

// A packet about to leave: the first of its connection, which alone the nat hook sees.
struct LeavingPacket {
  const IpPacket& packet;
  std::string_view device;  // that it leaves by
  std::uint32_t mark = 0;   // meta mark
};

// True if the packet gets the address of the device that it leaves by as its source (and a random
// port): the postrouting chain of nft_script.cpp.
[[nodiscard]] bool is_masqueraded(const FirewallPolicy& policy, const LeavingPacket& leaving);

// What the packet leaves as: its source replaced by `source` if it is masqueraded, else unchanged.
// Ports are kept, which fully-random does not promise. Requires: `source` is of its family.
[[nodiscard]] IpPacket after_postrouting(const FirewallPolicy& policy, const LeavingPacket& leaving,
                                         const IpAddress& source);

}  // namespace vxmesh
