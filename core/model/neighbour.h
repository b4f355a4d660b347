// Neighbours: overlay address -> MAC of the VTEP that owns it.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "model/link.h"

namespace vxmesh {

// ndm_state, linux/neighbour.h.
enum Nud : std::uint16_t {
  kNudIncomplete = 0x01,
  kNudReachable = 0x02,
  kNudStale = 0x04,
  kNudDelay = 0x08,
  kNudProbe = 0x10,
  kNudFailed = 0x20,
  kNudNoarp = 0x40,
  kNudPermanent = 0x80,
  kNudNone = 0x00,
};

// ndm_flags, linux/neighbour.h.
enum Ntf : std::uint8_t {
  kNtfUse = 0x01,
  kNtfSelf = 0x02,
  kNtfMaster = 0x04,
  kNtfProxy = 0x08,
  kNtfExtLearned = 0x10,
  kNtfRouter = 0x80,
};

struct Neighbour {
  IfIndex device;
  IpAddress address;
  std::optional<MacAddress> lladdr;
  std::uint16_t state = kNudNone;
  std::uint8_t flags = 0;
  std::uint8_t protocol = 0;  // NDA_PROTOCOL; 0: not said

  friend auto operator<=>(const Neighbour&, const Neighbour&) = default;
};

[[nodiscard]] std::string format(const Neighbour& neighbour);
// "NOARP", "REACHABLE", ... as iproute2 writes them; several joined by '|'.
[[nodiscard]] std::string format_nud(std::uint16_t state);

}  // namespace vxmesh
