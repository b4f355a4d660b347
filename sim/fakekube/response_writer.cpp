#include "sim/fakekube/response_writer.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <utility>

namespace vxmesh {

ResponseWriter::ResponseWriter(boost::asio::io_context& io, HttpExchangePtr exchange,
                               const std::optional<Fault>& fault)
    : exchange_(std::move(exchange)), timer_(io) {
  if (!fault) {
    return;
  }
  if (fault->kind == Fault::Kind::Split) {
    piece_size_ = fault->size;
    pause_ = fault->pause_ms;
  } else if ((fault->kind == Fault::Kind::Stall || fault->kind == Fault::Kind::Drop) &&
             !fault->after_events) {
    cut_ = cut_of(*fault);
    cut_after_ = fault->after_bytes;
  }
}

void ResponseWriter::write(std::string_view bytes) {
  if (ended_) {
    return;
  }
  const std::size_t size = cut_ ? std::min(cut_after_, bytes.size()) : bytes.size();
  std::string_view rest = bytes.substr(0, size);
  while (!rest.empty()) {
    const std::size_t piece = piece_size_ == 0 ? rest.size() : std::min(piece_size_, rest.size());
    pieces_.emplace_back(rest.substr(0, piece));
    rest.remove_prefix(piece);
  }
  flush();
  if (cut_) {
    cut_after_ -= size;
    if (cut_after_ == 0) {
      cut(*cut_);
    }
  }
}

void ResponseWriter::respond(const HttpResponse& response) {
  write(format_response(response));
  finish();
}

void ResponseWriter::finish() {
  finished_ = true;
  flush();
}

void ResponseWriter::cut(Cut how) {
  if (std::exchange(ended_, true)) {
    return;
  }
  pieces_.clear();
  if (how == Cut::Close) {
    exchange_->close();
  } else if (how == Cut::Reset) {
    exchange_->reset();
  }
}

ResponseWriter::Cut ResponseWriter::cut_of(const Fault& fault) {
  if (fault.kind == Fault::Kind::Stall) {
    return Cut::Stall;
  }
  return fault.reset ? Cut::Reset : Cut::Close;
}

void ResponseWriter::flush() {
  while (!paused_ && !ended_ && !pieces_.empty()) {
    exchange_->write(std::move(pieces_.front()));
    pieces_.pop_front();
    if (pause_.count() > 0) {
      paused_ = true;
      timer_.expires_after(pause_);
      timer_.async_wait([self = shared_from_this()](const boost::system::error_code&) {
        self->paused_ = false;
        if (self->exchange_->open()) {
          self->flush();
        }
      });
    }
  }
  if (finished_ && pieces_.empty() && !std::exchange(ended_, true)) {
    exchange_->finish();
  }
}

}  // namespace vxmesh
