// The scenario files of the tree, for tests that look at every one.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace vxmesh {

// In order of path. VXMESH_ROOT: the root of the tree, which CMake says.
inline std::vector<std::filesystem::path> scenario_files() {
  std::vector<std::filesystem::path> files;
  for (const std::string folder : {"netns-lab/incidents", "sim/scenario/corpus"}) {
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(VXMESH_ROOT) + "/" + folder)) {
      files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  return files;
}

inline std::string text_of_file(const std::filesystem::path& path) {
  std::ifstream stream(path);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

}  // namespace vxmesh
