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
    std::cout << flags.file << ": " << scenario->name << ": "
              << counted(scenario->cluster.nodes.size(), "node") << ", "
              << counted(scenario->cluster.pods.size(), "pod") << ", "
              << counted(scenario->steps.size(), "step") << ", "
              << counted(scenario->expectations.size(), "expectation") << "\n";
  }
  return kPass;
}

}  // namespace vxmesh::cli
