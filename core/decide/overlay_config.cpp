#include "decide/overlay_config.h"

namespace vxmesh {

const IpPrefix* overlay_of(const OverlayConfig& config, const IpPrefix& prefix) {
  for (const IpPrefix& cidr : config.cidrs) {
    if (cidr.contains(prefix)) {
      return &cidr;
    }
  }
  return nullptr;
}

const IpPrefix* overlay_of(const OverlayConfig& config, const IpAddress& address) {
  return overlay_of(config, IpPrefix::containing(address, address_bits(address.family())));
}

}  // namespace vxmesh
