#include "adapters/libnl/message.h"

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/check.h"

namespace vxmesh {
namespace {

// Far above the largest request, the creation of a vxlan.
constexpr std::size_t kMaxRequest = 1024;

template <typename Number>
std::optional<Number> number(std::optional<std::span<const std::uint8_t>> bytes) {
  Number value{};
  if (!bytes || bytes->size() != sizeof(value)) {
    return std::nullopt;
  }
  std::memcpy(&value, bytes->data(), sizeof(value));
  return value;
}

}  // namespace

std::uint8_t address_family(Family family) {
  return family == Family::V4 ? AF_INET : AF_INET6;
}

std::optional<Family> to_family(std::uint8_t address_family) {
  switch (address_family) {
    case AF_INET: return Family::V4;
    case AF_INET6: return Family::V6;
    default: return std::nullopt;
  }
}

MessageWriter::MessageWriter(std::uint16_t type, std::uint16_t flags)
    : message_(::nlmsg_alloc_size(kMaxRequest)) {
  check(message_ != nullptr, "memory for a request");
  nlmsghdr* header = ::nlmsg_put(message_.get(), 0, 0, type, 0, NLM_F_REQUEST | flags);
  check(header != nullptr, "a header fits an empty request");
}

MessageWriter::~MessageWriter() = default;

void MessageWriter::Free::operator()(nl_msg* message) const {
  ::nlmsg_free(message);
}

void MessageWriter::append(const void* data, std::size_t size) {
  // libnl does not write to what it copies.
  const int error = ::nlmsg_append(message_.get(), const_cast<void*>(data), size, NLMSG_ALIGNTO);
  check(error == 0, "a fixed part fits an empty request");
}

void MessageWriter::put(int type, const void* data, std::size_t size) {
  const int error = ::nla_put(message_.get(), type, static_cast<int>(size), data);
  check(error == 0, "an attribute fits its request");
}

void MessageWriter::put_u8(int type, std::uint8_t value) {
  put(type, &value, sizeof(value));
}

void MessageWriter::put_u16(int type, std::uint16_t value) {
  put(type, &value, sizeof(value));
}

void MessageWriter::put_u32(int type, std::uint32_t value) {
  put(type, &value, sizeof(value));
}

void MessageWriter::put_u64(int type, std::uint64_t value) {
  put(type, &value, sizeof(value));
}

void MessageWriter::put_big_endian_u16(int type, std::uint16_t value) {
  const std::array<std::uint8_t, 2> bytes{static_cast<std::uint8_t>(value >> 8U),
                                          static_cast<std::uint8_t>(value & 0xffU)};
  put(type, bytes.data(), bytes.size());
}

void MessageWriter::put_address(int type, const IpAddress& address) {
  put(type, address.bytes().data(), address_bits(address.family()) / 8U);
}

void MessageWriter::put_mac(int type, const MacAddress& mac) {
  put(type, mac.bytes.data(), mac.bytes.size());
}

void MessageWriter::put_gateway(Family family, const IpAddress& gateway) {
  if (gateway.family() == family) {
    put_address(RTA_GATEWAY, gateway);
    return;
  }
  const std::uint16_t native = address_family(gateway.family());
  MessageBytes via(sizeof(native));
  std::memcpy(via.data(), &native, sizeof(native));
  const auto& bytes = gateway.bytes();
  via.insert(via.end(), bytes.begin(), bytes.begin() + address_bits(gateway.family()) / 8);
  put_bytes(RTA_VIA, via);
}

void MessageWriter::put_text(int type, std::string_view text) {
  // The kernel refuses names over 15 bytes (IFNAMSIZ), so one that is cut here stays refused.
  const std::string ended(text.substr(0, 64));
  put(type, ended.c_str(), ended.size() + 1);
}

void MessageWriter::put_bytes(int type, std::span<const std::uint8_t> bytes) {
  put(type, bytes.data(), bytes.size());
}

nlattr* MessageWriter::begin_nest(int type) {
  nlattr* nest = ::nla_nest_start(message_.get(), type);
  check(nest != nullptr, "an attribute fits its request");
  return nest;
}

void MessageWriter::end_nest(nlattr* nest) {
  ::nla_nest_end(message_.get(), nest);
}

MessageBytes MessageWriter::finish(std::uint32_t sequence) const {
  nlmsghdr* header = ::nlmsg_hdr(message_.get());
  header->nlmsg_seq = sequence;
  const auto* begin = reinterpret_cast<const std::uint8_t*>(header);
  MessageBytes bytes(begin, begin + header->nlmsg_len);
  bytes.resize(NLMSG_ALIGN(bytes.size()));
  return bytes;
}

std::optional<std::span<const std::uint8_t>> Attributes::bytes(int type) const {
  const nlattr* found = ::nla_find(reinterpret_cast<const nlattr*>(bytes_.data()),
                                   static_cast<int>(bytes_.size()), type);
  if (found == nullptr) {
    return std::nullopt;
  }
  return std::span(static_cast<const std::uint8_t*>(::nla_data(found)),
                   static_cast<std::size_t>(::nla_len(found)));
}

std::optional<std::uint8_t> Attributes::u8(int type) const {
  return number<std::uint8_t>(bytes(type));
}

std::optional<std::uint32_t> Attributes::u32(int type) const {
  return number<std::uint32_t>(bytes(type));
}

std::optional<std::uint16_t> Attributes::big_endian_u16(int type) const {
  const auto found = bytes(type);
  if (!found || found->size() != 2) {
    return std::nullopt;
  }
  return static_cast<std::uint16_t>((*found)[0] << 8U | (*found)[1]);
}

std::optional<IpAddress> Attributes::address(int type, Family family) const {
  const auto found = bytes(type);
  if (!found || found->size() != address_bits(family) / 8U) {
    return std::nullopt;
  }
  if (family == Family::V6) {
    std::array<std::uint8_t, 16> all{};
    std::copy(found->begin(), found->end(), all.begin());
    return IpAddress::v6(all);
  }
  std::uint32_t bits = 0;
  for (const std::uint8_t byte : *found) {
    bits = bits << 8U | byte;
  }
  return IpAddress::v4(bits);
}

std::optional<IfIndex> Attributes::device(int type) const {
  const std::optional<std::uint32_t> index = u32(type);
  return index ? std::optional(IfIndex{*index}) : std::nullopt;
}

std::optional<IpAddress> Attributes::gateway(Family family) const {
  const std::optional<IpAddress> gateway = address(RTA_GATEWAY, family);
  const auto via = bytes(RTA_VIA);
  std::array<std::uint8_t, 16> all{};
  std::uint16_t native = 0;
  if (gateway || !via || via->size() != sizeof(native) + all.size()) {
    return gateway;
  }
  std::memcpy(&native, via->data(), sizeof(native));
  std::memcpy(all.data(), via->data() + sizeof(native), all.size());
  return native == AF_INET6 ? std::optional(IpAddress::v6(all)) : std::nullopt;
}

std::optional<MacAddress> Attributes::mac(int type) const {
  const auto found = bytes(type);
  MacAddress mac;
  if (!found || found->size() != mac.bytes.size()) {
    return std::nullopt;
  }
  std::copy(found->begin(), found->end(), mac.bytes.begin());
  return mac;
}

std::optional<std::string> Attributes::text(int type) const {
  const auto found = bytes(type);
  if (!found) {
    return std::nullopt;
  }
  return std::string(found->begin(), std::find(found->begin(), found->end(), 0));
}

Attributes Attributes::nested(int type) const {
  return Attributes(bytes(type).value_or(std::span<const std::uint8_t>()));
}

std::optional<Message> take_message(std::span<const std::uint8_t>& buffer) {
  nlmsghdr header{};
  if (buffer.size() < sizeof(header)) {
    return std::nullopt;
  }
  std::memcpy(&header, buffer.data(), sizeof(header));
  if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > buffer.size()) {
    return std::nullopt;
  }
  const Message message(header, buffer.first(header.nlmsg_len).subspan(NLMSG_HDRLEN));
  const std::size_t padded = (std::size_t{header.nlmsg_len} + 3U) & ~std::size_t{3};
  buffer = buffer.subspan(std::min(padded, buffer.size()));
  return message;
}

std::optional<Answer> decode_answer(const Message& message) {
  if (message.type() == NLMSG_DONE) {
    // The payload is 0 or a negative errno (netlink_dump_done); a dump of nothing may have none.
    const int result = message.header<int>().value_or(0);
    return Answer{.error_number = result < 0 ? -result : 0,
                  .extended_ack = message.attributes<int>().text(NLMSGERR_ATTR_MSG).value_or("")};
  }
  const std::optional<nlmsgerr> error = message.header<nlmsgerr>();
  if (message.type() != NLMSG_ERROR || !error) {
    return std::nullopt;
  }
  Answer answer{.error_number = error->error < 0 ? -error->error : 0, .extended_ack = ""};
  if ((message.flags() & NLM_F_ACK_TLVS) != 0) {
    // The request comes back in front of the attributes, unless it was left out.
    std::size_t offset = sizeof(nlmsgerr);
    if ((message.flags() & NLM_F_CAPPED) == 0) {
      offset += std::max<std::size_t>(error->msg.nlmsg_len, NLMSG_HDRLEN) - NLMSG_HDRLEN;
      offset = NLMSG_ALIGN(offset);
    }
    const std::span<const std::uint8_t> rest =
        message.payload().subspan(std::min(offset, message.payload().size()));
    answer.extended_ack = Attributes(rest).text(NLMSGERR_ATTR_MSG).value_or("");
  }
  return answer;
}

Error kernel_error(const std::string& what, const Answer& answer) {
  const int number = answer.error_number;
  const char* name = ::strerrorname_np(number);
  const std::string text =
      answer.extended_ack.empty() ? std::strerror(number) : answer.extended_ack;
  const ErrorCode code = number == EPERM || number == EACCES ? ErrorCode::NoPermission
                         : number == ENOBUFS                 ? ErrorCode::Overrun
                                                             : ErrorCode::Environment;
  return Error{
      .code = code,
      .context = what + ": " + (name != nullptr ? name : std::to_string(number)) + ": " + text};
}

}  // namespace vxmesh
