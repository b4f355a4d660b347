#include "sim/kernel/kernel_host.h"

namespace vxmesh {

NamespaceId KernelHost::join(NamespaceState& space) {
  const NamespaceId id = next_;
  ++next_.value;
  namespaces_.emplace(id, &space);
  return id;
}

void KernelHost::leave(NamespaceId id) {
  namespaces_.erase(id);
}

NamespaceState* KernelHost::find(NamespaceId id) const {
  const auto place = namespaces_.find(id);
  return place == namespaces_.end() ? nullptr : place->second;
}

}  // namespace vxmesh
