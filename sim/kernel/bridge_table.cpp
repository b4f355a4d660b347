#include "sim/kernel/bridge_table.h"

#include <chrono>

namespace vxmesh {
namespace {

constexpr Duration kAgeing = std::chrono::seconds(300);  // BR_DEFAULT_AGEING_TIME

}  // namespace

void BridgeTable::learn(IfIndex bridge, const MacAddress& mac, IfIndex port, MonotonicTime now) {
  entries_[{bridge, mac}] = {.port = port, .updated = now};
}

std::optional<IfIndex> BridgeTable::find(IfIndex bridge, const MacAddress& mac,
                                         MonotonicTime now) const {
  const auto place = entries_.find({bridge, mac});
  if (place == entries_.end() || now - place->second.updated >= kAgeing) {
    return std::nullopt;
  }
  return place->second.port;
}

void BridgeTable::forget_port(IfIndex port) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.second.port == port; });
}

}  // namespace vxmesh
