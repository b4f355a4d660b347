// A response on its way out, cut short or cut up as a fault demands.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "adapters/http/server.h"
#include "sim/fakekube/faults.h"

namespace vxmesh {

// Contract: bytes go to the exchange in order. With a stall or a drop everything behind the cut is
// discarded, and a stalled exchange stays open until the client gives up.
class ResponseWriter : public std::enable_shared_from_this<ResponseWriter> {
 public:
  enum class Cut : std::uint8_t { Stall, Close, Reset };

  // `fault`: only stall, drop and split matter here.
  ResponseWriter(boost::asio::io_context& io, HttpExchangePtr exchange,
                 const std::optional<Fault>& fault);

  void write(std::string_view bytes);
  void respond(const HttpResponse& response);
  void finish();
  // Cuts here, whatever was asked for before.
  void cut(Cut how);
  // How `fault` cuts.
  [[nodiscard]] static Cut cut_of(const Fault& fault);

  [[nodiscard]] const HttpExchangePtr& exchange() const { return exchange_; }

 private:
  void flush();

  HttpExchangePtr exchange_;
  boost::asio::steady_timer timer_;
  std::optional<Cut> cut_;      // what happens when cut_after_ is used up
  std::size_t cut_after_ = 0;   // bytes that still go out
  std::size_t piece_size_ = 0;  // 0: as written
  std::chrono::milliseconds pause_{0};
  std::deque<std::string> pieces_;  // waiting for the pause
  bool paused_ = false;
  bool finished_ = false;
  bool ended_ = false;
};

}  // namespace vxmesh
