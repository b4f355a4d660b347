// Captures: read back by a reader of a few lines, and by tshark where it is installed.
#include "sim/kernel/pcapng.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "sim/kernel/packet_codec.h"

namespace vxmesh {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::HasSubstr;

// --- Read back ---

struct Read {
  std::vector<std::string> interfaces;
  struct Frame {
    std::uint32_t interface = 0;
    std::uint64_t nanoseconds = 0;
    Bytes bytes;

    friend bool operator==(const Frame&, const Frame&) = default;
  };
  std::vector<Frame> frames;
};

std::uint32_t number(std::string_view text, std::size_t at, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = size; i > 0; --i) {
    value = value << 8U | static_cast<std::uint8_t>(text.at(at + i - 1));
  }
  return value;
}

std::map<std::uint32_t, std::string> options(std::string_view text) {
  std::map<std::uint32_t, std::string> found;
  for (std::size_t at = 0; number(text, at, 2) != 0;) {
    const std::size_t size = number(text, at + 2, 2);
    found[number(text, at, 2)] = text.substr(at + 4, size);
    at += 4 + (size + 3) / 4 * 4;
  }
  return found;
}

Read read(std::string_view file) {
  Read result;
  for (std::size_t at = 0; at < file.size();) {
    const std::uint32_t type = number(file, at, 4);
    const std::uint32_t length = number(file, at + 4, 4);
    EXPECT_EQ(length % 4, 0U);
    EXPECT_EQ(number(file, at + length - 4, 4), length);
    const std::string_view body = file.substr(at + 8, length - 12);
    if (type == 1) {
      EXPECT_EQ(number(body, 0, 2), 1U);  // Ethernet
      const std::map<std::uint32_t, std::string> found = options(body.substr(8));
      result.interfaces.push_back(found.at(2));
      EXPECT_EQ(found.at(9), "\x09");  // nanoseconds
    } else if (type == 6) {
      const std::uint32_t size = number(body, 12, 4);
      EXPECT_EQ(number(body, 16, 4), size);
      const std::string_view bytes = body.substr(20, size);
      const std::uint64_t high = number(body, 4, 4);
      result.frames.push_back({.interface = number(body, 0, 4),
                               .nanoseconds = high << 32U | number(body, 8, 4),
                               .bytes = Bytes(bytes.begin(), bytes.end())});
    } else {
      EXPECT_EQ(at, 0U) << "a section header elsewhere, or an unknown block";
      EXPECT_EQ(type, 0x0a0d0d0aU);
    }
    at += length;
  }
  return result;
}

TEST(Pcapng, IsReadBack) {
  std::ostringstream file;
  PcapngWriter writer(file);
  const auto first = writer.add_interface("n1/vxlan1");
  writer.write(first, MonotonicTime{nanoseconds(1)}, Bytes{1, 2, 3, 4, 5});
  const auto second = writer.add_interface("n2/eth0");
  writer.write(second, MonotonicTime{seconds(100000) + nanoseconds(7)}, Bytes{});
  writer.write(first, MonotonicTime{seconds(3)}, Bytes{9, 9, 9, 9});

  const Read back = read(file.str());
  EXPECT_THAT(back.interfaces, testing::ElementsAre("n1/vxlan1", "n2/eth0"));
  EXPECT_THAT(back.frames, testing::ElementsAre(Read::Frame{0, 1, {1, 2, 3, 4, 5}},
                                                Read::Frame{1, 100'000'000'000'007, {}},
                                                Read::Frame{0, 3'000'000'000, {9, 9, 9, 9}}));
}

// --- tshark ---

struct Finished {
  int status = -1;
  std::string output;
};

Finished shell(const std::string& command) {
  Finished finished;
  std::FILE* pipe = ::popen(command.c_str(), "re");
  if (pipe == nullptr) {
    return finished;
  }
  std::array<char, 4096> buffer{};
  for (std::size_t got = 1; got > 0;) {
    got = std::fread(buffer.data(), 1, buffer.size(), pipe);
    finished.output.append(buffer.data(), got);
  }
  const int status = ::pclose(pipe);
  finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return finished;
}

EthernetFrame encapsulated(IpPacket inner) {
  EthernetFrame inner_frame{
      .destination = MacAddress{{0x00, 0x53, 0x64, 0x60, 0x02, 0x00}},
      .source = MacAddress{{0x00, 0x53, 0x64, 0x60, 0x01, 0x00}},
      .payload = std::move(inner),
  };
  return EthernetFrame{
      .destination = MacAddress{{0x02, 0, 0, 0, 0, 2}},
      .source = MacAddress{{0x02, 0, 0, 0, 0, 1}},
      .payload = IpPacket{
          .source = IpAddress::v4(0xac14000b),
          .destination = IpAddress::v4(0xac14000c),
          .payload = UdpDatagram{.source_port = 40000,
                                 .destination_port = kVxlanPort,
                                 .payload = VxlanFrame{.vni = Vni{1},
                                                       .inner = std::make_shared<EthernetFrame>(
                                                           std::move(inner_frame))}}}};
}

TEST(Pcapng, TsharkDecodesTheTunnel) {
  if (shell("command -v tshark").status != 0) {
    GTEST_SKIP() << "tshark is not installed";
  }
  const std::string path = testing::TempDir() + "vxmesh-pcapng-test.pcapng";
  {
    std::ofstream file(path, std::ios::binary);
    PcapngWriter writer(file);
    const auto eth0 = writer.add_interface("n1/eth0");
    const UdpDatagram datagram{
        .source_port = 37790, .destination_port = 53, .payload = Bytes{'h', 'i'}};
    writer.write(eth0, MonotonicTime{seconds(1)},
                 encode(encapsulated({.source = IpAddress::v4(0x64600105),
                                      .destination = IpAddress::v4(0x64600205),
                                      .payload = datagram})));
    const IpAddress pod = IpAddress::parse("fd00:96:1::5").value();
    writer.write(eth0, MonotonicTime{seconds(2) + nanoseconds(5)},
                 encode(encapsulated({.source = pod,
                                      .destination = IpAddress::parse("fd00:96:2::5").value(),
                                      .payload = IcmpMessage{.type = 128, .parameter = 1}})));
    ASSERT_TRUE(file.good());
  }
  const Finished tshark =
      shell("tshark -r '" + path +
            "' -T fields -E separator=' ' -e frame.interface_name -e "
            "frame.time_epoch -e vxlan.vni -e ip.src -e ipv6.dst -e udp.checksum.status -e "
            "icmpv6.checksum.status -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -e "
            "ip.checksum.status 2>&1");
  const Finished json = shell("tshark -r '" + path + "' -T json 2>/dev/null");
  std::remove(path.c_str());
  EXPECT_EQ(tshark.status, 0) << tshark.output;
  // Status 1 is good; the outer header's field comes first.
  EXPECT_THAT(tshark.output, HasSubstr("n1/eth0 1.000000000 1 172.20.0.11,100.96.1.5  1,1  1,1\n"));
  EXPECT_THAT(tshark.output, HasSubstr("n1/eth0 2.000000005 1 172.20.0.11 fd00:96:2::5 1 1 1\n"));
  EXPECT_EQ(json.status, 0);
  EXPECT_THAT(json.output, HasSubstr(R"("ip.dst": "100.96.2.5")"));
}

}  // namespace
}  // namespace vxmesh
