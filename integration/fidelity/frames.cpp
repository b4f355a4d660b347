#include "integration/fidelity/frames.h"

#include <optional>

#include "sim/kernel/packet_choices.h"
#include "sim/kernel/packet_codec.h"

namespace vxmesh::fidelity {

std::vector<Captured> comparable(const std::vector<Captured>& frames) {
  std::vector<Captured> compared;
  for (const Captured& captured : frames) {
    const FrameBytes made = with_checksums_made(captured.frame);
    const std::optional<EthernetFrame> frame = decode_frame(made);
    if (!frame) {
      compared.push_back(captured);
    } else if (!is_unasked(*frame)) {
      compared.push_back({.device = captured.device, .frame = encode(without_choices(*frame))});
    }
  }
  return compared;
}

}  // namespace vxmesh::fidelity
