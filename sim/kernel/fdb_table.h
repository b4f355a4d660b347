// The FDB of a vxlan device (drivers/net/vxlan/vxlan_core.c).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "sim/kernel/kernel_message.h"

namespace vxmesh {

// Contract: keyed by device and MAC. A MAC that is multicast or all zero may have several
// destinations. Whether the device exists and is a vxlan is not judged here. What a change tells
// the listeners is appended to `messages`.
class FdbTable {
 public:
  // RTM_NEWNEIGH, CREATE|REPLACE. `family` is that of the device's underlay.
  OpDone replace(FdbEntry entry, Family family, KernelMessages& messages);
  // RTM_NEWNEIGH, CREATE|APPEND: how a multicast or all-zero MAC gets its destinations.
  OpDone append(FdbEntry entry, Family family, KernelMessages& messages);
  // RTM_DELNEIGH without NDA_DST: every destination.
  OpDone remove(IfIndex device, const MacAddress& mac, KernelMessages& messages);
  // What the device does as it goes down: entries that the agent or a user did not pin go.
  void flush_dynamic(IfIndex device, KernelMessages& messages);
  void flush(IfIndex device, KernelMessages& messages);

  // The destinations of a MAC, in order; null if there is none.
  [[nodiscard]] const std::vector<FdbEntry>* find(IfIndex device, const MacAddress& mac) const;

  // The entries of a device as a dump walks them, newest first, without the first `skip`. The
  // position is a number, so a dump that goes on after entries before it were deleted misses some.
  [[nodiscard]] std::vector<FdbEntry> rows_after(IfIndex device, std::size_t skip,
                                                 std::size_t max) const;
  [[nodiscard]] std::vector<FdbEntry> rows(IfIndex device) const;

 private:
  struct Row {
    std::uint64_t sequence = 0;
    std::vector<FdbEntry> remotes;  // never empty; all with one state and one set of flags
  };
  using Key = std::pair<IfIndex, MacAddress>;

  OpDone write(const FdbEntry& entry, bool replace, KernelMessages& messages);
  Row& row(const FdbEntry& entry);
  void flush_if(IfIndex device, const std::function<bool(const FdbEntry&)>& goes,
                KernelMessages& messages);

  std::uint64_t next_sequence_ = 1;
  std::map<Key, Row> rows_;
  std::map<std::pair<IfIndex, std::uint64_t>, MacAddress> order_;
};

}  // namespace vxmesh
