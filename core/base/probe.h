// Probes: marks on rare paths, so that a campaign of simulated runs can say which it never reached.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace vxmesh {

struct Probe {
  std::string_view name;
  std::string_view file;
  int line = 0;
  std::uint64_t hits = 0;
};

// Every PROBE of the object files that are linked into this program, reached or not, by name. Two
// of one name are a broken invariant.
[[nodiscard]] std::vector<Probe> probes();

// Forgets all hits.
void reset_probes();

}  // namespace vxmesh

// Counts that this place was reached. `name`, a literal, is a short phrase in kebab-case that no
// other probe has.
//
// It costs one increment, in production too; it is no metric. The place is known before main: the
// linker gathers pointers in a section (not the counters, which a compiler may align as it likes).
//
// Never in an inline function, a template, a lambda or a header: there, one place would be several
// or none. Threading: one thread.
#define PROBE(name) PROBE_IF(true, name)

// Counts that this place was reached while `condition` held.
// clang-format off
#define PROBE_IF(condition, name)                                               \
  do {                                                                          \
    static constinit ::vxmesh::Probe probe_here{name, __FILE__, __LINE__, 0};   \
    [[gnu::used, gnu::section("vxmesh_probes")]]                                \
    static constinit ::vxmesh::Probe* probe_place = &probe_here;                \
    if (condition) {                                                            \
      ++probe_here.hits;                                                        \
    }                                                                           \
  } while (false)
// clang-format on
