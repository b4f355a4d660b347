#include "sim/faults/process_netlink.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sim/world/digest.h"

namespace vxmesh {
namespace {

Error interrupted(Table table) {
  return {.code = ErrorCode::Interrupted, .context = format(table) + " changed under the dump"};
}
Error failed(Table table) {
  return {.code = ErrorCode::Environment,
          .context = "dump of " + format(table) + ": Cannot allocate memory"};
}
Error process_is_dead() {
  return {.code = ErrorCode::Environment, .context = "the process is dead"};
}

// Tells when a dump has come to its end; meets the host's faults at its first step.
class WatchedCursor final : public DumpCursor {
 public:
  WatchedCursor(std::unique_ptr<DumpCursor> cursor, Table table, ProcessLoop& loop,
                const KernelFaults& faults, OperationWatcher& watcher, Prng prng)
      : cursor_(std::move(cursor)),
        table_(table),
        loop_(loop),
        faults_(faults),
        watcher_(watcher),
        prng_(prng) {}

  Result<Step> next() override {
    Result<Step> step = read();
    loop_.cover(TraceKind::Kernel, digest_of(table_, step));
    if (step && step->finished) {
      watcher_.dumped(table_);
    }
    return step;
  }

 private:
  Result<Step> read() {
    if (loop_.dead()) {
      return tl::unexpected(process_is_dead());
    }
    if (faults_.interrupts_dumps) {
      faults_.met(KernelFault::DumpInterrupted);
      return tl::unexpected(interrupted(table_));
    }
    if (faults_.fails_dumps) {
      faults_.met(KernelFault::DumpFailed);
      return tl::unexpected(failed(table_));
    }
    Result<Step> step = cursor_->next();
    if (step && faults_.torn > 0 && (table_ == Table::Fdb || table_ == Table::Neighbours)) {
      const std::size_t left_out =
          std::erase_if(step->rows, [&](const auto&) { return prng_.chance(faults_.torn, 1000); });
      if (left_out > 0) {
        faults_.met(KernelFault::DumpTorn);
      }
    }
    return step;
  }

  std::unique_ptr<DumpCursor> cursor_;
  Table table_;
  ProcessLoop& loop_;
  const KernelFaults& faults_;
  OperationWatcher& watcher_;
  Prng prng_;
};

}  // namespace

ProcessNetlink::ProcessNetlink(NamespaceState& kernel, ProcessLoop& loop, const HostClock& clock,
                               KernelFaults& faults, OperationWatcher& watcher, Prng prng)
    : loop_(loop), faults_(faults), watcher_(watcher), prng_(prng), sockets_(kernel, loop, clock) {}

std::vector<OpResult> ProcessNetlink::apply(std::span<const KernelOp> ops) {
  std::vector<OpResult> results;
  results.reserve(ops.size());
  for (const KernelOp& op : ops) {
    results.push_back(run(op, &op == &ops.back()));
  }
  return results;
}

OpResult ProcessNetlink::run(const KernelOp& op, bool last) {
  const OperationFate fate = loop_.dead() ? OperationFate::RequestLost : watcher_.before(op, last);
  if (loop_.dead()) {
    return OpUnknown{};
  }
  if (fate != OperationFate::Answered) {
    return lose(op, fate == OperationFate::AnswerLost);
  }
  const bool short_of_memory = faults_.refused > 0 && prng_.chance(faults_.refused, 1000);
  if (faults_.refusal != 0 || short_of_memory) {
    const int error_number = faults_.refusal != 0 ? faults_.refusal : ENOMEM;
    OpResult refused = OpDone{.error_number = error_number, .extended_ack = ""};
    faults_.met(short_of_memory ? KernelFault::RefusedForMemory : KernelFault::Refused);
    watcher_.after(op, refused, false);
    return refused;
  }
  if (faults_.lost_answers > 0) {
    // The request may have been lost as well (ENOBUFS of sendmsg) or only what it was answered.
    --faults_.lost_answers;
    faults_.met(KernelFault::AnswerLost);
    return lose(op, prng_.chance(2, 3));
  }
  OpResult result = sockets_.apply(std::span(&op, 1)).front();
  watcher_.after(op, result, true);
  return result;
}

OpResult ProcessNetlink::lose(const KernelOp& op, bool executed) {
  if (executed) {
    (void)sockets_.apply(std::span(&op, 1));
  }
  watcher_.after(op, OpUnknown{}, executed);
  return OpUnknown{};
}

std::unique_ptr<DumpCursor> ProcessNetlink::dump(const DumpRequest& request) {
  return std::make_unique<WatchedCursor>(sockets_.dump(request), request.table, loop_, faults_,
                                         watcher_, prng_.split("dump/" + std::to_string(++dumps_)));
}

template <typename Ask>
auto ProcessNetlink::ask(Ask ask) -> decltype(ask()) {
  if (loop_.dead()) {
    return tl::unexpected(process_is_dead());
  }
  auto answer = ask();
  loop_.cover(TraceKind::Kernel, digest_of(answer));
  return answer;
}

Result<std::optional<Link>> ProcessNetlink::get_link(const std::string& name) {
  return ask([&] { return sockets_.get_link(name); });
}

Result<std::optional<FdbEntry>> ProcessNetlink::get_fdb(IfIndex device, const MacAddress& mac) {
  return ask([&] { return sockets_.get_fdb(device, mac); });
}

Result<std::optional<Neighbour>> ProcessNetlink::get_neighbour(IfIndex device,
                                                               const IpAddress& address) {
  return ask([&] { return sockets_.get_neighbour(device, address); });
}

Result<NeighbourParameters> ProcessNetlink::get_neighbour_parameters(IfIndex device,
                                                                     Family family) {
  return ask([&] { return sockets_.get_neighbour_parameters(device, family); });
}

Result<std::uint8_t> ProcessNetlink::get_rp_filter(IfIndex device) {
  return ask([&] { return sockets_.get_rp_filter(device); });
}

template <typename Message>
std::vector<Message> ProcessNetlink::taken(std::vector<Message> messages) {
  loop_.cover(TraceKind::Kernel, digest_of(messages));
  return messages;
}

std::vector<Miss> ProcessNetlink::take_misses(std::size_t max) {
  return loop_.dead() ? std::vector<Miss>{} : taken(sockets_.take_misses(max));
}

std::vector<KernelEvent> ProcessNetlink::take_events(std::size_t max) {
  if (loop_.dead()) {
    return {};
  }
  std::vector<KernelEvent> events = taken(sockets_.take_events(max));
  const auto is_overrun = [](const KernelEvent& event) {
    return std::holds_alternative<Overrun>(event);
  };
  if (loses_ && std::ranges::any_of(events, is_overrun)) {
    loses_ = false;
    faults_.met(KernelFault::EventsLost);
  }
  return events;
}

void ProcessNetlink::set_listener(std::function<void()> wake) {
  sockets_.set_listener(std::move(wake));
}

}  // namespace vxmesh
