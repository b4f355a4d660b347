// What a judge found wrong.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "model/ip_address.h"

namespace vxmesh {

struct Violation {
  std::string oracle;  // "safety", "blackout", ...: what `kind` in reports says
  std::string what;    // the rule that was broken, without names and times: two runs that break the
                       // same rule say the same
  std::string detail;  // one sentence with names
  MonotonicTime time;
  // Of packets: the host that sends them, whom they are for, and how long the IP packet is, if that
  // matters.
  std::optional<std::string> from;
  std::optional<IpAddress> to;
  std::optional<std::uint32_t> bytes;

  // Two failures of one kind have the same.
  [[nodiscard]] std::string signature() const { return oracle + ": " + what; }
};

// Keeps the first violation, and counts what was judged.
class Verdicts {
 public:
  void fail(Violation violation) {
    if (!violation_) {
      violation_ = std::move(violation);
    }
  }
  // The oracle has judged something that could have been wrong.
  void judged(std::string_view oracle) {
    const auto place = judged_.find(oracle);
    if (place == judged_.end()) {
      judged_.emplace(oracle, 1);
    } else {
      ++place->second;
    }
  }

  [[nodiscard]] const std::optional<Violation>& violation() const { return violation_; }
  [[nodiscard]] const std::map<std::string, std::uint64_t, std::less<>>& judged() const {
    return judged_;
  }

 private:
  std::optional<Violation> violation_;
  std::map<std::string, std::uint64_t, std::less<>> judged_;
};

}  // namespace vxmesh
