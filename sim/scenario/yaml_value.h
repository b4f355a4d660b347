// A YAML document as a tree of values that know their lines; only what scenario files need of YAML.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vxmesh {

struct YamlEntry;

struct YamlValue {
  enum class Kind : std::uint8_t { Null, Scalar, Sequence, Map };
  Kind kind = Kind::Null;
  std::uint32_t line = 0;          // from 1
  std::string text;                // of a scalar
  std::vector<YamlValue> items;    // of a sequence
  std::vector<YamlEntry> entries;  // of a map, as written; no key stands there twice
};

struct YamlEntry {
  std::string key;
  std::uint32_t line = 0;  // the key's
  YamlValue value;
};

inline constexpr std::size_t kMaxYamlBytes = 4U << 20U;
inline constexpr std::size_t kMaxYamlDepth = 12;

// One document of at most kMaxYamlBytes and kMaxYamlDepth. Anchors, aliases, tags, keys that are
// not text and duplicate keys are errors: "file:line: what is wrong; what would be right".
[[nodiscard]] Result<YamlValue> read_yaml(std::string_view yaml, const std::string& file_name);

}  // namespace vxmesh
