// How programs begin: a few steps that build something, so that there is something to change.
#pragma once

#include <functional>
#include <vector>

#include "integration/fidelity/request_maker.h"

namespace vxmesh::fidelity {

// Makes a step's action when its turn comes: it sees what the steps before it have built.
using Move = std::function<Action(const RequestMaker& maker, const StateView& state)>;

// One shape: a bare vxlan; a node of the overlay, of either family; a vxlan over a veth pair; a
// vxlan and pods' veth pairs on a bridge; or nothing. Some of its moves are left out.
[[nodiscard]] std::vector<Move> draw_shape(Prng& prng);

}  // namespace vxmesh::fidelity
