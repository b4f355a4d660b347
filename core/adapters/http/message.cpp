#include "adapters/http/message.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"

namespace vxmesh {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

// RFC 9110 section 15, as far as an API server and the agent use them.
std::string_view reason_phrase(std::uint16_t status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Status";
  }
}

std::string format_head(std::uint16_t status, const HttpHeaders& headers) {
  std::string text =
      "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason_phrase(status)) + "\r\n";
  for (const auto& [name, value] : headers) {
    text += name + ": " + value + "\r\n";
  }
  return text;
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

std::optional<unsigned> hex_value(char c) {
  if (c >= '0' && c <= '9') {
    return static_cast<unsigned>(c - '0');
  }
  const char letter = lower(c);
  if (letter >= 'a' && letter <= 'f') {
    return static_cast<unsigned>(letter - 'a') + 10U;
  }
  return std::nullopt;
}

// What a Host header or a request line can carry without being cut into a second one.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return error == std::errc{} && stop == end && port != 0 ? std::optional(port) : std::nullopt;
}

// Splits "host", "host:port", "[v6]" and "[v6]:port" and stores the parts.
bool parse_authority(std::string_view authority, HttpUrl& url) {
  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) {
      return false;
    }
    url.host = std::string(authority.substr(1, end - 1));
    const std::string_view rest = authority.substr(end + 1);
    has_port = rest.starts_with(':');
    port = has_port ? rest.substr(1) : rest;
    if (!has_port && !rest.empty()) {
      return false;
    }
  } else {
    const std::size_t colon = authority.find(':');
    has_port = colon != std::string_view::npos;
    url.host = std::string(authority.substr(0, colon));
    port = has_port ? authority.substr(colon + 1) : std::string_view();
  }
  if (has_port) {
    const auto number = parse_port(port);
    if (!number) {
      return false;
    }
    url.port = *number;
  }
  return !url.host.empty();
}

}  // namespace

std::optional<std::string_view> find_header(const HttpHeaders& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (equal_ignoring_case(key, name)) {
      return value;
    }
  }
  return std::nullopt;
}

std::string format_request(const HttpRequest& request, std::string_view host) {
  std::string text = request.method + " " + request.target + " HTTP/1.1\r\n";
  text += "Host: " + std::string(host) + "\r\n";
  for (const auto& [name, value] : request.headers) {
    text += name + ": " + value + "\r\n";
  }
  if (!request.body.empty()) {
    text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return text + "Connection: close\r\n\r\n" + request.body;
}

std::string format_response(const HttpResponse& response) {
  return format_head(response.status, response.headers) +
         "Content-Length: " + std::to_string(response.body.size()) + "\r\n\r\n" + response.body;
}

std::string format_chunked_head(const HttpResponseHead& head) {
  return format_head(head.status, head.headers) + "Transfer-Encoding: chunked\r\n\r\n";
}

std::string format_chunk(std::string_view data) {
  check(!data.empty(), "an empty chunk would end the body");
  char size[16];
  const auto [end, error] = std::to_chars(size, size + sizeof(size), data.size(), 16);
  check(error == std::errc{}, "sixteen hexadecimal digits hold every size");
  return std::string(size, end) + "\r\n" + std::string(data) + "\r\n";
}

std::string url_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (is_unreserved(c)) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', kDigits[byte >> 4U], kDigits[byte & 15U]};
    }
  }
  return encoded;
}

std::optional<std::string> url_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (i + 2 >= text.size()) {
      return std::nullopt;
    }
    const auto high = hex_value(text[i + 1]);
    const auto low = hex_value(text[i + 2]);
    if (!high || !low) {
      return std::nullopt;
    }
    decoded += static_cast<char>(*high * 16U + *low);
    i += 2;
  }
  return decoded;
}

std::optional<HttpUrl> parse_http_url(std::string_view text) {
  HttpUrl url;
  if (text.starts_with("https://")) {
    url.tls = true;
    url.port = 443;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  if (!is_plain(text) || text.find_first_of("@?#") != std::string_view::npos) {
    return std::nullopt;
  }
  const std::size_t slash = std::min(text.find('/'), text.size());
  if (!parse_authority(text.substr(0, slash), url)) {
    return std::nullopt;
  }
  std::string_view prefix = text.substr(slash);
  while (prefix.ends_with('/')) {
    prefix.remove_suffix(1);
  }
  url.prefix = std::string(prefix);
  return url;
}

std::string host_header(const HttpUrl& url) {
  const bool ipv6 = url.host.find(':') != std::string::npos;
  const std::string host = ipv6 ? "[" + url.host + "]" : url.host;
  const bool standard = url.port == (url.tls ? 443 : 80);
  return standard ? host : host + ":" + std::to_string(url.port);
}

}  // namespace vxmesh
