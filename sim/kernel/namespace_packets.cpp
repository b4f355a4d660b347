// Packets: where the namespace and its data plane meet.
#include <algorithm>

#include "base/check.h"
#include "sim/kernel/namespace_state.h"

namespace vxmesh {

// What the data plane reads, from where it is.
class NamespaceState::Tables final : public NetworkTables {
 public:
  explicit Tables(NamespaceState& state) : state_(state) {}

  NamespaceId id() const override { return state_.id_; }
  const LinkRecord* link(IfIndex device) const override {
    const LinkRow* row = state_.row(device);
    return row == nullptr ? nullptr : &row->record;
  }
  std::vector<IfIndex> devices() const override {
    std::vector<IfIndex> devices;
    for (const auto& [index, row] : state_.links_) {
      devices.push_back(index);
    }
    return devices;
  }
  bool is_running(IfIndex device) const override {
    const LinkRow* row = state_.row(device);
    return row != nullptr && row->link().up && row->carrier;
  }
  std::vector<IfIndex> ports_of(IfIndex bridge) const override { return state_.ports_of(bridge); }
  std::vector<AddressRecord> addresses(IfIndex device, Family family) const override {
    std::vector<AddressRecord> addresses;
    for (const std::size_t place : state_.addresses_of(device, family)) {
      addresses.push_back(state_.addresses_[place].record);
    }
    return addresses;
  }
  bool has_address(const IpAddress& address) const override {
    return std::any_of(state_.addresses_.begin(), state_.addresses_.end(),
                       [&](const AddressRow& row) { return row.address().address == address; });
  }
  bool has_joined(IfIndex device, const IpAddress& group) const override {
    const std::vector<std::size_t> places = state_.addresses_of(device, Family::V6);
    return std::any_of(places.begin(), places.end(), [&](std::size_t place) {
      const AddressRow& row = state_.addresses_[place];
      return row.in_group && solicited_node_group(row.address().address) == group;
    });
  }
  const RouteRecord* route(const RouteTable::Query& query) const override {
    return state_.routes_.lookup(query, {kRouteTableLocal, kRouteTableMain});
  }
  std::uint8_t rp_filter(IfIndex device) const override {
    return state_.rp_filter(device).value_or(0);
  }
  bool had_custom_local_routes() const override { return state_.had_custom_local_routes_; }
  bool forwards() const override { return state_.forwarding_; }
  FdbTable& fdb() override { return state_.fdb_; }
  NeighbourTable& neighbours() override { return state_.host_.neighbours(); }
  NeighbourDevice neighbour_device(IfIndex device) const override {
    std::optional<NeighbourDevice> found = state_.neighbour_device(device);
    check(found.has_value(), "the data plane asks for devices that are there");
    return std::move(*found);
  }
  void take(const NeighbourEffects& effects) override { state_.take(effects); }

 private:
  NamespaceState& state_;
};

std::unique_ptr<NetworkTables> NamespaceState::make_tables() {
  return std::make_unique<Tables>(*this);
}

int NamespaceState::inject(IfIndex device, std::span<const std::uint8_t> frame, MonotonicTime now) {
  run_timers(now);
  const int error = plane_.inject(device, frame, now_);
  publish();
  return error;
}

void NamespaceState::receive(IfIndex device, FramePtr frame, MonotonicTime now) {
  run_timers(now);
  plane_.receive(device, std::move(frame), now_);
  publish();
}

int NamespaceState::send_datagram(const IpAddress& to, MonotonicTime now) {
  run_timers(now);
  const int error = plane_.send_datagram(to, now_);
  publish();
  return error;
}

}  // namespace vxmesh
