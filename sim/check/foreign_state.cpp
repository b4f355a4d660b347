#include "sim/check/foreign_state.h"

#include <algorithm>
#include <optional>
#include <variant>

#include "sim/check/reference_model.h"

namespace vxmesh {
namespace {

// fe80::/10. (The kernel makes no IPv4 address by itself.)
bool is_ipv6_link_local(const IpAddress& address) {
  return address.family() == Family::V6 && address.is_link_local();
}

struct MadeByKernel {
  bool operator()(const Link& /*link*/) const { return false; }
  bool operator()(const IfAddress& address) const { return is_ipv6_link_local(address.address); }
  bool operator()(const Route& route) const {
    return route.protocol == kRouteProtocolKernel || route.table == kRouteTableLocal;
  }
  bool operator()(const FdbEntry& /*entry*/) const { return false; }
  bool operator()(const Neighbour& neighbour) const {
    return neighbour.address.is_multicast() || neighbour.state == kNudNone ||
           neighbour.state == kNudIncomplete || neighbour.state == kNudFailed;
  }
};

struct DeviceOf {
  std::optional<IfIndex> operator()(const Link& link) const { return link.index; }
  std::optional<IfIndex> operator()(const Route& route) const { return route.device; }
  std::optional<IfIndex> operator()(const auto& row) const { return row.device; }
};

struct ModelPart {
  KernelObject operator()(const LinkRecord& record) const { return record.link; }
  KernelObject operator()(const AddressRecord& record) const { return record.address; }
  KernelObject operator()(const RouteRecord& record) const { return record.route; }
  KernelObject operator()(const FdbRecord& record) const { return record.entry; }
  KernelObject operator()(const NeighbourRecord& record) const { return record.neighbour; }
};

// The row without what the kernel changes in it; nothing if it may come and go by itself.
struct Lasting {
  std::optional<Record> operator()(const LinkRecord& record) const { return record; }
  std::optional<Record> operator()(AddressRecord record) const {
    if (is_ipv6_link_local(record.address.address)) {
      return std::nullopt;
    }
    record.flags &= ~static_cast<std::uint32_t>(kAddressTentative);
    return record;
  }
  // IPv6 gets its own routes when a link is ready and when an address is no duplicate.
  std::optional<Record> operator()(RouteRecord record) const {
    const Route& route = record.route;
    const IpAddress& base = route.destination.base();
    const bool comes_late =
        route.table == kRouteTableLocal || base.is_multicast() || is_ipv6_link_local(base);
    if (base.family() == Family::V6 && route.protocol == kRouteProtocolKernel && comes_late) {
      return std::nullopt;
    }
    record.nexthop_flags &= static_cast<std::uint32_t>(kNexthopOnlink);
    return record;
  }
  std::optional<Record> operator()(const FdbRecord& record) const {
    const bool stays = (record.entry.state & (kNudPermanent | kNudNoarp)) != 0;
    return stays ? std::optional<Record>(record) : std::nullopt;
  }
  // Garbage collection takes the rest.
  std::optional<Record> operator()(NeighbourRecord record) const {
    Neighbour& neighbour = record.neighbour;
    const bool stays =
        (neighbour.state & kNudPermanent) != 0 || (neighbour.flags & kNtfExtLearned) != 0;
    if (!stays || neighbour.address.is_multicast()) {
      return std::nullopt;
    }
    neighbour.flags &= static_cast<std::uint8_t>(~kNtfRouter);  // routers say so themselves
    record.probes = 0;
    return record;
  }
};

}  // namespace

IfIndex own_device(const NamespaceState& kernel, const std::string& name) {
  const Link* link = kernel.find_link(name);
  return link != nullptr && is_marked_ours(*link) ? link->index : IfIndex{0};
}

bool is_marked_ours(const Link& link) {
  return link.vxlan && link.group == kReferenceLinkGroup;
}

bool is_made_by_kernel(const KernelObject& row) {
  return std::visit(MadeByKernel{}, row);
}

bool is_foreign(const KernelObject& row, IfIndex own_device) {
  const std::optional<IfIndex> device = std::visit(DeviceOf{}, row);
  if (!device) {
    return std::get<Route>(row).protocol != kReferenceProtocol;
  }
  return *device != own_device || own_device == IfIndex{0} || is_made_by_kernel(row);
}

bool is_foreign(const Record& row, IfIndex own_device) {
  return is_foreign(std::visit(ModelPart{}, row), own_device);
}

std::vector<std::string> foreign_rows(const NamespaceState& kernel, IfIndex own_device) {
  std::vector<std::string> texts;
  for (const Record& record : kernel.dump_all()) {
    const KernelObject row = std::visit(ModelPart{}, record);
    const std::optional<IfIndex> device = std::visit(DeviceOf{}, row);
    const bool on_own_device = device && *device == own_device && own_device != IfIndex{0};
    if (on_own_device || !is_foreign(row, own_device)) {
      continue;
    }
    if (const std::optional<Record> lasting = std::visit(Lasting{}, record)) {
      texts.push_back(format(*lasting));
    }
  }
  std::sort(texts.begin(), texts.end());
  return texts;
}

}  // namespace vxmesh
