#include "sim/check/excuses.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sim/check/reference_model.h"

namespace vxmesh {
namespace {

std::pair<std::string, std::string> ordered(const std::string& a, const std::string& b) {
  return {std::min(a, b), std::max(a, b)};
}

void step(Excuse& excuse, bool begins, MonotonicTime until) {
  if (begins) {
    excuse.begin();
  } else {
    excuse.end(until);
  }
}

// True if somebody else's route has the place of ours to the PodCIDR.
bool is_taken(const Host& host, const IpPrefix& pod_cidr) {
  const std::optional<RouteRecord> first = host.kernel().routes().find_first(
      {.family = Family::V4, .table = kRouteTableMain, .destination = pod_cidr},
      [](const RouteRecord&) { return true; });
  return first && first->route.protocol != kReferenceProtocol;
}

}  // namespace

MonotonicTime Excuses::tables(const Host& host) const {
  const auto place = hosts_.find(host.number());
  if (place == hosts_.end()) {
    return MonotonicTime{Duration(-1)};
  }
  const OfHost& owed = place->second;
  return owed.until_start || owed.node_gone ? Excuse::kForever : owed.own.tables.until();
}

MonotonicTime Excuses::tables(const Host& host, const IpPrefix& to) const {
  const MonotonicTime own = tables(host);
  const auto place = hosts_.find(host.number());
  if (place == hosts_.end() || place->second.peers.empty()) {
    return own;
  }
  const auto failing = place->second.peers.find(vtep_of(to).value_or(MacAddress{}));
  return failing == place->second.peers.end() ? own : std::max(own, failing->second.tables.until());
}

MonotonicTime Excuses::all_tables(const Host& host) const {
  MonotonicTime until = tables(host);
  if (const auto place = hosts_.find(host.number()); place != hosts_.end()) {
    for (const auto& [mac, failing] : place->second.peers) {
      until = std::max(until, failing.tables.until());
    }
  }
  return until;
}

MonotonicTime Excuses::path(const Host& a, const Host& b) const {
  MonotonicTime until = std::max(tables(a, b.pod_cidr()), tables(b, a.pod_cidr()));
  for (const auto& [host, other] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
    if (const auto place = hosts_.find(host->number()); place != hosts_.end()) {
      until = std::max(until, place->second.network.until());
      if (place->second.peer_routes.until() >= view_.now() && is_taken(*host, other->pod_cidr())) {
        until = Excuse::kForever;
      }
    }
  }
  if (between_.empty()) {
    return until;
  }
  const auto between = between_.find(ordered(a.name(), b.name()));
  return between == between_.end() ? until : std::max(until, between->second.until());
}

MonotonicTime Excuses::long_packets(const Host& a, const Host& b, std::uint64_t mtu) const {
  MonotonicTime until{Duration(-1)};
  for (const auto& ends : {ordered(a.name(), b.name()), std::pair{a.name(), std::string()},
                           std::pair{b.name(), std::string()}}) {
    if (const auto place = black_holes_.find(ends); place != black_holes_.end()) {
      for (const auto& [passes, excuse] : place->second) {
        until = passes < mtu ? std::max(until, excuse.until()) : until;
      }
    }
  }
  return until;
}

MonotonicTime Excuses::answers(const Host& host) const {
  const auto place = hosts_.find(host.number());
  const bool answers = place != hosts_.end() && place->second.served;
  return answers ? place->second.answers.until() : Excuse::kForever;
}

MonotonicTime Excuses::firewall(const Host& host) const {
  const auto place = hosts_.find(host.number());
  const bool owed = place != hosts_.end() && !place->second.no_firewall;
  return owed ? place->second.firewall.until() : Excuse::kForever;
}

MonotonicTime Excuses::peer_routes(const Host& host) const {
  const auto place = hosts_.find(host.number());
  if (place == hosts_.end()) {
    return MonotonicTime{Duration(-1)};
  }
  const MonotonicTime until = place->second.peer_routes.until();
  return until == Excuse::kForever ? until : until + budget::kLostMiss;
}

// An agent whose own Node is gone keeps all that there is (design.md, section 6).
void Excuses::on_written(std::uint64_t revision, const std::string& name,
                         const NodeOrRejection* now) {
  const Host* host = view_.host(name);
  if (host == nullptr) {
    return;
  }
  OfHost& owed = of(*host);
  if (now == nullptr || std::holds_alternative<NodeRejection>(*now)) {
    owed.node_gone = true;
    owed.node_back = 0;
  } else if (owed.node_gone && owed.node_back == 0) {
    owed.node_back = revision;
  }
}

void Excuses::on_host(const Host& host, bool there) {
  if (!there) {
    hosts_.erase(host.number());
    owed_at_start_.erase(host.name());
    return;
  }
  // Nothing is owed before its agent has begun for the first time.
  OfHost& owed = of(host);
  owed.until_start = true;
  owed.no_firewall = true;
}

// The addresses of the underlay's neighbours are found anew.
void Excuses::on_host_changed(const Host& host) {
  of(host).network.last_until(in(budget::kNetwork));
}

void Excuses::on_process(const Host& host, ProcessChange change) {
  OfHost& owed = of(host);
  switch (change) {
    case ProcessChange::Started:
      owed.served = false;
      owed.misled = false;
      if (owed.until_start) {
        owed.until_start = false;
        owed_at_start_.erase(host.name());
        until_served(host);
      }
      break;
    case ProcessChange::Died:
      owed.served = false;
      goes_on(owed);
      if (owes_to_anybody(owed) || tables(host) > view_.now()) {
        until_served(host);  // what it still owed is for the next one
      }
      break;
    case ProcessChange::Paused:
      owed.answers.begin();
      stands_still(owed);
      break;
    case ProcessChange::Resumed:
      goes_on(owed);
      owed.answers.end(in(budget::kChange));
      break;
  }
}

// What a paused agent has to try again, and what drifts under it, is repaired when this one goes
// on, or the next; the pause counts as time for which it has failed.
void Excuses::stands_still(OfHost& owed) const {
  owed.paused = true;
  const auto hold_if_owed = [&](Failing& failing) {
    if (failing.tables.until() > view_.now()) {
      hold(failing);
    }
  };
  hold_if_owed(owed.own);
  for (auto& [mac, failing] : owed.peers) {
    hold_if_owed(failing);
  }
}

void Excuses::goes_on(OfHost& owed) const {
  owed.paused = false;
  const auto release = [&](Failing& failing) {
    if (std::exchange(failing.held, false)) {
      failing.tables.end(in(budget::kChange));
    }
  };
  release(owed.own);
  for (auto& [mac, failing] : owed.peers) {
    release(failing);
  }
}

void Excuses::hold(Failing& failing) {
  if (!std::exchange(failing.held, true)) {
    failing.tables.begin();
  }
}

// Recovery at the start begins when the API has answered.
void Excuses::on_served(const Host& host, std::uint64_t revision) {
  OfHost& owed = of(host);
  if (owed.node_gone && owed.node_back != 0 && revision >= owed.node_back) {
    owed.node_gone = false;
    owed.own.tables.last_until(in(budget::kOwnNode));
    owed.no_firewall = owed.no_firewall && owed.until_start;
    owed.firewall.last_until(in(budget::kOwnNode));
  }
  owed.misled = false;
  if (std::exchange(owed.awaits_list, false)) {
    owed.own.tables.end(in(budget::kStart));
  }
  if (owed.served) {
    return;
  }
  owed.served = true;
  owed.answers.last_until(in(budget::kStart));
  if (starting_.erase(host.number()) > 0) {
    owed.own.tables.end(in(budget::kStart));
    owed.no_firewall = owed.no_firewall && owed.node_gone;  // whose rules they are it cannot know
    owed.firewall.last_until(in(budget::kStart));
  }
}

// An agent that could not read its kernel believes it again over a complete dump and a list that
// comes after it: before that it deletes nothing.
void Excuses::on_dumped(const Host& host, Table table) {
  OfHost& owed = of(host);
  const Table last = host.device() == IfIndex{} ? Table::Routes : Table::Neighbours;
  if (table == last && std::exchange(owed.doubted, false)) {
    until_listed(owed);
  }
}

// One that does not believe a list keeps everything, so that what it has still to delete stays too.
void Excuses::on_misled(const Host& host) {
  OfHost& owed = of(host);
  owed.misled = true;
  if (owes_to_anybody(owed) || tables(host) > view_.now()) {
    until_listed(owed);
  }
}

void Excuses::until_listed(OfHost& owed) {
  if (!std::exchange(owed.awaits_list, true)) {
    owed.own.tables.begin();
  }
}

// What has failed, or whose answer was lost, is tried again.
void Excuses::on_operation(const Host& host, const KernelOp& op, const OpResult& result) {
  OfHost& owed = of(host);
  const OpDone* done = std::get_if<OpDone>(&result);
  if (done != nullptr && done->error_number == 0) {
    return;
  }
  const std::optional<MacAddress> vtep = vtep_of(host, op);
  Failing& failing = vtep ? owed.peers[*vtep] : owed.own;
  // Another refusal excuses nothing by itself. It is one more try that has failed where the lack of
  // memory is to blame, as of a route whose device could not be set up.
  const bool memory = done == nullptr || done->error_number == ENOMEM;
  if (!memory && std::max(owed.own.tables.until(), failing.tables.until()) < view_.now()) {
    return;
  }
  fails(failing);
  if (done == nullptr) {
    fails(owed.own);  // all is judged again behind a redump
    owed.answers.last_until(in(budget::kLostMiss));
  }
}

std::optional<MacAddress> Excuses::vtep_of(const Host& host, const KernelOp& op) const {
  if (const auto* route = std::get_if<ReplaceRoute>(&op)) {
    return route->route.device ? vtep_of(route->route.destination) : std::nullopt;
  }
  if (const auto* route = std::get_if<DeleteRoute>(&op)) {
    return route->route.device ? vtep_of(route->route.destination) : std::nullopt;
  }
  if (const auto* fdb = std::get_if<ReplaceFdb>(&op)) {
    return fdb->entry.mac;
  }
  if (const auto* fdb = std::get_if<DeleteFdb>(&op)) {
    return fdb->mac;
  }
  if (const auto* neighbour = std::get_if<DeleteNeighbour>(&op)) {
    const auto row = host.kernel().find_neighbour(neighbour->device, neighbour->address);
    return row ? row->lladdr : std::nullopt;
  }
  const auto* neighbour = std::get_if<ReplaceNeighbour>(&op);
  return neighbour == nullptr ? std::nullopt : neighbour->neighbour.lladdr;
}

std::optional<MacAddress> Excuses::vtep_of(const IpPrefix& pod_cidr) const {
  for (const IpPrefix& overlay : config_.overlay) {
    if (overlay.contains(pod_cidr)) {
      return reference_mac(pod_cidr, overlay);
    }
  }
  return std::nullopt;
}

bool Excuses::owes_to_anybody(const OfHost& owed) const {
  return std::ranges::any_of(
      owed.peers, [&](const auto& peer) { return peer.second.tables.until() > view_.now(); });
}

void Excuses::on_step(const Step& step, bool begins) {
  if (rule_of(step.action.kind).category == ActionCategory::Network) {
    network_step(step, begins);
    return;
  }
  const Host* host =
      step.action.targets.empty() ? nullptr : view_.host(step.action.targets.front());
  if (step.action.kind == ActionKind::Storm || step.action.kind == ActionKind::Scan) {
    // The queues of unresolved packets overflow, and so do those of the underlay's neighbours.
    for (const Host* other : view_.hosts()) {
      of(*other).answers.last_until(in(budget::kLostMiss));
      of(*other).network.last_until(in(budget::kLostMiss));
    }
  } else if (host != nullptr) {
    kernel_step(step, begins, *host);
  }
}

void Excuses::network_step(const Step& step, bool begins) {
  const std::vector<std::string>& ends = step.action.targets;
  const bool harmless = step.action.kind == ActionKind::Duplicate;
  if (harmless || std::ranges::find(ends, "api") != ends.end()) {
    return;  // of the API nothing is excused: what is there goes on
  }
  if (step.action.kind == ActionKind::MtuBlackHole) {
    const auto hole =
        ends.size() == 2 ? ordered(ends[0], ends[1]) : std::pair{ends[0], std::string()};
    vxmesh::step(black_holes_[hole][step.action.amount], begins, view_.now());
  } else if (ends.size() == 2) {
    vxmesh::step(between_[ordered(ends[0], ends[1])], begins, in(budget::kNetwork));
  } else if (const Host* host = view_.host(ends.front())) {
    vxmesh::step(of(*host).network, begins, in(budget::kNetwork));
  }
}

void Excuses::fails(Failing& failing) const {
  failure_begins(failing);
  failing.tables.last_until(after_failures(failing));
}

void Excuses::failure_begins(Failing& failing) const {
  if (view_.now() > failing.tables.until()) {
    failing.since = view_.now();
  }
}

// Each pause before the next try is at most twice as long as all before it together.
MonotonicTime Excuses::after_failures(const Failing& failing) const {
  return in(std::min(budget::kOperations, 2 * (view_.now() - failing.since) + budget::kChange));
}

void Excuses::until_start(const Host& host) {
  OfHost& owed = of(host);
  owed.until_start = true;
  owed_at_start_.insert(host.name());
}

// An agent that knows no Node repairs nothing.
void Excuses::until_served(const Host& host) {
  if (starting_.insert(host.number()).second) {
    of(host).own.tables.begin();
  }
}

// The kernel tells an agent that runs, and knows what should be there.
void Excuses::drifts(const Host& host) {
  if (!view_.agent_runs(host.name())) {
    until_start(host);
  } else if (!of(host).served) {
    until_served(host);
  } else if (of(host).misled) {
    until_listed(of(host));
  } else if (of(host).paused) {
    hold(of(host).own);
  }
  of(host).own.tables.last_until(in(budget::kChange));
}

void Excuses::kernel_step(const Step& step, bool begins, const Host& host) {
  OfHost& owed = of(host);
  switch (step.action.kind) {
    case ActionKind::FailOperations:
      if (begins) {
        failure_begins(owed.own);
      }
      vxmesh::step(owed.own.tables, begins, after_failures(owed.own));
      vxmesh::step(owed.answers, begins, in(budget::kLostMiss));
      break;
    case ActionKind::FailSomeOperations:  // of the tables what has failed is excused alone
      vxmesh::step(owed.answers, begins, in(budget::kLostMiss));
      break;
    case ActionKind::FailDumps: owed.doubted = true; [[fallthrough]];
    case ActionKind::InterruptDumps:
      vxmesh::step(owed.own.tables, begins, in(budget::kDumps));
      vxmesh::step(owed.answers, begins, in(budget::kDumps));
      break;
    case ActionKind::TearDumps:  // what was not seen shows in the next dump
      vxmesh::step(owed.own.tables, begins, in(budget::kOperations));
      vxmesh::step(owed.answers, begins, in(budget::kOperations));
      break;
    case ActionKind::ForeignPeerRoute:
      vxmesh::step(owed.peer_routes, begins, view_.now());
      drifts(host);
      break;
    case ActionKind::ForeignFdb:
    case ActionKind::ForeignNeighbour:
      drifts(host);
      owed.answers.last_until(in(budget::kChange));
      break;
    case ActionKind::UnderlayAddressRemoved:
      // The agent follows others in what there is; what else is wrong, or if it begins anew, all,
      // waits for the address.
      vxmesh::step(owed.own.tables, begins, in(budget::kStart));
      vxmesh::step(owed.firewall, begins, in(budget::kStart));
      [[fallthrough]];
    case ActionKind::UnderlayDown:
    case ActionKind::NeighbourTableFull:
      vxmesh::step(owed.network, begins, in(budget::kNetwork));
      vxmesh::step(owed.answers, begins, in(budget::kNetwork));
      break;
    case ActionKind::UnderlayRenamed:
      owed.network.last_until(in(budget::kNetwork));
      owed.answers.last_until(in(budget::kNetwork));
      break;
    case ActionKind::UnderlayMtu: drifts(host); break;  // long packets wait for our device
    case ActionKind::DeviceDown:
    case ActionKind::DeviceDeleted:
    case ActionKind::DeviceMac:
    case ActionKind::DeviceMtu:
    case ActionKind::DeviceLocal:
    case ActionKind::AddressRemoved:
    case ActionKind::ParametersReverted: until_start(host); break;
    case ActionKind::DeviceRenamed:  // and nothing before it has its name again
      vxmesh::step(owed.own.tables, begins, view_.now());
      vxmesh::step(owed.answers, begins, view_.now());
      until_start(host);
      break;
    case ActionKind::FirewallFlushed:
      until_start(host);
      owed.no_firewall = true;
      break;
    case ActionKind::FailFirewall:
      vxmesh::step(owed.firewall, begins, in(budget::kFirewall));
      break;
    default: break;
  }
}

}  // namespace vxmesh
