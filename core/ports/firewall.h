// The packet filter, as a port: typed policy in, nothing of nft's language above adapters.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/ip_prefix.h"

namespace vxmesh {

// The two masquerade rules without which a pod could not talk to a node (design: architecture.md,
// "Firewall"):
//   1. from an own PodCIDR to an address outside the overlay: masquerade;
//   2. out of `device` with a source outside the overlay: masquerade.
// Both fully-random; neither touches the tunnel's own UDP nor packets that carry kube-proxy's
// masquerade mark (KUBE-MARK-MASQ, 0x4000), which are already being masqueraded.
struct FirewallPolicy {
  std::string device;                   // the vxlan device
  std::uint16_t tunnel_port = 0;        // UDP, host order
  std::vector<IpPrefix> overlay;        // the whole overlay, each family
  std::vector<IpPrefix> own_pod_cidrs;  // this node's

  friend bool operator==(const FirewallPolicy&, const FirewallPolicy&) = default;
};

// Contract: `apply` replaces our table as a whole and atomically; `done` runs later from the event
// loop, exactly once, with the error if the table could not be replaced (the old one is then still
// there). A second apply before the first is done waits for it. No other table is read or written.
// Failure: the tool is missing, the kernel refuses: the error's text says which.
class Firewall {
 public:
  using Done = std::function<void(Result<void>)>;

  virtual ~Firewall() = default;

  virtual void apply(const FirewallPolicy& policy, Done done) = 0;
  // Removes our table; one that is not there is success.
  virtual void remove(Done done) = 0;
};

}  // namespace vxmesh
