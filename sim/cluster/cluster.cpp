#include "sim/cluster/cluster.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/cluster/member.h"
#include "sim/cluster/recording.h"
#include "sim/world/digest.h"

namespace vxmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Hosts boot and agents start within this time.
constexpr Duration kBoot = milliseconds(500);

// The name under which a step draws, so that another step more or less changes nothing for it.
std::string label_of(const Step& step) {
  std::string label(rule_of(step.action.kind).name);
  for (const std::string& target : step.action.targets) {
    label += "/" + target;
  }
  return label + "@" + std::to_string(step.at.count());
}

// Of what it says, not of where it stands.
std::uint64_t payload_of(const Step& step) {
  return digest_of(step.at, step.lasts, step.action);
}

// Changes nothing before something comes that it is about: a packet, a request, an operation.
bool waits(ActionKind kind) {
  switch (kind) {
    case ActionKind::CrashAtOperation:
    case ActionKind::CrashAtEvent:
    case ActionKind::LoseEvents:
    case ActionKind::LoseAnswers:
    case ActionKind::FailOperations:
    case ActionKind::FailSomeOperations:
    case ActionKind::InterruptDumps:
    case ActionKind::FailDumps:
    case ActionKind::TearDumps:
    case ActionKind::FailFirewall:
    case ActionKind::ForeignUnderWay: return true;
    case ActionKind::ApiCompact:
    case ActionKind::ApiStale: return false;
    default: {
      const ActionCategory category = rule_of(kind).category;
      return category == ActionCategory::Network || category == ActionCategory::Api;
    }
  }
}

bool is_of_device(ActionKind kind) {
  switch (kind) {
    case ActionKind::ForeignFdb:
    case ActionKind::ForeignNeighbour:
    case ActionKind::DeviceDown:
    case ActionKind::DeviceDeleted:
    case ActionKind::DeviceRenamed:
    case ActionKind::DeviceMac:
    case ActionKind::DeviceMtu:
    case ActionKind::DeviceLocal:
    case ActionKind::AddressRemoved:
    case ActionKind::ParametersReverted: return true;
    default: return false;
  }
}

}  // namespace

Cluster::Cluster(ClusterOptions options)
    : options_(std::move(options)), prng_(options_.seed, &trace_), injector_(options_.injection) {
  fabric_.set_tap([this](HostNumber from, const EthernetFrame& frame) {
    const Host& host = by_number_.at(from)->host();
    tell([&](ClusterObserver& observer) { observer.on_frame(host, frame); });
  });
}

Cluster::~Cluster() = default;

void Cluster::start() {
  for (const NodeSpec& node : options_.spec.nodes) {
    add_member(node);
    add_object(node);
  }
  for (const PodSpec& pod : options_.spec.pods) {
    add_pod(pod.name, pod.node, pod.address);
  }
  settle();
}

// --- Time ---

void Cluster::run_until(MonotonicTime end, const std::function<bool()>& over) {
  while (world_.next_deadline() && *world_.next_deadline() <= end) {
    world_.run_one();
    ++events_;
    settle();
    if (over()) {
      return;
    }
  }
  world_.run_until(end);
}

void Cluster::at(MonotonicTime time, std::function<void()> callback) {
  world_.timer(time - world_.now(), std::move(callback));
}

void Cluster::touched(Member& member) {
  if (!member.touched) {
    member.touched = true;
    touched_.push_back(&member);
  }
}

void Cluster::settle() {
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    touched_[i]->touched = false;
    touched_[i]->settle();
  }
  touched_.clear();
  gone_.clear();
  tell([](ClusterObserver& observer) { observer.on_settled(); });
}

// --- Who is there ---

std::vector<Host*> Cluster::hosts() const {
  std::vector<Host*> hosts;
  for (const auto& [name, member] : members_) {
    hosts.push_back(&member->host());
  }
  return hosts;
}

Host* Cluster::host(const std::string& name) const {
  const auto place = members_.find(name);
  return place == members_.end() ? nullptr : &place->second->host();
}

Host* Cluster::host_at(const IpAddress& ip) const {
  const auto place = by_ip_.find(ip);
  return place == by_ip_.end() ? nullptr : &place->second->host();
}

AgentProcess* Cluster::process(const std::string& host) const {
  const auto place = members_.find(host);
  return place == members_.end() ? nullptr : place->second->process();
}

Host* Cluster::host_of_pod(const IpAddress& address) const {
  const auto place = pod_hosts_.find(address);
  return place == pod_hosts_.end() ? nullptr : &place->second->host();
}

bool Cluster::agent_runs(const std::string& host) const {
  return process(host) != nullptr;
}

bool Cluster::agent_idle(const std::string& host) const {
  const AgentProcess* found = process(host);
  return found == nullptr || (found->loop().idle() && !found->loop().paused());
}

Member& Cluster::member(const std::string& name) const {
  return *members_.at(name);
}

// A node comes with its network: whoever had the address before is not there any more.
void Cluster::add_member(const NodeSpec& node) {
  check(!members_.contains(node.name), "a node joins once");
  auto made = std::make_unique<Member>(*this, node, next_host_++);
  Member& member = *made;
  members_.emplace(node.name, std::move(made));
  by_ip_[node.ip] = &member;
  by_number_.emplace(member.host().number(), &member);
  tell([&](ClusterObserver& observer) { observer.on_host(member.host(), true); });
  touched(member);
  Prng boot = prng_.split("boot/" + node.name);
  const HostNumber number = member.host().number();
  at(now() + boot.between(Duration{}, kBoot), [this, name = node.name, number] {
    const auto place = members_.find(name);
    const bool still = place != members_.end() && place->second->host().number() == number;
    if (still && place->second->process() == nullptr && !place->second->restarts()) {
      place->second->start_agent();
    }
  });
}

void Cluster::remove_member(const std::string& name) {
  const auto place = members_.find(name);
  if (place == members_.end()) {
    return;
  }
  Member& member = *place->second;
  remove_pods_of(name);
  tell([&](ClusterObserver& observer) { observer.on_host(member.host(), false); });
  member.kill_agent({});
  fabric_.detach(member.host().number());
  std::erase_if(by_ip_, [&](const auto& entry) { return entry.second == &member; });
  by_number_.erase(member.host().number());
  member.touched = true;  // nobody settles it any more
  std::erase(touched_, &member);
  gone_.push_back(std::move(place->second));
  members_.erase(place);
}

void Cluster::restart_agent(const std::string& host) {
  if (!members_.contains(host)) {
    return;
  }
  Member& found = member(host);
  if (found.process() != nullptr) {
    found.kill_agent(milliseconds(200));
  } else if (!found.restarts()) {
    found.start_agent();
  }
}

// --- The API ---

std::int64_t Cluster::wall_seconds() const {
  return clock_.wall().since_epoch / seconds(1);
}

void Cluster::add_object(const NodeSpec& node) {
  const std::string uid = "uid-" + node.name + "-" + std::to_string(++objects_made_);
  write(node.name, Node{.name = node.name,
                        .uid = uid,
                        .created_s = wall_seconds(),
                        .pod_cidrs = {node.pod_cidr},
                        .addresses = {{.type = NodeAddressType::InternalIp, .address = node.ip}}});
}

void Cluster::write(const std::string& name, std::optional<NodeOrRejection> payload) {
  const bool known = store_.get(name).has_value();
  if (!payload) {
    if (!known) {
      return;
    }
    check(store_.remove(name).has_value(), "an object that is there can be removed");
  } else if (known) {
    check(store_.update(name, *payload).has_value(), "an object that is there can be changed");
  } else {
    check(store_.create(name, *payload).has_value(), "a new object can be made");
  }
  if (payload) {
    nodes_.insert_or_assign(name, *payload);
  } else {
    nodes_.erase(name);
  }
  const std::uint64_t revision = parse_revision(store_.resource_version()).value();
  trace_.record(now(), kWorld, TraceKind::Write, digest_of(name, revision, payload), [&] {
    return name + (payload ? known ? " changes" : " is made" : " is deleted") + ", revision " +
           std::to_string(revision);
  });
  tell([&](ClusterObserver& observer) {
    observer.on_written(revision, name, payload ? &*payload : nullptr);
  });
}

void Cluster::heartbeat(const std::string& node) {
  if (store_.get(node)) {
    check(store_.touch(node).has_value(), "an object that is there can be touched");
    trace_.cover(kWorld, TraceKind::Write, digest_of(node, store_.revision()));
  }
}

// --- Pods ---

void Cluster::add_pod(const std::string& name, const std::string& node, const IpAddress& address) {
  if (pods_.contains(name) || pod_hosts_.contains(address) || !members_.contains(node)) {
    return;
  }
  Member& runs_on = member(node);
  if (!runs_on.host().pod_cidr().contains(address)) {
    return;  // the node has another PodCIDR by now
  }
  pod_list_.clear();
  pods_.emplace(name, PodSpec{.name = name, .node = node, .address = address});
  pod_hosts_.emplace(address, &runs_on);
  runs_on.host().add_pod(address);
}

void Cluster::remove_pod(const std::string& name) {
  const auto place = pods_.find(name);
  if (place == pods_.end()) {
    return;
  }
  const IpAddress address = place->second.address;
  pod_list_.clear();
  pod_hosts_.at(address)->host().remove_pod(address);
  pod_hosts_.erase(address);
  pods_.erase(place);
}

void Cluster::remove_pods_of(const std::string& node) {
  const std::map<std::string, PodSpec> pods = pods_;
  for (const auto& [name, pod] : pods) {
    if (pod.node == node) {
      remove_pod(name);
    }
  }
}

const std::vector<const PodSpec*>& Cluster::pod_list() {
  if (pod_list_.empty()) {
    for (const auto& [name, pod] : pods_) {
      pod_list_.push_back(&pod);
    }
  }
  return pod_list_;
}

void Cluster::send(const PodPacket& packet) {
  const auto place = pod_hosts_.find(packet.from);
  if (place == pod_hosts_.end()) {
    return;
  }
  Host& host = place->second->host();
  tell([&](ClusterObserver& observer) { observer.on_sent(host, packet); });
  host.send(packet);
}

// --- Steps ---

void Cluster::apply(const Step& step) {
  happen(step);
  settle();
}

void Cluster::happen(const Step& step) {
  trace_.record(now(), kWorld, TraceKind::Fault, payload_of(step), [&] { return describe(step); });
  const ActionRule& rule = rule_of(step.action.kind);
  if (step.lasts) {
    begin(step);
  } else {
    tell([&](ClusterObserver& observer) { observer.on_step(step, true); });
    if (!waits(step.action.kind) && has_target(step.action)) {
      effect(step.action.kind);
    }
    switch (rule.category) {
      case ActionCategory::Cluster: do_cluster(step); break;
      case ActionCategory::Process: do_process(step); break;
      case ActionCategory::Kernel: do_kernel(step); break;
      case ActionCategory::Api: store_.compact(); break;  // the only one that does not last
      case ActionCategory::Network: check(false, "what goes wrong on a network lasts");
    }
  }
}

void Cluster::do_cluster(const Step& step) {
  const Action& action = step.action;
  const std::string name = action.targets.empty() ? "" : action.targets.front();
  switch (action.kind) {
    case ActionKind::AddNode: {
      const NodeSpec node{.name = name, .ip = *action.ip, .pod_cidr = *action.pod_cidr};
      // Two machines of one address cannot be on one network.
      if (!members_.contains(name) && !by_ip_.contains(node.ip)) {
        add_member(node);
        add_object(node);
      }
      break;
    }
    case ActionKind::DeleteNode:
      write(name, {});
      remove_member(name);
      break;
    case ActionKind::DeleteNodeObject: write(name, {}); break;
    case ActionKind::ReplaceNodeObject:
    case ActionKind::RestoreNodeObject:
      if (Host* found = host(name)) {
        write(name, {});
        add_object({.name = name, .ip = found->ip(), .pod_cidr = found->pod_cidr()});
      }
      break;
    case ActionKind::ChangeNode: change_node(action); break;
    case ActionKind::SwapAddresses: swap_addresses(name, action.targets.at(1)); break;
    case ActionKind::HostileNode: add_hostile_node(action); break;
    case ActionKind::AddPod: add_pod(name, action.node, *action.address); break;
    case ActionKind::DeletePod: remove_pod(name); break;
    case ActionKind::MovePod:
      if (pods_.contains(name)) {
        remove_pod(name);
        add_pod(name, action.node, *action.address);
      }
      break;
    case ActionKind::Scan: scan(action); break;
    case ActionKind::Storm: storm(action); break;
    case ActionKind::RollingUpgrade: upgrade_all(action.delay); break;
    default: check(false, "the action is one of the cluster's");
  }
}

void Cluster::change_node(const Action& action) {
  const std::string& name = action.targets.front();
  Host* found = host(name);
  const auto object = nodes_.find(name);
  const Node* node = object == nodes_.end() ? nullptr : std::get_if<Node>(&object->second);
  if (found == nullptr || node == nullptr) {
    return;
  }
  Node changed = *node;
  if (action.ip) {
    std::erase_if(by_ip_, [&](const auto& entry) { return &entry.second->host() == found; });
    found->change_ip(*action.ip);
    by_ip_[*action.ip] = &member(name);
    changed.addresses = {{.type = NodeAddressType::InternalIp, .address = *action.ip}};
  }
  if (action.pod_cidr) {
    remove_pods_of(name);
    found->change_pod_cidr(*action.pod_cidr);
    changed.pod_cidrs = {*action.pod_cidr};
  }
  tell([&](ClusterObserver& observer) { observer.on_host_changed(*found); });
  write(name, changed);
}

void Cluster::spoil_object(const std::string& name, bool on) {
  const auto object = nodes_.find(name);
  if (object == nodes_.end()) {
    return;
  }
  if (const auto* node = std::get_if<Node>(&object->second); node != nullptr && on) {
    spoiled_.insert_or_assign(name, *node);
    write(name, NodeRejection{.name = name, .uid = node->uid, .reason = "spec is not an object"});
  } else if (node == nullptr && !on && spoiled_.contains(name)) {
    write(name, spoiled_.at(name));
  }
}

void Cluster::swap_addresses(const std::string& a, const std::string& b) {
  const Host* first = host(a);
  const Host* second = host(b);
  const auto has_node = [this](const std::string& name) {
    const auto object = nodes_.find(name);
    return object != nodes_.end() && std::holds_alternative<Node>(object->second);
  };
  // One alone would leave two machines with one address, which cannot be on one network.
  if (first == nullptr || second == nullptr || !has_node(a) || !has_node(b)) {
    return;
  }
  const IpAddress ip_of_first = first->ip();
  const IpAddress ip_of_second = second->ip();
  Action change{.kind = ActionKind::ChangeNode, .targets = {a}, .ip = ip_of_second};
  change_node(change);
  change.targets = {b};
  change.ip = ip_of_first;
  change_node(change);
}

void Cluster::add_hostile_node(const Action& action) {
  const std::string& name = action.targets.front();
  const auto victim = members_.empty() ? nullptr : &members_.begin()->second->host();
  Node node{.name = name,
            .uid = "uid-" + name + "-" + std::to_string(++objects_made_),
            .created_s = wall_seconds(),
            .pod_cidrs = {IpPrefix::containing(address_at(options_.spec.overlay, 0x000ff000), 24)},
            .addresses = {{.type = NodeAddressType::InternalIp,
                           .address = IpAddress::v4(0xac14fffe)}}};  // 172.20.255.254
  switch (action.amount) {
    case 0:
      node.pod_cidrs = {victim != nullptr ? victim->pod_cidr() : node.pod_cidrs.front()};
      break;
    case 1: node.pod_cidrs = {IpPrefix::parse("198.51.100.0/24").value()}; break;
    case 2: node.addresses.front().address = IpAddress::v4(0xe0000001); break;  // 224.0.0.1
    case 3: node.addresses.front().address = victim != nullptr ? victim->ip() : IpAddress{}; break;
    default:
      write(name, NodeRejection{.name = name, .uid = node.uid, .reason = "spec is not an object"});
      return;
  }
  write(name, node);
}

void Cluster::scan(const Action& action) {
  const auto pod = pods_.find(action.targets.front());
  if (pod == pods_.end()) {
    return;
  }
  const IpAddress from = pod->second.address;
  Prng drawn = prng_.split("scan/" + pod->first + "@" + std::to_string(now().since_start.count()));
  const std::vector<Host*> all = hosts();
  for (std::uint64_t i = 0; i < action.amount; ++i) {
    const bool in_a_pod_cidr = drawn.chance(1, 2);
    const std::uint64_t which = drawn.below(all.size());
    const std::uint64_t place = drawn.below(in_a_pod_cidr ? 200 : 1U << 20U);
    const IpAddress to = in_a_pod_cidr
                             ? address_at(all[which]->pod_cidr(), static_cast<std::uint32_t>(place))
                             : address_at(options_.spec.overlay, static_cast<std::uint32_t>(place));
    if (!pod_hosts_.contains(to)) {
      send({.from = from, .to = to, .number = 0});
    }
  }
}

void Cluster::storm(const Action& action) {
  const auto pod = pods_.find(action.targets.front());
  if (pod == pods_.end()) {
    return;
  }
  for (std::uint64_t i = 0; i < action.amount; ++i) {
    for (const auto& [name, other] : pods_) {
      if (name != pod->first) {
        send({.from = pod->second.address, .to = other.address, .number = 0});
      }
    }
  }
}

void Cluster::upgrade_all(Duration apart) {
  Duration when{};
  for (const auto& [name, found] : members_) {
    at(now() + when, [this, name = name] { restart_agent(name); });
    when += apart;
  }
}

void Cluster::do_process(const Step& step) {
  const Action& action = step.action;
  const auto place = members_.find(action.targets.front());
  if (place == members_.end()) {
    return;
  }
  Member& target = *place->second;
  switch (action.kind) {
    case ActionKind::Kill: target.kill_agent(action.delay); break;
    case ActionKind::CrashAtOperation:
      target.crash_at_operation(action.amount, action.delay);
      break;
    case ActionKind::CrashAtEvent: target.crash_at_event(action.amount, action.delay); break;
    case ActionKind::ClockStep: target.host().clock().step_wall(action.delay); break;
    case ActionKind::Upgrade:
      target.kill_agent(action.delay);
      put_in_place(target.host(), releases().at(action.amount));
      break;
    default: check(false, "the action is one of a process");
  }
}

// --- Faults that last ---

void Cluster::begin(const Step& step) {
  const std::uint64_t id = next_fault_++;
  Fault& fault =
      faults_.emplace(id, Fault{.step = step, .rule = {}, .prng = prng_.split(label_of(step))})
          .first->second;
  tell([&](ClusterObserver& observer) { observer.on_step(step, true); });
  if (rule_of(step.action.kind).category == ActionCategory::Network) {
    fault.rule = network_rule(fault);
  }
  if (!waits(step.action.kind) && has_target(step.action)) {
    met(fault);
  }
  set_state(step, true);
  if (interrupt_api(step, true)) {
    met(fault);
  }
  at(now() + *step.lasts, [this, id] { end(id); });
}

void Cluster::met(Fault& fault) {
  if (!std::exchange(fault.met, true)) {
    effect(fault.step.action.kind);
  }
}

bool Cluster::has_target(const Action& action) const {
  const ActionCategory category = rule_of(action.kind).category;
  const bool is_of_host = category == ActionCategory::Process || category == ActionCategory::Kernel;
  if (!is_of_host || action.targets.empty()) {
    return true;
  }
  const Host* target = host(action.targets.front());
  return target != nullptr && (!is_of_device(action.kind) || target->device() != IfIndex{});
}

void Cluster::end(std::uint64_t id) {
  const auto place = faults_.extract(id);
  if (place.empty()) {
    return;  // it was healed
  }
  const Step& step = place.mapped().step;
  trace_.record(now(), kWorld, TraceKind::Fault, ~payload_of(step),
                [&] { return "over: " + describe(step); });
  set_state(step, false);
  (void)interrupt_api(step, false);
  tell([&](ClusterObserver& observer) { observer.on_step(step, false); });
}

void Cluster::heal_network() {
  for (auto fault = faults_.begin(); fault != faults_.end();) {
    const std::uint64_t id = fault->first;
    const ActionKind kind = fault->second.step.action.kind;
    ++fault;  // before end() takes it out
    if (rule_of(kind).category == ActionCategory::Network ||
        kind == ActionKind::NeighbourTableFull) {
      end(id);
    }
  }
}

void Cluster::heal() {
  while (!faults_.empty()) {
    end(faults_.begin()->first);
  }
  for (const auto& [name, found] : members_) {
    found->write_at(std::nullopt);
    found->disarm();
    if (found->process() == nullptr) {
      restart_agent(name);
    }
  }
  settle();
}

// What a lasting step sets on its host or on the API servers, and takes back at its end.
void Cluster::set_state(const Step& step, bool on) {
  const Action& action = step.action;
  const bool is_of_api = action.targets.empty() || action.targets.front() == "api";
  if (action.kind == ActionKind::ApiStale && is_of_api) {
    const auto count = static_cast<std::int64_t>(servers_.size());
    for (std::int64_t i = 0; i < count; ++i) {
      const Duration lag = action.delay * (i + 1) / count;
      servers_.set_lag(static_cast<std::size_t>(i), on ? lag : Duration{});
    }
  }
  const auto place = is_of_api ? members_.end() : members_.find(action.targets.front());
  if (place == members_.end()) {
    return;
  }
  Host& target = place->second->host();
  switch (action.kind) {
    case ActionKind::SpoilNodeObject: spoil_object(target.name(), on); break;
    case ActionKind::Pause: place->second->pause_agent(on); break;
    case ActionKind::ApiStale:
      place->second->set_api_lag(on ? std::optional(action.delay) : std::nullopt);
      break;
    case ActionKind::FailOperations:
      target.kernel_faults().refusal = on ? static_cast<int>(action.amount) : 0;
      break;
    case ActionKind::FailSomeOperations:
      target.kernel_faults().refused = on ? action.amount : 0;
      break;
    case ActionKind::InterruptDumps: target.kernel_faults().interrupts_dumps = on; break;
    case ActionKind::FailDumps: target.kernel_faults().fails_dumps = on; break;
    case ActionKind::TearDumps: target.kernel_faults().torn = on ? action.amount : 0; break;
    case ActionKind::FailFirewall: target.kernel_faults().refuses_firewall = on; break;
    case ActionKind::ForeignPeerRoute: set_peer_route(target, action, on); break;
    case ActionKind::DeviceRenamed: rename_device(target, on); break;
    case ActionKind::UnderlayDown: target.set_underlay(!on); break;
    case ActionKind::UnderlayRenamed: target.rename_underlay(on ? "lan0" : "eth0"); break;
    case ActionKind::UnderlayMtu:
      target.set_underlay_mtu(on ? static_cast<std::uint32_t>(action.amount)
                                 : options_.spec.underlay_mtu);
      break;
    case ActionKind::UnderlayAddressRemoved: target.set_underlay_address(!on); break;
    case ActionKind::NeighbourTableFull: {
      const NeighbourThresholds full{.periodic = 0, .soft = 1, .hard = 1};
      target.machine().neighbours().set_thresholds(Family::V4, on ? full : NeighbourThresholds{});
      break;
    }
    default: break;
  }
}

}  // namespace vxmesh
