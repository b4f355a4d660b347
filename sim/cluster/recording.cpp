#include "sim/cluster/recording.h"

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "model/ownership.h"
#include "sim/kernel/op_requests.h"
#include "sim/kernel/request_text.h"

namespace vxmesh {
namespace {

// Of the device in every recording.
constexpr IfIndex kRecordedDevice{5};

// In an order in which the kernel takes them, and in which no packet goes astray.
std::vector<KernelOp> operations_that_make(const Host& host) {
  const IfIndex device = host.device();
  const NamespaceState& kernel = host.kernel();
  const KernelState tables = kernel.tables(device);
  std::vector<KernelOp> ops{
      CreateVxlan{tables.links.at(device)},
      ChangeLink{.device = device, .rp_filter = kernel.rp_filter(device)},
      SetNeighbourParameters{.device = device,
                             .family = Family::V4,
                             .parameters = kernel.parameters(device, Family::V4).value()}};
  for (const FdbEntry& entry : tables.fdb) {
    ops.emplace_back(ReplaceFdb{entry});
  }
  ops.emplace_back(ChangeLink{.device = device, .up = tables.links.at(device).up});
  for (const IfAddress& address : tables.addresses) {
    if (is_owned(address, device)) {
      ops.emplace_back(ReplaceAddress{address});
    }
  }
  for (const Route& route : tables.routes) {
    if (is_owned(route, device)) {
      ops.emplace_back(ReplaceRoute{route});
    }
  }
  for (const auto& [address, neighbour] : tables.neighbours) {
    if (is_owned(neighbour, device)) {
      ops.emplace_back(ReplaceNeighbour{neighbour});
    }
  }
  return ops;
}

// Whatever device it names is this one.
void bind(rtnl::Request& request, IfIndex device) {
  std::visit(
      [&](auto& named) {
        std::decay_t<decltype(named)>::fields(named, [&](std::string_view name, auto& value) {
          using Value = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<Value, IfIndex>) {
            value = name == "dev" && value != IfIndex{} ? device : value;
          } else if constexpr (std::is_same_v<Value, std::optional<IfIndex>>) {
            value = name == "dev" && value ? device : value;
          }
        });
      },
      request);
}

void remove_overlay(Host& host) {
  if (host.device() != IfIndex{}) {
    host.request(rtnl::DelLink{.device = host.device(), .name = {}});
  }
  for (const Route& route : host.kernel().routes().rows()) {
    if (is_owned(route, IfIndex{})) {
      host.request(to_request(DeleteRoute{route}));
    }
  }
}

}  // namespace

Recording record(const Host& host) {
  Recording recording{.node = {.name = host.name(), .ip = host.ip(), .pod_cidr = host.pod_cidr()}};
  for (const KernelOp& op : operations_that_make(host)) {
    rtnl::Request request = to_request(op);
    bind(request, kRecordedDevice);
    recording.requests.push_back(rtnl::format(request));
  }
  return recording;
}

void put_in_place(Host& host, const Release& release) {
  const Recording* recording = release.recording(host.name());
  check(recording != nullptr, "an upgrade is of a node that was recorded");
  remove_overlay(host);
  for (const std::string& line : recording->requests) {
    rtnl::Request request = rtnl::parse_request(line).value();
    bind(request, host.device());
    host.request(request);
  }
}

}  // namespace vxmesh
