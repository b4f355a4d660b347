// What an agent leaves in its kernel, written down for the agents of later releases.
#pragma once

#include "sim/fabric/host.h"
#include "sim/scenario/releases.h"

namespace vxmesh {

// What is the overlay's in the kernel of the host, equal for equal kernels: the device's index,
// which is another one each time, is not in it, and the packet filter, which every agent replaces
// as a whole, neither. Requires: the host has its overlay device.
[[nodiscard]] Recording record(const Host& host);

// What the agent of that release left takes the place of all that is the overlay's in the kernel of
// the host. What the kernel refuses is not there then.
void put_in_place(Host& host, const Release& release);

}  // namespace vxmesh
