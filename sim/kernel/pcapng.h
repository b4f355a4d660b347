// Packet captures as files that Wireshark and tshark read.
#pragma once

#include <cstdint>
#include <ostream>
#include <span>
#include <string>

#include "base/time.h"

namespace vxmesh {

// Writes pcapng (draft-ietf-opsawg-pcapng): one section, in little-endian order.
//
// Contract: `out` is open in binary mode and outlives this; whoever owns it looks at its state.
// Frames are written as they come; times are those of the monotonic clock, in nanoseconds.
class PcapngWriter {
 public:
  explicit PcapngWriter(std::ostream& out);

  using Interface = std::uint32_t;
  // An Ethernet device; frames of it may follow. `name` is what the reader shows.
  [[nodiscard]] Interface add_interface(const std::string& name);
  // Requires: `interface` was added.
  void write(Interface interface, MonotonicTime time, std::span<const std::uint8_t> frame);

 private:
  std::ostream& out_;
  std::uint32_t interfaces_ = 0;
};

}  // namespace vxmesh
