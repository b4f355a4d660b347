// What a run says: for people, and as JSON.
#pragma once

#include <string>

#include "integration/fidelity/run.h"

namespace vxmesh::fidelity {

// "fidelity: programs=N ops=N effective=NN% links=NN% gaps=N coverage=NN% cells=N allowances=N
// rate=N/s": one line without its end.
[[nodiscard]] std::string summary_line(const RunResult& result);

// Several lines: the step, both sides, the commands, and where the case lies.
[[nodiscard]] std::string describe(const FoundGap& found, const std::string& case_file);

// A case file: the gap as comments, then the program.
[[nodiscard]] std::string case_text(const FoundGap& found, std::uint64_t seed);
// A file name that says what the gap is.
[[nodiscard]] std::string case_name(const FoundGap& found, std::uint64_t seed);

// One object: the summary's numbers, every allowance's count, and the gaps with their files.
[[nodiscard]] std::string json_text(const RunResult& result,
                                    const std::vector<std::string>& case_files);

}  // namespace vxmesh::fidelity
