#include "sim/cli/failure_report.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <vector>

#include "base/nearest.h"
#include "sim/cli/output.h"
#include "sim/cluster/pair_walk.h"
#include "sim/cluster/paths.h"
#include "sim/cluster/snapshots.h"

namespace vxmesh::cli {
namespace {

constexpr std::size_t kMostWrongPaths = 10;
constexpr std::size_t kLastEvents = 20;

std::string indented(const std::string& text) {
  std::string all = "  ";
  for (const char c : text) {
    all += c;
    all += c == '\n' ? "  " : "";
  }
  return all + "\n";
}

std::string pair_of(const PodPath& path) {
  return path.from.name + " (" + path.from.node + ") -> " + path.to.name + " (" + path.to.node +
         "): " + format(path.walked.walk.verdict) +
         (path.walked.underlay.empty() ? "" : ", on the underlay " + path.walked.underlay);
}

// What is said of the way: its addresses, and whose they are.
struct Way {
  std::set<std::string> hosts;
  std::vector<std::string> words;
};

Way way_of(const Cluster& cluster, const PodPath& path) {
  Way way{.hosts = {path.from.node, path.to.node},
          .words = {format(path.to.address), path.from.node, path.to.node}};
  if (const Host* owner = cluster.host(path.to.node)) {
    way.words.push_back(format(owner->pod_cidr()));
  }
  for (const WalkHop& hop : path.walked.walk.hops) {
    way.hosts.insert(hop.node);
    way.words.push_back(hop.asked);
  }
  return way;
}

bool is_on(const Way& way, const Retelling& retelling, const Trace::Entry& entry) {
  if (entry.kind == TraceKind::Frame || entry.kind == TraceKind::Packet) {
    return false;
  }
  const bool is_there = entry.host == kWorld || way.hosts.contains(retelling.name_of(entry.host));
  return is_there && std::ranges::any_of(way.words, [&](const std::string& word) {
           return entry.text.find(word) != std::string::npos;
         });
}

std::string last_events(Retelling& retelling, const PodPath& path) {
  const Way way = way_of(retelling.cluster(), path);
  std::vector<std::string> lines;
  const std::vector<Trace::Entry>& entries = retelling.entries();
  for (auto entry = entries.rbegin(); entry != entries.rend() && lines.size() < kLastEvents;
       ++entry) {
    if (is_on(way, retelling, *entry)) {
      lines.push_back("  " + retelling.line(*entry) + "\n");
    }
  }
  std::string text;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    text += *line;
  }
  return text;
}

// By name or address.
Result<PodSpec> pod_of(const Cluster& cluster, const std::string& what) {
  std::vector<std::string> names;
  for (const auto& [name, pod] : cluster.pods()) {
    if (name == what || format(pod.address) == what) {
      return pod;
    }
    names.push_back(name);
  }
  return fail(ErrorCode::InvalidInput, "no pod '" + what + "' at that moment" +
                                           did_you_mean(what, names) + "; there are " +
                                           joined(names));
}

// Of the packet that the violation is about; empty: it is about none.
std::string own_walk(const Cluster& cluster, const Violation& violation) {
  const auto& [from, to, bytes] = std::tie(violation.from, violation.to, violation.bytes);
  const bool is_of_packet = from && to && cluster.host(*from) != nullptr;
  return is_of_packet ? "packet walk of the one it is about:\n" +
                            indented(format(walk_pair(cluster, *from, *to, bytes)))
                      : "";
}

}  // namespace

std::string failure_report(Retelling& retelling, const Violation& violation,
                           const std::string& file) {
  std::string text = format_violation(violation, retelling.zero(), file) + "\n";
  const std::vector<PodPath> wrong = wrong_paths(retelling.cluster(), violation.detail);
  if (wrong.empty()) {
    return text + "wrong paths: none between pods at this moment\n" +
           own_walk(retelling.cluster(), violation);
  }
  text += "wrong paths: " + std::to_string(wrong.size()) + "\n";
  for (std::size_t i = 0; i < std::min(kMostWrongPaths, wrong.size()); ++i) {
    text += "  " + pair_of(wrong[i]) + "\n";
  }
  text += wrong.size() > kMostWrongPaths ? "  ...\n" : "";
  text += "packet walk of the first:\n" + indented(format(wrong.front().walked));
  return text + "last events on it:\n" + last_events(retelling, wrong.front());
}

Result<std::string> walk_report(Retelling& retelling, const std::string& from,
                                const std::string& to) {
  const auto sender = pod_of(retelling.cluster(), from);
  const auto receiver = pod_of(retelling.cluster(), to);
  if (!sender || !receiver) {
    return tl::unexpected(sender ? receiver.error() : sender.error());
  }
  const WalkedPair walked = walk_packet(
      retelling.cluster(),
      {.from_node = sender->node, .source = sender->address, .destination = receiver->address},
      snapshots(retelling.cluster()));
  return format(walked) + "\n";
}

}  // namespace vxmesh::cli
