// SPDX-License-Identifier: BSD-2-Clause
// A program that sleeps on node::fd() and polls once each time it is readable slept on while messages waited: a link
// that was busy had left the set behind the descriptor.

#include <poll.h>

#include <array>
#include <catch2/catch.hpp>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

TEST_CASE("the descriptor is readable while something waits, however the program polls") {
  const bool drains = GENERATE(true, false);
  node server({.listen = {"tcp://127.0.0.1:0"}});
  server.on_message([](message m) { m.reply(m.header()); });
  // The engine's own ticks, which would rescue it, come late.
  node client({.progress = progress::caller, .keepalive = 60s, .max_ops = 64});
  const peer p = client.at(server.addresses().front());
  std::array<std::byte, 64> answer;
  int done_ops = 0, sent = 0, slept_on = 0;
  const auto submit = [&] {
    ++sent;
    p.send(std::string_view("h"), {}, {.reply = mutable_buffer(answer)}).then([&](result<done>) { ++done_ops; });
  };
  for (int i = 0; i < 400; ++i) {
    const int burst = i % 100 == 99 ? 300 : 1;
    for (int k = 0; k < burst; ++k) submit();
    while (done_ops < sent) {
      pollfd f{client.fd(), POLLIN, 0};
      slept_on += ::poll(&f, 1, 1000) == 0;
      if (slept_on > 2) break;
      while (client.poll() != 0 && drains) {
      }
    }
    REQUIRE(slept_on == 0);
  }
}
