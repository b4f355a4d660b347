// The firewall on real packets: two nodes joined by a veth underlay and a vxlan, a pod on each,
// every one in a private network namespace that ends with this program.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

#include "adapters/nftables/firewall_nft.h"
#include "adapters/posix/file_descriptor.h"
#include "base/check.h"

namespace vxmesh {
namespace {

constexpr std::uint16_t kTunnelPort = 4789;
constexpr std::uint16_t kPlainPort = 5000;
constexpr int kMasqueradeMark = 0x4000;

FileDescriptor open_namespace() {
  return FileDescriptor(::open("/proc/thread-self/ns/net", O_RDONLY));
}

void write_sysctl(const std::string& name, const std::string& value) {
  std::ofstream file("/proc/sys/net/" + name);
  file << value << std::flush;
  ASSERT_TRUE(file.good()) << name << " could not be written";
}

// A new network namespace; the calling thread is in it afterwards.
FileDescriptor new_namespace() {
  check(::unshare(CLONE_NEWNET) == 0, "the fixture has seen that namespaces can be made");
  // Else the first IPv6 packet waits until the link-local address is known to be unique.
  write_sysctl("ipv6/conf/default/accept_dad", "0");
  return open_namespace();
}

void enter(const FileDescriptor& netns) {
  check(::setns(netns.get(), CLONE_NEWNET) == 0, "one's own network namespace can be entered");
}

// How `ip` of another process names a namespace of this one.
std::string path_of(const FileDescriptor& netns) {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(netns.get());
}

void run(const std::string& command, const std::string& input) {
  FILE* pipe = ::popen(command.c_str(), "w");
  ASSERT_NE(pipe, nullptr);
  std::fputs(input.c_str(), pipe);
  ASSERT_EQ(::pclose(pipe), 0) << command << "\n" << input;
}

void ip(const FileDescriptor& netns, const std::string& lines) {
  enter(netns);
  run("ip -batch -", lines);
}

std::string output_of(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  check(pipe != nullptr, "a shell can be started");
  std::string output;
  std::array<char, 4096> chunk{};
  while (std::fgets(chunk.data(), static_cast<int>(chunk.size()), pipe) != nullptr) {
    output += chunk.data();
  }
  ::pclose(pipe);
  return output;
}

sockaddr_storage socket_address(const std::string& text, std::uint16_t port, socklen_t& length) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    length = sizeof(sockaddr_in);
  } else {
    check(::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1, "the test writes addresses");
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    length = sizeof(sockaddr_in6);
  }
  return storage;
}

struct Endpoint {
  std::string address;
  std::uint16_t port = 0;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

Endpoint endpoint(const sockaddr_storage& storage) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    return {text.data(), ntohs(v4->sin_port)};
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
  ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
  return {text.data(), ntohs(v6->sin6_port)};
}

// A UDP socket that lives in one namespace, whichever the thread is in later.
class UdpSocket {
 public:
  UdpSocket(const FileDescriptor& netns, const std::string& address, std::uint16_t port,
            int mark = 0)
      : fd_(open(netns, address)) {
    socklen_t length = 0;
    const sockaddr_storage local = socket_address(address, port, length);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&local), length), 0)
        << address << ": " << std::strerror(errno);
    EXPECT_EQ(::setsockopt(fd_.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
    const timeval patience{.tv_sec = 3, .tv_usec = 0};
    EXPECT_EQ(::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
  }

  void send(const Endpoint& to) const {
    socklen_t length = 0;
    const sockaddr_storage remote = socket_address(to.address, to.port, length);
    EXPECT_EQ(::sendto(fd_.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&remote), length), 1)
        << to.address << ": " << std::strerror(errno);
  }

  // Who the next datagram seems to come from; nothing if none arrives.
  [[nodiscard]] std::optional<Endpoint> receive() const {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    char byte = 0;
    if (::recvfrom(fd_.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &length) != 1) {
      return std::nullopt;
    }
    return endpoint(from);
  }

 private:
  static int open(const FileDescriptor& netns, const std::string& address) {
    enter(netns);
    const bool v6 = address.find(':') != std::string::npos;
    return ::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  }

  FileDescriptor fd_;
};

// What one node is made of; N is 1 or 2, M the other.
std::string node_commands(int number, const std::string& pod_netns) {
  const std::string n = std::to_string(number);
  const std::string m = std::to_string(3 - number);
  return "link set lo up\n"
         "link add p type veth peer name eth0 netns " +
         pod_netns +
         "\n"
         "link set p up\n"
         "address add 100.96." +
         n +
         ".1/24 dev p\n"
         "address add fd00:96:" +
         n +
         "::1/64 dev p nodad\n"
         "link set u up\n"
         "address add 172.20.0." +
         n +
         "/24 dev u\n"
         "address add fd00:20::" +
         n +
         "/64 dev u nodad\n"
         "link add vxlan1 address 00:53:64:60:0" +
         n +
         ":00 type vxlan id 1 dstport 4789 local "
         "172.20.0." +
         n +
         " nolearning\n"
         "link set vxlan1 up\n"
         "address add 100.96." +
         n +
         ".0/12 dev vxlan1 noprefixroute\n"
         "address add fd00:96:" +
         n +
         "::/128 dev vxlan1 nodad\n"
         "route add 100.96." +
         m +
         ".0/24 dev vxlan1\n"
         "route add fd00:96:" +
         m +
         "::/64 dev vxlan1\n"
         "neighbour add 100.96." +
         m + ".2 lladdr 00:53:64:60:0" + m +
         ":00 dev vxlan1\n"
         "neighbour add fd00:96:" +
         m + "::2 lladdr 00:53:64:60:0" + m + ":00 dev vxlan1\n";
}

std::string pod_commands(int number) {
  const std::string n = std::to_string(number);
  return "link set lo up\n"
         "link set eth0 up\n"
         "address add 100.96." +
         n +
         ".2/24 dev eth0\n"
         "address add fd00:96:" +
         n +
         "::2/64 dev eth0 nodad\n"
         "route add default via 100.96." +
         n +
         ".1\n"
         "route add default via fd00:96:" +
         n + "::1\n";
}

FirewallPolicy policy_of_node1() {
  return {.device = "vxlan1",
          .tunnel_port = kTunnelPort,
          .overlay = {IpPrefix::parse("100.96.0.0/12").value(),
                      IpPrefix::parse("fd00:96::/31").value()},
          .own_pod_cidrs = {IpPrefix::parse("100.96.1.0/24").value(),
                            IpPrefix::parse("fd00:96:1::/64").value()}};
}

class FirewallOnRealPackets : public testing::Test {
 protected:
  void SetUp() override {
    host_.emplace(open_namespace());
    if (::unshare(CLONE_NEWNET) != 0) {
      GTEST_SKIP() << "no private network namespace: " << std::strerror(errno);
    }
    // Tests that fill the neighbour table, which all namespaces share, hold this one exclusively.
    table_lock_.emplace(::open("/run/lock/vxmesh-neighbours.lock", O_CREAT | O_RDWR | O_CLOEXEC,
                               S_IRUSR | S_IWUSR));
    ASSERT_EQ(::flock(table_lock_->get(), LOCK_SH), 0);
    pod1_.emplace(new_namespace());
    pod2_.emplace(new_namespace());
    node2_.emplace(new_namespace());
    node1_.emplace(new_namespace());
    ip(*node1_, "link add u type veth peer name u netns " + path_of(*node2_) + "\n");
    set_up_node(1, *node1_, *pod1_);
    set_up_node(2, *node2_, *pod2_);
    enter(*node1_);
  }

  void TearDown() override { enter(*host_); }

  static void set_up_node(int number, const FileDescriptor& node, const FileDescriptor& pod) {
    enter(node);
    write_sysctl("ipv4/ip_forward", "1");
    write_sysctl("ipv6/conf/all/forwarding", "1");
    // Strict filtering inherited from the host would drop what is to be looked at.
    write_sysctl("ipv4/conf/all/rp_filter", "0");
    write_sysctl("ipv4/conf/default/rp_filter", "0");
    ip(node, node_commands(number, path_of(pod)));
    const std::string other = std::to_string(3 - number);
    run("bridge -batch -", "fdb add 00:53:64:60:0" + other + ":00 dev vxlan1 dst 172.20.0." +
                               other + " self permanent\n");
    ip(pod, pod_commands(number));
  }

  // Runs the loop until `call`'s answer is there: the error's sentence, nothing if it succeeded.
  template <typename Call>
  std::string finish(Call call) {
    enter(*node1_);  // the child is to work there
    std::optional<Result<void>> answer;
    call([&](Result<void> result) { answer = std::move(result); });
    EXPECT_FALSE(answer.has_value()) << "done must not run inside the call";
    context_.restart();
    context_.run_for(std::chrono::seconds(20));
    if (!answer.has_value()) {
      return "no answer in 20 s";
    }
    return answer->has_value() ? "" : answer->error().context;
  }
  std::string apply(const FirewallPolicy& policy) {
    return finish([&](auto done) { firewall_.apply(policy, done); });
  }
  std::string remove() {
    return finish([&](auto done) { firewall_.remove(done); });
  }

  // The source that `to` sees on a datagram sent from `from`.
  static std::optional<Endpoint> source_seen(const FileDescriptor& from_netns, const Endpoint& from,
                                             const FileDescriptor& to_netns, const Endpoint& to,
                                             int mark = 0) {
    const UdpSocket receiver(to_netns, to.address, to.port);
    const UdpSocket sender(from_netns, from.address, from.port, mark);
    sender.send(to);
    return receiver.receive();
  }

  std::optional<FileDescriptor> host_;
  std::optional<FileDescriptor> table_lock_;
  std::optional<FileDescriptor> pod1_;
  std::optional<FileDescriptor> pod2_;
  std::optional<FileDescriptor> node1_;
  std::optional<FileDescriptor> node2_;
  boost::asio::io_context context_;
  FirewallNft firewall_{context_};
};

TEST_F(FirewallOnRealPackets, MasqueradesFromPodToOutsideTheOverlay) {
  const Endpoint pod{"100.96.1.2", 4000};
  const Endpoint outside{"172.20.0.2", kPlainPort};
  ASSERT_EQ(source_seen(*pod1_, pod, *node2_, outside), pod) << "before: nothing masquerades";
  ASSERT_EQ(apply(policy_of_node1()), "");
  const UdpSocket receiver(*node2_, outside.address, outside.port);
  const UdpSocket sender(*pod1_, pod.address, 4001);
  sender.send(outside);
  const auto seen = receiver.receive();
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->address, "172.20.0.1");
  EXPECT_NE(seen->port, 4001) << "fully-random";
  receiver.send(*seen);
  EXPECT_EQ(sender.receive(), outside) << "the reply finds its way back";
}

TEST_F(FirewallOnRealPackets, MasqueradesIpv6FromPodToOutsideTheOverlay) {
  const Endpoint outside{"fd00:20::2", kPlainPort};
  ASSERT_EQ(apply(policy_of_node1()), "");
  const auto seen = source_seen(*pod1_, {"fd00:96:1::2", 4000}, *node2_, outside);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->address, "fd00:20::1");
}

TEST_F(FirewallOnRealPackets, LeavesPodToPodAlone) {
  ASSERT_EQ(apply(policy_of_node1()), "");
  const Endpoint pod{"100.96.1.2", 4000};
  EXPECT_EQ(source_seen(*pod1_, pod, *pod2_, {"100.96.2.2", kPlainPort}), pod);
  const Endpoint pod_v6{"fd00:96:1::2", 4000};
  EXPECT_EQ(source_seen(*pod1_, pod_v6, *pod2_, {"fd00:96:2::2", kPlainPort}), pod_v6);
}

TEST_F(FirewallOnRealPackets, MasqueradesIntoTheTunnelFromOutsideTheOverlay) {
  const Endpoint node{"172.20.0.1", 4000};
  const Endpoint pod{"100.96.2.2", kPlainPort};
  ASSERT_EQ(source_seen(*node1_, node, *pod2_, pod), node) << "before: nothing masquerades";
  ASSERT_EQ(apply(policy_of_node1()), "");
  const auto seen = source_seen(*node1_, {node.address, 4001}, *pod2_, pod);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->address, "100.96.1.0");
  // A pod that listens on the tunnel's port is a pod like any other.
  const auto seen_on_tunnel_port =
      source_seen(*node1_, {node.address, 4002}, *pod2_, {pod.address, kTunnelPort});
  ASSERT_TRUE(seen_on_tunnel_port.has_value());
  EXPECT_EQ(seen_on_tunnel_port->address, "100.96.1.0");
  const auto seen_v6 =
      source_seen(*node1_, {"fd00:20::1", 4000}, *pod2_, {"fd00:96:2::2", kPlainPort});
  ASSERT_TRUE(seen_v6.has_value());
  EXPECT_EQ(seen_v6->address, "fd00:96:1::");
}

TEST_F(FirewallOnRealPackets, LeavesWhatIsNotOfAnOwnPodAlone) {
  ip(*node1_, "address add 100.96.9.9/32 dev lo\n");
  ASSERT_EQ(apply(policy_of_node1()), "");
  const Endpoint outside{"172.20.0.2", kPlainPort};
  const Endpoint node{"172.20.0.1", 4000};
  EXPECT_EQ(source_seen(*node1_, node, *node2_, outside), node);
  const Endpoint pod_of_another{"100.96.9.9", 4001};
  EXPECT_EQ(source_seen(*node1_, pod_of_another, *node2_, outside), pod_of_another);
}

TEST_F(FirewallOnRealPackets, LeavesTheNodesOwnAddressInTheOverlayAlone) {
  ASSERT_EQ(apply(policy_of_node1()), "");
  const Endpoint base{"100.96.1.0", 4000};
  EXPECT_EQ(source_seen(*node1_, base, *pod2_, {"100.96.2.2", kPlainPort}), base);
}

TEST_F(FirewallOnRealPackets, LeavesTheTunnelsUdpAlone) {
  // Not the tunnel's port of this kernel's device, which would take the datagram as its own.
  FirewallPolicy policy = policy_of_node1();
  policy.tunnel_port = 8472;
  ASSERT_EQ(apply(policy), "");
  const Endpoint pod{"100.96.1.2", 4000};
  EXPECT_EQ(source_seen(*pod1_, pod, *node2_, {"172.20.0.2", policy.tunnel_port}), pod);
}

TEST_F(FirewallOnRealPackets, LeavesWhatKubeProxyMasqueradesAlone) {
  ASSERT_EQ(apply(policy_of_node1()), "");
  const Endpoint outside{"172.20.0.2", kPlainPort};
  const Endpoint base{"100.96.1.0", 4000};
  EXPECT_EQ(source_seen(*node1_, base, *node2_, outside, kMasqueradeMark), base);
  const auto unmarked = source_seen(*node1_, {base.address, 4001}, *node2_, outside, 0x8000);
  ASSERT_TRUE(unmarked.has_value());
  EXPECT_EQ(unmarked->address, "172.20.0.1") << "other marks do not matter";
}

TEST_F(FirewallOnRealPackets, ReplacesItsTableAndRemovesItAndNoOther) {
  run("nft -f -",
      "add table inet foreign { comment \"not ours\"; }\n"
      "add chain inet foreign c\n"
      "add table ip vxmesh\n");
  const std::string before = output_of("nft -s list ruleset");
  ASSERT_EQ(remove(), "") << "nothing to remove is success";
  ASSERT_EQ(apply(policy_of_node1()), "");
  const std::string once = output_of("nft -s list ruleset");
  EXPECT_NE(once, before);
  ASSERT_EQ(apply(policy_of_node1()), "");
  EXPECT_EQ(output_of("nft -s list ruleset"), once) << "a second apply adds nothing";
  ASSERT_EQ(remove(), "");
  EXPECT_EQ(output_of("nft -s list ruleset"), before);
}

TEST_F(FirewallOnRealPackets, RunsCallsInTheirOrderAndAnswersEachOnce) {
  std::string order;
  enter(*node1_);
  FirewallPolicy bad = policy_of_node1();
  bad.device = "vx*";
  firewall_.apply(policy_of_node1(), [&](const Result<void>& result) {
    order += result.has_value() ? "applied " : "refused ";
  });
  firewall_.apply(bad, [&](const Result<void>& result) {
    order += result.has_value() ? "applied " : "refused ";
  });
  firewall_.remove(
      [&](const Result<void>& result) { order += result.has_value() ? "removed" : "kept"; });
  EXPECT_EQ(order, "");
  context_.run_for(std::chrono::seconds(20));
  EXPECT_EQ(order, "applied refused removed");
  EXPECT_EQ(output_of("nft list tables"), "");
}

// Applies from a program of its own, which `prepare` has changed; ends with the error's code as its
// exit status and the sentence on standard error, or with 0.
template <typename Prepare>
[[noreturn]] void apply_and_exit(Prepare prepare) {
  prepare();
  boost::asio::io_context context;
  FirewallNft firewall(context);
  int status = 100;
  firewall.apply(policy_of_node1(), [&](const Result<void>& result) {
    status = result.has_value() ? 0 : 1 + static_cast<int>(result.error().code);
    std::fputs(result.has_value() ? "applied" : result.error().context.c_str(), stderr);
  });
  context.run();
  std::exit(status);
}

TEST_F(FirewallOnRealPackets, SaysWhyAndKeepsTheOldTableWhenTheKernelRefuses) {
  ASSERT_EQ(apply(policy_of_node1()), "");
  const std::string before = output_of("nft -s list ruleset");
  ASSERT_NE(before, "");
  EXPECT_EXIT(apply_and_exit([] {
                // In a user namespace of its own it has no power over this network namespace.
                check(::unshare(CLONE_NEWUSER) == 0, "root can make a user namespace");
              }),
              testing::ExitedWithCode(1 + static_cast<int>(ErrorCode::NoPermission)),
              "not permitted");
  EXPECT_EQ(output_of("nft -s list ruleset"), before);
}

TEST_F(FirewallOnRealPackets, SaysThatTheProgramIsMissing) {
  EXPECT_EXIT(apply_and_exit([] { ::setenv("PATH", "/nonexistent", 1); }),
              testing::ExitedWithCode(1 + static_cast<int>(ErrorCode::Environment)), "nft");
}

}  // namespace
}  // namespace vxmesh
