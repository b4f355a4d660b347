// A program: what two writers do to a namespace, step by step; and its text form.
//
// One step a line: the writer (1 or 2), then a request (sim/kernel/request_text.h) or one of
//   send to=100.96.2.7        inject dev=2 frame=ffffffffffff0053...
//   advance ms=1000           forwarding on=on           capture dev=2
//   batch new-neigh dev=2 ... ; del-neigh dev=2 ...
// From a # that begins a word to the end of the line is a comment. Empty lines are allowed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "integration/fidelity/world.h"

namespace vxmesh::fidelity {

struct SendDatagram {
  IpAddress to;

  friend bool operator==(const SendDatagram&, const SendDatagram&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("to", self.to);
  }
};

struct Inject {
  IfIndex device;
  FrameBytes frame;

  friend bool operator==(const Inject&, const Inject&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("dev", self.device);
    visit("frame", self.frame);
  }
};

struct Advance {
  std::uint32_t milliseconds = 0;

  friend bool operator==(const Advance&, const Advance&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("ms", self.milliseconds);
  }
};

struct SetForwarding {
  bool on = false;

  friend bool operator==(const SetForwarding&, const SetForwarding&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("on", self.on);
  }
};

struct Capture {
  IfIndex device;

  friend bool operator==(const Capture&, const Capture&) = default;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("dev", self.device);
  }
};

// Requests in one datagram, two or more.
struct Batch {
  std::vector<rtnl::Request> requests;

  friend bool operator==(const Batch&, const Batch&) = default;
};

using Action =
    std::variant<rtnl::Request, SendDatagram, Inject, Advance, SetForwarding, Capture, Batch>;

struct Step {
  Writer writer = Writer::First;
  Action action;

  friend bool operator==(const Step&, const Step&) = default;
};

using Program = std::vector<Step>;

// The first word of the action: "new-fdb", "send", ...
[[nodiscard]] std::string_view action_name(const Action& action);

// One line without its end.
[[nodiscard]] std::string format(const Step& step);
// One line a step; parsing it gives an equal program.
[[nodiscard]] std::string format(const Program& program);

// InvalidInput: the context says line, column, what stands there and what is accepted. A program
// without steps is an error too.
[[nodiscard]] Result<Program> parse_program(std::string_view text);

}  // namespace vxmesh::fidelity
