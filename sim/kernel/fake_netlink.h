// The Netlink port over a namespace in memory, with the faults of a real socket on demand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ports/clock.h"
#include "ports/event_loop.h"
#include "ports/netlink.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {

// One process's sockets in a namespace. Several may be open on one namespace; what they miss while
// closed is not made up for.
//
// Contract: as ports/netlink.h. The event socket's buffer holds `queue_limit` messages. When it is
// full the newest are lost, and all further ones until it has been emptied; before what survived
// comes one Overrun, as recv() gives ENOBUFS first. A dump walks the live tables row by row, and
// is a step ahead of who reads it, as Linux fills the next message when it hands one out
// (netlink_recvmsg): a change behind its position shows, one before it does not, and FDB rows are
// missed when others before them go. Namespace, loop and clock must outlive this and its cursors.
class FakeNetlink final : public Netlink {
 public:
  static constexpr std::size_t kRowsPerStep = 64;  // about what fits a receive buffer of 4 KiB
  static constexpr std::size_t kQueueLimit = 8192;

  FakeNetlink(NamespaceState& state, EventLoop& loop, const Clock& clock,
              std::size_t queue_limit = kQueueLimit);
  ~FakeNetlink() override;
  FakeNetlink(const FakeNetlink&) = delete;
  FakeNetlink& operator=(const FakeNetlink&) = delete;

  [[nodiscard]] std::vector<OpResult> apply(std::span<const KernelOp> ops) override;
  [[nodiscard]] std::unique_ptr<DumpCursor> dump(const DumpRequest& request) override;
  [[nodiscard]] Result<std::optional<Link>> get_link(const std::string& name) override;
  [[nodiscard]] Result<std::optional<FdbEntry>> get_fdb(IfIndex device,
                                                        const MacAddress& mac) override;
  [[nodiscard]] Result<std::optional<Neighbour>> get_neighbour(IfIndex device,
                                                               const IpAddress& address) override;
  [[nodiscard]] Result<NeighbourParameters> get_neighbour_parameters(IfIndex device,
                                                                     Family family) override;
  [[nodiscard]] Result<std::uint8_t> get_rp_filter(IfIndex device) override;
  [[nodiscard]] std::vector<Miss> take_misses(std::size_t max) override;
  [[nodiscard]] std::vector<KernelEvent> take_events(std::size_t max) override;
  void set_listener(std::function<void()> wake) override;

  // --- Faults. Operations are counted from the call on, the next one is 0. ---

  // The kernel refuses the operation and does nothing.
  void fail_operation(std::size_t number, int error_number, std::string extended_ack = "");
  enum class Executed : bool { No, Yes };
  // The answer is lost: OpUnknown.
  void lose_answer(std::size_t number, Executed executed);
  // The socket overflows: the next `count` messages are lost, and an Overrun says so.
  void lose_messages(std::size_t count);
  // The next dump of the table is interrupted at its first step (NLM_F_DUMP_INTR).
  void interrupt_dump(Table table);
  // The next dump of the table fails at its first step.
  void fail_dump(Table table);
  // What has not happened yet of the above will not.
  void clear_faults();
  // Called before each operation, with its number since this was made: the place for foreign
  // writers, and for looking at the state between two operations. Empty: nothing is called.
  void before_operation(std::function<void(std::size_t number, const KernelOp& op)> callback);

  // --- What tests assert on ---

  // Keeps every operation from now on.
  void keep_executed() { keeps_executed_ = true; }
  // Those that reached the kernel, in order.
  [[nodiscard]] const std::vector<KernelOp>& executed() const { return executed_; }

 private:
  struct Fault {
    OpResult result;
    bool execute = false;
  };

  OpResult run(const KernelOp& op);
  void take(const Notification& message);
  void wake();
  void settle();
  [[nodiscard]] std::size_t queued() const { return misses_.size() + events_.size(); }

  NamespaceState& state_;
  EventLoop& loop_;
  const Clock& clock_;
  std::size_t queue_limit_;

  std::deque<Miss> misses_;
  std::deque<KernelEvent> events_;
  bool congested_ = false;  // after an overflow, until both queues are empty
  std::function<void()> listener_;
  std::shared_ptr<bool> woken_;  // a wake-up is posted; false when the queues were seen empty since

  std::size_t next_operation_ = 0;
  std::map<std::size_t, Fault> faults_;
  std::size_t to_lose_ = 0;
  std::map<Table, Error> dump_faults_;
  std::function<void(std::size_t, const KernelOp&)> before_operation_;
  bool keeps_executed_ = false;
  std::vector<KernelOp> executed_;
  NamespaceState::Subscription subscription_;
};

}  // namespace vxmesh
