#include "sim/check/excuses.h"

#include <algorithm>

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

}  // namespace

MonotonicTime Excuses::tables(const Host& host) const {
  const auto place = hosts_.find(host.number());
  if (place == hosts_.end()) {
    return MonotonicTime{Duration(-1)};
  }
  const OfHost& owed = place->second;
  return owed.until_start || owed.node_gone ? Excuse::kForever : owed.tables.until();
}

MonotonicTime Excuses::path(const Host& a, const Host& b) const {
  MonotonicTime until = std::max(tables(a), tables(b));
  for (const Host* host : {&a, &b}) {
    if (const auto place = hosts_.find(host->number()); place != hosts_.end()) {
      until = std::max(until, place->second.network.until());
    }
  }
  const auto between = between_.find(ordered(a.name(), b.name()));
  return between == between_.end() ? until : std::max(until, between->second.until());
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
      if (owed.until_start) {
        owed.until_start = false;
        owed_at_start_.erase(host.name());
        until_served(host);
      }
      break;
    case ProcessChange::Died:
      owed.served = false;
      if (tables(host) > view_.now()) {
        until_served(host);  // what it still owed is for the next one
      }
      break;
    case ProcessChange::Paused: owed.answers.begin(); break;
    case ProcessChange::Resumed: owed.answers.end(in(budget::kChange)); break;
  }
}

// Recovery at the start begins when the API has answered.
void Excuses::on_served(const Host& host, std::uint64_t revision) {
  OfHost& owed = of(host);
  if (owed.node_gone && owed.node_back != 0 && revision >= owed.node_back) {
    owed.node_gone = false;
    owed.tables.last_until(in(budget::kOwnNode));
    owed.no_firewall = owed.no_firewall && owed.until_start;
    owed.firewall.last_until(in(budget::kOwnNode));
  }
  if (owed.served) {
    return;
  }
  owed.served = true;
  owed.answers.last_until(in(budget::kStart));
  if (starting_.erase(host.number()) > 0) {
    owed.tables.end(in(budget::kStart));
    owed.no_firewall = owed.no_firewall && owed.node_gone;  // whose rules they are it cannot know
    owed.firewall.last_until(in(budget::kStart));
  }
}

// The answers to operations were lost: what they were about is tried again after a redump.
void Excuses::on_operation(const Host& host, const KernelOp& /*op*/, const OpResult& result) {
  if (std::holds_alternative<OpUnknown>(result)) {
    OfHost& owed = of(host);
    failure_begins(owed);
    owed.tables.last_until(view_.now() + after_failures(owed));
    owed.answers.last_until(in(budget::kLostMiss));
  }
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
  if (ends.size() == 2) {
    vxmesh::step(between_[ordered(ends[0], ends[1])], begins, in(budget::kNetwork));
  } else if (const Host* host = view_.host(ends.front())) {
    vxmesh::step(of(*host).network, begins, in(budget::kNetwork));
  }
}

void Excuses::failure_begins(OfHost& owed) const {
  if (view_.now() > owed.tables.until()) {
    owed.failing_since = view_.now();
  }
}

// Each pause before the next try is at most twice as long as all before it together.
Duration Excuses::after_failures(const OfHost& owed) const {
  return std::min(budget::kOperations, 2 * (view_.now() - owed.failing_since) + budget::kChange);
}

void Excuses::until_start(const Host& host) {
  OfHost& owed = of(host);
  owed.until_start = true;
  owed_at_start_.insert(host.name());
}

// An agent that knows no Node repairs nothing.
void Excuses::until_served(const Host& host) {
  if (starting_.insert(host.number()).second) {
    of(host).tables.begin();
  }
}

void Excuses::kernel_step(const Step& step, bool begins, const Host& host) {
  OfHost& owed = of(host);
  switch (step.action.kind) {
    case ActionKind::FailOperations:
      if (begins) {
        failure_begins(owed);
      }
      vxmesh::step(owed.tables, begins, view_.now() + after_failures(owed));
      vxmesh::step(owed.answers, begins, in(budget::kLostMiss));
      break;
    case ActionKind::InterruptDumps:
      vxmesh::step(owed.tables, begins, in(budget::kDumps));
      vxmesh::step(owed.answers, begins, in(budget::kDumps));
      break;
    case ActionKind::ForeignFdb:
    case ActionKind::ForeignNeighbour:
      if (!view_.agent_runs(host.name())) {
        until_start(host);
      } else if (!owed.served) {
        until_served(host);
      }
      owed.tables.last_until(in(budget::kChange));
      owed.answers.last_until(in(budget::kChange));
      break;
    case ActionKind::UnderlayDown:
    case ActionKind::NeighbourTableFull:
      vxmesh::step(owed.network, begins, in(budget::kNetwork));
      vxmesh::step(owed.answers, begins, in(budget::kNetwork));
      break;
    case ActionKind::DeviceDown:
    case ActionKind::DeviceDeleted:
    case ActionKind::DeviceRenamed:
    case ActionKind::DeviceMac:
    case ActionKind::DeviceMtu:
    case ActionKind::DeviceLocal:
    case ActionKind::AddressRemoved:
    case ActionKind::ParametersReverted: until_start(host); break;
    case ActionKind::FirewallFlushed:
      until_start(host);
      owed.no_firewall = true;
      break;
    default: break;
  }
}

}  // namespace vxmesh
