#include "integration/fidelity/timed.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "integration/fidelity/request_maker.h"
#include "integration/fidelity/unsuited.h"

namespace vxmesh::fidelity {
namespace {

using rtnl::Request;
using std::chrono::milliseconds;

constexpr IfIndex kDevice{2};
// Of programs, until one has a quiet spell.
constexpr int kDraws = 100;
constexpr std::chrono::duration<std::uint32_t, std::milli> kFirst{200};
constexpr Duration kMostDuration = std::chrono::seconds(3);  // then nothing more is added

// --- Quiet spells ---

// Neighbours have timers of their own each: what is told of one keeps its order, between two there
// is none. Everything else comes first, in its order.
void order_by_row(std::vector<Notification>& told) {
  const auto key = [](const Notification& notification) {
    const auto* record = std::get_if<NeighbourRecord>(&notification.record);
    return record == nullptr
               ? std::tuple(false, IfIndex{}, IpAddress{})
               : std::tuple(true, record->neighbour.device, record->neighbour.address);
  };
  std::stable_sort(told.begin(), told.end(),
                   [&](const Notification& a, const Notification& b) { return key(a) < key(b); });
  for (Notification& notification : told) {
    notification.since_update = {};
  }
}

struct Spell {
  bool quiet = false;
  std::vector<Record> tables;
  std::vector<Notification> told;  // until the spell began
};

Spell spell_after(const Program& program, std::size_t steps, Duration time, World& world) {
  for (std::size_t i = 0; i < steps; ++i) {
    (void)perform(world, program[i]);
  }
  (void)world.notifications();
  world.advance(time - kQuietBefore);
  Spell spell;
  spell.told = world.notifications();
  order_by_row(spell.told);
  spell.tables = world.tables();
  world.advance(kQuietBefore);
  world.advance(kQuietAfter);
  spell.quiet = world.notifications().empty() && world.tables() == spell.tables;
  return spell;
}

// `time` after the first `steps` steps.
bool quiet_at(const Program& program, std::size_t steps, Duration time,
              const WorldMaker& make_world) {
  if (time < kQuietBefore) {
    return false;
  }
  const Spell first = spell_after(program, steps, time, *make_world(ReachableTime::Shortest));
  if (!first.quiet) {
    return false;
  }
  const Spell second = spell_after(program, steps, time, *make_world(ReachableTime::Longest));
  return second.quiet && first.tables == second.tables && first.told == second.told;
}

// --- Programs ---

Request make_device(Family family) {
  const bool is_v4 = family == Family::V4;
  return rtnl::NewLink{.flags = rtnl::kCreate | rtnl::kExcl,
                       .name = "vxlan1",
                       .mac = rtnl::LinkLayer(pool::macs()[0]),
                       // Below 1280 there is no IPv6, whose own multicast neighbours would fill
                       // the table that all namespaces share.
                       .mtu = is_v4 ? 1200 : 1450,
                       .kind = rtnl::Kind::Vxlan,
                       .vni = 1,
                       .port = std::uint16_t{4789},
                       .local = pool::addresses(Family::V4).back(),
                       .learning = false};
}

Request make_up() {
  return rtnl::NewLink{.device = kDevice, .up = true};
}

Request make_address(Family family) {
  return rtnl::NewAddr{.flags = rtnl::kCreate | rtnl::kReplace,
                       .device = kDevice,
                       .local = pool::addresses(family)[0],
                       .length = address_bits(family),
                       .address_flags = family == Family::V4
                                            ? kAddressNoPrefixRoute
                                            : kAddressNoPrefixRoute | kAddressNoDad};
}

Request make_route(Family family) {
  return rtnl::NewRoute{
      .flags = rtnl::kCreate | rtnl::kReplace,
      .route = {.destination = pool::prefixes(family)[0].base(),
                .length = pool::prefixes(family)[0].length(),
                .protocol = 187,
                .scope = family == Family::V4 ? std::uint8_t{253} : std::uint8_t{0},
                .device = kDevice}};
}

// Short times; each is less than the 63 jiffies that timers keep exactly (HZ 250).
Request draw_parameters(Family family, const Draw& draw) {
  constexpr std::array<std::uint64_t, 3> kTimes{100, 160, 240};
  rtnl::SetNeighTable request{.family = family, .device = kDevice};
  const auto count = [&](std::uint64_t bound) {
    return static_cast<std::uint32_t>(draw.prng.below(bound));
  };
  request.app_probes = count(4);
  if (draw.chance(70)) {
    request.mcast_probes = count(3);
  }
  if (draw.chance(60)) {
    request.ucast_probes = count(3);
  }
  if (draw.chance(20)) {
    request.mcast_reprobes = count(2);
  }
  request.retrans_time = draw.of(kTimes);
  if (draw.chance(80)) {
    request.base_reachable_time = draw.chance(60) ? 400 : 1000;
  }
  if (draw.chance(80)) {
    request.delay_probe_time = draw.of(kTimes);
  }
  if (draw.chance(30)) {
    request.locktime = draw.of(kTimes);
  }
  return request;
}

// Nothing that takes the kernel long, such as to bring a device up or down: others wait for it.
Action draw_action(Family family, const RequestMaker& maker) {
  const Draw& draw = maker.draw();
  const std::uint64_t drawn = draw.prng.below(100);
  if (drawn < 40) {
    return SendDatagram{.to = pool::addresses(family)[1 + draw.prng.below(2)]};
  }
  if (drawn < 76) {
    rtnl::NewNeigh request = maker.new_neigh(family);
    request.device = kDevice;
    request.address = pool::addresses(family)[1 + draw.prng.below(2)];
    if (draw.chance(12)) {
      request.state = draw.chance(50) ? kNudDelay : kNudProbe;
    }
    return Request(request);
  }
  if (drawn < 84) {
    return Request(maker.del_neigh(family));
  }
  if (drawn < 90) {
    return draw_parameters(family, draw);
  }
  if (drawn < 94) {
    return Request(maker.get_neigh(family));
  }
  if (drawn < 97) {
    return Request(rtnl::NewLink{.device = kDevice, .mac = rtnl::LinkLayer(draw.of(pool::macs()))});
  }
  return draw.chance(50) ? make_route(family) : make_address(family);
}

// What such a state does next is a matter of the next tick: nothing may come behind it.
bool ends_moment(const Action& action) {
  const auto* request = std::get_if<Request>(&action);
  const auto* neighbour = request != nullptr ? std::get_if<rtnl::NewNeigh>(request) : nullptr;
  return neighbour != nullptr && (neighbour->state & (kNudDelay | kNudProbe | kNudIncomplete)) != 0;
}

// A probe that duplicate address detection has sent already is waited for as long as the parameters
// then said, and a workqueue sends it.
bool is_race(const Action& action, const StateView& state) {
  const auto* request = std::get_if<Request>(&action);
  return request != nullptr && std::holds_alternative<rtnl::SetNeighTable>(*request) &&
         std::any_of(state.addresses.begin(), state.addresses.end(),
                     [](const auto* record) { return (record->flags & kAddressTentative) != 0; });
}

// A time after which it is quiet behind the whole of `program`; nullopt if none was found.
std::optional<Advance> draw_advance(const Program& program, const Draw& draw,
                                    const WorldMaker& make_world) {
  constexpr std::array<std::uint32_t, 8> kTimes{300, 400, 500, 700, 900, 1200, 1600, 2400};
  for (std::size_t i = draw.prng.below(kTimes.size() / 2); i < kTimes.size(); ++i) {
    if (quiet_at(program, program.size(), milliseconds(kTimes[i]), make_world)) {
      return Advance{.milliseconds = kTimes[i]};
    }
  }
  return std::nullopt;
}

// The steps of one moment, run on `world` as they are drawn; without what is unsuited.
void add_moment(Program& program, Family family, Prng& prng, World& world) {
  for (std::uint64_t i = prng.between(1, 3); i > 0; --i) {
    const std::vector<Record> tables = world.tables();
    const StateView state(tables);
    const RequestMaker maker(prng, state);
    const Step step{.writer = prng.chance(80, 100) ? Writer::First : Writer::Second,
                    .action = draw_action(family, maker)};
    if (!unsuited(step.action, state) && !is_race(step.action, state)) {
      (void)perform(world, step);
      program.push_back(step);
    }
    if (ends_moment(step.action)) {
      return;
    }
  }
}

// --- Real time ---

// How late a moment may begin, and how long its steps may take; the first moment's make the device
// and nothing that has a timer of interest.
constexpr Duration kMostLate = milliseconds(80);
constexpr Duration kMostLong = milliseconds(140);

}  // namespace

bool is_quiet(const Program& program, const WorldMaker& make_world) {
  if (program.empty() || !std::holds_alternative<Advance>(program.back().action)) {
    return false;
  }
  for (std::size_t i = 0; i < program.size(); ++i) {
    const auto* advance = std::get_if<Advance>(&program[i].action);
    if (advance != nullptr &&
        !quiet_at(program, i, milliseconds(advance->milliseconds), make_world)) {
      return false;
    }
  }
  return true;
}

TimedGenerator::TimedGenerator(std::uint64_t seed, std::size_t operations, WorldMaker make_world)
    : root_(Prng(seed).split("timed")),
      operations_(operations),
      make_world_(std::move(make_world)) {}

Program TimedGenerator::draw(Prng& prng) const {
  const Draw draw{prng};
  const Family family = prng.chance(75, 100) ? Family::V4 : Family::V6;
  Program program;
  for (const Request& request : {make_device(family), draw_parameters(family, draw), make_up(),
                                 make_address(family), make_route(family)}) {
    program.push_back({.action = request});
  }
  // Time passes first, so that what follows is kept to its times.
  if (quiet_at(program, program.size(), kFirst, make_world_)) {
    program.push_back({.action = Advance{.milliseconds = kFirst.count()}});
  } else {
    return {};
  }
  std::size_t quiet_size = 0;  // the program up to its last quiet spell
  while (program.size() < operations_ && duration_of(program) < kMostDuration) {
    const std::unique_ptr<World> world = make_world_(ReachableTime::Base);
    for (const Step& step : program) {
      (void)perform(*world, step);
    }
    add_moment(program, family, prng, *world);
    const std::optional<Advance> advance = draw_advance(program, draw, make_world_);
    if (!advance) {
      break;
    }
    program.push_back({.action = *advance});
    quiet_size = program.size();
    if (prng.chance(15, 100)) {
      break;
    }
  }
  program.resize(quiet_size);
  return program;
}

Program TimedGenerator::next() {
  Prng prng = root_.split(std::to_string(number_++));
  Program program = draw(prng);
  for (int i = 0; i < kDraws && program.empty(); ++i) {
    program = draw(prng);
  }
  check(!program.empty(), "some time is followed by a quiet spell");
  ++tally_.programs;
  const std::unique_ptr<World> world = make_world_(ReachableTime::Base);
  for (const Step& step : program) {
    const std::vector<Record> before = world->tables();
    coverage_.mark(situation_of(step.action, StateView(before)));
    const Reply reply = perform(*world, step);
    count_step(tally_, step, reply, world->tables() != before);
  }
  return program;
}

TimedComparison::TimedComparison(const Program& program, World& fake, World& real,
                                 AllowanceCounts& used)
    : program_(program),
      fake_(fake),
      real_(real),
      fake_side_(fake),
      real_side_(real),
      used_(used) {}

void TimedComparison::set_up() {
  while (next_ < program_.size() && !outcome_.gap &&
         !std::holds_alternative<Advance>(program_[next_].action)) {
    step(program_[next_++]);
  }
}

TimedOutcome TimedComparison::run() {
  for (; next_ < program_.size() && !outcome_.late && !outcome_.gap; ++next_) {
    const auto* advance = std::get_if<Advance>(&program_[next_].action);
    if (advance != nullptr) {
      pass(milliseconds(advance->milliseconds));
    } else {
      step(program_[next_]);
    }
  }
  if (outcome_.gap) {
    outcome_.gap->step = next_ - 1;
  }
  return std::move(outcome_);
}

void TimedComparison::step(const Step& step) {
  Observation fake;
  Observation real;
  fake.reply = perform(fake_, step);
  real.reply = perform(real_, step);
  outcome_.gap = gap_between(fake, real, action_name(step.action), used_);
  if (outcome_.gap && now_ && Clock::now() - *now_ > kMostLong) {
    outcome_ = {.late = true, .gap = {}};
  }
}

void TimedComparison::pass(Duration time) {
  if (now_ && Clock::now() - *now_ > kMostLong) {
    outcome_.late = true;
    return;
  }
  now_ = now_.value_or(Clock::now()) + time;
  fake_.advance(time);
  std::this_thread::sleep_until(*now_);
  if (Clock::now() - *now_ > kMostLate) {
    outcome_.late = true;
    return;
  }
  compare_now();
}

// Linux may be behind, never ahead.
void TimedComparison::compare_now() {
  Observation fake;
  Observation real;
  fake_side_.look_again(fake, used_);
  order_by_row(fake.notifications);
  real_side_.look_again(real, used_);
  order_by_row(real.notifications);
  outcome_.gap = gap_between(fake, real, "advance", used_);
  const auto deadline = *now_ + kMostLong;
  for (auto now = Clock::now(); outcome_.gap && now < deadline; now = Clock::now()) {
    real_side_.wait_for_news(deadline - now);
    real_side_.look_again(real, used_);
    order_by_row(real.notifications);
    outcome_.gap = gap_between(fake, real, "advance", used_);
  }
}

Duration duration_of(const Program& program) {
  Duration sum{};
  for (const Step& step : program) {
    if (const auto* advance = std::get_if<Advance>(&step.action)) {
      sum += milliseconds(advance->milliseconds);
    }
  }
  return sum;
}

}  // namespace vxmesh::fidelity
