// The Netlink port of one simulated process: the sockets of sim/kernel with what goes wrong around
// them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/kernel/fake_netlink.h"
#include "sim/world/host_clock.h"
#include "sim/world/prng.h"
#include "sim/world/process_loop.h"

namespace vxmesh {

enum class KernelFault : std::uint8_t {
  EventsLost,
  AnswerLost,
  Refused,
  RefusedForMemory,
  DumpInterrupted,
  DumpFailed,
  DumpTorn,
  FirewallRefused,
};

// What is wrong with a host's kernel towards our agent; outlives its processes.
struct KernelFaults {
  std::uint64_t lost_answers = 0;  // of the next operations
  int refusal = 0;                 // errno of every operation; 0: none is refused
  std::uint64_t refused = 0;       // operations of a thousand, with ENOMEM
  bool interrupts_dumps = false;
  bool fails_dumps = false;
  std::uint64_t torn = 0;  // rows of a thousand that dumps of FDB and neighbours leave out
  bool refuses_firewall = false;
  // An agent has met one.
  std::function<void(KernelFault)> met = [](KernelFault) {};
};

// What becomes of one operation and its answer.
enum class OperationFate : std::uint8_t { Answered, AnswerLost, RequestLost };

// Sees every operation of a process. `before` is the moment at which the rest of the world may act:
// a foreign writer, or the end of the process.
class OperationWatcher {
 public:
  virtual ~OperationWatcher() = default;
  // `last`: of its batch.
  virtual OperationFate before(const KernelOp& op, bool last) = 0;
  // `executed`: it has reached the kernel.
  virtual void after(const KernelOp& op, const OpResult& result, bool executed) = 0;
  // A dump of the table has come to its end. As before(), the world may act.
  virtual void dumped(Table table) = 0;
};

// Contract: as ports/netlink.h while the process lives; of a dead one nothing reaches the kernel,
// and every call gives what costs the caller least, until its turn is over. The hash of the loop's
// trace covers all that is read. Everything handed in outlives this.
class ProcessNetlink final : public Netlink {
 public:
  ProcessNetlink(NamespaceState& kernel, ProcessLoop& loop, const HostClock& clock,
                 KernelFaults& faults, OperationWatcher& watcher, Prng prng);

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

  // The next so many messages of the kernel do not fit the socket's buffer.
  void lose_messages(std::size_t count) {
    sockets_.lose_messages(count);
    loses_ = loses_ || count > 0;
  }

 private:
  // What the sockets say, while the process lives.
  template <typename Ask>
  auto ask(Ask ask) -> decltype(ask());
  template <typename Message>
  std::vector<Message> taken(std::vector<Message> messages);
  OpResult run(const KernelOp& op, bool last);
  OpResult lose(const KernelOp& op, bool executed);

  ProcessLoop& loop_;
  KernelFaults& faults_;
  OperationWatcher& watcher_;
  Prng prng_;
  std::uint64_t dumps_ = 0;
  bool loses_ = false;  // messages that the process has not been told of
  FakeNetlink sockets_;
};

}  // namespace vxmesh
