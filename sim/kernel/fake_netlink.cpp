#include "sim/kernel/fake_netlink.h"

#include <algorithm>

#include "base/check.h"

namespace vxmesh {
namespace {

// Walks one table as it is at each step.
class Walk final : public DumpCursor {
 public:
  Walk(const NamespaceState& state, const DumpRequest& request, std::optional<Error> fault)
      : state_(state), request_(request), fault_(std::move(fault)) {
    if (!fault_) {
      ahead_ = read();
    }
  }

  Result<Step> next() override {
    check(!finished_, "a dump that is over is not read on");
    if (fault_) {
      finished_ = true;
      return tl::unexpected(*fault_);
    }
    Step step = std::exchange(ahead_, {});
    finished_ = step.finished;
    if (!finished_) {
      ahead_ = read();
    }
    return step;
  }

 private:
  static constexpr std::size_t kMax = FakeNetlink::kRowsPerStep;

  Step read() {
    Step step;
    switch (request_.table) {
      case Table::Links: add(step, state_.links_after(link_, kMax)); break;
      case Table::Addresses: add(step, addresses()); break;
      case Table::Routes: add(step, routes()); break;
      case Table::Fdb: add(step, state_.fdb_after(device(), shown_, kMax)); break;
      case Table::Neighbours: add_neighbours(step); break;
    }
    shown_ += step.rows.size();
    if (!step.rows.empty() && request_.table == Table::Links) {
      link_ = std::get<Link>(step.rows.back().object).index;
    }
    step.finished = step.rows.size() < kMax;
    return step;
  }

  template <typename Row>
  static void add(Step& step, const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      step.rows.push_back({.object = row, .since_update = {}});
    }
  }

  [[nodiscard]] std::vector<IfAddress> addresses() const {
    const std::vector<IfAddress> all = state_.addresses();
    const std::size_t begin = std::min(shown_, all.size());
    const std::size_t end = std::min(begin + kMax, all.size());
    return {all.begin() + static_cast<std::ptrdiff_t>(begin),
            all.begin() + static_cast<std::ptrdiff_t>(end)};
  }

  [[nodiscard]] std::vector<Route> routes() {
    std::vector<Route> rows;
    for (const RouteRecord& record : state_.routes().rows_after(route_, kMax)) {
      rows.push_back(port_route(record));
    }
    return rows;
  }

  void add_neighbours(Step& step) {
    for (const NeighbourReport& report : state_.neighbours_after(device(), neighbour_, kMax)) {
      step.rows.push_back({.object = report.record.neighbour, .since_update = report.since_update});
      neighbour_ = report.record.neighbour.address;
    }
  }

  [[nodiscard]] IfIndex device() const {
    check(request_.device.has_value(), "FDB and neighbours are dumped for a device");
    return *request_.device;
  }

  const NamespaceState& state_;
  DumpRequest request_;
  std::optional<Error> fault_;
  Step ahead_;  // what the next call gives
  bool finished_ = false;
  std::size_t shown_ = 0;
  IfIndex link_{};
  std::optional<RouteTable::Position> route_;
  std::optional<IpAddress> neighbour_;
};

template <typename T>
std::vector<T> take_front(std::deque<T>& queue, std::size_t max) {
  const auto count = static_cast<std::ptrdiff_t>(std::min(max, queue.size()));
  std::vector<T> taken(queue.begin(), queue.begin() + count);
  queue.erase(queue.begin(), queue.begin() + count);
  return taken;
}

tl::unexpected<Error> no_device(IfIndex device) {
  return fail(ErrorCode::Environment, "no device #" + std::to_string(device.value));
}

}  // namespace

FakeNetlink::FakeNetlink(NamespaceState& state, EventLoop& loop, const Clock& clock,
                         std::size_t queue_limit)
    : state_(state),
      loop_(loop),
      clock_(clock),
      queue_limit_(queue_limit),
      woken_(std::make_shared<bool>(false)),
      subscription_(state.subscribe([this](const Notification& message) { take(message); })) {}

FakeNetlink::~FakeNetlink() = default;

// --- Requests ---

std::vector<OpResult> FakeNetlink::apply(std::span<const KernelOp> ops) {
  check(ops.size() <= kMaxBatch, "a batch is bounded");
  std::vector<OpResult> results;
  results.reserve(ops.size());
  for (const KernelOp& op : ops) {
    results.push_back(run(op));
  }
  return results;
}

OpResult FakeNetlink::run(const KernelOp& op) {
  const std::size_t number = next_operation_++;
  if (before_operation_) {
    before_operation_(number, op);
  }
  const auto fault = faults_.extract(number);
  if (!fault.empty() && !fault.mapped().execute) {
    return fault.mapped().result;
  }
  if (keeps_executed_) {
    executed_.push_back(op);
  }
  OpDone done = state_.execute(op, clock_.monotonic());
  return fault.empty() ? OpResult(done) : fault.mapped().result;
}

std::unique_ptr<DumpCursor> FakeNetlink::dump(const DumpRequest& request) {
  state_.run_timers(clock_.monotonic());
  const auto fault = dump_faults_.extract(request.table);
  return std::make_unique<Walk>(state_, request,
                                fault.empty() ? std::nullopt : std::optional(fault.mapped()));
}

Result<std::optional<Link>> FakeNetlink::get_link(const std::string& name) {
  const Link* link = state_.find_link(name);
  return link == nullptr ? std::nullopt : std::optional(*link);
}

Result<std::optional<FdbEntry>> FakeNetlink::get_fdb(IfIndex device, const MacAddress& mac) {
  const KernelReply reply =
      state_.request(rtnl::GetFdb{.device = device, .ntf = kNtfSelf, .lladdr = mac},
                     NamespaceState::kAgent, clock_.monotonic());
  return reply.row ? std::optional(std::get<FdbRecord>(*reply.row).entry) : std::nullopt;
}

Result<std::optional<Neighbour>> FakeNetlink::get_neighbour(IfIndex device,
                                                            const IpAddress& address) {
  state_.run_timers(clock_.monotonic());
  return state_.find_neighbour(device, address);
}

Result<NeighbourParameters> FakeNetlink::get_neighbour_parameters(IfIndex device, Family family) {
  const std::optional<NeighbourParameters> parameters = state_.parameters(device, family);
  if (!parameters) {
    return no_device(device);
  }
  return *parameters;
}

Result<std::uint8_t> FakeNetlink::get_rp_filter(IfIndex device) {
  const std::optional<std::uint8_t> rp_filter = state_.rp_filter(device);
  if (!rp_filter) {
    return no_device(device);
  }
  return *rp_filter;
}

// --- Messages ---

namespace {

// What the port shows of a row.
struct PortObject {
  KernelObject operator()(const LinkRecord& record) const { return record.link; }
  KernelObject operator()(const AddressRecord& record) const { return record.address; }
  KernelObject operator()(const RouteRecord& record) const { return port_route(record); }
  KernelObject operator()(const FdbRecord& record) const { return record.entry; }
  KernelObject operator()(const NeighbourRecord& record) const { return record.neighbour; }
};

Miss to_miss(const Notification& message) {
  const Neighbour& wanted = std::get<NeighbourRecord>(message.record).neighbour;
  return {.device = wanted.device, .address = wanted.address};
}

KernelChange to_change(const Notification& message) {
  const bool deleted = message.kind == Notification::Kind::Deleted;
  return {.kind = deleted ? KernelChange::Kind::Deleted : KernelChange::Kind::New,
          .report = {.object = std::visit(PortObject{}, message.record),
                     .since_update = message.since_update}};
}

}  // namespace

void FakeNetlink::take(const Notification& message) {
  const bool lost = to_lose_ > 0;
  to_lose_ -= lost ? 1U : 0U;
  if (lost || congested_ || queued() >= queue_limit_) {
    if (!congested_) {
      congested_ = true;
      events_.emplace_front(Overrun{});
    }
  } else if (message.kind == Notification::Kind::Miss) {
    misses_.push_back(to_miss(message));
  } else {
    events_.emplace_back(to_change(message));
  }
  wake();
}

void FakeNetlink::wake() {
  if (*woken_ || !listener_) {
    return;
  }
  *woken_ = true;
  // The loop may outlive this; the flag then has no other owner.
  loop_.post([this, woken = std::weak_ptr<bool>(woken_)] {
    if (!woken.expired() && listener_) {
      listener_();
    }
  });
}

void FakeNetlink::settle() {
  if (queued() == 0) {
    congested_ = false;
    *woken_ = false;
  }
}

std::vector<Miss> FakeNetlink::take_misses(std::size_t max) {
  state_.run_timers(clock_.monotonic());
  std::vector<Miss> taken = take_front(misses_, max);
  settle();
  return taken;
}

std::vector<KernelEvent> FakeNetlink::take_events(std::size_t max) {
  state_.run_timers(clock_.monotonic());
  std::vector<KernelEvent> taken = take_front(events_, max);
  settle();
  return taken;
}

void FakeNetlink::set_listener(std::function<void()> wake) {
  listener_ = std::move(wake);
  if (queued() > 0) {
    this->wake();
  }
}

// --- Faults ---

void FakeNetlink::fail_operation(std::size_t number, int error_number, std::string extended_ack) {
  faults_.insert_or_assign(
      next_operation_ + number,
      Fault{.result = refuse(error_number, std::move(extended_ack)), .execute = false});
}

void FakeNetlink::lose_answer(std::size_t number, Executed executed) {
  faults_.insert_or_assign(next_operation_ + number,
                           Fault{.result = OpUnknown{}, .execute = executed == Executed::Yes});
}

void FakeNetlink::lose_messages(std::size_t count) {
  to_lose_ += count;
}

void FakeNetlink::interrupt_dump(Table table) {
  dump_faults_.insert_or_assign(table, Error{.code = ErrorCode::Interrupted,
                                             .context = format(table) + " changed under the dump"});
}

void FakeNetlink::fail_dump(Table table) {
  dump_faults_.insert_or_assign(table,
                                Error{.code = ErrorCode::Environment,
                                      .context = "dump of " + format(table) + " failed: ENOMEM"});
}

void FakeNetlink::clear_faults() {
  faults_.clear();
  dump_faults_.clear();
  to_lose_ = 0;
}

void FakeNetlink::before_operation(
    std::function<void(std::size_t number, const KernelOp& op)> callback) {
  before_operation_ = std::move(callback);
}

}  // namespace vxmesh
