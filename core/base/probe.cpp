#include "base/probe.h"

#include <algorithm>

#include "base/check.h"

namespace vxmesh {
namespace {

// The linker makes these two for a section whose name is an identifier; weak, for a program
// without probes has neither.
extern "C"
    [[gnu::weak, gnu::visibility("hidden")]] Probe* probes_begin[] asm("__start_vxmesh_probes");
extern "C" [[gnu::weak, gnu::visibility("hidden")]] Probe* probes_end[] asm("__stop_vxmesh_probes");

}  // namespace

std::vector<Probe> probes() {
  std::vector<Probe> found;
  for (Probe** place = probes_begin; place != probes_end; ++place) {
    found.push_back(**place);
  }
  std::ranges::sort(found, {}, &Probe::name);
  const auto twin = std::ranges::adjacent_find(found, {}, &Probe::name);
  check(twin == found.end(), "no two probes have one name");
  return found;
}

void reset_probes() {
  for (Probe** place = probes_begin; place != probes_end; ++place) {
    (*place)->hits = 0;
  }
}

}  // namespace vxmesh
