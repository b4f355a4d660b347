// What in a kernel is not the overlay's, written anew from the row "Owned" of design.md, section 6.
#pragma once

#include <string>
#include <vector>

#include "model/kernel_state.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {

// The vxlan of that name in our link group; IfIndex{0} if there is none.
[[nodiscard]] IfIndex own_device(const NamespaceState& kernel, const std::string& name);

// Whatever its name.
[[nodiscard]] bool is_marked_ours(const Link& link);

// True if nobody of the overlay may write or delete the row: it is not on our device (IfIndex{0}:
// there is none), or the kernel made it.
[[nodiscard]] bool is_foreign(const KernelObject& row, IfIndex own_device);
[[nodiscard]] bool is_foreign(const Record& row, IfIndex own_device);

// True of a row that the kernel makes by itself on a device.
[[nodiscard]] bool is_made_by_kernel(const KernelObject& row);

// The foreign rows that stay as they are unless somebody changes them, as text, in order: to be
// compared before and after. Without what the kernel itself changes in time: resolved and
// learned entries, duplicate address detection, carriers, and all that it makes on our device.
[[nodiscard]] std::vector<std::string> foreign_rows(const NamespaceState& kernel,
                                                    IfIndex own_device);

}  // namespace vxmesh
