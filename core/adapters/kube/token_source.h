// The bearer token of a service account, which the kubelet replaces in its file before it expires.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "ports/clock.h"

namespace vxmesh {

// Contract: get() reads the file when it was last read 60 s ago or longer (as client-go does), and
// after refuse(). If that fails the token from before is good until the server refuses it.
class TokenSource {
 public:
  // `clock` outlives this. An empty path: there is no token, and get() gives an empty one.
  TokenSource(const Clock& clock, std::string path) : clock_(&clock), path_(std::move(path)) {}

  // The token without surrounding white space. Environment, naming the file, if it cannot be read
  // or is empty, and there is none from before.
  [[nodiscard]] Result<std::string> get();

  // The server has answered 401: the token that was given out is no good.
  void refuse() { token_.clear(); }

 private:
  const Clock* clock_;
  std::string path_;
  std::string token_;  // empty: read the file
  MonotonicTime read_at_;
};

}  // namespace vxmesh
