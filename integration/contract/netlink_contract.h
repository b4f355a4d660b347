// What the bodies of the contract of ports/netlink.h share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string_view>
#include <vector>

#include "integration/contract/contract_world.h"
#include "model/ownership.h"

namespace vxmesh {

inline constexpr IfIndex kLoopback{1};
inline constexpr IfIndex kNoSuchDevice{4242};

// Parsed text of which the test is sure.
[[nodiscard]] IpAddress ip(std::string_view text);
[[nodiscard]] IpPrefix cidr(std::string_view text);
[[nodiscard]] MacAddress mac(std::string_view text);

// A refusal with exactly that errno and extended ack.
[[nodiscard]] OpResult refused(int error_number, const std::string& extended_ack = "");
[[nodiscard]] OpResult done();

// How failures show values.
void PrintTo(const OpDone& result, std::ostream* out);
void PrintTo(const OpUnknown& result, std::ostream* out);
void PrintTo(const KernelChange& change, std::ostream* out);
void PrintTo(const Overrun& overrun, std::ostream* out);
void PrintTo(const Miss& miss, std::ostream* out);
void PrintTo(const Link& row, std::ostream* out);
void PrintTo(const IfAddress& row, std::ostream* out);
void PrintTo(const Route& row, std::ostream* out);
void PrintTo(const FdbEntry& row, std::ostream* out);
void PrintTo(const Neighbour& row, std::ostream* out);

class NetlinkContract : public ::testing::Test {
 protected:
  void SetUp() override { enter({}); }
  // A fresh world, in place of the one that there is.
  void enter(const ContractWorldOptions& options);

  [[nodiscard]] Netlink& netlink() { return world_->netlink(); }
  [[nodiscard]] ContractWorld& world() { return *world_; }

  // One operation in a batch of its own.
  OpResult apply(const KernelOp& op);
  // Operations that succeed, in as many batches as it takes.
  void must(const std::vector<KernelOp>& ops);

  // As the tests want it unless they say otherwise: 100.96.1.0's VTEP, down.
  [[nodiscard]] static Link vxlan();
  // Creates vxlan(), or `link`, on a loopback that is up and has its local address.
  IfIndex create_vxlan(const Link& link = vxlan());
  // The same, up, with the base address and parameters that make resolution ask us.
  IfIndex create_overlay_device();

  [[nodiscard]] Link link(IfIndex device);
  // A dump from start to end; `steps`, if not null, is told how many had rows.
  [[nodiscard]] std::vector<KernelReport> dump(Table table, std::optional<IfIndex> device = {},
                                               int* steps = nullptr);
  // The rows of a dump of the device that are of the type; link-local and multicast ones, which
  // the kernel makes by itself, left out.
  [[nodiscard]] std::vector<Route> routes(IfIndex device);
  [[nodiscard]] std::vector<Route> routes_to(const IpPrefix& destination);
  [[nodiscard]] std::vector<IfAddress> addresses(IfIndex device);
  [[nodiscard]] std::vector<FdbEntry> fdb(IfIndex device);
  [[nodiscard]] std::vector<Neighbour> neighbours(IfIndex device);

  // Everything that there is to take.
  [[nodiscard]] std::vector<KernelEvent> take_all_events();
  [[nodiscard]] std::vector<Miss> take_all_misses();

 private:
  std::unique_ptr<ContractWorld> world_;
};

}  // namespace vxmesh
