// SPDX-License-Identifier: BSD-2-Clause
// Connections of those who are not kfx, or not of this version, and of those who lie.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include "cm/handshake.hpp"
#include "kfx/backend/backend.hpp"
#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {

/// A plain socket, as a stranger has it.
class plain {
 public:
  plain() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) { REQUIRE(fd_ >= 0); }
  explicit plain(int fd) : fd_(fd) { REQUIRE(fd_ >= 0); }
  plain(const plain&) = delete;
  plain& operator=(const plain&) = delete;
  ~plain() { ::close(fd_); }

  static sockaddr_in place(std::uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
  }
  void connect(const std::string& address) {
    const auto u = *backend::uri::parse(address);
    const sockaddr_in a = place(static_cast<std::uint16_t>(std::stoi(u.port)));
    REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0);
  }
  /// Listens at a free port; its URI.
  std::string listen() {
    sockaddr_in a = place(0);
    socklen_t size = sizeof a;
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0);
    REQUIRE(::listen(fd_, 16) == 0);
    REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&a), &size) == 0);
    return "tcp://127.0.0.1:" + std::to_string(ntohs(a.sin_port));
  }
  int accept() { return ::accept(fd_, nullptr, nullptr); }
  void send(const_buffer b) {
    REQUIRE(::send(fd_, b.data(), b.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(b.size()));
  }
  /// The next frame, or nothing when the connection ended first.
  std::optional<std::vector<std::byte>> frame() {
    std::vector<std::byte> got(4);
    if (!fill(got, 0)) return {};
    got.resize(wire::load<std::uint32_t>(got.data()));
    REQUIRE(got.size() >= wire::head_size);
    REQUIRE(got.size() <= 64 * 1024);
    if (!fill(got, 4)) return {};
    return got;
  }
  std::optional<cm::greeting> greeting() {
    const auto f = frame();
    if (!f) return {};
    const auto g = cm::decode(wire::load<wire::head>(f->data()), const_buffer(*f).subspan(wire::head_size));
    REQUIRE(g.has_value());
    return *g;
  }
  /// The other side closed. What it still said is read and dropped.
  bool ended(std::chrono::milliseconds within) {
    const auto until = clock::now() + within;
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - clock::now());
      pollfd p{fd_, POLLIN, 0};
      if (left.count() <= 0 || ::poll(&p, 1, static_cast<int>(left.count())) <= 0) return false;
      std::byte b[1024];
      if (::recv(fd_, b, sizeof b, 0) <= 0) return true;
    }
  }

 private:
  bool fill(std::vector<std::byte>& into, std::size_t at) {
    while (at < into.size()) {
      pollfd p{fd_, POLLIN, 0};
      if (::poll(&p, 1, 20'000) <= 0) return false;
      const ssize_t n = ::recv(fd_, into.data() + at, into.size() - at, 0);
      if (n <= 0) return false;
      at += static_cast<std::size_t>(n);
    }
    return true;
  }
  int fd_;
};

const_buffer said(std::string_view s) { return std::as_bytes(std::span(s.data(), s.size())); }

cm::greeting hello(std::uint64_t session, char who = 'a') {
  cm::greeting g;
  g.node_id = std::string(32, who);
  g.incarnation = 42;
  g.session = session;
  g.credits = 8;
  g.scheme = "tcp";
  return g;
}

void works(node& server) {
  node client;
  auto o = client.at(server.addresses().front()).open("nothing");
  (void)o.complete(20s);
  REQUIRE(o.ready());
  CHECK(o.result().error() == errc::not_found);
}

}  // namespace

TEST_CASE("garbage is refused by name, and the node goes on") {
  node server({.listen = {"tcp://127.0.0.1:0"}});
  for (const std::string_view garbage :
       {std::string_view("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"),
        std::string_view("\x40\x00\x00\x00\x09\x04\x00\x00________________________________________________________",
                         64),
        std::string_view("\x28\x00\x00\x00\x01\x04\x00\x00________________________________", 40)}) {
    plain stranger;
    stranger.connect(server.addresses().front());
    stranger.send(said(garbage));
    const auto answer = stranger.greeting();
    REQUIRE(answer);
    CHECK(answer->kind == wire::type::refuse);
    CHECK(answer->reason == static_cast<int>(errc::protocol_error));
    CHECK_FALSE(answer->sentence.empty());
    CHECK(stranger.ended(10s));
  }
  works(server);
}

TEST_CASE("another version is refused, and told both versions") {
  node server({.listen = {"tcp://127.0.0.1:0"}});
  plain stranger;
  stranger.connect(server.addresses().front());
  cm::greeting g = hello(1);
  g.version = 77;
  stranger.send(cm::encode(g));
  const auto answer = stranger.greeting();
  REQUIRE(answer);
  CHECK(answer->kind == wire::type::refuse);
  CHECK(answer->reason == static_cast<int>(errc::version_mismatch));
  CHECK(answer->sentence.find("77") != std::string::npos);
  works(server);
}

TEST_CASE("whoever says nothing is dropped") {
  node server({.listen = {"tcp://127.0.0.1:0"}});
  plain stranger;
  stranger.connect(server.addresses().front());
  CHECK_FALSE(stranger.ended(2s));
  CHECK(stranger.ended(8s));
  works(server);
}

TEST_CASE("a server of another version or kind is an error at once") {
  plain listener;
  const std::string address = listener.listen();
  for (const bool version : {true, false}) {
    std::thread other([&] {
      const int fd = listener.accept();
      if (fd < 0) return;
      cm::greeting g = hello(1);
      g.kind = wire::type::welcome;
      g.version = 5;
      const auto frame = cm::encode(g);
      const std::string_view http = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
      const const_buffer bytes = version ? const_buffer(frame) : said(http);
      (void)::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      std::byte b[4096];
      while (::recv(fd, b, sizeof b, 0) > 0) {
      }
      ::close(fd);
    });
    node client;
    auto o = client.at(address).open("x");
    (void)o.complete(20s);
    CHECK(o.ready());
    CHECK(o.result().error() == (version ? errc::version_mismatch : errc::protocol_error));
    INFO(o.explain());
    if (version) CHECK(o.explain().find("version 5") != std::string::npos);
    other.join();
  }
}

TEST_CASE("the same hello twice is one session; one that lies about it is none") {
  node server({.listen = {"tcp://127.0.0.1:0"}});
  const std::string address = server.addresses().front();
  plain first;
  first.connect(address);
  first.send(cm::encode(hello(99)));
  auto answer = first.greeting();
  REQUIRE(answer);
  CHECK(answer->kind == wire::type::welcome);
  CHECK(answer->session == 99);
  CHECK_FALSE(answer->lost);

  plain second;
  second.connect(address);
  second.send(cm::encode(hello(99)));
  answer = second.greeting();
  REQUIRE(answer);
  CHECK(answer->kind == wire::type::welcome);
  CHECK(answer->session == 99);
  CHECK(first.ended(10s));  // fenced

  // Another node cannot have it.
  plain thief;
  thief.connect(address);
  cm::greeting g = hello(99, 'b');
  g.resume = true;
  thief.send(cm::encode(g));
  answer = thief.greeting();
  REQUIRE(answer);
  CHECK(answer->kind == wire::type::refuse);
  CHECK_FALSE(second.ended(100ms));

  // Nor can frames have been taken that were never sent.
  plain liar;
  liar.connect(address);
  g = hello(99);
  g.resume = true;
  g.taken = 1000;
  liar.send(cm::encode(g));
  answer = liar.greeting();
  REQUIRE(answer);
  CHECK(answer->kind == wire::type::refuse);
  CHECK(answer->why == cm::refusal::lost);
}

TEST_CASE("a session nobody here knows is given up, and a fresh one begins") {
  node server({.listen = {"tcp://127.0.0.1:0"}});
  plain peer;
  peer.connect(server.addresses().front());
  cm::greeting g = hello(1234);
  g.resume = true;
  g.taken = 17;
  peer.send(cm::encode(g));
  const auto answer = peer.greeting();
  REQUIRE(answer);
  CHECK(answer->kind == wire::type::welcome);
  CHECK(answer->lost);
  CHECK(answer->taken == 0);
  CHECK(answer->session != 1234);
}

TEST_CASE("a probe tells what there is and leaves nothing behind") {
  std::atomic<int> events{0};
  node server({.listen = {"tcp://127.0.0.1:0"}, .name = "the store"});
  server.on_peer([&](const peer&, peer_event) { ++events; });
  plain peer;
  peer.connect(server.addresses().front());
  cm::greeting g = hello(0);
  g.probe = true;
  for (int i = 0; i < 2; ++i) {
    peer.send(cm::encode(g));
    const auto answer = peer.greeting();
    REQUIRE(answer);
    CHECK(answer->kind == wire::type::welcome);
    CHECK(answer->probe);
    CHECK(answer->node_id == server.id());
    CHECK(answer->name == "the store");
    REQUIRE(answer->offers.size() >= 1);
    CHECK(answer->offers.front().backend == "loop");
  }
  // The same connection can go on to a session.
  peer.send(cm::encode(hello(5)));
  const auto answer = peer.greeting();
  REQUIRE(answer);
  CHECK(answer->session == 5);
  works(server);
  const auto end = clock::now() + 20s;
  while (events == 0 && clock::now() < end) std::this_thread::sleep_for(1ms);
  CHECK(events >= 1);
}
