// SPDX-License-Identifier: BSD-2-Clause
#include "backends/tcp/tcp_backend.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <optional>

#include "side.hpp"

using namespace kfx_test;
namespace asio = boost::asio;
namespace be = kfx::backend;

namespace {

using outcome = std::variant<be::channel, be::failure>;
using stream_ptr = std::unique_ptr<be::byte_stream>;

struct fixture {
  asio::io_context io;
  kfx::options options;
  be::context ctx{io, "n", "h", "p", options};
  std::unique_ptr<be::backend> tcp = be::make_tcp();
  std::vector<stream_ptr> accepted;

  /// Runs the control thread's work until that holds.
  template <class Condition>
  void until(Condition c) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!c()) {
      io.restart();
      io.run_one_for(std::chrono::milliseconds(100));
      if (std::chrono::steady_clock::now() > end) FAIL("nothing happened in time");
    }
  }
  std::unique_ptr<be::listener> listen(const std::string& host, const std::string& port = "") {
    auto l = tcp->listen(ctx, {"tcp", host, port, "", {}},
                         [this](be::channel c) { accepted.push_back(std::get<stream_ptr>(std::move(c))); });
    if (auto* f = std::get_if<be::failure>(&l)) FAIL(f->why);
    return std::get<0>(std::move(l));
  }
  be::failure listen_failure(const std::string& host, const std::string& port) {
    auto l = tcp->listen(ctx, {"tcp", host, port, "", {}}, [](be::channel) {});
    REQUIRE(std::holds_alternative<be::failure>(l));
    return std::get<be::failure>(l);
  }
  outcome connect(const be::uri& u) {
    std::optional<outcome> o;
    tcp->connect(ctx, u, [&o](outcome result) {
      REQUIRE_FALSE(o);
      o = std::move(result);
    });
    REQUIRE_FALSE(o);  // not before connect returned
    until([&] { return o.has_value(); });
    return std::move(*o);
  }
  be::uri at(const be::listener& l) { return be::uri::parse(l.address()).value(); }
  stream_ptr connected(const be::uri& u) {
    outcome o = connect(u);
    if (auto* f = std::get_if<be::failure>(&o)) FAIL(f->why);
    return std::get<stream_ptr>(std::get<be::channel>(std::move(o)));
  }
  be::failure refused(const be::uri& u) {
    outcome o = connect(u);
    REQUIRE(std::holds_alternative<be::failure>(o));
    return std::get<be::failure>(o);
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

bool host_has_ipv6() {
  asio::io_context io;
  boost::system::error_code error;
  asio::ip::tcp::acceptor a(io);
  a.open(asio::ip::tcp::v6(), error);
  if (!error) a.bind({asio::ip::address_v6::loopback(), 0}, error);
  return !error;
}

void exchange(stream_ptr one, stream_ptr other) {
  rng r(seed("tcp exchange"));
  side a(std::move(one), r);
  side b(std::move(other), r);
  a.peer = &b;
  b.peer = &a;
  for (int i = 0; i < 1000; ++i) (below(r, 2) ? a : b).step();
  drain(a, b);
}

int socket_option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  REQUIRE(::getsockopt(fd, level, name, &value, &size) == 0);
  return value;
}

}  // namespace

TEST_CASE("tcp connects, accepts, and carries frames both ways") {
  fixture f;
  auto l = f.listen("127.0.0.1");
  CHECK(has(l->address(), "tcp://127.0.0.1:"));
  CHECK_FALSE(has(l->address(), ":0"));
  auto one = f.connected(f.at(*l));
  f.until([&] { return f.accepted.size() == 1; });
  for (int fd : {one->native_handle(), f.accepted[0]->native_handle()}) {
    CHECK(socket_option(fd, IPPROTO_TCP, TCP_NODELAY) == 1);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK(has(one->describe(), " -> 127.0.0.1:" + f.at(*l).port));
  CHECK(has(f.accepted[0]->describe(), "tcp 127.0.0.1:" + f.at(*l).port + " -> "));
  exchange(std::move(one), std::move(f.accepted[0]));
}

TEST_CASE("tcp listens on every address, and by name") {
  fixture f;
  for (const char* host : {"", "*", "0.0.0.0", "localhost"}) {
    auto l = f.listen(host);
    INFO(host << ": " << l->address());
    f.accepted.clear();
    auto by_name = f.connected({"tcp", "localhost", f.at(*l).port, "", {}});
    if (std::string(host) != "localhost") auto by_address = f.connected({"tcp", "127.0.0.1", f.at(*l).port, "", {}});
    auto as_printed = f.connected(f.at(*l));
    f.until([&] { return f.accepted.size() == (std::string(host) == "localhost" ? 2 : 3); });
  }
}

TEST_CASE("tcp over IPv6") {
  if (!host_has_ipv6()) {
    WARN("skipped: this host has no IPv6");
    return;
  }
  fixture f;
  auto l = f.listen("::1");
  CHECK(has(l->address(), "tcp://[::1]:"));
  auto one = f.connected(f.at(*l));
  f.until([&] { return f.accepted.size() == 1; });
  CHECK(has(one->describe(), "-> [::1]:"));
  exchange(std::move(one), std::move(f.accepted[0]));
  auto every = f.listen("::");
  CHECK(has(every->address(), "tcp://[::]:"));
  auto by_v4 = f.connected({"tcp", "127.0.0.1", f.at(*every).port, "", {}});
  f.until([&] { return f.accepted.size() == 2; });
  CHECK(has(f.accepted[1]->describe(), "tcp 127.0.0.1:"));
}

TEST_CASE("what tcp cannot connect to is named with the reason") {
  fixture f;
  auto l = f.listen("127.0.0.1");
  const be::uri gone = f.at(*l);
  l.reset();
  auto why = f.refused(gone);
  CHECK(why.code == kfx::errc::unreachable);
  CHECK_FALSE(why.lasting);
  CHECK(has(why.why, "tcp://127.0.0.1:" + gone.port));
  CHECK(has(why.why, "refused"));

  // Not a name anywhere, so no name server need be asked.
  why = f.refused({"tcp", "no such host", "7400", "", {}});
  CHECK(why.code == kfx::errc::unreachable);
  CHECK(why.lasting);
  CHECK(has(why.why, "\"no such host\" does not resolve"));

  for (const be::uri& u : {be::uri{"tcp", "", "7400", "", {}}, be::uri{"tcp", "127.0.0.1", "", "", {}},
                           be::uri{"tcp", "127.0.0.1", "0", "", {}}, be::uri{"tcp", "127.0.0.1", "70000", "", {}},
                           be::uri{"tcp", "127.0.0.1", "http", "", {}}}) {
    CHECK(f.refused(u).code == kfx::errc::bad_uri);
  }
}

TEST_CASE("where tcp cannot listen is named with the reason") {
  fixture f;
  auto l = f.listen("127.0.0.1");
  auto why = f.listen_failure("127.0.0.1", f.at(*l).port);
  CHECK(why.code == kfx::errc::address_in_use);
  CHECK(has(why.why, "tcp://127.0.0.1:" + f.at(*l).port));
  CHECK(f.listen_failure("no such host", "0").code == kfx::errc::bad_option);
  CHECK(f.listen_failure("192.0.2.1", "0").code == kfx::errc::bad_option);
  CHECK(f.listen_failure("127.0.0.1", "99999").code == kfx::errc::bad_uri);
  auto every = f.listen("*");
  CHECK(f.listen_failure("*", f.at(*every).port).code == kfx::errc::address_in_use);
}

TEST_CASE("a port is free again as soon as its listener is gone, with connections left over") {
  fixture f;
  auto l = f.listen("127.0.0.1");
  const be::uri u = f.at(*l);
  auto one = f.connected(u);
  f.until([&] { return f.accepted.size() == 1; });
  l.reset();
  f.accepted.clear();  // the accepting side closes first: its port lingers in the kernel
  one.reset();
  l = f.listen("127.0.0.1", u.port);
  one = f.connected(f.at(*l));
}

TEST_CASE("a listener that is gone accepts nothing more, though connections wait") {
  fixture f;
  auto l = f.listen("127.0.0.1");
  bool answered = false;
  f.tcp->connect(f.ctx, f.at(*l), [&](outcome o) {
    answered = true;
    CHECK(std::holds_alternative<be::channel>(o));
    l.reset();  // on the control thread, with the accept pending
  });
  f.until([&] { return answered; });
  const std::size_t before = f.accepted.size();
  CHECK(before <= 1);
  f.io.restart();
  f.io.run_for(std::chrono::milliseconds(50));
  CHECK(f.accepted.size() == before);
}

TEST_CASE("a listener may end inside its own callback") {
  fixture f;
  std::unique_ptr<be::listener> l;
  unsigned calls = 0;
  auto made = f.tcp->listen(f.ctx, {"tcp", "127.0.0.1", "", "", {}}, [&](be::channel) {
    ++calls;
    l.reset();
  });
  l = std::get<0>(std::move(made));
  const be::uri u = f.at(*l);
  int answers = 0;
  for (int i = 0; i < 3; ++i) f.tcp->connect(f.ctx, u, [&](outcome) { ++answers; });
  f.until([&] { return answers == 3 && calls == 1; });
  f.io.restart();
  f.io.run_for(std::chrono::milliseconds(20));
  CHECK(calls == 1);
}

TEST_CASE("out of descriptors, tcp goes on listening without spinning, and accepts later") {
  fixture f;
  auto l = f.listen("127.0.0.1");
  auto one = f.connected(f.at(*l));
  f.until([&] { return f.accepted.size() == 1; });

  // A connection that stands in the queue, then no descriptor to accept it with.
  const int waiting = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  asio::ip::tcp::endpoint to(asio::ip::make_address("127.0.0.1"),
                             static_cast<unsigned short>(std::stoi(f.at(*l).port)));
  ::rlimit old{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
  const ::rlimit low{static_cast<rlim_t>(waiting), old.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  std::vector<int> fill;
  for (int fd; (fd = ::dup(0)) >= 0;) fill.push_back(fd);
  const int connected = ::connect(waiting, to.data(), static_cast<socklen_t>(to.size()));

  f.io.restart();
  const std::size_t turns = f.io.run_for(std::chrono::milliseconds(350));
  const be::failure why = f.refused(f.at(*l));
  for (int fd : fill) ::close(fd);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &old) == 0);

  CHECK(connected == 0);
  CHECK(f.accepted.size() == 1);
  CHECK(turns >= 2);
  CHECK(turns < 20);
  CHECK(why.code == kfx::errc::out_of_resources);
  f.until([&] { return f.accepted.size() == 2; });
  ::close(waiting);
}

TEST_CASE("the end of a tcp stream is connection_reset, and closing is idempotent") {
  fixture f;
  auto l = f.listen("127.0.0.1");
  auto one = f.connected(f.at(*l));
  f.until([&] { return f.accepted.size() == 1; });
  std::byte b{};
  ::iovec piece{&b, 1};
  const auto nothing = one->recv({&piece, 1});
  CHECK(nothing.bytes == 0);
  CHECK_FALSE(nothing.error);
  f.accepted[0]->close();
  f.accepted[0]->close();
  CHECK(f.accepted[0]->native_handle() < 0);
  CHECK(f.accepted[0]->send({&piece, 1}).error);
  CHECK(f.accepted[0]->recv({&piece, 1}).error);
  be::byte_stream::moved end;
  f.until([&] { return (end = one->recv({&piece, 1})).error != std::error_code(); });
  CHECK(end.error == std::errc::connection_reset);
  f.until([&] { return one->send({&piece, 1}).error != std::error_code(); });  // and no SIGPIPE
}

TEST_CASE("attempts and listeners that nobody waits for end with the control thread") {
  auto f = std::make_unique<fixture>();
  auto l = f->listen("127.0.0.1");
  bool called = false;
  f->tcp->connect(f->ctx, f->at(*l), [&](outcome) { called = true; });
  f->tcp->connect(f->ctx, {"tcp", "192.0.2.1", "7400", "", {}}, [&](outcome) { called = true; });
  f->io.poll_one();
  l.reset();
  f.reset();
  CHECK_FALSE(called);
}

TEST_CASE("tcp answers after connect returned, also to work of the control thread itself") {
  fixture f;
  int answers = 0;
  for (const char* port : {"0", "7400"}) {
    asio::post(f.io, [&f, &answers, port] {
      const int before = answers;
      f.tcp->connect(f.ctx, {"tcp", "", port, "", {}}, [&answers](outcome) { ++answers; });
      CHECK(answers == before);
    });
  }
  f.until([&] { return answers == 2; });
}

TEST_CASE("tcp introduces itself") {
  fixture f;
  CHECK(f.tcp->name() == "tcp");
  CHECK(f.tcp->rank() == 10);
  CHECK(f.tcp->available(nullptr));
  CHECK(f.tcp->offer(f.ctx).empty());
  CHECK(std::holds_alternative<be::failure>(f.tcp->reach(f.ctx, {}, "")));
}
