// One machine of the simulated cluster: its kernel, its end of the underlay, and its pods.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "model/ip_prefix.h"
#include "sim/fabric/fabric.h"
#include "sim/faults/process_netlink.h"
#include "sim/kernel/namespace_state.h"
#include "sim/world/host_clock.h"

namespace vxmesh {

struct HostOptions {
  HostNumber number = 0;
  std::string name;
  IpAddress ip;
  IpPrefix pod_cidr;
  std::uint32_t underlay_mtu = 1500;
  std::int64_t clock_ppm = 0;
};

// A packet of a pod: UDP to port 9 with a number in it, not to be fragmented.
struct PodPacket {
  static constexpr std::uint32_t kLeast = 36;  // headers and number

  IpAddress from;
  IpAddress to;
  std::uint64_t number = 0;
  std::uint32_t bytes = kLeast;  // of the whole IP packet; kLeast to 65535

  friend bool operator==(const PodPacket&, const PodPacket&) = default;
};

// Contract: eth0 on the underlay's segment with the host's address, and the bridge cni0 with the
// first address of the PodCIDR, of which all pods are ports (one wire carries them all). The kernel
// runs on the host's clock; settle() lets its timers run. World, fabric and trace outlive this.
class Host {
 public:
  // What a packet of a pod grows by on the underlay: Ethernet, VXLAN, UDP and IPv4 headers.
  static constexpr std::uint32_t kTunnelHeaders = 50;

  // A pod has been given a packet, from wherever.
  using Received = std::function<void(const PodPacket& packet)>;
  // The kernel may have changed, or have a timer that it did not have.
  using Touched = std::function<void()>;

  Host(HostOptions options, FakeEventLoop& world, Fabric& fabric, Trace& trace, Received received,
       Touched touched);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] const std::string& name() const { return options_.name; }
  [[nodiscard]] HostNumber number() const { return options_.number; }
  [[nodiscard]] const IpAddress& ip() const { return options_.ip; }
  [[nodiscard]] const IpPrefix& pod_cidr() const { return options_.pod_cidr; }
  [[nodiscard]] const MacAddress& mac() const { return mac_; }
  [[nodiscard]] const HostClock& clock() const { return clock_; }
  [[nodiscard]] HostClock& clock() { return clock_; }
  [[nodiscard]] MonotonicTime now() const { return clock_.monotonic(); }
  [[nodiscard]] NamespaceState& kernel() { return kernel_; }
  [[nodiscard]] const NamespaceState& kernel() const { return kernel_; }
  [[nodiscard]] KernelHost& machine() { return machine_; }
  [[nodiscard]] KernelFaults& kernel_faults() { return kernel_faults_; }
  [[nodiscard]] IfIndex underlay() const { return underlay_; }
  // 0 if there is none of that name.
  [[nodiscard]] IfIndex device() const;

  // The machine is given another address, or its pods another network; pods do not survive that.
  void change_ip(const IpAddress& ip);
  void change_pod_cidr(const IpPrefix& pod_cidr);
  void set_underlay(bool up);
  // As an administrator does whose kernel renames no device that is up.
  void rename_underlay(const std::string& name);
  void set_underlay_mtu(std::uint32_t mtu);
  // Takes the machine's address away, or gives it back; pods stay.
  void set_underlay_address(bool there);
  // A request of somebody who is not our agent.
  KernelReply request(const rtnl::Request& request);

  void add_pod(const IpAddress& address) { pods_.insert(address); }
  void remove_pod(const IpAddress& address) { pods_.erase(address); }
  [[nodiscard]] bool has_pod(const IpAddress& address) const { return pods_.contains(address); }
  [[nodiscard]] const std::set<IpAddress>& pods() const { return pods_; }
  // A pod of this host sends.
  void send(const PodPacket& packet);

  // Arms the kernel's next timer; to be called when the host was touched, before time goes on.
  void settle();

 private:
  void set_up();
  void set_up_pods();
  void announce();
  void frame_from_wire(IfIndex device, const FramePtr& frame);
  void frame_for_pod(const FramePtr& frame);
  void answer_arp(const ArpPacket& request);
  void into_bridge(FramePtr frame);

  HostOptions options_;
  FakeEventLoop& world_;
  Fabric& fabric_;
  Trace& trace_;
  Received received_;
  Touched touched_;
  MacAddress mac_;
  HostClock clock_;
  KernelHost machine_;
  NamespaceState kernel_{machine_};
  KernelFaults kernel_faults_;
  IfIndex underlay_;
  IfIndex bridge_;
  IfIndex wire_;  // the port of all pods
  std::set<IpAddress> pods_;
  std::optional<TimerId> timer_;
  MonotonicTime timer_at_;  // of the host's clock
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The MAC of a pod.
[[nodiscard]] MacAddress pod_mac(const IpAddress& address);
// The address at that place of an IPv4 prefix; 0 is its base.
[[nodiscard]] IpAddress address_at(const IpPrefix& prefix, std::uint32_t place);

}  // namespace vxmesh
