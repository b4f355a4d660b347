# Writes OUT, a header that names the commit of the tree SOURCE, if it says something else by now.
execute_process(
  COMMAND git --no-optional-locks describe --always --dirty --abbrev=12 --exclude=*
  WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#pragma once

namespace vxmesh::cli {

inline constexpr const char* kCommit = \"${commit}\";

}  // namespace vxmesh::cli
")
