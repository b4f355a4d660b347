#include "adapters/kube/token_source.h"

#include "adapters/kube/text_file.h"

namespace vxmesh {
namespace {

constexpr Duration kTokenAge = std::chrono::seconds(60);

std::string trim(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  return first == std::string::npos ? std::string()
                                    : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// A token goes into a header line: one that could end the line is no token.
bool is_printable(const std::string& text) {
  for (const char c : text) {
    if (c <= ' ' || c >= '\x7f') {
      return false;
    }
  }
  return true;
}

}  // namespace

Result<std::string> TokenSource::get() {
  if (path_.empty()) {
    return std::string();
  }
  const MonotonicTime now = clock_->monotonic();
  if (!token_.empty() && now - read_at_ < kTokenAge) {
    return token_;
  }
  auto text = read_text_file(path_);
  const std::string token = text ? trim(*text) : std::string();
  if (!token.empty() && is_printable(token)) {
    token_ = token;
    read_at_ = now;
    return token_;
  }
  if (!token_.empty()) {
    return token_;
  }
  return text ? fail(ErrorCode::InvalidInput, path_ + ": this is not a token") : text;
}

}  // namespace vxmesh
