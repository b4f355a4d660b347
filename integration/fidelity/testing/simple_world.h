// A World of a few rules, for tests of the fuzzer itself: enough to have entries that come, change
// and go, nothing of what makes Linux Linux.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "integration/fidelity/world.h"

namespace vxmesh::fidelity {

class SimpleWorld final : public World {
 public:
  // What a world does wrong, if anything.
  enum class Fault : std::uint8_t { None, DeletedNeighbourStays, FdbReplaceIsSilent };

  explicit SimpleWorld(Fault fault = Fault::None) : fault_(fault) {
    rows_.emplace_back(LinkRecord{.link = {.index = IfIndex{1}, .name = "lo", .mtu = 65536}});
  }

  Reply request(const rtnl::Request& request, Writer writer) override {
    sender_ = PortId{static_cast<std::uint32_t>(writer)};
    return std::visit([&](const auto& kind) { return handle(kind); }, request);
  }
  std::vector<OpDone> batch(std::span<const rtnl::Request> requests, Writer writer) override {
    std::vector<OpDone> answers;
    for (const rtnl::Request& one : requests) {
      answers.push_back(request(one, writer).done);
    }
    return answers;
  }
  std::vector<Record> tables() override {
    std::vector<Record> sorted = rows_;
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }
  std::vector<Notification> notifications() override { return std::exchange(told_, {}); }
  void wait_for_news(Duration /*most*/) override {}
  void advance(Duration /*time*/) override {}
  void set_forwarding(bool /*on*/) override {}
  int send_datagram(const IpAddress& /*to*/) override { return ENETUNREACH; }
  int inject(IfIndex /*device*/, std::span<const std::uint8_t> /*frame*/) override { return 0; }
  void capture(IfIndex /*device*/) override {}
  std::vector<Captured> captured() override { return {}; }

 private:
  static Reply error(int number) {
    return {.done = {.error_number = number, .extended_ack = {}}, .row = {}};
  }

  [[nodiscard]] LinkRecord* link(IfIndex index) {
    for (Record& row : rows_) {
      auto* record = std::get_if<LinkRecord>(&row);
      if (record != nullptr && record->link.index == index) {
        return record;
      }
    }
    return nullptr;
  }

  void tell(Notification::Kind kind, const Record& row) {
    told_.push_back({.kind = kind, .record = row, .sender = sender_});
  }

  // Adds, replaces or refuses by the flags. Rows are of one key if `is_same` says so.
  template <typename Row, typename Same>
  Reply put(std::uint16_t flags, const Row& row, const Same& is_same, bool silent = false) {
    for (Record& there : rows_) {
      auto* record = std::get_if<Row>(&there);
      if (record == nullptr || !is_same(*record)) {
        continue;
      }
      if ((flags & rtnl::kExcl) != 0) {
        return error(EEXIST);
      }
      if ((flags & rtnl::kReplace) != 0 && *record != row) {
        there = row;
        if (!silent) {
          tell(Notification::Kind::New, row);
        }
      }
      return error(0);
    }
    if ((flags & rtnl::kCreate) == 0) {
      return error(ENOENT);
    }
    rows_.emplace_back(row);
    tell(Notification::Kind::New, row);
    return error(0);
  }

  template <typename Row, typename Same>
  Reply take(const Same& is_same, bool stays = false) {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const auto* record = std::get_if<Row>(&rows_[i]);
      if (record != nullptr && is_same(*record)) {
        tell(Notification::Kind::Deleted, rows_[i]);
        if (!stays) {
          rows_.erase(rows_.begin() + static_cast<std::ptrdiff_t>(i));
        }
        return error(0);
      }
    }
    return error(ENOENT);
  }

  Reply handle(const rtnl::NewLink& request) {
    LinkRecord* there = link(request.device);
    if (there == nullptr) {
      if (!request.kind || !request.name || request.device.value != 0 || named(*request.name)) {
        return error(request.kind ? EEXIST : ENODEV);
      }
      LinkRecord made{.link = {.index = IfIndex{next_index_++}, .name = *request.name}};
      constexpr std::array<std::string_view, 3> kKinds{"vxlan", "bridge", "veth"};
      made.link.kind = kKinds[static_cast<std::size_t>(*request.kind)];
      if (*request.kind == rtnl::Kind::Vxlan) {
        made.link.vxlan = VxlanLink{.vni = Vni{request.vni.value_or(0)},
                                    .port = request.port.value_or(0),
                                    .local = request.local};
      }
      rows_.emplace_back(made);
      there = link(made.link.index);
    }
    there->link.up = request.up.value_or(there->link.up);
    there->link.mtu = request.mtu.value_or(there->link.mtu);
    there->link.group = request.group.value_or(there->link.group);
    tell(Notification::Kind::New, *there);
    return error(0);
  }

  [[nodiscard]] bool named(const std::string& name) const {
    return std::any_of(rows_.begin(), rows_.end(), [&](const Record& row) {
      const auto* record = std::get_if<LinkRecord>(&row);
      return record != nullptr && record->link.name == name;
    });
  }

  Reply handle(const rtnl::DelLink& request) {
    if (request.device.value == 1) {
      return error(EOPNOTSUPP);
    }
    return take<LinkRecord>([&](const LinkRecord& row) {
      return row.link.index == request.device || row.link.name == request.name;
    });
  }

  Reply handle(const rtnl::NewAddr& request) {
    if (link(request.device) == nullptr) {
      return error(ENODEV);
    }
    if (request.length > address_bits(request.local.family())) {
      return error(EINVAL);
    }
    const AddressRecord row{
        .address = {.device = request.device, .address = request.local, .length = request.length},
        .flags = request.address_flags.value_or(0),
        .metric = request.metric.value_or(0)};
    return put(request.flags, row, [&](const AddressRecord& there) {
      return there.address.device == request.device && there.address.address == request.local;
    });
  }

  Reply handle(const rtnl::DelAddr& request) {
    return take<AddressRecord>([&](const AddressRecord& there) {
      return there.address.device == request.device && there.address.address == request.local &&
             there.address.length == request.length;
    });
  }

  Reply handle(const rtnl::NewRoute& request) {
    const rtnl::RouteFields& asked = request.route;
    if (asked.length > address_bits(asked.destination.family())) {
      return error(EINVAL);
    }
    if (asked.device && link(*asked.device) == nullptr) {
      return error(ENODEV);
    }
    const RouteRecord row{
        .route = {.destination = IpPrefix::containing(asked.destination, asked.length),
                  .metric = asked.metric.value_or(0),
                  .table = asked.table,
                  .type = static_cast<RouteType>(asked.type),
                  .protocol = asked.protocol,
                  .device = asked.device,
                  .gateway = asked.gateway}};
    const auto is_same = [&](const RouteRecord& there) {
      const bool key = there.route.destination == row.route.destination &&
                       there.route.metric == row.route.metric &&
                       there.route.table == row.route.table;
      const bool beside = (request.flags & (rtnl::kReplace | rtnl::kExcl)) == 0;
      return key && (!beside || (there.route.device == row.route.device &&
                                 there.route.gateway == row.route.gateway));
    };
    return put(request.flags, row, is_same);
  }

  Reply handle(const rtnl::DelRoute& request) {
    const rtnl::RouteFields& asked = request.route;
    if (asked.length > address_bits(asked.destination.family())) {
      return error(EINVAL);
    }
    return take<RouteRecord>([&](const RouteRecord& there) {
      return there.route.destination == IpPrefix::containing(asked.destination, asked.length) &&
             there.route.table == asked.table &&
             (!asked.metric || there.route.metric == *asked.metric);
    });
  }

  static std::optional<MacAddress> mac_of(const std::optional<rtnl::LinkLayer>& lladdr) {
    if (!lladdr || lladdr->bytes.size() != 6) {
      return std::nullopt;
    }
    MacAddress mac;
    std::copy(lladdr->bytes.begin(), lladdr->bytes.end(), mac.bytes.begin());
    return mac;
  }

  Reply handle(const rtnl::NewNeigh& request) {
    if (link(request.device) == nullptr) {
      return error(ENODEV);
    }
    const NeighbourRecord row{.neighbour = {.device = request.device,
                                            .address = request.address,
                                            .lladdr = mac_of(request.lladdr),
                                            .state = request.state,
                                            .flags = request.ntf,
                                            .protocol = request.protocol.value_or(0)}};
    return put(request.flags, row, [&](const NeighbourRecord& there) {
      return there.neighbour.device == request.device && there.neighbour.address == request.address;
    });
  }

  Reply handle(const rtnl::DelNeigh& request) {
    return take<NeighbourRecord>(
        [&](const NeighbourRecord& there) {
          return there.neighbour.device == request.device &&
                 there.neighbour.address == request.address;
        },
        fault_ == Fault::DeletedNeighbourStays);
  }

  Reply handle(const rtnl::NewFdb& request) {
    const std::optional<MacAddress> mac = mac_of(request.lladdr);
    const LinkRecord* device = link(request.device);
    if (!mac || !request.dst || device == nullptr || device->link.kind != "vxlan") {
      return error(EINVAL);
    }
    const bool several = (mac->bytes[0] & 1U) != 0 || *mac == MacAddress{};
    const FdbRecord row{.entry = {.device = request.device,
                                  .mac = *mac,
                                  .dst = request.dst,
                                  .state = request.state,
                                  .flags = request.ntf}};
    return put(
        request.flags, row,
        [&](const FdbRecord& there) {
          return there.entry.device == request.device && there.entry.mac == *mac &&
                 (!several || there.entry.dst == request.dst);
        },
        fault_ == Fault::FdbReplaceIsSilent);
  }

  Reply handle(const rtnl::DelFdb& request) {
    const std::optional<MacAddress> mac = mac_of(request.lladdr);
    return take<FdbRecord>([&](const FdbRecord& there) {
      return there.entry.device == request.device && (!mac || there.entry.mac == *mac);
    });
  }

  Reply handle(const rtnl::SetNeighTable& request) {
    return error(link(request.device) == nullptr ? ENODEV : 0);
  }

  Reply handle(const rtnl::GetNeigh& request) {
    for (const Record& row : rows_) {
      const auto* there = std::get_if<NeighbourRecord>(&row);
      if (there != nullptr && there->neighbour.device == request.device &&
          there->neighbour.address == request.address) {
        return {.done = {}, .row = row};
      }
    }
    return error(ENOENT);
  }

  Reply handle(const rtnl::GetFdb& /*request*/) { return error(ENOENT); }

  Fault fault_;
  std::vector<Record> rows_;
  std::vector<Notification> told_;
  std::uint32_t next_index_ = 2;
  PortId sender_;
};

inline std::unique_ptr<World> make_simple_world(ReachableTime /*reachable*/) {
  return std::make_unique<SimpleWorld>();
}

}  // namespace vxmesh::fidelity
