// The tables between two steps, as the generator, coverage and unsuited() look at them.
#pragma once

#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/kernel/record.h"

namespace vxmesh::fidelity {

// Points into the records that it was made of, which must outlive it. In their order.
struct StateView {
  explicit StateView(const std::vector<Record>& tables);

  std::vector<const LinkRecord*> links;
  std::vector<const AddressRecord*> addresses;
  std::vector<const RouteRecord*> routes;
  std::vector<const FdbRecord*> fdb;
  std::vector<const NeighbourRecord*> neighbours;

  // Null if there is none.
  [[nodiscard]] const LinkRecord* record(IfIndex index) const;
  [[nodiscard]] const Link* link(IfIndex index) const;
  [[nodiscard]] const Link* link(std::string_view name) const;
  [[nodiscard]] const NeighbourRecord* neighbour(IfIndex device, const IpAddress& address) const;
  [[nodiscard]] std::vector<const FdbRecord*> fdb_of(IfIndex device, const MacAddress& mac) const;
  // The route that a datagram to `address` takes: local table first, longest prefix, least metric.
  [[nodiscard]] const RouteRecord* route_to(const IpAddress& address) const;
};

}  // namespace vxmesh::fidelity
