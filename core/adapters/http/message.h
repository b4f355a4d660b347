// HTTP/1.1 messages as values, and how their bytes are written. Parsing is adapters/http/parser.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vxmesh {

// In the order in which they were sent; names as they were sent.
using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// The value of the first header of that name, in any case; nothing if there is none.
[[nodiscard]] std::optional<std::string_view> find_header(const HttpHeaders& headers,
                                                          std::string_view name);

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query, as on the wire
  HttpHeaders headers;
  std::string body;
};

struct HttpResponseHead {
  std::uint16_t status = 200;
  HttpHeaders headers;
};

struct HttpResponse {
  std::uint16_t status = 200;
  HttpHeaders headers;  // without Content-Length, which format_response adds
  std::string body;
};

// The bytes of a whole request for `host` (the Host header), asking for one connection per request.
[[nodiscard]] std::string format_request(const HttpRequest& request, std::string_view host);
// The bytes of a whole response, with its Content-Length.
[[nodiscard]] std::string format_response(const HttpResponse& response);
// The bytes of the head of a response whose body follows in chunks.
[[nodiscard]] std::string format_chunked_head(const HttpResponseHead& head);
// One chunk; `data` must not be empty, because an empty chunk is the end.
[[nodiscard]] std::string format_chunk(std::string_view data);
// The end of a chunked body.
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

// Percent-encodes all but the unreserved characters of RFC 3986 section 2.3.
[[nodiscard]] std::string url_encode(std::string_view text);
// The reverse, for one component of a query, where '+' is a space; nothing if malformed.
[[nodiscard]] std::optional<std::string> url_decode(std::string_view text);

// A server's address: scheme://host[:port][/prefix].
struct HttpUrl {
  bool tls = false;
  std::string host;  // without the brackets of an IPv6 literal
  std::uint16_t port = 80;
  std::string prefix;  // without a trailing slash; empty if there is none

  friend bool operator==(const HttpUrl&, const HttpUrl&) = default;
};
// Nothing if it is not an http or https URL, or if it has user information, a query or a fragment.
[[nodiscard]] std::optional<HttpUrl> parse_http_url(std::string_view text);
// host:port as in a Host header; without the port if it is the scheme's own.
[[nodiscard]] std::string host_header(const HttpUrl& url);

}  // namespace vxmesh
