// rtnetlink messages as Records and Notifications: pure functions that trust no length they read.
#pragma once

#include <optional>

#include "adapters/libnl/message.h"
#include "sim/kernel/record.h"

namespace vxmesh::fidelity {

// The row that an RTM_NEW* or RTM_DEL* message carries. nullopt if it has none that is compared:
//   - what a bridge says of its ports, and FDB rows that are not a device's own (no NTF_SELF);
//   - routes of the cache (RTM_F_CLONED);
//   - multicast neighbours that the kernel made: NOARP and without a protocol;
//   - messages of wireless extensions.
// FDB rows of devices that are not vxlan are for the caller to leave out.
[[nodiscard]] std::optional<Record> decode_record(const Message& message);

// A message to a multicast group; nullopt as above. `sender` is the port id as it stands there. A
// miss is what neigh_app_ns sends; those of vxlan itself (l2miss, l3miss) are left out.
[[nodiscard]] std::optional<Notification> decode_notification(const Message& message);

}  // namespace vxmesh::fidelity
