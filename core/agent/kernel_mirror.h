// The agent's copy of the kernel's tables: filled by dumps, kept by events.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "decide/plan.h"
#include "ports/clock.h"
#include "ports/netlink.h"

namespace vxmesh {

// What events did to the mirror. Echoes of our own operations do nothing to it.
struct MirrorChange {
  bool device = false;                // our device came, went, or differs in what we set on it
  bool underlay = false;              // another link or address changed
  bool redump = false;                // something may have changed without an event
  bool overrun = false;               // events were lost
  std::set<IpPrefix> routes;          // destinations of which a route of ours changed
  std::set<IpPrefix> foreign_routes;  // destinations in the overlay of which somebody else's did
  std::set<MacAddress> vteps;         // MACs whose FDB entries changed
  std::set<IpAddress> neighbours;     // addresses whose owned neighbour became another one
};

// Contract: links and addresses are all that there are; routes those that can be ours; FDB entries
// and neighbours those of our device, neighbours only if owned (model/ownership.h). After a redump
// the mirror equals the kernel at some moment since it began plus later events, because
//   - a row that an event touched since its table's dump began is the event's, not the dump's;
//   - a row that is believed present but missing from a dump is dropped only after a GET (of FDB
//     entries and neighbours: an FDB dump loses entries under churn) or a second dump (of addresses
//     and routes).
// Threading: one thread. Cost: an event is O(log n), a step one receive buffer.
class KernelMirror {
 public:
  KernelMirror(Netlink& netlink, const Clock& clock, const OverlayConfig& config);

  void apply_event(const KernelEvent& event, MirrorChange& change);
  // What an operation that was Done without error is known to have changed.
  void apply_operation(const KernelOp& op, MirrorChange& change);
  // A link that a GET has shown.
  void apply_link(const Link& link);

  // Starts over with the first table; a redump under way is given up.
  void begin_redump();
  [[nodiscard]] bool redumping() const { return stage_ != Stage::Idle; }
  // One step. True when all tables are done. An error ends the redump; Interrupted: the tables or
  // the device changed under it, begin again.
  [[nodiscard]] Result<bool> step();

  [[nodiscard]] const ActualState& actual() const { return actual_; }
  // The link of the configured name, ours or not; null if there is none.
  [[nodiscard]] const Link* device() const;
  // When each owned neighbour of the family was last written.
  [[nodiscard]] const std::map<IpAddress, MonotonicTime>& updated(Family family) const;
  // INCOMPLETE neighbours that the redump has found: misses whose message may have been lost.
  // Emptied.
  [[nodiscard]] std::vector<Miss> take_unresolved();

 private:
  enum class Stage : std::uint8_t {
    Idle,
    Links,
    Addresses,
    AddressesAgain,
    Routes,
    RoutesAgain,
    Fdb,
    Neighbours,
    Parameters,
  };

  void put(const Link& link, MirrorChange& change);
  void put(const IfAddress& address, MirrorChange& change);
  void put(const Route& route, MirrorChange& change);
  void put(const FdbEntry& entry, MirrorChange& change);
  void put(const Neighbour& neighbour, MirrorChange& change);  // updated now
  void put(const Neighbour& neighbour, MonotonicTime updated, MirrorChange& change);
  void drop(const Link& link, MirrorChange& change);
  void drop(const IfAddress& address, MirrorChange& change);
  void drop(const Route& route, MirrorChange& change);
  void drop(const FdbEntry& entry, MirrorChange& change);
  void drop(const Neighbour& neighbour, MirrorChange& change);

  [[nodiscard]] bool on_device(IfIndex index) const;
  [[nodiscard]] bool concerns_us(const Route& route) const;
  void note_route(const Route& route, MirrorChange& change) const;
  void forget_device_rows();
  void note_device_index();

  void begin(Stage stage);
  void take_row(const KernelReport& report);
  [[nodiscard]] Result<bool> give_up(const Error& error);
  [[nodiscard]] Result<Stage> finish_table();
  void drop_unseen_links();
  [[nodiscard]] std::vector<IfAddress> unseen_addresses() const;
  [[nodiscard]] std::vector<Route> unseen_routes();
  [[nodiscard]] Result<void> confirm_unseen_fdb();
  [[nodiscard]] Result<void> confirm_unseen_neighbours();
  [[nodiscard]] Result<void> read_parameters();

  Netlink& netlink_;
  const Clock& clock_;
  const OverlayConfig& config_;

  ActualState actual_;
  IfIndex device_{};  // 0: there is no link of our name
  std::map<Family, std::map<IpAddress, MonotonicTime>> updated_{{Family::V4, {}}, {Family::V6, {}}};
  std::set<IpAddress> unresolved_;

  Stage stage_ = Stage::Idle;
  std::unique_ptr<DumpCursor> cursor_;
  // Rows that the dumps of the table under way have shown; those of which there are many only put
  // in order when all are there.
  KernelState seen_;
  std::vector<Route> seen_routes_;
  std::vector<FdbEntry> seen_fdb_;
  std::vector<IpAddress> seen_neighbours_;
  KernelState touched_;  // rows that events have touched since that table's dump began
};

}  // namespace vxmesh
