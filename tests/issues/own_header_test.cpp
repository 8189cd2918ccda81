// SPDX-License-Identifier: BSD-2-Clause
// A reply made of the message's own header was read after its memory had gone back to the pool, from which another
// thread could take it.

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>
#include <vector>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

TEST_CASE("a reply may be made of the message's own header") {
  node server({.listen = {"tcp://127.0.0.1:0"}});
  server.on_message([](message m) { m.reply(m.header()); });
  std::atomic<std::size_t> wrong{0};
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < 3; ++c)
    clients.emplace_back([&, c] {
      node client;
      const peer p = client.at(server.addresses().front());
      std::array<std::uint64_t, 25> question{}, answer{};
      for (std::uint64_t i = 0; i < 3000; ++i) {
        question.fill(i << 8 | c);
        auto o = p.send(std::as_bytes(std::span(question)), {}, {.reply = std::as_writable_bytes(std::span(answer))});
        if (!o.complete(20s) || answer != question) ++wrong;
      }
    });
  for (std::thread& t : clients) t.join();
  CHECK(wrong == 0);
}
