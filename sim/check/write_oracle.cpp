#include "sim/check/write_oracle.h"

#include <algorithm>

#include "sim/check/excuses.h"
#include "sim/check/reference_model.h"

namespace vxmesh {
namespace {

bool deletes(const KernelOp& op) {
  return std::holds_alternative<DeleteLink>(op) || std::holds_alternative<DeleteAddress>(op) ||
         std::holds_alternative<DeleteRoute>(op) || std::holds_alternative<DeleteFdb>(op) ||
         std::holds_alternative<DeleteNeighbour>(op);
}

// The device that a row is on; of a link itself.
std::optional<IfIndex> device_of(const Record& record) {
  struct Device {
    std::optional<IfIndex> operator()(const LinkRecord& row) const { return row.link.index; }
    std::optional<IfIndex> operator()(const AddressRecord& row) const { return row.address.device; }
    std::optional<IfIndex> operator()(const RouteRecord& row) const { return row.route.device; }
    std::optional<IfIndex> operator()(const FdbRecord& row) const { return row.entry.device; }
    std::optional<IfIndex> operator()(const NeighbourRecord& row) const {
      return row.neighbour.device;
    }
  };
  return std::visit(Device{}, record);
}

bool answers_miss(const KernelOp& op) {
  return std::holds_alternative<ReplaceNeighbour>(op);
}

// What is never in the way of something else that is to be written.
bool only_prunes(const KernelOp& op) {
  return std::holds_alternative<DeleteRoute>(op) || std::holds_alternative<DeleteNeighbour>(op);
}

}  // namespace

void WriteOracle::on_written(std::uint64_t revision, const std::string& name,
                             const NodeOrRejection* now) {
  last_change_ = revision;
  Absence& absence = absences_[name];
  if (now == nullptr) {
    absence = {.gone = revision};
  } else if (absence.gone != 0 && absence.back == 0) {
    absence.back = revision;
  }
}

void WriteOracle::on_process(const Host& host, ProcessChange change) {
  if (change == ProcessChange::Started) {
    known_[host.number()] = {.restless = view_.now() + budget::kStart};
  } else if (change == ProcessChange::Resumed) {
    known_[host.number()].restless = view_.now() + budget::kChange;
  }
}

void WriteOracle::on_served(const Host& host, std::uint64_t revision) {
  Known& known = known_[host.number()];
  // What a first list asks for is written within the time of a start.
  const Duration time = known.listed ? budget::kChange : budget::kStart;
  if (!known.listed || known.served < last_change_) {
    known.restless = std::max(known.restless, view_.now() + time);
  }
  known.served = revision;
  known.listed = true;
  const Absence& own = absences_[host.name()];
  const bool is_gone =
      own.gone != 0 && revision >= own.gone && (own.back == 0 || revision < own.back);
  if (!is_gone) {
    known.gone.reset();
  } else if (!known.gone) {
    known.gone = view_.now();
  }
}

void WriteOracle::on_dumped(const Host& host, Table table) {
  Known& known = known_[host.number()];
  known.dumped.insert(table);
  if (table == Table::Links) {
    known.has_device = host.device() != IfIndex{};
  }
}

void WriteOracle::judge_delete(const Host& host, const KernelOp& op) {
  const Known& known = known_[host.number()];
  // What was under way when it learned of it may come to its end.
  const bool keeps_all = known.gone && view_.now() > *known.gone + budget::kChange;
  if (!known.listed || !has_dumped_all(known)) {
    fail(host, "prune", "something is deleted before the first complete list and dump", format(op));
  } else if (keeps_all && only_prunes(op) && !makes_room(host, op)) {
    fail(host, "prune", "something is deleted while the agent's own Node is gone", format(op));
  } else {
    verdicts_.judged("prune");
  }
}

void WriteOracle::before_operation(const Host& host, const KernelOp& op) {
  device_ = host.device();
  if (deletes(op)) {
    judge_delete(host, op);
  }
  if (const auto* route = std::get_if<ReplaceRoute>(&op)) {
    judge_order(host, *route);
    judge_place(host, *route);
  } else if (const auto* fdb = std::get_if<DeleteFdb>(&op)) {
    judge_order(host, *fdb);
  }
  judge_quiet(host, op);
}

void WriteOracle::judge_quiet(const Host& host, const KernelOp& op) {
  const bool is_calm =
      view_.now() > known_[host.number()].restless && view_.now() > excuses_.all_tables(host);
  if (!is_calm && !(quiet_ && owes(host))) {
    return;
  }
  if (!answers_miss(op) && !makes_room(host, op)) {
    fail(host, "quiet", "a converged agent writes", format(op));
  } else {
    verdicts_.judged("quiet");
  }
}

// NLM_F_REPLACE takes the place of the first route of the same key, whosever it is
// (fib_table_insert). What came a moment ago the agent need not know of.
void WriteOracle::judge_place(const Host& host, const ReplaceRoute& op) {
  const Route& route = op.route;
  const std::optional<RouteRecord> first = host.kernel().routes().find_first(
      {.family = route.destination.family(),
       .table = route.table,
       .destination = route.destination},
      [&](const RouteRecord& other) { return other.route.metric == route.metric; });
  const auto since = foreign_since_.find({host.number(), route.destination});
  if (first && first->route.protocol != kReferenceProtocol && since != foreign_since_.end() &&
      view_.now() > since->second + budget::kChange &&
      view_.now() > known_[host.number()].restless) {
    fail(host, "foreign", "a route that is not ours is replaced", format(op));
  }
}

// Without a Node that can be read it need not have converged.
bool WriteOracle::owes(const Host& host) const {
  const auto object = view_.nodes().find(host.name());
  return object != view_.nodes().end() && std::holds_alternative<Node>(object->second);
}

void WriteOracle::judge_order(const Host& host, const ReplaceRoute& op) {
  const std::optional<MacAddress> vtep = vtep_of(host, op.route);
  const std::vector<FdbRemote>* remotes = vtep ? host.kernel().find_fdb(device_, *vtep) : nullptr;
  if (vtep && (remotes == nullptr || remotes->empty())) {
    fail(host, "order", "a route into the tunnel comes before its FDB entry", format(op));
  } else {
    verdicts_.judged("order");
  }
}

// One of several destinations that stand where one should be is in the way of it.
void WriteOracle::judge_order(const Host& host, const DeleteFdb& op) {
  const std::vector<FdbRemote>* remotes = host.kernel().find_fdb(op.device, op.mac);
  if (remotes == nullptr || remotes->size() != 1) {
    return;
  }
  const std::vector<Route> routes = host.kernel().routes().rows();
  const bool needed = std::ranges::any_of(
      routes, [&](const Route& route) { return vtep_of(host, route) == op.mac; });
  if (needed) {
    fail(host, "order", "an FDB entry goes before the route that needs it", format(op));
  } else {
    verdicts_.judged("order");
  }
}

std::optional<MacAddress> WriteOracle::vtep_of(const Host& host, const Route& route) const {
  for (const IpPrefix& overlay : config_.overlay) {
    if (route.device == device_ && device_ != IfIndex{} && route.destination != host.pod_cidr() &&
        overlay.contains(route.destination)) {
      return reference_mac(route.destination, overlay);
    }
  }
  return std::nullopt;
}

bool WriteOracle::has_dumped_all(const Known& known) {
  const auto dumped = [&](std::initializer_list<Table> tables) {
    return std::ranges::all_of(tables, [&](Table table) { return known.dumped.contains(table); });
  };
  // Without a device there is nothing to dump of FDB and neighbours.
  return dumped({Table::Links, Table::Addresses, Table::Routes}) &&
         (!known.has_device || dumped({Table::Fdb, Table::Neighbours}));
}

bool WriteOracle::makes_room(const Host& host, const KernelOp& op) const {
  if (!std::holds_alternative<DeleteNeighbour>(op)) {
    return false;
  }
  // Some are given up at once, so that the next answer need not do it again.
  return neighbours_of(host) > max_neighbours_ - max_neighbours_ / 16;
}

std::size_t WriteOracle::neighbours_of(const Host& host) {
  const std::vector<Neighbour> neighbours = host.kernel().neighbours(host.device());
  const auto count = std::ranges::count(neighbours, kReferenceProtocol, &Neighbour::protocol);
  return static_cast<std::size_t>(count);
}

void WriteOracle::on_operation(const Host& host, const KernelOp& op, const OpResult& /*result*/) {
  if (answers_miss(op)) {
    answered_.emplace(host.number(), &host);
  }
}

void WriteOracle::on_host(const Host& host, bool there) {
  if (!there) {
    answered_.erase(host.number());
    std::erase_if(foreign_since_,
                  [&](const auto& entry) { return entry.first.first == host.number(); });
    known_.erase(host.number());
  }
}

void WriteOracle::on_settled() {
  for (const auto& [number, host] : std::exchange(answered_, {})) {
    const std::size_t count = neighbours_of(*host);
    if (count <= max_neighbours_) {
      verdicts_.judged("limit");
    } else if (view_.agent_runs(host->name()) && view_.now() > excuses_.all_tables(*host)) {
      fail(*host, "limit", "an agent has more neighbours than it may have",
           std::to_string(count) + " of " + std::to_string(max_neighbours_));
    }
  }
}

void WriteOracle::on_notification(const Host& host, const Notification& message, bool by_agent) {
  if (!by_agent) {
    note_change(host, message);
    return;
  }
  // What the kernel does to rows of our device is the operation's doing, and right.
  const IfIndex now = host.device();
  const std::optional<IfIndex> device = device_of(message.record);
  const bool on_ours = device && *device != IfIndex{} && (*device == now || *device == device_);
  if (!on_ours && is_foreign(message.record, now) && !answers_under_rename(host, message)) {
    fail(host, "foreign", "a row that is not ours is touched", format(message));
  } else {
    verdicts_.judged("foreign");
  }
}

void WriteOracle::note_change(const Host& host, const Notification& message) {
  if (message.kind != Notification::Kind::Miss) {  // to answer one is no write
    Known& known = known_[host.number()];
    known.restless = std::max(known.restless, view_.now() + budget::kChange);
  }
  const auto* route = std::get_if<RouteRecord>(&message.record);
  if (route != nullptr && route->route.protocol != kReferenceProtocol) {
    foreign_since_[{host.number(), route->route.destination}] = view_.now();
  }
}

// A miss is answered before the events that came after it are read.
bool WriteOracle::answers_under_rename(const Host& host, const Notification& message) {
  const auto* row = std::get_if<NeighbourRecord>(&message.record);
  const Link* link = row == nullptr ? nullptr : host.kernel().find_link(row->neighbour.device);
  return link != nullptr && is_marked_ours(*link);
}

void WriteOracle::fail(const Host& host, const char* oracle, const char* what,
                       const std::string& text) {
  verdicts_.fail(
      {.oracle = oracle, .what = what, .detail = host.name() + ": " + text, .time = view_.now()});
}

}  // namespace vxmesh
