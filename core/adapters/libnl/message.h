// Netlink messages as bytes: a writer and a reader that trusts no length it reads.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/ip_address.h"
#include "model/link.h"
#include "model/mac_address.h"

struct nl_msg;

namespace vxmesh {

using MessageBytes = std::vector<std::uint8_t>;

// AF_INET or AF_INET6.
[[nodiscard]] std::uint8_t address_family(Family family);
// Nullopt of any other.
[[nodiscard]] std::optional<Family> to_family(std::uint8_t address_family);

// One request. Attributes keep the order in which they are put.
class MessageWriter {
 public:
  // NLM_F_REQUEST is added to `flags` (NLM_F_*).
  MessageWriter(std::uint16_t type, std::uint16_t flags);
  ~MessageWriter();
  MessageWriter(const MessageWriter&) = delete;
  MessageWriter& operator=(const MessageWriter&) = delete;

  // The fixed part, such as ifinfomsg; once, before every attribute. Also that of a nested
  // attribute that begins with one (VETH_INFO_PEER).
  template <typename Header>
  void put_header(const Header& header) {
    append(&header, sizeof(header));
  }
  void put_u8(int type, std::uint8_t value);
  void put_u16(int type, std::uint16_t value);
  void put_u32(int type, std::uint32_t value);
  void put_u64(int type, std::uint64_t value);
  void put_big_endian_u16(int type, std::uint16_t value);
  void put_address(int type, const IpAddress& address);
  void put_mac(int type, const MacAddress& mac);
  // RTA_GATEWAY of a route of `family`, or RTA_VIA (struct rtvia: family, then the address) if the
  // gateway is of the other one.
  void put_gateway(Family family, const IpAddress& gateway);
  void put_text(int type, std::string_view text);  // with the NUL that the kernel expects
  void put_bytes(int type, std::span<const std::uint8_t> bytes);
  // Runs `content`, whose attributes become the inside of an attribute of `type`.
  template <typename Content>
  void put_nested(int type, const Content& content) {
    nlattr* nest = begin_nest(type);
    content();
    end_nest(nest);
  }

  [[nodiscard]] MessageBytes finish(std::uint32_t sequence) const;

 private:
  struct Free {
    void operator()(nl_msg* message) const;
  };

  void append(const void* data, std::size_t size);
  void put(int type, const void* data, std::size_t size);
  [[nodiscard]] nlattr* begin_nest(int type);
  void end_nest(nlattr* nest);

  std::unique_ptr<nl_msg, Free> message_;
};

// Attributes of a message or inside another attribute. A getter gives nullopt if the attribute is
// not there or has not the size of what is asked for; of several of one type the first counts.
class Attributes {
 public:
  explicit Attributes(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::optional<std::span<const std::uint8_t>> bytes(int type) const;
  [[nodiscard]] std::optional<std::uint8_t> u8(int type) const;
  [[nodiscard]] std::optional<std::uint32_t> u32(int type) const;
  [[nodiscard]] std::optional<std::uint16_t> big_endian_u16(int type) const;
  [[nodiscard]] std::optional<IpAddress> address(int type, Family family) const;
  [[nodiscard]] std::optional<IfIndex> device(int type) const;
  // RTA_GATEWAY of a route of `family`, or the IPv6 gateway in RTA_VIA.
  [[nodiscard]] std::optional<IpAddress> gateway(Family family) const;
  [[nodiscard]] std::optional<MacAddress> mac(int type) const;
  [[nodiscard]] std::optional<std::string> text(int type) const;  // up to the first NUL
  // Empty if it is not there.
  [[nodiscard]] Attributes nested(int type) const;

 private:
  std::span<const std::uint8_t> bytes_;
};

// One received message; refers to the buffer that it was read from.
class Message {
 public:
  explicit Message(const nlmsghdr& header, std::span<const std::uint8_t> payload)
      : header_(header), payload_(payload) {}

  [[nodiscard]] std::uint16_t type() const { return header_.nlmsg_type; }
  [[nodiscard]] std::uint16_t flags() const { return header_.nlmsg_flags; }
  [[nodiscard]] std::uint32_t sequence() const { return header_.nlmsg_seq; }
  // The socket whose request it is about; 0 is the kernel itself.
  [[nodiscard]] std::uint32_t port() const { return header_.nlmsg_pid; }
  [[nodiscard]] std::span<const std::uint8_t> payload() const { return payload_; }

  // The fixed part; nullopt if the message is shorter.
  template <typename Header>
  [[nodiscard]] std::optional<Header> header() const {
    Header header{};
    if (payload_.size() < sizeof(header)) {
      return std::nullopt;
    }
    std::memcpy(&header, payload_.data(), sizeof(header));
    return header;
  }
  // What follows a fixed part of that type.
  template <typename Header>
  [[nodiscard]] Attributes attributes() const {
    constexpr std::size_t kSize = NLMSG_ALIGN(sizeof(Header));
    return Attributes(payload_.size() < kSize ? std::span<const std::uint8_t>()
                                              : payload_.subspan(kSize));
  }

 private:
  nlmsghdr header_;
  std::span<const std::uint8_t> payload_;
};

// Takes the next message off the front of `buffer`; nullopt if there is none that is whole.
[[nodiscard]] std::optional<Message> take_message(std::span<const std::uint8_t>& buffer);

// What NLMSG_ERROR and NLMSG_DONE say.
struct Answer {
  int error_number = 0;      // errno, 0 for success
  std::string extended_ack;  // NLMSGERR_ATTR_MSG, empty if not sent
  friend bool operator==(const Answer&, const Answer&) = default;
};

// nullopt if the message is neither, or cut short.
[[nodiscard]] std::optional<Answer> decode_answer(const Message& message);

// "what: ENOENT: Neighbour entry not found", or strerror's text if the kernel sent none.
[[nodiscard]] Error kernel_error(const std::string& what, const Answer& answer);

}  // namespace vxmesh
