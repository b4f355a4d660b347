#include "sim/cluster/paths.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "sim/cluster/snapshots.h"

namespace vxmesh {
namespace {

// `word` stands in the text, and is no part of a longer name or number.
bool mentions(std::string_view text, std::string_view word) {
  const auto is_inside = [&](std::size_t at) {
    constexpr std::string_view kInside = "abcdefghijklmnopqrstuvwxyz0123456789-";
    return at < text.size() && kInside.find(text[at]) != std::string_view::npos;
  };
  for (std::size_t at = text.find(word); at != std::string_view::npos;
       at = text.find(word, at + 1)) {
    if ((at == 0 || !is_inside(at - 1)) && !is_inside(at + word.size())) {
      return true;
    }
  }
  return false;
}

int likeness(const PodPath& path, std::string_view hint) {
  const auto points = [&](const std::string& word, int worth) {
    return mentions(hint, word) ? worth : 0;
  };
  return points(format(path.to.address), 4) + points(path.from.node, 2) +
         points(format(path.from.address), 2) + points(path.to.node, 1);
}

}  // namespace

std::vector<PodPath> wrong_paths(const Cluster& cluster, const std::string& hint) {
  const std::vector<HostSnapshot> hosts = snapshots(cluster);
  std::vector<PodPath> wrong;
  std::set<std::string> senders;
  for (const auto& [name, from] : cluster.pods()) {
    if (!senders.insert(from.node).second) {
      continue;  // packets of one host take one way
    }
    for (const auto& [other, to] : cluster.pods()) {
      if (to.node == from.node) {
        continue;
      }
      WalkedPair walked = walk_packet(cluster,
                                      {.from_node = from.node,
                                       .source = from.address,
                                       .destination = to.address,
                                       .bytes = cluster.pod_mtu()},
                                      hosts);
      if (walked.is_wrong()) {
        wrong.push_back({.from = from, .to = to, .walked = std::move(walked)});
      }
    }
  }
  std::stable_sort(wrong.begin(), wrong.end(), [&](const PodPath& a, const PodPath& b) {
    return likeness(a, hint) > likeness(b, hint);
  });
  return wrong;
}

}  // namespace vxmesh
