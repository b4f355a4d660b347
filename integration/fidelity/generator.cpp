#include "integration/fidelity/generator.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "integration/fidelity/compare.h"
#include "integration/fidelity/frame_maker.h"
#include "integration/fidelity/unsuited.h"

namespace vxmesh::fidelity {
namespace {

using rtnl::Request;

// Percent of the steps behind a program's beginning that work on unseen cells.
constexpr std::uint64_t kSteered = 30;
// Actions drawn until one is suited.
constexpr int kDraws = 20;

// What a step does when nothing else is asked of it, by weight. With what programs begin with and
// what steering asks for, link and address operations are a bit more than a fifth of all: on Linux
// one of them takes longer than all other steps of a program.
enum class Kind : std::uint8_t {
  ChangeLink,
  CreateLink,
  DelLink,
  NewAddr,
  DelAddr,
  NewRoute,
  DelRoute,
  NewNeigh,
  DelNeigh,
  NewFdb,
  DelFdb,
  SetNeighTable,
  GetNeigh,
  GetFdb,
  Send,
  Inject,
  SetForwarding,
  Batch,
};
constexpr std::array<std::uint8_t, 18> kWeights{45,  4,  7,  30, 18, 190, 80, 200, 60,
                                                180, 70, 20, 10, 10, 40,  10, 5,   25};

Kind draw_kind(Prng& prng) {
  static const std::uint64_t kSum = std::accumulate(kWeights.begin(), kWeights.end(), 0U);
  std::uint64_t drawn = prng.below(kSum);
  std::size_t kind = 0;
  while (drawn >= kWeights[kind]) {
    drawn -= kWeights[kind++];
  }
  return static_cast<Kind>(kind);
}

Request draw_for_batch(const RequestMaker& maker) {
  const Family family = maker.family();
  switch (maker.draw().prng.below(6)) {
    case 0: return maker.new_route(Family::V4);
    case 1: return maker.del_route(family);
    case 2: return maker.new_neigh(family);
    case 3: return maker.del_neigh(family);
    case 4: return maker.new_fdb();
    default: return maker.del_fdb();
  }
}

Action draw_batch(const RequestMaker& maker) {
  Batch batch;
  for (std::uint64_t i = maker.draw().prng.between(2, 5); i > 0; --i) {
    batch.requests.push_back(draw_for_batch(maker));
  }
  return batch;
}

Action draw_action(const RequestMaker& maker, const StateView& state) {
  const Family family = maker.family();
  const bool only_loopback = state.links.size() == 1;
  const bool has_veth = std::any_of(state.links.begin(), state.links.end(), [](const auto* record) {
    return record->link.kind == "veth" && record->link.up;
  });
  Kind kind = draw_kind(maker.draw().prng);
  if (only_loopback && maker.draw().chance(50)) {
    kind = Kind::CreateLink;
  } else if (has_veth && maker.draw().chance(30)) {
    kind = Kind::Inject;
  }
  switch (kind) {
    case Kind::ChangeLink: return Request(maker.change_link());
    case Kind::CreateLink: return Request(maker.create_link(maker.kind()));
    case Kind::DelLink: return Request(maker.del_link());
    case Kind::NewAddr: return Request(maker.new_addr(family));
    case Kind::DelAddr: return Request(maker.del_addr(family));
    case Kind::NewRoute: return Request(maker.new_route(family));
    case Kind::DelRoute: return Request(maker.del_route(family));
    case Kind::NewNeigh: return Request(maker.new_neigh(family));
    case Kind::DelNeigh: return Request(maker.del_neigh(family));
    case Kind::NewFdb: return Request(maker.new_fdb());
    case Kind::DelFdb: return Request(maker.del_fdb());
    case Kind::SetNeighTable: return Request(maker.set_neigh_table(family));
    case Kind::GetNeigh: return Request(maker.get_neigh(family));
    case Kind::GetFdb: return Request(maker.get_fdb());
    case Kind::Send: return maker.send(family);
    case Kind::Inject: return FrameMaker(maker, state).inject();
    case Kind::Batch: return draw_batch(maker);
    case Kind::SetForwarding: break;
  }
  return SetForwarding{.on = maker.draw().chance(70)};
}

bool is_about_links(const Request& request) {
  return std::holds_alternative<rtnl::NewLink>(request) ||
         std::holds_alternative<rtnl::DelLink>(request) ||
         std::holds_alternative<rtnl::NewAddr>(request) ||
         std::holds_alternative<rtnl::DelAddr>(request);
}

bool asks_for_change(const Request& request) {
  return !std::holds_alternative<rtnl::GetNeigh>(request) &&
         !std::holds_alternative<rtnl::GetFdb>(request);
}

// Behind a program's frames comes one that arrives for certain where they are captured: what should
// not come out has not come by then.
std::optional<Inject> sentinel_of(const Program& program, const RequestMaker& maker,
                                  const StateView& state) {
  for (const Step& step : program) {
    if (const auto* capture = std::get_if<Capture>(&step.action)) {
      return FrameMaker(maker, state).sentinel(capture->device);
    }
  }
  return std::nullopt;
}

}  // namespace

void count_step(Tally& tally, const Step& step, const Reply& reply, bool changed) {
  ++tally.operations;
  const auto* request = std::get_if<Request>(&step.action);
  if (request == nullptr) {
    return;
  }
  tally.links += is_about_links(*request) ? 1U : 0U;
  if (asks_for_change(*request)) {
    ++tally.changes;
    tally.effective += reply.done.error_number == 0 && changed ? 1U : 0U;
  }
}

Generator::Generator(std::uint64_t seed, std::size_t operations, WorldMaker make_world)
    : root_(seed), operations_(operations), make_world_(std::move(make_world)) {}

Action Generator::draw(const RequestMaker& maker, const StateView& state,
                       std::vector<Move>& shape) {
  if (!shape.empty()) {
    const Move move = std::move(shape.front());
    shape.erase(shape.begin());
    return move(maker, state);
  }
  if (steering_.busy() || maker.draw().chance(kSteered)) {
    if (std::optional<Action> action = steering_.next(coverage_, maker, state)) {
      return *std::move(action);
    }
  }
  return draw_action(maker, state);
}

Program Generator::next() {
  Prng prng = root_.split(std::to_string(number_++));
  std::vector<Move> shape = draw_shape(prng);
  const std::unique_ptr<World> world = make_world_(ReachableTime::Base);
  steering_.restart();
  Program program;
  std::vector<Record> tables = world->tables();
  while (program.size() < operations_) {
    const StateView state(tables);
    const RequestMaker maker(prng, state);
    const std::optional<Inject> sentinel =
        program.size() + 1 == operations_ ? sentinel_of(program, maker, state) : std::nullopt;
    Step step{.writer = prng.chance(80, 100) ? Writer::First : Writer::Second,
              .action = sentinel ? Action(*sentinel) : draw(maker, state, shape)};
    for (int i = 0; i < kDraws && unsuited(step.action, state); ++i) {
      step.action = draw_action(maker, state);
    }
    if (unsuited(step.action, state)) {
      step.action = Request(maker.get_neigh(maker.family()));
    }
    coverage_.mark(situation_of(step.action, state));
    const Reply reply = perform(*world, step);
    std::vector<Record> after = world->tables();
    (void)world->notifications();
    count_step(tally_, step, reply, after != tables);
    tables = std::move(after);
    program.push_back(std::move(step));
  }
  ++tally_.programs;
  return program;
}

}  // namespace vxmesh::fidelity
