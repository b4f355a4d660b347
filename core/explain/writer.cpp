#include "explain/writer.h"

#include "model/ownership.h"

namespace vxmesh {
namespace {

constexpr const char* kOurs = "ours";
constexpr const char* kKernel = "the kernel";
constexpr const char* kOther = "somebody else";

std::string other_writer(std::uint8_t protocol) {
  return std::string(kOther) + ", protocol " + std::to_string(protocol);
}

}  // namespace

std::string writer_of(const Route& route) {
  if (route.protocol == kRouteProtocolKernel) {
    return kKernel;
  }
  return route.protocol == kOwnProtocol ? kOurs : other_writer(route.protocol);
}

std::string writer_of(const Neighbour& neighbour) {
  if (!is_owned(neighbour, neighbour.device)) {
    return kKernel;
  }
  return neighbour.protocol == kOwnProtocol ? kOurs : other_writer(neighbour.protocol);
}

std::string writer_of(const FdbEntry& entry, const Link& device) {
  return is_owned(device) && is_owned(entry, device.index) ? kOurs : kOther;
}

std::string writer_of(const Link& link) {
  return is_owned(link) ? kOurs : kOther;
}

}  // namespace vxmesh
