#include <iostream>

#include "sim/cli/commands.h"
#include "sim/cli/output.h"
#include "sim/scenario/compile.h"
#include "sim/scenario/parse.h"

namespace vxmesh::cli {

int compile(const CompileFlags& flags) {
  if (flags.schema) {
    std::cout << schema_json();
    return kPass;
  }
  const auto text = read_file(flags.file);
  if (!text) {
    return complain(text.error());
  }
  const auto scenario = parse_scenario(*text, flags.file);
  if (!scenario) {
    return complain(scenario.error());
  }
  if (flags.json) {
    std::cout << compile_json(*scenario);
  } else {
    std::cout << flags.file << ": " << scenario->name << ": " << scenario->cluster.nodes.size()
              << " nodes, " << scenario->cluster.pods.size() << " pods, " << scenario->steps.size()
              << " steps, " << scenario->expectations.size() << " expectations\n";
  }
  return kPass;
}

}  // namespace vxmesh::cli
