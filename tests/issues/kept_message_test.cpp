// SPDX-License-Identifier: BSD-2-Clause
// Messages that a handler keeps. The engine wrote into the options of a message while its holder, on another thread,
// did: senders waited for ever, or a payload was received twice. And what told the sender that its result comes later
// was never let go of, so that the session was in use for ever.

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {

/// Keeps messages and hands them to a thread of its own.
class keeper {
 public:
  explicit keeper(node& n, std::function<void(message)> use) : use_(std::move(use)) {
    n.on_message([this](message m) {
      std::lock_guard lock(m_);
      kept_.push_back(std::move(m));
    });
    worker_ = std::thread([this] { work(); });
  }
  ~keeper() {
    over_ = true;
    worker_.join();
  }

 private:
  /// Without sleeping: it is to be at work while the handler returns.
  void work() {
    for (;;) {
      std::unique_lock lock(m_);
      if (kept_.empty()) {
        if (over_) return;
        lock.unlock();
        std::this_thread::yield();
        continue;
      }
      message m = std::move(kept_.front());
      kept_.pop_front();
      lock.unlock();
      use_(std::move(m));
    }
  }

  std::function<void(message)> use_;
  std::mutex m_;
  std::deque<message> kept_;
  std::atomic<bool> over_{false};
  std::thread worker_;
};

}  // namespace

TEST_CASE("a kept message is received once, and its sender hears of it") {
  node server({.listen = {"tcp://127.0.0.1:0"}});
  std::atomic<int> twice{0};
  unsigned taken = 0;
  keeper k(server, [&](message m) {
    std::array<std::byte, 64> into;
    (void)m.receive(mutable_buffer(into)).complete();
    for (unsigned i = 0; i < taken % 64; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    ++taken;
    twice += m.receive(mutable_buffer(into)).complete().has_value();
  });
  node client;
  const peer p = client.at(server.addresses().front());
  const std::array<std::byte, 32> body{};
  int open = 0;
  for (int round = 0; round < 400 && open == 0; ++round) {
    std::vector<op<done>> ops;
    for (int i = 0; i < 128; ++i) ops.push_back(p.send(std::string_view("h"), const_buffer(body)));
    for (auto& o : ops) open += !o.complete(20s).has_value();
  }
  CHECK(open == 0);
  CHECK(twice == 0);
}

TEST_CASE("a handler for the end of a reply always runs") {
  node server({.listen = {"tcp://127.0.0.1:0"}});
  node client;
  std::atomic<int> replied{0}, ended{0};
  {
    keeper k(server, [&](message m) {
      ++replied;
      m.reply(std::string_view("x"), {}).then([&](result<done>) { ++ended; });
    });
    const peer p = client.at(server.addresses().front());
    std::vector<std::array<std::byte, 8>> answers(256);
    for (int round = 0; round < 150; ++round) {
      std::vector<op<done>> ops;
      for (auto& a : answers) ops.push_back(p.send(std::string_view("h"), {}, {.reply = mutable_buffer(a)}));
      for (auto& o : ops) REQUIRE(o.complete(20s).has_value());
    }
  }
  const auto end = clock::now() + 20s;
  while (ended < replied && clock::now() < end) std::this_thread::sleep_for(1ms);
  CHECK(ended == replied);
}

TEST_CASE("a session that kept a message goes idle like any other") {
  node server({.listen = {"tcp://127.0.0.1:0"}, .idle = 100ms});
  keeper k(server, [](message) {});
  node client({.idle = 0ms});
  const peer p = client.at(server.addresses().front());
  REQUIRE(p.send(std::string_view("h")).complete(20s).has_value());
  const auto end = clock::now() + 20s;
  while (p.connected() && clock::now() < end) std::this_thread::sleep_for(1ms);
  CHECK_FALSE(p.connected());
}
