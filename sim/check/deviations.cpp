#include <algorithm>
#include <utility>

#include "sim/check/foreign_state.h"
#include "sim/check/reference_model.h"

namespace vxmesh {
namespace {

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

// Compares table by table. Rows are given the device's real index, so that they read as the
// kernel's do.
class Comparison {
 public:
  Comparison(const ReferenceState& reference, const NamespaceState& kernel)
      : reference_(reference),
        kernel_(kernel),
        device_(own_device(kernel, reference.device.name)),
        tables_(kernel.tables(device_)) {}

  std::vector<std::string> run() {
    compare_routes();
    if (device_ == IfIndex{0}) {
      const bool taken = find_link(tables_, reference_.device.name) != nullptr;
      report("links", reference_.device.name + (taken ? " is not ours" : " is missing"));
      return std::move(found_);
    }
    compare_device();
    compare_parameters();
    compare_addresses();
    compare_fdb();
    judge_neighbours();
    return std::move(found_);
  }

 private:
  void report(const std::string& table, const std::string& sentence) {
    found_.push_back(reference_.node + " " + table + ": " + sentence);
  }

  void compare_field(const std::string& field, const std::string& is, const std::string& wanted) {
    if (is != wanted) {
      report("links", reference_.device.name + " has " + field + " " + is + ", not " + wanted);
    }
  }

  void compare_device() {
    const Link& is = tables_.links.at(device_);
    const Link& wanted = reference_.device;
    const auto local = [](const VxlanLink& link) {
      return link.local ? format(*link.local) : std::string("none");
    };
    const auto yes_or_no = [](bool value) { return std::string(value ? "on" : "off"); };
    compare_field("MAC", format(is.mac), format(wanted.mac));
    compare_field("MTU", number(is.mtu), number(wanted.mtu));
    compare_field("state", is.up ? "up" : "down", wanted.up ? "up" : "down");
    compare_field("VNI", number(is.vxlan->vni.value), number(wanted.vxlan->vni.value));
    compare_field("port", number(is.vxlan->port), number(wanted.vxlan->port));
    compare_field("local", local(*is.vxlan), local(*wanted.vxlan));
    compare_field("learning", yes_or_no(is.vxlan->learning), yes_or_no(wanted.vxlan->learning));
    compare_field("external", yes_or_no(is.vxlan->external), yes_or_no(wanted.vxlan->external));
    const std::optional<std::uint8_t> rp_filter = kernel_.rp_filter(device_);
    compare_field("rp_filter", rp_filter ? number(*rp_filter) : "none",
                  number(reference_.rp_filter));
  }

  // The kernel asks the agent, and never the tunnel.
  void compare_parameters() {
    for (const Family family : reference_.families) {
      const std::optional<NeighbourParameters> is = kernel_.parameters(device_, family);
      if (!is) {
        report("parameters", "there are none of " + format(family));
      } else if (is->app_solicit == 0 || is->ucast_solicit != 0 || is->mcast_solicit != 0 ||
                 is->mcast_resolicit != 0) {
        report("parameters", format(family) + " has app_solicit " + number(is->app_solicit) +
                                 ", ucast_solicit " + number(is->ucast_solicit) +
                                 ", mcast_solicit " + number(is->mcast_solicit) +
                                 ", mcast_resolicit " + number(is->mcast_resolicit) +
                                 "; only the first may and must be above 0");
      }
    }
  }

  void compare_addresses() {
    std::map<IfAddress, Duty> wanted;
    for (const IfAddress& address : reference_.addresses) {
      wanted.emplace(address, Duty::Required);
    }
    compare("addresses", wanted, tables_.addresses);
  }

  void compare_fdb() { compare("FDB", reference_.fdb, tables_.fdb); }

  // Without the device, those that need none.
  void compare_routes() {
    std::map<Route, Duty> wanted = reference_.routes;
    if (device_ == IfIndex{0}) {
      std::erase_if(wanted, [](const auto& entry) { return entry.first.device.has_value(); });
    }
    compare("routes", wanted, tables_.routes);
  }

  template <typename Row>
  void compare(const std::string& table, const std::map<Row, Duty>& wanted,
               const std::set<Row>& rows) {
    std::set<Row> own;
    for (const Row& row : rows) {
      if (!is_foreign(KernelObject(row), device_)) {
        own.insert(row);
      }
    }
    for (const auto& [unbound, duty] : wanted) {
      Row row = unbound;
      bind(row);
      const bool is_there = own.erase(row) > 0;
      if (!is_there && duty == Duty::Required && !is_in_the_way(row)) {
        report(table, format(row) + " is missing");
      }
    }
    for (const Row& row : own) {
      report(table, "nobody asked for " + format(row));
    }
  }

  void bind(Route& route) const {
    if (route.device) {
      route.device = device_;
    }
  }
  void bind(auto& row) const { row.device = device_; }

  // Of routes of one destination, table and metric the kernel takes one for the other.
  [[nodiscard]] bool is_in_the_way(const Route& wanted) const {
    return std::any_of(tables_.routes.begin(), tables_.routes.end(), [&](const Route& route) {
      return route.destination == wanted.destination && route.table == wanted.table &&
             route.metric == wanted.metric && is_foreign(KernelObject(route), device_);
    });
  }
  [[nodiscard]] static bool is_in_the_way(const auto& /*row*/) { return false; }

  // They come on demand: absence conforms.
  void judge_neighbours() {
    for (const auto& [address, neighbour] : tables_.neighbours) {
      if (is_foreign(KernelObject(neighbour), device_)) {
        continue;
      }
      const std::set<MacAddress> owners = macs_of(address);
      if (owners.empty()) {
        report("neighbours", "nobody owns the address of " + format(neighbour));
      } else if (!neighbour.lladdr || !owners.contains(*neighbour.lladdr)) {
        report("neighbours", format(neighbour) + " should be at " + format(*owners.begin()));
      } else if (neighbour.state != kNudNoarp || neighbour.flags != kNtfExtLearned ||
                 neighbour.protocol != kReferenceProtocol) {
        report("neighbours", format(neighbour) + " should be NOARP, EXT_LEARNED, of protocol " +
                                 number(kReferenceProtocol));
      }
    }
  }

  [[nodiscard]] std::set<MacAddress> macs_of(const IpAddress& address) const {
    std::set<MacAddress> macs;
    for (std::uint8_t length = 0; length <= address_bits(address.family()); ++length) {
      const auto some = reference_.neighbour_macs.find(IpPrefix::containing(address, length));
      if (some != reference_.neighbour_macs.end()) {
        macs.insert(some->second.begin(), some->second.end());
      }
    }
    return macs;
  }

  const ReferenceState& reference_;
  const NamespaceState& kernel_;
  const IfIndex device_;
  const KernelState tables_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> deviations(const ReferenceState& reference, const NamespaceState& kernel) {
  return Comparison(reference, kernel).run();
}

}  // namespace vxmesh
