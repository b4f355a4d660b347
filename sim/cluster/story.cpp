#include "sim/cluster/story.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "sim/check/reference_model.h"
#include "sim/cluster/cluster.h"
#include "sim/cluster/pair_walk.h"

namespace vxmesh {
namespace {

// Of what happens between two steps, so much of the beginning and of the end is told.
constexpr std::size_t kFirst = 6;
constexpr std::size_t kLast = 10;

// A node may have been several of these in the course of a scenario.
std::vector<NodeSpec> all_specs(const Scenario& scenario) {
  std::vector<NodeSpec> specs = scenario.cluster.nodes;
  for (const Step& step : scenario.steps) {
    const Action& action = step.action;
    if (action.kind != ActionKind::AddNode && action.kind != ActionKind::ChangeNode) {
      continue;
    }
    NodeSpec spec{.name = action.targets.front()};
    for (const NodeSpec& earlier : specs) {
      spec = earlier.name == spec.name ? earlier : spec;
    }
    spec.ip = action.ip.value_or(spec.ip);
    spec.pod_cidr = action.pod_cidr.value_or(spec.pod_cidr);
    specs.push_back(spec);
  }
  return specs;
}

std::set<std::string> words_of(const std::string& text) {
  std::set<std::string> words;
  std::string word;
  for (const char c : text + " ") {
    if (c == ' ' || c == ',' ||
        (c == ':' && word.find(':') == std::string::npos &&
         word.find_first_not_of("0123456789abcdef") != std::string::npos)) {
      words.insert(std::exchange(word, {}));
    } else {
      word += c;
    }
  }
  return words;
}

// What a violation is about: the nodes that it names, and their rows on each other.
class Concern {
 public:
  Concern(const Scenario& scenario, const std::optional<Violation>& violation) {
    if (!violation) {
      return;
    }
    to_ = violation->to;
    std::set<std::string> words = words_of(violation->detail);
    if (violation->from) {
      words.insert(*violation->from);
    }
    const std::vector<NodeSpec> specs = all_specs(scenario);
    for (const NodeSpec& spec : specs) {
      const bool named = words.contains(spec.name) || words.contains(format(spec.ip)) ||
                         words.contains(format(spec.pod_cidr)) ||
                         words.contains(format(mac_of(spec, scenario))) ||
                         holds_a_word(spec, words);
      if (named) {
        nodes_.insert(spec.name);
      }
    }
    is_everybody_ = nodes_.empty();
    for (const NodeSpec& spec : specs) {
      if (nodes_.contains(spec.name)) {
        pod_cidrs_.insert(spec.pod_cidr);
        macs_.insert(mac_of(spec, scenario));
      }
    }
  }

  static MacAddress mac_of(const NodeSpec& spec, const Scenario& scenario) {
    return reference_mac(spec.pod_cidr, scenario.cluster.overlay);
  }

  [[nodiscard]] const std::set<std::string>& nodes() const { return nodes_; }
  [[nodiscard]] bool has(const std::string& node) const {
    return is_everybody_ || nodes_.contains(node);
  }
  [[nodiscard]] bool has(const IpAddress& address) const {
    return to_ ? address == *to_ : std::ranges::any_of(pod_cidrs_, [&](const IpPrefix& pod_cidr) {
      return pod_cidr.contains(address);
    });
  }
  [[nodiscard]] bool has(const IpPrefix& pod_cidr) const { return pod_cidrs_.contains(pod_cidr); }
  [[nodiscard]] bool has(const MacAddress& mac) const { return macs_.contains(mac); }

  // Rows, by what they are about. One node alone: all of its rows.
  bool operator()(const Route& route) const { return is_of_one() || has(route.destination); }
  bool operator()(const FdbEntry& entry) const { return is_of_one() || has(entry.mac); }
  bool operator()(const Neighbour& neighbour) const {
    return is_of_one() || has(neighbour.address);
  }
  bool operator()(const ReplaceRoute& op) const { return (*this)(op.route); }
  bool operator()(const DeleteRoute& op) const { return (*this)(op.route); }
  bool operator()(const ReplaceFdb& op) const { return (*this)(op.entry); }
  bool operator()(const DeleteFdb& op) const { return is_of_one() || has(op.mac); }
  bool operator()(const ReplaceNeighbour& op) const { return (*this)(op.neighbour); }
  bool operator()(const DeleteNeighbour& op) const { return is_of_one() || has(op.address); }
  // Devices and their addresses: everything depends on them.
  template <typename OfDevice>
  bool operator()(const OfDevice&) const {
    return true;
  }

 private:
  static bool holds_a_word(const NodeSpec& spec, const std::set<std::string>& words) {
    return std::ranges::any_of(words, [&](const std::string& word) {
      const Result<IpAddress> address = IpAddress::parse(word);
      return address && spec.pod_cidr.contains(*address);
    });
  }
  [[nodiscard]] bool is_of_one() const { return nodes_.size() < 2; }

  bool is_everybody_ = false;
  std::optional<IpAddress> to_;
  std::set<std::string> nodes_;
  std::set<IpPrefix> pod_cidrs_;
  std::set<MacAddress> macs_;
};

std::string process_text(ProcessChange change) {
  switch (change) {
    case ProcessChange::Started: return "starts";
    case ProcessChange::Died: return "dies";
    case ProcessChange::Paused: return "stands still";
    case ProcessChange::Resumed: break;
  }
  return "goes on";
}

std::string result_text(const OpResult& result) {
  const OpDone* done = std::get_if<OpDone>(&result);
  if (done == nullptr) {
    return "its answer is lost";
  }
  return done->error_number == 0
             ? "done"
             : "refused with errno " + std::to_string(done->error_number) +
                   (done->extended_ack.empty() ? "" : ", " + done->extended_ack);
}

// Writes down what concerns the violation while the run goes on.
class Chronicle final : public ClusterObserver {
 public:
  struct Line {
    MonotonicTime time;
    bool is_step = false;
    std::string text;
  };

  Chronicle(Cluster& cluster, const Concern& concern) : cluster_(cluster), concern_(concern) {}

  [[nodiscard]] std::vector<Line> take() {
    take_logs();
    return std::move(lines_);
  }

 private:
  void on_written(std::uint64_t revision, const std::string& name,
                  const NodeOrRejection* now) override {
    if (concern_.has(name)) {
      const std::string what = name + (now == nullptr          ? "'s Node is deleted"
                                       : known_.contains(name) ? "'s Node changes"
                                                               : "'s Node is made");
      news_.emplace(revision, what);
      tell("the API, revision " + std::to_string(revision) + ": " + what);
    }
    if (now == nullptr) {
      known_.erase(name);
    } else {
      known_.insert(name);
    }
  }
  void on_served(const Host& host, std::uint64_t revision) override {
    const std::uint64_t before = std::exchange(served_[host.number()], revision);
    if (!concern_.has(host.name())) {
      return;
    }
    std::string what;
    for (auto news = news_.upper_bound(before);
         before > 0 && news != news_.end() && news->first <= revision; ++news) {
      what += (what.empty() ? "" : ", ") + news->second;
    }
    if (before == 0) {
      tell(host.name() + "'s agent has all Nodes as of revision " + std::to_string(revision));
    } else if (!what.empty()) {
      tell(host.name() + "'s agent is told: " + what);
    }
  }
  void on_process(const Host& host, ProcessChange change) override {
    if (change == ProcessChange::Died) {
      served_.erase(host.number());
    }
    if (concern_.has(host.name())) {
      tell(host.name() + "'s agent " + process_text(change));
    }
  }
  void on_host(const Host& host, bool there) override {
    if (there) {
      names_.emplace(host.number(), host.name());
    }
  }
  void on_operation(const Host& host, const KernelOp& op, const OpResult& result) override {
    if (concern_.has(host.name()) && std::visit(concern_, op)) {
      tell(host.name() + "'s agent: " + format(op) + ": " + result_text(result));
    }
  }
  void on_notification(const Host& host, const Notification& message, bool by_agent) override {
    if (by_agent || !concern_.has(host.name())) {
      return;
    }
    const auto* neighbour = std::get_if<NeighbourRecord>(&message.record);
    const auto* fdb = std::get_if<FdbRecord>(&message.record);
    const auto* route = std::get_if<RouteRecord>(&message.record);
    if (message.kind == Notification::Kind::Miss) {
      if (neighbour != nullptr && concern_.has(neighbour->neighbour.address)) {
        tell(host.name() + "'s kernel asks who has " + format(neighbour->neighbour.address));
      }
    } else if ((fdb != nullptr && concern_.has(fdb->entry.mac)) ||
               (route != nullptr && concern_.has(route->route.destination))) {
      tell(host.name() + "'s kernel, not by its agent: " + format(message));
    }
  }
  void on_step(const Step& step, bool begins) override {
    take_logs();
    lines_.push_back({.time = cluster_.now(),
                      .is_step = true,
                      .text = (begins ? "" : "It is over that ") + describe(step)});
  }

  void tell(std::string text) {
    take_logs();
    lines_.push_back({.time = cluster_.now(), .text = std::move(text)});
  }
  // What agents have written to their logs since the last line.
  void take_logs() {
    const std::vector<Trace::Entry>& entries = cluster_.trace().entries();
    for (; logs_read_ < entries.size(); ++logs_read_) {
      const Trace::Entry& entry = entries[logs_read_];
      const auto name = names_.find(entry.host);
      if (entry.kind == TraceKind::Log && name != names_.end() && concern_.has(name->second)) {
        lines_.push_back(
            {.time = entry.time, .text = name->second + "'s agent says: " + entry.text});
      }
    }
  }

  Cluster& cluster_;
  const Concern& concern_;
  std::vector<Line> lines_;
  std::map<HostNumber, std::string> names_;
  std::set<std::string> known_;
  std::map<std::uint64_t, std::string> news_;  // by revision
  std::map<HostNumber, std::uint64_t> served_;
  std::size_t logs_read_ = 0;
};

// "+1.003 s", "-0.400 s".
std::string time_text(Duration time) {
  const std::int64_t ms = std::abs(time / std::chrono::milliseconds(1));
  return (time < Duration{} ? "-" : "+") + std::to_string(ms / 1000) + "." +
         std::to_string(1000 + ms % 1000).substr(1) + " s";
}

std::string indented(const std::string& text) {
  std::string out = "  ";
  for (const char c : text) {
    out += c;
    out += c == '\n' ? "  " : "";
  }
  return out;
}

std::string cluster_text(const Scenario& scenario) {
  std::string text = "The cluster:\n";
  for (const NodeSpec& node : scenario.cluster.nodes) {
    text += "  " + node.name + " at " + format(node.ip) + " has " + format(node.pod_cidr) +
            ", MAC " + format(Concern::mac_of(node, scenario));
    std::string pods;
    for (const PodSpec& pod : scenario.cluster.pods) {
      if (pod.node == node.name) {
        pods +=
            (pods.empty() ? ", and the pods " : ", ") + pod.name + " (" + format(pod.address) + ")";
      }
    }
    text += pods + ".\n";
  }
  return text;
}

// From the first convergence on, or if there was none, everything.
std::string events_text(const std::vector<Chronicle::Line>& lines, MonotonicTime converged) {
  std::string text;
  std::vector<std::string> between;
  const auto flush = [&] {
    for (std::size_t i = 0; i < between.size(); ++i) {
      if (i < kFirst || i + kLast >= between.size()) {
        text += between[i];
      } else if (i == kFirst) {
        text += "              (" + std::to_string(between.size() - kFirst - kLast) + " more)\n";
      }
    }
    between.clear();
  };
  for (const Chronicle::Line& line : lines) {
    if (line.time < converged) {
      continue;
    }
    const std::string written =
        "  " + time_text(line.time - converged) + (line.is_step ? "  " : "    ") + line.text + "\n";
    if (line.is_step) {
      flush();
      text += written;
    } else {
      between.push_back(written);
    }
  }
  flush();
  return text;
}

std::string concern_text(const Concern& concern) {
  std::string names;
  for (const std::string& node : concern.nodes()) {
    names += (names.empty() ? "" : ", ") + node;
  }
  return "What happened" +
         (names.empty() ? "" : " (of agents and kernels, what concerns " + names + ")") + ":\n";
}

std::string walk_text(Cluster& cluster, const Violation& violation) {
  if (!violation.from || !violation.to || cluster.host(*violation.from) == nullptr) {
    return "";
  }
  const auto& [from, to, bytes] = std::tie(violation.from, violation.to, violation.bytes);
  const WalkedPair walked = walk_pair(cluster, *from, *to, bytes);
  std::string text = "\n\nThe packet:\n" + indented(format(walked));
  if (walked.walk.verdict == WalkVerdict::Unresolved) {
    if (const auto further = walk_resolved_pair(cluster, *from, *to, bytes)) {
      text += "\nWhere it would go if that were answered:\n" + indented(format(*further));
    }
  }
  const std::string misjudged = misjudged_pair(cluster, *from, *to, bytes);
  return text + (misjudged.empty() ? "" : "\n\nThat is not so: " + misjudged);
}

std::string verdict_text(const std::optional<Violation>& violation, MonotonicTime converged) {
  return violation ? "What is wrong:\n  " + time_text(violation->time - converged) + "  " +
                         violation->signature() + ".\n  " + violation->detail + "."
                   : "Nothing is wrong.";
}

}  // namespace

std::string story(const Scenario& scenario, const SimulationOptions& options) {
  return story(scenario, options, Simulation(scenario, options).run());
}

std::string story(const Scenario& scenario, const SimulationOptions& options,
                  const Outcome& outcome) {
  const std::optional<Violation>& violation = outcome.violation;
  const Concern concern(scenario, violation);
  SimulationOptions telling = options;
  telling.keep_texts = true;
  Simulation again(scenario, telling);
  Chronicle chronicle(again.cluster(), concern);
  again.cluster().observe(chronicle);
  (void)again.run(outcome.end);
  const std::string events = events_text(chronicle.take(), outcome.converged);
  return scenario.name + (scenario.about.empty() ? "" : ": " + scenario.about) +
         "\nRun with seed " + std::to_string(options.seed) + ".\n\n" + cluster_text(scenario) +
         "\n" + concern_text(concern) + events + "\n" + verdict_text(violation, outcome.converged) +
         (violation ? walk_text(again.cluster(), *violation) : "");
}

}  // namespace vxmesh
