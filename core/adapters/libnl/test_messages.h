// Messages as tests make and read them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "adapters/libnl/message.h"
#include "ports/netlink.h"

namespace vxmesh {

inline IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}
inline IpPrefix cidr(std::string_view text) {
  return IpPrefix::parse(text).value();
}
inline MacAddress mac(std::string_view text) {
  return MacAddress::parse(text).value();
}

// The one message that `bytes` is.
inline Message message_in(const MessageBytes& bytes) {
  std::span<const std::uint8_t> rest(bytes);
  const std::optional<Message> message = take_message(rest);
  EXPECT_TRUE(message.has_value());
  EXPECT_TRUE(rest.empty());
  return message.value();
}

// Sets the header's flags, which a writer always gives NLM_F_REQUEST.
inline MessageBytes with_flags(MessageBytes bytes, std::uint16_t flags) {
  std::memcpy(bytes.data() + offsetof(nlmsghdr, nlmsg_flags), &flags, sizeof(flags));
  return bytes;
}

// NLMSG_ERROR as netlink_ack writes it: capped, with the text if there is one.
inline MessageBytes ack(std::uint32_t sequence, int error_number, std::string_view text = {}) {
  MessageWriter message(NLMSG_ERROR, 0);
  nlmsgerr error{};
  error.error = -error_number;
  error.msg.nlmsg_len = 1000;  // of the request, which is not here
  message.put_header(error);
  if (!text.empty()) {
    message.put_text(NLMSGERR_ATTR_MSG, text);
  }
  return with_flags(message.finish(sequence),
                    static_cast<std::uint16_t>(NLM_F_CAPPED | (text.empty() ? 0 : NLM_F_ACK_TLVS)));
}

inline MessageBytes operator+(MessageBytes left, const MessageBytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

}  // namespace vxmesh
