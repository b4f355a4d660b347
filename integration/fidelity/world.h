// Where a program of netlink requests runs: a network namespace as good as new, real or fake.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ports/netlink.h"
#include "sim/kernel/record.h"
#include "sim/kernel/request.h"

namespace vxmesh::fidelity {

// Whose socket a request is sent from; notifications carry it as `sender` (the kernel's is 0).
enum class Writer : std::uint8_t { First = 1, Second = 2 };

using FrameBytes = std::vector<std::uint8_t>;

// A frame that a device received, as a packet socket on it sees it.
struct Captured {
  IfIndex device;
  FrameBytes frame;

  friend auto operator<=>(const Captured&, const Captured&) = default;
};

struct Reply {
  OpDone done;
  std::optional<Record> row;  // of a GET that found something
  std::vector<OpDone> batch;  // the answers to a batch

  friend bool operator==(const Reply&, const Reply&) = default;
};

// Contract: fresh when made: a loopback device (index 1, down) and nothing else, so device indices
// are the same in every world. Gone when destroyed. One thread.
class World {
 public:
  virtual ~World() = default;

  virtual Reply request(const rtnl::Request& request, Writer writer) = 0;
  // All in one datagram; the answers in the order in which they come.
  virtual std::vector<OpDone> batch(std::span<const rtnl::Request> requests, Writer writer) = 0;

  // Every row of every table, sorted. FDB rows are those of vxlan devices. Left out is what the
  // kernel does in its own time and nobody asked for: multicast neighbours.
  virtual std::vector<Record> tables() = 0;

  // What was told since the last call, in the kernel's order; of the same rows as tables(), and
  // without since_update, which is real time.
  virtual std::vector<Notification> notifications() = 0;

  // Until there is something that notifications() or captured() has yet to give, at most so long.
  virtual void wait_for_news(Duration most) = 0;

  // Lets time pass.
  virtual void advance(Duration time) = 0;

  // net.ipv4.ip_forward and net.ipv6.conf.all.forwarding.
  virtual void set_forwarding(bool on) = 0;
  // A process in the namespace sends one UDP datagram to port 9. The errno, 0 if it was taken.
  virtual int send_datagram(const IpAddress& to) = 0;
  // A packet socket on `device` sends the frame, as it is. The errno, 0 if it was taken.
  virtual int inject(IfIndex device, std::span<const std::uint8_t> frame) = 0;
  // From now on frames that `device` receives are kept for captured().
  virtual void capture(IfIndex device) = 0;
  // Since the last call, in order of arrival at each device; devices in order of their index. What
  // Linux leaves open is the same in every world (frames.h).
  virtual std::vector<Captured> captured() = 0;
};

// How long a neighbour stays REACHABLE: Linux draws it between half and one and a half of its base
// time (neigh_rand_reach_time).
enum class ReachableTime : std::uint8_t { Base, Shortest, Longest };

[[nodiscard]] std::unique_ptr<World> make_fake_world(ReachableTime reachable = ReachableTime::Base);
// ErrorCode::NoPermission: programs cannot run here, and the context says what is missing.
[[nodiscard]] Result<std::unique_ptr<World>> make_real_world();

}  // namespace vxmesh::fidelity
