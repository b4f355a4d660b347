// What the fake kernel does not know how to do.
#pragma once

#include <string_view>

namespace vxmesh {

// Ends the process and says which behaviour of Linux was asked for: a run that would go on with
// anything else would prove nothing. `what` is the name that README.md lists it under.
[[noreturn]] void not_modelled(std::string_view what);

}  // namespace vxmesh
