#include "sim/kernel/pcapng.h"

#include <string_view>

#include "base/check.h"

namespace vxmesh {
namespace {

// Block types and options (draft-ietf-opsawg-pcapng, sections 4.1 to 4.3).
constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr std::uint32_t kInterfaceDescription = 1;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint16_t kLinkTypeEthernet = 1;
constexpr std::uint16_t kOptionName = 2;
constexpr std::uint16_t kOptionTimeResolution = 9;
constexpr char kNanoseconds = 9;  // the exponent of ten, negated

// The body of a block; everything is aligned to four bytes.
class Block {
 public:
  Block& u16(std::uint16_t value) {
    bytes_ += static_cast<char>(value & 0xffU);
    bytes_ += static_cast<char>(value >> 8U);
    return *this;
  }
  Block& u32(std::uint32_t value) {
    return u16(static_cast<std::uint16_t>(value & 0xffffU))
        .u16(static_cast<std::uint16_t>(value >> 16U));
  }
  Block& text(std::string_view text) {
    bytes_ += text;
    bytes_.resize((bytes_.size() + 3) / 4 * 4);
    return *this;
  }
  Block& option(std::uint16_t code, std::string_view value) {
    return u16(code).u16(static_cast<std::uint16_t>(value.size())).text(value);
  }

  void write(std::ostream& out, std::uint32_t type) const {
    constexpr std::size_t kFrame = 12;  // type, and the length before and behind the body
    const auto length = static_cast<std::uint32_t>(kFrame + bytes_.size());
    const std::string head = Block().u32(type).u32(length).bytes_;
    const std::string tail = Block().u32(length).bytes_;
    out << head << bytes_ << tail;
  }

 private:
  std::string bytes_;
};

}  // namespace

PcapngWriter::PcapngWriter(std::ostream& out) : out_(out) {
  constexpr std::uint32_t kLengthUnknown = 0xffffffff;
  Block()
      .u32(kByteOrderMagic)
      .u16(1)  // version 1.0
      .u16(0)
      .u32(kLengthUnknown)
      .u32(kLengthUnknown)
      .write(out_, kSectionHeader);
}

PcapngWriter::Interface PcapngWriter::add_interface(const std::string& name) {
  check(name.size() <= 0xffff, "an option's length has 16 bits");
  constexpr std::uint32_t kNoSnapLimit = 0;
  Block()
      .u16(kLinkTypeEthernet)
      .u16(0)  // reserved
      .u32(kNoSnapLimit)
      .option(kOptionName, name)
      .option(kOptionTimeResolution, std::string_view(&kNanoseconds, 1))
      .u32(0)  // end of options
      .write(out_, kInterfaceDescription);
  return interfaces_++;
}

void PcapngWriter::write(Interface interface, MonotonicTime time,
                         std::span<const std::uint8_t> frame) {
  check(interface < interfaces_, "the interface was added");
  check(time.since_start >= Duration::zero(), "the clock starts at zero");
  const auto nanoseconds = static_cast<std::uint64_t>(time.since_start.count());
  const auto size = static_cast<std::uint32_t>(frame.size());
  Block()
      .u32(interface)
      .u32(static_cast<std::uint32_t>(nanoseconds >> 32U))
      .u32(static_cast<std::uint32_t>(nanoseconds & 0xffffffffU))
      .u32(size)  // captured
      .u32(size)  // on the wire
      .text(std::string_view(reinterpret_cast<const char*>(frame.data()), frame.size()))
      .write(out_, kEnhancedPacket);
}

}  // namespace vxmesh
