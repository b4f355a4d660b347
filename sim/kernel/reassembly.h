// Fragments of IPv4 packets for the host itself, put together (net/ipv4/ip_fragment.c).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

#include "base/time.h"
#include "sim/kernel/packet.h"

namespace vxmesh {

// Contract: as Linux, as far as hosts of one overlay need it: parts may come in any order and
// twice; one that overlaps another, or says another end, makes the packet be given up; so does
// time. Not modelled are the memory that parts may take, and the ICMP error for a packet that never
// is whole.
class Reassembly {
 public:
  // IP_FRAG_TIME (include/net/ip.h).
  static constexpr Duration kPatience = std::chrono::seconds(30);

  // The packet that is whole now; absent: parts are missing, or it has been given up. Requires: it
  // is a fragment, of IPv4.
  [[nodiscard]] std::optional<IpPacket> add(const IpPacket& fragment, MonotonicTime now);

 private:
  using Key = std::tuple<IpAddress, IpAddress, std::uint8_t, std::uint16_t>;
  struct Parts {
    MonotonicTime since;
    std::map<std::uint32_t, Bytes> runs;  // by where they begin; each of parts that came in order
    std::uint32_t length = 0;             // of the packet's payload, as far as is known
    bool has_last = false;                // the length is the packet's
    std::optional<IpPacket> first;        // whose header the whole packet has
  };
  enum class Insertion : std::uint8_t { Done, Known, Overlaps };

  // False: the part says something else of the packet's length than those before it.
  [[nodiscard]] static bool agrees(Parts& parts, std::uint32_t end, bool is_last);
  [[nodiscard]] static Insertion insert(Parts& parts, std::uint32_t begin, Bytes bytes);
  [[nodiscard]] static std::optional<IpPacket> whole(const Parts& parts);
  void forget_old(MonotonicTime now);

  std::map<Key, Parts> waiting_;
};

}  // namespace vxmesh
