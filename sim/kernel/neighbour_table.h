// The neighbours of a namespace, of both families (net/core/neighbour.c).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "sim/kernel/kernel_message.h"

namespace vxmesh {

// Contract: keyed by device and address. Whether the device exists is not judged here. What a
// change tells the listeners is appended to `messages`. There is no clock: time comes with the
// calls and never runs backwards.
class NeighbourTable {
 public:
  struct Row {
    Neighbour neighbour;
    MonotonicTime updated;               // of the last change of state or MAC
    std::uint32_t probes = 0;            // sent since resolution began
    std::optional<MonotonicTime> timer;  // when the next probe, or giving up, is due
  };
  using Key = std::pair<IfIndex, IpAddress>;

  // RTM_NEWNEIGH, CREATE|REPLACE.
  OpDone replace(const Neighbour& neighbour, MonotonicTime now, KernelMessages& messages);
  // RTM_DELNEIGH.
  OpDone remove(IfIndex device, const IpAddress& address, MonotonicTime now,
                KernelMessages& messages);
  // All of a device, or one family of it.
  void flush(IfIndex device, std::optional<Family> family, MonotonicTime now,
             KernelMessages& messages);

  // A packet wants to go to `address`: begins resolution unless the MAC is known or resolution is
  // under way. Creation is not reported, only the miss is, if `parameters` ask for one.
  void resolve(IfIndex device, const IpAddress& address, const NeighbourParameters& parameters,
               MonotonicTime now, KernelMessages& messages);

  using ParametersOf = std::function<NeighbourParameters(IfIndex, Family)>;
  // Sends the probes that are due, or gives up.
  void run_timers(const ParametersOf& parameters_of, MonotonicTime now, KernelMessages& messages);
  [[nodiscard]] std::optional<MonotonicTime> next_timer() const;

  [[nodiscard]] const std::map<Key, Row>& rows() const { return rows_; }
  [[nodiscard]] const Row* find(IfIndex device, const IpAddress& address) const;

 private:
  static void probe(Row& row, const NeighbourParameters& parameters, MonotonicTime now,
                    KernelMessages& messages);

  std::map<Key, Row> rows_;
};

// True if packets can be sent with what the state says (NUD_VALID).
[[nodiscard]] bool is_valid_nud(std::uint16_t state);

}  // namespace vxmesh
