// What bridges have learned: behind which port a MAC is (net/bridge/br_fdb.c).
#pragma once

#include <map>
#include <optional>
#include <utility>

#include "base/time.h"
#include "model/link.h"

namespace vxmesh {

// Contract: no clock; time comes with the calls and never runs backwards. The MACs of the bridge
// and of its ports, which are there for good, are the caller's business.
class BridgeTable {
 public:
  // A frame from `mac` came in by `port`.
  void learn(IfIndex bridge, const MacAddress& mac, IfIndex port, MonotonicTime now);
  // The port behind which `mac` is; none if that is not known, or too old.
  [[nodiscard]] std::optional<IfIndex> find(IfIndex bridge, const MacAddress& mac,
                                            MonotonicTime now) const;
  // The port goes down, leaves its bridge, or is no more.
  void forget_port(IfIndex port);

 private:
  struct Entry {
    IfIndex port;
    MonotonicTime updated;
  };
  std::map<std::pair<IfIndex, MacAddress>, Entry> entries_;
};

}  // namespace vxmesh
