#include "sim/cluster/recording.h"

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "sim/check/reference_model.h"
#include "sim/kernel/op_requests.h"
#include "sim/kernel/request_text.h"

namespace vxmesh {
namespace {

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
    if (address.device == device && address.address.family() == Family::V4) {
      ops.emplace_back(ReplaceAddress{address});
    }
  }
  for (const Route& route : tables.routes) {
    if (route.protocol == kReferenceProtocol) {
      ops.emplace_back(ReplaceRoute{route});
    }
  }
  for (const auto& [address, neighbour] : tables.neighbours) {
    if (neighbour.protocol == kReferenceProtocol) {
      ops.emplace_back(ReplaceNeighbour{neighbour});
    }
  }
  return ops;
}

// Recorded with another index.
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
    if (route.protocol == kReferenceProtocol) {
      host.request(to_request(DeleteRoute{route}));
    }
  }
}

}  // namespace

std::string record(const Host& host) {
  std::string text =
      "node " + host.name() + " " + format(host.ip()) + " " + format(host.pod_cidr()) + "\n";
  for (const KernelOp& op : operations_that_make(host)) {
    text += rtnl::format(to_request(op)) + "\n";
  }
  return text;
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
