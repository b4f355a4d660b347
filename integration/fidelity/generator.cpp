#include "integration/fidelity/generator.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "integration/fidelity/compare.h"
#include "integration/fidelity/unsuited.h"

namespace vxmesh::fidelity {
namespace {

using rtnl::Request;

// Percent of the steps behind a program's beginning that work on unseen cells.
constexpr std::uint64_t kSteered = 30;
// Actions drawn until one is suited.
constexpr int kDraws = 20;

// What a step does when nothing else is asked of it. The weights give link and address operations
// a quarter of all, beginnings included; a real link takes longer than all the rest.
Action draw_action(const RequestMaker& maker) {
  const Family family = maker.family();
  const std::uint64_t drawn = maker.draw().prng.below(100);
  if (drawn < 9) {
    return Request(maker.change_link());
  }
  if (drawn < 10) {
    return Request(maker.create_link(maker.kind()));
  }
  if (drawn < 12) {
    return Request(maker.del_link());
  }
  if (drawn < 17) {
    return Request(maker.new_addr(family));
  }
  if (drawn < 20) {
    return Request(maker.del_addr(family));
  }
  if (drawn < 36) {
    return Request(maker.new_route(family));
  }
  if (drawn < 44) {
    return Request(maker.del_route(family));
  }
  if (drawn < 62) {
    return Request(maker.new_neigh(family));
  }
  if (drawn < 68) {
    return Request(maker.del_neigh(family));
  }
  if (drawn < 84) {
    return Request(maker.new_fdb());
  }
  if (drawn < 91) {
    return Request(maker.del_fdb());
  }
  if (drawn < 93) {
    return Request(maker.set_neigh_table(family));
  }
  if (drawn < 94) {
    return Request(maker.get_neigh(family));
  }
  if (drawn < 95) {
    return Request(maker.get_fdb());
  }
  if (drawn < 99) {
    return maker.send(family);
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

}  // namespace

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
  return draw_action(maker);
}

void Generator::count(const Step& step, const Reply& reply, bool changed) {
  ++tally_.operations;
  const auto* request = std::get_if<Request>(&step.action);
  if (request == nullptr) {
    return;
  }
  tally_.links += is_about_links(*request) ? 1U : 0U;
  if (asks_for_change(*request)) {
    ++tally_.changes;
    tally_.effective += reply.done.error_number == 0 && changed ? 1U : 0U;
  }
}

Program Generator::next() {
  Prng prng = root_.split(std::to_string(number_++));
  std::vector<Move> shape = draw_shape(prng);
  const std::unique_ptr<World> world = make_world_();
  steering_.restart();
  Program program;
  std::vector<Record> tables = world->tables();
  while (program.size() < operations_) {
    const StateView state(tables);
    const RequestMaker maker(prng, state);
    Step step{.writer = prng.chance(80, 100) ? Writer::First : Writer::Second,
              .action = draw(maker, state, shape)};
    for (int i = 0; i < kDraws && unsuited(step.action, state); ++i) {
      step.action = draw_action(maker);
    }
    if (unsuited(step.action, state)) {
      step.action = Request(maker.get_neigh(maker.family()));
    }
    coverage_.mark(situation_of(step.action, state));
    const Reply reply = perform(*world, step);
    std::vector<Record> after = world->tables();
    (void)world->notifications();
    count(step, reply, after != tables);
    tables = std::move(after);
    program.push_back(std::move(step));
  }
  ++tally_.programs;
  return program;
}

}  // namespace vxmesh::fidelity
