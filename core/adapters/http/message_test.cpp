#include "adapters/http/message.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "adapters/http/parser.h"

namespace vxmesh {
namespace {

TEST(Url, IsSplitIntoItsParts) {
  EXPECT_EQ(parse_http_url("http://127.0.0.1:8080"),
            (HttpUrl{.tls = false, .host = "127.0.0.1", .port = 8080, .prefix = ""}));
  EXPECT_EQ(parse_http_url("https://api.lab/k8s/clusters/c1/"),
            (HttpUrl{.tls = true, .host = "api.lab", .port = 443, .prefix = "/k8s/clusters/c1"}));
  EXPECT_EQ(parse_http_url("https://[fd00::1]:6443/"),
            (HttpUrl{.tls = true, .host = "fd00::1", .port = 6443, .prefix = ""}));
  EXPECT_EQ(parse_http_url("http://[::1]"),
            (HttpUrl{.tls = false, .host = "::1", .port = 80, .prefix = ""}));
}

TEST(Url, WhatIsNoServerIsRefused) {
  for (const char* text :
       {"", "127.0.0.1:80", "ftp://h", "http://", "http:///p", "http://h:", "http://h:0",
        "http://h:65536", "http://h:8o", "http://[::1", "http://[::1]x", "http://u@h",
        "http://h/?a", "http://h/#a", "http://h/ x", "http://h\r\nX: y", "http://::1"}) {
    EXPECT_EQ(parse_http_url(text), std::nullopt) << text;
  }
}

TEST(Url, HostHeaderLeavesOutTheUsualPort) {
  EXPECT_EQ(host_header(*parse_http_url("https://api.lab:443")), "api.lab");
  EXPECT_EQ(host_header(*parse_http_url("http://api.lab:443")), "api.lab:443");
  EXPECT_EQ(host_header(*parse_http_url("https://[fd00::1]:6443")), "[fd00::1]:6443");
}

RC_GTEST_PROP(UrlProperty, WhatIsEncodedIsDecoded, (const std::string& text)) {
  const std::string encoded = url_encode(text);
  RC_ASSERT(encoded.find_first_of(" &=+?#\r\n") == std::string::npos);
  RC_ASSERT(url_decode(encoded) == text);
}

TEST(Url, BrokenEncodingIsRefused) {
  EXPECT_EQ(url_decode("a+b%2B"), "a b+");
  for (const char* text : {"%", "%2", "%2x", "%x2"}) {
    EXPECT_EQ(url_decode(text), std::nullopt) << text;
  }
}

// Two requests or responses, one behind the other.
struct Parsed {
  bool head_done = false;
  bool done = false;
  std::string head;
  std::string body;
  std::string rest;
  bool failed = false;

  friend bool operator==(const Parsed&, const Parsed&) = default;
};

Parsed parse(HttpParser::Kind kind, const std::vector<std::string>& pieces) {
  HttpParser parser(kind, 1024);
  Parsed parsed;
  for (const std::string& piece : pieces) {
    parsed.failed = !parser.feed(piece);
    parsed.body += parser.take_body();
    if (parsed.failed) {
      break;
    }
  }
  parsed.head_done = parser.head_done();
  parsed.done = parser.done();
  if (parsed.head_done && kind == HttpParser::Kind::Request) {
    parsed.head = parser.request().method + " " + parser.request().target;
  } else if (parsed.head_done) {
    parsed.head = std::to_string(parser.response().status) + " " +
                  std::string(find_header(parser.response().headers, "x-a").value_or("none"));
  }
  parsed.rest = parser.take_rest();
  return parsed;
}

const std::string kRequest =
    "PUT /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /next";
const std::string kChunked =
    "HTTP/1.1 410 Gone\r\nX-A: \"b\"\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: t\r\n\r\n";

TEST(Parser, EverySplitGivesTheSame) {
  const auto check_splits = [](HttpParser::Kind kind, const std::string& text,
                               const Parsed& wanted) {
    EXPECT_EQ(parse(kind, {text}), wanted);
    std::vector<std::string> bytes;
    for (const char c : text) {
      bytes.emplace_back(1, c);
    }
    EXPECT_EQ(parse(kind, bytes), wanted);
    for (std::size_t at = 0; at <= text.size(); ++at) {
      ASSERT_EQ(parse(kind, {text.substr(0, at), text.substr(at)}), wanted) << at;
    }
  };
  check_splits(HttpParser::Kind::Request, kRequest,
               {.head_done = true,
                .done = true,
                .head = "PUT /a?b=c",
                .body = "hello",
                .rest = "GET /next",
                .failed = false});
  check_splits(HttpParser::Kind::Response, kChunked,
               {.head_done = true,
                .done = true,
                .head = "410 \"b\"",
                .body = "abc0123456789abcdef",
                .rest = "",
                .failed = false});
}

TEST(Parser, TheEndOfTheConnectionEndsOnlyABodyWithoutLength) {
  const auto end = [](const std::string& text) {
    HttpParser parser(HttpParser::Kind::Response, 1024);
    EXPECT_TRUE(parser.feed(text));
    return parser.feed_end().has_value();
  };
  EXPECT_TRUE(end("HTTP/1.1 200 OK\r\n\r\nhello"));
  EXPECT_TRUE(end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
  EXPECT_FALSE(end("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"));
  EXPECT_FALSE(end(kChunked.substr(0, kChunked.size() - 1)));
  EXPECT_FALSE(end("HTTP/1.1 200 OK\r\n"));
  EXPECT_FALSE(end(""));
}

TEST(Parser, HeadsAreLimited) {
  const std::string start = "HTTP/1.1 200 OK\r\n";
  EXPECT_TRUE(parse(HttpParser::Kind::Response, {start + "A: " + std::string(2000, 'x')}).failed);
  std::string many = start;
  for (int i = 0; i < 500; ++i) {
    many += "A: b\r\n";
  }
  EXPECT_TRUE(parse(HttpParser::Kind::Response, {many}).failed);
  EXPECT_TRUE(parse(HttpParser::Kind::Response,
                    {start + "Transfer-Encoding: chunked\r\n\r\n3;" + std::string(2000, 'x')})
                  .failed);
}

TEST(Parser, WhatIsNotHttpIsRefused) {
  for (const char* text :
       {"\x16\x03\x01\x02\x03\x04\x05\x06\x07", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"}) {
    EXPECT_TRUE(parse(HttpParser::Kind::Response, {text}).failed) << text;
  }
  EXPECT_TRUE(parse(HttpParser::Kind::Request, {"GET /\r\n\r\n"}).failed);
}

RC_GTEST_PROP(ParserProperty, BrokenTextIsHarmless, ()) {
  const bool request = *rc::gen::arbitrary<bool>();
  std::string text = request ? kRequest : kChunked;
  for (int edits = *rc::gen::inRange(1, 5); edits > 0 && !text.empty(); --edits) {
    const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
    switch (*rc::gen::inRange(0, 3)) {
      case 0: text[at] = *rc::gen::arbitrary<char>(); break;
      case 1: text.erase(at, *rc::gen::inRange<std::size_t>(1, 20)); break;
      default: text.insert(at, text.substr(*rc::gen::inRange<std::size_t>(0, text.size()), 20));
    }
  }
  HttpParser parser(request ? HttpParser::Kind::Request : HttpParser::Kind::Response, 1024);
  std::size_t body = 0;
  bool good = true;
  for (std::size_t at = 0; at < text.size() && good;) {
    const auto size = *rc::gen::inRange<std::size_t>(1, 30);
    good = parser.feed(std::string_view(text).substr(at, size)).has_value();
    body += parser.take_body().size();
    at += size;
  }
  if (good) {
    (void)parser.feed_end();
  }
  RC_ASSERT(body <= text.size());
}

TEST(Writing, IsWhatTheParserReads) {
  const HttpRequest request{
      .method = "POST", .target = "/x", .headers = {{"A", "b"}}, .body = "the body"};
  HttpParser requests(HttpParser::Kind::Request, 1024);
  ASSERT_TRUE(requests.feed(format_request(request, "host:1")));
  ASSERT_TRUE(requests.done());
  EXPECT_EQ(requests.request().method, "POST");
  EXPECT_EQ(find_header(requests.request().headers, "HOST"), "host:1");
  EXPECT_EQ(find_header(requests.request().headers, "a"), "b");
  EXPECT_EQ(requests.take_body(), "the body");
  EXPECT_FALSE(requests.keep_alive());

  HttpParser responses(HttpParser::Kind::Response, 1024);
  ASSERT_TRUE(responses.feed(format_chunked_head({.status = 201, .headers = {}}) +
                             format_chunk(std::string(300, 'x')) + std::string(kLastChunk)));
  ASSERT_TRUE(responses.done());
  EXPECT_EQ(responses.response().status, 201);
  EXPECT_EQ(responses.take_body(), std::string(300, 'x'));
}

}  // namespace
}  // namespace vxmesh
