// Datagrams from a process in the namespace of the calling thread.
#pragma once

#include "model/ip_address.h"

namespace vxmesh {

// Sends one byte by UDP to the discard port (9), without waiting. The errno, 0 if it was taken.
[[nodiscard]] int send_datagram(const IpAddress& to);

}  // namespace vxmesh
