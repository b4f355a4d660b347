// Programs on the kernel that runs this: a private network namespace, nothing of the host's
// touched.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "adapters/libnl/message.h"
#include "adapters/libnl/route_socket.h"
#include "adapters/posix/file_descriptor.h"
#include "base/check.h"
#include "integration/fidelity/frames.h"
#include "integration/fidelity/real_decode.h"
#include "integration/fidelity/real_encode.h"
#include "integration/fidelity/world.h"
#include "integration/support/datagram.h"
#include "integration/support/packet_socket.h"
#include "integration/support/private_namespace.h"

namespace vxmesh::fidelity {
namespace {

constexpr std::size_t kRequestBuffer = std::size_t{256} * 1024;
constexpr std::size_t kDumpBuffer = std::size_t{1024} * 1024;
constexpr std::size_t kEventBuffer = std::size_t{8} * 1024 * 1024;
constexpr std::array<int, 6> kGroups{RTNLGRP_LINK,       RTNLGRP_NEIGH,       RTNLGRP_IPV4_IFADDR,
                                     RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE};
constexpr IfIndex kLoopback{1};

constexpr std::array<const char*, 2> kForwarding{"/proc/sys/net/ipv4/ip_forward",
                                                 "/proc/sys/net/ipv6/conf/all/forwarding"};
// Set to 0 in a new world. All but the first are the kernel's own defaults: what a namespace
// inherits from the host (net.core.devconf_inherit_init_net), and distributions set there.
constexpr std::array<const char*, 7> kAtStart{
    // Else what starts or repeats the detection of duplicate IPv6 addresses, such as a change of
    // IFF_NOARP, does so at a random moment of the next second (addrconf_dad_kick).
    "/proc/sys/net/ipv6/conf/default/router_solicitation_delay",
    kForwarding[0],
    kForwarding[1],
    "/proc/sys/net/ipv4/conf/all/rp_filter",
    "/proc/sys/net/ipv4/conf/default/rp_filter",
    "/proc/sys/net/ipv4/conf/all/promote_secondaries",
    "/proc/sys/net/ipv4/conf/default/promote_secondaries"};

// Of the namespace that the thread is in.
Result<void> write_sysctl(const char* path, std::string_view value) {
  const FileDescriptor file(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file.is_open() ||
      ::write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    const int error = errno;
    const bool refused = error == EACCES || error == EPERM || error == EROFS;
    return fail(refused ? ErrorCode::NoPermission : ErrorCode::Environment,
                std::string("cannot write ") + path + ": " + std::strerror(error));
  }
  return {};
}

class RealWorld final : public World {
 public:
  static Result<std::unique_ptr<RealWorld>> make();
  ~RealWorld() override;

  Reply request(const rtnl::Request& request, Writer writer) override;
  std::vector<OpDone> batch(std::span<const rtnl::Request> requests, Writer writer) override;
  std::vector<Record> tables() override;
  std::vector<Notification> notifications() override;
  void wait_for_news(Duration most) override;
  void advance(Duration time) override;
  void set_forwarding(bool on) override;
  int send_datagram(const IpAddress& to) override;
  int inject(IfIndex device, std::span<const std::uint8_t> frame) override;
  void capture(IfIndex device) override;
  std::vector<Captured> captured() override;

 private:
  struct Sockets {
    RouteSocket first;
    RouteSocket second;
    RouteSocket dumps;
    RouteSocket events;
  };

  struct Device {
    Link link;
    bool runs = false;  // IFF_RUNNING
  };

  RealWorld(PrivateNamespace network, Sockets sockets)
      : network_(std::move(network)), sockets_(std::move(sockets)) {}

  static Result<Sockets> open_sockets();

  Reply ask(const rtnl::Request& request, Writer writer);
  std::vector<Device> devices_now();
  // After a change of a link; the devices as they are then.
  std::vector<Device> settle_carriers(const rtnl::NewLink& changed);
  void settle_no_arps(const std::vector<Device>& devices, const std::set<IfIndex>& no_arps_before,
                      std::size_t told_before);
  void settle_address(const rtnl::NewAddr& request, std::size_t told_before);
  [[nodiscard]] bool skips_dad(const rtnl::NewAddr& request) const;
  [[nodiscard]] bool was_told(IfIndex device, const IpAddress& address,
                              std::size_t told_before) const;
  template <typename Done>
  void wait_for_events(const Done& done);

  template <typename Encode>
  void dump(const Encode& encode, std::vector<Record>& rows);
  // `restart` when the table changed under the dump, and all of it comes again.
  template <typename Encode, typename Restart, typename Take>
  void dump_messages(const Encode& encode, const Restart& restart, const Take& take);
  template <typename Take>
  bool read_dump(std::uint32_t sequence, const Take& take);

  void read_events();
  void take_event(const Message& message);
  [[nodiscard]] PortId sender_of(PortId port) const;

  PrivateNamespace network_;  // left last
  Sockets sockets_;
  std::uint32_t sequence_ = 0;
  std::vector<Notification> events_;  // that notifications() has yet to give
  std::set<IfIndex> vxlans_;          // as far as events are read
  std::set<IfIndex> no_arps_;
  std::optional<PacketSocket> packets_;  // for inject()
  std::map<IfIndex, PacketSocket> captures_;
};

void keep(std::set<IfIndex>& devices, IfIndex device, bool wanted) {
  if (wanted) {
    devices.insert(device);
  } else {
    devices.erase(device);
  }
}

bool is_vxlan(const Record& record) {
  const auto* link = std::get_if<LinkRecord>(&record);
  return link != nullptr && link->link.vxlan.has_value();
}

Result<RealWorld::Sockets> RealWorld::open_sockets() {
  Result<RouteSocket> first = RouteSocket::open(kRequestBuffer);
  Result<RouteSocket> second = RouteSocket::open(kRequestBuffer);
  Result<RouteSocket> dumps = RouteSocket::open(kDumpBuffer);
  Result<RouteSocket> events = RouteSocket::open(kEventBuffer, kGroups);
  for (const Result<RouteSocket>* socket : {&first, &second, &dumps, &events}) {
    if (!*socket) {
      return tl::unexpected<Error>(socket->error());
    }
  }
  return Sockets{.first = std::move(*first),
                 .second = std::move(*second),
                 .dumps = std::move(*dumps),
                 .events = std::move(*events)};
}

Result<std::unique_ptr<RealWorld>> RealWorld::make() {
  Result<PrivateNamespace> network = PrivateNamespace::enter();
  if (!network) {
    return tl::unexpected<Error>(network.error());
  }
  hold_neighbour_lock();
  for (const char* path : kAtStart) {
    if (const Result<void> written = write_sysctl(path, "0"); !written) {
      return tl::unexpected<Error>(written.error());
    }
  }
  Result<Sockets> sockets = open_sockets();
  if (!sockets) {
    return tl::unexpected<Error>(sockets.error());
  }
  return std::unique_ptr<RealWorld>(new RealWorld(std::move(*network), std::move(*sockets)));
}

// Closing a packet socket waits 10 ms and more for an RCU grace period (packet_release), and
// several share one that begins after them: each is closed on a thread of its own, and waited for
// when the next world of this thread goes.
RealWorld::~RealWorld() {
  thread_local std::vector<std::jthread> closing;
  closing.clear();
  const auto close_aside = [](PacketSocket& socket) {
    closing.emplace_back([held = std::move(socket)]() mutable { PacketSocket(std::move(held)); });
  };
  if (packets_) {
    close_aside(*packets_);
  }
  for (auto& [device, socket] : captures_) {
    close_aside(socket);
  }
}

// What every program may need, tried in a world of its own.
Result<void> probe() {
  const Result<std::unique_ptr<RealWorld>> made = RealWorld::make();
  if (!made) {
    return tl::unexpected<Error>(made.error());
  }
  RealWorld& world = **made;
  if (world.tables().size() != 1) {
    return fail(ErrorCode::Environment,
                "a new network namespace has more than a loopback device: set "
                "net.core.fb_tunnels_only_for_init_net to 2");
  }
  const Result<PacketSocket> packets = PacketSocket::open();
  if (!packets) {
    return tl::unexpected<Error>(packets.error());
  }
  const std::array<rtnl::NewLink, 3> links{
      rtnl::NewLink{.flags = rtnl::kCreate, .kind = rtnl::Kind::Vxlan, .vni = 1},
      rtnl::NewLink{.flags = rtnl::kCreate, .kind = rtnl::Kind::Bridge},
      rtnl::NewLink{.flags = rtnl::kCreate, .kind = rtnl::Kind::Veth}};
  for (const rtnl::NewLink& link : links) {
    const OpDone done = world.request(link, Writer::First).done;
    if (done.error_number != 0) {
      return fail(ErrorCode::NoPermission,
                  "cannot make a vxlan, a bridge and a veth (CAP_NET_ADMIN, kernel modules): " +
                      std::string(std::strerror(done.error_number)) + " " + done.extended_ack);
    }
  }
  return {};
}

Reply RealWorld::request(const rtnl::Request& request, Writer writer) {
  read_events();
  const std::size_t told_before = events_.size();
  const std::set<IfIndex> no_arps_before = no_arps_;
  Reply reply = ask(request, writer);
  read_events();
  const auto* address = std::get_if<rtnl::NewAddr>(&request);
  if (const auto* link = std::get_if<rtnl::NewLink>(&request)) {
    const std::vector<Device> devices = settle_carriers(*link);
    settle_no_arps(devices, no_arps_before, told_before);
  } else if (std::holds_alternative<rtnl::DelLink>(request)) {
    settle_carriers(rtnl::NewLink{});
  } else if (address != nullptr && reply.done == OpDone{} && skips_dad(*address)) {
    settle_address(*address, told_before);
  }
  return reply;
}

Reply RealWorld::ask(const rtnl::Request& request, Writer writer) {
  RouteSocket& socket = writer == Writer::First ? sockets_.first : sockets_.second;
  const std::uint32_t sequence = ++sequence_;
  check(socket.send(encode(request, sequence)) == 0, "the kernel takes a request");
  Reply reply;
  while (true) {
    // rtnetlink answers inside sendmsg, so nothing is to be waited for.
    const RouteSocket::Received received = socket.receive();
    check(received.status == RouteSocket::Status::Data, "rtnetlink answers a request at once");
    std::span<const std::uint8_t> buffer = received.bytes;
    while (const std::optional<Message> message = take_message(buffer)) {
      if (message->sequence() != sequence) {
        continue;
      }
      if (std::optional<Answer> answer = decode_answer(*message)) {
        reply.done = OpDone{.error_number = answer->error_number,
                            .extended_ack = std::move(answer->extended_ack)};
        return reply;
      }
      reply.row = decode_record(*message);
    }
  }
}

std::vector<OpDone> RealWorld::batch(std::span<const rtnl::Request> requests, Writer writer) {
  RouteSocket& socket = writer == Writer::First ? sockets_.first : sockets_.second;
  const std::uint32_t before = sequence_;
  MessageBytes datagram;
  for (const rtnl::Request& request : requests) {
    const MessageBytes message = encode(request, ++sequence_);
    datagram.insert(datagram.end(), message.begin(), message.end());
  }
  check(socket.send(datagram) == 0, "the kernel takes a batch");
  std::vector<OpDone> answers;
  while (true) {
    const RouteSocket::Received received = socket.receive();
    if (received.status != RouteSocket::Status::Data) {
      return answers;  // rtnetlink has answered all that it will inside sendmsg
    }
    std::span<const std::uint8_t> buffer = received.bytes;
    while (const std::optional<Message> message = take_message(buffer)) {
      std::optional<Answer> answer = decode_answer(*message);
      if (answer && message->sequence() > before) {
        answers.push_back(OpDone{.error_number = answer->error_number,
                                 .extended_ack = std::move(answer->extended_ack)});
      }
    }
  }
}

// A change of carrier, of the ends of a veth or of a bridge, takes effect in a work queue some time
// after the request that caused it. RTM_GETLINK of the device does that work at once (rtnl_getlink,
// linkwatch_sync_dev). In the order in which a veth's open and close raise it: `first`, then its
// peer; twice, because a port's carrier changes that of its bridge.
std::vector<RealWorld::Device> RealWorld::settle_carriers(const rtnl::NewLink& changed) {
  std::vector<Device> devices = devices_now();
  const bool makes = changed.kind && changed.device == IfIndex{} && !changed.name;
  const IfIndex newest = devices.empty() ? IfIndex{} : devices.back().link.index;
  std::stable_partition(devices.begin(), devices.end(), [&](const Device& device) {
    return device.link.index == (makes ? newest : changed.device) ||
           device.link.name == changed.name;
  });
  bool some = false;
  for (int pass = 0; pass < 2; ++pass) {
    for (const Device& device : devices) {
      if (device.link.kind == "veth" || device.link.kind == "bridge") {
        some = true;
        check(sockets_.dumps.send(encode_get_link(device.link.index, ++sequence_)) == 0 &&
                  sockets_.dumps.receive().status == RouteSocket::Status::Data,
              "rtnetlink answers a request at once");
      }
    }
  }
  return some ? devices_now() : devices;
}

std::vector<RealWorld::Device> RealWorld::devices_now() {
  std::vector<Device> devices;
  dump_messages(
      encode_link_dump, [&devices] { devices.clear(); },
      [&devices](const Message& message) {
        std::optional<Record> row = decode_record(message);
        const std::optional<ifinfomsg> header = message.header<ifinfomsg>();
        if (row && header) {
          devices.push_back(Device{.link = std::move(std::get<LinkRecord>(*row).link),
                                   .runs = (header->ifi_flags & IFF_RUNNING) != 0});
        }
      });
  return devices;
}

std::vector<Record> RealWorld::tables() {
  std::vector<Record> rows;
  dump(encode_link_dump, rows);
  const bool has_vxlan = std::any_of(rows.begin(), rows.end(), is_vxlan);
  dump(encode_address_dump, rows);
  dump(encode_route_dump, rows);
  dump(encode_neighbour_dump, rows);
  if (has_vxlan) {
    std::set<IfIndex> vxlans;
    for (const Record& row : rows) {
      if (is_vxlan(row)) {
        vxlans.insert(std::get<LinkRecord>(row).link.index);
      }
    }
    dump(encode_fdb_dump, rows);
    std::erase_if(rows, [&vxlans](const Record& row) {
      const auto* fdb = std::get_if<FdbRecord>(&row);
      return fdb != nullptr && !vxlans.contains(fdb->entry.device);
    });
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

template <typename Encode>
void RealWorld::dump(const Encode& encode, std::vector<Record>& rows) {
  const std::size_t before = rows.size();
  dump_messages(
      encode,
      [&rows, before] {
        rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(before), rows.end());
      },
      [&rows](const Message& message) {
        if (std::optional<Record> row = decode_record(message)) {
          rows.push_back(std::move(*row));
        }
      });
}

template <typename Encode, typename Restart, typename Take>
void RealWorld::dump_messages(const Encode& encode, const Restart& restart, const Take& take) {
  while (true) {
    const std::uint32_t sequence = ++sequence_;
    check(sockets_.dumps.send(encode(sequence)) == 0, "the kernel takes a dump request");
    if (read_dump(sequence, take)) {
      return;
    }
    restart();
  }
}

template <typename Take>
bool RealWorld::read_dump(std::uint32_t sequence, const Take& take) {
  bool interrupted = false;
  while (true) {
    const RouteSocket::Received received = sockets_.dumps.receive();
    check(received.status == RouteSocket::Status::Data, "a dump goes on until it is done");
    std::span<const std::uint8_t> buffer = received.bytes;
    while (const std::optional<Message> message = take_message(buffer)) {
      if (message->sequence() != sequence) {
        continue;
      }
      interrupted |= (message->flags() & NLM_F_DUMP_INTR) != 0;
      if (const std::optional<Answer> answer = decode_answer(*message)) {
        check(answer->error_number == 0, "the kernel dumps every table");
        return !interrupted;
      }
      take(*message);
    }
  }
}

// True of an IPv6 address that the kernel uses without asking whether another host has it
// (addrconf_dad_begin).
bool RealWorld::skips_dad(const rtnl::NewAddr& request) const {
  const bool no_dad = (request.address_flags.value_or(0) & kAddressNoDad) != 0;
  return request.local.family() == Family::V6 &&
         (no_dad || request.device == kLoopback || no_arps_.contains(request.device));
}

// Such an address gets its route, and is told of, in a work queue some time after the request.
void RealWorld::settle_address(const rtnl::NewAddr& request, std::size_t told_before) {
  wait_for_events([&] { return was_told(request.device, request.local, told_before); });
}

// The same of the addresses of a device without ARP that begins to run, and of all those of a
// device whose IFF_NOARP changed (addrconf_notify, addrconf_dad_run).
void RealWorld::settle_no_arps(const std::vector<Device>& devices,
                               const std::set<IfIndex>& no_arps_before, std::size_t told_before) {
  std::set<IfIndex> without;
  std::set<IfIndex> changed;
  for (const Device& device : devices) {
    const IfIndex index = device.link.index;
    keep(without, index, device.runs && device.link.no_arp);
    keep(changed, index, device.runs && device.link.no_arp != no_arps_before.contains(index));
  }
  if (without.empty() && changed.empty()) {
    return;
  }
  wait_for_events([&] {
    std::vector<Record> rows;
    dump(encode_address_dump, rows);
    return std::all_of(rows.begin(), rows.end(), [&](const Record& row) {
      const auto& record = std::get<AddressRecord>(row);
      const IfIndex device = record.address.device;
      const IpAddress& address = record.address.address;
      if (address.family() == Family::V4) {
        return true;
      }
      if ((record.flags & kAddressTentative) != 0) {
        return !without.contains(device);
      }
      return !changed.contains(device) || was_told(device, address, told_before);
    });
  });
}

// True if the address was told of, as one in use, after the first `told_before` events.
bool RealWorld::was_told(IfIndex device, const IpAddress& address, std::size_t told_before) const {
  return std::any_of(events_.begin() + static_cast<std::ptrdiff_t>(told_before), events_.end(),
                     [&](const Notification& told) {
                       const auto* row = std::get_if<AddressRecord>(&told.record);
                       return row != nullptr && row->address.device == device &&
                              row->address.address == address &&
                              (row->flags & kAddressTentative) == 0;
                     });
}

// Until `done`, which is asked again after every event. Patience ends when none comes: then what is
// waited for was prevented by something else, and the comparison has to judge.
template <typename Done>
void RealWorld::wait_for_events(const Done& done) {
  constexpr int kPatienceMs = 100;
  pollfd more{.fd = sockets_.events.descriptor(), .events = POLLIN};
  do {
    read_events();
    if (done()) {
      return;
    }
  } while (::poll(&more, 1, kPatienceMs) > 0);
}

std::vector<Notification> RealWorld::notifications() {
  read_events();
  return std::exchange(events_, {});
}

void RealWorld::read_events() {
  while (true) {
    const RouteSocket::Received received = sockets_.events.receive();
    if (received.status == RouteSocket::Status::Nothing) {
      return;
    }
    check(received.status == RouteSocket::Status::Data, "no notification of a program is lost");
    std::span<const std::uint8_t> buffer = received.bytes;
    while (const std::optional<Message> message = take_message(buffer)) {
      take_event(*message);
    }
  }
}

void RealWorld::take_event(const Message& message) {
  std::optional<Notification> event = decode_notification(message);
  if (!event) {
    return;
  }
  if (const auto* link = std::get_if<LinkRecord>(&event->record)) {
    const bool exists = event->kind == Notification::Kind::New;
    keep(vxlans_, link->link.index, exists && link->link.vxlan);
    keep(no_arps_, link->link.index, exists && link->link.no_arp);
  }
  const auto* fdb = std::get_if<FdbRecord>(&event->record);
  if (fdb != nullptr && !vxlans_.contains(fdb->entry.device)) {
    return;
  }
  event->sender = sender_of(event->sender);
  events_.push_back(std::move(*event));
}

PortId RealWorld::sender_of(PortId port) const {
  if (port.value == sockets_.first.port()) {
    return PortId{static_cast<std::uint32_t>(Writer::First)};
  }
  if (port.value == sockets_.second.port()) {
    return PortId{static_cast<std::uint32_t>(Writer::Second)};
  }
  check(port.value == 0, "only the kernel and the two writers are in the namespace");
  return PortId{};
}

void RealWorld::wait_for_news(Duration most) {
  std::vector<pollfd> sources{{.fd = sockets_.events.descriptor(), .events = POLLIN}};
  for (const auto& [device, socket] : captures_) {
    sources.push_back({.fd = socket.descriptor(), .events = POLLIN});
  }
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(most);
  (void)::poll(sources.data(), sources.size(), static_cast<int>(milliseconds.count()));
}

void RealWorld::advance(Duration time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  timespec left{.tv_sec = seconds.count(), .tv_nsec = (time - seconds).count()};
  while (::nanosleep(&left, &left) != 0) {
    check(errno == EINTR, "a time to sleep is not negative");
  }
}

void RealWorld::set_forwarding(bool on) {
  for (const char* path : kForwarding) {
    check(write_sysctl(path, on ? "1" : "0").has_value(),
          "what was written when the world was made can be written again");
  }
}

int RealWorld::send_datagram(const IpAddress& to) {
  return vxmesh::send_datagram(to);
}

int RealWorld::inject(IfIndex device, std::span<const std::uint8_t> frame) {
  if (!packets_) {
    Result<PacketSocket> opened = PacketSocket::open();
    check(opened.has_value(), "packet sockets can be opened, as the first world saw");
    packets_.emplace(std::move(*opened));
  }
  return packets_->send(device, frame);
}

void RealWorld::capture(IfIndex device) {
  Result<PacketSocket> socket = PacketSocket::listen(device);
  check(socket.has_value(), "packet sockets can be opened, as when the world was made");
  captures_.insert_or_assign(device, std::move(*socket));
}

std::vector<Captured> RealWorld::captured() {
  std::vector<Captured> frames;
  for (const auto& [device, socket] : captures_) {
    while (std::optional<FrameBytes> frame = socket.receive()) {
      frames.push_back(Captured{.device = device, .frame = std::move(*frame)});
    }
  }
  return comparable(frames);
}

}  // namespace

Result<std::unique_ptr<World>> make_real_world() {
  static const Result<void> possible = probe();
  if (!possible) {
    return tl::unexpected<Error>(possible.error());
  }
  return RealWorld::make();
}

}  // namespace vxmesh::fidelity
