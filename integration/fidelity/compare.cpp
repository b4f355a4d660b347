#include "integration/fidelity/compare.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "sim/kernel/packet_codec.h"

namespace vxmesh::fidelity {
namespace {

std::string_view table_name(const Record& record) {
  constexpr std::string_view kNames[] = {"link", "address", "route", "FDB entry", "neighbour"};
  return kNames[record.index()];
}

std::string_view kind_name(Notification::Kind kind) {
  switch (kind) {
    case Notification::Kind::New: return "new";
    case Notification::Kind::Deleted: return "deleted";
    case Notification::Kind::Miss: break;
  }
  return "miss";
}

std::string text_of(const OpDone& done) {
  return "errno " + std::to_string(done.error_number) +
         (done.extended_ack.empty() ? "" : " \"" + done.extended_ack + "\"");
}

std::string text_of(const Reply& reply) {
  if (reply.batch.empty()) {
    return text_of(reply.done) + (reply.row ? ", " + format(*reply.row) : "");
  }
  std::string text;
  for (const OpDone& done : reply.batch) {
    text += (text.empty() ? "" : "; ") + text_of(done);
  }
  return text;
}

template <typename Row>
std::string text_of(const std::vector<Row>& rows) {
  std::string text;
  for (const Row& row : rows) {
    text += (text.empty() ? "" : "\n") + format(row);
  }
  return text.empty() ? "nothing" : text;
}

std::string text_of(const std::vector<Captured>& frames) {
  std::string text;
  for (const Captured& captured : frames) {
    const Step as_step{.writer = Writer::First,
                       .action = Inject{.device = captured.device, .frame = captured.frame}};
    text += (text.empty() ? "" : "\n") + format(as_step).substr(2);
  }
  return text.empty() ? "nothing" : text;
}

// How long ago a neighbour was written says nothing where time passes on one side only.
void forget_time(std::vector<Notification>& told) {
  for (Notification& notification : told) {
    notification.since_update = {};
  }
}

// Drops each link notification that repeats the last one of that link.
void drop_repeated_links(std::map<IfIndex, Notification>& last, std::vector<Notification>& told,
                         std::uint64_t& count) {
  const auto repeats = [&](const Notification& notification) {
    const auto* link = std::get_if<LinkRecord>(&notification.record);
    if (link == nullptr) {
      return false;
    }
    const auto [there, added] = last.try_emplace(link->link.index, notification);
    const bool repeated = !added && there->second.record == notification.record &&
                          there->second.kind == notification.kind;
    there->second = notification;
    count += repeated ? 1U : 0U;
    return repeated;
  };
  told.erase(std::remove_if(told.begin(), told.end(), repeats), told.end());
}

// Whom an ARP request or a neighbour solicitation asks for.
std::optional<IpAddress> asked_for(const FrameBytes& bytes) {
  const std::optional<EthernetFrame> frame = decode_frame(bytes);
  if (!frame) {
    return std::nullopt;
  }
  if (const auto* arp = std::get_if<ArpPacket>(&frame->payload)) {
    return arp->operation == ArpPacket::kRequest ? std::optional(arp->target) : std::nullopt;
  }
  const auto* packet = std::get_if<IpPacket>(&frame->payload);
  const auto* message = packet != nullptr ? std::get_if<NdMessage>(&packet->payload) : nullptr;
  return message != nullptr && message->kind == NdMessage::Kind::Solicit
             ? std::optional(message->target)
             : std::nullopt;
}

// Adds the gateways of routes to what is flooded to.
void add_gateways(std::set<IpAddress>& flooded, const std::vector<Record>& tables) {
  for (const Record& row : tables) {
    const auto* record = std::get_if<RouteRecord>(&row);
    if (record == nullptr || !record->route.gateway) {
      continue;
    }
    const IpPrefix& destination = record->route.destination;
    if (std::any_of(flooded.begin(), flooded.end(),
                    [&](const IpAddress& to) { return destination.contains(to); })) {
      flooded.insert(*record->route.gateway);
    }
  }
}

// Drops the unresolved neighbours of what is flooded to, and the questions who they are: the
// kernel's own multicast makes them, when it likes. `flooded` grows by the destinations that the
// tables hold, and their gateways.
void drop_own_multicast(std::set<IpAddress>& flooded, Observation& observation,
                        std::uint64_t& count) {
  for (const Record& row : observation.tables) {
    const auto* entry = std::get_if<FdbRecord>(&row);
    if (entry != nullptr && entry->entry.dst &&
        (entry->entry.mac == MacAddress{} || (entry->entry.mac.bytes[0] & 1U) != 0)) {
      flooded.insert(*entry->entry.dst);
    }
  }
  add_gateways(flooded, observation.tables);
  const auto is_made = [&](const Record& row) {
    const auto* neighbour = std::get_if<NeighbourRecord>(&row);
    const bool made = neighbour != nullptr && neighbour->neighbour.protocol == 0 &&
                      (!neighbour->neighbour.lladdr || neighbour->neighbour.state == kNudNoarp) &&
                      flooded.contains(neighbour->neighbour.address);
    count += made ? 1U : 0U;
    return made;
  };
  std::erase_if(observation.tables, is_made);
  std::erase_if(observation.notifications,
                [&](const Notification& told) { return is_made(told.record); });
  std::erase_if(observation.captured, [&](const Captured& captured) {
    const std::optional<IpAddress> asked = asked_for(captured.frame);
    const bool made = asked && flooded.contains(*asked);
    count += made ? 1U : 0U;
    return made;
  });
}

// Whose detection has ended, as far as order counts: an anycast route, which is made for the first
// of several addresses, comes behind all of them.
struct EndOfDad {
  bool anycast = false;
  IfIndex device;
  IpAddress address;

  friend auto operator<=>(const EndOfDad&, const EndOfDad&) = default;
};

// What tells of an end of duplicate address detection: the address without IFA_F_TENTATIVE, and its
// routes.
std::optional<EndOfDad> end_of_dad(const Notification& told) {
  if (told.kind != Notification::Kind::New || told.sender != PortId{}) {
    return std::nullopt;
  }
  if (const auto* record = std::get_if<AddressRecord>(&told.record)) {
    const IfAddress& address = record->address;
    const bool ended =
        address.address.family() == Family::V6 && (record->flags & kAddressTentative) == 0;
    return ended ? std::optional(EndOfDad{.device = address.device, .address = address.address})
                 : std::nullopt;
  }
  const auto* record = std::get_if<RouteRecord>(&told.record);
  if (record == nullptr || record->route.destination.family() != Family::V6 ||
      record->route.protocol != kRouteProtocolKernel ||
      (record->route.type != RouteType::Local && record->route.type != RouteType::Anycast)) {
    return std::nullopt;
  }
  return EndOfDad{.anycast = record->route.type == RouteType::Anycast,
                  .device = record->route.device.value_or(IfIndex{}),
                  .address = record->route.destination.base()};
}

// With what tells of ends of detection behind the rest, by address; what tells of one address stays
// in its order.
std::vector<Notification> with_ends_of_dad_last(std::vector<Notification> told) {
  const auto ends = std::stable_partition(
      told.begin(), told.end(),
      [](const Notification& notification) { return !end_of_dad(notification); });
  std::stable_sort(ends, told.end(), [](const Notification& a, const Notification& b) {
    return *end_of_dad(a) < *end_of_dad(b);
  });
  return told;
}

bool is_same_neighbour(const Notification& a, const Notification& b) {
  const auto* one = std::get_if<NeighbourRecord>(&a.record);
  const auto* other = std::get_if<NeighbourRecord>(&b.record);
  return one != nullptr && other != nullptr && one->neighbour.device == other->neighbour.device &&
         one->neighbour.address == other->neighbour.address;
}

// True of a request's notification whose neighbour has a timer that is due at once.
bool can_be_overtaken(const Notification& told) {
  const auto* record = std::get_if<NeighbourRecord>(&told.record);
  return record != nullptr && told.sender != PortId{} && told.kind == Notification::Kind::New &&
         (record->neighbour.state & (kNudIncomplete | kNudDelay | kNudProbe)) != 0;
}

// With what tells of such a neighbour before what its timer told meanwhile.
std::vector<Notification> with_requests_first(std::vector<Notification> told) {
  for (std::size_t i = 1; i < told.size(); ++i) {
    for (std::size_t k = i; k > 0 && can_be_overtaken(told[k]) && told[k - 1].sender == PortId{} &&
                            is_same_neighbour(told[k], told[k - 1]);
         --k) {
      std::swap(told[k], told[k - 1]);
    }
  }
  return told;
}

// The same, but for requests' notifications that a timer was before.
bool same_but_for_timers(const std::vector<Notification>& told_by_fake,
                         const std::vector<Notification>& told_by_real) {
  const std::vector<Notification> fake = with_requests_first(told_by_fake);
  const std::vector<Notification> real = with_requests_first(told_by_real);
  if (fake.size() != real.size()) {
    return false;
  }
  for (std::size_t i = 0; i < fake.size(); ++i) {
    const bool says_what_timer_did =
        can_be_overtaken(fake[i]) && real[i].sender == fake[i].sender &&
        real[i].kind == fake[i].kind && i + 1 < real.size() && real[i + 1].sender == PortId{} &&
        real[i].record == real[i + 1].record;
    if (fake[i] != real[i] && !says_what_timer_did) {
      return false;
    }
  }
  return true;
}

// The same in the same order, but for what workers and timers tell before or after each other.
bool same_notifications(const std::vector<Notification>& fake,
                        const std::vector<Notification>& real, AllowanceCounts& used) {
  if (fake == real) {
    return true;
  }
  if (with_ends_of_dad_last(fake) == with_ends_of_dad_last(real)) {
    ++used[static_cast<std::size_t>(Allowance::DadOrder)];
    return true;
  }
  if (same_but_for_timers(fake, real)) {
    ++used[static_cast<std::size_t>(Allowance::TimerFirst)];
    return true;
  }
  return false;
}

// The rows of `rows` that are not in `others`; both are sorted.
std::vector<Record> missing_in(const std::vector<Record>& rows, const std::vector<Record>& others) {
  std::vector<Record> missing;
  std::set_difference(rows.begin(), rows.end(), others.begin(), others.end(),
                      std::back_inserter(missing));
  return missing;
}

Gap gap_of_tables(const Observation& fake, const Observation& real) {
  Gap gap;
  const std::vector<Record> only_fake = missing_in(fake.tables, real.tables);
  const std::vector<Record> only_real = missing_in(real.tables, fake.tables);
  const Record& first = only_fake.empty() ? only_real.front() : only_fake.front();
  gap.signature = std::string(table_name(first));
  gap.signature += only_real.empty()   ? " only in the fake"
                   : only_fake.empty() ? " only in Linux"
                                       : " differs";
  gap.fake = text_of(only_fake);
  gap.real = text_of(only_real);
  return gap;
}

bool holds(const std::vector<Notification>& told, const Notification& wanted) {
  return std::find(told.begin(), told.end(), wanted) != told.end();
}

bool same_but_header(const Notification& a, const Notification& b) {
  return a.kind == b.kind && a.record == b.record;
}

// Where they part: a header, a row, the order, or one that the other world does not tell at all.
std::string parting(const std::vector<Notification>& fake, const std::vector<Notification>& real) {
  const auto [in_fake, in_real] = std::mismatch(fake.begin(), fake.end(), real.begin(), real.end());
  const auto name = [](const Notification& told) {
    return std::string(kind_name(told.kind)) + " " + std::string(table_name(told.record));
  };
  if (in_fake == fake.end()) {
    return "notification of " + name(*in_real) + " only in Linux";
  }
  if (in_real == real.end()) {
    return "notification of " + name(*in_fake) + " only in the fake";
  }
  if (same_but_header(*in_fake, *in_real)) {
    return "header of notification of " + name(*in_fake);
  }
  const bool fake_later = holds(real, *in_fake);
  const bool real_later = holds(fake, *in_real);
  if (fake_later && real_later) {
    return "order of notifications, " + name(*in_fake) + " before " + name(*in_real);
  }
  if (fake_later != real_later) {
    return fake_later ? "notification of " + name(*in_real) + " only in Linux"
                      : "notification of " + name(*in_fake) + " only in the fake";
  }
  return "notification of " + name(*in_fake) + " differs";
}

Gap gap_of_notifications(const Observation& fake, const Observation& real) {
  Gap gap;
  gap.signature = parting(fake.notifications, real.notifications);
  gap.fake = text_of(fake.notifications);
  gap.real = text_of(real.notifications);
  return gap;
}

std::optional<Gap> part(const Observation& fake, const Observation& real, AllowanceCounts& used) {
  Gap gap;
  if (fake.reply.done.error_number != real.reply.done.error_number) {
    gap = {.signature = "errno " + std::to_string(fake.reply.done.error_number) + ", not " +
                        std::to_string(real.reply.done.error_number),
           .fake = text_of(fake.reply),
           .real = text_of(real.reply)};
  } else if (fake.reply.batch != real.reply.batch) {
    gap = {.signature = "answers", .fake = text_of(fake.reply), .real = text_of(real.reply)};
  } else if (!(fake.reply == real.reply)) {
    const bool text = !(fake.reply.done == real.reply.done);
    gap = {.signature = text ? "extended ack" : "row",
           .fake = text_of(fake.reply),
           .real = text_of(real.reply)};
  } else if (fake.tables != real.tables) {
    gap = gap_of_tables(fake, real);
  } else if (!same_notifications(fake.notifications, real.notifications, used)) {
    gap = gap_of_notifications(fake, real);
  } else if (fake.captured != real.captured) {
    gap = {.signature = "captured frames",
           .fake = text_of(fake.captured),
           .real = text_of(real.captured)};
  } else {
    return std::nullopt;
  }
  return gap;
}

void look(World& world, Observation& observation) {
  observation.tables = world.tables();
  observation.notifications = world.notifications();
  observation.captured = world.captured();
}

struct Performer {
  World& world;
  Writer writer;

  Reply operator()(const rtnl::Request& request) const { return world.request(request, writer); }
  Reply operator()(const Batch& action) const {
    return {.done = {}, .row = {}, .batch = world.batch(action.requests, writer)};
  }
  Reply operator()(const SendDatagram& action) const {
    return only_errno(world.send_datagram(action.to));
  }
  Reply operator()(const Inject& action) const {
    return only_errno(world.inject(action.device, action.frame));
  }
  Reply operator()(const Advance& action) const {
    world.advance(std::chrono::milliseconds(action.milliseconds));
    return {};
  }
  Reply operator()(const SetForwarding& action) const {
    world.set_forwarding(action.on);
    return {};
  }
  Reply operator()(const Capture& action) const {
    world.capture(action.device);
    return {};
  }

  static Reply only_errno(int error_number) {
    return {.done = {.error_number = error_number, .extended_ack = {}}, .row = {}, .batch = {}};
  }
};

std::optional<Gap> compare_step(const Step& step, Side& fake_side, Side& real_side,
                                AllowanceCounts& used, Duration patience) {
  const Observation fake = fake_side.run(step, used);
  Observation real = real_side.run(step, used);
  std::optional<Gap> gap = gap_between(fake, real, action_name(step.action), used);
  if (!gap || !(fake.reply == real.reply)) {
    return gap;  // an answer is not late
  }
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + patience;
  for (auto now = Clock::now(); gap && now < deadline; now = Clock::now()) {
    real_side.wait_for_news(deadline - now);
    real_side.look_again(real, used);
    gap = gap_between(fake, real, action_name(step.action), used);
  }
  used[static_cast<std::size_t>(Allowance::LateWork)] += gap ? 0U : 1U;
  return gap;
}

}  // namespace

Side::Side(World& world) : world_(world) {
  for (const Record& row : world.tables()) {
    if (const auto* link = std::get_if<LinkRecord>(&row)) {
      links_.emplace(link->link.index, Notification{.record = *link});
    }
  }
}

Observation Side::run(const Step& step, AllowanceCounts& used) {
  Observation observation = observe(world_, step);
  normalise(observation, used);
  return observation;
}

void Side::look_again(Observation& observation, AllowanceCounts& used) {
  Observation now;
  look(world_, now);
  normalise(now, used);
  observation.tables = std::move(now.tables);
  std::move(now.notifications.begin(), now.notifications.end(),
            std::back_inserter(observation.notifications));
  std::move(now.captured.begin(), now.captured.end(), std::back_inserter(observation.captured));
}

void Side::normalise(Observation& observation, AllowanceCounts& used) {
  forget_time(observation.notifications);
  drop_repeated_links(links_, observation.notifications,
                      used[static_cast<std::size_t>(Allowance::RepeatedLink)]);
  drop_own_multicast(flooded_, observation,
                     used[static_cast<std::size_t>(Allowance::OwnMulticast)]);
}

std::optional<Gap> gap_between(const Observation& fake, const Observation& real,
                               std::string_view action, AllowanceCounts& used) {
  std::optional<Gap> gap = part(fake, real, used);
  if (gap) {
    gap->signature = std::string(action) + ": " + gap->signature;
  }
  return gap;
}

Reply perform(World& world, const Step& step) {
  return std::visit(Performer{world, step.writer}, step.action);
}

Observation observe(World& world, const Step& step) {
  Observation observation;
  observation.reply = perform(world, step);
  look(world, observation);
  return observation;
}

std::optional<Gap> compare(const Program& program, World& fake, World& real, AllowanceCounts& used,
                           Duration patience) {
  Side fake_side(fake);
  Side real_side(real);
  for (std::size_t i = 0; i < program.size(); ++i) {
    if (std::optional<Gap> gap = compare_step(program[i], fake_side, real_side, used, patience)) {
      gap->step = i;
      return gap;
    }
  }
  return std::nullopt;
}

}  // namespace vxmesh::fidelity
