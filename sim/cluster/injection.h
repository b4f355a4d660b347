// A fault at one exact point of a run, and the points that a run has.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "sim/faults/process_netlink.h"
#include "sim/kube/fake_kubernetes.h"
#include "sim/world/trace.h"

namespace vxmesh {

// The first three happen at a netlink operation, the others at a watch event. What happens to an
// event is what API servers and networks really do: no stream leaves an event out, repeats one or
// changes their order, but it may end at any place, and the server to which the client then comes
// need not have what the last one had.
enum class InjectionKind : std::uint8_t {
  Crash,           // the process dies right behind the operation; it is started kRestart later
  LoseAnswer,      // the operation is executed, its answer is lost
  LoseRequest,     // the operation is not executed, and there is no answer
  DropEvent,       // the connection breaks before the event, and once more as the watch is resumed
  DelayEvent,      // the stream stands still before the event for kDelay
  DuplicateEvent,  // the watch ends with 410 behind the event: the client is given it again by a
                   // list
  StaleEvent,  // the watch ends with 410 before the event, and from then on the process is served
               // by a server that is kStaleness behind
};
inline constexpr InjectionKind kLastInjectionKind = InjectionKind::StaleEvent;

// "crash", "lose-answer", ...: in commands and reports.
[[nodiscard]] std::string_view format(InjectionKind kind);
[[nodiscard]] std::optional<InjectionKind> parse_injection_kind(std::string_view text);
[[nodiscard]] bool is_at_operation(InjectionKind kind);

struct Injection {
  InjectionKind kind = InjectionKind::Crash;
  std::uint64_t index = 0;  // of all operations or events of the run, those of all agents

  friend auto operator<=>(const Injection&, const Injection&) = default;
};
// "crash@17"
[[nodiscard]] std::string format(const Injection& injection);
[[nodiscard]] std::optional<Injection> parse_injection(std::string_view text);

// Where something can be injected. Operations and events are numbered in the order in which they
// happen, from the start of the run.
struct InjectionPoints {
  std::uint64_t operations = 0;
  std::uint64_t events = 0;
  // Operations that another one of the same batch follows: on Linux a process cannot die there.
  std::set<std::uint64_t> inside_batches;

  friend bool operator==(const InjectionPoints&, const InjectionPoints&) = default;
};

// Contract: counts the points of one run, and says at the injection's point what happens there. Up
// to that point a run is the same as without it.
class Injector {
 public:
  static constexpr Duration kRestart = std::chrono::milliseconds(500);
  static constexpr Duration kDelay = std::chrono::seconds(2);
  static constexpr Duration kStaleness = std::chrono::seconds(3);

  explicit Injector(std::optional<Injection> injection) : injection_(injection) {}

  // Asked before each operation; `last`: of its batch. Its kind if it happens here.
  [[nodiscard]] std::optional<InjectionKind> at_operation(bool last);
  // Asked before each event of a watch of the host's process.
  [[nodiscard]] std::optional<InjectionKind> at_event(HostNumber host);
  // Asked at each call of the host's process: what breaks that.
  [[nodiscard]] std::optional<KubernetesFault> at_call(HostNumber host, const KubernetesCall& call);

  [[nodiscard]] const InjectionPoints& points() const { return points_; }
  [[nodiscard]] bool has_happened() const { return happened_; }

 private:
  [[nodiscard]] bool is_now(bool operation, std::uint64_t index);

  const std::optional<Injection> injection_;
  InjectionPoints points_;
  bool happened_ = false;
  std::optional<HostNumber> breaks_again_;  // the next watch of this host
};

// What the kinds of a watch event do to its stream.
[[nodiscard]] WatchEventFault event_fault(InjectionKind kind);

}  // namespace vxmesh
