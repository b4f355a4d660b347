// Who wrote a row, as a person wants to hear it: "ours", "the kernel", "somebody else, protocol 4".
#pragma once

#include <string>

#include "model/kernel_state.h"

namespace vxmesh {

// By the protocol that the row carries.
[[nodiscard]] std::string writer_of(const Route& route);
[[nodiscard]] std::string writer_of(const Neighbour& neighbour);
// FDB entries carry none: on a device of ours they are ours (model/ownership.h).
[[nodiscard]] std::string writer_of(const FdbEntry& entry, const Link& device);
[[nodiscard]] std::string writer_of(const Link& link);

}  // namespace vxmesh
