// What a scenario expects, looked at while it runs.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/check/violation.h"
#include "sim/cluster/cluster.h"
#include "sim/scenario/scenario.h"

namespace vxmesh {

// Contract: `within` holds if it is true at some moment of its time; connections are tried by
// packets there and back, a short one and one as long as pods may send, every kPeriod while they
// are waited for. `always` counts a pair dark from the first packet that has no answer within
// kPeriod to the next one that has. What is not met is a violation of the oracle "expectation" that
// names the line. `foreign: untouched` compares with what is there at the beginning, when a host
// comes, and when the scenario itself changes it.
class Expectations final : public ClusterObserver {
 public:
  static constexpr Duration kPeriod = std::chrono::milliseconds(50);

  // `deviation`: what of the cluster is not as the API says; empty: nothing.
  Expectations(const Scenario& scenario, Cluster& cluster, Verdicts& verdicts,
               std::function<std::string()> deviation);

  void begin(MonotonicTime begin);
  // The cluster has been healed and has converged. Gives when the last of what is expected then is
  // known.
  MonotonicTime finally();

 private:
  // Whether packets of one length come back.
  struct Echo {
    std::uint32_t bytes = PodPacket::kLeast;
    bool answered = false;
    MonotonicTime last_answer;
  };
  struct Pair {
    IpAddress from;
    IpAddress to;
    std::array<Echo, 2> echoes;  // of the shortest packets, and of the longest
  };
  struct Try {
    std::size_t watched = 0;
    std::size_t pair = 0;
    std::size_t echo = 0;
  };
  struct Watched {
    const Expectation* expectation = nullptr;
    MonotonicTime from;
    MonotonicTime until;
    bool begun = false;
    bool over = false;
    std::vector<Pair> pairs;  // of a connection
    std::string missing;      // a pod of it that does not run; empty: they all do
  };

  void on_host(const Host& host, bool there) override;
  void on_host_changed(const Host& host) override;
  void on_step(const Step& step, bool begins) override;
  void on_settled() override;
  void on_received(const Host& host, const PodPacket& packet) override;

  void watch(const Expectation& expectation, MonotonicTime from, MonotonicTime until);
  void try_pairs(std::size_t watched);
  void note_foreign_rows();
  void look(Watched& watched);
  void look_always(Watched& watched);
  // `pair`: of a connection, the one that it is about, and `echo`, which of its packets.
  void fail(const Watched& watched, const std::string& why, const Pair* pair = nullptr,
            const Echo* echo = nullptr);
  // Why it does not hold; empty: it does.
  [[nodiscard]] std::string unmet(const Condition& condition) const;
  // The first pair that is not as expected; null: all are.
  [[nodiscard]] static const Pair* unmet_pair(const Watched& watched);
  // What of such a pair comes through that should not, or does not that should.
  [[nodiscard]] static const Echo& wrong_echo(const Pair& pair, bool refused);

  const Scenario& scenario_;
  Cluster& cluster_;
  Verdicts& verdicts_;
  std::function<std::string()> deviation_;
  std::vector<Watched> watched_;

  // Rows of each host that are not ours: at the beginning, or as the scenario itself made them.
  std::map<HostNumber, std::vector<std::string>> foreign_;
  std::set<HostNumber> to_note_;        // whose rows the event that is under way changes
  std::map<std::uint64_t, Try> tries_;  // by number
  std::uint64_t next_try_ = 1ULL << 40U;
};

}  // namespace vxmesh
