// How many ICMP errors one address is sent.
#pragma once

#include <map>

#include "base/time.h"
#include "model/ip_address.h"

namespace vxmesh {

// The tokens of each address that we answer (struct inet_peer): every limit takes from the same
// ones. Linux also limits all errors of a namespace together, by a random amount
// (icmp_global_consume): not modelled.
//
// Contract: no clock; time comes with the calls and never runs backwards.
class IcmpLimit {
 public:
  // An error may be sent to `peer`; one takes `cost` of what it gains, time for time
  // (inet_peer_xrlim_allow).
  bool allow(const IpAddress& peer, Duration cost, MonotonicTime now);
  // An IPv4 packet from `peer` has no route (ip_error): asked before allow().
  bool allow_unroutable(const IpAddress& peer, MonotonicTime now);
  // A redirect may be sent to the IPv4 address (ip_rt_send_redirect): asked before allow(), and
  // redirected() is called after it, whatever it said.
  bool allow_redirect(const IpAddress& peer, MonotonicTime now);
  void redirected(const IpAddress& peer, MonotonicTime now);

 private:
  struct Peer {
    Duration tokens{};
    MonotonicTime last;
    unsigned redirects = 0;
  };
  Peer& peer(const IpAddress& address, MonotonicTime now);
  static bool take(Peer& peer, Duration cost, Duration most, MonotonicTime now);

  std::map<IpAddress, Peer> peers_;
};

}  // namespace vxmesh
