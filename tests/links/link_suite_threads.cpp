// SPDX-License-Identifier: BSD-2-Clause
#include <poll.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "links/link_suite.hpp"

namespace kfx::test {
namespace {

constexpr int bound_ms = 20000;  // only a failing test waits so long

/// Sleeps until the link's descriptor signals; false when it did not within `ms`. Links that have nothing to sleep
/// on are simply asked again.
bool sleep_on(backend::link& link, int ms) {
  const backend::wait_handle handle = link.arm();
  if (handle.fd < 0) {
    std::this_thread::yield();
    return true;
  }
  short events = 0;
  if (handle.readable) events |= POLLIN;
  if (handle.writable) events |= POLLOUT;
  pollfd waiting{handle.fd, events, 0};
  return ::poll(&waiting, 1, ms) > 0;
}

/// One end of a test with two threads. No Catch2 in here: it knows one thread only.
struct worker {
  side end;
  rng random;
  std::string failed;

  worker(backend::link& l, std::uint64_t seed) : end(l), random(seed) {}
  void fail(std::string why) {
    if (failed.empty()) failed = std::move(why);
  }
  bool sleep(const char* doing) {
    if (sleep_on(end.link, bound_ms)) return true;
    fail(std::string("never woken while ") + doing);
    return false;
  }
};

/// Both threads derive the same frames from a seed each.
struct traffic {
  explicit traffic(std::uint64_t seed) : r(seed) {}
  rng r;
  frame next() { return random_frame(r, random_size(r, 128 * 1024)); }
};

/// Sends `count` frames and receives as many, asleep whenever there is nothing to do.
void exchange(worker& self, std::uint64_t sends, std::uint64_t receives, std::size_t count, std::atomic<int>& through) {
  traffic out(sends), in(receives);
  std::deque<frame> kept;
  std::size_t received = 0;
  bool told = false;
  frame next = out.next();
  while (self.failed.empty() && through.load() < 2) {
    bool moved = false;
    while (kept.size() < count) {
      kept.push_back(next);
      const bool small = next.head.size() + next.body.size() <= backend::whole_limit;
      const bool took =
          small && self.random() % 2 ? self.end.build(kept.back()) : self.end.post(kept.back(), kept.size());
      if (!took) {
        kept.pop_back();
        break;
      }
      moved = true;
      next = out.next();
      if (self.random() % 8 == 0) break;
    }
    moved |= self.end.turn(1 + self.random() % 64);
    for (; !self.end.seen.frames.empty(); self.end.seen.frames.pop_front(), ++received)
      if (self.end.seen.frames.front() != in.next()) self.fail("frame " + std::to_string(received) + " is another");
    if (self.end.error && through.load() < 2) self.fail("the link died: " + self.end.error.message());
    if (received == count && kept.size() == count && !told) {
      told = true;
      ++through;
    }
    if (told)
      std::this_thread::yield();  // the other end still needs this one's flushes and polls
    else if (!moved)
      self.sleep("frames were due");
  }
}

}  // namespace

void arm_wakes(const link_place& place) {
  rng r(seed_for("arm_wakes"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 20; ++i) b.turn();
    const frame f = random_frame(r, 100);
    const backend::wait_handle handle = b.link.arm();
    REQUIRE(turn_until(a, [&] { return a.build(f); }));
    REQUIRE_FALSE(a.link.flush(a.seen));
    if (handle.fd >= 0) {
      CHECK(handle.readable);
      pollfd waiting{handle.fd, POLLIN, 0};
      REQUIRE(::poll(&waiting, 1, bound_ms) == 1);
    }
    // What was there before going to sleep signals as well.
    REQUIRE(sleep_on(b.link, bound_ms));
    REQUIRE(turn_until(a, b, [&] { return !b.seen.frames.empty(); }));
    CHECK(b.seen.frames.front() == f);
    b.seen.frames.clear();
  }
  const backend::wait_handle handle = b.link.arm();
  pair.a().close();
  if (handle.fd >= 0) {
    pollfd waiting{handle.fd, POLLIN, 0};
    REQUIRE(::poll(&waiting, 1, bound_ms) == 1);
  }
  REQUIRE(turn_until(b, [&] { return bool(b.error); }));
}

void ping_pong_asleep(const link_place& place) {
  const std::uint64_t seed = seed_for("ping_pong_asleep");
  connected pair(place);
  constexpr int rounds = 2000;
  worker a(pair.a(), seed), b(pair.b(), seed + 1);
  const auto play = [&](worker& self, bool serves) {
    const frame ball = random_frame(self.random, 8);
    int seen = 0, sent = 0;
    while (self.failed.empty() && (seen < rounds || sent < rounds)) {
      const bool mine = serves ? sent == seen : sent < seen;
      if (mine && sent < rounds && self.end.build(ball)) ++sent;
      self.end.turn();
      seen += static_cast<int>(self.end.seen.frames.size());
      const bool got = !self.end.seen.frames.empty();
      self.end.seen.frames.clear();
      if (self.end.error && seen < rounds) self.fail("the link died: " + self.end.error.message());
      if (!got && seen < rounds) self.sleep("the ball was due");
    }
    // The last ball may need more than one flush.
    for (int i = 0; i < 100; ++i) self.end.link.flush(self.end.seen);
  };
  std::thread other([&] { play(b, false); });
  play(a, true);
  other.join();
  INFO(a.failed << " / " << b.failed);
  CHECK((a.failed.empty() && b.failed.empty()));
}

void both_ends_at_once(const link_place& place) {
  const std::uint64_t seed = seed_for("both_ends_at_once");
  connected pair(place);
  worker a(pair.a(), seed), b(pair.b(), seed + 1);
  std::atomic<int> through{0};
  constexpr std::size_t count = 3000;
  std::thread other([&] { exchange(b, seed + 3, seed + 2, count, through); });
  exchange(a, seed + 2, seed + 3, count, through);
  other.join();
  INFO(a.failed << " / " << b.failed);
  CHECK((a.failed.empty() && b.failed.empty()));
  CHECK(through == 2);
}

void withdraw_against_running_puts(const link_place& place) {
  rng r(seed_for("withdraw_against_running_puts"));
  const bytes source = random_bytes(r, 64 * 1024);  // what is under way when all ends may still read it
  connected pair(place);
  side a(pair.a()), b(pair.b());
  std::atomic<backend::direct_key> key{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> good{0}, wrong{0};
  std::thread initiator([&] {
    const const_buffer from(source);
    for (backend::cookie id = 1; !stop; ++id) {
      if (const backend::direct_key k = key) a.direct().put(k, 0, std::span(&from, 1), id);
      a.turn();
      for (const auto& [done, errors] : a.seen.direct)
        for (const std::error_code& e : errors) ++(!e ? good : e == errc::stale_region ? good : wrong);
      a.seen.direct.clear();
    }
  });
  bool placed = true;
  for (int round = 0; round < 200 && placed; ++round) {
    pages owned(64 * 1024, place.allocated);
    const mutable_buffer memory = owned.all();
    const auto k = b.link.direct()->share(std::span(&memory, 1), access::write, backend::sharing::lasting);
    if (!k.has_value()) break;
    const std::uint64_t before = good;
    key = *k;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(bound_ms);
    while (good < before + 2 && (placed = std::chrono::steady_clock::now() < deadline)) b.turn();
    b.link.direct()->withdraw(*k);
    owned.take_away();
  }
  stop = true;
  initiator.join();
  CHECK(placed);
  CHECK(wrong == 0);
  CHECK(good > 0);
}

}  // namespace kfx::test
