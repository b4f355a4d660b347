// The firewall policy in nft's language, as text.
#pragma once

#include <string>

#include "base/result.h"
#include "ports/firewall.h"

namespace vxmesh {

// A script for `nft -f -` that replaces `table inet vxmesh` by one that says `policy`, in a single
// transaction: either all of it is there afterwards or nothing has changed. It names no other
// table. A family without an overlay CIDR has no rules. Error: InvalidInput if the name of the
// device is not one that nft can match literally.
[[nodiscard]] Result<std::string> nft_script(const FirewallPolicy& policy);

// A script that removes `table inet vxmesh`, and succeeds if it is not there.
[[nodiscard]] std::string nft_remove_script();

}  // namespace vxmesh
