// SPDX-License-Identifier: BSD-2-Clause
// Two bugs of a poll that looks at its links more than once. It went on with the time from before its handlers, so that
// a peer just heard of seemed silent for as long as they had taken, and healthy ops ended for want of progress. And it
// took handlers for frames, so that deadlines waited for the next tick while completions ran.

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {
const std::array<std::byte, 4> word{};
}

TEST_CASE("a peer that was heard of while a handler ran has been heard of") {
  std::mutex m;
  std::vector<message> kept;
  std::atomic<unsigned> arrived{0};
  node server({.listen = {"loop://stale-clock"}});
  server.on_message([&](message x) {
    std::lock_guard lock(m);
    kept.push_back(std::move(x));
    ++arrived;
  });
  node client({.progress = progress::caller, .limit = 500ms, .keepalive = 100ms});
  const peer to = client.at("loop://stale-clock");
  auto waits = to.send(word);  // kept for ever by its receiver, which is well
  while (arrived == 0) client.poll();
  peer from;
  {
    std::lock_guard lock(m);
    from = kept[0].from();
  }
  unsigned calls = 0;
  clock::time_point heard;
  client.on_message([&](message) {
    if (calls++ != 0) return;
    std::this_thread::sleep_for(700ms);
    from.send(word).detach();
    heard = clock::now();
    while (clock::now() - heard < 100us) std::this_thread::yield();
  });
  for (int i = 0; i < 8; ++i) from.send(word).detach();
  while (calls < 9) client.poll();
  // The engine looks for silence every 50 ms.
  while (clock::now() - heard < 200ms && !waits.ready()) client.poll();
  INFO(waits.explain());
  CHECK_FALSE(waits.ready());
  waits.detach();
}

TEST_CASE("deadlines are kept while completions run on and on") {
  node server({.listen = {"loop://stale-clock-2"}});
  server.on_message([](message) {});
  node client;
  const peer near = client.at("loop://stale-clock-2");
  const peer nobody = client.at("tcp://127.0.0.1:1");
  for (unsigned i = 0; i < 4; ++i) {
    for (unsigned k = 0; k < 3 + i; ++k) REQUIRE(near.send(word).complete().has_value());
    std::this_thread::sleep_for(50ms);  // the link goes cold
    std::atomic<bool> stop{false}, over{false};
    const std::function<void()> again = [&] {
      if (stop)
        over = true;
      else
        near.write(word, remote_region{}).then([&](result<done>) { again(); });
    };
    again();
    const auto begun = clock::now();
    std::atomic<bool> ended{false};
    nobody.send(word, {}, {.deadline = deadline(100ms)}).then([&](result<done>) { ended = true; });
    while (!ended && clock::now() - begun < 10s) std::this_thread::sleep_for(1ms);
    const auto took = clock::now() - begun;
    stop = true;
    while (!over) std::this_thread::sleep_for(1ms);
    // Half a keepalive, 2.5 s, is when somebody else looks.
    CHECK(took < 2s);
  }
}
