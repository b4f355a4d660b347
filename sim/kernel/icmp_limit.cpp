#include "sim/kernel/icmp_limit.h"

#include <algorithm>

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kBurst = 6;                             // XRLIM_BURST_FACTOR
constexpr Duration kUnroutableCost = seconds(1);      // ip_rt_error_cost
constexpr Duration kUnroutableMost = seconds(5);      // ip_rt_error_burst
constexpr Duration kRedirectLoad = milliseconds(20);  // ip_rt_redirect_load
constexpr unsigned kMaxRedirects = 9;                 // ip_rt_redirect_number
constexpr Duration kRedirectSilence = kRedirectLoad * (1 << (kMaxRedirects + 1));

}  // namespace

IcmpLimit::Peer& IcmpLimit::peer(const IpAddress& address, MonotonicTime now) {
  // inet_getpeer() makes one as if it had been quiet for a minute.
  return peers_.try_emplace(address, Peer{.last = now - seconds(60)}).first->second;
}

bool IcmpLimit::take(Peer& peer, Duration cost, Duration most, MonotonicTime now) {
  peer.tokens = std::min(peer.tokens + (now - peer.last), most);
  peer.last = now;
  if (peer.tokens < cost) {
    return false;
  }
  peer.tokens -= cost;
  return true;
}

bool IcmpLimit::allow(const IpAddress& address, Duration cost, MonotonicTime now) {
  return take(peer(address, now), cost, kBurst * cost, now);
}

bool IcmpLimit::allow_unroutable(const IpAddress& address, MonotonicTime now) {
  return take(peer(address, now), kUnroutableCost, kUnroutableMost, now);
}

bool IcmpLimit::allow_redirect(const IpAddress& address, MonotonicTime now) {
  Peer& peer = this->peer(address, now);
  if (now - peer.last > kRedirectSilence) {
    peer.tokens = {};
    peer.redirects = 0;
  }
  if (peer.redirects >= kMaxRedirects) {
    peer.last = now;
    return false;
  }
  return peer.redirects == 0 || now - peer.last > kRedirectLoad * (1 << peer.redirects);
}

void IcmpLimit::redirected(const IpAddress& address, MonotonicTime now) {
  Peer& peer = this->peer(address, now);
  peer.last = now;
  ++peer.redirects;
}

}  // namespace vxmesh
