// The client and the server against each other and against raw bytes, on loopback.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "adapters/http/client.h"
#include "adapters/http/server.h"

namespace vxmesh {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using tcp = asio::ip::tcp;

// Fails a test that hangs; nothing waits this long otherwise.
constexpr std::chrono::seconds kPatience{20};

// Collects one response.
struct Collector final : public HttpResponseHandler {
  void on_head(const HttpResponseHead& got) override { head = got; }
  void on_body(std::string_view bytes) override {
    body += bytes;
    if (in_body) {
      in_body();
    }
  }
  void on_end() override { ended = true; }
  void on_error(const std::string& message) override { error = message; }

  [[nodiscard]] bool over() const { return ended || error.has_value(); }

  std::optional<HttpResponseHead> head;
  std::string body;
  bool ended = false;
  std::optional<std::string> error;
  std::function<void()> in_body;
};

class Http : public testing::Test {
 protected:
  void serve(HttpHandler handler, HttpServerOptions options = {}) {
    auto server = HttpServer::listen(io_, options, std::move(handler));
    ASSERT_TRUE(server) << server.error().context;
    server_ = std::move(*server);
  }

  HttpClient client(const TlsClientOptions& tls = {}, const std::string& url = "") {
    auto client = HttpClient::make(io_, url.empty() ? server_->url() : url, tls);
    EXPECT_TRUE(client) << client.error().context;
    return std::move(*client);
  }

  void run_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      io_.restart();
      io_.run_one_for(100ms);
    }
    ASSERT_TRUE(condition());
  }

  Collector get(const std::string& target, const TlsClientOptions& tls = {},
                const std::string& url = "") {
    Collector collector;
    const auto call = client(tls, url).send({.target = target}, collector);
    run_until([&] { return collector.over(); });
    return collector;
  }

  // Sends raw bytes to the server and gives everything that comes back until it closes.
  std::string raw(const std::string& bytes, bool half_close = false) {
    tcp::socket socket(io_);
    socket.connect({asio::ip::address_v4::loopback(), server_->port()});
    asio::write(socket, asio::buffer(bytes));
    if (half_close) {
      socket.shutdown(tcp::socket::shutdown_send);
    }
    std::string got;
    bool closed = false;
    asio::async_read(socket, asio::dynamic_buffer(got),
                     [&](const boost::system::error_code&, std::size_t) { closed = true; });
    run_until([&] { return closed; });
    return got;
  }

  asio::io_context io_;
  std::unique_ptr<HttpServer> server_;
};

HttpHandler echo() {
  return [](const HttpRequest& request, const HttpExchangePtr& exchange) {
    exchange->respond({.status = 200,
                       .headers = {},
                       .body = request.method + " " + request.target + request.body});
  };
}

TEST_F(Http, ARequestIsAnswered) {
  serve(echo());
  const Collector got = get("/x?y=z");
  EXPECT_EQ(got.error, std::nullopt);
  EXPECT_EQ(got.head->status, 200);
  EXPECT_EQ(got.body, "GET /x?y=z");
}

TEST_F(Http, NamesAreLookedUpAndPrefixesKept) {
  serve(echo());
  const Collector got =
      get("/x", {}, "http://localhost:" + std::to_string(server_->port()) + "/prefix/");
  EXPECT_EQ(got.body, "GET /prefix/x") << got.error.value_or("");
}

TEST_F(Http, BodiesComeAsTheyAreSent) {
  HttpExchangePtr kept;
  serve([&](const HttpRequest&, const HttpExchangePtr& exchange) {
    kept = exchange;
    exchange->write(format_chunked_head({}));
    exchange->write(format_chunk("first"));
  });
  Collector collector;
  const auto call = client().send({}, collector);
  run_until([&] { return collector.body == "first"; });
  EXPECT_FALSE(collector.over());
  kept->write(format_chunk(" second"));
  run_until([&] { return collector.body == "first second"; });
  kept->write(std::string(kLastChunk));
  kept->finish();
  run_until([&] { return collector.over(); });
  EXPECT_TRUE(collector.ended);
}

TEST_F(Http, LargeBodiesPassWhole) {
  std::string large;
  for (int i = 0; large.size() < 5'000'000; ++i) {
    large += std::to_string(i);
  }
  serve([&](const HttpRequest&, const HttpExchangePtr& exchange) {
    exchange->respond({.status = 200, .headers = {}, .body = large});
  });
  EXPECT_TRUE(get("/").body == large);
}

TEST_F(Http, ABodyCutShortIsAnErrorWhateverTheCut) {
  bool reset = false;
  serve([&](const HttpRequest&, const HttpExchangePtr& exchange) {
    exchange->write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    reset ? exchange->reset() : exchange->close();
  });
  for (int i = 0; i < 2; ++i) {
    const Collector got = get("/");
    EXPECT_FALSE(got.ended);
    EXPECT_TRUE(got.error && got.error->starts_with(server_->url() + ": ")) << *got.error;
    reset = true;
  }
}

TEST_F(Http, ADestroyedCallIsNotCalledAgain) {
  HttpExchangePtr kept;
  serve([&](const HttpRequest&, const HttpExchangePtr& exchange) {
    kept = exchange;
    exchange->write(format_chunked_head({}));
    exchange->write(format_chunk("first"));
  });
  Collector collector;
  auto call = client().send({}, collector);
  bool gone = false;
  collector.in_body = [&] { call.reset(); };  // inside its own callback
  run_until([&] {
    if (kept != nullptr && !gone) {
      kept->on_closed([&] { gone = true; });
    }
    return gone;
  });
  EXPECT_EQ(collector.body, "first");
  EXPECT_FALSE(collector.over());
  EXPECT_FALSE(kept->open());
}

TEST_F(Http, ACallDestroyedBeforeItStartsSendsNothing) {
  int requests = 0;
  serve([&](const HttpRequest&, const HttpExchangePtr& exchange) {
    ++requests;
    exchange->respond({});
  });
  Collector collector;
  (void)client().send({}, collector);
  EXPECT_EQ(get("/").head->status, 200);
  EXPECT_EQ(requests, 1);
  EXPECT_FALSE(collector.over());
}

TEST_F(Http, NobodyListeningIsAnErrorThatNamesTheServer) {
  serve(echo());
  const std::string url = server_->url();
  server_.reset();
  const Collector got = get("/", {}, url);
  ASSERT_TRUE(got.error);
  EXPECT_TRUE(got.error->starts_with(url + ": cannot connect: ")) << *got.error;
}

TEST_F(Http, ASecondServerOnThePortIsRefused) {
  serve(echo());
  const auto second = HttpServer::listen(io_, {.port = server_->port()}, echo());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::Environment);
}

TEST_F(Http, RequestsOnOneConnectionAreAnsweredInOrder) {
  serve(echo());
  const std::string got = raw(
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
      "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const auto ok = [](const std::string& body) {
    return format_response({.status = 200, .headers = {}, .body = body});
  };
  EXPECT_EQ(got, ok("GET /1") + ok("POST /2hi") + ok("GET /3"));
}

TEST_F(Http, AClientThatOnlyFinishedSendingGetsItsAnswer) {
  serve(echo());
  EXPECT_EQ(raw("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", /*half_close=*/true),
            format_response({.status = 200, .headers = {}, .body = "GET /1"}));
}

TEST_F(Http, AnAnswerThatIsStillBeingWrittenOutlivesTheClientsLastByte) {
  // More than the kernel takes at once, so that the end of the request is seen before it is out.
  const HttpResponse large{.status = 200, .headers = {}, .body = std::string(20'000'000, 'x')};
  serve([&](const HttpRequest&, const HttpExchangePtr& exchange) { exchange->respond(large); });
  EXPECT_EQ(raw("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", /*half_close=*/true).size(),
            format_response(large).size());
}

TEST_F(Http, AClientThatAsksFirstIsToldToGoOn) {
  serve(echo());
  tcp::socket socket(io_);
  socket.connect({asio::ip::address_v4::loopback(), server_->port()});
  asio::write(socket, asio::buffer(std::string("POST /1 HTTP/1.1\r\nContent-Length: 2\r\n"
                                               "Expect: 100-continue\r\n\r\n")));
  const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
  std::string got(go_on.size(), '\0');
  bool read = false;
  asio::async_read(socket, asio::buffer(got),
                   [&](const boost::system::error_code&, std::size_t) { read = true; });
  run_until([&] { return read; });
  EXPECT_EQ(got, go_on);
  asio::write(socket, asio::buffer(std::string("hi")));
  const std::string answer = format_response({.status = 200, .headers = {}, .body = "POST /1hi"});
  got.assign(answer.size(), '\0');
  read = false;
  asio::async_read(socket, asio::buffer(got),
                   [&](const boost::system::error_code&, std::size_t) { read = true; });
  run_until([&] { return read; });
  EXPECT_EQ(got, answer);
}

TEST_F(Http, NothingFollowsAnAnswerToHead) {
  serve(echo());
  const std::string got =
      raw("HEAD /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(got.find("GET /2"), std::string::npos);
}

TEST_F(Http, HostileRequestsAreRefused) {
  serve(echo(), {.body_max = 100});
  EXPECT_TRUE(raw("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(raw("GET / HTTP/1.1\r\nA: " + std::string(20'000, 'x')).starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(raw("POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n" + std::string(101, 'x'))
                  .starts_with("HTTP/1.1 413 "));
  EXPECT_EQ(get("/still").body, "GET /still");
}

TEST_F(Http, ASlowRequestIsCutOff) {
  serve(echo(), {.request_deadline = 1s});
  EXPECT_EQ(raw("GET / HTTP/1.1\r\nHost:"), "");
}

TEST_F(Http, IdleConnectionsDoNotLockOutOthers) {
  serve(echo(), {.connections_max = 2});
  std::vector<tcp::socket> idle;
  for (int i = 0; i < 5; ++i) {
    idle.emplace_back(io_).connect({asio::ip::address_v4::loopback(), server_->port()});
  }
  EXPECT_EQ(get("/1").body, "GET /1");
  EXPECT_EQ(get("/2").body, "GET /2");
}

TEST_F(Http, AFullServerKeepsWhomItIsAnswering) {
  std::vector<HttpExchangePtr> kept;
  serve([&](const HttpRequest&, const HttpExchangePtr& exchange) { kept.push_back(exchange); },
        {.connections_max = 2});
  Collector first;
  Collector second;
  const auto first_call = client().send({}, first);
  const auto second_call = client().send({}, second);
  run_until([&] { return kept.size() == 2; });
  EXPECT_TRUE(get("/").error);
  kept[0]->respond({});
  kept[1]->respond({});
  run_until([&] { return first.over() && second.over(); });
  EXPECT_TRUE(first.ended && second.ended);
}

TEST_F(Http, ListenAddressesAreChecked) {
  EXPECT_EQ(parse_listen_address("127.0.0.1:0"), (ListenAddress{"127.0.0.1", 0}));
  EXPECT_EQ(parse_listen_address("[::1]:9809"), (ListenAddress{"::1", 9809}));
  for (const char* text : {"", "9809", ":9809", "localhost:1", "::1:9809", "[127.0.0.1]:1",
                           "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1"}) {
    EXPECT_FALSE(parse_listen_address(text)) << text;
  }
}

// Certificates made for this run by the openssl program.
class Https : public Http {
 protected:
  static void SetUpTestSuite() {
    std::string name = (std::filesystem::temp_directory_path() / "https.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    make("server", "-addext subjectAltName=IP:127.0.0.1,DNS:localhost");
    make("other", "-addext subjectAltName=DNS:other");
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(directory_); }

  // A self-signed certificate, which is its own certificate authority.
  static void make(const std::string& name, const std::string& extra) {
    const std::string base = (directory_ / name).string();
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
        "-nodes -days 2 -subj /CN=" +
        name + " " + extra + " -keyout " + base + ".key -out " + base + ".pem 2>" + base + ".log";
    ASSERT_EQ(std::system(command.c_str()), 0) << read(name + ".log");
  }
  static std::string read(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(directory_ / name).rdbuf();
    return text.str();
  }

  void serve_tls() {
    serve(echo(), {.tls = TlsServerOptions{.certificate_pem = read("server.pem"),
                                           .key_pem = read("server.key")}});
  }

  static inline std::filesystem::path directory_;
};

TEST_F(Https, ATrustedServerIsTalkedTo) {
  serve_tls();
  const Collector got = get("/secret", {.ca_pem = read("server.pem")});
  EXPECT_EQ(got.body, "GET /secret") << got.error.value_or("");
}

TEST_F(Https, AnUntrustedServerIsNot) {
  serve_tls();
  const Collector got = get("/", {.ca_pem = read("other.pem")});
  ASSERT_TRUE(got.error);
  EXPECT_NE(got.error->find("TLS handshake failed"), std::string::npos) << *got.error;
  EXPECT_EQ(got.head, std::nullopt);
}

TEST_F(Https, TheNameMustBeTheCertificates) {
  serve_tls();
  EXPECT_TRUE(get("/", {.ca_pem = read("server.pem"), .server_name = "elsewhere"}).error);
  EXPECT_EQ(get("/1", {.ca_pem = read("server.pem"), .server_name = "localhost"}).body, "GET /1");
}

TEST_F(Https, InsecureAsksForNothing) {
  serve_tls();
  EXPECT_EQ(get("/1", {.server_name = "elsewhere", .insecure_skip_verify = true}).body, "GET /1");
}

TEST_F(Https, AClientCertificateIsShown) {
  const TlsServerOptions options{.certificate_pem = read("server.pem"),
                                 .key_pem = read("server.key"),
                                 .client_ca_pem = read("other.pem")};
  serve(echo(), {.tls = options});
  const auto body = [this](const std::string& name) {
    return get("/1", {.ca_pem = read("server.pem"),
                      .client_certificate_pem = name.empty() ? "" : read(name + ".pem"),
                      .client_key_pem = name.empty() ? "" : read(name + ".key")})
        .body;
  };
  EXPECT_EQ(body("other"), "GET /1");
  EXPECT_EQ(body("server"), "");
  EXPECT_EQ(body(""), "");
}

TEST_F(Https, PlainHttpOnATlsPortIsAnError) {
  serve_tls();
  const Collector got = get("/", {}, "http://127.0.0.1:" + std::to_string(server_->port()));
  EXPECT_TRUE(got.error);
}

TEST_F(Https, ACallDestroyedInTheHandshakeIsHarmless) {
  serve_tls();
  Collector collector;
  {
    const auto call = client({.ca_pem = read("server.pem")}).send({}, collector);
    for (int i = 0; i < 3; ++i) {
      io_.restart();
      io_.run_one_for(100ms);
    }
  }
  EXPECT_EQ(get("/1", {.ca_pem = read("server.pem")}).body, "GET /1");
  EXPECT_FALSE(collector.over());
}

TEST_F(Https, BrokenCertificatesAreNamed) {
  const auto error = [this](const TlsClientOptions& options) {
    const auto client = HttpClient::make(io_, "https://127.0.0.1", options);
    return client ? "no error" : client.error().context;
  };
  EXPECT_TRUE(error({.ca_pem = "junk"}).starts_with("the certificate authority is not usable"));
  EXPECT_TRUE(error({.client_certificate_pem = "junk", .client_key_pem = "junk"})
                  .starts_with("the client certificate is not usable"));
  EXPECT_TRUE(
      error({.client_certificate_pem = read("server.pem"), .client_key_pem = read("other.key")})
          .starts_with("the client key"));
}

}  // namespace
}  // namespace vxmesh
