// What judges of a cluster see of it: its state, and what happens as it happens.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ports/kubernetes.h"
#include "ports/netlink.h"
#include "sim/fabric/host.h"
#include "sim/scenario/scenario.h"

namespace vxmesh {

// What happens to the process of a host.
enum class ProcessChange : std::uint8_t { Started, Died, Paused, Resumed };

// Contract: called inside what happens; changes nothing but through ClusterView::at().
class ClusterObserver {
 public:
  virtual ~ClusterObserver() = default;

  // The API holds this at `revision`; null: no object of that name.
  virtual void on_written(std::uint64_t /*revision*/, const std::string& /*name*/,
                          const NodeOrRejection* /*now*/) {}
  // The host's agent has been given everything up to `revision`.
  virtual void on_served(const Host& /*host*/, std::uint64_t /*revision*/) {}
  // It has been given a list that says it is complete and is not true.
  virtual void on_misled(const Host& /*host*/) {}
  virtual void on_process(const Host& /*host*/, ProcessChange /*change*/) {}
  // A host is there, or (before it goes) is not.
  virtual void on_host(const Host& /*host*/, bool /*there*/) {}
  // The host's own address or PodCIDR is another one.
  virtual void on_host_changed(const Host& /*host*/) {}
  virtual void before_operation(const Host& /*host*/, const KernelOp& /*op*/) {}
  virtual void on_operation(const Host& /*host*/, const KernelOp& /*op*/,
                            const OpResult& /*result*/) {}
  // A dump of the agent's has come to its end.
  virtual void on_dumped(const Host& /*host*/, Table /*table*/) {}
  // `by_agent`: inside an operation of our agent.
  virtual void on_notification(const Host& /*host*/, const Notification& /*message*/,
                               bool /*by_agent*/) {}
  virtual void on_step(const Step& /*step*/, bool /*begins*/) {}
  // A step of that kind has changed something: what it asks for, or, of a fault that waits for what
  // it is about (a packet, a request, an operation), the first of these.
  virtual void on_effect(ActionKind /*kind*/) {}
  virtual void on_sent(const Host& /*host*/, const PodPacket& /*packet*/) {}
  virtual void on_received(const Host& /*host*/, const PodPacket& /*packet*/) {}
  virtual void on_frame(const Host& /*from*/, const EthernetFrame& /*frame*/) {}
  // An event of the world is over; time may go on.
  virtual void on_settled() {}
};

class ClusterView {
 public:
  virtual ~ClusterView() = default;

  [[nodiscard]] virtual MonotonicTime now() const = 0;
  // Calls back at that time, which is not in the past.
  virtual void at(MonotonicTime time, std::function<void()> callback) = 0;
  // In order of name.
  [[nodiscard]] virtual std::vector<Host*> hosts() const = 0;
  // Null if there is none.
  [[nodiscard]] virtual Host* host(const std::string& name) const = 0;
  [[nodiscard]] virtual Host* host_at(const IpAddress& ip) const = 0;
  [[nodiscard]] virtual Host* host_of_pod(const IpAddress& address) const = 0;
  // An agent runs there: it is not dead, and has begun.
  [[nodiscard]] virtual bool agent_runs(const std::string& host) const = 0;
  // That agent has nothing more to do at this moment.
  [[nodiscard]] virtual bool agent_idle(const std::string& host) const = 0;
  // Of the API: as last written, by name.
  [[nodiscard]] virtual const std::map<std::string, NodeOrRejection>& nodes() const = 0;
};

}  // namespace vxmesh
