// The kernel's tables through rtnetlink, on libnl-3.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>

#include "adapters/libnl/message.h"
#include "ports/netlink.h"

namespace vxmesh {

// NOTE: Sockets. One for requests, on which answers are read only without waiting, because
// rtnetlink answers inside sendmsg; one for each dump, because the kernel runs one dump a socket;
// one for events, registered with the io_context.
//
// NOTE: Ownership. Destroy it before the io_context. The sockets are those of the network namespace
// that the calling thread is in.
//
// NOTE: Kernel limits that show. Deleting a route of metric 0 takes the first of its destination,
// table, type, scope, protocol, device and gateway, whatever its metric (fib_table_delete). An IPv6
// route that was written with metric 0 has metric 1024, and every IPv6 route has scope 0.
class NetlinkLibnl : public Netlink {
 public:
  struct Options {
    // Of the event socket, in bytes: about 10,000 changes. The default of 208 KiB loses misses.
    std::size_t receive_buffer = std::size_t{8} * 1024 * 1024;
    std::size_t max_events = 65536;
    std::size_t max_misses = 16384;
  };

  // Events count from here on. Fails if the process may not open sockets, or without
  // NETLINK_GET_STRICT_CHK (Linux 4.20).
  [[nodiscard]] static Result<std::unique_ptr<NetlinkLibnl>> open(boost::asio::io_context& context,
                                                                  const Options& options);
  ~NetlinkLibnl() override;

  [[nodiscard]] std::vector<OpResult> apply(std::span<const KernelOp> ops) override;
  [[nodiscard]] std::unique_ptr<DumpCursor> dump(const DumpRequest& request) override;
  [[nodiscard]] Result<std::optional<Link>> get_link(const std::string& name) override;
  [[nodiscard]] Result<std::optional<FdbEntry>> get_fdb(IfIndex device,
                                                        const MacAddress& mac) override;
  [[nodiscard]] Result<std::optional<Neighbour>> get_neighbour(IfIndex device,
                                                               const IpAddress& address) override;
  [[nodiscard]] Result<NeighbourParameters> get_neighbour_parameters(IfIndex device,
                                                                     Family family) override;
  [[nodiscard]] Result<std::uint8_t> get_rp_filter(IfIndex device) override;
  [[nodiscard]] std::vector<Miss> take_misses(std::size_t max) override;
  [[nodiscard]] std::vector<KernelEvent> take_events(std::size_t max) override;
  void set_listener(std::function<void()> wake) override;

 private:
  class Requests;
  class Events;
  NetlinkLibnl(std::unique_ptr<Requests> requests, std::shared_ptr<Events> events);

  std::unique_ptr<Requests> requests_;
  std::shared_ptr<Events> events_;
};

}  // namespace vxmesh
