#include "sim/kernel/link_rules.h"

namespace vxmesh {
namespace {

// vxlan_validate
OpDone validate_vxlan(const rtnl::NewLink& request) {
  if (request.mac && request.mac->bytes.size() != 6) {
    return refuse(EINVAL, "Provided link layer address is not Ethernet");
  }
  if (request.mac && !is_unicast(first_six(*request.mac))) {
    return refuse(EADDRNOTAVAIL, "Provided Ethernet address is not unicast");
  }
  if (request.mtu && (*request.mtu < kMinMtu || *request.mtu > kMaxMtu)) {
    return refuse(EINVAL, "MTU must be between 68 and 65535");
  }
  if (!has_vxlan_data(request)) {
    return refuse(EINVAL, "Required attributes not provided to perform the operation");
  }
  if (request.vni.value_or(0) > kMaxVni) {
    return refuse(ERANGE, "VXLAN ID must be lower than 16777216");
  }
  return accept();
}

// veth_validate, br_validate
OpDone validate_plain(const rtnl::NewLink& request) {
  if (request.mac && request.mac->bytes.size() != 6) {
    return refuse(EINVAL);
  }
  if (request.mac && !is_unicast(first_six(*request.mac))) {
    return refuse(EADDRNOTAVAIL);
  }
  const bool judges_mtu = request.kind == rtnl::Kind::Veth && request.mtu;
  return judges_mtu && (*request.mtu < kMinMtu || *request.mtu > kMaxMtu) ? refuse(EINVAL)
                                                                          : accept();
}

}  // namespace

bool is_valid_name(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameLength && name != "." && name != ".." &&
         name.find_first_of("/: \t\n\v\f\r") == std::string::npos;
}

OpDone validate_link(const rtnl::NewLink& request) {
  if (!request.kind) {
    return accept();
  }
  return *request.kind == rtnl::Kind::Vxlan ? validate_vxlan(request) : validate_plain(request);
}

OpDone validate_mtu(std::uint32_t mtu, bool is_loopback) {
  if (mtu < (is_loopback ? 0 : kMinMtu) || mtu > INT32_MAX) {
    return refuse(EINVAL, "mtu less than device minimum");
  }
  if (!is_loopback && mtu > kMaxMtu) {
    return refuse(EINVAL, "mtu greater than device maximum");
  }
  return accept();
}

}  // namespace vxmesh
