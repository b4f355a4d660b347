#include "sim/kernel/namespace_state.h"

#include <algorithm>

#include "base/check.h"
#include "sim/kernel/op_requests.h"

namespace vxmesh {

// One member for each kind of request.
struct NamespaceState::Handler {
  NamespaceState& state;

  KernelReply operator()(const rtnl::NewLink& r) const {
    OpDone done = state.new_link(r);
    state.update_carriers();
    return {std::move(done), {}};
  }
  KernelReply operator()(const rtnl::DelLink& r) const {
    OpDone done = state.del_link(r);
    state.update_carriers();
    return {std::move(done), {}};
  }
  KernelReply operator()(const rtnl::NewAddr& r) const { return {state.new_addr(r), {}}; }
  KernelReply operator()(const rtnl::DelAddr& r) const { return {state.del_addr(r), {}}; }
  KernelReply operator()(const rtnl::NewRoute& r) const { return {state.new_route(r), {}}; }
  KernelReply operator()(const rtnl::DelRoute& r) const { return {state.del_route(r), {}}; }
  KernelReply operator()(const rtnl::NewNeigh& r) const { return {state.new_neigh(r), {}}; }
  KernelReply operator()(const rtnl::DelNeigh& r) const { return {state.del_neigh(r), {}}; }
  KernelReply operator()(const rtnl::NewFdb& r) const { return {state.new_fdb(r), {}}; }
  KernelReply operator()(const rtnl::DelFdb& r) const { return {state.del_fdb(r), {}}; }
  KernelReply operator()(const rtnl::SetNeighTable& r) const {
    return {state.host_.neighbours().set(state.id_, r), {}};
  }
  KernelReply operator()(const rtnl::GetNeigh& r) const { return state.get_neigh(r); }
  KernelReply operator()(const rtnl::GetFdb& r) const { return state.get_fdb(r); }
};

NamespaceState::NamespaceState(std::unique_ptr<KernelHost>&& own, KernelHost* host)
    : own_host_(std::move(own)), host_(*host), id_(host_.join(*this)) {
  LinkRow loopback;
  loopback.record.link = Link{.index = kLoopback, .name = "lo", .mtu = 65536};
  insert_link(std::move(loopback));
}

NamespaceState::NamespaceState(std::unique_ptr<KernelHost> own)
    : NamespaceState(std::move(own), own.get()) {}

NamespaceState::NamespaceState() : NamespaceState(std::make_unique<KernelHost>()) {}

NamespaceState::NamespaceState(KernelHost& host) : NamespaceState(nullptr, &host) {}

// A namespace that goes says nothing to anybody; its neighbours leave the host's tables.
NamespaceState::~NamespaceState() {
  host_.leave(id_);
  NeighbourEffects unheard;
  for (const auto& [index, row] : links_) {
    host_.neighbours().remove_device(id_, index, Family::V4, now_, unheard);
    if (row.speaks_ipv6) {
      host_.neighbours().remove_device(id_, index, Family::V6, now_, unheard);
    }
  }
}

// --- Requests ---

KernelReply NamespaceState::request(const rtnl::Request& request, PortId sender,
                                    MonotonicTime now) {
  run_timers(now);
  caller_ = Caller{.port = sender, .is_request = true};
  KernelReply reply = std::visit(Handler{*this}, request);
  caller_ = Caller{};
  run_dad();
  publish();
  return reply;
}

std::vector<KernelReply> NamespaceState::batch(std::span<const rtnl::Request> requests,
                                               PortId sender, MonotonicTime now) {
  std::vector<KernelReply> replies;
  for (const rtnl::Request& one : requests) {
    replies.push_back(request(one, sender, now));
  }
  return replies;
}

OpDone NamespaceState::execute(const KernelOp& op, MonotonicTime now) {
  return request(to_request(op), kAgent, now).done;
}

OpDone NamespaceState::set_mac(IfIndex device, const MacAddress& mac, MonotonicTime now) {
  rtnl::NewLink request{.device = device};
  request.mac = mac;
  return this->request(request, PortId{2}, now).done;
}

void NamespaceState::set_forwarding(bool on, MonotonicTime now) {
  run_timers(now);
  if (on != forwarding_) {
    forwarding_ = on;
    for (const AddressRow& row : std::vector<AddressRow>(addresses_)) {
      change_anycast(row, on);
    }
  }
  publish();
}

// --- Time ---

std::optional<MonotonicTime> NamespaceState::next_timer() const {
  std::optional<MonotonicTime> next;
  for (const auto& timer : {host_.neighbours().next_timer(), fdb_.next_timer(), next_dad()}) {
    if (timer && (!next || *timer < *next)) {
      next = timer;
    }
  }
  return next;
}

void NamespaceState::run_timers(MonotonicTime now) {
  check(now >= now_, "time never runs backwards");
  for (auto next = next_timer(); next && *next <= now; next = next_timer()) {
    now_ = std::max(now_, *next);
    NeighbourEffects effects;
    host_.neighbours().run_timers(now_, effects);
    take(effects);
    fdb_.run_timers(now_, messages_);
    run_dad();
  }
  now_ = now;
  publish();
}

// --- Reading ---

const Link* NamespaceState::find_link(const std::string& name) const {
  const LinkRow* found = row(name);
  return found == nullptr ? nullptr : &found->link();
}

const Link* NamespaceState::find_link(IfIndex device) const {
  const LinkRow* found = row(device);
  return found == nullptr ? nullptr : &found->link();
}

std::vector<Link> NamespaceState::links_after(IfIndex device, std::size_t max) const {
  std::vector<Link> links;
  for (auto place = links_.upper_bound(device); place != links_.end() && links.size() < max;
       ++place) {
    links.push_back(place->second.link());
  }
  return links;
}

std::vector<IfAddress> NamespaceState::addresses() const {
  std::vector<IfAddress> addresses;
  for (const AddressRow& row : addresses_) {
    addresses.push_back(row.address());
  }
  return addresses;
}

std::optional<std::uint8_t> NamespaceState::rp_filter(IfIndex device) const {
  const LinkRow* link = row(device);
  return link == nullptr ? std::nullopt : std::optional(link->rp_filter);
}

std::vector<Record> NamespaceState::dump_all() const {
  std::vector<Record> rows;
  for (const auto& [index, row] : links_) {
    rows.emplace_back(row.record);
  }
  for (const AddressRow& row : addresses_) {
    rows.emplace_back(row.record);
  }
  for (const RouteRecord& record : routes_.records()) {
    rows.emplace_back(shown(record));
  }
  for (const auto& [index, row] : links_) {
    if (row.link().vxlan) {
      for (const FdbRecord& record : fdb_.rows(index)) {
        rows.emplace_back(record);
      }
    }
  }
  for (const NeighbourReport& report : host_.neighbours().rows(id_, now_)) {
    rows.emplace_back(report.record);
  }
  return rows;
}

KernelState NamespaceState::tables(IfIndex device) const {
  KernelState tables;
  for (const auto& [index, row] : links_) {
    tables.links.emplace(index, row.link());
  }
  for (const AddressRow& row : addresses_) {
    tables.addresses.insert(row.address());
  }
  for (const Route& route : routes_.rows()) {
    tables.routes.insert(route);
  }
  for (const FdbEntry& entry : fdb(device)) {
    tables.fdb.insert(entry);
  }
  for (const Neighbour& neighbour : neighbours(device)) {
    tables.neighbours.emplace(neighbour.address, neighbour);
  }
  return tables;
}

// --- Listening ---

NamespaceState::Subscription NamespaceState::subscribe(Listener listener) {
  auto subscriber = std::make_shared<const Listener>(std::move(listener));
  std::erase_if(listeners_, [](const auto& other) { return other.expired(); });
  listeners_.push_back(subscriber);
  return subscriber;
}

void NamespaceState::tell(Notification::Kind kind, Record record) {
  messages_.push_back(Notification{.kind = kind, .record = std::move(record)});
}

void NamespaceState::publish() {
  if (messages_.empty()) {
    return;
  }
  const KernelMessages messages = std::exchange(messages_, {});
  for (const auto& listener : listeners_) {
    if (const auto alive = listener.lock()) {
      for (const Notification& message : messages) {
        (*alive)(message);
      }
    }
  }
}

}  // namespace vxmesh
