// The kernel's tables (rtnetlink), as a port in our own types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/kernel_state.h"

namespace vxmesh {

// --- Operations. Each is one rtnetlink message; none reads before it writes. ---

// RTM_NEWLINK, CREATE|EXCL: a vxlan, down, in the link group of `link`, all of it in one message.
// `link.index` and `link.up` are ignored; `link.vxlan` must be there.
struct CreateVxlan {
  Link link;
  friend bool operator==(const CreateVxlan&, const CreateVxlan&) = default;
};
// RTM_NEWLINK on an existing index: changes what is present and nothing else. The MAC is not here
// on purpose: setting it, even to the same value, flushes every neighbour.
struct ChangeLink {
  IfIndex device;
  std::optional<bool> up;
  std::optional<std::uint32_t> mtu;
  std::optional<IpAddress> vxlan_local;
  std::optional<bool> vxlan_learning;
  std::optional<std::uint8_t>
      rp_filter;  // IFLA_AF_SPEC/IFLA_INET_CONF: IPv4 reverse path filter, 0..2
  friend bool operator==(const ChangeLink&, const ChangeLink&) = default;
};
// RTM_DELLINK by index.
struct DeleteLink {
  IfIndex device;
  friend bool operator==(const DeleteLink&, const DeleteLink&) = default;
};
// RTM_SETNEIGHTBL for the device's own copy of the parameters.
struct SetNeighbourParameters {
  IfIndex device;
  Family family = Family::V4;
  NeighbourParameters parameters;
  friend bool operator==(const SetNeighbourParameters&, const SetNeighbourParameters&) = default;
};
// RTM_NEWADDR, CREATE|REPLACE; IPv6 addresses are written with IFA_F_NODAD.
struct ReplaceAddress {
  IfAddress address;
  friend bool operator==(const ReplaceAddress&, const ReplaceAddress&) = default;
};
// RTM_DELADDR.
struct DeleteAddress {
  IfAddress address;
  friend bool operator==(const DeleteAddress&, const DeleteAddress&) = default;
};
// RTM_NEWROUTE, CREATE|REPLACE.
struct ReplaceRoute {
  Route route;
  friend bool operator==(const ReplaceRoute&, const ReplaceRoute&) = default;
};
// RTM_DELROUTE of exactly that route: destination, table, metric, type, scope, protocol, device,
// gateway.
struct DeleteRoute {
  Route route;
  friend bool operator==(const DeleteRoute&, const DeleteRoute&) = default;
};
// RTM_NEWNEIGH, AF_BRIDGE, CREATE|REPLACE; NTF_SELF is added to the entry's flags.
struct ReplaceFdb {
  FdbEntry entry;
  friend bool operator==(const ReplaceFdb&, const ReplaceFdb&) = default;
};
// RTM_DELNEIGH, AF_BRIDGE, NTF_SELF, without NDA_DST: all destinations of the MAC. (A delete that
// names another dst than the entry's is acknowledged and ignored, so none is named.)
struct DeleteFdb {
  IfIndex device;
  MacAddress mac;
  friend bool operator==(const DeleteFdb&, const DeleteFdb&) = default;
};
// RTM_NEWNEIGH, CREATE|REPLACE, with the entry's flags and protocol in every write: what is not
// said the kernel clears (NTF_EXT_LEARNED).
struct ReplaceNeighbour {
  Neighbour neighbour;
  friend bool operator==(const ReplaceNeighbour&, const ReplaceNeighbour&) = default;
};
// RTM_DELNEIGH.
struct DeleteNeighbour {
  IfIndex device;
  IpAddress address;
  friend bool operator==(const DeleteNeighbour&, const DeleteNeighbour&) = default;
};

using KernelOp = std::variant<CreateVxlan, ChangeLink, DeleteLink, SetNeighbourParameters,
                              ReplaceAddress, DeleteAddress, ReplaceRoute, DeleteRoute, ReplaceFdb,
                              DeleteFdb, ReplaceNeighbour, DeleteNeighbour>;

// "replace route 100.96.2.0/24 dev #7 ...": for logs, errors and traces.
[[nodiscard]] std::string format(const KernelOp& op);

// The kernel answered: errno (0 is success) and the extended ack's text, if it sent one.
struct OpDone {
  int error_number = 0;
  std::string extended_ack;
  friend bool operator==(const OpDone&, const OpDone&) = default;
};
// The answer was lost: the operation may or may not have happened. Leads to a redump.
struct OpUnknown {
  friend bool operator==(const OpUnknown&, const OpUnknown&) = default;
};
using OpResult = std::variant<OpDone, OpUnknown>;

[[nodiscard]] inline bool succeeded(const OpResult& result) {
  const OpDone* done = std::get_if<OpDone>(&result);
  return done != nullptr && done->error_number == 0;
}

// --- Dumps and events ---

enum class Table : std::uint8_t { Links, Addresses, Routes, Fdb, Neighbours };

[[nodiscard]] std::string format(Table table);

// Fdb and Neighbours need `device` and give that device's rows only; the others give all rows.
// Routes gives both families, all tables.
struct DumpRequest {
  Table table = Table::Links;
  std::optional<IfIndex> device;
  friend bool operator==(const DumpRequest&, const DumpRequest&) = default;
};

// A row, and for neighbours when it was last written.
struct KernelReport {
  KernelObject object;
  Duration
      since_update{};  // NDA_CACHEINFO ndm_updated; resolution 1/USER_HZ; zero for other tables
  friend bool operator==(const KernelReport&, const KernelReport&) = default;
};

// A dump in progress. Destroying it gives up.
class DumpCursor {
 public:
  struct Step {
    std::vector<KernelReport> rows;
    bool finished = false;
  };

  virtual ~DumpCursor() = default;

  // Reads one receive buffer. ErrorCode::Interrupted: the kernel said that the table changed under
  // the dump (NLM_F_DUMP_INTR); start again. Any other error ends the dump too.
  [[nodiscard]] virtual Result<Step> next() = 0;
};

// A change that the kernel reported.
struct KernelChange {
  enum class Kind : std::uint8_t { New, Deleted };
  Kind kind = Kind::New;
  KernelReport report;
  friend bool operator==(const KernelChange&, const KernelChange&) = default;
};
// Events or misses were lost, in the kernel or in the adapter's own bounded queues: redump.
struct Overrun {
  friend bool operator==(const Overrun&, const Overrun&) = default;
};
using KernelEvent = std::variant<KernelChange, Overrun>;

// RTM_GETNEIGH from the kernel's neighbour resolution (app_solicit): it wants `address` resolved.
struct Miss {
  IfIndex device;
  IpAddress address;
  friend auto operator<=>(const Miss&, const Miss&) = default;
};

// Contract: rows and events keep the kernel's order. Events are those of links, addresses, routes
// of both families, FDB entries and neighbours of every device; the caller picks its own.
//   - `apply` runs one bounded batch in order; one failing operation does not stop the next.
//   - No dump is a snapshot: events since its start are to be applied over it.
//   - Own changes come back as events too.
// Threading: one thread; nothing here calls back except the listener, which is only ever posted.
// Failure: what the kernel refuses is in the OpResult or the Error with errno and extended ack;
// nothing throws. Lost answers are OpUnknown, lost events Overrun. Limits: at most kMaxBatch
// operations a call; each queue holds a bounded number of messages.
class Netlink {
 public:
  // 200 acknowledgements fit the default receive buffer; success is acknowledged once per batch,
  // but every failure answers (netlink_rcv_skb).
  static constexpr std::size_t kMaxBatch = 128;

  virtual ~Netlink() = default;

  [[nodiscard]] virtual std::vector<OpResult> apply(std::span<const KernelOp> ops) = 0;

  [[nodiscard]] virtual std::unique_ptr<DumpCursor> dump(const DumpRequest& request) = 0;

  // Single lookups: nullopt if the kernel says that there is none.
  [[nodiscard]] virtual Result<std::optional<Link>> get_link(const std::string& name) = 0;
  [[nodiscard]] virtual Result<std::optional<FdbEntry>> get_fdb(IfIndex device,
                                                                const MacAddress& mac) = 0;
  [[nodiscard]] virtual Result<std::optional<Neighbour>> get_neighbour(
      IfIndex device, const IpAddress& address) = 0;
  [[nodiscard]] virtual Result<NeighbourParameters> get_neighbour_parameters(IfIndex device,
                                                                             Family family) = 0;
  // IPv4 rp_filter of the device (IFLA_INET_CONF), 0..2.
  [[nodiscard]] virtual Result<std::uint8_t> get_rp_filter(IfIndex device) = 0;

  // At most `max`, oldest first, without waiting.
  [[nodiscard]] virtual std::vector<Miss> take_misses(std::size_t max) = 0;
  [[nodiscard]] virtual std::vector<KernelEvent> take_events(std::size_t max) = 0;

  // `wake` is posted to the event loop when a miss or an event is there to take; at least once
  // after the queues were last seen empty.
  virtual void set_listener(std::function<void()> wake) = 0;
};

}  // namespace vxmesh
