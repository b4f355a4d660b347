// What a test has asked the fake API server to do wrong.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vxmesh {

// Each field is one key of POST /control/faults, by the same name.
struct Fault {
  enum class Kind : std::uint8_t { Stall, Drop, Split, Gone, Throttle, Error, EmptyList };
  enum class Target : std::uint8_t { Any, List, Watch };
  enum class As : std::uint8_t { Http, Event };

  Kind kind = Kind::Stall;
  Target target = Target::Any;
  bool open = false;            // happens to the watches that are open, once, instead of requests
  std::uint64_t count = 1;      // how many requests it happens to; 0: until it is removed
  std::uint64_t skip = 0;       // how many requests it leaves alone before
  std::size_t after_bytes = 0;  // stall, drop: this much of the response is sent first
  std::optional<std::uint64_t> after_events;  // stall, drop of a watch: the same in events
  bool reset = false;                         // drop: RST instead of FIN
  std::size_t size = 1;                       // split: bytes in a piece
  std::chrono::milliseconds pause_ms{0};      // split: between two pieces
  As as = As::Http;                           // gone, error of a watch: as an ERROR event
  std::uint16_t status = 500;                 // error
  std::string reason = "InternalError";       // error
  std::optional<std::string> retry_after;     // throttle, error: the header, whatever it says
};

// InvalidInput, naming the key and what it may be, if `text` is not the JSON of a fault.
[[nodiscard]] Result<Fault> parse_fault(std::string_view text);

// Contract: rules in the order in which they were added; the first one that fits a request is used
// for it, and is gone once it has been used `count` times.
class FaultRules {
 public:
  void add(const Fault& fault) { rules_.push_back(fault); }
  void clear() { rules_.clear(); }

  // The fault for a request of this kind (List or Watch), if there is one.
  [[nodiscard]] std::optional<Fault> take(Fault::Target target);

  // For GET /control/state.
  [[nodiscard]] boost::json::array describe() const;

 private:
  std::vector<Fault> rules_;
};

}  // namespace vxmesh
