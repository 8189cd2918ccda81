// SPDX-License-Identifier: BSD-2-Clause
// Peers that came by themselves were called by a whole paragraph about their link, and by that of their first one for
// ever: nothing to write into each line of a log.

#include <unistd.h>

#include <catch2/catch.hpp>
#include <mutex>
#include <thread>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {

/// A server that keeps whom it hears of, and a client of it that does not listen.
struct visited {
  explicit visited(const std::string& listen) : server({.listen = {listen}, .idle = 50ms}) {
    server.on_message([this](message m) {
      std::lock_guard lock(mutex);
      visitor = m.from();
    });
  }
  peer visit(node& from) {
    from.at(server.addresses().front()).send(std::string_view("hello")).complete(20s).value();
    std::lock_guard lock(mutex);
    return visitor;
  }
  peer visit() { return visit(client); }

  std::mutex mutex;
  peer visitor;
  node server;
  node client{{.idle = 50ms}};
};

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

TEST_CASE("a peer that came over tcp is called by its address, also when it comes again") {
  visited v("tcp://127.0.0.1:0");
  const std::string prefix = "tcp://127.0.0.1:";
  const peer first = v.visit();
  const std::string before = first.uri();
  INFO(before);
  REQUIRE(before.starts_with(prefix));
  CHECK(is_number(std::string_view(before).substr(prefix.size())));
  CHECK(before != v.server.addresses().front());

  for (const auto end = clock::now() + 20s; first.connected() && clock::now() < end;) std::this_thread::sleep_for(1ms);
  REQUIRE_FALSE(first.connected());
  const peer again = v.visit();
  INFO(again.uri());
  CHECK(again == first);
  CHECK(first.uri() != before);
  CHECK(is_number(std::string_view(first.uri()).substr(prefix.size())));
}

TEST_CASE("a peer that came over shm is called by process and user") {
  visited v("shm://*");
  CHECK(v.visit().uri() == "shm://pid=" + std::to_string(::getpid()) + ",uid=" + std::to_string(::geteuid()));
}

TEST_CASE("peers that came over loop are told apart") {
  visited v("loop://visited");
  const std::string one = v.visit().uri();
  node other;
  const std::string two = v.visit(other).uri();
  CHECK(one.starts_with("loop://visited?"));
  CHECK(two.starts_with("loop://visited?"));
  CHECK(one != two);
  CHECK(one.size() < 40);
}

TEST_CASE("a peer that listens is called by where") {
  visited v("tcp://127.0.0.1:0");
  node listening({.listen = {"tcp://127.0.0.1:0"}});
  CHECK(v.visit(listening).uri() == listening.addresses().front());
}
