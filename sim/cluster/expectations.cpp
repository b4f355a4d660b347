#include "sim/cluster/expectations.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/check/foreign_state.h"
#include "sim/cluster/workload.h"
#include "sim/scenario/text.h"

namespace vxmesh {
namespace {

constexpr MonotonicTime kToTheEnd{Duration::max()};
// What packets get through in a healed cluster.
constexpr Duration kFinally = std::chrono::seconds(1);

std::string of_length(std::uint32_t bytes) {
  return bytes == PodPacket::kLeast ? "" : " with " + std::to_string(bytes) + " bytes";
}

}  // namespace

Expectations::Expectations(const Scenario& scenario, Cluster& cluster, Verdicts& verdicts,
                           std::function<std::string()> deviation)
    : scenario_(scenario),
      cluster_(cluster),
      verdicts_(verdicts),
      deviation_(std::move(deviation)) {}

void Expectations::begin(MonotonicTime begin) {
  for (const Host* host : cluster_.hosts()) {
    to_note_.insert(host->number());
  }
  note_foreign_rows();
  for (const Expectation& expectation : scenario_.expectations) {
    const MonotonicTime from = begin + expectation.from;
    if (expectation.when == Expectation::When::Within) {
      watch(expectation, from, from + expectation.within);
    } else if (expectation.when == Expectation::When::Always) {
      watch(expectation, from, kToTheEnd);
    }
  }
}

void Expectations::watch(const Expectation& expectation, MonotonicTime from, MonotonicTime until) {
  const std::size_t index = watched_.size();
  watched_.push_back({.expectation = &expectation, .from = from, .until = until});
  cluster_.at(from, [this, index] {
    Watched& watched = watched_[index];
    watched.begun = true;
    if (const auto* connect = std::get_if<ExpectConnect>(&watched.expectation->condition)) {
      for (const auto& [a, b] : connect->pairs) {
        const auto first = cluster_.pods().find(a);
        const auto second = cluster_.pods().find(b);
        const bool runs = first != cluster_.pods().end();
        if (runs && second != cluster_.pods().end()) {
          const MonotonicTime now = cluster_.now();
          watched.pairs.push_back(
              {.from = first->second.address,
               .to = second->second.address,
               .echoes = {Echo{.last_answer = now},
                          Echo{.bytes = cluster_.pod_mtu(), .last_answer = now}}});
        } else {
          watched.missing = runs ? b : a;
        }
      }
      try_pairs(index);
    }
  });
  if (until != kToTheEnd) {
    cluster_.at(until, [] {});  // on_settled() comes by then
  }
}

void Expectations::try_pairs(std::size_t index) {
  Watched& watched = watched_[index];
  if (watched.over) {
    return;
  }
  for (std::size_t pair = 0; pair < watched.pairs.size(); ++pair) {
    const Pair& tried = watched.pairs[pair];
    for (std::size_t echo = 0; echo < tried.echoes.size(); ++echo) {
      if (watched.until == kToTheEnd || !tried.echoes[echo].answered) {
        const std::uint64_t number = next_try_++;
        tries_.emplace(number, Try{.watched = index, .pair = pair, .echo = echo});
        cluster_.send({.from = tried.from,
                       .to = tried.to,
                       .number = number,
                       .bytes = tried.echoes[echo].bytes});
      }
    }
  }
  cluster_.at(cluster_.now() + kPeriod, [this, index] { try_pairs(index); });
}

void Expectations::on_received(const Host& /*host*/, const PodPacket& packet) {
  if ((packet.number & Workload::kAnswer) == 0) {
    return;
  }
  const auto tried = tries_.find(packet.number & ~Workload::kAnswer);
  if (tried != tries_.end()) {
    const auto [watched, pair, echo] = tried->second;
    Echo& answered = watched_[watched].pairs[pair].echoes[echo];
    answered.answered = true;
    answered.last_answer = cluster_.now();
    tries_.erase(tried);
  }
}

void Expectations::on_host(const Host& host, bool there) {
  if (there) {
    to_note_.insert(host.number());
  } else {
    to_note_.erase(host.number());
    foreign_.erase(host.number());
  }
}

void Expectations::on_host_changed(const Host& host) {
  to_note_.insert(host.number());
}

void Expectations::on_step(const Step& step, bool /*begins*/) {
  const bool is_kernel = rule_of(step.action.kind).category == ActionCategory::Kernel;
  const Host* host = is_kernel ? cluster_.host(step.action.targets.front()) : nullptr;
  if (host != nullptr) {
    to_note_.insert(host->number());
  }
}

void Expectations::note_foreign_rows() {
  for (const Host* host : cluster_.hosts()) {
    if (to_note_.contains(host->number())) {
      foreign_[host->number()] = foreign_rows(host->kernel(), own_device(host->kernel(), "vxlan1"));
    }
  }
  to_note_.clear();
}

void Expectations::on_settled() {
  if (!to_note_.empty()) {
    note_foreign_rows();
  }
  for (Watched& watched : watched_) {
    if (watched.begun && !watched.over) {
      if (watched.until == kToTheEnd) {
        look_always(watched);
      } else {
        look(watched);
      }
    }
  }
}

void Expectations::look(Watched& watched) {
  const bool late = cluster_.now() >= watched.until;
  const auto* connect = std::get_if<ExpectConnect>(&watched.expectation->condition);
  // That something does not happen is known at the end of its time only.
  if (connect != nullptr && connect->refused && !late) {
    return;
  }
  const Pair* pair = nullptr;
  const Echo* echo = nullptr;
  std::string why;
  if (connect == nullptr) {
    why = unmet(watched.expectation->condition);
  } else if (!connect->refused && !watched.missing.empty()) {
    why = "pod " + watched.missing + " does not run";
  } else if (pair = unmet_pair(watched); pair != nullptr) {
    echo = &wrong_echo(*pair, connect->refused);
    why = format(pair->from) + (connect->refused ? " reaches " : " does not reach ") +
          format(pair->to) + of_length(echo->bytes);
  }
  watched.over = why.empty() || late;
  if (why.empty()) {
    verdicts_.judged("expectation");
  } else if (late) {
    fail(watched, why, pair, echo);
  }
}

void Expectations::look_always(Watched& watched) {
  if (!watched.missing.empty()) {
    watched.over = true;
    fail(watched, "pod " + watched.missing + " does not run");
    return;
  }
  for (const Pair& pair : watched.pairs) {
    for (const Echo& echo : pair.echoes) {
      const Duration dark = cluster_.now() - echo.last_answer;
      // One period is between two answers of a pair that is never dark, and by one it is rounded
      // up.
      if (dark > watched.expectation->max_dark + 2 * kPeriod) {
        watched.over = true;
        fail(watched,
             format(pair.from) + " has not reached " + format(pair.to) + of_length(echo.bytes) +
                 " for " + format_time(std::chrono::duration_cast<std::chrono::milliseconds>(dark)),
             &pair, &echo);
        return;
      }
    }
  }
}

const Expectations::Echo& Expectations::wrong_echo(const Pair& pair, bool refused) {
  const auto wrong = std::ranges::find(pair.echoes, refused, &Echo::answered);
  check(wrong != pair.echoes.end(), "the pair is not as expected");
  return *wrong;
}

const Expectations::Pair* Expectations::unmet_pair(const Watched& watched) {
  const bool refused = std::get<ExpectConnect>(watched.expectation->condition).refused;
  const auto wrong = std::ranges::find_if(watched.pairs, [&](const Pair& pair) {
    return std::ranges::any_of(pair.echoes, [&](const Echo& e) { return e.answered == refused; });
  });
  return wrong == watched.pairs.end() ? nullptr : &*wrong;
}

namespace {

// What of a row is not as expected; empty: nothing.
class Unmet {
 public:
  explicit Unmet(Cluster& cluster) : cluster_(cluster) {}

  std::string operator()(const ExpectFdb& wanted) const {
    const Host* host = cluster_.host(wanted.node);
    const std::vector<FdbRemote>* found =
        host == nullptr ? nullptr : host->kernel().find_fdb(host->device(), wanted.mac);
    const bool there = found != nullptr && !found->empty();
    const bool right =
        wanted.dst ? there && found->size() == 1 && found->front().dst == *wanted.dst : !there;
    return right ? ""
                 : wanted.node + " has " + format(wanted.mac) + " at " +
                       (there ? format(found->front().dst) : "no address");
  }
  std::string operator()(const ExpectNeighbour& wanted) const {
    const Host* host = cluster_.host(wanted.node);
    const std::optional<Neighbour> found =
        host == nullptr ? std::nullopt
                        : host->kernel().find_neighbour(host->device(), wanted.address);
    const std::optional<MacAddress> mac = found ? found->lladdr : std::nullopt;
    return mac == wanted.mac ? ""
                             : wanted.node + " has " + format(wanted.address) + " at " +
                                   (mac ? format(*mac) : "no MAC");
  }
  std::string operator()(const ExpectRoute& wanted) const {
    const Host* host = cluster_.host(wanted.node);
    bool there = false;
    if (host != nullptr) {
      const IfIndex device = host->device();
      for (const Route& route : host->kernel().routes().rows()) {
        there |= route.destination == wanted.destination && route.device == device;
      }
    }
    return there == wanted.present ? ""
                                   : wanted.node + (there ? " routes " : " does not route ") +
                                         format(wanted.destination) + " into the tunnel";
  }
  std::string operator()(const ExpectReady& wanted) const {
    const AgentProcess* process = cluster_.process(wanted.node);
    const bool ready = process != nullptr && process->ready();
    return ready == wanted.ready ? "" : wanted.node + (ready ? " is ready" : " is not ready");
  }
  std::string operator()(const ExpectConnect&) const { return {}; }
  std::string operator()(const ExpectConverged&) const { return {}; }
  std::string operator()(const ExpectForeignUntouched&) const { return {}; }

 private:
  Cluster& cluster_;
};

}  // namespace

std::string Expectations::unmet(const Condition& condition) const {
  if (std::holds_alternative<ExpectConverged>(condition)) {
    return deviation_();
  }
  if (std::holds_alternative<ExpectForeignUntouched>(condition)) {
    for (const Host* host : cluster_.hosts()) {
      const auto before = foreign_.find(host->number());
      if (before != foreign_.end() &&
          foreign_rows(host->kernel(), own_device(host->kernel(), "vxlan1")) != before->second) {
        return host->name() + ": rows that are not ours have changed";
      }
    }
    return {};
  }
  return std::visit(Unmet(cluster_), condition);
}

MonotonicTime Expectations::finally() {
  MonotonicTime known = cluster_.now();
  for (const Expectation& expectation : scenario_.expectations) {
    if (expectation.when == Expectation::When::Finally) {
      if (std::holds_alternative<ExpectConnect>(expectation.condition)) {
        known = cluster_.now() + kFinally;
        watch(expectation, cluster_.now(), known);
      } else if (const std::string why = unmet(expectation.condition); !why.empty()) {
        fail({.expectation = &expectation}, why);
      } else {
        verdicts_.judged("expectation");
      }
    }
  }
  return known;
}

void Expectations::fail(const Watched& watched, const std::string& why, const Pair* pair,
                        const Echo* echo) {
  Violation violation{.oracle = "expectation",
                      .what = "line " + std::to_string(watched.expectation->line) + " is not met",
                      .detail = why,
                      .time = cluster_.now()};
  if (const Host* host = pair == nullptr ? nullptr : cluster_.host_of_pod(pair->from)) {
    violation.from = host->name();
    violation.to = pair->to;
    violation.bytes = echo->bytes;
  }
  verdicts_.fail(std::move(violation));
}

}  // namespace vxmesh
