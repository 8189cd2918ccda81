// SPDX-License-Identifier: BSD-2-Clause
// The answer of a short handler that shares a burst with one that blocks. What handlers of a burst ask for leaves
// together, so the answer waited until the engine noticed that the other one was late: a tick or two, each time.

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <vector>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

TEST_CASE("an answer does not wait for a handler that is known to block") {
  constexpr int rounds = 21;
  constexpr lane quick = 1, blocks = 2;
  int answered = 0, round = 0;
  std::vector<clock::duration> waits;
  node client({.progress = progress::caller});  // all of it on this thread, so that both messages come in one burst
  node server({.listen = {"loop://slow-neighbour"}, .progress = progress::caller});
  server.on_message([&](message m) {
    if (m.lane() == quick) return m.reply(m.header());
    // A disk, say. On a broken engine the answer leaves when somebody else helps.
    const auto begun = clock::now();
    while (answered < round && clock::now() - begun < 10s) client.poll();
    waits.push_back(clock::now() - begun);
    while (clock::now() - begun < 100us) client.poll();
  });
  const peer p = client.at("loop://slow-neighbour?direct=off");
  std::array<std::byte, 8> into{};
  const std::array<std::byte, 8> header{};
  const auto drive = [&](const auto& until) {
    while (!until()) {
      client.poll();
      server.poll();
    }
  };
  auto first = p.send(header, {}, {.lane = quick, .reply = into});
  drive([&] { return first.ready(); });
  for (int i = 0; i < rounds; ++i) {
    ++round;
    bool over = false;
    p.send(header, {}, {.lane = quick, .reply = into}).then([&](result<done>) { ++answered; });
    p.send(header, {}, {.lane = blocks}).then([&](result<done>) { over = true; });
    drive([&] { return over; });
  }
  REQUIRE(waits.size() == rounds);
  std::nth_element(waits.begin(), waits.begin() + rounds / 2, waits.end());
  // The engine looks after handlers every 5 ms.
  CHECK(waits[rounds / 2] < 2500us);
}
