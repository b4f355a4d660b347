#include "integration/fidelity/state_view.h"

#include <tuple>

namespace vxmesh::fidelity {
namespace {

struct Sorter {
  StateView& view;

  void operator()(const LinkRecord& record) const { view.links.push_back(&record); }
  void operator()(const AddressRecord& record) const { view.addresses.push_back(&record); }
  void operator()(const RouteRecord& record) const { view.routes.push_back(&record); }
  void operator()(const FdbRecord& record) const { view.fdb.push_back(&record); }
  void operator()(const NeighbourRecord& record) const { view.neighbours.push_back(&record); }
};

// The less, the sooner the route is taken; routes that lookups never see come last.
auto precedence(const Route& route) {
  const int table = route.table == kRouteTableLocal ? 0 : 1;
  return std::tuple(table, 128 - route.destination.length(), route.metric);
}

}  // namespace

StateView::StateView(const std::vector<Record>& tables) {
  for (const Record& record : tables) {
    std::visit(Sorter{*this}, record);
  }
}

const LinkRecord* StateView::record(IfIndex index) const {
  for (const LinkRecord* record : links) {
    if (record->link.index == index) {
      return record;
    }
  }
  return nullptr;
}

const Link* StateView::link(IfIndex index) const {
  const LinkRecord* found = record(index);
  return found == nullptr ? nullptr : &found->link;
}

const Link* StateView::link(std::string_view name) const {
  for (const LinkRecord* record : links) {
    if (record->link.name == name) {
      return &record->link;
    }
  }
  return nullptr;
}

const NeighbourRecord* StateView::neighbour(IfIndex device, const IpAddress& address) const {
  for (const NeighbourRecord* record : neighbours) {
    if (record->neighbour.device == device && record->neighbour.address == address) {
      return record;
    }
  }
  return nullptr;
}

std::vector<const FdbRecord*> StateView::fdb_of(IfIndex device, const MacAddress& mac) const {
  std::vector<const FdbRecord*> found;
  for (const FdbRecord* record : fdb) {
    if (record->entry.device == device && record->entry.mac == mac) {
      found.push_back(record);
    }
  }
  return found;
}

const RouteRecord* StateView::route_to(const IpAddress& address) const {
  const RouteRecord* best = nullptr;
  for (const RouteRecord* record : routes) {
    const Route& route = record->route;
    const bool is_looked_up = route.table == kRouteTableLocal || route.table == kRouteTableMain;
    if (is_looked_up && route.destination.contains(address) &&
        (best == nullptr || precedence(route) < precedence(best->route))) {
      best = record;
    }
  }
  return best;
}

}  // namespace vxmesh::fidelity
