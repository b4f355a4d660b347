#include "sim/scenario/releases.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "sim/scenario/release_texts.h"

namespace vxmesh {
namespace {

// "node n1 172.20.0.11 100.96.1.0/24", and the requests of that node behind it.
Release read(const char* version, const char* text) {
  Release release{.version = version};
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.starts_with('#')) {
      continue;
    }
    std::istringstream words(line);
    std::string first;
    std::string name;
    std::string ip;
    std::string pod_cidr;
    words >> first >> name >> ip >> pod_cidr;
    if (first == "node") {
      release.recordings.push_back({.node = {.name = name,
                                             .ip = IpAddress::parse(ip).value(),
                                             .pod_cidr = IpPrefix::parse(pod_cidr).value()}});
    } else {
      check(!release.recordings.empty(), "a recording begins with its node");
      release.recordings.back().requests.push_back(line);
    }
  }
  return release;
}

}  // namespace

const Recording* Release::recording(const std::string& node) const {
  const auto found =
      std::ranges::find(recordings, node, [](const Recording& r) { return r.node.name; });
  return found == recordings.end() ? nullptr : &*found;
}

const std::vector<Release>& releases() {
  static const std::vector<Release> all = [] {
    std::vector<Release> made;
    for (const auto& [version, text] : kReleaseTexts) {
      made.push_back(read(version, text));
    }
    return made;
  }();
  return all;
}

}  // namespace vxmesh
