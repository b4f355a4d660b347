#include "integration/contract/netlink_contract.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/check.h"

namespace vxmesh {

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}

IpPrefix cidr(std::string_view text) {
  return IpPrefix::parse(text).value();
}

MacAddress mac(std::string_view text) {
  return MacAddress::parse(text).value();
}

OpResult refused(int error_number, const std::string& extended_ack) {
  return OpDone{.error_number = error_number, .extended_ack = extended_ack};
}

OpResult done() {
  return OpDone{};
}

void PrintTo(const OpDone& result, std::ostream* out) {
  *out << "errno " << result.error_number << " \"" << result.extended_ack << '"';
}

void PrintTo(const OpUnknown&, std::ostream* out) {
  *out << "unknown";
}

void PrintTo(const KernelChange& change, std::ostream* out) {
  *out << (change.kind == KernelChange::Kind::New ? "new " : "deleted ");
  std::visit([out](const auto& row) { PrintTo(row, out); }, change.report.object);
}

void PrintTo(const Overrun&, std::ostream* out) {
  *out << "overrun";
}

void PrintTo(const Miss& miss, std::ostream* out) {
  *out << "miss of " << format(miss.address) << " on #" << miss.device.value;
}

void PrintTo(const Link& row, std::ostream* out) {
  *out << format(row);
}

void PrintTo(const IfAddress& row, std::ostream* out) {
  *out << format(row);
}

void PrintTo(const Route& row, std::ostream* out) {
  *out << format(row);
}

void PrintTo(const FdbEntry& row, std::ostream* out) {
  *out << format(row);
}

void PrintTo(const Neighbour& row, std::ostream* out) {
  *out << format(row);
}

void NetlinkContract::enter(const ContractWorldOptions& options) {
  world_.reset();
  Result<std::unique_ptr<ContractWorld>> world = make_contract_world(options);
  if (!world && world.error().code == ErrorCode::NoPermission) {
    GTEST_SKIP() << world.error().context;
  }
  ASSERT_TRUE(world) << world.error().context;
  world_ = std::move(*world);
}

OpResult NetlinkContract::apply(const KernelOp& op) {
  const std::vector<OpResult> results = netlink().apply(std::span(&op, 1));
  check(results.size() == 1, "every operation has a result");
  return results.front();
}

void NetlinkContract::must(const std::vector<KernelOp>& ops) {
  for (std::size_t begin = 0; begin < ops.size(); begin += Netlink::kMaxBatch) {
    const std::size_t size = std::min(Netlink::kMaxBatch, ops.size() - begin);
    const std::span<const KernelOp> batch = std::span(ops).subspan(begin, size);
    const std::vector<OpResult> results = netlink().apply(batch);
    ASSERT_EQ(results.size(), size);
    for (std::size_t i = 0; i < size; ++i) {
      ASSERT_EQ(results[i], done()) << format(batch[i]);
    }
  }
}

Link NetlinkContract::vxlan() {
  return Link{.name = "vxlan1",
              .mac = mac("00:53:64:60:01:00"),
              .mtu = 1450,
              .group = kOwnLinkGroup,
              .kind = "vxlan",
              .vxlan = VxlanLink{
                  .vni = Vni{1}, .port = 4789, .local = ip("172.20.0.11"), .learning = false}};
}

IfIndex NetlinkContract::create_vxlan(const Link& link) {
  must({ChangeLink{.device = kLoopback, .up = true},
        ReplaceAddress{{.device = kLoopback, .address = *link.vxlan->local, .length = 32}},
        CreateVxlan{link}});
  const auto created = netlink().get_link(link.name);
  check(created.has_value() && created->has_value(), "a created link can be looked up");
  return (*created)->index;
}

IfIndex NetlinkContract::create_overlay_device() {
  const IfIndex device = create_vxlan();
  for (const Family family : {Family::V4, Family::V6}) {
    must({SetNeighbourParameters{
        .device = device,
        .family = family,
        .parameters = {.app_solicit = 3, .ucast_solicit = 0, .mcast_solicit = 0}}});
  }
  must({ChangeLink{.device = device, .up = true}, ReplaceAddress{{.device = device,
                                                                  .address = ip("100.96.1.0"),
                                                                  .length = 12,
                                                                  .no_prefix_route = true}}});
  return device;
}

Link NetlinkContract::link(IfIndex device) {
  for (const KernelReport& report : dump(Table::Links)) {
    if (const Link* row = std::get_if<Link>(&report.object);
        row != nullptr && row->index == device) {
      return *row;
    }
  }
  return {};
}

std::vector<KernelReport> NetlinkContract::dump(Table table, std::optional<IfIndex> device,
                                                int* steps) {
  std::vector<KernelReport> rows;
  std::unique_ptr<DumpCursor> cursor = netlink().dump({.table = table, .device = device});
  int steps_with_rows = 0;
  while (true) {
    Result<DumpCursor::Step> step = cursor->next();
    if (!step && step.error().code == ErrorCode::Interrupted) {
      rows.clear();
      cursor = netlink().dump({.table = table, .device = device});
      continue;
    }
    if (!step) {
      ADD_FAILURE() << step.error().context;
      return {};
    }
    steps_with_rows += step->rows.empty() ? 0 : 1;
    std::move(step->rows.begin(), step->rows.end(), std::back_inserter(rows));
    if (step->finished) {
      break;
    }
  }
  if (steps != nullptr) {
    *steps = steps_with_rows;
  }
  return rows;
}

namespace {

// The rows of one type that `keep` wants.
template <typename Row, typename Keep>
std::vector<Row> select(const std::vector<KernelReport>& reports, const Keep& keep) {
  std::vector<Row> rows;
  for (const KernelReport& report : reports) {
    if (const Row* row = std::get_if<Row>(&report.object); row != nullptr && keep(*row)) {
      rows.push_back(*row);
    }
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace

std::vector<Route> NetlinkContract::routes(IfIndex device) {
  return select<Route>(dump(Table::Routes), [&](const Route& row) {
    return row.device == device && row.table != kRouteTableLocal &&
           !row.destination.base().is_link_local() && !row.destination.base().is_multicast();
  });
}

std::vector<Route> NetlinkContract::routes_to(const IpPrefix& destination) {
  return select<Route>(dump(Table::Routes),
                       [&](const Route& row) { return row.destination == destination; });
}

std::vector<IfAddress> NetlinkContract::addresses(IfIndex device) {
  return select<IfAddress>(dump(Table::Addresses), [&](const IfAddress& row) {
    return row.device == device && !row.address.is_link_local();
  });
}

std::vector<FdbEntry> NetlinkContract::fdb(IfIndex device) {
  return select<FdbEntry>(dump(Table::Fdb, device), [](const FdbEntry&) { return true; });
}

std::vector<Neighbour> NetlinkContract::neighbours(IfIndex device) {
  return select<Neighbour>(dump(Table::Neighbours, device),
                           [](const Neighbour& row) { return !row.address.is_multicast(); });
}

std::vector<KernelEvent> NetlinkContract::take_all_events() {
  std::vector<KernelEvent> all;
  while (true) {
    std::vector<KernelEvent> some = netlink().take_events(1000);
    if (some.empty()) {
      return all;
    }
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
}

std::vector<Miss> NetlinkContract::take_all_misses() {
  std::vector<Miss> all;
  while (true) {
    const std::vector<Miss> some = netlink().take_misses(1000);
    if (some.empty()) {
      return all;
    }
    all.insert(all.end(), some.begin(), some.end());
  }
}

}  // namespace vxmesh
