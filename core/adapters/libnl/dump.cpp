#include "adapters/libnl/dump.h"

#include <utility>

#include "adapters/libnl/decode.h"
#include "adapters/libnl/encode.h"
#include "base/check.h"

namespace vxmesh {
namespace {

constexpr std::size_t kReceiveBuffer = std::size_t{1024} * 1024;

// Both families one after the other: with AF_UNSPEC other families' rows would come too.
template <typename Encode>
std::vector<DumpRequestEncoder> for_both_families(const Encode& encode) {
  return {[encode](std::uint32_t sequence) { return encode(Family::V4, sequence); },
          [encode](std::uint32_t sequence) { return encode(Family::V6, sequence); }};
}

std::vector<DumpRequestEncoder> requests_of(const DumpRequest& request) {
  const bool needs_device = request.table == Table::Fdb || request.table == Table::Neighbours;
  check(!needs_device || request.device, "dumps of FDB entries and neighbours name a device");
  const IfIndex device = request.device.value_or(IfIndex{});
  switch (request.table) {
    case Table::Links: return {encode_link_dump};
    case Table::Addresses: return for_both_families(encode_address_dump);
    case Table::Routes: return for_both_families(encode_route_dump);
    case Table::Fdb:
      return {[device](std::uint32_t sequence) { return encode_fdb_dump(device, sequence); }};
    case Table::Neighbours: break;
  }
  return for_both_families([device](Family family, std::uint32_t sequence) {
    return encode_neighbour_dump(family, device, sequence);
  });
}

}  // namespace

Result<DumpMessage> classify_dump_message(const Message& message, std::uint32_t sequence,
                                          const std::string& what) {
  if (message.sequence() != sequence) {
    return DumpMessage::Stray;
  }
  if ((message.flags() & NLM_F_DUMP_INTR) != 0) {
    return fail(ErrorCode::Interrupted, what + ": the table changed under the dump");
  }
  const std::optional<Answer> answer = decode_answer(message);
  if (!answer) {
    return DumpMessage::Row;
  }
  if (answer->error_number != 0) {
    return tl::unexpected<Error>(kernel_error(what, *answer));
  }
  return DumpMessage::End;
}

Dump::Dump(std::string what, std::vector<DumpRequestEncoder> requests)
    : what_(std::move(what)), requests_(std::move(requests)) {}

Result<bool> Dump::next(const std::function<void(const Message&)>& take) {
  if (error_) {
    return tl::unexpected<Error>(*error_);
  }
  Result<bool> finished = step(take);
  if (!finished) {
    error_ = finished.error();
  }
  return finished;
}

Result<bool> Dump::step(const std::function<void(const Message&)>& take) {
  if (current_ == requests_.size()) {
    return true;
  }
  if (!running_) {
    if (const Result<void> sent = send_request(); !sent) {
      return tl::unexpected<Error>(sent.error());
    }
  }
  const RouteSocket::Received received = socket_->receive();
  if (received.status == RouteSocket::Status::Failed) {
    return tl::unexpected<Error>(
        kernel_error(what_, {.error_number = received.error_number, .extended_ack = ""}));
  }
  if (received.status != RouteSocket::Status::Data) {
    return fail(ErrorCode::Overrun, what_ + ": the kernel's answer was lost");
  }
  std::span<const std::uint8_t> buffer = received.bytes;
  while (const std::optional<Message> message = take_message(buffer)) {
    const Result<DumpMessage> kind = classify_dump_message(*message, sequence(), what_);
    if (!kind) {
      return tl::unexpected<Error>(kind.error());
    }
    if (*kind == DumpMessage::Row) {
      take(*message);
    } else if (*kind == DumpMessage::End) {
      running_ = false;
      ++current_;
      break;
    }
  }
  return current_ == requests_.size();
}

Result<void> Dump::send_request() {
  if (!socket_) {
    Result<RouteSocket> opened = RouteSocket::open(kReceiveBuffer);
    if (!opened) {
      return tl::unexpected<Error>(opened.error());
    }
    socket_.emplace(std::move(*opened));
  }
  if (const int error = socket_->send(requests_[current_](sequence())); error != 0) {
    return tl::unexpected<Error>(kernel_error(what_, {.error_number = error, .extended_ack = ""}));
  }
  running_ = true;
  return {};
}

DumpCursorLibnl::DumpCursorLibnl(const DumpRequest& request)
    : dump_("dump of " + format(request.table), requests_of(request)) {}

Result<DumpCursor::Step> DumpCursorLibnl::next() {
  Step step;
  const Result<bool> finished = dump_.next([&step](const Message& message) {
    if (std::optional<KernelChange> row = decode_change(message)) {
      step.rows.push_back(std::move(row->report));
    }
  });
  if (!finished) {
    return tl::unexpected<Error>(finished.error());
  }
  step.finished = *finished;
  return step;
}

}  // namespace vxmesh
