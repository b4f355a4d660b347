// Requests as text: "new-fdb flags=create dev=2 state=permanent ntf=self dst=172.20.0.12".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sim/kernel/field_text.h"
#include "sim/kernel/request.h"

namespace vxmesh::rtnl {

// "new-link", "del-route", ...: the first word of the text.
[[nodiscard]] std::string_view kind_name(const Request& request);
// All of them, in the order of the variant.
[[nodiscard]] const std::vector<std::string>& kind_names();

// Parsing it gives an equal request.
[[nodiscard]] std::string format(const Request& request);

// The words of one request, its kind first. An error names the column and what is accepted.
[[nodiscard]] Result<Request> parse_request(const std::vector<Word>& words);
[[nodiscard]] Result<Request> parse_request(std::string_view text);

}  // namespace vxmesh::rtnl
